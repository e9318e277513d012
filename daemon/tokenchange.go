package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// ChangePIN implements [ipc.Tokens].
func (d *Daemon) ChangePIN(ctx context.Context, p ipc.Principal, id string, r ipc.ChangePINRequest) error {
	defer func() { r.Old.Wipe(); r.New.Wipe() }()
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	t, err := u.target(ctx, p, id)
	if err != nil {
		return err
	}
	changer, ok := d.cfg.Drivers[t.kind].(tokens.PINChanger)
	if !ok {
		return u.noDriver(t.kind, t.ref)
	}
	if len(r.Old) == 0 {
		r.Old = nil
	}
	if r.Which != "pin" && (t.kind != tokens.KindPIV || r.Which != "puk" && r.Which != "unblock") {
		return ipc.Errorf(ipc.InvalidArgument, "token %q has no secret %q", t.ref.Label, r.Which)
	}
	if len(r.New) == 0 {
		return ipc.Errorf(ipc.InvalidArgument, "no new secret was given")
	}
	if t.kind == tokens.KindSoft {
		err = u.changePassphrase(ctx, changer, t, r)
	} else {
		err = u.changePIN(ctx, p, changer, t, r)
	}
	u.auditResult(p, "token-pin", t.ref.ID, err)
	if err != nil {
		return mapError(err)
	}
	return nil
}

