package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// opening is how a call will open a class of the vault.
type opening struct {
	way  vault.Way
	slot string // the keyslot, empty for the recovery key
	by   string // for people
	// recovery says that a recovery password or key does it.
	recovery bool
}

// cause is what an operation is for: it names who asks, in events.
type cause struct {
	who     ipc.Principal
	account *ipc.AccountRef
	// noTouch ends the operation rather than wait for a touch.
	noTouch bool
}

// way chooses how to open class among slots by what the caller offers. It fails
// before any token is asked where the choice is not clear.
func (u *user) way(ctx context.Context, a ipc.Auth, class tokens.Class, slots []vault.Slot, c cause) (opening, error) {
	if len(a.RecoveryPassword) > 0 || len(a.RecoveryKey) > 0 {
		if len(a.RecoveryPassword) > 0 && len(a.RecoveryKey) > 0 {
			return opening{}, ipc.Errorf(ipc.InvalidArgument, "either the recovery password or the recovery key opens, not both")
		}
		key, err := typedKey(a.RecoveryKey)
		if err != nil {
			return opening{}, err
		}
		by := byRecovery
		if len(a.RecoveryKey) > 0 {
			by = byRecoveryKey
		}
		return opening{
			way: vault.Way{Password: a.RecoveryPassword, RecoveryKey: key},
			by:  by, recovery: true,
		}, nil
	}
	slot, err := u.pick(ctx, a, class, slots, c)
	if err != nil {
		return opening{}, err
	}
	return u.through(slot, a, c), nil
}

// through is the opening by one keyslot.
func (u *user) through(slot vault.Slot, a ipc.Auth, c cause) opening {
	ref := slotRef(slot)
	o := opening{slot: slot.ID, by: ref.Label}
	o.way = vault.Way{SlotID: slot.ID, Exchange: func(ctx context.Context, k tokens.Key, peer []byte) ([]byte, error) {
		shared, err := u.agree(ctx, job{
			key: k, peer: peer, ref: ref, slot: slot, cause: c,
			pin: a.PIN, spendLast: a.SpendLastTry,
		})
		if err != nil {
			return nil, err
		}
		return shared, nil
	}}
	return o
}

// pick finds the keyslot that is meant.
func (u *user) pick(ctx context.Context, a ipc.Auth, class tokens.Class, slots []vault.Slot, c cause) (vault.Slot, error) {
	if a.Token != "" {
		slot, err := u.namedHere(slots, a.Token)
		if err != nil {
			return vault.Slot{}, err
		}
		if _, ok := slot.Key(class); !ok {
			e := ipc.Errorf(ipc.NoKeyslot, "token %q does not open accounts of class %s", slotRef(slot).Label, class)
			e.Token = new(slotRef(slot))
			return vault.Slot{}, e
		}
		if !u.isHere(ctx, c.who, slot) {
			return vault.Slot{}, u.missing(c.who, slot)
		}
		return slot, nil
	}
	var able, here []vault.Slot
	for _, s := range slots {
		if _, ok := s.Key(class); ok {
			able = append(able, s)
		}
	}
	if len(able) == 0 {
		return vault.Slot{}, ipc.Errorf(ipc.NoKeyslot, "no token opens accounts of class %s", class)
	}
	u.look(ctx, c.who, able, len(a.PIN) > 0)
	for _, s := range able {
		if u.seen(c.who, s) {
			here = append(here, s)
		}
	}
	return u.choose(a, able, here, c)
}

// choose picks among the keyslots whose tokens are here. A PIN is for one
// token, so it is not shown to one that the caller may not have meant.
func (u *user) choose(a ipc.Auth, able, here []vault.Slot, c cause) (vault.Slot, error) {
	switch {
	case len(here) == 0 && len(able) == 1:
		return vault.Slot{}, u.missing(c.who, able[0])
	case len(here) == 0:
		for _, slot := range able {
			if e := u.serviceDown(slot.Kind); e != nil {
				return vault.Slot{}, e
			}
		}
		kind, message := ipc.TokenNotPresent, "none of the enrolled tokens is present"
		if u.d.mayUseTokens(c.who) && len(u.d.presence.all()) > 0 {
			kind, message = ipc.NoKeyslot, "the tokens that are present are not enrolled"
		}
		e := u.besides(c.who, ipc.Errorf(kind, "%s", message), able)
		e.Items = slotItems(able)
		return vault.Slot{}, e
	case len(here) > 1 && len(a.PIN) > 0:
		e := ipc.Errorf(ipc.AmbiguousToken, "several enrolled tokens are present and a PIN is for one")
		e.Items = slotItems(here)
		return vault.Slot{}, e
	case len(a.PIN) > 0 && len(u.unanswered(c.who, u.elsewhere(c.who, able))) > 0:
		e := ipc.Errorf(ipc.AmbiguousToken, "a token that is present did not say which keyslot it is of, and a PIN is for one token")
		e.Items = slotItems(here)
		return vault.Slot{}, e
	}
	if s := u.sess.Load(); s != nil {
		for _, slot := range here {
			if slot.ID == s.slot {
				return slot, nil
			}
		}
	}
	for _, slot := range here { // a token of hardware before a key file
		if slot.Kind != tokens.KindSoft {
			return slot, nil
		}
	}
	return here[0], nil
}

