//go:build linux

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestAuthorityKeyOnTokens has tokens hold the authority's key: a card, a FIDO2 key
// and a software token. After each start of the daemon nothing is verified until one
// of them opens it.
func TestAuthorityKeyOnTokens(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, nil)
	k.plug(k.card, k.pinned)
	k.Fails(13, "", []string{"admin", "authority", "create", "Example Ltd", "--key", "token", "--pin-file", k.pin}, "enrol the token in your vault first")
	k.OK("", "init", "--token", "piv", "--label", "card", "--pin-file", k.pin, "--recovery-password-file", k.password)
	k.OK("", "token", "enroll", "--token", "fido2", "--device", k.device(k.pinned), "--label", "key", "--pin-file", k.keyPIN, "--auth-token", "card", "--auth-pin-file", k.pin)
	k.OK("", "lock")
	card, key := k.slot("card"), k.slot("key")

	k.Fails(14, "654321", []string{"admin", "authority", "create", "Example Ltd", "--key", "token", "--token", card, "--pin-file", "-"}, "PIN")
	dir := filepath.Join(k.State, "authority")
	if _, err := os.Stat(filepath.Join(dir, "registry.db")); err == nil {
		t.Error("a wrong PIN has made an authority")
	}
	r := k.OK("", "admin", "authority", "create", "Example Ltd", "--key", "token", "--token", card, "--pin-file", k.pin)
	if !strings.Contains(r.Stderr, "add a second one") || !strings.Contains(r.Stderr, "one token is the only way") {
		t.Errorf("it does not say that one token is not enough: %s", r)
	}
	for name, mode := range map[string]os.FileMode{"keyslots.json": 0o600, "key": 0} {
		if info, err := os.Stat(filepath.Join(dir, name)); (mode == 0) != os.IsNotExist(err) || mode != 0 && info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	const seed = "3132333435363738393031323334353637383931"
	fobs := "serial number,secret,type,digits,time interval,user\n10001," + seed + ",hotp,6,,alice\n"
	k.OK("", "admin", "fob", "import", File(t, fobs), "--apply", "--assign-by-file", "--add-users")
	counter := 0
	verifies := func() {
		t.Helper()
		k.OK(hotp(t, seed, counter), "admin", "verify", "alice", "--passcode-file", "-")
		counter++
	}
	refused := func() {
		t.Helper()
		k.Fails(18, hotp(t, seed, counter), []string{"admin", "verify", "alice", "--quiet", "--passcode-file", "-"}, "the authority is locked", "tokenctl admin authority unlock")
	}
	unlock := func(slot, pin string) []string {
		return []string{"admin", "authority", "unlock", "--token", slot, "--pin-file", pin}
	}
	verifies()

	// A start: locked, and everything says so.
	k.Stop()
	k.Start()
	k.plug(k.card, k.pinned)
	refused()
	k.Fails(18, "", []string{"admin", "authority", "show"}, "the authority is locked")
	k.Fails(23, "", []string{"admin", "authority", "descriptor"}, "the authority is locked")
	if r := k.Ctl("", "status"); !strings.Contains(r.Stdout+r.Stderr, "locked: a token opens it") {
		t.Errorf("status: %s", r)
	}
	if r := k.Ctl("", "doctor"); !strings.Contains(r.Stdout, "the authority is locked") || !strings.Contains(r.Stdout, "tokenctl admin authority unlock") {
		t.Errorf("doctor: %s", r)
	}
	k.Fails(14, "654321", unlock(card, "-"), "PIN")
	k.Fails(2, "", unlock(card, "")[:5], "--pin-file FILE")
	refused()
	k.OK("", unlock(card, k.pin)...)
	verifies()

	// A second token, and a third that is none; each opens it, until it is removed.
	k.Fails(11, "", append([]string{"admin", "authority", "key", "add"}, unlock(card, k.pin)[3:]...), "opens the authority already")
	k.OK("", append([]string{"admin", "authority", "key", "add"}, unlock(key, k.keyPIN)[3:]...)...)
	old, err := os.ReadFile(filepath.Join(dir, "keyslots.json"))
	if err != nil {
		t.Fatal(err)
	}
	k.OK("", "admin", "authority", "lock")
	refused()
	k.plug(k.pinned)
	k.Fails(13, "", unlock(card, k.pin), "plug the token in")
	k.OK("", unlock(key, k.keyPIN)...)
	verifies()
	k.OK("", "admin", "authority", "key", "remove", card, "--yes")
	k.Fails(20, "", []string{"admin", "authority", "key", "remove", key, "--yes"}, "the last way to the authority key")

	// The removed one opens nothing any more, with an older file of keyslots neither.
	k.OK("", "admin", "authority", "lock")
	k.plug(k.card, k.pinned)
	k.Fails(11, "", unlock(card, k.pin))
	if err := os.WriteFile(filepath.Join(dir, "keyslots.json"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	k.Fails(13, "", unlock(card, k.pin), "was removed")
	refused()
	seen := k.card.Counts().PINsSeen
	k.Fails(11, "", unlock(card, k.pin), "the authority has no such key")
	if n := k.card.Counts().PINsSeen; n != seen {
		t.Errorf("a token that opens nothing saw its PIN %d times", n-seen)
	}
	k.OK("", unlock(key, k.keyPIN)...)
	verifies()

	// The token that opens the authority is not emptied.
	k.OK("", "admin", "authority", "key", "add", "--token", card, "--pin-file", k.pin)
	k.OK("", "unlock", "--token", key, "--pin-file", k.keyPIN)
	r = k.OK("", "token", "revoke", card, "--yes", "--auth-token", key, "--pin-file", k.keyPIN)
	if !strings.Contains(r.Stderr, "still opens the authority") {
		t.Errorf("revoking does not say what the token opens: %s", r)
	}
	var list ipc.AuthorityKeyList
	k.JSON(&list, "admin", "authority", "key", "list")
	if len(list.Keys) != 2 || !list.Keys[0].Hardware || list.Keys[1].ID != card {
		t.Errorf("the list: %+v", list)
	}
	log := k.OK("", "admin", "audit", "list").Stdout
	for _, want := range []string{"authority-unlock", "authority-lock", "authority-key-add", "authority-key-remove", "authority-keyslots-restored", "token-pin-invalid"} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit has no %q", want)
		}
	}
	k.OK("", "admin", "audit", "verify")
}

