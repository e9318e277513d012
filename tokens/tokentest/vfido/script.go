package vfido

import (
	"bytes"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

// Counts is what a key has been asked since it was made.
type Counts struct {
	// Commands are those of CTAP 2 and those of CTAPHID that are done by the
	// key's transport, each under Command.Name.
	Commands        map[string]int
	PINsSeen        int // encrypted PINs received, right or wrong
	PINFailures     int // of those, the ones that were wrong or came too late
	PINsSet         int // set or changed
	TokensIssued    int // pinUvAuthTokens, by PIN or finger
	FingersAsked    int
	FingersMatched  int
	TouchesAsked    int
	TouchesGiven    int
	MakeCredentials int // made
	Assertions      int // signed, pre-flights and getNextAssertion's included
	Preflights      int // getAssertion with up false, answered with a credential or not
	UserVerified    int // new credentials and assertions with the flag UV
	HMACOutputs     int // outputs of hmac-secret, one a salt
	Resets          int
	Cancels         int // CTAPHID_CANCELs that ended something
	PowerCycles     int // and insertions
}

// Counts returns what the key has been asked so far.
func (k *Key) Counts() Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.counts
	n.Commands = maps.Clone(n.Commands)
	return n
}

// FaultKind is a way of answering badly.
type FaultKind int

// The faults. FaultMute, FaultKeepalive and FaultVanish keep the key from
// doing what it was asked; the others change the answer to what it did.
const (
	FaultStatus     FaultKind = iota + 1 // Fault.Status and nothing else
	FaultReply                           // Fault.Data as it is, status included
	FaultGarbage                         // status 0 and 64 random bytes
	FaultTruncate                        // the first half of the answer
	FaultOversize                        // an answer of 65,535 bytes in more packets than CTAPHID can number
	FaultMute                            // no answer, ever
	FaultKeepalive                       // keepalives without end; CTAPHID_CANCEL does not help
	FaultVanish                          // the key is pulled out instead of answering
	FaultSlow                            // silent for Fault.Delay, without keepalives, and then all is well
	FaultLongCount                       // the packets tell of 200 bytes more than come
	FaultShortCount                      // the packets tell of half the bytes that come
	FaultSequence                        // the numbers of continuation packets begin with 1 (answers above 57 bytes)
	FaultChannel                         // the packets are for another channel
	FaultCommand                         // the packets answer another command
	FaultLie                             // getAssertion: claims the first credential asked for, with what it makes up
	FaultHMACLength                      // getAssertion: hmac-secret gives 16 bytes a salt
	FaultHMACRandom                      // getAssertion: hmac-secret gives something new each time
	FaultSignature                       // getAssertion: the signature is wrong
)

// Fault makes the key answer badly.
type Fault struct {
	Kind FaultKind
	// Command is which command it is for; 0 means any, those of CTAPHID that
	// have answers included.
	Command Command
	// Sub is which subcommand of clientPIN or credentialManagement; 0 any.
	Sub    byte
	After  int           // how many such commands are answered well before
	Times  int           // how many such commands are hit; 0 means one, below 0 all
	Status Status        // for FaultStatus
	Data   []byte        // for FaultReply
	Delay  time.Duration // for FaultSlow
}

// Inject adds a fault. Faults are tried in the order they were added.
func (k *Key) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, &f)
}

// ClearFaults makes the key answer well again. A command that hangs stays so.
func (k *Key) ClearFaults() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = nil
}

// SetDelay makes the key wait before it does what each command asks, with
// keepalives meanwhile.
func (k *Key) SetDelay(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delay = d
}

// SetHook has f change the answer to each command of CTAP 2, status first,
// after faults did; nil from f is no answer at all. A nil f ends that.
func (k *Key) SetHook(f func(cmd Command, response []byte) []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hook = f
}

// is says whether a fault that may be nil is of a kind.
func (f *Fault) is(kind FaultKind) bool { return f != nil && f.Kind == kind }

// takeFault is the fault for this command, nil when it is to be answered well.
func (k *Key) takeFault(cmd Command, sub byte) *Fault {
	for _, f := range k.faults {
		if f.Command != 0 && f.Command != cmd || f.Sub != 0 && f.Sub != sub || f.Times == 0 {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

// pause does what delays an answer; false when there will be none. k.mu is held
// and let go meanwhile.
func (k *Key) pause(o operation) bool {
	if o.fault.is(FaultMute) || o.fault.is(FaultVanish) || o.fault.is(FaultKeepalive) {
		return false
	}
	delay := k.delay
	if o.fault.is(FaultSlow) {
		delay += o.fault.Delay
	} else {
		o.tell(keepaliveProcessing)
	}
	if delay <= 0 {
		return true
	}
	k.mu.Unlock()
	defer k.mu.Lock()
	sleep(o.ctx, delay)
	return true
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// apply changes an answer; a nil fault does not.
func (f *Fault) apply(out []byte) []byte {
	if f == nil {
		return out
	}
	switch f.Kind {
	case FaultStatus:
		return []byte{byte(f.Status)}
	case FaultReply:
		return bytes.Clone(f.Data)
	case FaultGarbage:
		return append([]byte{byte(StatusOK)}, random(64)...)
	case FaultTruncate:
		return out[:(len(out)+1)/2]
	case FaultOversize:
		return append(out, make([]byte, 0xFFFF-len(out))...)
	}
	return out
}

// random returns n random bytes. It cannot fail: crypto/rand ends the program
// rather than that.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// maxLog is how many entries the log keeps.
const maxLog = 8192

// Entry is one command of CTAP 2 and its answer.
type Entry struct {
	At      time.Time
	Command Command
	Sub     byte // of clientPIN and credentialManagement
	// Request and Response are CBOR without the first byte. They are nil where
	// they could hold a PIN, a token or an output, encrypted as they travel,
	// unless Options.LogSecrets is set.
	Request, Response []byte
	// Redacted says that something was left out.
	Redacted bool
	// Status is the answer's first byte; StatusOther when there was none.
	Status Status
}

// Log returns the last 8192 commands, oldest first. Those that were not
// answered because of FaultMute, FaultKeepalive or FaultVanish are not in it.
func (k *Key) Log() []Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.log)
}

// record writes the command that was done into the log.
func (k *Key) record(in, out []byte) {
	o := k.running
	e := Entry{At: k.opts.Now(), Command: o.cmd, Sub: o.sub, Status: StatusOther}
	if len(out) > 0 {
		e.Status = Status(out[0])
	}
	sensitive := o.cmd == CommandClientPIN && o.sub > SubGetKeyAgreement || o.cmd == CommandGetAssertion || o.cmd == CommandGetNextAssertion
	if sensitive && !k.opts.LogSecrets {
		e.Redacted = true
	} else {
		e.Request, e.Response = bytes.Clone(in[min(1, len(in)):]), bytes.Clone(out[min(1, len(out)):])
	}
	if len(k.log) >= maxLog {
		k.log = slices.Delete(k.log, 0, maxLog/8)
	}
	k.log = append(k.log, e)
}
