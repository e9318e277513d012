//go:build !windows

package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/tokenbridge/tokend/ipc"
)

// Who stops the program at a hidden prompt, and goes on, still types unseen: the
// shell made the terminal show what is typed in between.
func TestHiddenAfterStop(t *testing.T) {
	f := newFake()
	f.enrolled(ipc.VaultIsLocked)
	x := at(t, f, "unlock")
	fd := int(x.tty.Fd())
	shows, err := term.GetState(fd)
	if err != nil {
		t.Fatal(err)
	}
	x.sees("PIN for YubiKey")
	hides, err := term.GetState(fd)
	if err != nil || *hides == *shows {
		t.Fatalf("the prompt hides nothing: %v", err)
	}
	// Once it listens for it.
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if err := term.Restore(fd, shows); err != nil {
			t.Fatal(err)
		}
		if err := x.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		if now, err := term.GetState(fd); err == nil && *now == *hides {
			break
		}
		if time.Now().After(end) {
			t.Fatal("what is typed goes on showing")
		}
	}
	x.sees("PIN for YubiKey").types(fakePIN + "\n").sees("unlocked")
	if out := x.ends(0); strings.Contains(out, fakePIN) {
		t.Fatalf("the PIN shows:\n%s", out)
	}
}
