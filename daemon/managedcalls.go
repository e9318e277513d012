package daemon

import (
	"context"
	"strings"
	"unicode"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/managed"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// longestDevice is the length, in bytes, of what a device calls itself.
const longestDevice = 64

// Activate implements [ipc.Managed].
func (d *Daemon) Activate(ctx context.Context, p ipc.Principal, r ipc.ActivateRequest) (ipc.ManagedStep, error) {
	defer r.Link.Wipe()
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action = "activate"
		if err := checkDevice(r.DeviceName); err != nil {
			return managed.Step{}, err
		}
		class, err := t.class(r.Class)
		if err != nil {
			return managed.Step{}, err
		}
		link, err := readLink(r.Link)
		if err != nil {
			return managed.Step{}, err
		}
		defer link.Secret.Wipe()
		if _, err := message.ParseDescriptor(r.Descriptor); err != nil {
			return managed.Step{}, messageError(err, "the authority's descriptor")
		}
		step, err := t.device.Activate(ctx, link, r.Descriptor, managed.Asking{Name: r.DeviceName, KeepName: r.KeepName, Files: r.ByHand, Class: class})
		if err != nil {
			return step, linkError(err)
		}
		return step, nil
	})
}

// readLink takes a link apart. That is done with strings, hence where the stack is
// wiped.
func readLink(s ipc.Secret) (link *message.Link, err error) {
	secret.Do(func() { link, err = message.ParseLink(string(s)) })
	if err != nil {
		return nil, linkError(err)
	}
	return link, nil
}

// class is of a new account.
func (t *talking) class(wanted string) (string, error) {
	switch tokens.Class(wanted) {
	case "", tokens.ClassSession:
		return string(tokens.ClassSession), nil
	case tokens.ClassTouch:
		if !t.session.vault.HasTouch() {
			return "", ipc.Errorf(ipc.NoKeyslot, "no enrolled token can guard an account by touch")
		}
		return wanted, nil
	}
	return "", ipc.Errorf(ipc.InvalidArgument, "there is no class %q", wanted)
}

func checkDevice(name string) error {
	if name == "" {
		return ipc.Errorf(ipc.InvalidArgument, "a device needs a name")
	}
	if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return ipc.Errorf(ipc.InvalidArgument, "the device's name holds a character that cannot be printed")
	}
	return checkText("device's name", name, longestDevice)
}

// Reactivate implements [ipc.Managed].
func (d *Daemon) Reactivate(ctx context.Context, p ipc.Principal, account string, r ipc.ReactivateRequest) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		a, err := t.session.index.Load().find(account)
		if err != nil {
			return managed.Step{}, err
		}
		t.note.action, t.note.object = "reactivate", a.ID
		if err := checkDevice(r.DeviceName); err != nil {
			return managed.Step{}, err
		}
		return t.device.Reactivate(ctx, a.ID, managed.Asking{Name: r.DeviceName, KeepName: r.KeepName, Files: r.ByHand, Anew: r.Anew})
	})
}

// Conversations implements [ipc.Managed]. It does not extend the idle limit.
func (d *Daemon) Conversations(_ context.Context, p ipc.Principal) (ipc.ManagedStepList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.ManagedStepList{}, err
	}
	s, err := u.open(false)
	if err != nil {
		return ipc.ManagedStepList{}, err
	}
	steps, err := s.device(d).List()
	if err != nil {
		return ipc.ManagedStepList{}, managedError(err)
	}
	out := ipc.ManagedStepList{Version: ipc.Version, Steps: make([]ipc.ManagedStep, 0, len(steps))}
	for _, step := range steps {
		out.Steps = append(out.Steps, s.wireStep(step))
	}
	return out, nil
}

// GiveFactor implements [ipc.Managed].
func (d *Daemon) GiveFactor(ctx context.Context, p ipc.Principal, conversation string, r ipc.GiveFactorRequest) (ipc.ManagedStep, error) {
	defer r.Passcode.Wipe()
	defer r.PIN.Wipe()
	var assertion []byte
	if r.Factor == managed.KeyFactor {
		u, err := d.user(&p)
		if err == nil {
			assertion, err = u.answerByKey(ctx, p, conversation, r)
		}
		if err != nil {
			return ipc.ManagedStep{}, err
		}
	}
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action, t.note.object = "reactivate-factor", conversation
		step, err := t.device.GiveFactor(ctx, conversation, r.Factor, r.Passcode, assertion)
		if err == nil {
			t.note.detail = r.Factor
		}
		return step, err
	})
}

// PollConversation implements [ipc.Managed].
func (d *Daemon) PollConversation(ctx context.Context, p ipc.Principal, conversation string) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		return t.device.Poll(ctx, conversation)
	})
}

// ProveAgain implements [ipc.Managed].
func (d *Daemon) ProveAgain(ctx context.Context, p ipc.Principal, conversation string) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action, t.note.object = "secret-prove", conversation
		return t.device.Prove(ctx, conversation)
	})
}

// TakeAnswer implements [ipc.Managed].
func (d *Daemon) TakeAnswer(ctx context.Context, p ipc.Principal, r ipc.TakeAnswerRequest) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action = "authority-answer"
		step, err := t.device.Receive(ctx, r.Message)
		if err != nil {
			return step, answerError(err)
		}
		t.note.action = ""
		t.answered(step)
		return step, nil
	})
}

// AskQuestions implements [ipc.Managed].
func (d *Daemon) AskQuestions(ctx context.Context, p ipc.Principal, account string) (ipc.ManagedStep, error) {
	return d.look(ctx, p, account, (*managed.Device).Questions)
}

// AskNotices implements [ipc.Managed].
func (d *Daemon) AskNotices(ctx context.Context, p ipc.Principal, account string) (ipc.ManagedStep, error) {
	return d.look(ctx, p, account, (*managed.Device).Notices)
}

// look begins a conversation about the device itself, by one of its accounts.
func (d *Daemon) look(ctx context.Context, p ipc.Principal, account string,
	f func(*managed.Device, context.Context, string) (managed.Step, error),
) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		a, err := t.session.index.Load().find(account)
		if err != nil {
			return managed.Step{}, err
		}
		return f(t.device, ctx, a.ID)
	})
}

// AnswerQuestion implements [ipc.Managed].
func (d *Daemon) AnswerQuestion(ctx context.Context, p ipc.Principal, conversation string, r ipc.AnswerQuestionRequest) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action, t.note.object, t.note.detail = "device-approve", conversation, "no"
		if r.Yes {
			t.note.detail = "yes"
		}
		return t.device.Approve(ctx, conversation, idOf(r.Question), r.Yes, r.Number)
	})
}

// AskDevices implements [ipc.Managed].
func (d *Daemon) AskDevices(ctx context.Context, p ipc.Principal, account string) (ipc.ManagedStep, error) {
	return d.look(ctx, p, account, (*managed.Device).Devices)
}

// RevokeDevice implements [ipc.Managed].
func (d *Daemon) RevokeDevice(ctx context.Context, p ipc.Principal, conversation string, r ipc.RevokeDeviceRequest) (ipc.ManagedStep, error) {
	return d.converse(ctx, p, func(t *talking) (managed.Step, error) {
		t.note.action, t.note.object, t.note.detail = "device-revoke", conversation, "device="+idOf(r.Device).String()
		return t.device.RevokeDevice(ctx, conversation, r.Device, r.This, r.Last)
	})
}
