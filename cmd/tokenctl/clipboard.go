package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// What --copy can be.
const (
	copyProgram  = "program"
	copyTerminal = "terminal"
)

// clipboard is a program that puts its standard input into the clipboard, and
// one that prints what is in it. Codes are never their arguments: every user of
// the machine can read those.
type clipboard struct {
	write []string
	read  []string
	// empty is the program that empties it; write with no input when nil.
	empty []string
}

// clipboards are those known, in the order they are looked for.
func (c *cli) clipboards() []clipboard {
	var list []clipboard
	if c.getenv("WAYLAND_DISPLAY") != "" {
		list = append(list, clipboard{
			write: []string{"wl-copy"}, read: []string{"wl-paste", "--no-newline"}, empty: []string{"wl-copy", "--clear"}})
	}
	if c.getenv("DISPLAY") != "" {
		list = append(list,
			clipboard{write: []string{"xclip", "-selection", "clipboard"}, read: []string{"xclip", "-selection", "clipboard", "-o"}},
			clipboard{write: []string{"xsel", "--clipboard", "--input"}, read: []string{"xsel", "--clipboard", "--output"},
				empty: []string{"xsel", "--clipboard", "--clear"}})
	}
	if runtime.GOOS == "darwin" {
		list = append(list, clipboard{write: []string{"pbcopy"}, read: []string{"pbpaste"}})
	}
	// Also reached from Linux inside Windows.
	return append(list, clipboard{write: []string{"clip.exe"},
		read: []string{"powershell.exe", "-NoProfile", "-Command", "Get-Clipboard -Raw"}})
}

// graphical says whether there is a graphical session to have a clipboard in.
func (c *cli) graphical() bool {
	return runtime.GOOS == "darwin" || runtime.GOOS == "windows" || c.getenv("WAYLAND_DISPLAY") != "" || c.getenv("DISPLAY") != ""
}

func (c *cli) findClipboard() (*clipboard, error) {
	for _, b := range c.clipboards() {
		if _, err := exec.LookPath(b.write[0]); err == nil {
			return &b, nil
		}
	}
	message := "no program for the clipboard was found"
	if !c.graphical() {
		message = "there is no graphical session here, and so no clipboard (neither WAYLAND_DISPLAY nor DISPLAY is set)"
	}
	return nil, failWith("copy the code", &ipc.Error{Kind: ipc.Unsupported, Message: message}, adviceNoClipboard(c.graphical())...)
}

// put puts text into the clipboard. The program may stay in the background to
// serve it, so its output must not be a pipe that is waited for.
func (b *clipboard) put(ctx context.Context, text string) error {
	args := b.write
	if text == "" && b.empty != nil {
		args = b.empty
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(text)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// holds says whether text is what the clipboard holds.
func (b *clipboard) holds(ctx context.Context, digest string) (bool, error) {
	out, err := exec.CommandContext(ctx, b.read[0], b.read[1:]...).Output()
	if err != nil {
		return false, fmt.Errorf("%s: %w", b.read[0], err)
	}
	return digestOf(strings.TrimRight(string(out), "\r\n")) == digest, nil
}

func digestOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// putCode puts a code into the clipboard, arranges that it is emptied, and answers
// with what there is to say of it.
func (c *cli) putCode(ctx context.Context, b *clipboard, code ipc.Code, clearAfter time.Duration) (said string, err error) {
	if err := b.put(ctx, code.Code); err != nil {
		return "", fail("copy the code", problem(ipc.Internal, "copy the code", err, adviceNoClipboard(true)...))
	}
	name := accountName(code.Account.Issuer, code.Account.Name)
	switch {
	case clearAfter <= 0:
		said = ", and stays there"
	case c.clearLater(ctx, code.Code, clearAfter) != nil:
		said = "; it could not be arranged that it is emptied"
	default:
		said = "; emptied in " + span(clearAfter) + " if it is still there"
	}
	return "the code of " + name + " is in the clipboard" + said, nil
}

// clearLater starts this program again, to outlive this one. It is given a
// digest of the code, on its standard input.
func (c *cli) clearLater(ctx context.Context, code string, after time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// Not ended with this command, which is over in a moment.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, clearClipboardUse, "--after", after.String())
	cmd.SysProcAttr = detached()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = io.WriteString(in, digestOf(code)+"\n")
	return errors.Join(err, in.Close(), cmd.Process.Release())
}

const clearClipboardUse = "clear-clipboard"

// clearClipboardCommand waits, then empties the clipboard if it still holds the
// text whose digest is on standard input. What it cannot read it leaves alone.
func (c *cli) clearClipboardCommand() *cobra.Command {
	var after time.Duration
	cmd := &cobra.Command{
		Use: clearClipboardUse, Hidden: true, Args: noArgs,
		Short: "Empty the clipboard if it still holds a code (started by code --copy)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			digest, err := readBounded(c.in, 2*sha256.Size+2)
			if err != nil {
				return fail("read the digest", problem(ipc.InvalidArgument, "read the digest", err))
			}
			b, err := c.findClipboard()
			if err != nil {
				return err
			}
			select {
			case <-cmd.Context().Done():
			case <-time.After(after):
			}
			// Once more with a context of its own: a signal means the same as
			// the end of the wait.
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			same, err := b.holds(ctx, string(bytes.TrimSpace(digest)))
			if err != nil || !same {
				return err
			}
			return b.put(ctx, "")
		},
	}
	spanFlag(cmd.Flags(), &after, "after", 30*time.Second, "how long to wait")
	return cmd
}

// copyThroughTerminal asks the terminal itself to keep the code (OSC 52), which
// works over ssh too. Whether it does cannot be known.
func (c *cli) copyThroughTerminal(code ipc.Code) error {
	_, err := fmt.Fprint(c.err, osc52(code.Code))
	if err != nil {
		return problem(ipc.Internal, "copy the code", err)
	}
	c.say("%s", askedTerminal(accountName(code.Account.Issuer, code.Account.Name)))
	return nil
}

// osc52 asks a terminal to keep a text in its clipboard.
func osc52(text string) string {
	return "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\x07"
}

// askedTerminal is what there is to say of a terminal that was asked so.
func askedTerminal(name string) string {
	return "the terminal was asked to put the code of " + name + " into the clipboard; whether it did, it does not tell, and it will not be emptied"
}
