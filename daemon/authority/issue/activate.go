package issue

import (
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// activate uses an activation, which from then on is this device's. Until the
// secret is proved the device may use it again, should an answer be lost.
func (i *Issuer) activate(s *step, b *message.Activate) (message.Result, error) {
	a, found, err := get[activationRecord](s.tx, activationsBucket, b.Activation)
	if err != nil {
		return nil, err
	}
	sum, err := i.keys.sum(serviceActivation, b.Activation, b.Secret)
	if err != nil {
		return nil, err
	}
	reason := ""
	wait, err := i.reg.Waits(s.tx, serviceActivation, b.Activation.String(), s.now)
	switch right := same(sum, a.Sum); {
	case err != nil:
		return nil, err
	case !found:
		reason = "unknown"
	case wait > 0:
		return i.unknown(s), nil
	case !right:
		reason, err = "wrong", i.reg.Failed(s.tx, serviceActivation, b.Activation.String(), s.now)
	case a.State != Open || !s.now.Before(a.Expires):
		reason = string(a.state(s.now))
	case a.Device != message.ID{} && a.Device != s.device():
		reason = "other-device"
	}
	if reason == "" {
		s.talk = conversation{Kind: message.KindActivate, User: a.User, Account: a.Account, Device: b.DeviceName, Until: s.now.Add(s.life())}
		reason, err = i.activatable(s, a)
	}
	if err != nil || reason != "" {
		s.tell("activate", false, reason)
		last := &s.entries[len(s.entries)-1]
		if last.User = a.User; found {
			last.Account = a.Account.String()
		}
		if err == nil && reason == codeOther {
			// Who has the link learns of this device what its user knows, and that the
			// link is as good as before.
			s.passing = true
			return &message.Refused{Code: codeOther, Final: true,
				Message: "this device has an account of another user of the authority, and a device serves one user"}, nil
		}
		return i.unknown(s), err
	}
	if s.talk.Reference, err = i.newReference(); err != nil {
		return nil, err
	}
	a.Device = s.device()
	if err := put(s.tx, activationsBucket, b.Activation, a); err != nil {
		return nil, err
	}
	s.tell("activate", true, "")
	d := policy.Decide(i.policy(), policy.Subject{User: person(s.user), Account: s.account.Label,
		Device: policy.Device{ID: s.device().String(), Name: b.DeviceName}})
	return i.newSecret(s, d, b.Reactivation, b.Activation)
}

// activatable loads whom and what the activation is for; a reason why not.
func (i *Issuer) activatable(s *step, a activationRecord) (string, error) {
	if ok, err := i.loadUser(s, a.User); err != nil || !ok {
		return string(authority.ReasonDisabledUser), err
	}
	if ok, err := i.loadAccount(s, a.Account); err != nil || !ok {
		return "account", err
	}
	if ok, err := i.ownDevice(s); err != nil || !ok {
		return codeOther, err
	}
	return "", nil
}
