//go:build linux

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// way is one token of a keyring and how it unlocks.
type way struct {
	label string
	token any
	args  []string
}

// enrolAll makes a vault on the key with a PIN, adds the accounts, and enrols the
// card and the key without a PIN, each by the one before.
func (k *keyring) enrolAll(accounts []sample) []way {
	k.tb.Helper()
	k.plug(k.pinned)
	k.OK("", "init", "--token", "fido2", "--device", k.device(k.pinned), "--label", "first",
		"--pin-file", k.keyPIN, "--recovery-password-file", k.password)
	for _, a := range accounts {
		k.add(a)
	}
	k.plug(k.pinned, k.card)
	k.OK("", "token", "enroll", "--token", "piv", "--label", "card", "--pin-file", k.pin,
		"--auth-token", "first", "--auth-pin-file", k.keyPIN)
	k.plug(k.card, k.bare)
	k.OK("", "unlock", "--token", "card", "--pin-file", k.pin)
	k.OK("", "token", "enroll", "--token", "fido2", "--device", k.device(k.bare), "--label", "second",
		"--auth-token", "card", "--auth-pin-file", k.pin)
	return []way{
		{"first", k.pinned, []string{"--pin-file", k.keyPIN}},
		{"card", k.card, []string{"--pin-file", k.pin}},
		{"second", k.bare, nil},
	}
}

// alone plugs in one token, and has it unlock the vault and guard its codes.
func (k *keyring) alone(t *testing.T, w way, accounts []sample) {
	t.Helper()
	k.plug(w.token)
	k.OK("", "lock")
	k.OK("", append([]string{"unlock"}, w.args...)...)
	for _, a := range accounts {
		before := k.touches(w.token)
		checkOne(t, k.Daemon, a)
		if got, want := k.touches(w.token)-before, map[string]int{"session": 0, "touch": 1}[a.class]; got != want {
			t.Errorf("%s: %s (%s) took %d touches, want %d", w.label, a.name, a.class, got, want)
		}
	}
	k.OK("", append([]string{"token", "test", w.label}, w.args...)...)
}

// TestEachOfFourOpens has a vault with two FIDO2 keys, a card and a recovery
// password, each of which must do alone; then the first key is lost.
func TestEachOfFourOpens(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, nil)
	accounts := samples(6)
	ways := k.enrolAll(accounts)
	order := k.order()
	if len(order) != len(accounts) {
		t.Fatalf("%d accounts, want %d", len(order), len(accounts))
	}
	for _, w := range ways {
		k.alone(t, w, accounts)
	}
	k.plug()
	k.OK("", "lock")
	k.OK("", "unlock", "--recovery-password-file", k.password)
	checkOne(t, k.Daemon, accounts[0])
	k.Fails(13, "", []string{"code", accounts[1].name}) // a touch, or the password anew
	checkOne(t, k.Daemon, accounts[1], "--recovery-password-file", k.password)

	// The first key is lost, and nothing else is at hand but the password.
	backup := filepath.Join(t.TempDir(), "before.tokend")
	k.OK("", "backup", "create", backup)
	old := k.snapshot()
	var revoked ipc.RevokeResult
	k.JSON(&revoked, "token", "revoke", "first", "--yes", "--recovery-password-file", k.password)
	if !slices.ContainsFunc(revoked.OldBackups, func(s string) bool { return strings.Contains(s, backup) }) {
		t.Errorf("the backup that the lost key opens was not named: %q", revoked.OldBackups)
	}
	if got := k.order(); !slices.Equal(got, order) {
		t.Errorf("accounts %v, were %v", got, order)
	}
	after := filepath.Join(t.TempDir(), "after.tokend")
	k.OK("", "backup", "create", after)
	k.alone(t, ways[1], accounts)
	k.alone(t, ways[2], accounts)
	k.opensNothing(t, revoked.Revoked.ID, old)
	k.elsewhere(t, ways[1:], accounts, after)
}

// snapshot is the user's whole folder, by path.
func (k *keyring) snapshot() map[string][]byte {
	k.tb.Helper()
	files := map[string][]byte{}
	k.must(filepath.WalkDir(k.userFolder(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	}))
	return files
}

// opensNothing has the finder of the lost key, who knows its PIN, try.
func (k *keyring) opensNothing(t *testing.T, slot string, old map[string][]byte) {
	t.Helper()
	k.plug(k.pinned)
	k.OK("", "lock")
	before := k.pinned.Counts().PINsSeen
	k.Fails(13, "", []string{"unlock", "--pin-file", k.keyPIN})
	if k.pinned.Counts().PINsSeen != before {
		t.Error("a PIN was shown to a key that is not enrolled")
	}
	// Nothing that can be opened at all is left with its keyslot.
	read := 0
	for path, b := range k.snapshot() {
		a, err := archive.Parse(b)
		if err != nil {
			continue
		}
		read++
		for _, s := range a.Header.Keyslots {
			if s.ID == slot {
				t.Errorf("%s has a keyslot of the lost key", filepath.Base(path))
			}
		}
	}
	if read == 0 {
		t.Error("no vault file was found")
	}
	// The old files put back, as from a disk image: refused, and said so.
	now := k.snapshot()
	k.Stop()
	for path, b := range old {
		k.must(os.WriteFile(path, b, 0o600))
	}
	k.Start()
	k.plug(k.pinned)
	k.Fails(18, "", []string{"unlock", "--pin-file", k.keyPIN}, "older")
	k.Stop()
	for path := range k.snapshot() {
		if now[path] == nil {
			k.must(os.Remove(path))
		}
	}
	for path, b := range now {
		k.must(os.WriteFile(path, b, 0o600))
	}
	k.Start()
}

