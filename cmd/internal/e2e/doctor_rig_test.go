//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// finding is one thing that the doctor tells: what causes it, and what has to be done
// besides the command that it advises. That command is taken from what is printed and
// typed as it stands, so that advice which does not work fails the test.
type finding struct {
	code  string
	level string
	// about is in the message, where several findings of a code can be there at once.
	about string
	// cause brings it about; nil where it is there already.
	cause func(w *ward)
	// fill puts what is meant in the place of words such as FILE in the command.
	fill map[string]string
	// says answers what the command asks.
	says []answer
	// exit is how the command ends.
	exit int
	// hand does what the advice says to do by hand, before the command is typed; or
	// all of it, where there is no command.
	hand func(w *ward, f ipc.Finding)
	// after is what somebody else does once the command was typed: the system, or time.
	after func(w *ward, f ipc.Finding)
	// next is in what the command prints before another, which is typed then.
	next string
	// tidy makes room for what comes next.
	tidy func(w *ward)
	// stays says that nothing mends it, and that it is told for good.
	stays bool
	// background says that the command is one that goes on.
	background bool
}

// answer is what is typed at a prompt that has the pattern.
type answer struct{ prompt, text string }

// ward is where findings are caused: a daemon, and a person at a terminal.
type ward struct {
	*Daemon
	*person
	seen map[string]bool // the codes that were caused and seen gone
	// other is a daemon that the person has started; nil for none.
	other *seat
	// holder is a program that has a port.
	holder *exec.Cmd
}

// newWard prepares a daemon for a scene of findings; Start starts it. sudo is nobody's
// who is root already.
func newWard(t *testing.T, env []string, args ...string) *ward {
	t.Helper()
	d := NewDaemon(t, plainPrograms(t), env, args...)
	w := &ward{Daemon: d, person: &person{t: t, d: d, home: t.TempDir(), bin: t.TempDir()}, seen: map[string]bool{}}
	w.tool("sudo", `exec "$@"`)
	return w
}

// tool puts a program in front of the machine's own of that name.
func (w *ward) tool(name, script string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// doctor is what the doctor tells.
func (w *ward) doctor() []ipc.Finding {
	w.t.Helper()
	r := w.Ctl("", "--json", "doctor")
	var f ipc.Findings
	if err := json.Unmarshal([]byte(r.Stdout), &f); err != nil || r.Exit != 0 && r.Exit != 1 && r.Exit != 21 {
		w.t.Fatalf("%v: %s", err, r)
	}
	return f.Findings
}

// tells finds what the doctor tells of a finding, unless it is that all is well.
func (w *ward) tells(f finding) (ipc.Finding, bool) {
	w.t.Helper()
	for _, g := range w.doctor() {
		if g.Code == f.code && g.Level != "ok" && strings.Contains(g.Message, f.about) {
			return g, true
		}
	}
	return ipc.Finding{}, false
}

// prove causes a finding, follows what is printed, and sees it gone.
func (w *ward) prove(f finding) {
	w.t.Helper()
	if f.cause != nil {
		if g, is := w.tells(f); is {
			w.t.Fatalf("%s is told before it is caused: %+v", f.code, g)
		}
		f.cause(w)
	}
	got := w.awaits(f)
	w.follow(f, got)
	w.seen[f.code] = true
	if !f.stays {
		w.gone(f, got)
	}
	if w.other != nil {
		<-w.other.interrupts().done
		w.other = nil
		w.Start()
	}
	if f.tidy != nil {
		f.tidy(w)
	}
}

// gone waits until a finding is told no more.
func (w *ward) gone(f finding, got ipc.Finding) {
	w.t.Helper()
	Eventually(w.t, patience, func() error {
		if g, is := w.tells(f); is {
			return fmt.Errorf("after %q: %+v", got.Fix, g)
		}
		if f.background && w.Ctl("", "status").Exit != 0 { // between two daemons nothing is told
			return fmt.Errorf("after %q no daemon answers", got.Fix)
		}
		return nil
	})
}

// awaits is the finding, as soon as it is told.
func (w *ward) awaits(f finding) (got ipc.Finding) {
	w.t.Helper()
	Eventually(w.t, 30*time.Second, func() error {
		var is bool
		if got, is = w.tells(f); !is || got.Level != f.level {
			return fmt.Errorf("the doctor does not tell %s %s %q: %+v", f.level, f.code, f.about, w.doctor())
		}
		// Whoever reads it copies from there.
		if printed := w.Ctl("", "doctor").Stdout; !strings.Contains(printed, got.Message) || got.Fix != "" && !strings.Contains(printed, "mend it: "+got.Fix+"\n") {
			return fmt.Errorf("%+v is not printed as it is:\n%s", got, printed)
		}
		return nil
	})
	w.t.Logf("%s %s: %s\n\tmend it: %s", got.Level, got.Code, got.Message, got.Fix)
	return got
}

// follow does what a finding advises.
func (w *ward) follow(f finding, got ipc.Finding) {
	w.t.Helper()
	if f.hand != nil {
		f.hand(w, got)
	} else if got.Fix == "" {
		w.t.Fatalf("nothing says what mends it: %+v", got)
	}
	if got.Fix != "" {
		w.types(got.Fix, f)
	}
	if f.after != nil {
		f.after(w, got)
	}
}

// types types a command and answers what it asks.
func (w *ward) types(line string, f finding) {
	w.t.Helper()
	for word, meant := range f.fill {
		if !strings.Contains(line, word) {
			w.t.Fatalf("there is no %s in %q", word, line)
		}
		line = strings.ReplaceAll(line, word, meant)
	}
	if m := regexp.MustCompile(`\b[A-Z]{4,}\b`).FindString(line); m != "" && !strings.Contains(line, "/") {
		w.t.Fatalf("%s is left in %q", m, line)
	}
	s := w.runs(line)
	if f.background {
		w.other = s
		return
	}
	printed := s.answers(f.says).ends(f.exit)
	if f.next != "" {
		line := advised(w.t, printed, f.next+`(.*)`)
		w.runs(line).answers(f.says).ends(f.exit)
	}
}

// answers answers prompts as they come, by what stands in their line, until the command
// has ended. The first of the list that fits counts.
func (s *seat) answers(list []answer) *seat {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		unseen := s.text()[s.seen:]
		line := unseen[strings.LastIndex(unseen, "\n")+1:]
		for _, a := range list {
			if strings.HasSuffix(line, " ") && regexp.MustCompile(a.prompt).MatchString(line) {
				s.seen += len(unseen)
				s.types(a.text)
				break
			}
		}
		select {
		case <-s.done:
			return s
		default:
		}
	}
	s.t.Fatalf("it does not end, or asks for more:\n%s", s.text())
	return s
}
