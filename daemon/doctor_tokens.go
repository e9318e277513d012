package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// inspectLimit bounds how long the doctor waits for one token, or for what one
// driver finds.
const inspectLimit = 5 * time.Second

// fixScdaemon is the command that mends what several findings are about.
const fixScdaemon = "gpgconf --kill scdaemon"

// fixLibrary builds a helper that can work with FIDO2 keys; it installs what that
// needs.
const fixLibrary = "make build"

// fixPolkit lets the user who runs it use smart cards without sitting at the machine.
const fixPolkit = `echo "polkit.addRule(function(a,s){if(a.id.indexOf('org.debian.pcsc-lite.')==0&&s.user=='$USER')return 'yes'})" | sudo tee /etc/polkit-1/rules.d/50-pcsc-$USER.rules`

// blockedCardFix is for pcscd that lets the daemon's helper use no card.
func (c *checkup) blockedCardFix() string {
	if c.u.d.cfg.Mode == ModeSystem {
		return "sudo tokenctl service install" // with the rule for the helper's user
	}
	return fixPolkit
}

// needs says how much an obstacle to tokens of a kind matters: it is an error to
// who has such a token and does not have it at hand, a warning to who has no
// token yet, and else to be known.
func (c *checkup) needs(kind tokens.Kind) string {
	slots := c.u.slots()
	missed := func(s vault.Slot) bool { return s.Kind == kind && !c.u.seen(c.p, s) }
	switch {
	case slices.ContainsFunc(slots, missed):
		return levelError
	case len(slots) == 0:
		return levelWarning
	}
	return levelNote
}

func (c *checkup) services() {
	if c.u.d.helper() != "ok" {
		return // which is said, and why nothing is known of them
	}
	for _, kind := range watchedKinds(c.u.d.cfg.Watchers) {
		name, code := serviceName(kind), "service-"+string(kind)
		fix := ""
		if kind == tokens.KindPIV {
			fix = serviceFix(kind)
		}
		ok, detail := c.u.d.presence.service(kind)
		if strings.Contains(detail, "made without libfido2") {
			fix = fixLibrary
		}
		switch {
		case ok:
			c.found(levelOK, code, "", "%s works", name)
		case slices.ContainsFunc(c.u.slots(), func(s vault.Slot) bool { return s.Kind == kind }):
			c.found(levelError, code, fix, "%s cannot be used: %s", name, detail)
		default: // it matters to who has such a token
			c.found(levelNote, code, fix, "%s cannot be used: %s", name, detail)
		}
	}
}

