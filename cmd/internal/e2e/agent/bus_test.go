//go:build linux

package agent

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

const tokendName = "io.github.tokenbridge.Tokend1"

// beginGdbus asks for a code over D-Bus, with GLib's client, and waits for nothing.
func (d *desk) beginGdbus(account, interaction string) *process {
	d.t.Helper()
	p := &process{
		cmd: exec.Command("gdbus", "call", "--session", "--timeout", "150", "-d", tokendName, "-o", "/io/github/tokenbridge/Tokend1",
			"-m", tokendName+".Manager.GenerateCode", account, "{'interaction': <'"+interaction+"'>}"),
		out: &e2e.Buffer{}, said: &e2e.Buffer{}, done: make(chan struct{}),
	}
	p.cmd.Env = slices.Concat(os.Environ(), d.Env)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.said
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	d.t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

// TestBusGetsCodeThroughAgent has a program ask over D-Bus and wait, while the
// agent asks the user: for consent, which is refused and given, and for the PIN.
func TestBusGetsCodeThroughAgent(t *testing.T) {
	d := newDesk(t)
	e2e.Eventually(t, 20*time.Second, func() error {
		return exec.Command("gdbus", "wait", "--address", d.session.address, "--timeout", "20", tokendName).Run()
	})
	code := regexp.MustCompile(`^\('[0-9]{6}', `)
	fails := func(p *process, name string) {
		t.Helper()
		if exit := p.ends(t); exit == 0 || p.out.String() != "" || !strings.Contains(p.said.String(), tokendName+".Error."+name) {
			t.Errorf("want %s: exit %d, %q, %s", name, exit, p.out, p.said)
		}
	}
	succeeds := func(p *process) {
		t.Helper()
		if exit := p.ends(t); exit != 0 || !code.MatchString(p.out.String()) {
			t.Errorf("exit %d, %q, %s", exit, p.out, p.said)
		}
	}
	d.OK("", "grant", "mode", "ask")
	fails(d.beginGdbus("Example:session", "agent"), "ConsentRequired") // no agent: as without
	fails(d.beginGdbus("Example:session", "none"), "ConsentRequired")
	d.agent()

	script := d.beginGdbus("Example:session", "agent")
	n := d.notes.wait(t, "Hand out a code of Example:session?", false)
	if !strings.Contains(n.body, "gdbus") {
		t.Errorf("asked as %+v", n)
	}
	d.notes.act(t, n.id, "refuse")
	fails(script, "ConsentRequired")
	before := len(d.notes.notes())
	fails(d.beginGdbus("Example:session", "agent"), "ConsentRequired") // within the minute of a refusal
	if len(d.notes.notes()) != before {
		t.Error("he was asked again at once")
	}

	d.OK("", "grant", "mode", "ask") // forgives the refusal
	script = d.beginGdbus("Example:session", "agent")
	n = d.notes.wait(t, "Hand out a code of Example:session?", false)
	d.notes.act(t, n.id, "lock")
	succeeds(script)
	d.notes.wait(t, "Hand out", true)
	// It holds for the next gdbus, and for no other program.
	succeeds(d.beginGdbus("Example:session", "none"))
	d.Fails(10, "", []string{"code", "Example:session"}, "no grant")
	var list ipc.GrantList
	d.JSON(&list, "grant", "list")
	if len(list.Grants) != 1 || list.Grants[0].Requester.Program != "gdbus" || list.Grants[0].Uses != 1 {
		t.Errorf("%+v", list)
	}

	// A locked vault: the PIN first, then consent, for the lock took the grant.
	d.OK("", "lock")
	asked := len(d.notes.notes())
	script = d.beginGdbus("Example:session", "agent")
	d.sees("needs the PIN", 1)
	d.types(vpiv.FactoryPIN + "\r")
	e2e.Eventually(t, 30*time.Second, func() error {
		for _, n := range d.notes.notes()[asked:] {
			if strings.Contains(n.summary, "Hand out") {
				d.notes.act(t, n.id, "once")
				return nil
			}
		}
		return os.ErrNotExist
	})
	succeeds(script)
	fails(d.beginGdbus("Example:session", "none"), "ConsentRequired") // once is once

	d.OK("", "grant", "mode", "deny")
	fails(d.beginGdbus("Example:session", "agent"), "NotAuthorized")
}
