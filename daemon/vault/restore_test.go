package vault

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// ruin flips a byte in every container of the vault's folder and returns what
// the files are then, by name.
func (r *rig) ruin() map[string][]byte {
	r.tb.Helper()
	out := map[string][]byte{}
	paths := []string{r.store.vaultFile()}
	for _, g := range r.store.earlier() {
		paths = append(paths, filepath.Join(r.store.generations(), g.name))
	}
	for _, p := range paths {
		data := bytes.Clone(readAll(r.tb, p))
		data[len(data)/2] ^= 0x40
		if err := os.Remove(p); err != nil { // the generations are links
			r.tb.Fatal(err)
		}
		writeAll(r.tb, p, data)
		out[filepath.Base(p)] = data
	}
	return out
}

// aside lists the folders with what was put aside.
func (r *rig) aside() []string {
	found, err := filepath.Glob(filepath.Join(r.opt.Dir, asidePrefix+"*"))
	if err != nil {
		r.tb.Fatal(err)
	}
	return found
}

func (r *rig) backup() []byte {
	r.tb.Helper()
	data, _, err := r.store.Backup()
	if err != nil {
		r.tb.Fatal(err)
	}
	return data
}

func said(v *Vault, part string) bool {
	return slices.ContainsFunc(v.Notices(), func(n string) bool { return strings.Contains(n, part) })
}

// TestRestoreOverADamagedVault is the case that backups are for: nothing of the
// vault is good, and an older backup brings it back. Nothing is deleted.
func TestRestoreOverADamagedVault(t *testing.T) {
	r := newRig(t)
	v := r.create()
	hotp := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)[0].ID
	old := r.backup()
	r.add(v, newAccounts(2, tokens.ClassTouch, "")...)
	if _, err := v.NextCounter(hotp); err != nil {
		t.Fatal(err)
	}
	newest := v.Generation()
	_, err := r.store.Restore(t.Context(), old, r.key.way("one"), "")
	wantErr(t, err, ErrExists)
	v.Lock()
	ruined := r.ruin()
	journal := readAll(t, journalOf(r))
	_, err = r.store.Unlock(t.Context(), r.key.way("one"))
	wantErr(t, err, ErrDamaged)
	_, _, err = r.store.Recover(t.Context(), r.key.way("one"), true)
	wantErr(t, err, ErrDamaged)

	v, err = r.store.Restore(t.Context(), old, r.key.way("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Accounts()) != 1 || v.ReadOnly() || v.Generation() <= newest {
		t.Errorf("%d accounts, generation %d after %d, %v", len(v.Accounts()), v.Generation(), newest, v.Problem())
	}
	kept := r.aside()
	if len(kept) != 1 {
		t.Fatalf("put aside: %v", kept)
	}
	for name, data := range ruined {
		if !bytes.Equal(readAll(t, filepath.Join(kept[0], name)), data) {
			t.Errorf("%s was not kept as it was", name)
		}
	}
	if !bytes.Equal(readAll(t, filepath.Join(kept[0], journalName)), journal) {
		t.Error("the journal was not kept as it was")
	}
	for _, part := range []string{kept[0], "generation 3 was the newest", "skip 8"} {
		if !said(v, part) {
			t.Errorf("%q is not said: %q", part, v.Notices())
		}
	}
	if n, err := v.NextCounter(hotp); err != nil || n != CounterMargin {
		t.Errorf("the next counter is %d, %v", n, err)
	}
	r.add(v, newAccounts(1, tokens.ClassTouch, "")...)
	v.Lock()
	v = r.unlock(r.key.way("one"))
	defer v.Lock()
	if len(v.Accounts()) != 2 || len(v.Notices()) != 0 {
		t.Errorf("opened again: %d accounts, %q", len(v.Accounts()), v.Notices())
	}
	_, err = r.store.Restore(t.Context(), old, r.key.way("one"), "")
	wantErr(t, err, ErrExists)
}

// TestRestoreOverWhatIsNotTheVault restores where the file is another vault's,
// an old one, missing, or where the pin is lost.
func TestRestoreOverWhatIsNotTheVault(t *testing.T) {
	for name, spoil := range map[string]func(r *rig, first []byte){
		"another vault": func(r *rig, _ []byte) {
			other := newRig(t)
			other.create().Lock()
			writeAll(t, r.store.vaultFile(), readAll(t, other.store.vaultFile()))
		},
		"a forged one": func(r *rig, first []byte) { writeAll(t, r.store.vaultFile(), forge(t, first, 99)) },
		"an old one":   func(r *rig, first []byte) { writeAll(t, r.store.vaultFile(), first) },
		"no pin": func(r *rig, _ []byte) {
			if err := os.Remove(r.opt.PinFile); err != nil {
				t.Fatal(err)
			}
		},
		"a damaged pin": func(r *rig, _ []byte) { writeAll(t, r.opt.PinFile, []byte("{")) },
		"no newest": func(r *rig, _ []byte) {
			r.ruin()
			if err := os.Remove(r.store.vaultFile()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v := r.create()
			first := bytes.Clone(readAll(t, r.store.vaultFile()))
			r.add(v, newAccounts(2, tokens.ClassSession, "")...)
			backup, signer := r.backup(), v.Signer()
			v.Lock()
			stranger := newRig(t)
			stranger.create().Lock()
			foreign := stranger.backup()
			spoil(r, first)

			calls := r.key.calls[tokens.ClassSession]
			_, err := r.store.Restore(t.Context(), foreign, stranger.key.way("one"), "")
			wantErr(t, err, ErrNotVouched)
			_, err = r.store.Restore(t.Context(), backup, r.key.way("one"), strings.Repeat("ab", 32))
			wantErr(t, err, ErrNotVouched)
			_, err = r.store.Restore(t.Context(), backup, r.key.way("one"), "1234")
			wantErr(t, err, ErrInvalid)
			if r.key.calls[tokens.ClassSession] != calls || len(r.aside()) != 0 {
				t.Error("a backup that is refused had a token asked, or files put aside")
			}
			want := ""
			if strings.Contains(name, "pin") {
				want = signer
			}
			if v, err = r.store.Restore(t.Context(), backup, r.key.way("one"), want); err != nil {
				t.Fatal(err)
			}
			if len(v.Accounts()) != 2 || len(r.aside()) != 1 || !said(v, r.aside()[0]) {
				t.Errorf("%d accounts, aside %v, %q", len(v.Accounts()), r.aside(), v.Notices())
			}
			v.Lock()
			r.unlock(r.key.way("one")).Lock()
		})
	}
}

