package daemon_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// Who has accounts and no recovery password is asked for one; who declines, again
// after a month, or once there is more to lose.
func TestAsksForAWayBackNowAndThen(t *testing.T) {
	c := newClock()
	var state string
	d := start(t, func(cfg *daemon.Config) { cfg.Clock, state = c.clock(), cfg.StateDir })
	p := caller("1000")
	asks := func() bool {
		t.Helper()
		st, err := d.Status(t.Context(), p)
		if err != nil || !has(st.Warnings, "no-recovery-password") && st.Vault.RecoverySet.IsZero() {
			t.Fatalf("%+v, %v", st, err)
		}
		return st.Vault.AskRecovery
	}
	want := func(is bool, when string) {
		t.Helper()
		if asks() != is {
			t.Fatalf("%s: asks %v", when, !is)
		}
	}
	unlock := func() {
		t.Helper()
		if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, d.DeclineRecovery(t.Context(), p), ipc.NoVault)
	if _, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "soft", PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	want(false, "an empty vault")
	for n := range 3 {
		add(t, d, p, fmt.Sprintf("otpauth://totp/A:%d?secret=GEZDGNBVGY3TQOJQ", n))
	}
	want(true, "the first accounts")
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want(false, "a locked vault")
	wantKind(t, d.DeclineRecovery(t.Context(), p), ipc.VaultLocked)
	unlock()
	if err := d.DeclineRecovery(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want(false, "declined")
	c.pass(29 * 24 * time.Hour)
	unlock()
	want(false, "29 days later")
	c.pass(25 * time.Hour)
	unlock()
	want(true, "30 days later")
	if err := d.DeclineRecovery(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for n := 3; n < 6; n++ {
		want(false, fmt.Sprint(n, " accounts"))
		add(t, d, p, fmt.Sprintf("otpauth://totp/A:%d?secret=GEZDGNBVGY3TQOJQ", n))
	}
	want(true, "6 accounts")
	if err := d.DeclineRecovery(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	add(t, d, p, "otpauth://totp/A:6?secret=GEZDGNBVGY3TQOJQ")
	want(false, "declined with many")
	c.jump(-40*24*time.Hour, 0)
	want(true, "a clock that was wrong")

	// It outlives the daemon.
	if err := d.DeclineRecovery(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = start(t, func(cfg *daemon.Config) { cfg.Clock, cfg.StateDir = c.clock(), state })
	unlock()
	want(false, "the next daemon")
	if _, err := d.SetRecoveryPassword(t.Context(), p, ipc.SetRecoveryRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}, Password: secretOf(recovery)}); err != nil {
		t.Fatal(err)
	}
	want(false, "set")
}
