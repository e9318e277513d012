package daemon_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// later runs a code call and hands over how it ended.
func later(ctx context.Context, d *daemon.Daemon, p ipc.Principal, ref string) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := d.Code(ctx, p, ref, ipc.CodeRequest{Interaction: "agent"})
		out <- err
	}()
	return out
}

func ended(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the call hangs")
		return nil
	}
}

func TestLockedVaultIsUnlockedByTheAgent(t *testing.T) {
	d := start(t, nil)
	p := program("1000", "2", "cron.service", "/usr/bin/backup")
	made := initSoft(t, d, p)
	add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Example")
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	tries := 0
	desk := join(t, d, p, func(e ipc.Event) ipc.AgentAnswer {
		if tries++; tries == 1 {
			return ipc.AgentAnswer{Allow: true, PIN: secretOf("a wrong passphrase")}
		}
		return ipc.AgentAnswer{Allow: true, PIN: secretOf(passphrase)}
	})
	call := later(t.Context(), d, p, "alice")
	first := desk.next(t, ipc.EventPINWanted)
	if first.Wanted != "alice" || first.Account != nil {
		t.Errorf("it is asked for %q, %v", first.Wanted, first.Account)
	}
	if first.Token == nil || first.Token.ID != made.Token.ID || first.Requester != "backup (4711)" || first.From.Unit != "cron.service" || first.Detail != "" {
		t.Errorf("asked as %+v", first)
	}
	second := desk.next(t, ipc.EventPINWanted)
	if !strings.Contains(second.Detail, "passphrase is wrong") {
		t.Errorf("after a wrong one it is asked as %+v", second)
	}
	if done := desk.next(t, ipc.EventPINDone); done.OK == nil || !*done.OK {
		t.Errorf("withdrawn as %+v", done)
	}
	if err := ended(t, call); err != nil {
		t.Error(err)
	}
	// Asked once, and not again as long as the vault is open.
	if err := code(t, d, p, "alice", "agent"); err != nil || desk.questions() != 2 {
		t.Errorf("%v, asked %d times", err, desk.questions())
	}
}

// A list that is refreshed asks nobody.
func TestListAsksForNoPIN(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Example")
	_ = d.Lock(t.Context(), p)
	desk := join(t, d, p, says(false, ""))
	_, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Interaction: "agent", Passive: true})
	if wantKind(t, err, ipc.VaultLocked); desk.questions() != 0 {
		t.Error("the PIN was asked for")
	}
}

func TestManyWaitForOnePIN(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Example")
	_ = d.Lock(t.Context(), p)
	desk := join(t, d, p, func(ipc.Event) ipc.AgentAnswer {
		return ipc.AgentAnswer{Allow: true, PIN: secretOf(passphrase)}
	})
	var calls []<-chan error
	for _, exe := range []string{"/usr/bin/a", "/usr/bin/b", "/usr/bin/c", "/usr/bin/c"} {
		calls = append(calls, later(t.Context(), d, program("1000", "", "", exe), "alice"))
	}
	for _, c := range calls {
		if err := ended(t, c); err != nil {
			t.Error(err)
		}
	}
	if n := desk.questions(); n != 1 {
		t.Errorf("the PIN was asked for %d times", n)
	}
}

