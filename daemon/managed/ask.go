package managed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// Asking is how a conversation begins.
type Asking struct {
	// Name is what the device calls itself to the user, 1 to 64 bytes. Where KeepName,
	// the name that it had last is used instead, if it had one.
	Name     string
	KeepName bool
	// Files says that messages are carried by hand, and so may take a day.
	Files bool
	// Anew gives up what is under way for the same account.
	Anew bool
	// Class is of an account that is new, "session" or "touch".
	Class string
}

// ask seals a conversation's next request, its first where After is zero.
func (w *work) ask(t *talk, b message.RequestBody, life time.Duration, files bool) error {
	d, err := message.ParseDescriptor(t.Authority)
	if err != nil {
		return err
	}
	var before *message.Pending
	if t.After != (message.Hash{}) {
		before = &t.Pending
	}
	account, signer := "", ed25519.PrivateKey(nil)
	switch b.(type) {
	case *message.Begin, *message.Factor, *message.Proof:
		account, signer = t.Account, ed25519.NewKeyFromSeed(t.Key)
		defer clear(signer)
	}
	q, err := message.NewRequest(b, account, before, t.After, w.now, life, files, w.d.random())
	if err != nil {
		return err
	}
	sealed, p, err := q.Seal(w.keys, signer, d)
	if err != nil {
		return err
	}
	t.Sealed, t.Pending = sealed, *p
	return nil
}

// next is ask with the conversation's own patience.
func (w *work) next(t *talk, b message.RequestBody) error {
	life := message.MaxInteractive
	if t.Files {
		life = message.MaxFiles
	}
	return w.ask(t, b, life, t.Files)
}

// newTalk begins a conversation with an authority.
func (w *work) newTalk(kind message.Kind, authority []byte, a Asking) (*talk, error) {
	id, err := message.NewID(w.d.random())
	if err != nil {
		return nil, err
	}
	t := &talk{ID: id, Kind: kind, Phase: Asked, Authority: bytes.Clone(authority), Name: a.Name, Files: a.Files, Class: a.Class}
	return t, w.st.add(t)
}

// named is a with the name that is to be used, which is remembered.
func (w *work) named(a Asking) Asking {
	if a.KeepName && w.st.Name != "" {
		a.Name = w.st.Name
	}
	w.st.Name = a.Name
	return a
}

// Activate begins the activation of an account by a link, with the descriptor that
// its endpoint handed out. The same link again is the same request, as long as that
// is good. It fails with the errors of message.Link.Check.
func (d *Device) Activate(ctx context.Context, l *message.Link, authority []byte, a Asking) (Step, error) {
	who, err := message.ParseDescriptor(authority)
	if err != nil {
		return Step{}, err
	}
	return d.change(ctx, func(w *work) error {
		for _, t := range w.st.Talks {
			if t.open() && t.Kind == message.KindActivate && t.Activation == l.Activation {
				return w.same(t)
			}
		}
		if err := l.Check(who, w.now); err != nil {
			return err
		}
		a := w.named(a)
		t, err := w.newTalk(message.KindActivate, authority, a)
		if err != nil {
			return err
		}
		t.Activation, t.Key = l.Activation, make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(w.d.random(), t.Key); err != nil {
			return fmt.Errorf("cannot make a reactivation key: %w", err)
		}
		private := ed25519.NewKeyFromSeed(t.Key) // its second half is the public one
		defer clear(private)
		b := &message.Activate{Activation: l.Activation, Secret: l.Secret, DeviceName: a.Name,
			Reactivation: [32]byte(private[ed25519.SeedSize:])}
		if err := w.next(t, b); err != nil {
			return err
		}
		return w.step(t)
	})
}

// Reactivate begins to bring an account of the vault back to life. Where that is
// under way already it says how far it is, unless anew is asked for.
func (d *Device) Reactivate(ctx context.Context, id string, a Asking) (Step, error) {
	return d.change(ctx, func(w *work) error {
		acc, err := w.Account(id)
		if err != nil {
			return err
		}
		by, err := w.Issued(id)
		if err != nil {
			return err
		}
		for _, t := range w.st.Talks {
			if !t.open() || t.Local != id {
				continue
			}
			if !a.Anew {
				clear(by.Key)
				return w.same(t)
			}
			// A proof that is on its way may arrive all the same.
			if t.Phase == Proving {
				t.end(Unsure, w.now)
			} else {
				t.end(Expired, w.now)
			}
		}
		a := w.named(a)
		t, err := w.newTalk(message.KindBegin, by.Authority, a)
		if err != nil {
			return err
		}
		t.Account, t.Local, t.Key = by.Account, id, by.Key
		if err := w.next(t, &message.Begin{DeviceName: a.Name, Restored: acc.Inactive}); err != nil {
			return err
		}
		return w.step(t)
	})
}

// GiveFactor tries a factor, or answers what is asked for one. The passcode, or for a
// security key the assertion, is the caller's to wipe.
func (d *Device) GiveFactor(ctx context.Context, conversation, factor string, passcode, assertion []byte) (Step, error) {
	return d.thenAt(ctx, conversation, []Phase{Choose, Challenged}, func(w *work, t *talk) error {
		t.Refused = nil
		return w.next(t, &message.Factor{Factor: factor, Passcode: passcode, Assertion: assertion})
	})
}

