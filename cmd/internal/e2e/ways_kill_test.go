//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
)

// wayKills is how often TestKilledWhileWaysChange kills the daemon in all, and
// wayLanes how many vaults share that at a time.
const (
	wayKills = 200
	wayLanes = 4
)

// TestKilledWhileWaysChange kills the daemon while tokens are enrolled and
// revoked and the recovery password is set and rotated: now and then at any
// moment of the call, else right when the state folder changes. Each
// time the vault is as before or as after the call, every keyslot listed opens
// all that it claims, and what lies beside the vault agrees with it.
func TestKilledWhileWaysChange(t *testing.T) {
	t.Parallel()
	// As they are shipped: under the race detector the recovery password alone
	// would take most of the time.
	p := plainPrograms(t)
	var mu sync.Mutex
	tally := map[string]int{}
	t.Run("lanes", func(t *testing.T) {
		for n := range wayLanes {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				l := newLane(t, p, n)
				for range wayKills / wayLanes {
					l.round()
				}
				mu.Lock()
				defer mu.Unlock()
				for k, n := range l.tally {
					tally[k] += n
				}
			})
		}
	})
	t.Logf("%d kills: %v", wayKills, tally)
	for _, action := range []string{"token-enroll", "token-revoke", "recovery"} {
		if tally[action+", before"] < 2 || tally[action+", after"] < 2 {
			t.Errorf("%s: too little happened for this to prove anything", action)
		}
	}
}

// lane is one vault whose ways in change, and what is known of it.
type lane struct {
	*Daemon
	t        *testing.T
	keys     []key
	enrolled map[string]bool // by label
	password string
	accounts []sample
	highest  uint64 // HOTP counter that was handed out
	watch    *moments
	took     map[string]time.Duration // how long a call takes that nobody interrupts, by its kind
	changes  map[string]int           // how often it changes the state folder, by its kind
	rounds   int
	tally    map[string]int
}

// newLane starts lane n: all have two cards and a software token, and the first
// two a FIDO2 key beside, one with a PIN and one without.
func newLane(t *testing.T, p Programs, n int) *lane {
	r := rig.Start(t, rig.Options{})
	l := &lane{
		Daemon: NewDaemon(t, p, r.Env()), t: t, enrolled: map[string]bool{}, password: "the first recovery password",
		took: map[string]time.Duration{}, changes: map[string]int{}, tally: map[string]int{},
	}
	l.keys = []key{newPIVKey(t, r, 0, "card"), newPIVKey(t, r, 1, "other card"), softKey{"soft", File(t, "a long passphrase for it")}}
	if n < 2 {
		fido := newFIDOKey(t, "FIDO2 key", []string{keyPIN, ""}[n])
		l.keys = append(l.keys, fido)
		l.Args = []string{"--fido2-device", fido.device()}
	}
	l.Start()
	l.OK("", slices.Concat([]string{"init", "--label", "card", "--recovery-password-file", File(t, l.password)}, l.keys[0].enroll())...)
	l.enrolled["card"] = true
	l.accounts = samples(5)
	l.accounts[4].class = "session"
	for _, a := range l.accounts {
		l.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", a.class)
	}
	l.watch = watchMoments(t, l.State)
	l.calibrate(l.enrolling(l.keys[1]))
	l.calibrate(l.rotating(false))
	for _, k := range l.keys[2:] {
		l.calibrate(l.enrolling(k))
	}
	for _, k := range l.keys[1:] {
		l.calibrate(l.revoking(k))
	}
	l.calibrate(l.rotating(true))
	return l
}

// change is one call that changes who opens the vault.
type change struct {
	name, action string
	args         []string
	// after is what holds once it is made.
	enrolled map[string]bool
	password string
	subject  key // that comes or goes, nil where none does
}

// kind is what calls have in common that take the same time.
func (c change) kind() string { return fmt.Sprintf("%s %T", c.action, c.subject) }

