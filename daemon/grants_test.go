package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// agent is a program in the user's session, as the daemon knows it; a test
// answers for the user.
type agent struct {
	d      *daemon.Daemon
	p      ipc.Principal
	heard  chan ipc.Event
	leave  func()
	mu     sync.Mutex
	wanted int // questions heard
}

// join registers an agent that hands each question to answer; nil leaves it
// unanswered. The other events are on heard.
func join(t *testing.T, d *daemon.Daemon, p ipc.Principal, answer func(ipc.Event) ipc.AgentAnswer) *agent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &agent{d: d, p: p, heard: make(chan ipc.Event, 64)}
	joined, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		first := sync.OnceFunc(func() { close(joined) })
		err := d.Agent(ctx, p, "touch,pin,consent", func(e ipc.Event) error {
			first()
			g.take(t, e, answer)
			return nil
		})
		if err != nil {
			t.Errorf("the agent: %v", err)
		}
	}()
	g.leave = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(g.leave)
	<-joined
	return g
}

func (g *agent) take(t *testing.T, e ipc.Event, answer func(ipc.Event) ipc.AgentAnswer) {
	if e.Type != ipc.EventPINWanted && e.Type != ipc.EventConsentWanted {
		g.heard <- e
		return
	}
	g.mu.Lock()
	g.wanted++
	g.mu.Unlock()
	g.heard <- e
	if answer == nil {
		return
	}
	a := answer(e)
	a.Operation = e.Operation
	if err := g.d.AnswerAgent(context.Background(), g.p, a); err != nil {
		t.Errorf("answer: %v", err)
	}
}

func (g *agent) questions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wanted
}

// next waits for an event of a kind.
func (g *agent) next(t *testing.T, kind string) ipc.Event {
	t.Helper()
	for {
		select {
		case e := <-g.heard:
			if e.Type == kind {
				return e
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s came", kind)
		}
	}
}

// program is a process of a user.
func program(uid, session, unit, exe string) ipc.Principal {
	return ipc.Principal{UID: uid, PID: 4711, Program: filepath.Base(exe), Session: session, Unit: unit, Exe: exe}
}

func says(allow bool, scope ipc.GrantScope) func(ipc.Event) ipc.AgentAnswer {
	return func(ipc.Event) ipc.AgentAnswer { return ipc.AgentAnswer{Allow: allow, For: scope} }
}

// asking is a daemon with an open vault of two accounts, whose mode is ask.
func asking(t *testing.T, change func(*daemon.Config)) (*daemon.Daemon, ipc.Principal) {
	t.Helper()
	d := start(t, change)
	p := program("1000", "2", "vte-spawn-1.scope", "/usr/bin/curl")
	initSoft(t, d, p)
	for _, name := range []string{"alice", "bob"} {
		add(t, d, p, "otpauth://totp/Example:"+name+"?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example")
	}
	if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantAsk}); err != nil {
		t.Fatal(err)
	}
	return d, p
}

func code(t *testing.T, d *daemon.Daemon, p ipc.Principal, ref, interaction string) error {
	t.Helper()
	c, err := d.Code(t.Context(), p, ref, ipc.CodeRequest{Interaction: interaction})
	if (err == nil) != (c.Code != "") {
		t.Errorf("the code is %q with the error %v", c.Code, err)
	}
	return err
}

// Programs of which nothing is known, because they connected and ended, cannot be
// told apart: a yes to one of them is for that one call.
func TestUnknownProgramsShareNoGrant(t *testing.T) {
	d, known := asking(t, nil)
	g := join(t, d, known, says(true, ipc.GrantToLock))
	for i := range 3 {
		p := ipc.Principal{UID: known.UID, PID: 100 + i}
		if err := code(t, d, p, "alice", "agent"); err != nil {
			t.Fatal(err)
		}
		if g.questions() != i+1 {
			t.Fatalf("%d questions for %d programs", g.questions(), i+1)
		}
		wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
	}
	p := ipc.Principal{UID: known.UID, PID: 200}
	list, err := d.AllowGrant(t.Context(), p, ipc.AllowRequest{Action: ipc.GrantCode, Accounts: []string{"alice"}, For: ipc.GrantToLock})
	if err != nil || len(list.Grants) != 1 || list.Grants[0].For != ipc.GrantOnce {
		t.Fatalf("%+v, %v", list.Grants, err)
	}
}

