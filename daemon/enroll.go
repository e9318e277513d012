package daemon

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// A new passphrase or recovery password has this many code points after NFC.
const (
	shortestPassword = 10
	longestPassword  = 128
)

// softLabel is what a software token is called that nobody gave a name.
const softLabel = "software token"

// checkPassword says whether a new password may be one, before anything slow
// or lasting is done with it.
func checkPassword(what string, password []byte) error {
	var n int
	var valid bool
	secret.Do(func() { // it is copied to be normalised
		valid = utf8.Valid(password)
		normal := norm.NFC.Bytes(password)
		n = utf8.RuneCount(normal)
		if len(normal) > 0 && &normal[0] != &password[0] {
			clear(normal)
		}
	})
	if !valid {
		return ipc.Errorf(ipc.InvalidArgument, "the %s is not UTF-8", what)
	}
	if n < shortestPassword || n > longestPassword {
		return ipc.Errorf(ipc.InvalidArgument, "a %s has %d to %d characters", what, shortestPassword, longestPassword)
	}
	return nil
}

// enrolling is a token on its way to become a keyslot.
type enrolling struct {
	u       *user
	driver  tokens.Driver
	request ipc.EnrollRequest
	cause   cause
	// token is the one meant; for a software token only its kind is set.
	token   tokens.Token
	stay    uint64 // of the token in its place
	classes []tokens.Class
	manage  []byte
	ref     ipc.TokenRef
}

// prepareEnroll checks all that can be checked before the token is asked.
func (u *user) prepareEnroll(ctx context.Context, p ipc.Principal, r ipc.EnrollRequest) (*enrolling, error) {
	e := &enrolling{u: u, request: r, cause: cause{who: p}}
	if n := len(u.slots()); n >= vault.MaxSlots {
		return nil, ipc.Errorf(ipc.Conflict, "the vault has %d keyslots, and no more fit; nothing was changed", n)
	}
	kind := tokens.Kind(r.Kind)
	if kind != tokens.KindPIV && kind != tokens.KindFIDO2 && kind != tokens.KindSoft {
		return nil, ipc.Errorf(ipc.InvalidArgument, "there is no kind of token %q", r.Kind)
	}
	if e.driver = u.d.cfg.Drivers[kind]; e.driver == nil {
		return nil, u.noDriver(kind, ipc.TokenRef{Label: r.Label, Kind: r.Kind})
	}
	if len(r.ManagementKey) > 0 {
		key, err := hex.DecodeString(string(r.ManagementKey))
		if err != nil {
			return nil, ipc.Errorf(ipc.InvalidArgument, "the management key is not hexadecimal")
		}
		e.manage = key
	}
	if err := e.find(ctx, kind); err != nil {
		return nil, err
	}
	if err := e.chooseClasses(); err != nil {
		return nil, err
	}
	if err := u.d.mayLose(e.token, *u.tokenRef(e.token), nil, r.Overwrite); err != nil {
		return nil, err
	}
	for _, slot := range u.slots() {
		if holds(e.token, slot.Keys...) {
			x := ipc.Errorf(ipc.AlreadyExists, "the token is enrolled already as %q", slotRef(slot).Label)
			x.Token = new(slotRef(slot))
			return nil, x
		}
	}
	label, err := u.newLabel(r.Label, e.token)
	if err != nil {
		return nil, err
	}
	e.ref = ipc.TokenRef{ID: e.token.ID, Label: label, Kind: r.Kind}
	if kind == tokens.KindSoft {
		if e.attested() {
			return nil, e.unattested(nil)
		}
		if len(r.PIN) == 0 {
			return nil, tokenError(tokens.Errorf(tokens.CodePINRequired, ""), e.ref)
		}
		return e, checkPassword("passphrase", r.PIN)
	}
	return e, nil
}