func (l *lane) change(action string, subject key) change {
	c := change{name: action, action: action, subject: subject, enrolled: map[string]bool{}, password: l.password}
	if subject != nil {
		c.name += " " + subject.name()
	}
	for label := range l.enrolled {
		c.enrolled[label] = true
	}
	return c
}

// proof is how the call shows that its user may make it: with a key that can
// open everything.
func (l *lane) proof(without key) []string {
	for _, k := range l.keys {
		if l.enrolled[k.name()] && k.touch() && k != without {
			return []string{"--auth-token", k.name()}
		}
	}
	l.t.Fatal("no key is left that opens the touch class")
	return nil
}

func (l *lane) enrolling(k key) change {
	c := l.change("token-enroll", k)
	c.enrolled[k.name()] = true
	c.args = slices.Concat([]string{"token", "enroll", "--label", k.name()}, k.enroll())
	c.args = append(c.args, l.proof(k)...)
	if by := l.keyOf(l.proof(k)[1]); !k.touch() && by.pinFile() != "" { // the session class: its agreement takes a PIN
		c.args = append(c.args, "--auth-pin-file", by.pinFile())
	}
	return c
}

func (l *lane) revoking(k key) change {
	c := l.change("token-revoke", k)
	delete(c.enrolled, k.name())
	c.args = slices.Concat([]string{"token", "revoke", k.name(), "--yes"}, l.proof(k))
	return c
}

func (l *lane) rotating(rotate bool) change {
	verb, action := "set-password", "recovery-set"
	if rotate {
		verb, action = "rotate", "recovery-rotate"
	}
	c := l.change(action, nil)
	c.password = fmt.Sprintf("recovery password number %d", rand.IntN(1<<30))
	c.args = []string{"recovery", verb, "--token", l.touching(nil)[0].name(), "--recovery-password-file", File(l.t, c.password)}
	if rotate {
		c.args = append(c.args, "--yes")
	}
	return c
}

func (l *lane) keyOf(name string) key {
	for _, k := range l.keys {
		if k.name() == name {
			return k
		}
	}
	l.t.Fatalf("no key %q", name)
	return nil
}

// pick chooses what to do next: any of what can be done.
func (l *lane) pick() change {
	var could []func() change
	for _, k := range l.keys {
		switch {
		case !l.enrolled[k.name()]:
			could = append(could, func() change { return l.enrolling(k) })
		case len(l.touching(k)) > 0:
			could = append(could, func() change { return l.revoking(k) })
		}
		// What needs a password is slow on purpose, and so comes less often.
		if n := len(could); k.touch() {
			could = append(could, could[n-min(n, 1):]...)
			could = append(could, could[n-min(n, 1):]...)
		}
	}
	could = append(could, func() change { return l.rotating(rand.IntN(3) > 0) })
	return could[rand.IntN(len(could))]()
}

// touching are the enrolled keys that can open everything, k left out.
func (l *lane) touching(k key) (list []key) {
	for _, o := range l.keys {
		if l.enrolled[o.name()] && o.touch() && o != k {
			list = append(list, o)
		}
	}
	return list
}

// calibrate makes a change in peace.
func (l *lane) calibrate(c change) {
	l.watch.drain()
	began := time.Now()
	l.OK("", c.args...)
	l.took[c.kind()], l.changes[c.kind()] = time.Since(began), l.watch.next(time.Now().Add(time.Second))
	l.enrolled, l.password = c.enrolled, c.password
	if c.action == "token-revoke" {
		l.wipe(c.subject)
	}
}

