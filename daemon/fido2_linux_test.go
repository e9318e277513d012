//go:build cgo && !nofido2

package daemon_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// keyring is a daemon over the real libfido2, the real helper program and virtual
// FIDO2 keys in three ports.
type keyring struct {
	d     *daemon.Daemon
	p     ipc.Principal
	ports []*vfido.Port
}

func newKeyring(t *testing.T, change func(*daemon.Config)) *keyring {
	t.Helper()
	program := filepath.Join(t.TempDir(), "tokend-helper")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/tokenbridge/tokend/cmd/tokend-helper").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := &keyring{p: caller("1000")}
	var paths []string
	for _, name := range []string{"a", "b", "c"} {
		port := vfido.NewPort(filepath.Join(t.TempDir(), name))
		t.Cleanup(func() { port.Remove() })
		r.ports = append(r.ports, port)
		paths = append(paths, port.Path())
	}
	r.d = start(t, func(c *daemon.Config) {
		fido2 := helper.New(helper.Config{Path: program, Kind: tokens.KindFIDO2, Devices: paths, Log: c.Log})
		c.Drivers[tokens.KindFIDO2] = fido2
		c.Watchers = map[tokens.Kind]tokens.Watcher{tokens.KindFIDO2: fido2}
		if change != nil {
			change(c)
		}
	})
	return r
}

// insert plugs a new key in and waits until the daemon knows it.
func (r *keyring) insert(t *testing.T, port int, o vfido.Options) *vfido.Key {
	t.Helper()
	k, err := vfido.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.plug(t, port, k)
	return k
}

func (r *keyring) plug(t *testing.T, port int, k *vfido.Key) {
	t.Helper()
	if err := r.ports[port].Insert(k); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key", 5*time.Second, func() bool { return r.at(t, port).Present })
}

// at is the token in a port.
func (r *keyring) at(t *testing.T, port int) ipc.Token {
	t.Helper()
	l, err := r.d.Tokens(t.Context(), r.p)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range l.Tokens {
		if k.Locator == r.ports[port].Path() {
			return k
		}
	}
	return ipc.Token{}
}

const keyPIN = "271828"

func TestFIDO2TwoKeys(t *testing.T) {
	r := newKeyring(t, nil)
	first := r.insert(t, 0, vfido.Options{PIN: keyPIN})
	events := listen(t, r.d, r.p)
	made := initStick(t, r.d, r.p, keyPIN, "first")
	account := add(t, r.d, r.p, aliceURI)
	if account.Class != "touch" {
		t.Fatalf("the class is %q", account.Class)
	}
	if _, err := r.d.Code(t.Context(), r.p, "alice", ipc.CodeRequest{}); err != nil {
		t.Fatalf("a touch code: %v", err)
	}
	if e := events.next(t, ipc.EventTouchWanted); e.Token == nil || e.Token.Label != "first" {
		t.Errorf("a touch is announced as %+v", e.Token)
	}
	second := r.insert(t, 1, vfido.Options{Version: vfido.CTAP20, PIN: "1618033"})
	lock(t, r.d, r.p)
	e := wantKind(t, unlock(t, r.d, r.p, ipc.Auth{}), ipc.PINRequired)
	if e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("the token that wants its PIN is told as %+v", e.Token)
	}
	before := first.Counts()
	if err := unlock(t, r.d, r.p, ipc.Auth{Token: e.Token.ID, PIN: secretOf(keyPIN)}); err != nil {
		t.Fatal(err)
	}
	after, other := first.Counts(), second.Counts()
	if after.PINsSeen-before.PINsSeen != 1 || after.TouchesAsked-before.TouchesAsked != 1 || other.PINsSeen+other.TouchesAsked != 0 {
		t.Errorf("the right key saw %d PINs and %d touches, the other %d and %d", after.PINsSeen-before.PINsSeen, after.TouchesAsked-before.TouchesAsked, other.PINsSeen, other.TouchesAsked)
	}
	// The second joins, with its own PIN; the first is pulled and revoked.
	spare, err := r.d.EnrollToken(t.Context(), r.p, ipc.EnrollRequest{Kind: "fido2", Label: "spare", PIN: secretOf("1618033"), Auth: ipc.Auth{Token: "first", PIN: secretOf(keyPIN)}})
	if err != nil || spare.Token.Locator != r.ports[1].Path() {
		t.Fatalf("enroll: %+v, %v", spare, err)
	}
	_, err = r.d.EnrollToken(t.Context(), r.p, ipc.EnrollRequest{Kind: "fido2", Locator: r.ports[1].Path(), PIN: secretOf("1618033"), Auth: ipc.Auth{Token: "first", PIN: secretOf(keyPIN)}})
	wantKind(t, err, ipc.AlreadyExists)
	seen := first.Counts().PINsSeen
	r.ports[0].Remove()
	events.next(t, ipc.EventTokenRemoved)
	if err := unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf("1618033")}); err != nil {
		t.Fatalf("by the second alone: %v", err)
	}
	if _, err := r.d.Code(t.Context(), r.p, "alice", ipc.CodeRequest{}); err != nil {
		t.Errorf("a touch code by the second: %v", err)
	}
	backup(t, r.d, r.p, "/disk/a.tokend")
	rev, err := r.d.RevokeToken(t.Context(), r.p, "first", ipc.RevokeRequest{Confirm: made.Token.ID, Auth: ipc.Auth{Token: "spare", PIN: secretOf("1618033")}})
	if err != nil || !slices.Equal(rev.OldBackups, []string{"/disk/a.tokend"}) {
		t.Fatalf("revoke: %+v, %v", rev, err)
	}
	r.plug(t, 0, first)
	if k := r.at(t, 0); k.Enrolled {
		t.Errorf("the revoked key is listed as %+v", k)
	}
	wiped, err := r.d.WipeToken(t.Context(), r.p, r.at(t, 0).ID, ipc.WipeTokenRequest{Confirm: r.at(t, 0).ID})
	if err != nil || len(wiped.Cleared) != 0 {
		t.Errorf("wipe: %+v, %v", wiped, err)
	}
	if n := first.Counts().PINsSeen; n != seen {
		t.Errorf("the first key saw %d PINs more", n-seen)
	}
	if first.Residents()+second.Residents() != 0 {
		t.Error("something is stored on a key")
	}
}