func TestRefusedPIN(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Example")
	_ = d.Lock(t.Context(), p)
	desk := join(t, d, p, says(false, ""))
	for range 3 {
		if e := wantKind(t, code(t, d, p, "alice", "agent"), ipc.Cancelled); e.RetryAfter == 0 {
			t.Errorf("%+v", e)
		}
	}
	if n := desk.questions(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestQuestionEnds tries all that can happen to a question but an answer: each
// ends the call with its kind, and the question is withdrawn.
func TestQuestionEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		locked bool
		limit  time.Duration
		end    func(d *daemon.Daemon, p ipc.Principal, desk *agent, leave func(), e ipc.Event) error
		kind   ipc.Kind
		gone   bool // the agent is, so that it is told nothing more
	}{
		"the agent dies": {limit: 12 * time.Second, end: func(_ *daemon.Daemon, _ ipc.Principal, desk *agent, _ func(), _ ipc.Event) error {
			desk.leave()
			return nil
		}, kind: ipc.ConsentRequired, gone: true},
		"the agent dies over a PIN": {limit: 12 * time.Second, locked: true, end: func(_ *daemon.Daemon, _ ipc.Principal, desk *agent, _ func(), _ ipc.Event) error {
			desk.leave()
			return nil
		}, kind: ipc.VaultLocked, gone: true},
		"the caller leaves": {end: func(_ *daemon.Daemon, _ ipc.Principal, _ *agent, leave func(), _ ipc.Event) error {
			leave()
			return nil
		}, kind: ipc.Cancelled},
		"the caller leaves a PIN": {locked: true, end: func(_ *daemon.Daemon, _ ipc.Principal, _ *agent, leave func(), _ ipc.Event) error {
			leave()
			return nil
		}, kind: ipc.Cancelled},
		"the vault is locked": {end: func(d *daemon.Daemon, p ipc.Principal, _ *agent, _ func(), _ ipc.Event) error {
			return d.Lock(context.Background(), p)
		}, kind: ipc.VaultLocked},
		"nobody answers": {limit: 50 * time.Millisecond, end: func(*daemon.Daemon, ipc.Principal, *agent, func(), ipc.Event) error {
			return nil
		}, kind: ipc.ConsentRequired},
		"the agent cannot": {end: func(d *daemon.Daemon, p ipc.Principal, _ *agent, _ func(), e ipc.Event) error {
			return d.AnswerAgent(context.Background(), p, ipc.AgentAnswer{Operation: e.Operation, Unable: true})
		}, kind: ipc.ConsentRequired},
		"the mode becomes deny": {end: func(d *daemon.Daemon, p ipc.Principal, _ *agent, _ func(), e ipc.Event) error {
			_, err := d.SetGrantMode(context.Background(), p, ipc.SetGrantModeRequest{Mode: ipc.GrantDeny})
			return errors.Join(err, d.AnswerAgent(context.Background(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true}))
		}, kind: ipc.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			d, p := asking(t, func(c *daemon.Config) { c.AskLimit = tc.limit })
			if tc.locked {
				_ = d.Lock(t.Context(), p)
			}
			desk := join(t, d, p, nil)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			call := later(ctx, d, p, "alice")
			wanted, done := ipc.EventConsentWanted, ipc.EventConsentDone
			if tc.locked {
				wanted, done = ipc.EventPINWanted, ipc.EventPINDone
			}
			e := desk.next(t, wanted)
			if err := tc.end(d, p, desk, leave, e); err != nil {
				t.Error(err)
			}
			wantKind(t, ended(t, call), tc.kind)
			if !tc.gone {
				if w := desk.next(t, done); w.Operation != e.Operation || w.OK == nil {
					t.Errorf("withdrawn as %+v", w)
				}
			}
			err := d.AnswerAgent(t.Context(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true})
			wantKind(t, err, ipc.NotFound)
		})
	}
}

// TestOnlyTheUserAnswers has another user try to see and to answer.
func TestOnlyTheUserAnswers(t *testing.T) {
	d, p := asking(t, nil)
	stranger := program("1001", "2", "vte-spawn-1.scope", "/usr/bin/curl")
	spy := join(t, d, stranger, nil)
	call := later(t.Context(), d, p, "alice")
	wantKind(t, ended(t, call), ipc.ConsentRequired) // a stranger's agent is none
	desk := join(t, d, p, nil)
	call = later(t.Context(), d, p, "alice")
	e := desk.next(t, ipc.EventConsentWanted)
	err := d.AnswerAgent(t.Context(), stranger, ipc.AgentAnswer{Operation: e.Operation, Allow: true, For: ipc.GrantToLock})
	missing := d.AnswerAgent(t.Context(), stranger, ipc.AgentAnswer{Operation: "none", Allow: true})
	if wantKind(t, err, ipc.NotFound).Error() != missing.Error() {
		t.Errorf("a stranger is told %v, of nothing %v", err, missing)
	}
	if spy.questions() != 0 {
		t.Error("a stranger was asked")
	}
	// Answers that do not fit leave the question open.
	for _, bad := range []ipc.AgentAnswer{{PIN: secretOf("1"), Allow: true}, {Allow: true, Unable: true}, {Allow: true, For: "ever"}} {
		bad.Operation = e.Operation
		wantKind(t, d.AnswerAgent(t.Context(), p, bad), ipc.InvalidArgument)
	}
	if err := d.AnswerAgent(t.Context(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true}); err != nil {
		t.Error(err)
	}
	if err := ended(t, call); err != nil {
		t.Error(err)
	}
}