func (u *user) changePIN(ctx context.Context, p ipc.Principal, changer tokens.PINChanger, t target, r ipc.ChangePINRequest) error {
	seen, err := u.here(p, t)
	if err != nil {
		return err
	}
	err = u.onToken(ctx, seen.Locator, t.ref, cause{who: p}, func(ctx context.Context, _ telling) error {
		if err := u.d.presence.still(seen, t.stay); err != nil {
			return err
		}
		change := tokens.PINRequest{
			Locator: seen.Locator, Which: r.Which, Old: r.Old, New: r.New, SpendLastTry: r.SpendLastTry,
		}
		if t.slot != nil { // who sees nothing come or go cannot tell two keys in one place apart
			change.Keys = t.slot.Keys
		}
		_, err := changer.ChangePIN(ctx, change)
		if errors.Is(err, &tokens.Error{Code: tokens.CodeWrongToken}) {
			for _, k := range change.Keys {
				u.d.presence.refuted(seen, k)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.slot != nil {
		gone := []tokens.Warning{tokens.WarnFactoryPIN}
		if r.Which == "puk" {
			gone = []tokens.Warning{tokens.WarnFactoryPUK}
		}
		kept := slices.Clone(u.notesOf().get().Slots[t.slot.ID].Warnings)
		u.noteWarnings(t.slot.ID, slices.DeleteFunc(kept, func(w tokens.Warning) bool { return slices.Contains(gone, w) }))
	}
	if seen.NoPIN || seen.Problem != nil {
		_, _ = u.inspect(ctx, p, seen, t.ref) // only to see what it says now
	}
	return nil
}

// changePassphrase seals a software token's key file anew and puts it in the
// place of the old one.
func (u *user) changePassphrase(ctx context.Context, changer tokens.PINChanger, t target, r ipc.ChangePINRequest) error {
	if err := checkPassword("passphrase", r.New); err != nil {
		return err
	}
	if len(t.slot.KeyFile) == 0 {
		return notPresent(*t.slot)
	}
	if len(r.Old) == 0 {
		return tokenError(tokens.Errorf(tokens.CodePINRequired, ""), t.ref)
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	store, err := u.existing()
	if err != nil {
		return err
	}
	var file []byte
	err = u.derive(ctx, true, func(ctx context.Context) error {
		file, err = changer.ChangePIN(ctx, tokens.PINRequest{
			Which: r.Which, Old: r.Old, New: r.New, SpendLastTry: r.SpendLastTry, KeyFile: t.slot.KeyFile,
		})
		return err
	})
	if err != nil {
		return tokenError(err, t.ref)
	}
	return store.SetKeyFile(t.slot.ID, file)
}

// WipeToken implements [ipc.Tokens].
func (d *Daemon) WipeToken(ctx context.Context, p ipc.Principal, id string, r ipc.WipeTokenRequest) (ipc.WipeTokenResult, error) {
	defer func() { r.PIN.Wipe(); r.ManagementKey.Wipe() }()
	u, err := d.user(&p)
	if err != nil {
		return ipc.WipeTokenResult{}, err
	}
	t, err := u.target(ctx, p, id)
	if err != nil {
		return ipc.WipeTokenResult{}, err
	}
	if r.Confirm != t.ref.ID {
		return ipc.WipeTokenResult{}, ipc.Errorf(ipc.InvalidArgument, "the confirmation is not the token's id")
	}
	if t.slot != nil && len(r.Slots) == 0 && (t.token == nil || len(leftOn(*t.token, u.notesOf().get().former(u.slots()))) == 0) {
		e := ipc.Errorf(ipc.Conflict, "token %q is enrolled and its keys still open the vault", t.ref.Label)
		e.Token = &t.ref
		return ipc.WipeTokenResult{}, e
	}
	cleared, err := u.wipe(ctx, p, t, r)
	u.auditResult(p, "token-wipe", t.ref.ID, err)
	if err != nil {
		return ipc.WipeTokenResult{}, mapError(err)
	}
	return ipc.WipeTokenResult{Version: ipc.Version, Cleared: cleared}, nil
}

// wipe removes what keyslots that are no more left on a token, and nothing else:
// what the notes know, and in the slots that are named what the token itself shows
// to be made by an enrolment.
func (u *user) wipe(ctx context.Context, p ipc.Principal, t target, r ipc.WipeTokenRequest) ([]string, error) {
	seen, err := u.here(p, t)
	if err != nil {
		return nil, err
	}
	wiper, ok := u.d.cfg.Drivers[t.kind].(tokens.Wiper)
	if !ok {
		return nil, u.noDriver(t.kind, t.ref)
	}
	manage, err := hex.DecodeString(string(r.ManagementKey))
	if err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "the management key is not hexadecimal")
	}
	if err := u.mayClear(seen, t.ref, r.Slots); err != nil {
		return nil, err
	}
	keys, err := u.formerOn(ctx, seen, t.stay)
	if err != nil {
		return nil, tokenError(err, t.ref)
	}
	if len(keys) == 0 && len(r.Slots) == 0 && !seen.Unlisted { // enrolling leaves nothing on those, but something else may have
		e := ipc.Errorf(ipc.NotFound, "no key is on token %q that is known to be of a revoked keyslot or of a vault that is gone", t.ref.Label)
		e.Token = &t.ref
		return nil, e
	}
	if err := u.d.mayLose(seen, t.ref, keys, r.Slots); err != nil {
		return nil, err
	}
	cleared := []string{}
	err = u.onToken(ctx, seen.Locator, t.ref, cause{who: p}, func(ctx context.Context, _ telling) error {
		if err := u.d.presence.still(seen, t.stay); err != nil {
			return err
		}
		places, err := wiper.Wipe(ctx, tokens.WipeRequest{
			Locator: seen.Locator, Keys: keys, Places: r.Slots, PIN: r.PIN, SpendLastTry: r.SpendLastTry, ManagementKey: manage,
		})
		cleared = append(cleared, places...)
		return err
	})
	if err != nil {
		return nil, err
	}
	u.note(func(n *notesData) { n.Wiped = appendKeys(n.Wiped, keys, keptRevoked+2*keptUnfinished) })
	_, _ = u.inspect(ctx, p, seen, t.ref) // only to see what is left on it
	return cleared, nil
}

// mayClear refuses slots whose keys open the caller's vault.
func (u *user) mayClear(t tokens.Token, ref ipc.TokenRef, places []string) error {
	if len(places) > 0 && t.Kind != tokens.KindPIV {
		return ipc.Errorf(ipc.InvalidArgument, "token %q has no slots", ref.Label)
	}
	for _, slot := range u.slots() {
		for _, k := range slot.Keys {
			if s := pivSlot(k); slices.Contains(places, s) && holds(t, k) {
				e := ipc.Errorf(ipc.Conflict, "the key in slot %s of token %q opens the vault", s, ref.Label)
				e.Token = &ref
				return e
			}
		}
	}
	return nil
}

// formerOn are the keys on a token that open nothing here any more.
func (u *user) formerOn(ctx context.Context, t tokens.Token, stay uint64) ([]tokens.Key, error) {
	former := u.notesOf().get().former(u.slots())
	if t.Unlisted {
		former = slices.DeleteFunc(former, func(k tokens.Key) bool { return k.Kind != t.Kind })
		ctx, stop := context.WithTimeout(ctx, seekLimit)
		defer stop()
		a := asked{t, stay}
		if err := u.d.probe(ctx, a, former); err != nil {
			return nil, err
		}
		return slices.DeleteFunc(former, func(k tokens.Key) bool { return !u.d.presence.answered(a, k) }), nil
	}
	return slices.DeleteFunc(former, func(k tokens.Key) bool { return !holds(t, k) }), nil
}
