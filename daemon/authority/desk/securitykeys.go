package desk

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls it, done and refused.
const (
	actKeyAdd = "security-key-add"
	actKeyOff = "security-key-remove"
)

// AddSecurityKey implements [ipc.SecurityKeys]. A key stays a factor, as a fob does:
// so who is no administrator needs the policy's leave, alone.
func (d *Desk) AddSecurityKey(ctx context.Context, p ipc.Principal, r ipc.NewSecurityKey) (ipc.SecurityKey, error) {
	c, err := d.require(ctx, p, actKeyAdd, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.SecurityKey{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	who, err := c.changeable(actKeyAdd, r.User)
	if err != nil {
		return ipc.SecurityKey{}, d.failed(err)
	}
	if err := c.mayFurnish(actKeyAdd, who, "a security key"); err != nil {
		return ipc.SecurityKey{}, err
	}
	k, err := c.issuer.AddSecurityKey(c.by, issue.NewSecurityKey{User: who.ID, Name: r.Name, Statement: r.Statement})
	if err != nil {
		return ipc.SecurityKey{}, d.failed(err)
	}
	return wireSecurityKey(k), nil
}

// mayFurnish says whether the caller, who may change a user, may give him what stays a
// factor: who is no administrator needs the policy's leave, alone.
func (c *caller) mayFurnish(action string, who authority.User, what string) error {
	if c.rank() >= rankAdmin {
		return nil
	}
	second, err := c.mayHelp(action, who)
	if err == nil && second {
		err = c.byPolicy(action, who, policy.HelpDecision{Reason: "the policy asks for a second approver, whom an activation can have and " + what + " cannot"})
	}
	return err
}

// SecurityKeys implements [ipc.SecurityKeys].
func (d *Desk) SecurityKeys(ctx context.Context, p ipc.Principal, r ipc.UserRef) (ipc.SecurityKeyList, error) {
	c, err := d.require(ctx, p, actLook, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.SecurityKeyList{}, err
	}
	list, err := c.issuer.SecurityKeys(r.User)
	if err != nil {
		return ipc.SecurityKeyList{}, d.failed(err)
	}
	out := ipc.SecurityKeyList{Version: ipc.Version, Keys: make([]ipc.SecurityKey, 0, len(list))}
	for _, k := range list {
		out.Keys = append(out.Keys, wireSecurityKey(k))
	}
	return out, nil
}

// RemoveSecurityKey implements [ipc.SecurityKeys].
func (d *Desk) RemoveSecurityKey(ctx context.Context, p ipc.Principal, r ipc.SecurityKeyRef) (ipc.SecurityKey, error) {
	c, err := d.require(ctx, p, actKeyOff, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.SecurityKey{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	who, err := c.changeable(actKeyOff, r.User)
	if err != nil {
		return ipc.SecurityKey{}, d.failed(err)
	}
	k, err := c.issuer.RemoveSecurityKey(c.by, who.ID, r.Key)
	if err != nil {
		return ipc.SecurityKey{}, d.failed(err)
	}
	return wireSecurityKey(k), nil
}

func wireSecurityKey(k issue.SecurityKey) ipc.SecurityKey {
	return ipc.SecurityKey{ID: k.ID, UserID: k.User, Name: k.Name, Model: k.Model, PIN: k.UV, By: k.By,
		Created: wireTime(k.Created), Used: wireTime(k.Used), Doubted: wireTime(k.Doubted)}
}
