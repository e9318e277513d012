//go:build linux

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

var sixDigits = regexp.MustCompile(`^[0-9]{6}\n$`)

// locked says how the vault is.
func (d *desk) locked() error {
	var st ipc.Status
	d.JSON(&st, "status")
	if st.Vault.State != ipc.VaultIsLocked {
		return fmt.Errorf("the vault is %s", st.Vault.State)
	}
	return nil
}

func (d *desk) unlock() { d.t.Helper(); d.OK("", "unlock", "--pin-file", d.pin) }

// TestScriptGetsCodeThroughAgent is the whole way: a script without a terminal,
// a locked vault, a wrong PIN and the right one, a touch.
func TestScriptGetsCodeThroughAgent(t *testing.T) {
	d := newDesk(t)
	d.OK("", "lock")
	d.Fails(12, "", []string{"code", "Example:session", "--interaction", "agent"}, "locked") // no agent: as without
	a := d.agent()

	script := d.begin("code", "Example:session", "--interaction", "agent")
	d.sees("desk key", 1)
	d.sees(fmt.Sprintf("(%d)", script.cmd.Process.Pid), 1) // the requester
	d.types("12345\r")                                     // too short for a card: no try is spent
	d.sees("it was not used", 1)
	d.types("111111\r")
	d.sees("2 tries", 1)
	d.types(vpiv.FactoryPIN + "\r")
	if exit := script.ends(t); exit != 0 || !sixDigits.MatchString(script.out.String()) {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
	// Asked once: the vault is open.
	shown := strings.Count(d.screen.String(), "desk key")
	d.OK("", "code", "Example:session", "--interaction", "agent")
	if n := strings.Count(d.screen.String(), "desk key"); n != shown {
		t.Errorf("it was asked again")
	}

	// A touch is announced while the card blinks, and taken back after it.
	var blinked, touched atomic.Int64
	d.card.SetTouch(func(ctx context.Context, _ byte) bool {
		blinked.Store(time.Now().UnixNano())
		select {
		case <-time.After(1500 * time.Millisecond):
		case <-ctx.Done():
		}
		touched.Store(time.Now().UnixNano())
		return true
	})
	script = d.begin("code", "Example:touch", "--interaction", "agent")
	n := d.notes.wait(t, "Touch", false)
	if exit := script.ends(t); exit != 0 || !sixDigits.MatchString(script.out.String()) {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
	if n.summary != "Touch desk key" || !strings.Contains(n.body, "Example:touch") || !strings.Contains(n.body, fmt.Sprintf("tokenctl (%d)", script.cmd.Process.Pid)) {
		t.Errorf("announced as %q, %q", n.summary, n.body)
	}
	after := d.notes.wait(t, "Touch", true)
	t.Logf("a touch: announced %v after the card began to blink, taken back %v after the touch",
		n.shown.Sub(time.Unix(0, blinked.Load())).Round(time.Millisecond), after.closed.Sub(time.Unix(0, touched.Load())).Round(time.Millisecond))

	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.cmd.Process.Pid)); err != nil || !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("the agent may leave core files: %v\n%s", err, limits)
	}
	for _, text := range []string{vpiv.FactoryPIN, "111111", "12345"} {
		if strings.Contains(a.said.String()+d.Log(), text) {
			t.Error("a PIN is in a log")
		}
	}
}

