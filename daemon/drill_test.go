package daemon_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

func drillBackup(t *testing.T, d *daemon.Daemon, p ipc.Principal, data []byte, a ipc.Auth) (ipc.DrillResult, error) {
	t.Helper()
	return d.DrillBackup(t.Context(), p, ipc.DrillRequest{Auth: a, Data: slices.Clone(data)})
}

func byPassword(s string) ipc.Auth { return ipc.Auth{RecoveryPassword: secretOf(s)} }

func TestDrill(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	token := initSoft(t, d, p).Token.ID
	a := add(t, d, p, aliceURI)
	b := backup(t, d, p, "/stick/a.tokend")

	r, err := drillBackup(t, d, p, b.Data, byPassword(recovery))
	if err != nil || !r.Proved || !r.Recorded || !r.Own || !r.Compared || r.OpenedBy != "recovery password" || r.SHA256 != b.SHA256 {
		t.Fatalf("by password: %+v, %v", r, err)
	}
	if len(r.Accounts) != 1 || r.Accounts[0].Account.ID != a.ID || r.Accounts[0].State != "proved" || r.Accounts[0].Live != "same" || len(r.Missing) != 0 {
		t.Errorf("accounts: %+v", r)
	}
	// Newer in the vault, and changed there.
	later := add(t, d, p, "otpauth://totp/Later:bob?secret=JBSWY3DPEHPK3PXP&issuer=Later")
	name := "renamed"
	if _, err := d.EditAccount(t.Context(), p, a.ID, ipc.EditAccountRequest{Name: &name}); err != nil {
		t.Fatal(err)
	}
	r, err = drillBackup(t, d, p, b.Data, ipc.Auth{Token: token, PIN: secretOf(passphrase)})
	if err != nil || !r.Proved || r.OpenedBy != "key file" {
		t.Fatalf("by token: %+v, %v", r, err)
	}
	if x := r.Accounts[0]; x.Live != "differs" || !slices.Equal(x.Differs, []string{"name"}) || len(r.Missing) != 1 || r.Missing[0].ID != later.ID {
		t.Errorf("compared: %+v", r)
	}
	_, err = drillBackup(t, d, p, b.Data, byPassword(other))
	wantKind(t, err, ipc.WrongPassword)
	bad := slices.Clone(b.Data)
	bad[len(bad)/2] ^= 1
	_, err = drillBackup(t, d, p, bad, byPassword(recovery))
	wantKind(t, err, ipc.BackupDamaged)
	// Locked it is drilled as well, and compared with nothing.
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r, err = drillBackup(t, d, p, b.Data, byPassword(recovery))
	if err != nil || !r.Proved || r.Compared || r.Accounts[0].Live != "" || state(t, d, p).State != ipc.VaultIsLocked {
		t.Errorf("locked: %+v, %v", r, err)
	}
	// Somebody else's machine can try it, and remembers nothing.
	q := caller("1001")
	r, err = drillBackup(t, d, q, b.Data, byPassword(recovery))
	if err != nil || !r.Proved || r.Recorded || r.Own {
		t.Errorf("of another: %+v, %v", r, err)
	}
}

// TestRecoveryReminder shows when it is asked whether the password is still known,
// and what ends the question.
func TestRecoveryReminder(t *testing.T) {
	k := newClock()
	d := start(t, func(c *daemon.Config) { c.Clock = k.clock() })
	p := caller("1000")
	initSoft(t, d, p)
	b := backup(t, d, p, "/stick/a.tokend")
	asked := func() bool {
		t.Helper()
		st, err := d.Status(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(st.Warnings, func(w ipc.Warning) bool { return w.Code == "recovery-unchecked" && w.Fix == "tokenctl recovery check" })
	}
	const day = 24 * time.Hour
	want := func(what string, is bool) {
		t.Helper()
		if asked() != is {
			t.Errorf("%s: asked is %v", what, !is)
		}
	}
	check := func(password string) error {
		_, err := d.CheckRecovery(t.Context(), p, ipc.CheckRecoveryRequest{Password: secretOf(password)})
		return err
	}
	want("at first", false)
	k.pass(13 * day)
	want("after 13 days", false)
	k.pass(2 * day)
	want("after 15 days", true)
	wantKind(t, check(other), ipc.WrongPassword)
	want("after a wrong password", true)
	if err := check(recovery); err != nil {
		t.Fatal(err)
	}
	want("after the right one", false)
	if v := state(t, d, p); v.RecoveryChecked.IsZero() {
		t.Error("status does not tell when it was checked")
	}
	k.pass(89 * day)
	want("after 89 days more", false)
	k.pass(2 * day)
	want("after 91 days more", true)
	if _, err := drillBackup(t, d, p, b.Data, byPassword(recovery)); err != nil {
		t.Fatal(err)
	}
	want("after a drill by password", false)
	k.pass(91 * day)
	if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: byPassword(recovery)}); err != nil {
		t.Fatal(err)
	}
	want("after unlocking by it", false)
	// A new password begins anew.
	if _, err := d.SetRecoveryPassword(t.Context(), p, ipc.SetRecoveryRequest{Password: secretOf(other), Auth: byPassword(recovery)}); err != nil {
		t.Fatal(err)
	}
	k.pass(15 * day)
	want("15 days after a new one", true)
	d.SetLimits(daemon.Limits{RecoveryReminder: -1})
	want("when it is turned off", false)
}
