package dbus

import (
	"context"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// objects is what GetManagedObjects tells: the properties of each object, by
// interface.
type objects map[dbus.ObjectPath]map[string]dict

// objects is all that a caller sees below Root. A vault that is closed has no
// accounts.
func (s *Server) objects(ctx context.Context, who ipc.Principal) (objects, error) {
	b := s.cfg.Backend
	st, err := b.Status(ctx, who)
	if err != nil {
		return nil, err
	}
	accounts, err := s.accounts(ctx, who)
	if err != nil {
		return nil, err
	}
	all := objects{vaultPath: {vaultIface: vaultProperties(st.Vault, accounts)}}
	for _, t := range st.Tokens {
		all[tokenPath(t.ID)] = map[string]dict{tokenIface: tokenProperties(t)}
	}
	for _, a := range accounts {
		all[accountPath(a.ID)] = map[string]dict{accountIface: accountProperties(a)}
	}
	return all, nil
}

// accounts is the caller's accounts in his order, none where the vault is closed.
func (s *Server) accounts(ctx context.Context, who ipc.Principal) ([]ipc.Account, error) {
	list, err := s.cfg.Backend.Accounts(ctx, who)
	if err != nil && ipc.KindOf(err) != ipc.NotAuthorized && ctx.Err() == nil {
		return nil, nil // locked, damaged or not there: State says which
	}
	return list.Accounts, err
}

func managedObjects(c *call) ([]any, error) {
	// Subscribed first, so that what changes in between is told twice rather than
	// never. Who has too many subscriptions is answered all the same.
	if err := c.l.subscribe(c.ctx, c.from); err != nil && ipc.KindOf(err) != ipc.Busy {
		return nil, err
	}
	all, err := c.s.objects(c.ctx, c.who)
	if err != nil {
		return nil, err
	}
	return []any{all}, nil
}

// properties is the properties of the called object that the interface has.
func (c *call) properties(of string) (dict, error) {
	if of != ifaceOf(c.node.kind) {
		for i := range c.s.table {
			if f := &c.s.table[i]; f.name == of && f.at(c.node.kind) {
				return dict{}, nil // one of D-Bus's own
			}
		}
		return nil, fault(errUnknownInterface, "the object has no such interface")
	}
	switch {
	case c.acct != nil:
		return accountProperties(*c.acct), nil
	case c.tok != nil:
		return tokenProperties(*c.tok), nil
	}
	st, err := c.s.cfg.Backend.Status(c.ctx, c.who)
	if err != nil {
		return nil, err
	}
	if c.node.kind == kindRoot {
		d := dict{}
		d.set("Version", text(st.Daemon.Version))
		d.set("Mode", text(st.Daemon.Mode))
		d.set("Socket", text(st.Daemon.Socket))
		return d, nil
	}
	accounts, err := c.s.accounts(c.ctx, c.who)
	if err != nil {
		return nil, err
	}
	return vaultProperties(st.Vault, accounts), nil
}

func getProperties(c *call) ([]any, error) {
	of := c.str(0)
	if of == "" {
		of = ifaceOf(c.node.kind)
	}
	d, err := c.properties(of)
	if err != nil {
		return nil, err
	}
	return []any{d}, nil
}

func getProperty(c *call) ([]any, error) {
	of := c.str(0)
	if of == "" {
		of = ifaceOf(c.node.kind)
	}
	d, err := c.properties(of)
	if err != nil {
		return nil, err
	}
	v, ok := d[c.str(1)]
	if !ok {
		return nil, fault(errUnknownProperty, "the object has no such property")
	}
	return []any{v}, nil
}

func setProperty(*call) ([]any, error) {
	return nil, fault(errReadOnly, "properties are changed by methods")
}

func vaultProperties(v ipc.Vault, accounts []ipc.Account) dict {
	d := dict{}
	order := make([]dbus.ObjectPath, 0, len(accounts))
	for _, a := range accounts {
		order = append(order, accountPath(a.ID))
	}
	problem := ""
	if v.Problem != nil {
		problem = v.Problem.Message
	}
	d.set("State", string(v.State))
	d.set("Id", text(v.ID))
	d.set("Epoch", v.Epoch)
	d.set("Generation", v.Generation)
	d.set("Problem", text(problem))
	d.set("UnlockedBy", text(v.UnlockedBy))
	d.set("UnlockedAt", seconds(v.UnlockedAt))
	d.set("IdleLock", seconds(v.IdleLock))
	d.set("HardLock", seconds(v.HardLock))
	d.set("AccountCount", count(v.Accounts))
	d.set("TouchAccountCount", count(v.Touch))
	d.set("AccountOrder", order)
	d.set("Signer", text(v.Signer))
	d.set("RecoverySet", seconds(v.RecoverySet))
	d.set("LastBackup", seconds(v.LastBackup))
	return d
}

func tokenProperties(t ipc.Token) dict {
	d := dict{}
	problem := ""
	if t.Problem != nil {
		problem = t.Problem.Message
	}
	d.set("Id", text(t.ID))
	d.set("Kind", text(t.Kind))
	d.set("Label", text(t.Label))
	d.set("Model", text(t.Model))
	d.set("Serial", text(t.Serial))
	d.set("Firmware", text(t.Firmware))
	d.set("Locator", text(t.Locator))
	d.set("Enrolled", t.Enrolled)
	d.set("Present", t.Present)
	d.set("NoPIN", t.NoPIN)
	d.set("Hardware", t.Hardware)
	d.set("Classes", texts(t.Classes))
	d.set("Slots", texts(t.Slots))
	d.set("Added", seconds(t.Added))
	d.set("LastUsed", seconds(t.LastUsed))
	d.set("Problem", text(problem))
	d.set("Warnings", warnings(t.Warnings))
	return d
}

func accountProperties(a ipc.Account) dict {
	d := dict{}
	d.set("Id", text(a.ID))
	d.set("Issuer", text(a.Issuer))
	d.set("Name", text(a.Name))
	d.set("Kind", text(a.Kind))
	d.set("Class", text(a.Class))
	d.set("Type", text(a.Type))
	d.set("Algorithm", text(a.Algorithm))
	d.set("Digits", count(a.Digits))
	d.set("Period", count(a.Period))
	d.set("Counter", value(a.Counter))
	d.set("Note", text(a.Note))
	d.set("Created", seconds(a.Created))
	return d
}

// seconds is a moment on the bus: Unix time, 0 for none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func count(n int) uint32 { return uint32(max(0, n)) }

func texts(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, text(s))
	}
	return out
}

func warnings(list []ipc.Warning) []warning {
	out := make([]warning, 0, len(list))
	for _, w := range list {
		out = append(out, warning{text(w.Code), text(w.Message), text(w.Fix)})
	}
	return out
}
