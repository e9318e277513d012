//go:build linux

package main

import (
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

// step is a line that is typed, and the answers to what it asks.
type step struct {
	line    string
	answers []answer
}

// answer is typed when prompt has appeared.
type answer struct{ prompt, text string }

// span is a line of the picture; typed lines stand out.
type span struct {
	text  string
	typed bool
}

// patience is how long a step may take.
const patience = 30 * time.Second

// play runs a step at a pseudo-terminal and returns what a person saw.
func (s *stage) play(st step) ([]span, error) {
	cmd := exec.Command("sh", "-c", st.line)
	cmd.Env, cmd.Dir = s.env, s.dir
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: columns})
	if err != nil {
		return nil, fmt.Errorf("cannot start %q: %w", st.line, err)
	}
	defer terminal.Close()
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	shown, err := converse(terminal, st.answers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", st.line, err)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", st.line, err, shown)
	}
	all := []span{{text: "$ " + st.line, typed: true}}
	for _, l := range lines(shown) {
		all = append(all, span{text: l})
	}
	return append(all, span{}), nil
}

// converse reads what is shown until the end, and types the answers.
func converse(terminal *os.File, answers []answer) (string, error) {
	var shown strings.Builder
	seen := 0
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		shown.Write(buf[:n])
		if len(answers) > 0 && strings.Contains(shown.String()[seen:], answers[0].prompt) {
			seen = shown.Len()
			// A person takes a moment, and the prompt must have turned the echo off.
			time.Sleep(300 * time.Millisecond)
			if _, err := io.WriteString(terminal, answers[0].text+"\n"); err != nil {
				return "", fmt.Errorf("cannot type: %w", err)
			}
			answers = answers[1:]
		}
		// The kernel says EIO when the last process has left the terminal.
		if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) {
			return shown.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("cannot read the terminal: %w", err)
		}
	}
}

// lines is what is left on the screen: without colours, and of lines that were
// written over the last.
func lines(shown string) []string {
	shown = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]").ReplaceAllString(shown, "")
	var all []string
	for l := range strings.Lines(shown) {
		l = strings.TrimRight(l, "\r\n")
		if i := strings.LastIndex(l, "\r"); i >= 0 {
			l = l[i+1:]
		}
		all = append(all, strings.TrimRight(l, " "))
	}
	return all
}