// TestRestoreOfAnotherVaultByItsSigner: naming the signer says that it is meant.
func TestRestoreOfAnotherVaultByItsSigner(t *testing.T) {
	r, other := newRig(t), newRig(t)
	r.create().Lock()
	w := other.create()
	signer := w.Signer()
	w.Lock()
	r.ruin()
	v, err := r.store.Restore(t.Context(), other.backup(), other.key.way("one"), signer)
	if err != nil {
		t.Fatal(err)
	}
	id := v.ID()
	v.Lock()
	v = r.unlock(other.key.way("one"))
	defer v.Lock()
	if v.ID() != id {
		t.Error("another vault was opened")
	}
}

// TestRestoreBesideAGoodGeneration: there the vault can be recovered, and only a
// backup of what came later is better.
func TestRestoreBesideAGoodGeneration(t *testing.T) {
	r := newRig(t)
	v := r.create()
	old := r.backup()
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	newest := r.backup()
	v.Lock()
	data := readAll(t, r.store.vaultFile())
	data[len(data)/2] ^= 1
	writeAll(t, r.store.vaultFile(), data)
	_, err := r.store.Restore(t.Context(), old, r.key.way("one"), "")
	wantErr(t, err, ErrExists)
	wantErr(t, r.store.Restorable(old), ErrExists)
	if v, err = r.store.Restore(t.Context(), newest, r.key.way("one"), ""); err != nil || len(v.Accounts()) != 1 {
		t.Fatal(err)
	}
	v.Lock()
}

// TestRestoreFailsAtEveryStep lets the disk be full, or the machine stop, at
// every operation of a restore over a damaged vault: no byte of what was there
// is lost, and the restore can be done afterwards.
func TestRestoreFailsAtEveryStep(t *testing.T) {
	key, extra := faultKeys(t)
	s := newScenario(t, key, extra)
	all := s.steps()
	for ; s.step < 6; s.step++ {
		if err := all[s.step](t.Context()); err != nil {
			t.Fatal(err)
		}
		s.acked = s.vault.Accounts()
	}
	backup, _, err := s.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	s.vault.Lock()
	var ruined [][]byte
	broken := s.fs.snapshot()
	for path, n := range broken.names {
		if strings.HasSuffix(path, ".tokend") {
			n.data = bytes.Clone(n.data)
			n.data[len(n.data)/2] ^= 1
			n.synced = bytes.Clone(n.data)
			ruined = append(ruined, n.data)
		}
	}
	if len(ruined) < 3 {
		t.Fatalf("only %d files to lose", len(ruined))
	}
	restore := func(m *memFS) error {
		store, err := OpenStore(faultOptions(m))
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		v, err := store.Restore(t.Context(), backup, key.way("one"), "")
		if err == nil {
			v.Lock()
		}
		return err
	}
	check := func(m *memFS, what string) {
		t.Helper()
		for i, want := range ruined {
			if !slices.ContainsFunc(slices.Collect(maps.Values(m.names)), func(n *memNode) bool { return bytes.Equal(n.data, want) }) {
				t.Fatalf("%s: damaged file %d is lost", what, i)
			}
		}
	}
	again := func(m *memFS, what string) {
		t.Helper()
		m.fault = nil
		check(m, what)
		if err := restore(m); err != nil && !errors.Is(err, ErrExists) {
			t.Fatalf("%s: again: %v", what, err)
		}
		check(m, what)
		store, err := OpenStore(faultOptions(m))
		if err != nil {
			t.Fatal(err)
		}
		v, err := store.Unlock(t.Context(), key.way("one"))
		if err != nil || len(v.Accounts()) != len(s.acked) || v.ReadOnly() {
			t.Fatalf("%s: opened: %v", what, err)
		}
	}
	for n := 1; ; n++ {
		for _, crash := range []bool{false, true} {
			fault := map[bool]error{false: errNoSpace, true: errCrash}[crash]
			m := broken.snapshot()
			m.ops = 0
			m.fault = func(op string) error {
				if !crash && m.ops == n && needsRoom(op) || crash && m.ops >= n {
					return fault
				}
				return nil
			}
			err := restore(m)
			if err == nil && m.ops < n {
				if n < 15 {
					t.Fatalf("only %d operations", m.ops)
				}
				return
			}
			what := fault.Error() + " at " + m.log[n-1]
			if crash {
				again(m.reboot(false), what)
				again(m.reboot(true), what+", unsynced lost")
				continue
			}
			m.locked = map[string]bool{}
			again(m, what)
		}
	}
}