// slot is the id of the keyslot with a label.
func (k *keyring) slot(label string) string {
	k.tb.Helper()
	var list ipc.TokenList
	k.JSON(&list, "token", "list")
	for _, t := range list.Tokens {
		if t.Label == label && t.Enrolled {
			return t.ID
		}
	}
	k.tb.Fatalf("there is no keyslot %q", label)
	return ""
}

// TestAuthorityListenerFollowsTheLock: while the authority is locked nobody is
// listened to from other machines.
func TestAuthorityListenerFollowsTheLock(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	d := NewDaemon(t, programs(t), nil, "--config", File(t, "[authority]\nlisten = \""+address+"\"\n"))
	d.Start()
	pin := File(t, "a passphrase of the token")
	listens := func(want bool) {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		if (err == nil) != want {
			t.Errorf("it listens: %v", err == nil)
		}
	}
	d.OK("", "init", "--token", "soft", "--pin-file", pin, "--no-recovery-password")
	r := d.OK("", "admin", "authority", "create", "Example Ltd", "--key", "token", "--pin-file", pin)
	if !strings.Contains(r.Stderr, "a software token, not hardware") {
		t.Errorf("it does not say what the token is: %s", r)
	}
	listens(true)
	var told, now ipc.AuthorityDescriptor // the text has a time and a signature
	d.JSON(&told, "admin", "authority", "descriptor")
	for range 2 {
		d.OK("", "admin", "authority", "lock")
		listens(false)
		d.OK("", "admin", "authority", "lock") // as it is
		d.OK("", "admin", "authority", "unlock", "--pin-file", pin)
		listens(true)
		d.OK("", "admin", "authority", "unlock") // it is open
	}
	d.Stop()
	d.Start()
	listens(false)
	d.OK("", "admin", "authority", "unlock", "--pin-file", pin)
	listens(true)
	d.JSON(&now, "admin", "authority", "descriptor")
	if now.Fingerprint != told.Fingerprint || !slices.Equal(now.Endpoints, told.Endpoints) || len(now.Endpoints) != 2 {
		t.Errorf("devices are told %+v, and were told %+v", now, told)
	}
	d.OK("", "admin", "authority", "lock")
	d.Stop() // in this state, too
}