// An export needs a grant for the secret of each account, spends none in vain, and
// leaves out what is denied.
func TestExportWantsConsent(t *testing.T) {
	d, p := asking(t, nil)
	list, err := d.Accounts(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{list.Accounts[0].ID, list.Accounts[1].ID}
	export := func(interaction string) (ipc.Export, error) {
		return d.ExportAccounts(t.Context(), p, ipc.ExportRequest{Accounts: ids, Interaction: interaction})
	}
	without := func(want ...string) {
		t.Helper()
		_, err := export("")
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind != ipc.ConsentRequired {
			t.Fatalf("%v", err)
		}
		got := []string{}
		for _, it := range e.Items {
			got = append(got, it.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v have no grant, not %v", got, want)
		}
	}
	allow := func(action ipc.GrantAction, refs ...string) {
		t.Helper()
		if _, err := d.AllowGrant(t.Context(), p, ipc.AllowRequest{Action: action, Accounts: refs, For: ipc.GrantOnce}); err != nil {
			t.Fatal(err)
		}
	}
	allow(ipc.GrantCode, ids...) // for codes opens no secret
	without(ids...)
	allow(ipc.GrantReveal, ids[0])
	without(ids[1])
	without(ids[1])
	allow(ipc.GrantReveal, ids[1])
	if x, err := export(""); err != nil || len(x.Accounts) != 2 {
		t.Fatalf("%d accounts, %v", len(x.Accounts), err)
	}
	without(ids...)
	_, err = export("agent")
	wantKind(t, err, ipc.ConsentRequired) // there is none
	g := join(t, d, p, says(true, ipc.GrantOnce))
	if x, err := export("agent"); err != nil || len(x.Accounts) != 2 || g.questions() != 2 {
		t.Fatalf("%d accounts after %d questions, %v", len(x.Accounts), g.questions(), err)
	}
	_, err = export("nobody")
	wantKind(t, err, ipc.InvalidArgument)
	if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Account: ids[1], Mode: ipc.GrantDeny}); err != nil {
		t.Fatal(err)
	}
	without(ids[0])
	if x, err := export("agent"); err != nil || len(x.Accounts) != 1 || len(x.Refused) != 1 || x.Refused[0].ID != ids[1] {
		t.Fatalf("%+v, %v", x.Refused, err)
	}
}

