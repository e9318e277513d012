//go:build linux

package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestPurgeWhileATouchIsAwaited: whoever leaves does not wait for a touch that
// somebody else asked for. That ends and says why; what stays on the card is told,
// and goes with the command that was named.
func TestPurgeWhileATouchIsAwaited(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.init()
	a := samples(2)[1]
	b.add(a)
	asked := make(chan struct{}, 8)
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		asked <- struct{}{}
		<-ctx.Done()
		return false
	})
	waiting := make(chan Result, 1)
	go func() { waiting <- b.Ctl("", "code", a.name) }()
	<-asked

	var st ipc.Status
	b.JSON(&st, "status")
	// In a pipe nothing is asked: the flags are named, with what they take.
	b.Fails(20, "", []string{"purge"}, a.name, "no backup is known", "--confirm "+st.Vault.ID+" and --without-backup")
	b.Fails(2, "", []string{"purge", "--without-backup"}, "--confirm "+st.Vault.ID)
	select {
	case r := <-waiting:
		t.Fatalf("a purge that was refused ended the wait: %s", r)
	default:
	}
	r := b.OK("", "purge", "--without-backup", "--confirm", st.Vault.ID)
	if code := <-waiting; code.Exit == 0 || !strings.Contains(code.Stderr, "removed from this machine for good") {
		t.Errorf("the code that was waited for: %s", code)
	}
	b.card.SetTouch(nil)
	b.Fails(11, "", []string{"account", "list"}, "there is no vault")

	// The card is free again, and what is left on it is known.
	for _, want := range []string{"slots 82, 83", "tokenctl token wipe piv-12345678"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("no %q: %s", want, r)
		}
	}
	Eventually(t, patience, func() error {
		if list := b.OK("", "token", "list"); !strings.Contains(list.Stderr, "left over on") || !strings.Contains(list.Stderr, "tokenctl token wipe piv-12345678") {
			return errors.New(list.String())
		}
		return nil
	})
	b.OK("", "token", "wipe", "piv-12345678", "--yes", "--pin-file", b.pin)
	if list := b.OK("", "token", "list"); strings.Contains(list.Stderr, "left over") {
		t.Errorf("left over still: %s", list)
	}
	b.Fails(11, "", []string{"purge"}, "there is no vault")
	b.init()
}

// TestRevokeSaysWhatStaysOnTheCard: so does revoking, and the card can be wiped at
// once.
func TestRevokeSaysWhatStaysOnTheCard(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.init()
	var st ipc.Status
	b.JSON(&st, "status")
	r := b.OK("", "token", "revoke", st.Tokens[0].Label, "--yes", "--recovery-password-file", b.password)
	if !strings.Contains(r.Stderr, "its keys are still on it, in slots 82, 83; remove them: tokenctl token wipe piv-12345678") {
		t.Fatalf("%s", r)
	}
	b.OK("", "token", "wipe", "piv-12345678", "--yes", "--pin-file", b.pin)
}
