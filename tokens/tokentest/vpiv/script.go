package vpiv

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// Counts is what a card has been asked since it was made.
type Counts struct {
	Commands        int // APDUs, parts of chains and GET RESPONSE included
	PINsSeen        int // commands that carried a PIN or PUK, right or wrong
	PINFailures     int // of those, the ones that were wrong or came too late
	ECDHs           int // key agreements done
	PrivateUses     int // signatures and RSA operations done
	ManagementAuths int // successful authentications with the management key
	Generated       int // keys
	Imported        int // keys
	TouchesAsked    int
	TouchesGiven    int
	Resets          int // of the PIV application
	PowerCycles     int // resets and power-ons by the reader
}

// Counts returns what the card has been asked so far.
func (c *Card) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// FaultKind is a way of answering badly.
type FaultKind int

// The faults. Those that change the answer let the card do what it was asked
// first; FaultHang and FaultRemove do not.
const (
	FaultStatus   FaultKind = iota + 1 // no data, and Fault.Status
	FaultReply                         // Fault.Data as it is, trailer included
	FaultGarbage                       // 64 random bytes and 9000
	FaultTruncate                      // the first byte of the answer alone
	FaultLength                        // one byte of data too many, and then 9000
	FaultShort                         // the last byte of data left out
	FaultHang                          // no answer until the power is cut
	FaultRemove                        // the card leaves the reader instead of answering
)

// Fault makes the card answer badly.
type Fault struct {
	Kind   FaultKind
	INS    byte   // which instruction it is for; 0 means any
	After  int    // how many such commands are answered well before
	Times  int    // how many such commands are hit; 0 means one, below 0 all
	Status uint16 // for FaultStatus
	Data   []byte // for FaultReply
}

// Inject adds a fault. Faults are tried in the order they were added.
func (c *Card) Inject(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
}

// ClearFaults makes the card answer well again. A hanging command stays so.
func (c *Card) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// SetDelay makes the card wait before it does what each command asks.
func (c *Card) SetDelay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// takeFault is the fault for this command, nil when it is to be answered well.
func (c *Card) takeFault(ins byte) *Fault {
	for _, f := range c.faults {
		if f.INS != 0 && f.INS != ins || f.Times == 0 {
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

// pause does what delays an answer; false when there will be none. c.mu is held
// and let go meanwhile.
func (c *Card) pause(ctx context.Context, f *Fault) bool {
	if f != nil && f.Kind == FaultRemove {
		return false
	}
	delay := c.delay
	hang := f != nil && f.Kind == FaultHang
	if delay <= 0 && !hang {
		return true
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	var after <-chan time.Time
	if !hang {
		t := time.NewTimer(delay)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
		return true
	case <-ctx.Done():
		return false
	}
}

// apply changes an answer; a nil fault does not.
func (f *Fault) apply(out []byte) []byte {
	if f == nil {
		return out
	}
	switch n := len(out) - 2; f.Kind {
	case FaultStatus:
		return answer(nil, status(f.Status))
	case FaultReply:
		return bytes.Clone(f.Data)
	case FaultGarbage:
		return answer(random(64), swOK)
	case FaultTruncate:
		return out[:1]
	case FaultLength:
		return append(slices.Clone(out[:n]), 0x00, out[n], out[n+1])
	case FaultShort:
		if n > 0 {
			return append(slices.Clone(out[:n-1]), out[n:]...)
		}
	}
	return out
}

// maxLog is how many entries the log keeps.
const maxLog = 8192

// Entry is one command and its answer.
type Entry struct {
	At               time.Time
	CLA, INS, P1, P2 byte
	// Data and Response are nil where they could hold a PIN, a key or a shared
	// secret, unless Options.LogSecrets is set. Response has no trailer.
	Data, Response []byte
	// Redacted says that something was left out.
	Redacted bool
	// Status is the trailer; 0 when the answer had none.
	Status uint16
}

// Log returns the last 8192 commands, oldest first.
func (c *Card) Log() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

// sensitive names the instructions whose data stay out of the log. GET
// RESPONSE is among them because it may deliver the end of any other's answer.
func sensitive(ins byte) bool {
	switch ins {
	case insVerify, insChangeReference, insResetRetry, insAuthenticate, insImport,
		insSetManagementKey, insPutData, insGetData, insGetResponse:
		return true
	}
	return false
}

func (c *Card) record(in []byte, cmd command, out []byte) {
	e := Entry{At: c.opts.Now(), CLA: cmd.cla, INS: cmd.ins, P1: cmd.p1, P2: cmd.p2}
	n := len(out) - 2
	if n >= 0 {
		e.Status = uint16(out[n])<<8 | uint16(out[n+1])
	}
	switch {
	case len(in) < 4 || sensitive(cmd.ins) && !c.opts.LogSecrets:
		e.Redacted = len(cmd.data) > 0 || n > 0
	default:
		e.Data = bytes.Clone(cmd.data)
		e.Response = bytes.Clone(out[:max(n, 0)])
	}
	if len(c.log) >= maxLog {
		c.log = slices.Delete(c.log, 0, maxLog/8)
	}
	c.log = append(c.log, e)
}