// Poll asks whether what is waited for has happened.
func (d *Device) Poll(ctx context.Context, conversation string) (Step, error) {
	return d.then(ctx, conversation, Waiting, func(w *work, t *talk) error {
		t.Refused = nil
		return w.next(t, &message.Poll{})
	})
}

// Prove makes another proof, after the authority did not take a code.
func (d *Device) Prove(ctx context.Context, conversation string) (Step, error) {
	return d.then(ctx, conversation, Proving, func(w *work, t *talk) error {
		t.Refused = nil
		return w.prove(t)
	})
}

// Approve answers a question that another device asks this one; number is what the
// user reads there, 0 with a no.
func (d *Device) Approve(ctx context.Context, conversation string, question message.ID, yes bool, number int) (Step, error) {
	return d.then(ctx, conversation, Questions, func(w *work, t *talk) error {
		if !slices.ContainsFunc(t.Questions, func(q message.Question) bool { return q.ID == question }) {
			return fmt.Errorf("%w: no such question", ErrNotNow)
		}
		t.Refused = nil
		return w.next(t, &message.Approve{Question: question, Yes: yes, Number: number})
	})
}

// then makes the next request of a conversation that is at a phase. A request that
// waits for its answer comes before: it is handed out again.
func (d *Device) then(ctx context.Context, conversation string, p Phase, f func(w *work, t *talk) error) (Step, error) {
	return d.thenAt(ctx, conversation, []Phase{p}, f)
}

func (d *Device) thenAt(ctx context.Context, conversation string, at []Phase, f func(w *work, t *talk) error) (Step, error) {
	return d.change(ctx, func(w *work) error {
		t, err := w.st.find(conversation)
		switch {
		case err != nil:
			return err
		case t.open() && t.Sealed != nil:
			return fmt.Errorf("%w: a request waits for its answer", ErrNotNow)
		case !t.open() || !slices.Contains(at, t.Phase):
			return fmt.Errorf("%w: it is %s", ErrNotNow, t.Phase)
		}
		if err := f(w, t); err != nil {
			return err
		}
		return w.step(t)
	})
}

// prove makes the proof of the new secret. It may be sent again for a day: whether
// it arrived must not stay unknown for the sake of one lost answer.
func (w *work) prove(t *talk) error {
	s := t.Secret
	code, err := otp.TOTP(s.Secret, otp.Params{Type: otp.TypeTOTP, Algorithm: otp.Algorithm(s.Algorithm), Digits: s.Digits, Period: s.Period}, w.now)
	if err != nil {
		return err
	}
	proof := &message.Proof{Code: message.Secret(code.Value.String())}
	defer proof.Code.Wipe()
	return w.ask(t, proof, message.MaxFiles, true)
}

// Questions asks the authority of an account that is active here what the user's
// other devices ask this one.
func (d *Device) Questions(ctx context.Context, id string) (Step, error) {
	return d.look(ctx, id, message.KindPoll, func(*work, *talk) message.RequestBody { return &message.Poll{} })
}

// Devices asks the authority of an account that is active here for the devices of
// its user.
func (d *Device) Devices(ctx context.Context, id string) (Step, error) {
	return d.look(ctx, id, message.KindDevices, func(*work, *talk) message.RequestBody { return &message.Devices{} })
}

// RevokeDevice takes the accounts of that authority from one of the devices that it
// has listed. this says that the user means the very device that asks, last that he
// knows that no device is left with some account; the authority refuses where it
// has to be said and was not. A device that revokes itself is told so by Notices,
// as any other.
func (d *Device) RevokeDevice(ctx context.Context, conversation, device string, this, last bool) (Step, error) {
	return d.then(ctx, conversation, Listed, func(w *work, t *talk) error {
		n := slices.IndexFunc(t.Devices.Devices, func(o message.OwnDevice) bool { return o.ID.String() == device })
		if n < 0 {
			return fmt.Errorf("%w: no such device is listed", ErrNotNow)
		}
		t.Refused = nil
		return w.next(t, &message.RevokeDevice{Device: t.Devices.Devices[n].ID, This: this, Last: last})
	})
}

// Notices asks the authority of an account which accounts of this device were
// revoked, and says which of those have been forgotten.
func (d *Device) Notices(ctx context.Context, id string) (Step, error) {
	return d.look(ctx, id, message.KindNotice, func(w *work, t *talk) message.RequestBody {
		b := &message.Notice{}
		who, err := message.ParseDescriptor(t.Authority)
		for _, f := range w.st.Forgotten {
			if err == nil && f.Authority == who.KeysHash() && len(b.Forgotten) < maxForgotten {
				b.Forgotten = append(b.Forgotten, f.Account)
			}
		}
		return b
	})
}

// look begins a conversation about the device. One about the same that was begun
// before is given up: it changes nothing.
func (d *Device) look(ctx context.Context, id string, k message.Kind, body func(w *work, t *talk) message.RequestBody) (Step, error) {
	return d.change(ctx, func(w *work) error {
		by, err := w.Issued(id)
		if err != nil {
			return err
		}
		clear(by.Key)
		w.st.Talks = slices.DeleteFunc(w.st.Talks, func(t *talk) bool { return t.Kind == k && bytes.Equal(t.Authority, by.Authority) })
		t, err := w.newTalk(k, by.Authority, Asking{})
		if err != nil {
			return err
		}
		if err := w.next(t, body(w, t)); err != nil {
			return err
		}
		return w.step(t)
	})
}