// elsewhere opens the vault on other machines: the file itself and a backup, by
// each token alone and by the password.
func (k *keyring) elsewhere(t *testing.T, ways []way, accounts []sample, backup string) {
	t.Helper()
	vault := filepath.Join(k.userFolder(), "vault.tokend")
	for _, w := range ways {
		for _, file := range []string{vault, backup} {
			k.plug(w.token)
			d := NewDaemon(t, k.Programs, k.Env, k.Args...)
			d.Start()
			Eventually(t, 2*soon(), d.wantToken)
			d.OK("", append([]string{"backup", "restore", file}, w.args...)...)
			if got := d.order(); len(got) != len(accounts) || got[0] != accounts[0].name {
				t.Errorf("%s: restored %v", w.label, got)
			}
			checkOne(t, d, accounts[0])
			checkOne(t, d, accounts[1])
			d.Stop()
		}
	}
	k.plug(k.pinned)
	d := NewDaemon(t, k.Programs, k.Env, k.Args...)
	d.Start()
	Eventually(t, 2*soon(), d.wantToken)
	d.Fails(13, "", []string{"backup", "restore", backup, "--pin-file", k.keyPIN})
	d.OK("", "backup", "restore", backup, "--recovery-password-file", k.password)
	checkOne(t, d, accounts[0])
}

// TestRightKeyAlone has two keys plugged in of which one is enrolled: the other
// one is asked for nothing.
func TestRightKeyAlone(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, func(_, other *vfido.Options) { other.PIN = keyPIN })
	k.plug(k.pinned)
	k.OK("", "init", "--token", "fido2", "--device", k.device(k.pinned), "--label", "mine",
		"--pin-file", k.keyPIN, "--recovery-password-file", k.password)
	accounts := samples(2)
	k.add(accounts[0])
	k.add(accounts[1])
	k.plug(k.pinned, k.bare)
	k.OK("", "lock")

	before := k.pinned.Counts()
	k.Fails(2, "", []string{"unlock"}, "the PIN of mine") // it says whose PIN is wanted, and nothing is asked of any key
	if n := k.pinned.Counts(); n.PINsSeen != before.PINsSeen || n.TouchesAsked != before.TouchesAsked {
		t.Errorf("without a PIN the key was asked: %+v", n)
	}
	k.OK("", "unlock", "--pin-file", k.keyPIN)
	n := k.pinned.Counts()
	if n.PINsSeen-before.PINsSeen != 1 || n.TouchesAsked-before.TouchesAsked != 1 {
		t.Errorf("an unlock took %d PINs and %d touches, want 1 and 1", n.PINsSeen-before.PINsSeen, n.TouchesAsked-before.TouchesAsked)
	}
	checkOne(t, k.Daemon, accounts[1])
	if m := k.pinned.Counts(); m.PINsSeen != n.PINsSeen || m.TouchesAsked-n.TouchesAsked != 1 {
		t.Errorf("a code took %d PINs and %d touches, want 0 and 1", m.PINsSeen-n.PINsSeen, m.TouchesAsked-n.TouchesAsked)
	}

	// Wrong PINs count on the right key alone; the last try is nobody's to spend.
	wrong := File(t, "not the pin")
	k.OK("", "lock")
	for tries := 7; tries >= 1; tries-- {
		k.Fails(14, "", []string{"unlock", "--pin-file", wrong})
		if got := k.pinned.PINTries(); got != tries {
			t.Fatalf("%d tries are left, want %d", got, tries)
		}
		if tries == 5 { // three in a row: it takes no PIN, the right one included, until it was pulled out
			k.Fails(14, "", []string{"unlock", "--pin-file", k.keyPIN}, "pulled out")
			k.plug(k.bare)
			k.plug(k.pinned, k.bare)
		}
		if tries == 2 {
			k.plug(k.bare)
			k.plug(k.pinned, k.bare)
		}
	}
	k.Fails(14, "", []string{"unlock", "--pin-file", k.keyPIN}, "only one PIN try")
	if got := k.pinned.PINTries(); got != 1 {
		t.Fatalf("the last try was spent: %d are left", got)
	}
	k.OK("", "unlock", "--pin-file", k.keyPIN, "--spend-last-try")
	if got := k.pinned.PINTries(); got != 8 {
		t.Errorf("%d tries after the right PIN", got)
	}
	if o := k.bare.Counts(); o.PINsSeen != 0 || o.TouchesAsked != 0 || o.MakeCredentials != 0 {
		t.Errorf("the key that is not enrolled was asked: %+v", o)
	}
}