// TestAgentsOfSessions has the agent of the asking session asked, any other
// where that has none, and the next where one leaves.
func TestAgentsOfSessions(t *testing.T) {
	d, p := asking(t, nil)
	two := join(t, d, program("1000", "2", "", "/usr/bin/tokenctl"), nil)
	three := join(t, d, program("1000", "3", "", "/usr/bin/tokenctl"), nil)
	second := program("1000", "3", "", "/usr/bin/tokenctl")
	second.PID++
	if err := d.Agent(t.Context(), second, "touch", func(ipc.Event) error { return nil }); ipc.KindOf(err) != ipc.AlreadyExists {
		t.Errorf("a second agent of a session: %v", err)
	}
	if err := d.Agent(t.Context(), program("1000", "9", "", ""), "touch,everything", nil); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("an agent that can do what there is not: %v", err)
	}
	call := later(t.Context(), d, p, "alice") // of session 2
	e := two.next(t, ipc.EventConsentWanted)
	if three.questions() != 0 {
		t.Error("the agent of another session was asked too")
	}
	two.leave()
	if next := three.next(t, ipc.EventConsentWanted); next.Operation != e.Operation {
		t.Errorf("the other agent is asked %+v", next)
	}
	if err := d.AnswerAgent(t.Context(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true}); err != nil {
		t.Error(err)
	}
	if err := ended(t, call); err != nil {
		t.Error(err)
	}
	// Who connects late is told what is open.
	call = later(t.Context(), d, p, "alice")
	e = three.next(t, ipc.EventConsentWanted)
	late := join(t, d, program("1000", "2", "", "/usr/bin/tokenctl"), nil)
	if again := late.next(t, ipc.EventConsentWanted); again.Operation != e.Operation {
		t.Errorf("%+v", again)
	}
	_ = d.AnswerAgent(t.Context(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true})
	_ = ended(t, call)
	if list, err := d.Grants(t.Context(), p); err != nil || len(list.Agents) != 2 {
		t.Errorf("%+v, %v", list.Agents, err)
	}
}

// TestQuestionsAreLimited has ever new programs ask.
func TestQuestionsAreLimited(t *testing.T) {
	d, p := asking(t, nil)
	desk := join(t, d, p, says(false, ""))
	for i := range 40 {
		p.Unit = "run-" + string(rune('A'+i)) + ".scope"
		wantKind(t, code(t, d, p, "alice", "agent"), ipc.ConsentRequired)
	}
	if n := desk.questions(); n != 12 {
		t.Errorf("he was asked %d times within a minute", n)
	}
}

// able registers an agent of a session that can only so much, and hands over what
// it hears first.
func able(t *testing.T, d *daemon.Daemon, p ipc.Principal, can string) (first ipc.Event, leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard, done := make(chan ipc.Event, 64), make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Agent(ctx, p, can, func(e ipc.Event) error { heard <- e; return nil }); err != nil {
			t.Errorf("the agent: %v", err)
		}
	}()
	leave = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(leave)
	select {
	case first = <-heard:
	case <-time.After(20 * time.Second):
		t.Fatal("the agent hears nothing")
	}
	return first, leave
}

