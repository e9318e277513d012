package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"strings"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// readRecoveryKey reads the recovery key that flag names: typed off paper in any
// manner, in a file that age understands, or a picture of its QR code.
func (c *cli) readRecoveryKey(ctx context.Context, flag, path string) (ipc.Secret, error) {
	if path == "-" && c.canAsk() {
		return c.askRecoveryKey(ctx, flag)
	}
	b, err := c.readInput(ctx, flag, path, maxPictureFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	if _, _, err := image.DecodeConfig(bytes.NewReader(b)); err == nil {
		text, err := readKeyPicture(b)
		if err != nil {
			return nil, err
		}
		return typedKey(flag, text)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, usage(fmt.Sprintf("the file given with %s is empty", flag), adviceFilesOnly()...)
	}
	return typedKey(flag, b)
}

// typedKey is the recovery key that was typed. A mistyped one is found out here,
// before anything is tried with it.
func typedKey(flag string, typed []byte) (ipc.Secret, error) {
	key, err := archive.TypedKey(typed)
	if err != nil {
		return nil, failWith("read the recovery key given with "+flag, &ipc.Error{Kind: ipc.InvalidArgument, Message: err.Error()}, adviceKeyTyped()...)
	}
	return key, nil
}

// askRecoveryKey asks for the recovery key until its checksum is right.
func (c *cli) askRecoveryKey(ctx context.Context, flag string) (ipc.Secret, error) {
	for {
		typed, err := c.askSecret(ctx, "Recovery key, as it was printed", flag+" FILE")
		if err != nil {
			return nil, err
		}
		key, err := archive.TypedKey(typed)
		typed.Wipe()
		if err == nil {
			return key, nil
		}
		c.say("%s; once more", err)
		c.say("  %s", adviceKeyTyped()[1])
	}
}

// askRecovery asks for the recovery password. Whoever has the printed key instead
// may type that.
func (c *cli) askRecovery(ctx context.Context, auth *ipc.Auth) error {
	for {
		typed, err := c.askSecret(ctx, recoveryPrompt, "--recovery-password-file FILE")
		if err != nil {
			return err
		}
		if !archive.LooksLikeKey(typed) {
			auth.RecoveryPassword, auth.RecoveryKey = typed, nil
			return nil
		}
		key, err := archive.TypedKey(typed)
		typed.Wipe()
		if err == nil {
			auth.RecoveryPassword, auth.RecoveryKey = nil, key
			return nil
		}
		c.say("%s; once more", err)
		c.say("  %s", adviceKeyTyped()[1])
	}
}

// readKeyPicture finds the QR code of a recovery key in a picture.
func readKeyPicture(picture []byte) ([]byte, error) {
	texts, err := scanPicture(picture)
	if err != nil {
		return nil, err
	}
	for _, t := range texts {
		if archive.LooksLikeKey([]byte(t)) {
			return []byte(t), nil
		}
	}
	return nil, badPicture("no QR code of a recovery key was found in the picture")
}

// showKey prints a recovery key: for paper at a terminal, in groups and as a QR
// code; alone in a pipe.
func (c *cli) showKey(key ipc.Secret) error {
	if !c.outTTY {
		c.print("%s", clean(string(key)))
		return nil
	}
	for _, l := range keyLines(clean(string(archive.GroupedKey(key))), c.outWidth()) {
		c.print("%s", l)
	}
	lines, err := drawQR(string(key), true)
	if err != nil {
		return problem(ipc.Internal, "draw the recovery key", err)
	}
	if c.outWidth() > 0 && columns(stripColour(lines[0])) > c.outWidth() {
		c.say("the terminal is too narrow for its QR code")
	} else {
		c.print("")
		for _, l := range lines {
			c.print("%s", l)
		}
	}
	c.say("to use it, type it where the recovery password is asked for: spaces and small letters are fine")
	c.say("or give a file with it, or a picture of the QR code: --recovery-key-file FILE")
	c.say("%s", adviceKeyShown())
	return nil
}

// keyLines breaks a grouped key between its groups into as few lines of the same
// number of groups as fit the screen; 0 means no limit.
func keyLines(grouped string, screen int) []string {
	groups := strings.Fields(grouped)
	n := len(groups)
	for parts := 1; parts <= n; parts++ {
		at := (n + parts - 1) / parts
		var lines []string
		for i := 0; i < n; i += at {
			lines = append(lines, strings.Join(groups[i:min(n, i+at)], " "))
		}
		if screen <= 0 || at == 1 || columns(lines[0]) <= screen {
			return lines
		}
	}
	return groups
}