func TestGrantModes(t *testing.T) {
	d, p := asking(t, nil)
	wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
	wantKind(t, code(t, d, p, "alice", "agent"), ipc.ConsentRequired) // no agent: as without
	_, err := d.RevealAccount(t.Context(), p, "alice", ipc.RevealRequest{})
	wantKind(t, err, ipc.ConsentRequired)
	set := func(r ipc.SetGrantModeRequest) ipc.GrantList {
		t.Helper()
		list, err := d.SetGrantMode(t.Context(), p, r)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	set(ipc.SetGrantModeRequest{Mode: ipc.GrantOff, Account: "alice"})
	if err := code(t, d, p, "alice", ""); err != nil {
		t.Errorf("an account whose own mode is off: %v", err)
	}
	wantKind(t, code(t, d, p, "bob", ""), ipc.ConsentRequired)
	list := set(ipc.SetGrantModeRequest{Mode: ipc.GrantDeny, Account: "alice"})
	wantKind(t, code(t, d, p, "alice", "agent"), ipc.NotAuthorized)
	if list.Mode != ipc.GrantAsk || len(list.Accounts) != 1 || list.Accounts[0].Account.Name != "alice" || list.Accounts[0].Mode != ipc.GrantDeny {
		t.Errorf("the list is %+v", list)
	}
	if _, err := d.AllowGrant(t.Context(), p, ipc.AllowRequest{Action: "code", Accounts: []string{"alice"}, For: "lock"}); ipc.KindOf(err) != ipc.NotAuthorized {
		t.Errorf("a grant for a denied account: %v", err)
	}
	if st, err := d.Status(t.Context(), p); err != nil || st.Grants.Mode != ipc.GrantAsk || st.Grants.Accounts != 1 {
		t.Errorf("status tells %+v, %v", st.Grants, err)
	}
	// Another user has his own.
	q := caller("1001")
	initSoft(t, d, q)
	if other, err := d.Grants(t.Context(), q); err != nil || other.Mode != ipc.GrantOff || len(other.Accounts) != 0 {
		t.Errorf("another user sees %+v, %v", other, err)
	}
	set(ipc.SetGrantModeRequest{Inherit: true, Account: "alice"})
	wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
	for _, bad := range []ipc.SetGrantModeRequest{
		{}, {Mode: "never"}, {Inherit: true}, {Mode: ipc.GrantAsk, Inherit: true, Account: "alice"}, {Mode: ipc.GrantAsk, Account: "carol"},
	} {
		if _, err := d.SetGrantMode(t.Context(), p, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestGrantModesAreKeptWithoutNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	p := caller("1000")
	var id string
	t.Run("set", func(t *testing.T) {
		d := start(t, func(c *daemon.Config) { c.StateDir = dir })
		initSoft(t, d, p)
		id = add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Example").ID
		for _, r := range []ipc.SetGrantModeRequest{{Mode: ipc.GrantAsk}, {Mode: ipc.GrantDeny, Account: "alice"}} {
			if _, err := d.SetGrantMode(t.Context(), p, r); err != nil {
				t.Fatal(err)
			}
		}
	})
	path := filepath.Join(dir, "users", "1000", "grants.json")
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), id) || strings.Contains(string(b), "alice") {
		t.Errorf("the file is %s, %v", b, err)
	}
	t.Run("locked", func(t *testing.T) {
		d := start(t, func(c *daemon.Config) { c.StateDir = dir })
		list, err := d.Grants(t.Context(), p)
		if err != nil || list.Mode != ipc.GrantAsk || len(list.Accounts) != 1 || list.Accounts[0].Account != (ipc.AccountRef{ID: id}) {
			t.Errorf("a locked vault lists %+v, %v", list, err)
		}
		if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantAsk, Account: "alice"}); ipc.KindOf(err) != ipc.VaultLocked {
			t.Errorf("by name while locked: %v", err)
		}
		if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantAsk, Account: id}); err != nil {
			t.Errorf("by id while locked: %v", err)
		}
	})
	for _, damage := range []string{"{", `{"version":2,"mode":"off"}`, `{"version":1,"mode":"maybe"}`, `{"version":1,"mode":"off","accounts":{"x":"no"}}`} {
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("damaged", func(t *testing.T) {
			d := start(t, func(c *daemon.Config) { c.StateDir = dir })
			if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
				t.Fatal(err)
			}
			wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
			st, err := d.Status(t.Context(), p)
			if err != nil || !slices.ContainsFunc(st.Warnings, func(w ipc.Warning) bool { return w.Code == "grants-damaged" }) {
				t.Errorf("status warns of %+v, %v", st.Warnings, err)
			}
		})
	}
}

// TestThousandShortLivedClients is the case that others' users complain about:
// each client is a process of its own.
func TestThousandShortLivedClients(t *testing.T) {
	d, p := asking(t, nil)
	desk := join(t, d, program("1000", "2", "app.scope", "/usr/bin/tokenctl"), says(true, ipc.GrantToLock))
	for i := range 1000 {
		p.PID = 10_000 + i
		if err := code(t, d, p, "alice", "agent"); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
	if n := desk.questions(); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
	list, err := d.Grants(t.Context(), p)
	if err != nil || len(list.Grants) != 1 || list.Grants[0].Uses != 999 || list.Grants[0].Requester.Exe != "/usr/bin/curl" {
		t.Errorf("the grants are %+v, %v", list.Grants, err)
	}
}

func TestRefusalGivesNoCode(t *testing.T) {
	c := newClock()
	d, p := asking(t, func(cfg *daemon.Config) { cfg.Clock = c.clock() })
	desk := join(t, d, p, says(false, ""))
	for i := range 1000 {
		p.PID = 10_000 + i
		e := wantKind(t, code(t, d, p, "alice", "agent"), ipc.ConsentRequired)
		if e.RetryAfter == 0 {
			t.Fatalf("client %d is not told when to come again", i)
		}
	}
	if n := desk.questions(); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
	// The pause doubles, up to an hour.
	for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		before := desk.questions()
		c.pass(pause - time.Second)
		_ = code(t, d, p, "alice", "agent")
		if desk.questions() != before {
			t.Errorf("he was asked before %v had passed", pause)
		}
		c.pass(time.Second)
		_ = code(t, d, p, "alice", "agent")
		if desk.questions() != before+1 {
			t.Errorf("he was not asked when %v had passed", pause)
		}
	}
}

