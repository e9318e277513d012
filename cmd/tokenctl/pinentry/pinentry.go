// Package pinentry asks the user for a PIN, or for a yes, through one of GnuPG's
// pinentry programs, whichever is installed: they know how to draw on every
// desktop and terminal, and how to keep others from reading along. It speaks the
// Assuan protocol itself, strictly.
package pinentry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/term"
)

// Question is what the user is shown. Text is plain; what does not fit into a
// line of the protocol is cut.
type Question struct {
	Title       string
	Description string
	Prompt      string // before the field of a PIN
	Error       string // what was wrong with the last one
	OK, Cancel  string // on the buttons
	// Timeout is how long pinentry waits; 0 for ever.
	Timeout time.Duration
}

// Why there is no answer.
var (
	// ErrCancelled is the user's no.
	ErrCancelled = errors.New("cancelled")
	// ErrTimeout is that he did not answer in time.
	ErrTimeout = errors.New("nobody answered in time")
)

// Program is a pinentry and where it shows itself.
type Program struct {
	Path string
	// TTY is the terminal of a pinentry that uses one, empty for none; Term is
	// its kind.
	TTY, Term string
	// Display is that of X11, for one that was told to be started without.
	Display string
	// Locale is that of the user's letters.
	Locale string
}

// startLimit is how long a program may take until it can be talked to.
const startLimit = 30 * time.Second

var errSlow = errors.New("it did not answer")

// killAfter is how long a pinentry that is told to end has to put its terminal
// in order.
const killAfter = 2 * time.Second

// PIN asks for a PIN or passphrase. The caller wipes it. An empty one is the
// user's, too.
func (p *Program) PIN(ctx context.Context, q Question) ([]byte, error) {
	return p.ask(ctx, q, "GETPIN")
}

// Confirm asks for a yes; nil is one.
func (p *Program) Confirm(ctx context.Context, q Question) error {
	data, err := p.ask(ctx, q, "CONFIRM")
	clear(data)
	return err
}

// Probe starts the program and has it say nothing but that it is there.
func (p *Program) Probe(ctx context.Context) error {
	return p.run(ctx, func(*session) error { return nil })
}

func (p *Program) ask(ctx context.Context, q Question, how string) (data []byte, err error) {
	err = p.run(ctx, func(s *session) error {
		for _, c := range q.commands(how) {
			if c[1] == "" {
				continue
			}
			if err := s.set(c[0], c[1]); err != nil {
				return err
			}
		}
		data, err = s.command(how, "")
		return err
	})
	if err != nil {
		clear(data)
		return nil, err
	}
	return data, nil
}

// commands are those that set the question up.
func (q Question) commands(how string) [][2]string {
	list := [][2]string{{"SETTITLE", q.Title}, {"SETDESC", q.Description}, {"SETOK", q.OK}, {"SETCANCEL", q.Cancel}}
	if how == "GETPIN" {
		list = append(list, [2]string{"SETPROMPT", q.Prompt}, [2]string{"SETERROR", q.Error})
	}
	if q.Timeout > 0 {
		list = append(list, [2]string{"SETTIMEOUT", strconv.Itoa(int(q.Timeout / time.Second))})
	}
	return list
}

// run starts the program, has f talk to it, and ends it.
func (p *Program) run(ctx context.Context, f func(*session) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	restore, err := keepTerminal(p.TTY)
	if err != nil { // some take that for the user's no
		return fmt.Errorf("cannot ask with %s: %w", p.Path, err)
	}
	defer restore()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(startLimit, func() { cancel(errSlow) })
	defer slow.Stop()
	// It ends with this process, however that ends, and until then the thread stays
	// that it was started by: the system tells of the end of that.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, p.Path)
	cmd.SysProcAttr = withParent()
	cmd.Cancel = func() error { return cmd.Process.Signal(ending()) }
	cmd.WaitDelay = killAfter
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", p.Path, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", p.Path, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", p.Path, err)
	}
	s := &session{r: out, w: in}
	defer s.wipe()
	err = p.talk(s, func(s *session) error {
		slow.Stop()
		return f(s)
	})
	_, _ = io.WriteString(in, "BYE\n") // it may be gone already
	_ = in.Close()
	ended := cmd.Wait()
	switch {
	case context.Cause(ctx) == errSlow: //nolint:errorlint // it is this very one
		return p.explain(errSlow)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF) && ended != nil:
		return fmt.Errorf("%s ended: %w", p.Path, ended)
	}
	return p.explain(err)
}

func (p *Program) talk(s *session, f func(*session) error) error {
	greeting, err := s.answer()
	clear(greeting)
	if err != nil {
		return err
	}
	for _, o := range [][2]string{{"ttyname", p.TTY}, {"ttytype", p.Term}, {"lc-ctype", p.Locale}, {"display", p.Display}} {
		if o[1] == "" {
			continue
		}
		if err := s.set("OPTION", o[0]+"="+o[1]); err != nil {
			return err
		}
	}
	return f(s)
}

// explain turns pinentry's refusals into what a caller decides by.
func (p *Program) explain(err error) error {
	var refused *refusalError
	if !errors.As(err, &refused) {
		if err != nil {
			return fmt.Errorf("cannot ask with %s: %w", p.Path, err)
		}
		return nil
	}
	switch refused.Code {
	case codeCancelled, codeNotConfirmed, codeFullyClosed:
		return ErrCancelled
	case codeTimeout:
		return ErrTimeout
	}
	return fmt.Errorf("cannot ask with %s: %w", p.Path, err)
}

// keepTerminal remembers how a terminal is set, and sets it back: a pinentry
// that is killed leaves it without echo.
func keepTerminal(tty string) (restore func(), err error) {
	if tty == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(tty, os.O_RDWR|noCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	was, err := term.GetState(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	return func() {
		f, err := os.OpenFile(tty, os.O_RDWR|noCTTY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		_ = term.Restore(int(f.Fd()), was)
	}, nil
}
