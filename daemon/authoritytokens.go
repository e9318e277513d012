package daemon

import (
	"context"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// AuthorityTokens has tokens open an authority's keyslots.
type AuthorityTokens struct{ d *Daemon }

// AuthorityTokens are the tokens of the daemon's machine.
func (d *Daemon) AuthorityTokens() AuthorityTokens { return AuthorityTokens{d} }

// Keyslots are those of the caller's vault, be it open or not. It fails with
// NoKeyslot where there is none.
func (t AuthorityTokens) Keyslots(p ipc.Principal) ([]keyslot.Slot, error) {
	u, err := t.d.user(&p)
	if err != nil {
		return nil, err
	}
	var out []keyslot.Slot
	for _, s := range u.slots() {
		k, ok := s.Key(tokens.ClassSession)
		if !ok {
			continue
		}
		out = append(out, keyslot.Slot{
			Keyslot: archive.Keyslot{ID: s.ID, Kind: string(s.Kind), Model: s.Model, Serial: s.Serial, Keys: []archive.Key{{
				Kind: string(k.Kind), Class: string(k.Class), Algorithm: string(k.Algorithm), Public: k.Public, Params: k.Params,
			}}},
			KeyFile: s.KeyFile,
		})
	}
	if len(out) == 0 {
		return nil, ipc.Errorf(ipc.NoKeyslot, "your vault has no token that could open an authority")
	}
	return out, nil
}

// Use has f use the keyslot whose token the caller means and which is plugged in.
func (t AuthorityTokens) Use(ctx context.Context, p ipc.Principal, a ipc.Auth, interaction string, slots []keyslot.Slot,
	f func(ctx context.Context, id string, x keyslot.Exchange) error,
) error {
	agent, err := withAgent(interaction)
	if err != nil {
		return err
	}
	u, err := t.d.user(&p)
	if err != nil {
		return err
	}
	list := make([]vault.Slot, 0, len(slots))
	for _, s := range slots {
		list = append(list, vaultSlot(s))
	}
	list = u.labelled(list)
	call := func(a ipc.Auth) error {
		slot, err := u.pick(ctx, a, tokens.ClassSession, list, cause{who: p})
		if err != nil {
			return err
		}
		return f(ctx, slot.ID, u.exchange(slot, a, cause{who: p}))
	}
	if agent && noSecret(a) {
		return u.untilPIN(ctx, p, wanted{}, a, call, nil)
	}
	return call(a)
}

// exchange is what a keyslot's token does to open it.
func (u *user) exchange(slot vault.Slot, a ipc.Auth, c cause) keyslot.Exchange {
	return func(ctx context.Context, peer []byte) ([]byte, error) {
		key, _ := slot.Key(tokens.ClassSession)
		return u.agree(ctx, job{key: key, peer: peer, ref: slotRef(slot), slot: slot, cause: c, pin: a.PIN, spendLast: a.SpendLastTry})
	}
}

// vaultSlot is an authority's keyslot as one of a vault's.
func vaultSlot(s keyslot.Slot) vault.Slot {
	k := s.Session()
	return vault.Slot{
		ID: s.ID, Kind: tokens.Kind(s.Kind), Label: s.Label, Description: s.Label, Model: s.Model, Serial: s.Serial, Added: s.Added,
		Keys: []tokens.Key{{
			Kind: tokens.Kind(s.Kind), Class: tokens.ClassSession, Algorithm: tokens.Algorithm(k.Algorithm), Public: k.Public, Params: k.Params,
		}},
		KeyFile: s.KeyFile,
	}
}

// opensAuthority says whether the authority that lives here is opened by one of
// these keys.
func (d *Daemon) opensAuthority(keys ...tokens.Key) bool {
	if d.cfg.Authority == nil {
		return false
	}
	for _, k := range keys {
		if d.cfg.Authority.Keeps(k.Public) {
			return true
		}
	}
	return false
}

// mayLose refuses to remove keys, and what is in places, from a token where one of
// them opens the authority.
func (d *Daemon) mayLose(t tokens.Token, ref ipc.TokenRef, keys []tokens.Key, places []string) error {
	for _, k := range t.Keys {
		for _, place := range places {
			if k.Slot == place {
				keys = append(keys[:len(keys):len(keys)], tokens.Key{Public: k.Public})
			}
		}
	}
	if !d.opensAuthority(keys...) {
		return nil
	}
	e := ipc.Errorf(ipc.Conflict, "a key of token %q opens the authority; nothing was removed", ref.Label)
	e.Token = &ref
	return e
}

// authorityKeyWarning is about a token that was revoked, and still opens the
// authority.
func (d *Daemon) authorityKeyWarning(slot vault.Slot) []ipc.Warning {
	if !d.opensAuthority(slot.Keys...) {
		return nil
	}
	return []ipc.Warning{{
		Code: "opens-authority", Message: fmt.Sprintf("token %q still opens the authority", slotRef(slot).Label),
		Fix: "tokenctl admin authority key remove " + slot.ID,
	}}
}