// blind is why no token of the kind can be seen, present or not; nil where one
// would be.
func (d *Daemon) blind(ctx context.Context, kind tokens.Kind) error {
	driver := d.cfg.Drivers[kind]
	if ok, _ := d.presence.service(kind); ok || driver == nil {
		return nil
	}
	if _, err := driver.List(ctx); err != nil {
		return mapError(err)
	}
	return nil
}

// find finds the one token that is meant.
func (e *enrolling) find(ctx context.Context, kind tokens.Kind) error {
	if kind == tokens.KindSoft {
		e.token = tokens.Token{Kind: kind, Model: softLabel}
		return nil
	}
	if !e.u.d.mayUseTokens(e.cause.who) {
		return ipc.Errorf(ipc.TokenNotPresent, "no token of kind %q is present", kind)
	}
	if len(e.match(kind)) == 0 {
		e.u.d.presence.settled(ctx)
	}
	// Those that are enrolled are not meant.
	if e.request.Locator == "" {
		e.u.seek(ctx, e.cause.who, e.u.slots(), true)
	} else {
		e.u.seekAt(ctx, e.match(kind))
	}
	found := e.match(kind)
	switch len(found) {
	case 0:
		if x := e.u.serviceDown(kind); x != nil {
			return x
		}
		if err := e.u.d.blind(ctx, kind); err != nil {
			return err
		}
		return ipc.Errorf(ipc.TokenNotPresent, "no such token of kind %q is present", kind)
	case 1:
		e.token, e.stay = found[0], e.u.d.presence.stay(found[0])
	default:
		if e.u.enrolled(found[0]) && e.request.Locator == "" {
			return ipc.Errorf(ipc.AlreadyExists, "the tokens of kind %q that are present are all enrolled already", kind)
		}
		x := ipc.Errorf(ipc.AmbiguousToken, "several tokens fit; a token's id, serial number or reader names one")
		for _, t := range found {
			x.Items = append(x.Items, ipc.Item{ID: t.ID, Name: t.Locator, Reason: strings.TrimSpace(t.Model + " " + t.Serial)})
		}
		return x
	}
	if e.token.Problem != nil {
		return tokenError(e.token.Problem, ipc.TokenRef{ID: e.token.ID, Label: e.token.Model, Kind: string(kind)})
	}
	return nil
}

// match is the tokens that may be meant. What names a token exactly counts
// before a part of a reader's name, and where nothing is named a token that is
// not enrolled before those that are: they cannot be enrolled again.
func (e *enrolling) match(kind tokens.Kind) []tokens.Token {
	want := e.request.Locator
	var exact, part, free []tokens.Token
	for _, t := range e.u.d.presence.all() {
		if t.Kind != kind {
			continue
		}
		switch {
		case want == "" && !e.u.enrolled(t):
			free = append(free, t)
			part = append(part, t)
		case want != "" && (t.ID == want || t.Locator == want || t.Serial == want):
			exact = append(exact, t)
		case strings.Contains(strings.ToLower(t.Locator), strings.ToLower(want)):
			part = append(part, t)
		}
	}
	switch {
	case len(exact) > 0:
		return exact
	case len(free) > 0:
		return free
	}
	return part
}

// enrolled says whether a token that is present has a keyslot.
func (u *user) enrolled(t tokens.Token) bool {
	return slices.ContainsFunc(u.slots(), func(s vault.Slot) bool { return holds(t, s.Keys...) })
}

func (e *enrolling) chooseClasses() error {
	if len(e.request.Classes) == 0 {
		e.classes = []tokens.Class{tokens.ClassSession}
		if e.token.Touch {
			e.classes = append(e.classes, tokens.ClassTouch)
		}
		return nil
	}
	for _, name := range e.request.Classes {
		c := tokens.Class(name)
		switch {
		case c != tokens.ClassSession && c != tokens.ClassTouch:
			return ipc.Errorf(ipc.InvalidArgument, "there is no class %q", name)
		case slices.Contains(e.classes, c):
			return ipc.Errorf(ipc.InvalidArgument, "class %q is named twice", name)
		case c == tokens.ClassTouch && e.token.Kind == tokens.KindSoft:
			return ipc.Errorf(ipc.TokenUnsupported, "a software token cannot guard accounts by touch")
		}
		e.classes = append(e.classes, c)
	}
	return nil
}

