package daemon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// Tokens implements [ipc.Tokens]. It touches no token.
func (d *Daemon) Tokens(_ context.Context, p ipc.Principal) (ipc.TokenList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.TokenList{}, err
	}
	return ipc.TokenList{Version: ipc.Version, Tokens: u.tokenList(p), Warnings: u.serviceWarnings(p)}, nil
}

// tokenList is the user's keyslots, in the vault's order, and then the tokens
// that are present and not enrolled.
func (u *user) tokenList(p ipc.Principal) []ipc.Token {
	var here []tokens.Token
	if u.d.mayUseTokens(p) {
		here = u.d.presence.all()
	}
	remembered := u.notesOf().get()
	list := []ipc.Token{}
	enrolled := make(map[string]bool)
	for _, slot := range u.slots() {
		t := enrolledToken(slot, remembered.Slots[slot.ID])
		for _, h := range here {
			if holds(h, slot.Keys...) {
				enrolled[string(h.Kind)+h.Locator] = true
				addPresent(&t, h)
			}
		}
		if e := u.serviceDown(slot.Kind); e != nil && !t.Present && u.d.mayUseTokens(p) {
			t.Problem = e
		}
		list = append(list, t)
	}
	for _, h := range here {
		if enrolled[string(h.Kind)+h.Locator] {
			continue
		}
		t := ipc.Token{ID: h.ID, Kind: string(h.Kind), Label: h.Model, Hardware: true, Classes: []string{}}
		addPresent(&t, h)
		list = append(list, t)
	}
	return list
}

// serviceWarnings says which services for tokens cannot be used: to who has such
// a token, and to who has no vault yet.
func (u *user) serviceWarnings(p ipc.Principal) []ipc.Warning {
	var list []ipc.Warning
	slots := u.slots()
	for _, kind := range watchedKinds(u.d.cfg.Watchers) {
		needed := len(slots) == 0 || slices.ContainsFunc(slots, func(s vault.Slot) bool { return s.Kind == kind })
		if e := u.serviceDown(kind); e != nil && needed && u.d.mayUseTokens(p) {
			list = append(list, ipc.Warning{Code: "token-service", Message: e.Message, Fix: serviceFix(kind)})
		}
	}
	return list
}

// serviceFix is the command that starts the service for tokens of a kind.
func serviceFix(kind tokens.Kind) string {
	if kind == tokens.KindPIV && runtime.GOOS == "linux" {
		return "systemctl enable --now pcscd.socket"
	}
	return "tokenctl doctor"
}

// enrolledToken is a keyslot as it is told to its owner.
func enrolledToken(slot vault.Slot, n slotNotes) ipc.Token {
	t := ipc.Token{
		ID: slot.ID, Kind: string(slot.Kind), Label: slotRef(slot).Label, Model: slot.Model, Serial: slot.Serial,
		Enrolled: true, Hardware: slot.Kind != tokens.KindSoft,
		Present: slot.Kind == tokens.KindSoft && len(slot.KeyFile) > 0,
		Added:   wireTime(slot.Added), LastUsed: wireTime(n.LastUsed), Classes: []string{},
	}
	for _, k := range slot.Keys {
		t.Classes = append(t.Classes, string(k.Class))
		if s := pivSlot(k); s != "" {
			t.Slots = append(t.Slots, s)
		}
	}
	for _, w := range n.Warnings {
		t.Warnings = append(t.Warnings, tokenWarning(w, t))
	}
	if !t.Hardware && !slices.Contains(n.Warnings, tokens.WarnNotHardware) {
		t.Warnings = append(t.Warnings, tokenWarning(tokens.WarnNotHardware, t))
	}
	return t
}

// pivSlot is the slot of a PIV key, from the driver's own parameters; empty
// where they tell none.
func pivSlot(k tokens.Key) string {
	var params struct {
		Slot string `json:"slot"`
	}
	if k.Kind != tokens.KindPIV || json.Unmarshal(k.Params, &params) != nil {
		return ""
	}
	return params.Slot
}

