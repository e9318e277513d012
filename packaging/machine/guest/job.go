//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// patience is how long a command may take: the machine is an emulated one.
const patience = 10 * time.Minute

// job is a command that somebody is to run, and what he types.
type job struct {
	Args []string
	// Answers are typed at a terminal; without any, there is none.
	Answers []answer
	Seconds int // how long it may take; 0 is patience
}

// answer is typed when what was shown since the last one matches Sees.
type answer struct{ Sees, Types string }

// outcome is what came of a job.
type outcome struct {
	Out, Err string // with a terminal, all is in Out
	Code     int
	Seconds  float64
	Problem  string // why it could not be run to its end
}

// do runs a job here.
func do(ctx context.Context, j job) outcome {
	limit := time.Duration(j.Seconds) * time.Second
	if limit == 0 {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, j.Args[0], j.Args[1:]...)
	cmd.WaitDelay = 2 * time.Second
	var o outcome
	var err error
	if len(j.Answers) > 0 {
		o.Out, err = atTerminal(cmd, j.Answers)
	} else {
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err = cmd.Run()
		o.Out, o.Err = out.String(), errOut.String()
	}
	o.Seconds = time.Since(began).Seconds()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		o.Problem = fmt.Sprintf("not over after %v", limit)
	case errors.As(err, &exit):
		o.Code = exit.ExitCode()
	case err != nil:
		o.Problem = err.Error()
	}
	return o
}

// atTerminal runs cmd on a pseudo-terminal and types the answers.
func atTerminal(cmd *exec.Cmd, answers []answer) (string, error) {
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 120})
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	shown, err := converse(terminal, answers)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return shown, err
	}
	return shown, cmd.Wait()
}

// converse reads what is shown until the end, and types the answers.
func converse(terminal *os.File, answers []answer) (string, error) {
	var shown strings.Builder
	seen := 0
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		shown.Write(buf[:n])
		if len(answers) > 0 {
			sees, bad := regexp.Compile(answers[0].Sees)
			if bad != nil {
				return "", bad
			}
			if sees.MatchString(plain(shown.String()[seen:])) {
				seen = shown.Len()
				// The prompt must have turned the echo off.
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(terminal, answers[0].Types+"\n"); err != nil {
					return plain(shown.String()), fmt.Errorf("cannot type: %w", err)
				}
				answers = answers[1:]
			}
		}
		// The kernel says EIO when the last process has left the terminal.
		if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) {
			if len(answers) > 0 {
				return plain(shown.String()), fmt.Errorf("%q was never shown", answers[0].Sees)
			}
			return plain(shown.String()), nil
		}
		if err != nil {
			return plain(shown.String()), fmt.Errorf("cannot read the terminal: %w", err)
		}
	}
}

// plain is text without what moves the cursor and colours.
func plain(text string) string {
	text = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]").ReplaceAllString(text, "")
	return strings.ReplaceAll(text, "\r\n", "\n")
}
