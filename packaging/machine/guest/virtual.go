//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"time"
)

// hardware is the virtual tokens of the machine. They are told what to do by
// lines, and tell by lines what they did.
type hardware struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

// plugIn starts the virtual tokens: a FIDO2 key on a hidraw device and a card in
// the reader of the machine's pcscd. The key survives the machine's boots.
func plugIn() (*hardware, error) {
	cmd := exec.Command("/run/machine/virtual-token", "-cards", "1", "-vpcd", "localhost:35963",
		"-fido2", "1", "-fido2-pin", keyPIN, "-uhid", "-fido2-saved", stateDir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the virtual tokens: %w", err)
	}
	h := &hardware{cmd: cmd, in: in, lines: make(chan string, 1000)}
	go func() {
		defer close(h.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case h.lines <- s.Text():
			default: // nobody wants them
			}
		}
	}()
	return h, h.await(`^commands:`)
}

// tell has the tokens do something, and waits for the line that answers.
func (h *hardware) tell(line, answer string) error {
	for len(h.lines) > 0 {
		<-h.lines
	}
	if _, err := io.WriteString(h.in, line+"\n"); err != nil {
		return fmt.Errorf("cannot tell the virtual tokens: %w", err)
	}
	return h.await(answer)
}

func (h *hardware) await(answer string) error {
	re, err := regexp.Compile(answer)
	if err != nil {
		return err
	}
	limit := time.After(time.Minute)
	for {
		select {
		case l, ok := <-h.lines:
			switch {
			case !ok:
				return fmt.Errorf("the virtual tokens ended before they said %q", answer)
			case re.MatchString(l):
				return nil
			}
		case <-limit:
			return fmt.Errorf("the virtual tokens did not say %q", answer)
		}
	}
}

// pullOut ends the virtual tokens; the key is kept.
func (h *hardware) pullOut() error {
	if _, err := io.WriteString(h.in, "quit\n"); err != nil {
		return fmt.Errorf("cannot tell the virtual tokens: %w", err)
	}
	return h.cmd.Wait()
}