func TestFIDO2PullAndReturn(t *testing.T) {
	r := newKeyring(t, nil)
	key := r.insert(t, 0, vfido.Options{PIN: keyPIN})
	initStick(t, r.d, r.p, keyPIN, "first")
	events := listen(t, r.d, r.p)
	begin := time.Now()
	r.ports[0].Remove()
	events.next(t, ipc.EventLocked)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the vault locked %v after the pull", took)
	}
	events.next(t, ipc.EventTokenRemoved)
	wantKind(t, unlock(t, r.d, r.p, ipc.Auth{}), ipc.TokenNotPresent)
	begin = time.Now()
	if err := r.ports[2].Insert(key); err != nil {
		t.Fatal(err)
	}
	if e := events.next(t, ipc.EventTokenInserted); e.Token == nil || e.Token.Label != "first" {
		t.Errorf("its return is told as %+v", e.Token)
	}
	t.Logf("it was known again after %v", time.Since(begin))
	if err := unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf(keyPIN)}); err != nil {
		t.Error(err)
	}
}

func TestFIDO2WrongPIN(t *testing.T) {
	r := newKeyring(t, nil)
	key := r.insert(t, 0, vfido.Options{PIN: keyPIN})
	initStick(t, r.d, r.p, keyPIN, "first")
	lock(t, r.d, r.p)
	wrong := func() error { return unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf("000000")}) }
	e := wantKind(t, wrong(), ipc.PINInvalid)
	if e.TriesLeft == nil || *e.TriesLeft != key.PINTries() {
		t.Errorf("it tells %v tries, the key has %d", e.TriesLeft, key.PINTries())
	}
	wantKind(t, wrong(), ipc.PINInvalid)
	if k := ipc.KindOf(wrong()); k != ipc.PINPaused && k != ipc.PINInvalid {
		t.Errorf("the third wrong PIN: %s", k)
	}
	wantKind(t, unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf(keyPIN)}), ipc.PINPaused)
	f, err := r.d.Doctor(t.Context(), r.p)
	if err != nil || !slices.ContainsFunc(f.Findings, func(f ipc.Finding) bool {
		return f.Code == "token-pin-paused" && f.Level == "error" && strings.Contains(f.Message, "pulled out") && f.Fix == "" // no command mends it
	}) {
		t.Errorf("the doctor says %+v, %v", f.Findings, err)
	}
	r.ports[0].Remove()
	eventually(t, "the removal", 3*time.Second, func() bool { return !r.at(t, 0).Present })
	r.plug(t, 0, key)
	if err := unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf(keyPIN)}); err != nil {
		t.Errorf("after putting it back: %v", err)
	}
}

