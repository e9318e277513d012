//go:build linux

package pinentry

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// person sits at a pseudo-terminal.
type person struct {
	master *os.File
	tty    string
	mu     sync.Mutex
	shown  strings.Builder
}

func sit(t *testing.T) *person {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close(); _ = slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p := &person{master: master, tty: slave.Name()}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			p.mu.Lock()
			p.shown.Write(b[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// sees waits until a text is shown.
func (p *person) sees(t *testing.T, text string) {
	t.Helper()
	for range 1000 {
		if strings.Contains(p.screen(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%q is not shown, but %q", text, p.screen())
}

func (p *person) types(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		t.Error(err)
	}
}

// on is a real pinentry on the person's terminal.
func (p *person) on(t *testing.T, name string) *Program {
	t.Helper()
	path, err := Find(name, Environment{})
	if err != nil {
		t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	return &Program{Path: path, TTY: p.tty, Term: "xterm", Locale: "C.UTF-8"}
}

// TestRealPrograms asks with the programs that people have.
func TestRealPrograms(t *testing.T) {
	question := Question{Title: "tokend", Description: "curl (4712) wants a code.\nUnlock with 100 % of \"desk key\".", Prompt: "PIN:", OK: "Unlock", Cancel: "Refuse"}
	// Ctrl-D; the second button.
	for name, no := range map[string]string{"pinentry-tty": "\x04", "pinentry-curses": "\t\t\r"} {
		t.Run(name, func(t *testing.T) {
			t.Run("PIN", func(t *testing.T) {
				p := sit(t)
				go func() { p.sees(t, "desk key"); p.types(t, "12 34%56\r") }()
				pin, err := p.on(t, name).PIN(t.Context(), question)
				if err != nil || string(pin) != "12 34%56" {
					t.Errorf("%q, %v", pin, err)
				}
				if strings.Contains(p.screen(), "34%56") {
					t.Error("the PIN was shown")
				}
			})
			t.Run("wrong PIN", func(t *testing.T) {
				p := sit(t)
				q := question
				q.Error = "the PIN is wrong, 2 tries are left"
				go func() { p.sees(t, "2 tries are left"); p.types(t, "1\r") }()
				if _, err := p.on(t, name).PIN(t.Context(), q); err != nil {
					t.Error(err)
				}
			})
			t.Run("refused", func(t *testing.T) {
				p := sit(t)
				go func() { p.sees(t, "desk key"); p.types(t, no) }()
				if _, err := p.on(t, name).PIN(t.Context(), question); !errors.Is(err, ErrCancelled) {
					t.Error(err)
				}
			})
			t.Run("withdrawn", func(t *testing.T) {
				p := sit(t)
				f, err := os.OpenFile(p.tty, os.O_RDWR|noCTTY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				before, err := term.GetState(int(f.Fd()))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				go func() { p.sees(t, "desk key"); cancel() }()
				if _, err := p.on(t, name).PIN(ctx, question); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if after, err := term.GetState(int(f.Fd())); err != nil || *after != *before {
					t.Errorf("the terminal was left as %+v, %v", after, err)
				}
			})
			for keys, want := range map[string]error{"y": nil, "\r": nil, "n": ErrCancelled} {
				if name == "pinentry-curses" && keys != "\r" || name == "pinentry-tty" && keys == "\r" {
					continue
				}
				t.Run("consent", func(t *testing.T) {
					p := sit(t)
					q := question
					if name == "pinentry-tty" { // which takes the first letters
						q.OK, q.Cancel = "Yes", "No"
					}
					go func() { p.sees(t, "desk key"); p.types(t, keys) }()
					if err := p.on(t, name).Confirm(t.Context(), q); !errors.Is(err, want) {
						t.Errorf("%q: %v; shown %q", keys, err, p.screen())
					}
				})
			}
			t.Run("nowhere", func(t *testing.T) {
				p := &Program{Path: sit(t).on(t, name).Path, TTY: "/nowhere"}
				if _, err := p.PIN(t.Context(), question); err == nil || errors.Is(err, ErrCancelled) {
					t.Errorf("on no terminal: %v", err)
				}
			})
		})
	}
	for _, path := range []string{"/bin/cat", "/bin/true", "/nowhere"} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // cat says nothing
		defer cancel()
		if err := (&Program{Path: path}).Probe(ctx); err == nil {
			t.Errorf("%s passed for a pinentry", path)
		}
	}
}
