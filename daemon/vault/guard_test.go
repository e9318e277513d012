package vault

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/tokens"
)

func readAll(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func writeAll(tb testing.TB, path string, data []byte) {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// detected says that err is one of the refusals, and not a crash or a surprise.
func detected(err error) bool {
	for _, want := range []error{ErrDamaged, ErrNotArchive, ErrNewer, ErrReplaced, ErrRolledBack} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// TestEveryByteFlipped flips every byte of a small vault, one at a time: neither
// its backup, nor a restore, nor the vault itself is then used.
func TestEveryByteFlipped(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, append(newAccounts(1, tokens.ClassSession, "hotp"), newAccounts(1, tokens.ClassTouch, "")...)...)
	v.Lock()
	data := readAll(t, r.store.vaultFile())
	for _, g := range r.store.earlier() { // nothing to fall back on
		if err := os.Remove(filepath.Join(r.store.generations(), g.name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range data {
		for _, mask := range []byte{1, 0x80} {
			data[i] ^= mask
			if _, err := archive.Parse(data); !detected(err) {
				t.Fatalf("byte %d of %d flipped by %#x: %v", i, len(data), mask, err)
			}
			data[i] ^= mask
		}
	}
	// Sampled through the whole store: it opens nothing, with any way.
	for i := 0; i < len(data); i += 97 {
		data[i] ^= 0x10
		writeAll(t, r.store.vaultFile(), data)
		if _, err := r.store.Head(); !detected(err) {
			t.Fatalf("byte %d: head: %v", i, err)
		}
		if _, err := r.store.Unlock(t.Context(), r.key.way("one")); !detected(err) {
			t.Fatalf("byte %d: unlock: %v", i, err)
		}
		if _, _, err := r.store.Backup(); !detected(err) {
			t.Fatalf("byte %d: backup: %v", i, err)
		}
		data[i] ^= 0x10
	}
	if calls := r.key.calls[tokens.ClassSession]; calls != 1 {
		t.Errorf("the token was asked %d times for damaged vaults", calls-1)
	}
	for _, cut := range []int{0, 1, 511, 512, len(data) / 2, len(data) - 1, len(data) - 512} {
		if _, err := archive.Parse(data[:cut]); !detected(err) {
			t.Errorf("cut to %d bytes: %v", cut, err)
		}
	}
	for _, tail := range []int{1, 512, 1024, 10240} {
		if _, err := archive.Parse(append(bytes.Clone(data), make([]byte, tail)...)); !detected(err) {
			t.Errorf("%d bytes more: %v", tail, err)
		}
	}
	writeAll(t, r.store.vaultFile(), data)
	r.unlock(r.key.way("one")).Lock()
}

// members splits a container by its tar headers alone.
func members(tb testing.TB, data []byte) (names []string, blocks map[string][]byte) {
	tb.Helper()
	blocks = map[string][]byte{}
	for pos := 0; data[pos] != 0; {
		name, _, _ := strings.Cut(string(data[pos:pos+100]), "\x00")
		var size int
		if _, err := fmt.Sscanf(string(data[pos+124:pos+135]), "%o", &size); err != nil {
			tb.Fatal(err)
		}
		end := pos + 512 + (size+511)/512*512
		names = append(names, name)
		blocks[name] = data[pos:end]
		pos = end
	}
	return names, blocks
}

func joined(names []string, blocks map[string][]byte) []byte {
	var out []byte
	for _, n := range names {
		out = append(out, blocks[n]...)
	}
	return append(out, make([]byte, 1024)...)
}

// TestMembersSwapped puts members of one generation, singly and in pairs, into
// another: of the same epoch, of another epoch, and of another vault.
func TestMembersSwapped(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, append(newAccounts(1, tokens.ClassSession, ""), newAccounts(1, tokens.ClassTouch, "")...)...)
	managed := newAccounts(1, tokens.ClassSession, "")[0]
	managed.Kind = Managed
	r.add(v, managed)
	base := readAll(t, r.store.vaultFile())
	var others [][]byte
	r.clock.t = r.clock.t.Add(3600e9)
	if err := v.SetRecovery(t.Context(), []byte(testPassword), r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	others = append(others, readAll(t, r.store.vaultFile()))
	if err := v.RotateRecovery(t.Context(), []byte(testPassword), r.key.way("one")); err != nil {
		t.Fatal(err)
	}
	others = append(others, readAll(t, r.store.vaultFile()))
	r2 := newRig(t)
	v2 := r2.create()
	r2.add(v2, managed)
	others = append(others, readAll(t, r2.store.vaultFile()))
	names, mine := members(t, base)
	n := 0
	for _, data := range others {
		_, theirs := members(t, data)
		for mask := 1; mask < 1<<len(names)-1; mask++ {
			mixed := map[string][]byte{}
			for i, name := range names {
				if mixed[name] = mine[name]; mask>>i&1 == 1 {
					mixed[name] = theirs[name]
				}
			}
			built := joined(names, mixed)
			if bytes.Equal(built, base) || bytes.Equal(built, data) {
				continue
			}
			if _, err := archive.Parse(built); !detected(err) {
				t.Fatalf("members %b swapped: %v", mask, err)
			}
			n++
		}
	}
	for i, name := range names {
		if _, err := archive.Parse(joined(append(append([]string{}, names[:i]...), names[i+1:]...), mine)); (err == nil) != (name == "device.age") {
			t.Errorf("without %s: %v", name, err)
		}
		if _, err := archive.Parse(joined(append(append([]string{}, names[:i+1]...), names[i:]...), mine)); !detected(err) {
			t.Errorf("%s twice: %v", name, err)
		}
	}
	if n < 500 {
		t.Fatalf("only %d mixtures tried", n)
	}
}

// forge makes a vault that the keyslots of a real one open: the public keys are
// in its header for anybody to read.
func forge(tb testing.TB, real []byte, generation uint64) []byte {
	tb.Helper()
	a, err := archive.Parse(real)
	if err != nil {
		tb.Fatal(err)
	}
	session, to, err := archive.NewIdentity()
	if err != nil {
		tb.Fatal(err)
	}
	touch, touchTo, err := archive.NewIdentity()
	if err != nil {
		tb.Fatal(err)
	}
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	p := a.Parts()
	keys := &archive.Keys{VaultID: a.Header.VaultID, Epoch: a.Header.Epoch, SessionKey: session, SigningKey: signing,
		JournalKey: make([]byte, 32), TouchRecipient: touchTo}
	for i := range p.Header.Keyslots {
		k := &p.Header.Keyslots[i]
		b := archive.Binding{VaultID: a.Header.VaultID, SlotID: k.ID, Class: archive.ClassSession, Epoch: a.Header.Epoch}
		key, _ := k.Key(archive.ClassSession)
		if k.SessionWrap, err = archive.Seal(key, b, session); err != nil {
			tb.Fatal(err)
		}
		s := archive.SlotSecret{ID: k.ID}
		if key, ok := k.Key(archive.ClassTouch); ok {
			b.Class = archive.ClassTouch
			w, err := archive.Seal(key, b, touch)
			if err != nil {
				tb.Fatal(err)
			}
			s.TouchWrap = &w
		}
		keys.Slots = append(keys.Slots, s)
	}
	_, keys.RecoveryRecipient, _ = archive.NewIdentity()
	must := func(b []byte, err error) []byte {
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	p.Keys = must(archive.Encrypt(must(archive.EncodeKeys(keys)), to))
	p.Session = must(archive.Encrypt(must(archive.EncodeSession(&archive.Session{VaultID: a.Header.VaultID,
		Journal: "0000000000000000", JournalBefore: "0000000000000000"})), to))
	p.TouchKey = must(archive.Encrypt(touch, keys.RecoveryRecipient))
	p.Device, p.SigningKey, p.Generation = nil, signing, generation
	data, _, err := archive.Build(p)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestForgedVaultIsRefused(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(2, tokens.ClassSession, "")...)
	signer := v.Signer()
	v.Lock()
	real := readAll(t, r.store.vaultFile())
	forged := forge(t, real, 99)
	if _, err := archive.Parse(forged); err != nil {
		t.Fatalf("the forgery is clumsy: %v", err)
	}
	writeAll(t, r.store.vaultFile(), forged)
	calls := r.key.calls[tokens.ClassSession]
	_, err := r.store.Unlock(t.Context(), r.key.way("one"))
	wantErr(t, err, ErrReplaced)
	_, err = r.store.Unlock(t.Context(), passwordWay())
	wantErr(t, err, ErrReplaced)
	_, err = r.store.Head()
	wantErr(t, err, ErrReplaced)
	_, _, err = r.store.Backup()
	wantErr(t, err, ErrReplaced)
	if r.key.calls[tokens.ClassSession] != calls {
		t.Error("the token was asked to open a forged vault")
	}
	// Recover finds the real one's generation before, and keeps the forgery aside.
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), true)
	if err != nil || !errors.Is(rec.Problem, ErrReplaced) || rec.Kept == "" || rec.Signer != signer {
		t.Fatalf("%+v, %v", rec, err)
	}
	v.Lock()
	// As a backup for a fresh machine: the password and the signer tell, a token
	// alone cannot.
	fresh := newRig(t)
	_, err = fresh.store.Restore(t.Context(), forged, passwordWay(), "")
	wantErr(t, err, ErrDamaged)
	_, err = fresh.store.Restore(t.Context(), forged, r.key.way("one"), signer)
	wantErr(t, err, ErrNotVouched)
	if fresh.store.Exists() {
		t.Fatal("a forged backup left a vault")
	}
	c, err := fresh.store.Inspect(t.Context(), forged, r.key.way("one"))
	if err != nil || c.SignerProved {
		t.Fatalf("%+v, %v", c, err)
	}
	v, err = fresh.store.Restore(t.Context(), real, r.key.way("one"), signer)
	if err != nil || len(v.Accounts()) != 2 {
		t.Fatal(err)
	}
	v.Lock()
}

func TestOtherVaultIsRefused(t *testing.T) {
	r, other := newRig(t), newRig(t)
	r.create().Lock()
	other.create().Lock()
	writeAll(t, r.store.vaultFile(), readAll(t, other.store.vaultFile()))
	_, err := r.store.Unlock(t.Context(), passwordWay())
	wantErr(t, err, ErrReplaced)
}

func TestGenerationsAreKept(t *testing.T) {
	r := newRig(t)
	v := r.create()
	for range 6 {
		r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	}
	g := r.store.earlier()
	if len(g) != 3 || g[0].number != 6 || g[2].number != 4 {
		t.Fatalf("%+v", g)
	}
	for _, e := range g {
		a, err := archive.Parse(readAll(t, filepath.Join(r.store.generations(), e.name)))
		if err != nil || a.Manifest.Generation != e.number {
			t.Fatalf("%s: %v", e.name, err)
		}
	}
}

// TestSignerFollowsRevocations opens a vault by the password that was set before
// its keys were rotated, on a machine that knows nothing of it.
func TestSignerFollowsRevocations(t *testing.T) {
	r := newRig(t)
	v := r.create()
	for i := range 3 {
		k := newSoftKey(t, tokens.X25519, tokens.ClassSession)
		id := fmt.Sprintf("k%d", i)
		if _, err := v.AddSlot(t.Context(), k.slot(id, ""), Way{}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.RevokeSlot(t.Context(), id, Way{}); err != nil {
			t.Fatal(err)
		}
	}
	data, _, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	fresh := newRig(t)
	v2, err := fresh.store.Restore(t.Context(), data, passwordWay(), v.Signer())
	if err != nil || v2.Epoch() != 4 {
		t.Fatal(err)
	}
	// Without the chain the same container is refused.
	var p pin
	if err := json.Unmarshal(readAll(t, r.opt.PinFile), &p); err != nil || len(p.Former) != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	a, err := archive.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	parts := a.Parts()
	parts.Header.Succession = parts.Header.Succession[:2]
	parts.SigningKey = v.st.keys.SigningKey
	cut, _, err := archive.Build(parts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newRig(t).store.Restore(t.Context(), cut, passwordWay(), "")
	wantErr(t, err, ErrDamaged)
}
