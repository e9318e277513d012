package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// Tokens implements [ipc.Tokens]. It touches no token, but for asking one that
// just came and does not list its keys which keyslot it is of.
func (d *Daemon) Tokens(ctx context.Context, p ipc.Principal) (ipc.TokenList, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.TokenList{}, err
	}
	u.recognise(ctx, p)
	return ipc.TokenList{Version: ipc.Version, Tokens: u.tokenList(p), Warnings: append(u.serviceWarnings(p), u.accessWarnings(p)...)}, nil
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
	enroll, slots := u.enrollFix(p), u.slots()
	if slices.ContainsFunc(slots, func(s vault.Slot) bool { return s.Kind != tokens.KindSoft }) {
		enroll = "" // a better one is enrolled
	}
	former := remembered.former(slots)
	for _, slot := range slots {
		t := enrolledToken(slot, remembered.Slots[slot.ID], enroll)
		if slices.ContainsFunc(slot.Keys, func(k tokens.Key) bool { return hasKey(remembered.Revoked, k) }) {
			t.Warnings = append(t.Warnings, ipc.Warning{
				Code:    "revoked-before",
				Message: fmt.Sprintf("token %q was revoked here, and opens the vault again since a backup was restored", t.Label),
				Fix:     "tokenctl token revoke " + t.ID,
			})
		}
		for _, h := range here {
			if holds(h, slot.Keys...) {
				enrolled[string(h.Kind)+h.Locator] = true
				addPresent(&t, h)
				t.Left = leftOn(h, former)
			}
		}
		if e := u.serviceDown(slot.Kind); e != nil && !t.Present && u.d.mayUseTokens(p) {
			t.Problem = e
		}
		if opensWithoutPIN(slot) {
			t.Warnings = append(t.Warnings, tokenWarning(tokens.WarnNoPIN, t, u.withPIN(t)))
		}
		list = append(list, t)
	}
	for _, h := range here {
		if enrolled[string(h.Kind)+h.Locator] {
			continue
		}
		t := ipc.Token{ID: h.ID, Kind: string(h.Kind), Label: h.Model, Hardware: true, Classes: []string{}}
		addPresent(&t, h)
		t.Left = leftOn(h, former)
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
		needed := len(slots) == 0 && u.d.presence.watchable(kind) || slices.ContainsFunc(slots, func(s vault.Slot) bool { return s.Kind == kind })
		if e := u.serviceDown(kind); e != nil && needed && u.d.mayUseTokens(p) {
			if state := u.d.helper(); state != "ok" {
				return []ipc.Warning{helperWarning(state)} // which is why
			}
			list = append(list, ipc.Warning{Code: "token-service", Message: e.Message, Fix: serviceFix(kind)})
		}
	}
	return list
}

// accessWarnings is about tokens that are plugged in and may not be opened, in the
// words of the doctor.
func (u *user) accessWarnings(p ipc.Principal) []ipc.Warning {
	var list []ipc.Warning
	if !u.d.mayUseTokens(p) {
		return nil
	}
	for _, t := range u.d.presence.all() {
		if t.Problem != nil && t.Problem.Code == tokens.CodeNoAccess {
			list = append(list, ipc.Warning{
				Code: "token-" + string(t.Problem.Code), Message: problemMessage(t, *u.tokenRef(t)), Fix: u.d.fixAccess(),
			})
		}
	}
	return list
}

// serviceFix is the command that starts the service for tokens of a kind.
func serviceFix(kind tokens.Kind) string {
	if start := remedy.Here().StartCards(); kind == tokens.KindPIV && start != "" {
		return start
	}
	return "tokenctl doctor"
}

// enrolledToken is a keyslot as it is told to its owner; enroll is what enrols a
// better token, where there is none.
func enrolledToken(slot vault.Slot, n slotNotes, enroll string) ipc.Token {
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
		if w != tokens.WarnNoPIN { // that is the keyslot's, not the day's
			t.Warnings = append(t.Warnings, tokenWarning(w, t, enroll))
		}
	}
	if !t.Hardware && !slices.Contains(n.Warnings, tokens.WarnNotHardware) {
		t.Warnings = append(t.Warnings, tokenWarning(tokens.WarnNotHardware, t, enroll))
	}
	return t
}

// opensWithoutPIN says whether a FIDO2 keyslot opens the session class without
// user verification, from the driver's own parameters. A PIN that is set on the
// key later changes nothing about it.
func opensWithoutPIN(slot vault.Slot) bool {
	return slices.ContainsFunc(slot.Keys, func(k tokens.Key) bool {
		return k.Class == tokens.ClassSession && fido2PIN(k) == tokens.PolicyNever
	})
}

// fido2PIN says when a FIDO2 key verifies its user for k, by PIN or finger, from
// the driver's own parameters.
func fido2PIN(k tokens.Key) tokens.Policy {
	var params struct {
		UV *bool `json:"uv"`
	}
	switch {
	case k.Kind != tokens.KindFIDO2 || json.Unmarshal(k.Params, &params) != nil || params.UV == nil:
		return tokens.PolicyUnknown
	case *params.UV:
		return tokens.PolicyAlways
	}
	return tokens.PolicyNever
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
	t.Present, t.Locator, t.Firmware, t.NoPIN = true, h.Locator, h.Firmware, h.NoPIN
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
	stay  uint64 // of the token in its place
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
					t.token, t.stay = &h, u.d.presence.stay(h)
				}
			}
		}
		return t, nil
	}
	if ipc.KindOf(err) == ipc.AmbiguousToken {
		return target{}, err
	}
	u.seekAt(ctx, slices.DeleteFunc(look(), func(h tokens.Token) bool { return h.ID != id }))
	for _, h := range look() {
		if h.ID == id {
			return target{token: &h, stay: u.d.presence.stay(h), ref: *u.tokenRef(h), kind: h.Kind}, nil
		}
	}
	var e *ipc.Error
	if errors.As(err, &e) && len(e.Items) > 0 { // it may be a label that is sealed
		return target{}, e
	}
	return target{}, ipc.Errorf(ipc.NotFound, "there is no such token")
}

// here is the token of the target, or the error that it is not present.
func (u *user) here(p ipc.Principal, t target) (tokens.Token, error) {
	if t.token != nil {
		return *t.token, nil
	}
	if t.slot != nil {
		return tokens.Token{}, u.missing(p, *t.slot)
	}
	return tokens.Token{}, ipc.Errorf(ipc.TokenNotPresent, "the token is not present")
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
	slot, err := s.keyslot(id)
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