func addPresent(t *ipc.Token, h tokens.Token) {
	t.Present, t.Locator, t.Firmware = true, h.Locator, h.Firmware
	if t.Model == "" {
		t.Model = h.Model
	}
	if t.Serial == "" {
		t.Serial = h.Serial
	}
	if h.Problem != nil {
		t.Problem = tokenError(h.Problem, ipc.TokenRef{ID: t.ID, Label: t.Label, Kind: t.Kind})
		t.Problem.Err = nil
	}
}

// target is the token that an operation names: a keyslot, a token that is
// present, or both.
type target struct {
	slot  *vault.Slot
	token *tokens.Token
	ref   ipc.TokenRef
	kind  tokens.Kind
}

// target finds the token id names for the caller.
func (u *user) target(ctx context.Context, p ipc.Principal, id string) (target, error) {
	if id == "" {
		return target{}, ipc.Errorf(ipc.InvalidArgument, "no token was named")
	}
	look := func() []tokens.Token {
		if !u.d.mayUseTokens(p) {
			return nil
		}
		return u.d.presence.all()
	}
	slot, err := u.namedHere(u.slots(), id)
	if err == nil {
		t := target{slot: &slot, ref: slotRef(slot), kind: slot.Kind}
		if slot.Kind != tokens.KindSoft && u.isHere(ctx, p, slot) {
			for _, h := range look() {
				if holds(h, slot.Keys...) {
					t.token = &h
				}
			}
		}
		return t, nil
	}
	if ipc.KindOf(err) == ipc.AmbiguousToken {
		return target{}, err
	}
	for _, h := range look() {
		if h.ID == id {
			return target{token: &h, ref: *u.tokenRef(h), kind: h.Kind}, nil
		}
	}
	var e *ipc.Error
	if errors.As(err, &e) && len(e.Items) > 0 { // it may be a label that is sealed
		return target{}, e
	}
	return target{}, ipc.Errorf(ipc.NotFound, "there is no such token")
}

// here is the token of the target, or the error that it is not present.
func (u *user) here(t target) (tokens.Token, error) {
	if t.token != nil {
		return *t.token, nil
	}
	if t.slot != nil {
		return tokens.Token{}, u.absent(*t.slot)
	}
	return tokens.Token{}, ipc.Errorf(ipc.TokenNotPresent, "the token is not present")
}

// TokenInfo implements [ipc.Tokens]. It asks the token, without PIN or touch.
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
	if t.kind != tokens.KindSoft {
		seen, err := u.here(t)
		if err != nil {
			return ipc.TokenInfo{}, err
		}
		details, err := u.inspect(ctx, p, seen, t.ref)
		if err != nil {
			return ipc.TokenInfo{}, err
		}
		u.describe(&info, details, t)
	} else {
		for _, k := range t.slot.Keys {
			info.Keys = append(info.Keys, ipc.TokenKey{
				Algorithm: string(k.Algorithm), PINPolicy: string(tokens.PolicyAlways), TouchPolicy: string(tokens.PolicyNever), Ours: true,
			})
		}
	}
	for _, listed := range u.tokenList(p) {
		if listed.ID == t.ref.ID {
			info.Token = listed
		}
	}
	return info, nil
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

func (u *user) describe(info *ipc.TokenInfo, d tokens.Details, t target) {
	info.PINTries, info.PUKTries = d.PINTries, d.PUKTries
	info.FactoryPIN, info.FactoryPUK, info.FactoryKey = d.FactoryPIN, d.FactoryPUK, d.FactoryKey
	if d.Attestation != nil {
		info.Attested, info.AttestationOK = true, d.Attestation.Verified
	}
	for _, k := range d.Token.Keys {
		seen := tokens.Key{Kind: d.Token.Kind, Algorithm: k.Algorithm, Public: k.Public}
		ours := slices.ContainsFunc(u.slots(), func(s vault.Slot) bool {
			return holds(tokens.Token{Kind: seen.Kind, Keys: []tokens.SlotKey{k}}, s.Keys...)
		})
		info.Keys = append(info.Keys, ipc.TokenKey{
			Slot: k.Slot, Algorithm: string(k.Algorithm), PINPolicy: string(k.PINPolicy),
			TouchPolicy: string(k.TouchPolicy), Attested: k.Attested, Ours: ours,
		})
	}
	if t.slot == nil {
		return
	}
	kept := u.notesOf().get().Slots[t.slot.ID].Warnings
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
	u.noteWarnings(t.slot.ID, kept)
}

