//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// Quickstart lists the backups that it finds, newest first, with what of them is
// of no use, and takes a number.
func TestQuickstartFindsBackups(t *testing.T) {
	f := newFake()
	f.tokens[0].Enrolled, f.tokens[0].Present = true, false
	home := t.TempDir()
	put(t, filepath.Join(home, "Dokumente", "tokend-01234567-laptop-ab12cd34-20260504T120000Z.tokend"), sampleBackup(t))
	put(t, filepath.Join(home, "Downloads", "cut.tokend"), sampleBackup(t)[:3000])
	x := atHome(t, f, home, "tokenctl", "quickstart")
	x.sees("Type new or restore").types("restore\n")
	out := x.sees("found, newest first").sees("Number, or path of another backup \\[2\\]: ").text()
	for _, want := range []string{"laptop (ab12cd34)", "01234567", "damaged", "1 of 2 cannot be used"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not show %q:\n%s", want, out)
		}
	}
	x.types("2\n").sees("signed by").sees("Recovery password: ").types(backupPassword + "\n").sees("restored 1 account")
	x.sees(`Enrol one now\?`).types("no\n").sees("Later: tokenctl token enroll")
	x.types("\x03")
}

// Where the recovery password is asked for the printed key can be typed; a letter
// that is wrong is found before it is tried.
func TestKeyIsTypedForThePassword(t *testing.T) {
	key, _, err := archive.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tokend")
	put(t, path, sampleBackup(t))
	wrong := []byte(strings.ToLower(string(archive.GroupedKey(key))))
	if wrong[30] = 'q'; archive.GroupedKey(key)[30] == 'Q' {
		wrong[30] = 'p'
	}
	if wrong[30] == ' ' || archive.GroupedKey(key)[30] == ' ' {
		t.Fatal("the test spoils a space")
	}
	x := at(t, newFake(), "backup", "verify", path, "--recovery")
	x.sees("Recovery password: ").types(string(wrong) + "\n").sees("a character in it is wrong; once more").sees("no letter O, I or B")
	// A key that is right in itself, and of another vault.
	x.sees("Recovery password: ").types(string(archive.GroupedKey(key)) + "\n").sees("another recovery key than this one's")
	x.sees("Recovery password: ").types(backupPassword + "\n").sees("every secret in it was opened and made a code: 2 accounts").ends(0)
}

// A wrong answer to the reminder says which password is meant, and what else opens
// the vault.
func TestCheckWrong(t *testing.T) {
	f := opened()
	f.status.Vault.RecoverySet = f.status.Daemon.Time.AddDate(2026, 0, 0)
	x := at(t, f, "recovery", "check")
	for range maxPINs {
		x.sees("Recovery password: ").types("not this one\n").sees("wrong recovery password")
	}
	x.sees("Recovery password: ").types("not this one\n")
	x.sees(`the one in force was set\s+20`).sees("what else opens the vault: YubiKey").sees("recovery set-password").ends(18)
}

// On a terminal the recovery key is for paper, in groups and as a QR code.
func TestShowKeyOnTerminal(t *testing.T) {
	f := opened()
	f.status.Vault.RecoverySet = f.status.Daemon.Time.AddDate(2026, 0, 0)
	x := at(t, f, "recovery", "show-key")
	x.sees("Show it").types("yes\n").sees("Recovery password: ").types(f.password + "\n")
	x.sees("AGE-SECRET-KEY-1 TEST").sees("\x1b\\[30;107m").sees("spaces and small letters are fine").ends(0)
}

// A picture of the printed QR code serves as the key's file.
func TestKeyFromPicture(t *testing.T) {
	key, _, err := archive.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	put(t, filepath.Join(home, "b.tokend"), sampleBackup(t))
	put(t, filepath.Join(home, "key.png"), qrPicture(t, string(key)))
	put(t, filepath.Join(home, "other.png"), qrPicture(t, "https://example.org"))
	r := tokenctl(t, "", home, "backup", "verify", "b.tokend", "--recovery-key-file", "key.png")
	if r.exit != 18 || !strings.Contains(r.err, "another recovery key") {
		t.Errorf("another vault's key: %+v", r)
	}
	r = tokenctl(t, "", home, "backup", "verify", "b.tokend", "--recovery-key-file", "other.png")
	if r.exit != 2 || !strings.Contains(r.err, "no QR code of a recovery key") {
		t.Errorf("another QR code: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(home, "typed"), key[:60], 0o600); err != nil {
		t.Fatal(err)
	}
	r = tokenctl(t, "", home, "backup", "verify", "b.tokend", "--recovery-key-file", "typed")
	if r.exit != 2 || !strings.Contains(r.err, "it has 60 characters, not 74") {
		t.Errorf("cut short: %+v", r)
	}
}