// TestAgentThatCannotAsk: one that can ask nothing is the agent of its session all
// the same, and never ends what another asks; nor does a program that is no agent.
func TestAgentThatCannotAsk(t *testing.T) {
	d, p := asking(t, nil)
	other := p
	other.Session, other.PID = "9", 9
	able(t, d, other, "")
	st, err := d.Status(t.Context(), p)
	if err != nil || st.Grants.Agents != 0 {
		t.Errorf("%d agents can ask, %v", st.Grants.Agents, err)
	}
	wantKind(t, code(t, d, p, "alice", "agent"), ipc.ConsentRequired) // nobody is there to ask
	desk := join(t, d, p, nil)
	if list, err := d.Grants(t.Context(), p); err != nil || len(list.Agents) != 2 || list.Agents[0].Can == nil {
		t.Errorf("%+v, %v", list.Agents, err)
	}
	second := p
	second.PID = 2
	if err := d.Agent(t.Context(), second, "", func(ipc.Event) error { return nil }); ipc.KindOf(err) != ipc.AlreadyExists {
		t.Errorf("a second agent of a session, which can nothing: %v", err)
	}
	call := later(t.Context(), d, p, "alice")
	e := desk.next(t, ipc.EventConsentWanted)
	wantKind(t, d.AnswerAgent(t.Context(), other, ipc.AgentAnswer{Operation: e.Operation, Unable: true}), ipc.NotFound)
	stranger := p
	stranger.Session = "7"
	wantKind(t, d.AnswerAgent(t.Context(), stranger, ipc.AgentAnswer{Operation: e.Operation, Unable: true}), ipc.NotFound)
	if err := d.AnswerAgent(t.Context(), p, ipc.AgentAnswer{Operation: e.Operation, Allow: true}); err != nil {
		t.Error(err)
	}
	if err := ended(t, call); err != nil {
		t.Error(err)
	}
}

// TestOneOfTwoCannotAsk: what two agents ask, because it comes from no session of
// theirs, is asked as long as one of them can.
func TestOneOfTwoCannotAsk(t *testing.T) {
	d, p := asking(t, nil)
	two, three := program("1000", "2", "", "/usr/bin/tokenctl"), program("1000", "3", "", "/usr/bin/tokenctl")
	desks := []*agent{join(t, d, two, nil), join(t, d, three, nil)}
	cron := p
	cron.Session = ""
	for _, unable := range []int{1, 2} {
		call := later(t.Context(), d, cron, "alice")
		e := desks[0].next(t, ipc.EventConsentWanted)
		desks[1].next(t, ipc.EventConsentWanted)
		answer := ipc.AgentAnswer{Operation: e.Operation, Unable: true}
		if err := d.AnswerAgent(t.Context(), two, answer); err != nil {
			t.Error(err)
		}
		if unable == 2 {
			if err := d.AnswerAgent(t.Context(), three, answer); err != nil {
				t.Error(err)
			}
			wantKind(t, ended(t, call), ipc.ConsentRequired)
			continue
		}
		if err := d.AnswerAgent(t.Context(), three, ipc.AgentAnswer{Operation: e.Operation, Allow: true}); err != nil {
			t.Error(err)
		}
		if err := ended(t, call); err != nil {
			t.Error(err)
		}
	}
}

// TestAgentComesBack: a question outlives an agent that registers anew, because it
// can do other things, or is started again, and whoever comes back is told what is
// open still.
func TestAgentComesBack(t *testing.T) {
	d, p := asking(t, nil)
	desk := join(t, d, p, nil)
	call := later(t.Context(), d, p, "alice")
	e := desk.next(t, ipc.EventConsentWanted)
	first, leave := able(t, d, p, "touch") // in its own place, and for a while it cannot ask
	if !slices.Contains(first.Waits, e.Operation) {
		t.Errorf("of the open question it is told %v", first.Waits)
	}
	desk.leave()
	leave()
	back := p
	back.PID++ // another process
	again := join(t, d, back, nil)
	if next := again.next(t, ipc.EventConsentWanted); next.Operation != e.Operation {
		t.Errorf("it is asked %+v", next)
	}
	if err := d.AnswerAgent(t.Context(), back, ipc.AgentAnswer{Operation: e.Operation, Allow: true}); err != nil {
		t.Error(err)
	}
	if err := ended(t, call); err != nil {
		t.Error(err)
	}
	again.leave()
	if first, _ := able(t, d, p, "touch"); len(first.Waits) != 0 {
		t.Errorf("it is told that there is open %v", first.Waits)
	}
}
