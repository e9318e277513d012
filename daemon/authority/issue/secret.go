package issue

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// maxProofs is how many wrong codes a new secret survives.
const maxProofs = 10

// secretSize is as long as the hash, which RFC 4226 (section 4, R6) and RFC 6238
// recommend.
func secretSize(a otp.Algorithm) int {
	switch a {
	case otp.SHA256:
		return 32
	case otp.SHA512:
		return 64
	}
	return 20
}

// newSecret gives the device a secret of its own, which is pending. One that it
// had pending before is forgotten.
func (i *Issuer) newSecret(s *step, d policy.Decision, key [32]byte, activation message.ID) (message.Result, error) {
	life := min(d.Lifetimes.PendingSecret, policy.DefaultLifetimes().PendingSecret)
	h := holder{Device: s.device(), Name: s.talk.Device, State: Pending, Secret: make([]byte, secretSize(s.account.Algorithm)), Since: s.now,
		Reactivation: key, Until: s.now.Add(life), Conversation: s.o.Conversation, OldDevice: string(d.OldDevice), Activation: activation}
	if _, err := io.ReadFull(i.random, h.Secret); err != nil {
		return nil, fmt.Errorf("cannot make a secret: %w", err)
	}
	s.account.drop(h.Device, Pending)
	if !s.account.room() {
		return s.end(codeRefused, "too many devices have this account"), nil
	}
	s.account.Holders = append(s.account.Holders, h)
	s.talk.Stage, s.talk.Until = proving, h.Until
	s.tell("secret-issue", true, "")
	r := &message.NewSecret{Account: s.talk.Account.String(), Issuer: s.account.Issuer, Name: s.account.Label,
		Secret: slices.Clone(h.Secret), Algorithm: string(s.account.Algorithm), Digits: s.account.Digits, Period: s.account.Period,
		Until: h.Until.Unix(), OldDevice: h.OldDevice}
	return r, put(s.tx, accountsBucket, s.talk.Account, s.account)
}

// room makes place for one more holder: the oldest notices go first, then the
// oldest secrets that nobody proved.
func (r *accountRecord) room() bool {
	for _, state := range []State{Revoked, Pending} {
		for n := 0; n < len(r.Holders) && len(r.Holders) >= maxHolders; {
			if r.Holders[n].State != state {
				n++
				continue
			}
			clear(r.Holders[n].Secret)
			r.Holders = slices.Delete(r.Holders, n, n+1)
		}
	}
	return len(r.Holders) < maxHolders
}

// code checks a code against the secret of a device.
func (r *accountRecord) code(h *holder, typed []byte, now time.Time) (result fob.Result, moving fob.Moving, err error) {
	secret.Do(func() {
		p, bad := fob.Read(typed)
		if bad != nil {
			result = fob.Unfit
			return
		}
		defer p.Wipe()
		// A managed account is a fob that an authenticator plays.
		f := &fob.Fob{Serial: "managed", Type: fob.TOTP, State: fob.Active, Secret: h.Secret, Algorithm: r.Algorithm, Digits: r.Digits,
			Period: r.Period, Moving: fob.Moving{Counter: h.Counter, Drift: h.Drift}}
		result, moving, err = f.Check(p, now)
	})
	return result, moving, err
}

// proof makes the new secret the device's, if a code shows that it has it, and
// does with the old devices what the policy said.
func (i *Issuer) proof(s *step, b *message.Proof) (message.Result, error) {
	h := s.account.find(s.device(), Pending)
	if h == nil || h.Conversation != s.o.Conversation || h.Reactivation != s.key {
		s.tell("secret-prove", false, codeOver)
		return s.end(codeOver, "the new secret was not proved in time, or another one took its place"), nil
	}
	result, moving, err := s.account.code(h, b.Code, s.now)
	if err != nil {
		return nil, err
	}
	if result != fob.Accepted {
		return i.wrongProof(s, h)
	}
	// Nobody was shown the code that proved the secret, and it came sealed. So the
	// same one may be typed for a login: who activates wants to log in now, not in
	// half a minute.
	h.Counter, h.Drift = moving.Counter-1, moving.Drift
	return i.activated(s, h)
}

func (i *Issuer) wrongProof(s *step, h *holder) (message.Result, error) {
	h.Tries++
	r := s.again(codeCode, "this is not a code of the new secret: the clocks may differ", 0)
	if h.Tries >= maxProofs {
		s.account.drop(s.device(), Pending)
		r = s.end(codeCode, "too many wrong codes: the new secret is forgotten")
	}
	s.tell("secret-prove", false, codeCode)
	return r, put(s.tx, accountsBucket, s.talk.Account, s.account)
}

