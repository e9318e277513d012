//go:build linux

package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// patience is how long something is waited for that must come, on a machine that
// may have much else to do.
const patience = 2 * time.Minute

// person is somebody at a terminal of a machine, with a home of his own.
type person struct {
	t    *testing.T
	d    *Daemon
	home string
	rows uint16 // of the terminal; 60 if 0
	bin  string // a folder of programs that come first; none if empty
}

// seat is one command at the terminal.
type seat struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	seen int
	done chan struct{}
}

// runs types a command line, words between spaces, quotes as a shell has them.
func (p *person) runs(line string) *seat {
	p.t.Helper()
	line = strings.TrimSpace(line)
	p.t.Logf("$ %s", line)
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = p.home
	path := p.d.Programs.Dir + ":/usr/bin:/bin"
	if p.bin != "" {
		path = p.bin + ":" + path + ":/usr/sbin:/sbin"
	}
	cmd.Env = slices.Concat([]string{"PATH=" + path, "HOME=" + p.home, "TOKEND_SOCKET=" + p.d.Socket, "TERM=xterm"}, p.d.Programs.Env(), p.d.Env)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: cmp.Or(p.rows, 60), Cols: 160})
	if err != nil {
		p.t.Fatal(err)
	}
	s := &seat{t: p.t, tty: tty, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		b := make([]byte, 4096)
		for {
			n, err := tty.Read(b)
			s.mu.Lock()
			s.out.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = tty.Close() })
	return s
}

func (s *seat) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// sees waits until the pattern shows after what was seen before.
func (s *seat) sees(pattern string) *seat {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringIndex(s.text()[s.seen:]); m != nil {
			s.seen += m[1]
			return s
		}
	}
	s.t.Fatalf("no %q in:\n%s", pattern, s.text())
	return s
}

// types answers.
func (s *seat) types(line string) *seat {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.tty, line); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// interrupts presses Ctrl-C.
func (s *seat) interrupts() *seat {
	s.t.Helper()
	if _, err := s.tty.Write([]byte{3}); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// ends waits for the end, which must be with the exit code, and is all that was
// shown.
func (s *seat) ends(code int) string {
	s.t.Helper()
	end := make(chan error, 1)
	go func() { end <- s.cmd.Wait() }()
	select {
	case err := <-end:
		got := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		}
		select {
		case <-s.done:
		case <-time.After(patience):
		}
		if got != code {
			s.t.Fatalf("exit code %d, not %d:\n%s", got, code, s.text())
		}
	case <-time.After(patience):
		s.t.Fatalf("it does not end:\n%s", s.text())
	}
	return strings.ReplaceAll(s.text(), "\r\n", "\n")
}

// advised is a command that was printed: the pattern's first group, or all of it.
func advised(t *testing.T, shown, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(shown)
	if m == nil {
		t.Fatalf("nothing in what was shown says %q:\n%s", pattern, shown)
	}
	return strings.TrimSpace(m[len(m)-1])
}