// round interrupts one change and looks at what became of it.
func (l *lane) round() {
	l.rounds++
	c := l.pick()
	before := l.lastAudit()
	l.watch.drain()
	done := make(chan struct{})
	var r Result
	go func() {
		defer close(done)
		r = l.Ctl("", c.args...)
	}()
	if rand.IntN(4) == 0 {
		time.Sleep(time.Duration(rand.Int64N(int64(l.took[c.kind()] * 9 / 8))))
	} else {
		l.watch.killAfter(l.PID(), 1+rand.IntN(l.changes[c.kind()]), done)
	}
	l.Kill()
	<-done
	if r.Exit != 0 && r.Exit != 21 && r.Exit != 15 { // unreachable, or cut off
		l.t.Fatalf("%s was refused: %s", c.name, r)
	}
	l.Start()
	made := l.settle(c, r)
	when := map[bool]string{false: "before", true: "after"}[made]
	if c.subject == nil {
		l.tally["recovery, "+when]++
	} else {
		l.tally[c.action+", "+when]++
	}
	l.audited(c, before, made)
	l.whole(made && c.action != "token-enroll" || c.subject != nil && !c.subject.touch())
	l.beside()
	switch {
	case c.action == "token-enroll" && !made:
		l.again(c)
	case c.action == "token-revoke" && made:
		l.wipe(c.subject)
	}
}

// settle opens the vault and says whether it is as after the change, or fails
// the test where it is neither so nor as before.
func (l *lane) settle(c change, r Result) (made bool) {
	Eventually(l.t, 10*time.Second, func() error {
		for _, k := range l.keys {
			if place(k) != "" && l.seen(k) == nil {
				return fmt.Errorf("%s is not seen", k.name())
			}
		}
		return nil
	})
	for _, k := range l.keys { // any that is enrolled before and after
		if l.enrolled[k.name()] && c.enrolled[k.name()] {
			// A locked vault tells no labels; the token's own description does.
			l.unlock(k)
			break
		}
	}
	s := l.status()
	if s.Vault.State != ipc.VaultUnlocked || s.Vault.Problem != nil {
		l.t.Fatalf("after %s: %+v", c.name, s.Vault)
	}
	listed := l.listed()
	switch {
	case c.subject != nil && equal(listed, c.enrolled):
		made = true
	case c.subject != nil && !equal(listed, l.enrolled), c.subject == nil && !equal(listed, l.enrolled):
		l.t.Fatalf("after %s: enrolled are %v, neither %v nor %v", c.name, listed, l.enrolled, c.enrolled)
	case c.subject == nil:
		made = l.newPassword(c)
	}
	if r.Exit == 0 && !made {
		l.t.Fatalf("%s was reported done, and is not: %s", c.name, r)
	}
	if made {
		l.enrolled, l.password = c.enrolled, c.password
	}
	return made
}

// newPassword says which of the recovery passwords opens the vault: one does,
// and the other does not.
func (l *lane) newPassword(c change) bool {
	now := l.Ctl(c.password, "recovery", "check", "--recovery-password-file", "-")
	if now.Exit == 0 {
		return true
	}
	if old := l.Ctl(l.password, "recovery", "check", "--recovery-password-file", "-"); old.Exit != 0 || now.Exit != 18 {
		l.t.Fatalf("after %s neither recovery password opens it: %s\n%s", c.name, old, now)
	}
	return false
}

func (l *lane) tokens() []ipc.Token {
	var list ipc.TokenList
	l.JSON(&list, "token", "list")
	return list.Tokens
}

// place is where a key is plugged in, "" where it is none to be.
func place(k key) string {
	switch k := k.(type) {
	case *pivKey:
		return k.rig.Readers()[k.reader]
	case *fidoKey:
		return k.device()
	}
	return ""
}

// seen is how a key that is plugged in is listed, nil where it is not.
func (l *lane) seen(k key) *ipc.Token {
	for _, tok := range l.tokens() {
		if tok.Present && tok.Locator != "" && tok.Locator == place(k) {
			return &tok
		}
	}
	return nil
}

func (l *lane) listed() map[string]bool {
	m := map[string]bool{}
	for _, k := range l.tokens() {
		if k.Enrolled {
			m[k.Label] = true
		}
	}
	return m
}

// unlock opens the vault by a key.
func (l *lane) unlock(k key) {
	// A locked vault tells no labels; where it is, and what, tells one from the rest.
	for _, tok := range l.tokens() {
		if tok.Enrolled && tok.Present && tok.Locator == place(k) {
			l.OK("", slices.Concat([]string{"unlock", "--token", tok.ID}, pinOf(k))...)
			return
		}
	}
	l.t.Fatalf("%s is not seen to be enrolled: %+v", k.name(), l.tokens())
}