// newLabel is the label wanted, or one made of the token's model and number.
func (u *user) newLabel(want string, t tokens.Token) (string, error) {
	taken := func(label string) bool {
		return slices.ContainsFunc(u.slots(), func(s vault.Slot) bool { return s.Label == label })
	}
	if want != "" {
		if err := checkText("label", want, 64); err != nil {
			return "", err
		}
		if taken(want) {
			return "", ipc.Errorf(ipc.AlreadyExists, "there is a token with that label already")
		}
		return want, nil
	}
	base := strings.TrimSpace(t.Model + " " + t.Serial)
	if base == "" || checkText("label", base, 60) != nil {
		base = string(t.Kind) + " token"
	}
	label := base
	for n := 2; taken(label); n++ {
		label = fmt.Sprintf("%s (%d)", base, n)
	}
	return label, nil
}

// wire is what the driver is asked for.
func (e *enrolling) wire() tokens.EnrollRequest {
	r := tokens.EnrollRequest{
		Locator: e.token.Locator, Classes: e.classes,
		PIN: e.request.PIN, SpendLastTry: e.request.SpendLastTry,
		Slots:     make(map[tokens.Class]string),
		Algorithm: tokens.Algorithm(e.request.Algorithm), UseExisting: e.request.UseExisting,
		Overwrite: e.request.Overwrite, ManagementKey: e.manage,
		Exclude: keysOf(e.u.slots(), e.token.Kind), Roots: e.u.d.attest.Load().Roots,
	}
	if e.request.SessionSlot != "" {
		r.Slots[tokens.ClassSession] = e.request.SessionSlot
	}
	if e.request.TouchSlot != "" {
		r.Slots[tokens.ClassTouch] = e.request.TouchSlot
	}
	return r
}

