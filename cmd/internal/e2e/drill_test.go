//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// drilled is what a drill told, as JSON.
func (d *Daemon) drilled(args ...string) ipc.DrillResult {
	d.tb.Helper()
	var r ipc.DrillResult
	d.JSON(&r, append([]string{"backup", "drill"}, args...)...)
	return r
}

// TestDrill rehearses restores on a real card: by password and by card, with the
// one touch that a token takes for all accounts, and remembers what was proved.
func TestDrill(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.init()
	accounts := samples(8) // both classes
	for _, a := range accounts {
		b.add(a)
	}
	backup := filepath.Join(t.TempDir(), "backup.tokend")
	b.OK("", "backup", "create", backup)
	r := b.drilled(backup, "--recovery-password-file", b.password)
	if !r.Proved || !r.Recorded || len(r.Accounts) != len(accounts) || !r.Compared || len(r.Missing) != 0 {
		t.Fatalf("by password: %+v", r)
	}
	for _, a := range r.Accounts {
		if a.State != "proved" || a.Live != "same" {
			t.Errorf("by password: %+v", a)
		}
	}
	var st ipc.Status
	b.JSON(&st, "status")
	if st.Vault.RecoveryChecked.IsZero() {
		t.Error("a drill by password does not count as knowing it")
	}
	b.add(sample{name: "later@example.org", typ: "totp", alg: "SHA1", class: "session", digits: 6, period: 30, secret: "GEZDGNBVGY3TQOJQ"})
	before := b.card.Counts()
	r = b.drilled(backup, "--token", "any", "--pin-file", b.pin)
	if !r.Proved || len(r.Missing) != 1 || r.Missing[0].Name != "later@example.org" {
		t.Errorf("by card: %+v", r)
	}
	if n := b.card.Counts().TouchesGiven - before.TouchesGiven; n != 1 {
		t.Errorf("the card was touched %d times", n)
	}
	// verify by token uses every secret as well.
	said := b.OK("", "backup", "verify", backup, "--token", "any", "--pin-file", b.pin).Stderr
	if !strings.Contains(said, "every secret in it was opened and made a code: 8 accounts") {
		t.Errorf("verify: %s", said)
	}
	log := b.OK("", "--json", "audit", "list").Stdout
	if !strings.Contains(log, `"action":"drill"`) {
		t.Error("a drill is not in the audit log")
	}
}

// TestRestoreByPrintedKey brings a vault back on a fresh machine with what was
// printed, typed in as people type.
func TestRestoreByPrintedKey(t *testing.T) {
	t.Parallel()
	d := NewDaemon(t, programs(t), nil)
	d.Start()
	password, phrase := File(t, "a recovery password"), File(t, "a passphrase of the token")
	d.OK("", "init", "--token", "soft", "--pin-file", phrase, "--recovery-password-file", password)
	a := samples(1)[0]
	d.OK(a.uri(), "account", "add", "--uri-file", "-")
	backup := filepath.Join(t.TempDir(), "backup.tokend")
	d.OK("", "backup", "create", backup)
	key := strings.TrimSpace(d.OK("", "recovery", "show-key", "--yes", "--recovery-password-file", password).Stdout)
	typed := strings.ToLower(key[:20] + " " + key[20:31] + "\n" + key[31:])
	wrong := []byte(key)
	if wrong[40] = 'Q'; key[40] == 'Q' {
		wrong[40] = 'P'
	}

	fresh := NewDaemon(t, programs(t), nil)
	fresh.Start()
	fresh.Fails(2, "", []string{"backup", "restore", backup, "--recovery-key-file", File(t, string(wrong))},
		"a character in it is wrong", "nothing was tried")
	// The passphrase of a software token opens nothing elsewhere: its key file is on the other machine.
	fresh.Fails(13, "", []string{"backup", "restore", backup, "--pin-file", phrase}, "is not on this machine")
	// The key of another vault is right in itself, and told as another's.
	other := NewDaemon(t, programs(t), nil)
	other.Start()
	other.OK("", "init", "--token", "none", "--recovery-password-file", password)
	others := other.OK("", "recovery", "show-key", "--yes", "--recovery-password-file", password).Stdout
	fresh.Fails(18, "", []string{"backup", "restore", backup, "--recovery-key-file", File(t, others)}, "this one's was set")
	fresh.OK("", "backup", "restore", backup, "--recovery-key-file", File(t, typed))
	checkOne(t, fresh, a)
	fresh.OK("", "recovery", "check", "--recovery-key-file", File(t, typed))
	r := fresh.drilled(backup, "--recovery-key-file", File(t, typed))
	if !r.Proved || r.OpenedBy != "recovery key" {
		t.Errorf("drilled by the key: %+v", r)
	}
}

// TestDamageIsCalledDamage flips bytes all over a backup and cuts it at many
// lengths: the program says each time that the file is damaged, and never blames
// the password. daemon/archive does the same with every byte.
func TestDamageIsCalledDamage(t *testing.T) {
	t.Parallel()
	d := NewDaemon(t, plainPrograms(t), nil)
	d.Start()
	password := File(t, "a recovery password")
	d.OK("", "init", "--token", "none", "--recovery-password-file", password)
	d.OK("otpauth://totp/Example:me?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example", "account", "add", "--uri-file", "-")
	dir := t.TempDir()
	backup := filepath.Join(dir, "backup.tokend")
	d.OK("", "backup", "create", backup)
	data, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	try := func(what string, bad []byte) {
		n++
		path := filepath.Join(dir, "bad.tokend")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := d.Ctl("", "backup", "verify", path, "--recovery-password-file", password)
		if r.Exit != 18 || !strings.Contains(r.Stderr, "damaged") || strings.Contains(r.Stderr, "wrong recovery password") {
			t.Errorf("%s: %s", what, r)
		}
	}
	for at := 0; at < len(data); at += 131 {
		bad := bytes.Clone(data)
		bad[at] ^= 1 << (at % 8)
		try("flipped", bad)
	}
	for length := 1; length < len(data); length += 397 {
		try("cut short", data[:length])
	}
	// The daemon says the same of one that is to be restored.
	fresh := NewDaemon(t, plainPrograms(t), nil)
	fresh.Start()
	bad := bytes.Clone(data)
	bad[len(bad)/3] ^= 1
	path := filepath.Join(dir, "bad.tokend")
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh.Fails(18, "", []string{"backup", "restore", path, "--recovery-password-file", password}, "damaged")
	var e struct {
		Error ipc.Error `json:"error"`
	}
	r := fresh.Ctl("", "--json", "backup", "verify", path, "--recovery-password-file", password)
	if err := json.Unmarshal([]byte(r.Stdout), &e); err != nil || e.Error.Kind != ipc.BackupDamaged {
		t.Errorf("%v: %s", err, r)
	}
	t.Logf("%d damaged backups", n)
}
