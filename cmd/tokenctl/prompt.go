package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// maxLine bounds what is read for one question.
const maxLine = 4096

func cancelled(message string) error {
	return &ipc.Error{Kind: ipc.Cancelled, Message: message}
}

// noTerminal is the failure of a question that nobody can be asked.
func noTerminal(what, flag string) error {
	return usage("cannot ask for "+what, adviceNoTerminal(flag)...)
}

// ask puts a question and reads one visible line; an empty answer means def.
// flag is what takes the question's place in a script.
func (c *cli) ask(ctx context.Context, question, def, flag string) (string, error) {
	if !c.canAsk() {
		return "", usage("cannot ask: "+question, adviceNoTerminal(flag)...)
	}
	if def != "" {
		question += " [" + def + "]"
	}
	c.prompt(question)
	line, err := wait(ctx, c, func() ([]byte, error) { return readLine(c.in) })
	if err != nil {
		return "", err
	}
	if s := strings.TrimSpace(string(line)); s != "" {
		return s, nil
	}
	return def, nil
}

// prompt shows a question, broken between words; what is typed follows it.
func (c *cli) prompt(question string) {
	text := clean(question) + ":"
	if c.errWidth != nil {
		text = strings.Join(broken(text, c.errWidth()), "\n")
	}
	_, _ = fmt.Fprint(c.err, text+" ")
}

// confirm asks for the word yes: a key pressed by mistake is no consent.
func (c *cli) confirm(ctx context.Context, question, flag string) error {
	if !c.canAsk() {
		return usage("this has to be confirmed: "+question, adviceNoTerminal(flag)...)
	}
	answer, err := c.ask(ctx, question+" Type yes to go on", "", flag)
	if err != nil {
		return err
	}
	if !strings.EqualFold(answer, "yes") {
		return cancelled("cancelled: yes was not typed")
	}
	return nil
}

// yesNo asks a question whose empty answer is yes.
func (c *cli) yesNo(ctx context.Context, question, flag string) (bool, error) {
	for {
		answer, err := c.ask(ctx, question+" (yes/no)", "yes", flag)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		c.say("please answer yes or no")
	}
}

// askSecret reads one line without showing it.
func (c *cli) askSecret(ctx context.Context, prompt, flag string) (ipc.Secret, error) {
	if !c.canAsk() {
		return nil, noTerminal(strings.TrimSuffix(lowerFirst(prompt), " (not shown)"), flag)
	}
	for range maxEmpty {
		b, err := c.readHidden(ctx, prompt)
		if err != nil || len(b) > 0 {
			return b, err
		}
		c.say("nothing was typed; once more, or Ctrl-C to end")
	}
	return nil, cancelled("cancelled: nothing was typed")
}

// maxEmpty is how often an empty answer is asked again. Whoever presses Enter
// too early types the secret next, and must not type it into his shell.
const maxEmpty = 5

// readHidden shows a prompt and reads a line that is not shown.
func (c *cli) readHidden(ctx context.Context, prompt string) (ipc.Secret, error) {
	fd := int(c.in.Fd())
	shown, read, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	shows, stateErr := term.GetState(fd)
	go func() {
		defer close(shown)
		if stateErr == nil {
			untilChanged(fd, shows, read)
		}
		hides, err := term.GetState(fd)
		c.prompt(prompt)
		if err != nil {
			return
		}
		// The shell makes the terminal show again what is typed.
		end := onResume(func() {
			_ = term.Restore(fd, hides)
			c.prompt(prompt)
		})
		<-over
		end()
	}()
	b, err := wait(ctx, c, func() ([]byte, error) {
		defer close(read)
		return term.ReadPassword(fd)
	})
	close(over)
	<-shown
	if stateErr == nil {
		_ = term.Restore(fd, shows) // whatever a resume in the last moment did
	}
	_, _ = fmt.Fprintln(c.err)
	return b, err
}

// untilChanged returns when the terminal is no longer as it was, because what is
// typed does not show any more: who answers a prompt at once, as a script does,
// must not be shown. It gives up after a second, or when read is closed.
func untilChanged(fd int, was *term.State, read <-chan struct{}) {
	for range 1000 {
		if now, err := term.GetState(fd); err != nil || *now != *was {
			return
		}
		select {
		case <-read:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// askNewPassword asks for a new password twice, until both are the same and of
// the right length.
func (c *cli) askNewPassword(ctx context.Context, what, flag string) (ipc.Secret, error) {
	for {
		first, err := c.askSecret(ctx, fmt.Sprintf("New %s (%d to %d characters)", what, minPassword, maxPassword), flag)
		if err != nil {
			return nil, err
		}
		if n := utf8.RuneCount(norm.NFC.Bytes(first)); n < minPassword || n > maxPassword {
			first.Wipe()
			c.say("that has %s; it must have %d to %d", plural(n, "character"), minPassword, maxPassword)
			continue
		}
		if same, err := c.askAgain(ctx, first, flag); same || err != nil {
			return first, err
		}
	}
}

// askAgain asks for a new secret a second time and says whether the two are the
// same. Where they are not, or it fails, first is wiped.
func (c *cli) askAgain(ctx context.Context, first ipc.Secret, flag string) (same bool, err error) {
	again, err := c.askSecret(ctx, "Once more", flag)
	if err != nil {
		first.Wipe()
		return false, err
	}
	defer again.Wipe()
	if string(first) == string(again) {
		return true, nil
	}
	first.Wipe()
	c.say("the two are not the same; once more")
	return false, nil
}

// wait reads from the terminal until ctx ends, and then leaves the terminal as
// it was: a hidden prompt that Ctrl-C ends must not leave it without echo.
func wait(ctx context.Context, c *cli, read func() ([]byte, error)) ([]byte, error) {
	c.heedSignals()
	fd := int(c.in.Fd())
	before, stateErr := term.GetState(fd)
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := read()
		done <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		if stateErr == nil {
			_ = term.Restore(fd, before)
		}
		_, _ = fmt.Fprintln(c.err)
		return nil, cancelled("cancelled")
	case a := <-done:
		if errors.Is(a.err, io.EOF) {
			return nil, cancelled("cancelled: the input ended")
		}
		if a.err != nil {
			return nil, problem(ipc.Internal, "read the answer", a.err)
		}
		return a.b, nil
	}
}

// readLine reads up to a newline and not one byte further: what follows may be
// meant for a hidden prompt.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return []byte(strings.TrimSuffix(string(line), "\r")), nil
		case n == 1 && len(line) >= maxLine:
			return nil, fmt.Errorf("the line is longer than %d bytes", maxLine)
		case n == 1:
			line = append(line, b[0])
		}
		if err != nil {
			if len(line) > 0 && errors.Is(err, io.EOF) {
				return line, nil
			}
			return nil, err
		}
	}
}

func lowerFirst(s string) string {
	if strings.HasPrefix(s, "PIN") || strings.HasPrefix(s, "PUK") {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return strings.ToLower(string(r)) + s[n:]
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(r)) + s[n:]
}
