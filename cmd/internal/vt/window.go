//go:build !windows

package vt

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// Window is a program on a pseudo-terminal, whose screen is looked at as a person
// does.
type Window struct {
	*Terminal
	Cmd *exec.Cmd
	// TTY is the program's end of the terminal, to see in what state it is left.
	TTY *os.File
	// Before is that state as it was before the program was started.
	Before *term.State

	tb    testing.TB
	other *os.File
}

// patience is how long something is waited for that must come, on a machine that
// may have much else to do.
const patience = time.Minute

// Open starts cmd on a terminal of w columns and h lines. The test's end ends it.
func Open(tb testing.TB, cmd *exec.Cmd, w, h int) *Window {
	tb.Helper()
	other, tty, err := pty.Open()
	if err != nil {
		tb.Fatal(err)
	}
	x := &Window{Terminal: New(w, h), Cmd: cmd, TTY: tty, tb: tb, other: other}
	if x.Before, err = term.GetState(int(tty.Fd())); err != nil {
		tb.Fatal(err)
	}
	x.setSize(w, h)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := other.Read(b)
			_, _ = x.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
		_ = other.Close()
	})
	return x
}

func (x *Window) setSize(w, h int) {
	x.tb.Helper()
	if err := pty.Setsize(x.other, &pty.Winsize{Rows: uint16(h), Cols: uint16(w)}); err != nil {
		x.tb.Fatal(err)
	}
}

// Size gives the terminal another size.
func (x *Window) Size(w, h int) *Window {
	x.tb.Helper()
	x.Resize(w, h)
	x.setSize(w, h)
	return x
}

// Types types.
func (x *Window) Types(s string) *Window {
	x.tb.Helper()
	if _, err := x.other.WriteString(s); err != nil {
		x.tb.Fatal(err)
	}
	return x
}

// Sees waits until the screen shows all of the patterns; ^ and $ are the ends of a
// line.
func (x *Window) Sees(patterns ...string) *Window {
	x.tb.Helper()
	return x.Until(fmt.Sprintf("%q", patterns), func() bool {
		text := x.Text()
		for _, p := range patterns {
			if !regexp.MustCompile("(?m)" + p).MatchString(text) {
				return false
			}
		}
		return true
	})
}

// SeesNo waits until the screen does not show the pattern.
func (x *Window) SeesNo(pattern string) *Window {
	x.tb.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	return x.Until("no "+pattern, func() bool { return !re.MatchString(x.Text()) })
}

// Until waits until something is so, and fails the test where it never is.
func (x *Window) Until(what string, is func() bool) *Window {
	x.tb.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			x.tb.Fatalf("not %s:\n%s\n%+v", what, x.Text(), x.State())
		}
	}
	return x
}

// Ends waits for the program's end with the exit code, and sees that the terminal
// is as it was: its modes and the usual screen, with nothing on it or above it that
// never matches.
func (x *Window) Ends(code int, never string) {
	x.tb.Helper()
	end := make(chan error, 1)
	go func() { end <- x.Cmd.Wait() }()
	select {
	case err := <-end:
		got := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			got = exit.ExitCode()
		}
		if got != code {
			x.tb.Fatalf("exit code %d, not %d:\n%s", got, code, x.Text())
		}
	case <-time.After(patience):
		x.tb.Fatalf("it does not end:\n%s", x.Text())
	}
	x.Until("the usual screen", func() bool { s := x.State(); return !s.Alternate && !s.NoWrap && !s.NoCursor })
	s := x.State()
	if left := x.Text() + "\n" + strings.Join(s.History, "\n"); regexp.MustCompile(never).MatchString(left) {
		x.tb.Errorf("%s is left:\n%s", never, left)
	}
	if len(s.Unknown) > 0 {
		x.tb.Errorf("control sequences that are not known: %q", s.Unknown)
	}
	if now, err := term.GetState(int(x.TTY.Fd())); err != nil || *now != *x.Before {
		x.tb.Errorf("the terminal is left otherwise than it was: %v", err)
	}
}