func equal(a, b map[string]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

// whole checks that every key that is listed opens all that it claims, that the
// others open nothing, and that accounts, order and codes are unharmed.
func (l *lane) whole(rekeyed bool) {
	for _, k := range l.keys {
		// A passphrase is slow on purpose: where no key was changed, now and then.
		if !l.enrolled[k.name()] || !k.touch() && !rekeyed && l.rounds%4 != 0 {
			continue
		}
		var got ipc.TestTokenResult
		l.JSON(&got, append([]string{"token", "test", k.name()}, pinOf(k)...)...)
		want := []string{"session"}
		if k.touch() {
			want = append(want, "touch")
		}
		if slices.Sort(got.Opened); !slices.Equal(got.Opened, want) {
			l.t.Fatalf("%s opens %v, not %v", k.name(), got.Opened, want)
		}
	}
	var list ipc.AccountList
	l.JSON(&list, "account", "list")
	names := []string{}
	for _, a := range list.Accounts {
		names = append(names, a.Name)
	}
	want := []string{}
	for _, a := range l.accounts {
		want = append(want, a.name)
	}
	if !slices.Equal(names, want) {
		l.t.Fatalf("the accounts are %v, not %v", names, want)
	}
	// One of each: session, touch, counter. The card touched is any.
	l.lockedOut()
	any := l.touching(nil)
	l.OK("", "lock")
	l.unlock(any[l.rounds%len(any)])
	session, touch, hotp := l.accounts[l.rounds%2*2], l.accounts[1+l.rounds%2*2], l.accounts[4]
	checkOne(l.t, l.Daemon, session)
	checkOne(l.t, l.Daemon, touch)
	c := l.code(hotp.name)
	if c.Counter == nil || *c.Counter <= l.highest || c.Code != hotp.oathtool(l.t, c) {
		l.t.Fatalf("%+v after counter %d", c, l.highest)
	}
	l.highest = *c.Counter
}

// lockedOut checks that no key that is not enrolled is a way in.
func (l *lane) lockedOut() {
	for _, k := range l.keys {
		if l.enrolled[k.name()] {
			continue
		}
		if tok := l.seen(k); tok != nil && tok.Enrolled {
			l.t.Fatalf("%s is not enrolled, and listed as %+v", k.name(), tok)
		}
		if r := l.Ctl("", append([]string{"token", "test", k.name()}, pinOf(k)...)...); r.Exit == 0 {
			l.t.Fatalf("%s is not enrolled, and opens the vault: %s", k.name(), r)
		}
	}
}

// wipe removes what a revoked keyslot left on its token: the daemon knows which
// keys those are, whenever it was killed.
func (l *lane) wipe(k key) {
	if _, ok := k.(*pivKey); !ok { // nothing is left on any other
		return
	}
	tok := l.seen(k)
	if tok == nil {
		l.t.Fatalf("%s is not seen", k.name())
	}
	l.OK("", "token", "wipe", tok.ID, "--yes", "--pin-file", k.pinFile())
}

// again enrols a key whose enrolment was interrupted. What that left on it is
// cleared away where the daemon knows of it; where not, the user is told.
func (l *lane) again(c change) {
	r := l.Ctl("", c.args...)
	if r.Exit == 20 && c.subject.overwrite() != nil {
		if !strings.Contains(r.Stderr, "interrupted") || !strings.Contains(r.Stderr, "--overwrite") {
			l.t.Fatalf("no clear word on what an interrupted enrolment left: %s", r)
		}
		l.tally["left a key that must be named"]++
		r = l.Ctl("", append(c.args, c.subject.overwrite()...)...)
	}
	if r.Exit != 0 {
		l.t.Fatalf("cannot enrol again what was interrupted: %s", r)
	}
	l.enrolled = c.enrolled
}
