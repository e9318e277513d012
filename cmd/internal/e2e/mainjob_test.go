//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestMainJob is the main job from end to end on the real pcscd: a vault on a
// card, 50 accounts, codes that another implementation agrees with, the card
// pulled, and the way back without it.
func TestMainJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.init()
	n := 50
	if raced {
		n = 15 // all 50 with the programs as they are shipped
	}
	accounts := samples(n)
	for _, a := range accounts {
		b.add(a)
	}
	checkCodes(t, b, b.Daemon, accounts)

	backup := filepath.Join(t.TempDir(), "backup.tokend")
	b.OK("", "backup", "create", backup)
	if fi, err := os.Stat(backup); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("backup: %v %v", fi, err)
	}
	b.OK("", "backup", "verify", backup, "--recovery-password-file", b.password)

	// Pulled: locked, and nothing to be had without it.
	if err := b.rig.Remove(0); err != nil {
		t.Fatal(err)
	}
	took := Eventually(t, soon(), func() error {
		return b.wantVault(ipc.VaultIsLocked)
	})
	t.Logf("locked %v after the card was seen to be gone", took.Round(time.Millisecond))
	b.Fails(12, "", []string{"code", accounts[0].name})
	b.Fails(13, "", []string{"unlock", "--pin-file", b.pin})
	b.OK("", "unlock", "--recovery-password-file", b.password)
	checkOne(t, b.Daemon, accounts[0])
	// A touch code needs the password anew, because it needs another key.
	b.Fails(13, "", []string{"code", accounts[1].name})
	checkOne(t, b.Daemon, accounts[1], "--recovery-password-file", b.password)

	t.Run("restored by card alone", func(t *testing.T) {
		if err := b.rig.Insert(b.card, 0); err != nil {
			t.Fatal(err)
		}
		d := NewDaemon(t, b.Programs, b.rig.Env())
		d.Start()
		Eventually(t, 2*soon(), func() error { return d.wantToken() })
		d.OK("", "backup", "restore", backup, "--pin-file", b.pin)
		checkRestored(t, b, d, accounts)
	})
	t.Run("restored by password alone", func(t *testing.T) {
		d := NewDaemon(t, b.Programs, []string{"PCSCLITE_CSOCK_NAME=/nonexistent"})
		d.Start()
		d.OK("", "backup", "restore", backup, "--recovery-password-file", b.password)
		checkRestored(t, nil, d, accounts, "--recovery-password-file", b.password)
	})
}

// checkCodes compares every account's code with oathtool's and counts what the
// card was asked.
func checkCodes(t *testing.T, b *bench, d *Daemon, accounts []sample, args ...string) {
	t.Helper()
	for _, a := range accounts {
		before := b.card.Counts()
		checkOne(t, d, a, args...)
		asked := b.card.Counts().TouchesGiven - before.TouchesGiven
		if want := map[string]int{"session": 0, "touch": 1}[a.class]; asked != want {
			t.Errorf("%s (%s): the card was touched %d times, want %d", a.name, a.class, asked, want)
		}
	}
}

func checkOne(t *testing.T, d *Daemon, a sample, args ...string) {
	t.Helper()
	c := d.code(a.name, args...)
	checkValidity(t, a, c)
	if want := a.oathtool(t, c); c.Code != want {
		t.Errorf("%s: code %s, oathtool says %s", a.name, c.Code, want)
	}
}

// checkRestored compares a restored vault with what was backed up: names, order,
// classes and codes. HOTP counters went on, and are not behind.
func checkRestored(t *testing.T, b *bench, d *Daemon, accounts []sample, args ...string) {
	t.Helper()
	var list ipc.AccountList
	d.JSON(&list, "account", "list")
	if len(list.Accounts) != len(accounts) {
		t.Fatalf("%d accounts, want %d", len(list.Accounts), len(accounts))
	}
	for i, a := range accounts {
		got := list.Accounts[i]
		if got.Name != a.name || got.Class != a.class || got.Type != a.typ || got.Digits != a.digits || got.Algorithm != a.alg {
			t.Errorf("account %d: %+v, want %+v", i, got, a)
		}
		if a.typ == "hotp" && (got.Counter == nil || *got.Counter <= a.counter) {
			t.Errorf("%s: counter %v is not beyond %d, which was handed out", a.name, got.Counter, a.counter)
		}
	}
	some := accounts[:10]
	if b != nil {
		checkCodes(t, b, d, some, args...)
		return
	}
	for _, a := range some {
		checkOne(t, d, a, args...)
	}
}
