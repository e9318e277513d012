// Package managed is the device's side of managed accounts: it makes the sealed
// requests that an authority answers (daemon/authority/message), opens the answers,
// and gives the vault what comes of them. It carries nothing: who does need not be
// trusted.
//
// Whatever it has under way lies in the vault's device.age, sealed to the session
// key and in no backup: the device's keys, and for each conversation the request
// that waits for its answer, or the new secret that waits for its proof. It is on
// disk before a request leaves, in one write with what an answer brings; so after
// a crash the same bytes are sent again, and an answer that comes twice does
// nothing the second time.
//
// The secret that an account has stays until the authority says that the new one
// was proved. A proof whose answer is lost can be asked for again for
// message.MaxFiles, in the same bytes, and gets the same answer. After that the
// device cannot know which secret counts, and keeps both until the next
// reactivation.
package managed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/vault"
)

// The reasons for failing that a caller decides by, beside those of
// daemon/authority/message and daemon/vault.
var (
	// ErrNoConversation: nothing of that id is under way.
	ErrNoConversation = errors.New("nothing of that id is under way")
	// ErrNotNow: the conversation is not at the point where this can be done.
	ErrNotNow = errors.New("the conversation is not there")
	// ErrTooMany: no more can be under way at once.
	ErrTooMany = errors.New("too much is under way")
	// ErrNoAuthority: the authority is not among those that this device knows.
	ErrNoAuthority = errors.New("no account here is of that authority")
)

// Phase is how far a conversation got.
type Phase string

// The phases.
const (
	Asked   Phase = "asked"   // the first request waits for its answer
	Choose  Phase = "choose"  // a factor is to be given
	Waiting Phase = "waiting" // for somebody to approve elsewhere
	// Challenged: who verifies the factor asks for something more, which GiveFactor
	// gives with the same factor.
	Challenged Phase = "challenged"
	Proving    Phase = "proving"   // the new secret is here, its proof is not acknowledged
	Questions  Phase = "questions" // other devices ask this one
	Listed     Phase = "devices"   // the user's devices are there to choose one from
	Done       Phase = "done"
	Refused    Phase = "refused" // the authority has ended it
	Expired    Phase = "expired" // nothing came in time
	// Unsure: a proof was sent and no answer came in time. Which secret counts only
	// another reactivation tells.
	Unsure Phase = "unsure"
)

// Step is where a conversation is, and what to send.
type Step struct {
	Conversation string // its id on this device
	Kind         message.Kind
	Account      string // the vault's id; empty while the account is not there
	Phase        Phase
	// Request is what waits to be carried, again where no answer came; nil where
	// something is to be done first.
	Request []byte
	// Authority is whom it is for, with its endpoints; Descriptor is what that was
	// read from.
	Authority  *message.Descriptor
	Descriptor []byte
	// Until is when the phase ends.
	Until time.Time
	// Late says that the new secret was to be proved by now: the answer will say
	// whether it was.
	Late bool
	// Answered is what the last answer said, where it is that: nil otherwise.
	Offer     *message.Offer
	Waiting   *message.Waiting
	Challenge *message.Challenge
	Refused   *message.Refused
	Done      *message.Done
	Questions []message.Question
	Notices   []message.Notification
	Devices   *message.DeviceList
	// Changed are the accounts that this step has given a secret or taken it from.
	Changed []vault.Account
}

// Device is a vault as an authority sees it. Its methods fail with vault.ErrLocked
// while that is locked, and may be called from several goroutines.
type Device struct {
	Vault  *vault.Vault
	Now    func() time.Time
	Random io.Reader // crypto/rand if nil
}

func (d *Device) random() io.Reader {
	if d.Random == nil {
		return rand.Reader
	}
	return d.Random
}

// errSame ends a change that changes nothing.
var errSame = errors.New("nothing changed")

// work is one call: the state and the write that it is in.
type work struct {
	*vault.DeviceChange
	d    *Device
	st   *state
	keys message.Keys
	now  time.Time
	out  Step
	// scrap is what the write reads and is wiped after it.
	scrap [][]byte
}

// change runs f in one write; f fails with errSame where there is nothing to write.
func (d *Device) change(ctx context.Context, f func(w *work) error) (Step, error) {
	var out Step
	w := &work{d: d, now: d.Now()}
	defer w.wipe()
	err := d.Vault.ChangeDevice(ctx, func(c *vault.DeviceChange) error {
		w.DeviceChange = c
		if err := w.begin(); err != nil {
			return err
		}
		err := f(w)
		if out = w.out; err != nil {
			return err
		}
		raw, err := w.st.encode()
		clear(c.State)
		c.State = raw
		return err
	})
	if errors.Is(err, errSame) {
		err = nil
	}
	if err != nil {
		return Step{}, err
	}
	return out, nil
}

func (w *work) wipe() {
	if w.st != nil {
		w.st.wipe()
	}
	for _, b := range w.scrap {
		clear(b)
	}
}

// begin reads the state, makes the device's keys where there are none, and ends
// what is too old.
func (w *work) begin() (err error) {
	if w.st, err = decodeState(w.State); err != nil {
		return err
	}
	if len(w.st.Seed) == 0 {
		w.st.Seed = make([]byte, seedSize)
		if _, err := io.ReadFull(w.d.random(), w.st.Seed); err != nil {
			return fmt.Errorf("cannot make the device's keys: %w", err)
		}
	}
	if w.keys, err = message.KeysOf(w.st.Seed); err != nil {
		return err
	}
	w.st.sweep(w.now)
	return nil
}

// step tells where a conversation is.
func (w *work) step(t *talk, changed ...vault.Account) error {
	s, err := t.step(w.now)
	s.Changed = changed
	w.out = s
	return err
}

// same is step where nothing is to be written.
func (w *work) same(t *talk) error {
	if err := w.step(t); err != nil {
		return err
	}
	return errSame
}

// List tells what is under way, and what has ended lately. It writes nothing.
func (d *Device) List() ([]Step, error) {
	var out []Step
	err := d.Vault.ViewDevice(func(raw []byte) error {
		st, err := decodeState(raw)
		if err != nil {
			return err
		}
		defer st.wipe()
		now := d.Now()
		st.sweep(now)
		for _, t := range st.Talks {
			s, err := t.step(now)
			if err != nil {
				return err
			}
			out = append(out, s)
		}
		return nil
	})
	return out, err
}