// RenameToken implements [ipc.Tokens].
func (d *Daemon) RenameToken(ctx context.Context, p ipc.Principal, id string, r ipc.RenameTokenRequest) (ipc.Token, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Token{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.Token{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.Token{}, err
	}
	slot, err := namedSlot(s.vault.Slots(), id)
	if err != nil {
		return ipc.Token{}, err
	}
	if r.Label == "" {
		return ipc.Token{}, ipc.Errorf(ipc.InvalidArgument, "a token needs a label")
	}
	if r.Label != slot.Label {
		label, err := u.newLabel(r.Label, tokens.Token{})
		if err != nil {
			return ipc.Token{}, err
		}
		if err := s.vault.RenameSlot(ctx, slot.ID, label); err != nil {
			return ipc.Token{}, mapError(err)
		}
	}
	u.audit(entry{action: "token-rename", object: slot.ID, by: p, ok: true, sync: true})
	return u.listed(p, slot.ID), nil
}

// listed is the keyslot id as lists show it.
func (u *user) listed(p ipc.Principal, id string) ipc.Token {
	for _, t := range u.tokenList(p) {
		if t.ID == id {
			return t
		}
	}
	return ipc.Token{ID: id, Classes: []string{}}
}

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
	if r.Which != "pin" && (t.kind == tokens.KindSoft || r.Which != "puk" && r.Which != "unblock") {
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
	seen, err := u.here(t)
	if err != nil {
		return err
	}
	err = u.onToken(ctx, seen.Locator, t.ref, cause{who: p}, func(ctx context.Context, _ telling) error {
		if err := u.d.presence.still(seen); err != nil {
			return err
		}
		_, err := changer.ChangePIN(ctx, tokens.PINRequest{
			Locator: seen.Locator, Which: r.Which, Old: r.Old, New: r.New, SpendLastTry: r.SpendLastTry,
		})
		return err
	})
	if err == nil && t.slot != nil {
		gone := tokens.WarnFactoryPIN
		if r.Which == "puk" {
			gone = tokens.WarnFactoryPUK
		}
		kept := slices.Clone(u.notesOf().get().Slots[t.slot.ID].Warnings)
		u.noteWarnings(t.slot.ID, slices.DeleteFunc(kept, func(w tokens.Warning) bool { return w == gone }))
	}
	return err
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
	if t.slot != nil {
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

// wipe removes what revoked keyslots left on a token, and nothing else.
func (u *user) wipe(ctx context.Context, p ipc.Principal, t target, r ipc.WipeTokenRequest) ([]string, error) {
	seen, err := u.here(t)
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
	var keys []tokens.Key
	noted := u.notesOf().get()
	for _, k := range append(noted.Revoked, noted.Unfinished...) {
		if holds(seen, k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		e := ipc.Errorf(ipc.NotFound, "no key of a revoked keyslot is on token %q", t.ref.Label)
		e.Token = &t.ref
		return nil, e
	}
	cleared := []string{}
	err = u.onToken(ctx, seen.Locator, t.ref, cause{who: p}, func(ctx context.Context, _ telling) error {
		places, err := wiper.Wipe(ctx, tokens.WipeRequest{
			Locator: seen.Locator, Keys: keys, PIN: r.PIN, SpendLastTry: r.SpendLastTry, ManagementKey: manage,
		})
		cleared = append(cleared, places...)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, _ = u.inspect(ctx, p, seen, t.ref) // only to see what is left on it
	return cleared, nil
}
