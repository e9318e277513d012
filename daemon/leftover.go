package daemon

import (
	"encoding/json"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// former are the keys that may be on a token and open nothing here any more: of
// revoked keyslots, of enrolments that never came to be, of a vault that was
// purged. Keys that a keyslot has (a restore can bring one back), and those that
// were on the token before they were enrolled, are not among them.
func (n notesData) former(slots []vault.Slot) []tokens.Key {
	var list []tokens.Key
	for _, k := range slices.Concat(n.Revoked, n.Unfinished, n.Purged) {
		used := slices.ContainsFunc(slots, func(s vault.Slot) bool { return hasKey(s.Keys, k) })
		if !used && !takenOver(k) && !hasKey(n.Wiped, k) && !hasKey(list, k) {
			list = append(list, k)
		}
	}
	return list
}

// takenOver says whether a PIV key was on its card before it was enrolled, from
// the driver's own parameters.
func takenOver(k tokens.Key) bool {
	var params struct {
		Taken bool `json:"taken"`
	}
	return k.Kind == tokens.KindPIV && json.Unmarshal(k.Params, &params) == nil && params.Taken
}

// leaves says whether something of a key stays on its token when no vault has use
// for it any more. A FIDO2 key stores nothing, a software token is a file here.
func leaves(k tokens.Key) bool { return k.Kind == tokens.KindPIV && !takenOver(k) }

// leftOn are the places of a present token that hold one of keys.
func leftOn(t tokens.Token, keys []tokens.Key) []string {
	var places []string
	for _, k := range keys {
		if slot := pivSlot(k); slot != "" && holds(t, k) && !slices.Contains(places, slot) {
			places = append(places, slot)
		}
	}
	slices.Sort(places)
	return places
}

// leftTokens are the tokens on which keys remain once the vault is gone: first
// those of keyslots, then what was left before.
func (u *user) leftTokens(p ipc.Principal, slots []vault.Slot) []ipc.LeftToken {
	list := []ipc.LeftToken{}
	var here []tokens.Token
	if u.d.mayUseTokens(p) {
		here = u.d.presence.all()
	}
	for _, slot := range slots {
		t := ipc.LeftToken{Token: slotRef(slot), Enrolled: true, Hardware: slot.Kind != tokens.KindSoft, Slots: []string{}}
		for _, k := range slot.Keys {
			if s := pivSlot(k); s != "" && leaves(k) {
				t.Slots = append(t.Slots, s)
			}
		}
		t.Present = slices.ContainsFunc(here, func(h tokens.Token) bool { return holds(h, slot.Keys...) })
		list = append(list, t)
	}
	former := u.notesOf().get().former(slots)
	for _, h := range here {
		if left := leftOn(h, former); len(left) > 0 {
			former = slices.DeleteFunc(former, func(k tokens.Key) bool { return holds(h, k) })
			list = append(list, ipc.LeftToken{Token: *u.tokenRef(h), Hardware: true, Present: true, Slots: left})
		}
	}
	// Of what is not here nobody knows which belong to one token.
	away := ipc.LeftToken{Hardware: true, Slots: []string{}, Token: ipc.TokenRef{Kind: string(tokens.KindPIV)}}
	for _, k := range former {
		if s := pivSlot(k); s != "" && !slices.Contains(away.Slots, s) {
			away.Slots = append(away.Slots, s)
		}
	}
	if len(away.Slots) > 0 {
		slices.Sort(away.Slots)
		list = append(list, away)
	}
	return list
}
