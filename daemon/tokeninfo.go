package daemon

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// TokenInfo implements [ipc.Tokens]. It asks the token, without PIN or touch. Of
// an enrolled token that is not present it tells what the vault knows.
func (d *Daemon) TokenInfo(ctx context.Context, p ipc.Principal, id string) (ipc.TokenInfo, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.TokenInfo{}, err
	}
	t, err := u.target(ctx, p, id)
	if err != nil {
		return ipc.TokenInfo{}, err
	}
	info := ipc.TokenInfo{Version: ipc.Version, PINTries: -1, PUKTries: -1, Keys: []ipc.TokenKey{}}
	switch {
	case t.token != nil:
		details, err := u.inspect(ctx, p, *t.token, t.ref)
		if err != nil {
			return ipc.TokenInfo{}, err
		}
		u.describe(&info, details, t)
	case t.slot == nil:
		return ipc.TokenInfo{}, ipc.Errorf(ipc.TokenNotPresent, "the token is not present")
	case t.kind != tokens.KindSoft && d.presence.watchable(t.kind) && u.serviceDown(t.kind) != nil:
		return ipc.TokenInfo{}, u.absent(*t.slot) // whether it is there nobody knows
	}
	if t.slot != nil {
		u.describeSlot(&info, *t.slot)
	}
	for _, listed := range u.tokenList(p) {
		if listed.ID == t.ref.ID {
			info.Token = listed
		}
	}
	return info, nil
}

// describeSlot adds what the vault and the notes know of a keyslot.
func (u *user) describeSlot(info *ipc.TokenInfo, slot vault.Slot) {
	if len(info.Keys) == 0 { // the token lists none, or is not here
		for _, k := range slot.Keys {
			info.Keys = append(info.Keys, ownKey(k))
		}
	}
	if a := u.notesOf().get().Slots[slot.ID].Attestation; a != nil && (!info.Attested || a.Verified && !info.AttestationOK) {
		attest(info, a)
	}
	if store, err := u.existing(); err == nil {
		if known, err := store.Known(); err == nil {
			info.Backups = u.backupsBySlot(known.VaultID, slot.ID)
		}
	}
}

// ownKey is a keyslot's key, with the policies that enrolling gives it where the
// token is of a kind that has no others.
func ownKey(k tokens.Key) ipc.TokenKey {
	out := ipc.TokenKey{
		Slot: pivSlot(k), Algorithm: string(k.Algorithm), Ours: true,
		PINPolicy: string(tokens.PolicyUnknown), TouchPolicy: string(tokens.PolicyUnknown),
	}
	switch k.Kind {
	case tokens.KindSoft:
		out.PINPolicy, out.TouchPolicy = string(tokens.PolicyAlways), string(tokens.PolicyNever)
	case tokens.KindFIDO2:
		out.Slot, out.PINPolicy = string(k.Class), string(fido2PIN(k))
		out.TouchPolicy = string(tokens.PolicyAlways) // hmac-secret takes one (CTAP 2.1, 12.5)
	}
	return out
}

// inspect asks a token what it is, when its turn comes.
func (u *user) inspect(ctx context.Context, p ipc.Principal, t tokens.Token, ref ipc.TokenRef) (tokens.Details, error) {
	inspector, ok := u.d.cfg.Drivers[t.Kind].(tokens.Inspector)
	if !ok {
		return tokens.Details{}, u.noDriver(t.Kind, ref)
	}
	var details tokens.Details
	err := u.onToken(ctx, t.Locator, ref, cause{who: p}, func(ctx context.Context, _ telling) error {
		var err error
		details, err = inspector.Inspect(ctx, t.Locator)
		return err
	})
	if err != nil {
		return tokens.Details{}, err
	}
	u.d.presence.refresh(details.Token)
	return details, nil
}

func attest(info *ipc.TokenInfo, a *tokens.Attestation) {
	info.Attested, info.AttestationOK, info.Maker, info.MakerModel = true, a.Verified, a.Maker, a.Model
}

func (u *user) describe(info *ipc.TokenInfo, d tokens.Details, t target) {
	info.PINTries, info.PUKTries = d.PINTries, d.PUKTries
	info.FactoryPIN, info.FactoryPUK, info.FactoryKey = d.FactoryPIN, d.FactoryPUK, d.FactoryKey
	if d.Attestation != nil {
		attest(info, d.Attestation)
	}
	for _, f := range d.Facts {
		info.Facts = append(info.Facts, ipc.TokenFact{Name: f.Name, Value: f.Value})
	}
	slots := u.slots()
	former := u.notesOf().get().former(slots)
	for _, k := range d.Token.Keys {
		seen := tokens.Key{Kind: d.Token.Kind, Algorithm: k.Algorithm, Public: k.Public}
		ours := slices.ContainsFunc(slots, func(s vault.Slot) bool {
			return holds(tokens.Token{Kind: seen.Kind, Keys: []tokens.SlotKey{k}}, s.Keys...)
		})
		info.Keys = append(info.Keys, ipc.TokenKey{
			Slot: k.Slot, Algorithm: string(k.Algorithm), PINPolicy: string(k.PINPolicy),
			TouchPolicy: string(k.TouchPolicy), Attested: k.Attested, Ours: ours, Left: hasKey(former, seen), Made: k.Made,
		})
	}
	if t.slot != nil {
		u.noteFactory(t.slot.ID, d)
	}
}

// noteFactory remembers what a keyslot's token has still from its factory: another
// program can have changed that.
func (u *user) noteFactory(slot string, d tokens.Details) {
	kept := u.notesOf().get().Slots[slot].Warnings
	kept = slices.DeleteFunc(slices.Clone(kept), func(w tokens.Warning) bool {
		return w == tokens.WarnFactoryPIN || w == tokens.WarnFactoryPUK || w == tokens.WarnFactoryKey
	})
	for w, is := range map[tokens.Warning]bool{
		tokens.WarnFactoryPIN: d.FactoryPIN, tokens.WarnFactoryPUK: d.FactoryPUK, tokens.WarnFactoryKey: d.FactoryKey,
	} {
		if is {
			kept = append(kept, w)
		}
	}
	slices.Sort(kept)
	u.noteWarnings(slot, kept)
}