// diagnose asks the drivers why tokens that are plugged in are not seen, or
// cannot be used.
func (c *checkup) diagnose(ctx context.Context) {
	if !c.u.d.mayUseTokens(c.p) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	var wg sync.WaitGroup
	found := make(map[tokens.Kind][]tokens.Finding)
	var mu sync.Mutex
	for kind, driver := range c.u.d.cfg.Drivers {
		d, ok := driver.(tokens.Diagnoser)
		if !ok {
			continue
		}
		wg.Go(func() {
			list, err := d.Diagnose(ctx) // an old helper cannot; then there is nothing to say
			if err != nil {
				c.u.d.log.Debug("cannot diagnose tokens", "kind", string(kind), "err", err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[kind] = list
		})
	}
	wg.Wait()
	here := c.u.d.presence.all()
	for _, kind := range []tokens.Kind{tokens.KindPIV, tokens.KindFIDO2, tokens.KindSoft} {
		for _, f := range found[kind] {
			at := place{kind, f.Locator}
			if slices.ContainsFunc(here, func(t tokens.Token) bool { return at == place{t.Kind, t.Locator} }) {
				c.told[at] = f // with the token itself
				continue
			}
			c.obstacle(kind, f)
		}
	}
}

// obstacle tells one finding of a driver.
func (c *checkup) obstacle(kind tokens.Kind, f tokens.Finding) {
	message := f.Detail
	if f.Device != "" {
		message = fmt.Sprintf("%s: %s", f.Device, f.Detail)
	}
	if f.Locator != "" && f.Locator != f.Device {
		message += " (" + f.Locator + ")"
	}
	level, code := c.needs(kind), "token-"+string(f.Code)
	if f.Code == tokens.CodeNotPresent && level == levelError {
		level = levelWarning // the token may be elsewhere
	}
	if f.Code == tokens.CodeNoService || f.Code == tokens.CodeUnsupported && f.Device == "" {
		// Said already, with less detail, by the service's own finding.
		service := "service-" + string(kind)
		c.list = slices.DeleteFunc(c.list, func(old ipc.Finding) bool {
			if old.Code == service && old.Level != levelOK {
				level = old.Level
				return true
			}
			return false
		})
		code = service
	}
	if kind == tokens.KindPIV && f.Code == tokens.CodeNoAccess && f.Locator == "" && f.Fix == "" {
		f.Fix = c.blockedCardFix()
	}
	if f.Code == tokens.CodeUnsupported && strings.Contains(f.Detail, "made without libfido2") {
		f.Fix = fixLibrary
	}
	c.found(level, code, f.Fix, "%s", message)
}

// tokens asks each token that is present.
func (c *checkup) tokens(ctx context.Context) {
	if !c.u.d.mayUseTokens(c.p) {
		c.found(levelNote, "tokens", "", "the tokens of this machine are for who sits at it")
		return
	}
	c.u.recognise(ctx, c.p)
	here := c.u.d.presence.all()
	if len(here) == 0 {
		c.found(levelNote, "tokens", "", "no hardware token is present")
	}
	for _, t := range here {
		ref := *c.u.tokenRef(t)
		c.lost(t)
		if f, ok := c.told[place{t.Kind, t.Locator}]; ok && (t.Problem == nil || t.Problem.Code == f.Code) {
			t.Problem = tokens.Errorf(f.Code, "%s", f.Detail)
		}
		if t.Problem != nil {
			c.problem(t, ref)
			continue
		}
		if _, ok := c.u.d.cfg.Drivers[t.Kind].(tokens.Inspector); ok {
			c.inspect(ctx, t, ref)
		}
	}
}

// problem tells why a token that is present cannot be used, and what mends it.
func (c *checkup) problem(t tokens.Token, ref ipc.TokenRef) {
	level := levelWarning
	switch {
	case t.Problem.Code == tokens.CodeLastTry, t.Problem.Code == tokens.CodePINRequired: // it can be used
	case c.u.enrolled(t):
		level = levelError
	case !unread(t.Problem.Code): // it can be none of the user's
		level = levelNote
		if len(c.u.slots()) == 0 {
			level = levelWarning
		}
	case c.needs(t.Kind) == levelError:
		level = levelError // it may be the one that is missed
	}
	fix := c.problemFix(t, ref)
	if f := c.told[place{t.Kind, t.Locator}]; f.Fix != "" && f.Fix != tokens.FixAccess && !strings.HasPrefix(f.Fix, "tokenctl token pin") {
		fix = f.Fix // which knows the machine
	}
	c.found(level, "token-"+string(t.Problem.Code), fix, "%s", problemMessage(t, ref))
}

// problemMessage says why a token that is present cannot be used.
func problemMessage(t tokens.Token, ref ipc.TokenRef) string {
	message := t.Problem.Detail
	if message == "" || t.Problem.Code == tokens.CodePINBlocked { // problemNote says the rest
		message = tokenMessage(t.Problem, t.Kind)
	}
	return fmt.Sprintf("token %q: %s%s", named(t, ref).Label, message, problemNote(t))
}

// problemNote is what is to be known, or done by hand, about a token's problem.
func problemNote(t tokens.Token) string {
	switch t.Problem.Code {
	case tokens.CodeTimeout, tokens.CodeProtocol:
		return "; pull it out and put it back"
	case tokens.CodeUnsupported:
		return "; nothing mends that, another token is needed"
	case tokens.CodePINBlocked:
		return blockedNote(t.Kind)
	case tokens.CodeBusy:
		if t.Kind == tokens.KindPIV {
			return "; that is often GnuPG's scdaemon"
		}
	}
	return ""
}

// named is ref with the place, which tells apart tokens of one model.
func named(t tokens.Token, ref ipc.TokenRef) ipc.TokenRef {
	if ref.Label == "" {
		ref.Label = ref.ID
	}
	if ref.ID == t.ID && t.Serial == "" {
		ref.Label += " (" + t.Locator + ")"
	}
	return ref
}

// problemFix is the command that mends a token's problem, or that shows, after
// what problemNote says, whether it is mended; empty where nothing does.
func (c *checkup) problemFix(t tokens.Token, ref ipc.TokenRef) string {
	enrolled := c.u.enrolled(t)
	switch t.Problem.Code {
	case tokens.CodeNoAccess:
		return c.u.d.fixAccess()
	case tokens.CodePINBlocked:
		return c.blockedFix(t, ref)
	case tokens.CodePINNotSet, tokens.CodePINChange:
		return "tokenctl token pin " + ref.ID
	case tokens.CodeLastTry, tokens.CodePINRequired:
		if enrolled {
			return "tokenctl token test " + ref.ID
		}
	case tokens.CodeBusy:
		if t.Kind == tokens.KindPIV {
			return fixScdaemon
		}
	case tokens.CodeNoService:
		return serviceFix(t.Kind)
	case tokens.CodeUnsupported, tokens.CodePINPaused: // no command does
		return ""
	}
	return "tokenctl token info " + ref.ID
}

// blockedFix is the way back from a blocked PIN. A FIDO2 key has none but a reset,
// which destroys what it opens: the keyslot goes first, for which the vault has
// to be open, and has to have another way.
func (c *checkup) blockedFix(t tokens.Token, ref ipc.TokenRef) string {
	reset := "fido2-token -R " + t.Locator
	switch {
	case t.Kind != tokens.KindFIDO2:
		return "tokenctl token pin " + ref.ID + " --unblock"
	case !c.u.enrolled(t):
		return reset
	}
	recovery := !c.u.vaultInfo().RecoverySet.IsZero()
	by := " --recovery" // not the key itself, which would be asked first
	if !recovery {
		for _, s := range c.u.slots() {
			if s.ID != ref.ID {
				by = " --auth-token " + s.ID
			}
		}
	}
	fix := inOrder("tokenctl token revoke "+ref.ID+by, reset, "tokenctl token enroll --token fido2")
	switch {
	case !recovery && len(c.u.slots()) == 1: // it is the last way
		return ""
	case c.u.sess.Load() != nil:
		return fix
	case recovery:
		return "tokenctl unlock --recovery && " + fix
	}
	return "tokenctl unlock && " + fix
}

// lost finds a token that is an enrolled one, and does not hold its key any more.
func (c *checkup) lost(t tokens.Token) {
	for _, slot := range c.u.slots() {
		if slot.Kind != t.Kind || c.u.seen(c.p, slot) {
			continue
		}
		reset := slices.ContainsFunc(c.u.d.presence.lostKeys(t), func(k tokens.SlotKey) bool {
			return slices.ContainsFunc(slot.Keys, func(own tokens.Key) bool { return sameKey(k, slotKey(own)) })
		})
		same := !t.Unlisted && t.Problem == nil && slot.Serial != "" && slot.Serial != "0" && slot.Serial == t.Serial
		if !reset && !same {
			continue
		}
		ref := slotRef(slot)
		what := "its slots were cleared or hold other keys"
		if t.Unlisted {
			what = "it was reset, or it is another key"
		}
		c.found(levelError, "token-reset", "tokenctl token revoke "+ref.ID+" && tokenctl token enroll --token "+string(t.Kind),
			"token %q is plugged in and does not hold the keys of its keyslot any more: %s", ref.Label, what)
	}
}

func (c *checkup) inspect(ctx context.Context, t tokens.Token, ref ipc.TokenRef) {
	ctx, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	details, err := c.u.inspect(ctx, c.p, t, ref)
	if err != nil {
		t.Problem = &tokens.Error{Code: tokens.CodeTimeout, Tries: -1}
		e := mapError(err)
		if e.Kind == ipc.Busy {
			t.Problem.Code = tokens.CodeBusy
		}
		fix, note := c.problemFix(t, ref), problemNote(t)
		if t.Kind == tokens.KindPIV && t.Problem.Code == tokens.CodeTimeout { // one that is held is waited for
			fix, note = fixScdaemon, "; another program may hold it, often GnuPG's scdaemon; else pull it out and put it back"
		}
		c.found(levelWarning, "token", fix, "%s%s", e.Message, note)
		return
	}
	for _, s := range c.u.slots() {
		if holds(t, s.Keys...) {
			c.u.noteFactory(s.ID, details)
		}
	}
	ref = named(t, ref)
	fine := true
	warn := func(is bool, w tokens.Warning) {
		if is {
			fine = false
			it := ipc.Token{ID: ref.ID, Kind: string(t.Kind), Label: ref.Label, Serial: t.Serial, NoPIN: t.NoPIN}
			x := tokenWarning(w, it, c.u.withPIN(it))
			c.found(levelWarning, x.Code, x.Fix, "%s", x.Message)
		}
	}
	warn(details.FactoryPIN, tokens.WarnFactoryPIN)
	warn(details.FactoryPUK, tokens.WarnFactoryPUK)
	warn(details.FactoryKey, tokens.WarnFactoryKey)
	warn(slices.ContainsFunc(c.u.slots(), func(s vault.Slot) bool { return holds(t, s.Keys...) && opensWithoutPIN(s) }), tokens.WarnNoPIN)
	if p := details.Token.Problem; p != nil {
		fine = false
		t.Problem = p
		c.problem(t, ref)
	}
	switch {
	case details.Token.Problem != nil:
	case details.PINTries == 0:
		fine = false
		c.found(levelError, "pin-blocked", c.blockedFix(t, ref), "the PIN of token %q is blocked%s", ref.Label, blockedNote(t.Kind))
	case details.PINTries == 1:
		fine = false
		c.found(levelWarning, "pin-last-try", "tokenctl token test "+ref.ID, "token %q has one PIN try left: the right PIN gives back the others", ref.Label)
	}
	if fine {
		c.found(levelOK, "token", "", "token %q answers", ref.Label)
	}
}

func blockedNote(kind tokens.Kind) string {
	if kind == tokens.KindFIDO2 {
		return "; only a reset right after plugging it in mends that, and it destroys all that the key opens, here and elsewhere"
	}
	return ""
}
