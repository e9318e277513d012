package daemon

import (
	"context"
	"encoding/hex"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/managed"
	"github.com/tokenbridge/tokend/ipc"
)

// talking is one call about managed accounts, while it has the user's vault for
// itself.
type talking struct {
	user    *user
	session *session
	device  *managed.Device
	// note is what the audit says of the call: nothing where it has no action. What
	// an answer has brought is in notes.
	note  entry
	notes []entry
}

// device is the open vault as an authority sees it.
func (s *session) device(d *Daemon) *managed.Device {
	return &managed.Device{Vault: s.vault, Now: d.clock.Now, Random: d.cfg.Rand}
}

// converse does f, and then what follows from it: accounts are found as they are
// now, the audit has what was done, and the user's programs are told. A call that
// found everything done already leaves nothing in the audit.
func (d *Daemon) converse(ctx context.Context, p ipc.Principal, f func(t *talking) (managed.Step, error)) (ipc.ManagedStep, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.ManagedStep{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.ManagedStep{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.ManagedStep{}, err
	}
	t := &talking{user: u, session: s, device: s.device(d)}
	before, generation := s.index.Load(), s.vault.Generation()
	step, err := f(t)
	wrote := s.vault.Generation() != generation
	if wrote { // after a failure too: a change may be there all the same
		s.reindex()
	}
	if err != nil {
		if t.note.action != "" {
			u.auditResult(p, t.note.action, t.note.object, managedError(err))
		}
		return ipc.ManagedStep{}, managedError(err)
	}
	if wrote {
		t.audit(p, step)
	}
	for _, a := range step.Changed {
		kind := ipc.EventAccountChanged
		if _, known := before.byID[a.ID]; !known {
			kind = ipc.EventAccountAdded
		}
		u.tellAccount(kind, a)
	}
	return s.wireStep(step), nil
}

// audit writes what the call did.
func (t *talking) audit(p ipc.Principal, step managed.Step) {
	if t.note.action != "" {
		if t.note.object == "" {
			t.note.object = step.Conversation
		}
		t.notes = append([]entry{t.note}, t.notes...)
	}
	for _, e := range t.notes {
		e.by, e.ok, e.sync = p, true, true
		t.user.audit(e)
	}
}

// answered notes what an answer has brought.
func (t *talking) answered(step managed.Step) {
	note := func(action, object, detail string) {
		t.notes = append(t.notes, entry{action: action, object: object, detail: detail})
	}
	switch {
	case step.Refused != nil:
		note("authority-refuse", step.Conversation, step.Refused.Code)
	case step.Phase == managed.Proving:
		note("secret-prove", step.Conversation, "")
	case step.Phase == managed.Done && step.Kind == message.KindNotice:
		for _, a := range step.Changed {
			note("account-revoked", a.ID, "conversation="+step.Conversation)
		}
	case step.Phase == managed.Done && len(step.Changed) == 0: // an approval, or a device was revoked
		note("authority-done", step.Conversation, "")
	case step.Phase == managed.Done:
		for _, a := range step.Changed {
			note("secret-replace", a.ID, "conversation="+step.Conversation)
		}
	}
}

// idOf reads an id; what is none is nobody's.
func idOf(s string) (id message.ID) {
	if raw, err := hex.DecodeString(s); err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}