// TestConsent has programs ask, by notification and by pinentry.
func TestConsent(t *testing.T) {
	d := newDesk(t)
	d.agent()
	d.OK("", "grant", "mode", "ask")
	d.Fails(10, "", []string{"code", "Example:session"}, "no grant", "--interaction agent")

	// Refused by a button: no code, and not asked again.
	script := d.begin("code", "Example:session", "--interaction", "agent")
	n := d.notes.wait(t, "Hand out a code of Example:session?", false)
	if !strings.Contains(n.body, "tokenctl") || len(n.actions) != 8 {
		t.Errorf("asked as %+v", n)
	}
	d.sees("Hand out", 1)
	d.notes.act(t, n.id, "refuse")
	if exit := script.ends(t); exit != 10 || script.out.String() != "" {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
	d.notes.wait(t, "Hand out", true)
	before := len(d.notes.notes())
	d.Fails(10, "", []string{"code", "Example:session", "--interaction", "agent"}, "the user refused", "seconds")
	if len(d.notes.notes()) != before {
		t.Error("he was asked again at once")
	}

	// Refused in pinentry.
	script = d.begin("code", "Example:touch", "--interaction", "agent")
	d.sees("Example:touch", 1)
	d.types("r")
	if exit := script.ends(t); exit != 10 || script.out.String() != "" {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}

	// Allowed by a button, until the lock: many clients, one question.
	d.OK("", "grant", "mode", "ask") // forgives the refusals
	before = len(d.notes.notes())
	script = d.start("sh", "-c", `for i in $(seq 31); do "$0" --socket "$1" code Example:session --interaction agent || exit; done`,
		d.Programs.Path("tokenctl"), d.Socket)
	d.notes.wait(t, "Example:session", false)
	d.notes.act(t, d.notes.notes()[before].id, "lock")
	if exit := script.ends(t); exit != 0 || strings.Count(script.out.String(), "\n") != 31 {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
	if n := len(d.notes.notes()) - before; n != 1 {
		t.Errorf("he was asked %d times", n)
	}
	var list ipc.GrantList
	d.JSON(&list, "grant", "list")
	if len(list.Grants) != 1 || list.Grants[0].For != ipc.GrantToLock || list.Grants[0].Uses < 30 || len(list.Agents) != 1 {
		t.Errorf("%+v", list)
	}
	d.OK("", "lock")
	d.unlock()
	d.Fails(10, "", []string{"code", "Example:session"}, "no grant")
	d.OK("", "grant", "mode", "deny")
	d.Fails(10, "", []string{"code", "Example:session", "--interaction", "agent"}, "deny")
}

// TestManyPrograms runs a shell that runs curl again and again: a thousand times
// with TOKEND_TEST_SWEEP=all. (TestThousandShortLivedClients of package daemon
// always has a thousand callers, without their processes.)
func TestManyPrograms(t *testing.T) {
	few, many := 40, 100
	if os.Getenv("TOKEND_TEST_SWEEP") == "all" {
		many = 1000
	}
	d := newDesk(t)
	d.agent()
	d.OK("", "grant", "mode", "ask")
	run := func(n int) (codes, refused int) {
		shell := exec.Command("sh", "-c", `for i in $(seq `+strconv.Itoa(n)+`); do
			curl -sS --unix-socket "$0" -H 'Content-Type: application/json' -d '{"interaction":"agent"}' 'http://tokend/v1/codes?account=Example:session'; echo
		done`, d.Socket)
		out, err := shell.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return strings.Count(string(out), `"code":"`), strings.Count(string(out), `"kind":"consent-required"`)
	}
	answer := func(key string) (asked func() int) {
		before := len(d.notes.notes())
		go func() {
			for range 2000 {
				if all := d.notes.notes(); len(all) > before {
					d.notes.act(t, all[before].id, key)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		return func() int { return len(d.notes.notes()) - before }
	}
	asked := answer("refuse")
	if codes, refused := run(few); codes != 0 || refused != few || // within the minute of a refusal
		asked() != 1 {
		t.Errorf("refused: %d codes, %d refusals, asked %d times", codes, refused, asked())
	}
	d.OK("", "grant", "mode", "ask")
	asked = answer("lock")
	start := time.Now()
	if codes, refused := run(many); codes != many || refused != 0 || asked() != 1 {
		t.Errorf("allowed: %d codes, %d refusals, asked %d times", codes, refused, asked())
	}
	t.Logf("a code in %v, starting curl included", time.Since(start)/time.Duration(many))
}

// TestGrantOfOneWindow: what is granted to a program in one window it has not in
// another. Where the system has no units, process sessions are the windows, and
// with them everybody has some.
func TestGrantOfOneWindow(t *testing.T) {
	d := newDesk(t)
	d.OK("", "grant", "mode", "ask")
	var st ipc.GrantList
	get := func(apart bool) string {
		curl := exec.Command("curl", "-sS", "--unix-socket", d.Socket, "-H", "Content-Type: application/json", "-d", `{"interaction":"agent"}`, "http://tokend/v1/codes?account=Example:session")
		curl.SysProcAttr = &syscall.SysProcAttr{Setsid: apart}
		out, err := curl.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	d.agent()
	go func() { d.notes.act(t, d.notes.wait(t, "Hand out", false).id, "lock") }()
	if got := get(false); !strings.Contains(got, `"code":"`) {
		t.Fatal(got)
	}
	d.JSON(&st, "grant", "list")
	if len(st.Grants) != 1 {
		t.Fatalf("%+v", st)
	}
	from := st.Grants[0].Requester
	if leader, err := unix.Getsid(0); err != nil || from.Unit == "" && from.Leader != leader || from.Unit != "" && from.Leader != 0 {
		t.Errorf("granted to %+v, the session of %d", from, leader)
	}
	asked := len(d.notes.notes())
	if got := get(false); !strings.Contains(got, `"code":"`) || len(d.notes.notes()) != asked {
		t.Errorf("in the same window: %s", got)
	}
	if from.Unit != "" {
		if got := get(true); !strings.Contains(got, `"code":"`) {
			t.Errorf("in the same unit: %s", got)
		}
		return
	}
	go func() {
		for range 2000 {
			if all := d.notes.notes(); len(all) > asked {
				d.notes.act(t, all[asked].id, "refuse")
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if got := get(true); !strings.Contains(got, `"kind":"consent-required"`) || len(d.notes.notes()) != asked+1 {
		t.Errorf("in another window: %s", got)
	}
	// A refusal is for all windows: who starts anew nags no more.
	if got := get(true); !strings.Contains(got, "the user refused") || len(d.notes.notes()) != asked+1 {
		t.Errorf("in a third window: %s", got)
	}
	if got := get(false); !strings.Contains(got, `"code":"`) {
		t.Errorf("in the first window: %s", got)
	}
}

// TestAgentKilledInMidQuestion leaves nothing stuck.
func TestAgentKilledInMidQuestion(t *testing.T) {
	d := newDesk(t)
	d.OK("", "grant", "mode", "ask")
	for name, tc := range map[string]struct {
		locked bool
		asks   string
		exit   int
	}{"consent": {false, "Hand out a code", 10}, "PIN": {true, "needs the PIN", 12}} {
		if tc.locked {
			d.OK("", "lock")
		}
		a := d.agent()
		script := d.begin("code", "Example:session", "--interaction", "agent")
		d.sees(tc.asks, 1)
		if tc.locked && !strings.Contains(d.screen.String(), `"Example:session"`) {
			t.Errorf("the question does not say for what: %q", d.screen)
		}
		asking := children(t, a.cmd.Process.Pid)
		if len(asking) != 1 {
			t.Errorf("%d programs ask", len(asking))
		}
		_ = a.cmd.Process.Kill()
		if exit := script.ends(t); exit != tc.exit {
			t.Errorf("%s: exit %d, %s", name, exit, script.said)
		}
		<-a.done
		for _, pid := range asking { // it does not stay on the terminal
			e2e.Eventually(t, 20*time.Second, func() error {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
					return fmt.Errorf("pinentry outlives the agent: %s", b)
				}
				return nil
			})
		}
		if tc.locked {
			d.unlock()
		}
	}
}

// children are the programs that a process runs.
func children(t *testing.T, pid int) (all []int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for word := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// TestSecondAgent has another agent come that can do nothing, while a question is
// open: it is told, and ends, and neither the question nor the vault hear of it.
func TestSecondAgent(t *testing.T) {
	d := newDesk(t)
	d.OK("", "grant", "mode", "ask")
	d.agent()
	script := d.begin("code", "Example:session", "--interaction", "agent")
	d.sees("Hand out a code", 1)
	env := slices.Clone(d.Env)
	d.Env = append(d.Env, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere")
	useless := func() *process { return d.begin("agent", "--pinentry", "no-such-pinentry") }
	second := useless()
	if exit := second.ends(t); exit != 11 || !strings.Contains(second.said.String(), "tokenctl agent status") {
		t.Errorf("exit %d, %s", exit, second.said)
	}
	third := useless()
	third.says(t, "waiting a moment")
	_ = third.cmd.Process.Signal(syscall.SIGTERM)
	third.ends(t)
	if d.locked() == nil {
		t.Error("an agent that was none locked the vault")
	}
	d.Env = env
	n := d.notes.wait(t, "Hand out", false)
	d.notes.act(t, n.id, "once")
	if exit := script.ends(t); exit != 0 || !sixDigits.MatchString(script.out.String()) {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
}

// TestQuestionOutlivesTheService restarts the notification service while a question
// is open: it stays in pinentry, and is shown by the next service.
func TestQuestionOutlivesTheService(t *testing.T) {
	d := newDesk(t)
	d.OK("", "grant", "mode", "ask")
	d.agent()
	script := d.begin("code", "Example:session", "--interaction", "agent")
	d.notes.wait(t, "Hand out", false)
	d.sees("Hand out", 1)
	_ = d.notes.conn.Close()
	again := d.session.serveNotes()
	n := again.wait(t, "Hand out", false)
	if asked := strings.Count(d.screen.String(), "Hand out"); asked != 1 {
		t.Errorf("pinentry asked %d times", asked)
	}
	again.act(t, n.id, "once")
	if exit := script.ends(t); exit != 0 || !sixDigits.MatchString(script.out.String()) {
		t.Errorf("exit %d, %q, %s", exit, script.out, script.said)
	}
}

// TestLocksWithTheSession plays what logind says.
func TestLocksWithTheSession(t *testing.T) {
	d := newDesk(t)
	a := d.agent()
	e2e.Eventually(t, 20*time.Second, func() error {
		if n := d.login.inhibitors(); n != 1 {
			return fmt.Errorf("%d hold up sleep", n)
		}
		return nil
	})
	must := func(what string, do func()) {
		t.Helper()
		d.unlock()
		do()
		took := e2e.Eventually(t, 20*time.Second, d.locked)
		t.Logf("%s: locked within %v", what, took.Round(time.Millisecond))
	}
	must("Lock", func() { d.login.call("/session/c1", "org.freedesktop.login1.Session.Lock") })
	must("LockedHint", func() { d.login.call("/session/c1", "org.freedesktop.login1.Session.SetLockedHint", true) })
	must("PrepareForSleep", func() { d.login.signal("PrepareForSleep", "b", true) })
	if n := d.login.inhibitors(); n != 0 {
		e2e.Eventually(t, 10*time.Second, func() error {
			if n := d.login.inhibitors(); n != 0 {
				return fmt.Errorf("sleep is still held up by %d", n)
			}
			return nil
		})
	}
	d.login.signal("PrepareForSleep", "b", false)
	e2e.Eventually(t, 20*time.Second, func() error {
		if d.login.inhibitors() != 1 {
			return fmt.Errorf("the next sleep is not held up")
		}
		return nil
	})
	// Another session of the user's is none of this agent's business.
	d.unlock()
	d.login.call("/session/c2", "org.freedesktop.login1.Session.Lock")
	time.Sleep(300 * time.Millisecond)
	if d.locked() == nil {
		t.Error("another session's lock locked the vault")
	}
	must("SessionRemoved", func() {
		d.login.signal("SessionRemoved", "so", "c1", dbus.ObjectPath("/org/freedesktop/login1/session/c1"))
	})
	d.unlock()
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	if exit := a.ends(t); exit != 0 {
		t.Errorf("exit %d: %s", exit, a.said)
	}
	if err := d.locked(); err != nil {
		t.Errorf("the agent was told to end: %v", err)
	}
}

// TestSurvives restarts the daemon, the bus and the notification service under
// an agent.
func TestSurvives(t *testing.T) {
	d := newDesk(t)
	a := d.agent()
	second := d.begin("agent")
	if exit := second.ends(t); exit != 11 || !strings.Contains(second.said.String(), "an agent answers for this session already") {
		t.Errorf("a second agent: exit %d, %s", exit, second.said)
	}
	d.card.SetTouch(vpiv.TouchAfter(time.Second))
	touch := func(what string, s *service) {
		t.Helper()
		e2e.Eventually(t, 60*time.Second, func() error {
			before := len(s.notes())
			if r := d.Ctl("", "code", "Example:touch", "--pin-file", d.pin); r.Exit != 0 {
				return fmt.Errorf("%s", r)
			}
			if len(s.notes()) == before {
				return fmt.Errorf("after %s no touch is announced; the agent said %s", what, a.said)
			}
			return nil
		})
	}
	touch("its start", d.notes)
	d.Stop()
	a.says(t, "no daemon")
	d.Start()
	touch("a restart of the daemon", d.notes)
	_ = d.notes.conn.Close()
	again := d.session.serveNotes()
	touch("a restart of the service", again)
	d.session.stop()
	d.session.start()
	touch("a restart of the bus", d.session.serveNotes())
}

// TestBackupWhenTold changes the vault, and finds a backup in a folder that only the
// agent copies to.
func TestBackupWhenTold(t *testing.T) {
	d := newDesk(t)
	d.Stop()
	d.Args = append(d.Args, "--config", e2e.File(t, "[backup]\ndebounce = \"1s\"\n"))
	d.Start()
	d.unlock()
	d.agent()
	folder := t.TempDir()
	d.OK("", "backup", "destination", "add", folder)
	copies := func() int {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".tokend") }))
	}
	before := copies()
	d.OK("otpauth://totp/Example:new?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example", "account", "add", "--uri-file", "-")
	e2e.Eventually(t, time.Minute, func() error {
		if n := copies(); n <= before {
			return fmt.Errorf("%d backups are in the folder, as before", n)
		}
		return nil
	})
}

// TestWithoutDesktop says what it can do without a notification service or a
// pinentry.
func TestWithoutDesktop(t *testing.T) {
	d := newDesk(t)
	d.Env = append(d.Env, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere")
	a := d.begin("agent", "--pinentry", "no-such-pinentry")
	a.says(t, "cannot ask for PINs: cannot find the pinentry")
	a.says(t, "it can lock the vault when it ends (nothing here tells when your session is locked); it cannot tell of touches, nor ask for PINs, nor ask for consent")
	d.OK("", "grant", "mode", "ask")
	d.Fails(10, "", []string{"code", "Example:session", "--interaction", "agent"}, "no agent can ask")
	_ = a.cmd.Process.Kill()
	<-a.done
	a = d.begin("agent", "--pinentry", "true")
	a.says(t, "cannot ask for PINs: ")
	_ = a.cmd.Process.Kill()
	<-a.done
	a = d.begin("agent")
	a.says(t, "ask for PINs, ask for consent (/usr/bin/pinentry-")
	a.says(t, "it cannot tell of touches: no notification service")
	if r := d.Ctl("", "--json", "status"); !json.Valid([]byte(r.Stdout)) || !strings.Contains(r.Stdout, `"grants":{"mode":"ask","agents":1}`) {
		t.Errorf("%s", r)
	}
}