func TestGrantEnds(t *testing.T) {
	unlock := func(t *testing.T, d *daemon.Daemon, p ipc.Principal) {
		t.Helper()
		if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		scope ipc.GrantScope
		end   func(t *testing.T, d *daemon.Daemon, p ipc.Principal, c *clock)
	}{
		"once": {ipc.GrantOnce, func(*testing.T, *daemon.Daemon, ipc.Principal, *clock) {}},
		"10min": {ipc.Grant10Min, func(t *testing.T, d *daemon.Daemon, p ipc.Principal, c *clock) {
			c.pass(9 * time.Minute)
			if err := code(t, d, p, "alice", ""); err != nil {
				t.Errorf("after nine minutes: %v", err)
			}
			c.pass(61 * time.Second)
		}},
		"lock": {ipc.GrantToLock, func(t *testing.T, d *daemon.Daemon, p ipc.Principal, c *clock) {
			for range 5 {
				c.pass(9 * time.Minute)
				if err := code(t, d, p, "alice", ""); err != nil {
					t.Errorf("before the lock: %v", err)
				}
			}
			if err := d.Lock(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			unlock(t, d, p)
		}},
		"10min ends at a lock": {ipc.Grant10Min, func(t *testing.T, d *daemon.Daemon, p ipc.Principal, _ *clock) {
			d.LockAll("the machine suspends")
			unlock(t, d, p)
		}},
		"revoked": {ipc.GrantToLock, func(t *testing.T, d *daemon.Daemon, p ipc.Principal, _ *clock) {
			list, err := d.Grants(t.Context(), p)
			if err != nil || len(list.Grants) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			if list, err = d.RevokeGrants(t.Context(), p, ipc.RevokeGrantsRequest{IDs: []string{list.Grants[0].ID}}); err != nil || len(list.Grants) != 0 {
				t.Errorf("after revoking: %+v, %v", list.Grants, err)
			}
		}},
		"denied and asked again": {ipc.GrantToLock, func(t *testing.T, d *daemon.Daemon, p ipc.Principal, _ *clock) {
			for _, m := range []ipc.GrantMode{ipc.GrantDeny, ipc.GrantAsk} {
				if _, err := d.SetGrantMode(t.Context(), p, ipc.SetGrantModeRequest{Mode: m}); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			d, p := asking(t, func(cfg *daemon.Config) { cfg.Clock = c.clock() })
			desk := join(t, d, p, says(true, tc.scope))
			if err := code(t, d, p, "alice", "agent"); err != nil {
				t.Fatal(err)
			}
			desk.leave()
			tc.end(t, d, p, c)
			wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
		})
	}
}

// TestGrantIsForWhoeverIsAlike tries who shares a grant and who does not.
func TestGrantIsForWhoeverIsAlike(t *testing.T) {
	d, p := asking(t, nil)
	join(t, d, p, says(true, ipc.GrantToLock))
	if err := code(t, d, p, "alice", "agent"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*ipc.Principal)
		ref    string
		shares bool
	}{
		"another process":    {func(q *ipc.Principal) { q.PID, q.Program = 99, "renamed" }, "alice", true},
		"another account":    {func(*ipc.Principal) {}, "bob", false},
		"another session":    {func(q *ipc.Principal) { q.Session = "3" }, "alice", false},
		"another unit":       {func(q *ipc.Principal) { q.Unit = "vte-spawn-2.scope" }, "alice", false},
		"another terminal":   {func(q *ipc.Principal) { q.Terminal, q.Leader = "pts/3", 7 }, "alice", false},
		"another executable": {func(q *ipc.Principal) { q.Exe = "/usr/bin/python3" }, "alice", false},
		"unreadable":         {func(q *ipc.Principal) { q.Exe = "" }, "alice", false},
	} {
		q := p
		tc.change(&q)
		if err := code(t, d, q, tc.ref, ""); (err == nil) != tc.shares {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Where there is no unit, the terminal and the process session stand for it.
	window := ipc.Principal{UID: p.UID, PID: 5, Exe: "/usr/bin/tokenctl", Terminal: "pts/3", Leader: 4711}
	if _, err := d.AllowGrant(t.Context(), window, ipc.AllowRequest{Action: ipc.GrantCode, Accounts: []string{"alice"}, For: ipc.GrantToLock}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		terminal string
		leader   int
		shares   bool
	}{"that window": {"pts/3", 4711, true}, "another terminal": {"pts/4", 4711, false}, "the terminal, used anew": {"pts/3", 4800, false}, "a cron job": {"", 99, false}, "nothing known": {}} {
		q := window
		q.PID, q.Terminal, q.Leader = 6, tc.terminal, tc.leader
		if err := code(t, d, q, "alice", ""); (err == nil) != tc.shares {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A refusal holds in all of them, and touches no grant.
	desk := join(t, d, window, says(false, ""))
	for _, leader := range []int{1, 2, 3} {
		q := window
		q.Leader = leader
		if err := code(t, d, q, "alice", "agent"); ipc.KindOf(err) != ipc.ConsentRequired || !strings.Contains(err.Error(), "the user refused") {
			t.Errorf("refused elsewhere: %v", err)
		}
	}
	if n := desk.questions(); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
	if err := code(t, d, window, "alice", "agent"); err != nil {
		t.Error(err)
	}
	if _, err := d.RevealAccount(t.Context(), p, "alice", ipc.RevealRequest{}); ipc.KindOf(err) != ipc.ConsentRequired {
		t.Errorf("a grant for codes and the secret: %v", err)
	}
	if _, err := d.Code(t.Context(), p, "bob", ipc.CodeRequest{Passive: true, Interaction: "agent"}); ipc.KindOf(err) != ipc.ConsentRequired {
		t.Errorf("a list that is refreshed asked: %v", err)
	}
}

func TestEqualRequestsShareAQuestion(t *testing.T) {
	d, p := asking(t, nil)
	answer := make(chan struct{})
	desk := join(t, d, p, func(ipc.Event) ipc.AgentAnswer {
		<-answer
		return ipc.AgentAnswer{Allow: true, For: ipc.Grant10Min}
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := code(t, d, p, "alice", "agent"); err != nil {
				t.Error(err)
			}
		})
	}
	desk.next(t, ipc.EventConsentWanted)
	close(answer)
	wg.Wait()
	if n := desk.questions(); n != 1 {
		t.Errorf("the user was asked %d times", n)
	}
}

func TestAllowAtTheTerminal(t *testing.T) {
	d, p := asking(t, nil)
	if _, err := d.AllowGrant(t.Context(), p, ipc.AllowRequest{Action: "code", Accounts: []string{"alice"}, For: ipc.GrantOnce}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Passive: true}); ipc.KindOf(err) != ipc.ConsentRequired {
		t.Errorf("a list spent the grant: %v", err)
	}
	if err := code(t, d, p, "alice", ""); err != nil {
		t.Error(err)
	}
	wantKind(t, code(t, d, p, "alice", ""), ipc.ConsentRequired)
	for _, bad := range []ipc.AllowRequest{
		{Action: "code", For: "lock"}, {Action: "unlock", For: "lock", Accounts: []string{"alice"}},
		{Action: "code", For: "ever", Accounts: []string{"alice"}}, {Action: "code", For: "lock", Accounts: []string{"alice", "carol"}},
	} {
		if _, err := d.AllowGrant(t.Context(), p, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if list, err := d.Grants(t.Context(), p); err != nil || len(list.Grants) != 0 {
		t.Errorf("left: %+v, %v", list.Grants, err)
	}
}

// TestAuditOfGrants looks for an entry of each grant, refusal, revocation and
// mode, and for names in them.
func TestAuditOfGrants(t *testing.T) {
	d, p := asking(t, nil)
	desk := join(t, d, p, says(true, ipc.GrantToLock))
	_ = code(t, d, p, "alice", "agent")
	desk.leave()
	join(t, d, p, says(false, ""))
	_ = code(t, d, p, "bob", "agent")
	_, _ = d.RevokeGrants(t.Context(), p, ipc.RevokeGrantsRequest{All: true})
	log, err := d.Audit(t.Context(), p)
	if err != nil || !log.Intact {
		t.Fatalf("%+v, %v", log, err)
	}
	var got []string
	for _, e := range log.Entries {
		if strings.HasPrefix(e.Action, "grant") {
			got = append(got, fmt.Sprintf("%s %v %s", e.Action, e.OK, e.Detail))
		}
		if all := fmt.Sprintf("%+v", e); strings.Contains(all, "alice") || strings.Contains(all, "curl") {
			t.Errorf("a name in %s", all)
		}
	}
	want := []string{"grant-mode true ask", "grant true code lock", "grant false code refused", "grant-revoke true code"}
	if !slices.Equal(got, want) {
		t.Errorf("the audit has %q, want %q", got, want)
	}
}
