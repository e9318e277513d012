package desk

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// CreateBypassCode implements [ipc.BypassCodes].
func (d *Desk) CreateBypassCode(ctx context.Context, p ipc.Principal, r ipc.NewBypassCode) (ipc.MadeBypassCode, error) {
	c, err := d.require(ctx, p, actBypass, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.MadeBypassCode{}, err
	}
	life, err := valid(r.ValidSeconds)
	if err != nil {
		return ipc.MadeBypassCode{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	who, err := c.authority.User(r.User)
	if err != nil {
		return ipc.MadeBypassCode{}, d.failed(err)
	}
	second, err := c.mayHelp(actBypass, who)
	if err == nil && second {
		err = c.byPolicy(actBypass, who, policy.HelpDecision{Reason: "the policy asks for a second approver, whom an activation can have and a bypass code cannot"})
	}
	if err != nil {
		return ipc.MadeBypassCode{}, err
	}
	b, code, err := c.issuer.CreateBypass(c.by, who.ID, life)
	if err != nil {
		return ipc.MadeBypassCode{}, d.failed(err)
	}
	out := ipc.MadeBypassCode{Version: ipc.Version, Bypass: wireBypass(b), Code: ipc.Secret(code)}
	if out.NotOffered, err = d.notOffered(c, who, policy.BypassCode); err != nil {
		return ipc.MadeBypassCode{}, d.failed(err)
	}
	return out, nil
}

// notOffered is why a user who restored his vault is not offered a factor that he
// has; empty where he is.
func (d *Desk) notOffered(c *caller, who authority.User, f policy.Factor) (string, error) {
	now := c.policy.current()
	if now.problem != nil {
		return "", nil
	}
	has, err := c.holdings(who, d.cfg.Now())
	if err != nil {
		return "", err
	}
	decision := policy.Decide(now.policy, policy.Subject{User: person(who), Restored: true, Has: has})
	for _, x := range decision.Denials {
		if x.Factor == f {
			return x.Reason, nil
		}
	}
	return "", nil
}

// BypassCodes implements [ipc.BypassCodes].
func (d *Desk) BypassCodes(ctx context.Context, p ipc.Principal, r ipc.UserRef) (ipc.BypassCodeList, error) {
	c, err := d.require(ctx, p, actLook, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.BypassCodeList{}, err
	}
	list, err := c.issuer.BypassCodes(r.User)
	if err != nil {
		return ipc.BypassCodeList{}, d.failed(err)
	}
	out := ipc.BypassCodeList{Version: ipc.Version, Codes: make([]ipc.BypassCode, 0, len(list))}
	for _, b := range list {
		wire := wireBypass(b)
		wire.ByName = c.nameOf(b.By)
		out.Codes = append(out.Codes, wire)
	}
	return out, nil
}

// RevokeBypassCode implements [ipc.BypassCodes].
func (d *Desk) RevokeBypassCode(ctx context.Context, p ipc.Principal, id string) (ipc.BypassCode, error) {
	c, err := d.require(ctx, p, actBypassOff, ofBypass(id), helpers()...)
	if err != nil {
		return ipc.BypassCode{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	b, err := c.issuer.BypassCode(id)
	if err == nil {
		_, err = c.changeable(actBypassOff, b.User)
	}
	if err == nil {
		err = c.issuer.RevokeBypass(c.by, id)
	}
	if err == nil {
		b, err = c.issuer.BypassCode(id)
	}
	if err != nil {
		return ipc.BypassCode{}, d.failed(err)
	}
	return wireBypass(b), nil
}

func wireBypass(b issue.BypassCode) ipc.BypassCode {
	return ipc.BypassCode{ID: b.ID, UserID: b.User, By: b.By, Created: wireTime(b.Created), Expires: wireTime(b.Expires), State: ipc.CodeState(b.State)}
}
