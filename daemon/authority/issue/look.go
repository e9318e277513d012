package issue

import (
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Held is how much of what can be a factor a user has, beside fobs.
type Held struct {
	DevicesActive, DevicesRevoked int
	BypassOpen, BypassDead        int
	SecurityKeys                  int
}

// Holds counts a user's devices, bypass codes and security keys. It fails with NotFound.
func (i *Issuer) Holds(user string) (Held, error) {
	var out Held
	err := i.store.View(func(tx *store.Tx) error {
		out = Held{}
		u, err := i.reg.UserIn(tx, user)
		if err != nil {
			return err
		}
		p, err := portfolioOf(tx, u.ID)
		if err != nil {
			return err
		}
		open, err := i.liveBypass(tx, p, i.now())
		if err != nil {
			return err
		}
		out.BypassOpen, out.BypassDead = len(open), len(p.Bypass)-len(open)
		out.SecurityKeys = len(p.Keys)
		for _, id := range p.Devices {
			d, found, err := get[deviceRecord](tx, devicesBucket, id)
			switch {
			case err != nil:
				return err
			case found && d.State == Active:
				out.DevicesActive++
			case found:
				out.DevicesRevoked++
			}
		}
		return nil
	})
	return out, err
}

// Activation is one activation. It fails with NotFound.
func (i *Issuer) Activation(ref string) (Activation, error) {
	var out Activation
	err := i.store.View(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		a, found, err := get[activationRecord](tx, activationsBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "activation", "there is no such activation")
		}
		r, _, err := get[accountRecord](tx, accountsBucket, a.Account)
		out = a.shown(id, r.Label, i.now())
		r.wipe()
		return err
	})
	return out, err
}

// BypassCode is one bypass code. It fails with NotFound.
func (i *Issuer) BypassCode(ref string) (BypassCode, error) {
	var out BypassCode
	err := i.store.View(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		b, found, err := get[bypassRecord](tx, bypassBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "bypass-code", "there is no such bypass code")
		}
		out = b.shown(id, i.now())
		return nil
	})
	return out, err
}

// Device is one device, without its accounts. It fails with NotFound.
func (i *Issuer) Device(ref string) (Device, error) {
	var out Device
	err := i.store.View(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		d, found, err := get[deviceRecord](tx, devicesBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "device", "there is no such device")
		}
		out = Device{ID: id.String(), User: d.User, Name: d.Name, State: d.State, First: d.First.UTC(), Last: d.Last.UTC()}
		return nil
	})
	return out, err
}
