package managed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/tokens"
)

// Receive opens an answer and does what it says. An answer that was received before
// does nothing again, and tells how far its conversation is. One that fails changes
// nothing: with message.ErrOtherRequest it answers no request that waits here, with
// message.ErrOtherDevice it is another device's.
func (d *Device) Receive(ctx context.Context, answer []byte) (Step, error) {
	hash := message.AnswerHash(answer)
	return d.change(ctx, func(w *work) error {
		for _, t := range w.st.Talks {
			if t.After == hash {
				return w.same(t)
			}
		}
		failed := fmt.Errorf("cannot open the answer: %w", message.ErrOtherRequest)
		for _, t := range w.st.Talks {
			if t.Sealed == nil {
				continue
			}
			r, err := t.Pending.Open(answer, w.keys, w.now)
			if errors.Is(err, message.ErrOtherRequest) {
				continue
			}
			if err != nil {
				return err
			}
			if s, ok := r.(*message.NewSecret); ok {
				defer s.Secret.Wipe()
			}
			t.Sealed, t.After, t.Refused = nil, hash, nil
			changed, err := w.take(t, r)
			if err != nil {
				return err
			}
			return w.step(t, changed...)
		}
		return failed
	})
}

// take does what an answer says.
func (w *work) take(t *talk, r message.Result) ([]vault.Account, error) {
	switch r := r.(type) {
	case *message.Refused:
		w.refused(t, r)
	case *message.Offer:
		t.Phase, t.Offer, t.Waiting, t.Challenge = Choose, r, nil, nil
	case *message.Waiting:
		t.Phase, t.Waiting, t.Challenge = Waiting, r, nil
	case *message.Challenge:
		t.Phase, t.Challenge, t.Waiting = Challenged, r, nil
	case *message.NewSecret:
		return nil, w.secret(t, r)
	case *message.Done:
		return w.done(t, r)
	case *message.Questions:
		t.Phase, t.Questions = Questions, r.List
	case *message.DeviceList:
		t.Phase, t.Devices = Listed, r
	case *message.Notices:
		return w.notices(t, r)
	}
	return nil, nil
}

// refused notes a refusal. After a first request there is nothing to go on with.
// While something is waited or asked for, a refusal that is not final leads back to
// the choice.
func (w *work) refused(t *talk, r *message.Refused) {
	t.Refused = r
	switch {
	case r.Final || t.Phase == Asked || !t.open():
		t.end(Refused, w.now)
	case t.Phase == Waiting, t.Phase == Challenged:
		t.Phase, t.Waiting, t.Challenge = Choose, nil, nil
	}
}

// secret keeps a new secret beside the one there is, and makes its proof.
func (w *work) secret(t *talk, s *message.NewSecret) error {
	if t.Account != "" && s.Account != t.Account {
		return fmt.Errorf("cannot take the new secret: %w", message.ErrUnexpected)
	}
	if t.Local == "" {
		t.Local = w.known(t, s.Account)
	}
	own := *s
	own.Secret = slices.Clone(s.Secret)
	t.Account, t.Secret, t.Phase = s.Account, &own, Proving
	return w.prove(t)
}

// known is the vault's account that an authority means, empty where it has none.
func (w *work) known(t *talk, account string) string {
	who, err := message.ParseDescriptor(t.Authority)
	if err != nil {
		return ""
	}
	for _, id := range w.Holding(account) {
		if w.isOf(id, who.KeysHash()) {
			return id
		}
	}
	return ""
}

// isOf says whether an authority has issued an account.
func (w *work) isOf(id string, authority message.Hash) bool {
	by, err := w.Issued(id)
	if err != nil {
		return false
	}
	clear(by.Key)
	d, err := message.ParseDescriptor(by.Authority)
	return err == nil && d.KeysHash() == authority
}

// done gives the account its new secret, where there is one, and ends the
// conversation.
func (w *work) done(t *talk, r *message.Done) ([]vault.Account, error) {
	t.Done = r
	if t.Secret == nil { // an approval, or another device is revoked
		t.end(Done, w.now)
		return nil, nil
	}
	if t.Local != "" {
		if _, err := w.Account(t.Local); errors.Is(err, vault.ErrNotFound) {
			t.Local = "" // removed in between
		}
	}
	s := t.Secret
	n := vault.NewAccount{Account: vault.Account{Issuer: s.Issuer, Name: s.Name, Kind: vault.Managed, Class: tokens.Class(t.Class),
		Type: "totp", Algorithm: s.Algorithm, Digits: s.Digits, Period: s.Period}, Secret: slices.Clone(s.Secret)}
	by := vault.Issued{Authority: t.Authority, Account: t.Account, Key: slices.Clone(t.Key)}
	w.scrap = append(w.scrap, n.Secret, by.Key)
	a, err := w.Put(t.Local, n, by)
	if err != nil {
		return nil, err
	}
	t.Local = a.ID
	w.settle(t)
	t.end(Done, w.now)
	return []vault.Account{a}, nil
}

// settle ends what a new secret of an account has settled: what was unsure about
// it, and notices that were asked for before and may speak of the secret that was.
func (w *work) settle(t *talk) {
	for _, other := range w.st.Talks {
		if other != t && (other.Phase == Unsure && other.Local == t.Local || other.open() && other.Kind == message.KindNotice) {
			other.end(Expired, w.now)
		}
	}
	w.st.Forgotten = slices.DeleteFunc(w.st.Forgotten, func(f forgotten) bool { return f.Account == t.Account })
}

// notices takes the secrets of revoked accounts away. The next time the authority
// is told that they are gone.
func (w *work) notices(t *talk, r *message.Notices) ([]vault.Account, error) {
	who, err := message.ParseDescriptor(t.Authority)
	if err != nil {
		return nil, err
	}
	authority := who.KeysHash()
	w.st.Forgotten = slices.DeleteFunc(w.st.Forgotten, func(f forgotten) bool { return f.Authority == authority })
	var changed []vault.Account
	for _, n := range r.Revoked {
		w.st.Forgotten = append(w.st.Forgotten, forgotten{authority, n.Account})
		id := w.known(t, n.Account)
		if id == "" {
			continue
		}
		a, err := w.Account(id)
		if err != nil || a.Inactive {
			continue
		}
		if a, err = w.Forget(id); err != nil {
			return nil, err
		}
		changed = append(changed, a)
	}
	t.Notices = r.Revoked
	t.end(Done, w.now)
	return changed, nil
}