// run has the token make its keys.
func (e *enrolling) run(ctx context.Context) (*vault.NewSlot, error) {
	id, err := vault.NewSlotID(e.u.d.cfg.Rand)
	if err != nil {
		return nil, err
	}
	if err := e.clearUnfinished(ctx); err != nil {
		return nil, err
	}
	r := e.wire()
	var made tokens.Enrollment
	if e.token.Kind == tokens.KindSoft {
		err = e.u.derive(ctx, true, func(ctx context.Context) error {
			made, err = e.driver.Enroll(ctx, r)
			return err
		})
		if err != nil {
			err = tokenError(err, e.ref)
		}
	} else {
		err = e.u.onToken(ctx, e.token.Locator, e.ref, e.cause, func(ctx context.Context, tell telling) error {
			if err = e.u.d.presence.still(e.token, e.stay); err != nil {
				return err
			}
			r.OnTouch, r.OnBusy = tell.touch, tell.busy
			made, err = e.driver.Enroll(ctx, r)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if e.token.Kind != tokens.KindSoft {
		e.u.d.presence.refresh(made.Token)
	}
	if e.token.Unlisted {
		e.u.d.presence.learn(asked{e.token, e.stay}, made.Keys, slices.Repeat([]bool{true}, len(made.Keys)))
	}
	if e.attested() && (made.Attestation == nil || !made.Attestation.Verified) {
		e.undo(&vault.NewSlot{Enrollment: made})
		return nil, e.unattested(made.Attestation)
	}
	slot := vault.Slot{Kind: e.token.Kind, Label: e.ref.Label, Keys: made.Keys, KeyFile: made.KeyFile}
	return &vault.NewSlot{
		ID: id, Label: e.ref.Label, Enrollment: made,
		Exchange: func(ctx context.Context, k tokens.Key, peer []byte) ([]byte, error) {
			shared, err := e.u.agree(ctx, job{
				key: k, peer: peer, ref: e.ref, slot: slot, cause: e.cause, locator: made.Token.Locator,
				pin: e.request.PIN, spendLast: e.request.SpendLastTry,
			})
			if err != nil {
				return nil, err
			}
			return shared, nil
		},
	}, nil
}

// attested says whether the token must have a maker who vouches for it.
func (e *enrolling) attested() bool {
	return e.request.RequireAttestation || e.u.d.attest.Load().Required
}

// unattested is the error that nobody does.
func (e *enrolling) unattested(a *tokens.Attestation) *ipc.Error {
	why := "no maker vouches for it"
	if a != nil {
		why = "who vouches for it is not trusted here"
		if a.Maker != "" {
			why = fmt.Sprintf("%q vouches for it, who is not trusted here", a.Maker)
		}
	}
	x := ipc.Errorf(ipc.TokenUnattested, "cannot enrol token %q: %s; nothing was kept", e.ref.Label, why)
	x.Token = &e.ref
	return x
}

// clearUnfinished removes from the token the keys that an interrupted enrolment
// of this daemon's left on it, and no others: no vault has a keyslot for them.
func (e *enrolling) clearUnfinished(ctx context.Context) error {
	e.u.settleChange()
	var keys []tokens.Key
	for _, k := range e.u.notesOf().get().Unfinished {
		if holds(e.token, k) {
			keys = append(keys, k)
		}
	}
	wiper, ok := e.driver.(tokens.Wiper)
	if !ok || len(keys) == 0 || len(e.request.PIN) == 0 {
		return nil // without its PIN, enrolling asks for that first
	}
	err := e.u.onToken(ctx, e.token.Locator, e.ref, e.cause, func(ctx context.Context, _ telling) error {
		if err := e.u.d.presence.still(e.token, e.stay); err != nil {
			return err
		}
		_, err := wiper.Wipe(ctx, tokens.WipeRequest{
			Locator: e.token.Locator, Keys: keys, PIN: e.request.PIN, SpendLastTry: e.request.SpendLastTry, ManagementKey: e.manage,
		})
		return err
	})
	if err != nil && !errors.Is(err, &tokens.Error{Code: tokens.CodeWrongToken}) {
		return err // the PIN, perhaps: it is not tried a second time
	}
	e.u.note(func(n *notesData) { n.forget(keys) })
	return nil
}

// madeKeys are the keys that the token made for this, and that nothing else can
// have use for.
func (e *enrolling) madeKeys(made *vault.NewSlot) []tokens.Key {
	if e.request.UseExisting || e.token.Unlisted { // those keep nothing of it
		return nil
	}
	return made.Enrollment.Keys
}

// undo removes from the token what run left there, after the keyslot could not
// be committed, so that trying again finds the slots as they were. A key that
// was there before stays.
func (e *enrolling) undo(made *vault.NewSlot) {
	wiper, ok := e.driver.(tokens.Wiper)
	if !ok || e.request.UseExisting || e.token.Kind == tokens.KindSoft || e.token.Unlisted {
		e.u.endChange(nil)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), undoLimit)
	defer cancel()
	err := e.u.onToken(ctx, e.token.Locator, e.ref, e.cause, func(ctx context.Context, _ telling) error {
		if err := e.u.d.presence.still(e.token, e.stay); err != nil {
			return err
		}
		_, err := wiper.Wipe(ctx, tokens.WipeRequest{
			Locator: e.token.Locator, Keys: made.Enrollment.Keys, PIN: e.request.PIN, ManagementKey: e.manage,
		})
		return err
	})
	e.u.endChange(func(n *notesData) {
		if err != nil { // enrolling it again does
			n.unfinished(e.madeKeys(made))
		}
	})
	if err != nil {
		e.u.d.log.Warn("cannot remove the keys of a failed enrolment", "uid", e.u.uid, "kind", string(e.token.Kind))
	}
}
