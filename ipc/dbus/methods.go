package dbus

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

func managerStatus(c *call) ([]any, error) {
	st, err := c.s.cfg.Backend.Status(c.ctx, c.who)
	if err != nil {
		return nil, err
	}
	d := dict{}
	d.set("Version", text(st.Daemon.Version))
	d.set("Mode", text(st.Daemon.Mode))
	d.set("Socket", text(st.Daemon.Socket))
	d.set("Helper", text(st.Daemon.Helper))
	d.set("Time", seconds(st.Daemon.Time))
	d.set("Started", seconds(st.Daemon.Started))
	d.set("VaultState", string(st.Vault.State))
	return []any{d, warnings(st.Warnings)}, nil
}

func managerDoctor(c *call) ([]any, error) {
	found, err := c.s.cfg.Backend.Doctor(c.ctx, c.who)
	if err != nil {
		return nil, err
	}
	type finding struct{ Code, Level, Message, Fix string }
	list := make([]finding, 0, len(found.Findings))
	for _, f := range found.Findings {
		list = append(list, finding{text(f.Code), text(f.Level), text(f.Message), text(f.Fix)})
	}
	return []any{list}, nil
}

func managerSubscribe(c *call) ([]any, error) { return nil, c.l.subscribe(c.ctx, c.from) }

func managerUnsubscribe(c *call) ([]any, error) {
	c.l.unsubscribe(c.from)
	return nil, nil
}

func managerCancel(c *call) ([]any, error) {
	if !c.from.end(c.str(0)) {
		return nil, ipc.Errorf(ipc.NotFound, "no call of that name is under way")
	}
	return nil, nil
}

func managerCode(c *call) ([]any, error) { return c.code(c.str(0), 1) }

func accountCode(c *call) ([]any, error) { return c.code(c.node.id, 0) }

// byAgent says whether the call is one for a code of an account, and may wait for
// the user's agent to unlock the vault. Which accounts are in it shows then.
func (c *call) byAgent() bool {
	return c.node.kind == kindAccount && c.name == "GenerateCode" && len(c.args) == 1 && value(c.options(0).str("interaction")) == ipc.InteractionAgent
}

// code makes a code of the account ref; the argument i holds the options.
func (c *call) code(ref string, i int) ([]any, error) {
	o := c.options(i)
	r := ipc.CodeRequest{
		Fresh: o.bool("fresh"), NoTouchWait: o.bool("no_touch_wait"), Passive: o.bool("passive"),
		MinRemaining: value(o.number("min_remaining")), Interaction: value(o.str("interaction")),
		Auth: ipc.Auth{Token: value(o.str("token"))},
	}
	ctx, end, err := c.named(o)
	if err != nil {
		return nil, err
	}
	defer end()
	code, err := c.s.cfg.Backend.Code(ctx, c.who, ref, r)
	if err != nil {
		return nil, err
	}
	d := dict{}
	d.set("Account", accountPath(code.Account.ID))
	d.set("Issuer", text(code.Account.Issuer))
	d.set("Name", text(code.Account.Name))
	if code.Period > 0 {
		d.set("Period", count(code.Period))
	}
	if code.Counter != nil {
		d.set("Counter", *code.Counter)
	}
	return []any{code.Code, seconds(code.ValidFrom), seconds(code.ValidUntil), d}, nil
}

// named ends the reading of options, and is the context of a call that can be
// ended by the name that its caller gave it there.
func (c *call) named(o *options) (context.Context, func(), error) {
	name := o.name()
	if err := o.done(); err != nil {
		return nil, nil, err
	}
	ctx, end := c.from.begin(c.ctx, name)
	return ipc.NameRequest(ctx, name), end, nil
}

func vaultLock(c *call) ([]any, error) { return nil, c.s.cfg.Backend.Lock(c.ctx, c.who) }

func vaultUnlock(c *call) ([]any, error) {
	o := c.options(0)
	r := ipc.UnlockRequest{Auth: ipc.Auth{Token: value(o.str("token"))}, Interaction: value(o.str("interaction"))}
	ctx, end, err := c.named(o)
	if err != nil {
		return nil, err
	}
	defer end()
	out, err := c.s.cfg.Backend.Unlock(ctx, c.who, r)
	if err != nil {
		return nil, err
	}
	return []any{warnings(out.Notices)}, nil
}

func tokenRename(c *call) ([]any, error) {
	_, err := c.s.cfg.Backend.RenameToken(c.ctx, c.who, c.node.id, ipc.RenameTokenRequest{Label: c.str(0)})
	return nil, err
}

func tokenTest(c *call) ([]any, error) {
	o := c.options(0)
	ctx, end, err := c.named(o)
	if err != nil {
		return nil, err
	}
	defer end()
	out, err := c.s.cfg.Backend.TestToken(ctx, c.who, c.node.id, ipc.TestTokenRequest{Auth: ipc.Auth{Token: c.node.id}})
	if err != nil {
		return nil, err
	}
	return []any{texts(out.Opened)}, nil
}

func accountEdit(c *call) ([]any, error) {
	o := c.options(0)
	r := ipc.EditAccountRequest{
		Issuer: o.str("issuer"), Name: o.str("name"), Note: o.str("note"), Class: o.str("class"),
		Digits: o.number("digits"), Period: o.number("period"), Auth: ipc.Auth{Token: value(o.str("token"))},
	}
	if n := o.number("counter"); n != nil {
		if *n < 0 {
			o.wrong("counter", "a whole number that is not negative")
		}
		counter := uint64(max(0, *n))
		r.Counter = &counter
	}
	ctx, end, err := c.named(o)
	if err != nil {
		return nil, err
	}
	defer end()
	_, err = c.s.cfg.Backend.EditAccount(ctx, c.who, c.node.id, r)
	return nil, err
}

func accountMove(c *call) ([]any, error) {
	position, _ := c.args[0].(uint32)
	_, err := c.s.cfg.Backend.MoveAccount(c.ctx, c.who, c.node.id, ipc.MoveAccountRequest{Position: int(position)})
	return nil, err
}

func accountRemove(c *call) ([]any, error) {
	out, err := c.s.cfg.Backend.RemoveAccount(c.ctx, c.who, c.node.id, ipc.RemoveAccountRequest{Confirm: c.str(0)})
	if err != nil {
		return nil, err
	}
	return []any{texts(out.InBackups)}, nil
}