// activated is the one moment at which devices change places.
func (i *Issuer) activated(s *step, h *holder) (message.Result, error) {
	fresh := *h
	s.account.drop(fresh.Device, Active)
	s.account.drop(fresh.Device, Revoked) // it needs to forget nothing any more
	done := &message.Done{}
	s.tell("secret-prove", true, fresh.OldDevice)
	var left []message.ID
	for n := range s.account.Holders {
		old := &s.account.Holders[n]
		switch {
		case old.State == Pending && old.Device == fresh.Device:
			*old = holder{Device: old.Device, Name: old.Name, State: Active, Secret: old.Secret, Since: s.now, Counter: old.Counter, Drift: old.Drift,
				Reactivation: old.Reactivation}
		case old.State != Active:
		case fresh.OldDevice == string(policy.Keep):
			done.Kept = appendName(done.Kept, old.Name)
		default:
			done.Revoked = appendName(done.Revoked, old.Name)
			left = append(left, old.Device)
			old.revoke(fresh.Name, s.now)
		}
	}
	s.account.remember(fresh)
	s.talk.Stage, s.talk.Done = over, true
	if err := put(s.tx, accountsBucket, s.talk.Account, s.account); err != nil {
		return nil, err
	}
	if err := i.settle(s, fresh, left); err != nil {
		return nil, err
	}
	return done, nil
}

// appendName keeps a list as short as messages can carry.
func appendName(list []string, name string) []string {
	if len(list) == 32 {
		return list
	}
	return append(list, name)
}

// remember takes the device's reactivation key for one of the account's. Those
// there are stay, so that no backup loses what it is good for; except where an
// activation replaced the device, for that is the way after a theft. Then secrets
// that such a key was given, and that wait for their proof, go as well.
func (r *accountRecord) remember(fresh holder) {
	keys := slices.DeleteFunc(r.Keys, func(k [32]byte) bool { return k == fresh.Reactivation })
	if fresh.Activation != (message.ID{}) && fresh.OldDevice != string(policy.Keep) {
		keys = nil
		r.Holders = slices.DeleteFunc(r.Holders, func(h holder) bool {
			gone := h.State == Pending && h.Activation == (message.ID{})
			if gone {
				clear(h.Secret)
			}
			return gone
		})
	}
	if len(keys) == maxKeys {
		keys = keys[1:]
	}
	r.Keys = append(keys, fresh.Reactivation)
}

// settle brings the records of devices and of the activation up to what became of
// the account.
func (i *Issuer) settle(s *step, fresh holder, left []message.ID) error {
	p, err := portfolioOf(s.tx, s.user.ID)
	if err != nil {
		return err
	}
	d, found, err := get[deviceRecord](s.tx, devicesBucket, fresh.Device)
	if err != nil {
		return err
	}
	if !found {
		d = deviceRecord{Sign: s.o.Device.Sign, Seal: s.o.Device.Seal, User: s.user.ID, First: s.now}
		if err := addDevice(s, &p, fresh.Device); err != nil {
			return err
		}
	}
	d.Name, d.State, d.Last = fresh.Name, Active, s.now
	if err := put(s.tx, devicesBucket, fresh.Device, d); err != nil {
		return err
	}
	if err := p.put(s.tx, s.user.ID); err != nil {
		return err
	}
	for _, id := range left {
		s.entries = append(s.entries, authority.Entry{Kind: "account-revoke", User: s.user.ID, Account: s.talk.Account.String(), Device: id.String(),
			Reference: s.talk.Reference, OK: true, Detail: "replaced"})
		if err := retire(s.tx, p, id); err != nil {
			return err
		}
	}
	if fresh.Activation == (message.ID{}) {
		return nil
	}
	a, found, err := get[activationRecord](s.tx, activationsBucket, fresh.Activation)
	if err != nil || !found {
		return err
	}
	a.State = Used
	return put(s.tx, activationsBucket, fresh.Activation, a)
}

// addDevice enters a device at its user; of too many the longest revoked goes.
func addDevice(s *step, p *portfolio, id message.ID) error {
	for n := 0; n < len(p.Devices) && len(p.Devices) >= MaxDevices; {
		d, found, err := get[deviceRecord](s.tx, devicesBucket, p.Devices[n])
		if err != nil {
			return err
		}
		if found && d.State != Revoked {
			n++
			continue
		}
		if err := s.tx.Delete(devicesBucket, p.Devices[n][:]); err != nil {
			return err
		}
		p.Devices = slices.Delete(p.Devices, n, n+1)
	}
	p.Devices = append(p.Devices, id)
	return nil
}