// isHere says whether the token of a keyslot can be asked now, once all has been
// done to find it.
func (u *user) isHere(ctx context.Context, p ipc.Principal, slot vault.Slot) bool {
	u.look(ctx, p, []vault.Slot{slot}, false)
	return u.seen(p, slot)
}

// seen says whether the token of a keyslot is known to be here. A software token
// is where its key file is.
func (u *user) seen(p ipc.Principal, slot vault.Slot) bool {
	if slot.Kind == tokens.KindSoft {
		return len(slot.KeyFile) > 0
	}
	if !u.d.mayUseTokens(p) {
		return false
	}
	_, ok := u.d.presence.holder(slot.Keys...)
	return ok
}

// elsewhere are those of slots whose tokens are not known to be here.
func (u *user) elsewhere(p ipc.Principal, slots []vault.Slot) []vault.Slot {
	return slices.DeleteFunc(slices.Clone(slots), func(s vault.Slot) bool { return u.seen(p, s) })
}

// look finds out which of the keyslots' tokens are here, as far as that takes
// waiting or asking: until one is found, or all that are here. Where all are, no
// other token that is plugged in has to say anything.
func (u *user) look(ctx context.Context, p ipc.Principal, slots []vault.Slot, all bool) {
	if !u.d.mayUseTokens(p) {
		return
	}
	here := func(s vault.Slot) bool { return u.seen(p, s) }
	if !all && slices.ContainsFunc(slots, here) {
		return
	}
	if !slices.ContainsFunc(slots, here) {
		u.d.presence.settled(ctx)
		if !all && slices.ContainsFunc(slots, here) {
			return
		}
	}
	if slots = u.elsewhere(p, slots); len(slots) > 0 {
		u.seek(ctx, p, slots, all)
	}
}

// namedSlot is the keyslot with an id, or the one with a label.
func namedSlot(slots []vault.Slot, name string) (vault.Slot, error) {
	var found []vault.Slot
	for _, s := range slots {
		if s.ID == name {
			return s, nil
		}
		if s.Label == name {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return vault.Slot{}, ipc.Errorf(ipc.NotFound, "there is no such token in the vault")
	}
	e := ipc.Errorf(ipc.AmbiguousToken, "several tokens have that label")
	e.Items = slotItems(found)
	return vault.Slot{}, e
}

// namedHere is namedSlot, and says so where a label cannot be found because it
// is sealed: while the vault is locked, and was not open since the daemon started.
func (u *user) namedHere(slots []vault.Slot, name string) (vault.Slot, error) {
	slot, err := namedSlot(slots, name)
	if ipc.KindOf(err) != ipc.NotFound || u.sess.Load() != nil || !u.sealed(slots) {
		return slot, err
	}
	e := ipc.Errorf(ipc.NotFound, "no token of the vault has this id; labels are sealed while it is locked")
	e.Items = slotItems(slots)
	return vault.Slot{}, e
}

// sealed says whether the label of one of slots is not known.
func (u *user) sealed(slots []vault.Slot) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(slots, func(s vault.Slot) bool { return u.labels[s.ID] == "" })
}

func slotItems(slots []vault.Slot) []ipc.Item {
	var items []ipc.Item
	for _, s := range slots {
		items = append(items, ipc.Item{ID: s.ID, Name: slotRef(s).Label, Reason: string(s.Kind)})
	}
	return items
}

// serviceDown is the error that the tokens of a kind cannot be seen at all, nil
// when they can.
func (u *user) serviceDown(kind tokens.Kind) *ipc.Error {
	detail := u.d.presence.down(kind)
	if detail == "" {
		return nil
	}
	what := ipc.TokenService
	if !u.d.presence.watchable(kind) {
		what = ipc.TokenUnsupported
	}
	if state := u.d.helper(); state != "ok" { // the service itself may be well
		return ipc.Errorf(what, "no token can be seen, for the token helper cannot be used: %s", state)
	}
	return ipc.Errorf(what, "%s: %s", serviceSilent(kind), detail)
}

func serviceSilent(kind tokens.Kind) string {
	switch kind {
	case tokens.KindPIV:
		return "no smart card can be seen, for the smart card service (PC/SC) cannot be used"
	case tokens.KindFIDO2:
		return "no FIDO2 key can be seen"
	}
	return "no token of kind " + string(kind) + " can be seen, for its service cannot be used"
}

