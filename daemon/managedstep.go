package daemon

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/managed"
	"github.com/tokenbridge/tokend/ipc"
)

// wireStep is a step as it travels.
func (s *session) wireStep(step managed.Step) ipc.ManagedStep {
	w := ipc.ManagedStep{
		Version: ipc.Version, Conversation: step.Conversation, Kind: kindOfTalk(step.Kind), Account: s.refOf(step.Account),
		Phase: ipc.ManagedPhase(step.Phase), Request: step.Request, Authority: wireAuthority(step), Late: step.Late,
		Offer: wireOffer(step.Offer), Waiting: wireWaiting(step.Waiting), Refused: wireRefusal(step.Refused),
	}
	if c := step.Challenge; c != nil {
		w.Challenge = &ipc.ManagedChallenge{Factor: c.Factor, Prompt: c.Prompt, Until: wireTime(c.Deadline())}
	}
	if !step.Until.IsZero() {
		w.Until = new(wireTime(step.Until))
	}
	if step.Done != nil {
		w.Done = &ipc.ManagedDone{Revoked: step.Done.Revoked, Kept: step.Done.Kept}
	}
	for _, q := range step.Questions {
		w.Questions = append(w.Questions, ipc.Question{ID: q.ID.String(), Account: q.Account, Device: q.Device, Asked: wireUnix(q.Asked), Until: wireUnix(q.Until)})
	}
	for _, n := range step.Notices {
		w.Revoked = append(w.Revoked, ipc.Revocation{Account: s.issuedBy(step.Authority, n.Account), At: wireUnix(n.At), By: n.By})
	}
	if l := step.Devices; l != nil {
		for _, d := range l.Devices {
			w.Devices = append(w.Devices, ipc.OwnDevice{
				ID: d.ID.String(), Name: d.Name, State: ipc.DeviceState(d.State), This: d.This, First: wireUnix(d.First), Last: wireUnix(d.Last), Accounts: l.AccountsOf(d),
			})
		}
	}
	for _, a := range step.Changed {
		w.Changed = append(w.Changed, accountRef(a))
	}
	return w
}

// kindOfTalk is what a conversation is about, by its first request.
func kindOfTalk(k message.Kind) string {
	switch k {
	case message.KindBegin:
		return "reactivate"
	case message.KindPoll:
		return "questions"
	case message.KindNotice:
		return "notices"
	case message.KindDevices:
		return "devices"
	}
	return string(k)
}

func wireUnix(seconds int64) ipc.Time { return wireTime(time.Unix(seconds, 0)) }

// refOf names an account of the vault, nil where it is not there.
func (s *session) refOf(id string) *ipc.AccountRef {
	if id == "" {
		return nil
	}
	a, err := s.vault.Account(id)
	if err != nil {
		return nil
	}
	return new(accountRef(a))
}

// issuedBy names the account that an authority means, nil where the vault has it
// not.
func (s *session) issuedBy(who *message.Descriptor, account string) *ipc.AccountRef {
	for _, a := range s.vault.Accounts() {
		by, err := s.vault.Issued(a.ID)
		if err != nil {
			continue
		}
		clear(by.Key)
		if by.Account != account {
			continue
		}
		if d, err := message.ParseDescriptor(by.Authority); err == nil && d.KeysHash() == who.KeysHash() {
			return new(accountRef(a))
		}
	}
	return nil
}

func wireAuthority(step managed.Step) ipc.ManagedAuthority {
	a := step.Authority
	return ipc.ManagedAuthority{
		Name: a.Name, ID: a.ID.String(), Fingerprint: a.Fingerprint(), Contact: a.Contact, Portal: a.Portal, Descriptor: step.Descriptor,
	}
}

func wireOffer(o *message.Offer) *ipc.ManagedOffer {
	if o == nil {
		return nil
	}
	out := &ipc.ManagedOffer{
		Factors: append([]string{}, o.Factors...), Required: o.Required, Proved: o.Proved, Denials: wireDenials(o.Denials), OldDevice: o.OldDevice, Until: wireTime(o.Deadline()),
	}
	for n, by := range o.By {
		if by != "local" {
			out.Asserted = append(out.Asserted, ipc.ManagedAssertion{Factor: o.Factors[n], By: by})
		}
	}
	return out
}

func wireWaiting(w *message.Waiting) *ipc.ManagedWaiting {
	if w == nil {
		return nil
	}
	return &ipc.ManagedWaiting{Factor: w.Factor, Number: w.Number, RetrySeconds: w.RetryAfter, Until: wireTime(w.Deadline())}
}

func wireRefusal(r *message.Refused) *ipc.ManagedRefusal {
	if r == nil {
		return nil
	}
	w := &ipc.ManagedRefusal{
		Code: r.Code, Message: r.Message, Denials: wireDenials(r.Denials), Contact: r.Contact, Reference: r.Reference,
		RetrySeconds: r.RetryAfter, Final: r.Final,
	}
	for _, a := range r.Alternatives {
		w.Alternatives = append(w.Alternatives, ipc.PolicyAlternative{Kind: a.Kind, Value: a.Value})
	}
	return w
}

func wireDenials(list []message.Denial) (out []ipc.ManagedDenial) {
	for _, d := range list {
		out = append(out, ipc.ManagedDenial{Factor: d.Factor, Reason: d.Reason, Because: d.Because})
	}
	return out
}