func TestFIDO2WithoutPINThenWithOne(t *testing.T) {
	r := newKeyring(t, nil)
	r.insert(t, 0, vfido.Options{})
	made := initStick(t, r.d, r.p, "", "first")
	if !has(made.Warnings, "no-pin") || !made.Token.NoPIN {
		t.Errorf("init told %+v", made)
	}
	if err := r.d.ChangePIN(t.Context(), r.p, "first", ipc.ChangePINRequest{Which: "pin", New: secretOf(keyPIN)}); err != nil {
		t.Fatal(err)
	}
	// The keyslot was made without a PIN, and opens without one still.
	if k := r.at(t, 0); k.NoPIN || !has(k.Warnings, "no-pin") || !k.Enrolled {
		t.Errorf("with a PIN it is listed as %+v", k)
	}
	lock(t, r.d, r.p)
	if err := unlock(t, r.d, r.p, ipc.Auth{}); err != nil {
		t.Errorf("without the PIN that was set later: %v", err)
	}
	lock(t, r.d, r.p)
	if err := unlock(t, r.d, r.p, ipc.Auth{PIN: secretOf(keyPIN)}); err != nil {
		t.Errorf("with the PIN that was set: %v", err)
	}
}

func TestFIDO2AlwaysVerifies(t *testing.T) {
	r := newKeyring(t, nil)
	r.insert(t, 0, vfido.Options{PIN: keyPIN, AlwaysUV: true})
	made := initStick(t, r.d, r.p, keyPIN, "first")
	add(t, r.d, r.p, aliceURI)
	_, err := r.d.Code(t.Context(), r.p, "alice", ipc.CodeRequest{})
	if e := wantKind(t, err, ipc.PINRequired); e.Token == nil || e.Token.ID != made.Token.ID {
		t.Errorf("it is told as %+v", e.Token)
	}
	if _, err := r.d.Code(t.Context(), r.p, "alice", ipc.CodeRequest{Auth: ipc.Auth{Token: made.Token.ID, PIN: secretOf(keyPIN)}}); err != nil {
		t.Error(err)
	}
}

func TestFIDO2Attestation(t *testing.T) {
	r := newKeyring(t, func(c *daemon.Config) { c.Attestation.Required = true })
	key := r.insert(t, 0, vfido.Options{PIN: keyPIN})
	init := func() error {
		_, err := r.d.Init(t.Context(), r.p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "fido2", Label: "first", PIN: secretOf(keyPIN)}})
		return err
	}
	wantKind(t, init(), ipc.TokenUnattested)
	r.d.SetAttestation(daemon.Attestation{Required: true, Roots: [][]byte{key.AttestationRoot().Raw}})
	if err := init(); err != nil {
		t.Fatal(err)
	}
	info, err := r.d.TokenInfo(t.Context(), r.p, "first")
	if err != nil || !info.Attested || !info.AttestationOK || info.Maker == "" || info.MakerModel == "" || len(info.Facts) == 0 {
		t.Errorf("info: %+v, %v", info, err)
	}
}

// TestFIDO2Doctor: what cannot be used, and why.
func TestFIDO2Doctor(t *testing.T) {
	r := newKeyring(t, nil)
	r.insert(t, 0, vfido.Options{NoHMACSecret: true})
	f, err := r.d.Doctor(t.Context(), r.p)
	if err != nil || !slices.ContainsFunc(f.Findings, func(f ipc.Finding) bool {
		return f.Code == "token-unsupported" && strings.Contains(f.Message, "hmac-secret")
	}) {
		t.Errorf("the doctor says %+v, %v", f.Findings, err)
	}
	_, err = r.d.Init(t.Context(), r.p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "fido2", PIN: secretOf(keyPIN)}})
	wantKind(t, err, ipc.TokenUnsupported)
}