// serviceName is what knows which tokens of a kind are there.
func serviceName(kind tokens.Kind) string {
	switch kind {
	case tokens.KindPIV:
		return "the smart card service (PC/SC)"
	case tokens.KindFIDO2:
		return "the watch for FIDO2 keys"
	}
	return "the service for tokens of kind " + string(kind)
}

// absent is the error that a keyslot's token is not there to be asked.
func (u *user) absent(slot vault.Slot) *ipc.Error {
	if e := u.serviceDown(slot.Kind); e != nil {
		e.Token = new(slotRef(slot))
		return e
	}
	return notPresent(slot)
}

// missing is absent, and names what is there and could not be asked.
func (u *user) missing(p ipc.Principal, slot vault.Slot) *ipc.Error {
	return u.besides(p, u.absent(slot), []vault.Slot{slot})
}

// besides adds to the error that no token of slots is present which tokens of
// their kinds are, and may be it, but could not be looked at.
func (u *user) besides(p ipc.Principal, e *ipc.Error, slots []vault.Slot) *ipc.Error {
	if e.Kind != ipc.TokenNotPresent && e.Kind != ipc.NoKeyslot || !u.d.mayUseTokens(p) {
		return e
	}
	for _, t := range u.d.presence.all() {
		kind := func(s vault.Slot) bool { return s.Kind == t.Kind }
		if t.Problem == nil || !unread(t.Problem.Code) || u.enrolled(t) || !slices.ContainsFunc(slots, kind) {
			continue
		}
		if e.Kind = ipc.TokenNotPresent; t.Problem.Code == tokens.CodeNoAccess {
			e.Kind = ipc.TokenAccess
		}
		e.Message += fmt.Sprintf("; %q is plugged in and cannot be asked whether it is the one: %s", t.Model, tokenMessage(t.Problem, t.Kind))
		break
	}
	return e
}

// unread says whether a token with such a problem may hold anything.
func unread(c tokens.Code) bool {
	switch c {
	case tokens.CodeNoAccess, tokens.CodeBusy, tokens.CodeTimeout, tokens.CodeProtocol:
		return true
	}
	return false
}

func notPresent(slot vault.Slot) *ipc.Error {
	ref := slotRef(slot)
	e := ipc.Errorf(ipc.TokenNotPresent, "token %q is not present", ref.Label)
	if slot.Kind == tokens.KindSoft {
		e.Message = "the key file of software token " + `"` + ref.Label + `" is not on this machine`
	}
	e.Token = &ref
	return e
}

// Guessing a recovery password or passphrase costs the guesser time: after
// freeGuesses failures in a row each costs a wait that doubles, up to a cap low
// enough that nobody can lock a user out by guessing.
const (
	freeGuesses     = 3
	firstGuessDelay = time.Second
	longestDelay    = 30 * time.Second
	// waitingGuesses is how many slow derivations of one user may be under way
	// or wait.
	waitingGuesses = 4
)

// guesses bounds one user's slow derivations: one at a time, and throttled
// after failures.
type guesses struct {
	one   gate
	tries gauge
}

// deriving marks a context whose call has its place among the derivations.
type deriving struct{}

// derive runs f, which derives a key slowly. wide says that it takes a place
// among all users' too; f must then not wait for a token.
func (u *user) derive(ctx context.Context, wide bool, f func(context.Context) error) error {
	if ctx.Value(deriving{}) != nil {
		return f(ctx)
	}
	g := &u.guess
	if err := g.tries.begin(u.d.clock.Elapsed()); err != nil {
		return err
	}
	defer g.tries.end()
	leave, err := g.one.enter(ctx)
	if err != nil {
		return mapError(err)
	}
	defer leave()
	if wide {
		leave, err := u.d.slow.enter(ctx)
		if err != nil {
			return mapError(err)
		}
		defer leave()
	}
	working := u.d.event(ipc.EventWorking)
	working.Operation = strconv.FormatUint(u.d.operation.Add(1), 10)
	working.Request = ipc.RequestName(ctx)
	u.wait(working)
	defer u.waits.remove(working.Operation)
	err = f(context.WithValue(ctx, deriving{}, true))
	u.d.collectSoon() // a derivation takes hundreds of megabytes
	g.tries.outcome(u.d.clock.Elapsed(), err)
	return err
}

// opened runs f, which opens a class by o. Where that is by the recovery
// password it takes the caller's turn among slow derivations; mixed says that f
// may wait for a token as well.
func (u *user) opened(ctx context.Context, o opening, mixed bool, f func(context.Context) error) error {
	if !o.recovery {
		return f(ctx)
	}
	return u.derive(ctx, !mixed, f)
}

// wrongGuess says whether err is a failed guess.
func wrongGuess(err error) bool {
	var te *tokens.Error
	return errors.Is(err, vault.ErrWrongPassword) || errors.As(err, &te) && te.Code == tokens.CodePINInvalid
}
