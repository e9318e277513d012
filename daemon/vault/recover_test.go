package vault

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

func TestRollback(t *testing.T) {
	r := newRig(t)
	v := r.create()
	h := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)[0]
	old := readAll(t, r.store.vaultFile())
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	v.Lock()
	writeAll(t, r.store.vaultFile(), old)
	_, err := r.store.Unlock(t.Context(), r.key.way("one"))
	wantErr(t, err, ErrRolledBack)
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), false)
	if err != nil || !errors.Is(rec.Problem, ErrRolledBack) || rec.Applied || !v.ReadOnly() {
		t.Fatalf("%+v, %v", rec, err)
	}
	v.Lock()
	rec, v, err = r.store.Recover(t.Context(), r.key.way("one"), true)
	if err != nil || !rec.Applied || v.ReadOnly() || v.Generation() != 4 || len(v.Notices()) != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if c, err := v.NextCounter(h.ID); err != nil || c != CounterMargin {
		t.Fatalf("counter %d, %v", c, err)
	}
	v.Lock()
	r.unlock(passwordWay()).Lock()
}

func TestLostAndDamagedPin(t *testing.T) {
	for name, damage := range map[string]func(r *rig){
		"lost":    func(r *rig) { _ = os.Remove(r.opt.PinFile) },
		"empty":   func(r *rig) { writeAll(r.tb, r.opt.PinFile, nil) },
		"garbage": func(r *rig) { writeAll(r.tb, r.opt.PinFile, []byte(`{"format":"tokend-pin","x":1}`)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v := r.create()
			r.add(v, newAccounts(1, tokens.ClassSession, "")...)
			v.Lock()
			damage(r)
			_, err := r.store.Unlock(t.Context(), r.key.way("one"))
			wantErr(t, err, ErrNoPin)
			_, err = r.store.Head()
			wantErr(t, err, ErrNoPin)
			if h, err := r.store.RecoverHead(); err != nil || len(h.Slots) != 1 || !errors.Is(h.Problem, ErrNoPin) {
				t.Fatalf("%+v, %v", h, err)
			}
			rec, v, err := r.store.Recover(t.Context(), passwordWay(), false)
			if err != nil || !errors.Is(rec.Problem, ErrNoPin) || len(rec.Accounts) != 1 || !v.ReadOnly() {
				t.Fatalf("%+v, %v", rec, err)
			}
			v.Lock()
			_, err = r.store.Unlock(t.Context(), r.key.way("one"))
			wantErr(t, err, ErrNoPin)
			_, v, err = r.store.Recover(t.Context(), passwordWay(), true)
			if err != nil {
				t.Fatal(err)
			}
			v.Lock()
			r.unlock(r.key.way("one")).Lock()
		})
	}
}

func TestDamagedNewestFallsBack(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	for range 2 {
		if _, err := v.NextCounter(a[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	before := v.Accounts()
	lost := newAccounts(2, tokens.ClassSession, "")[1]
	r.add(v, lost)
	if _, err := v.NextCounter(a[0].ID); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	data := readAll(t, r.store.vaultFile())
	data[len(data)-1500] ^= 1 // in the signature or manifest: the accounts can still be listed
	writeAll(t, r.store.vaultFile(), data)
	head, err := r.store.Head()
	if err != nil || !errors.Is(head.Problem, ErrDamaged) || head.Generation != 2 {
		t.Fatalf("%+v, %v", head, err)
	}
	v = r.unlock(r.key.way("one"))
	if !v.ReadOnly() || len(v.Accounts()) != 1 || v.Accounts()[0].ID != before[0].ID {
		t.Fatalf("%v %+v", v.ReadOnly(), v.Accounts())
	}
	_, err = v.Add(t.Context(), newAccounts(1, tokens.ClassSession, ""))
	wantErr(t, err, ErrReadOnly)
	_, err = v.NextCounter(a[0].ID)
	wantErr(t, err, ErrReadOnly)
	v.Lock()
	_, _, err = r.store.Backup()
	wantErr(t, err, ErrDamaged)
	r.recoverDamaged(data, a[0].ID, []string{"generation 3 is not there", "added: " + lost.Issuer + ": " + lost.Name})
	r.reopen()
	r.unlock(passwordWay()).Lock()
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), true)
	if err != nil || rec.Damaged || rec.Applied {
		t.Fatalf("%+v, %v", rec, err)
	}
	v.Lock()
	// A missing newest is a damaged one.
	if err := os.Remove(r.store.vaultFile()); err != nil {
		t.Fatal(err)
	}
	v = r.unlock(r.key.way("one"))
	if !v.ReadOnly() {
		t.Fatal("writable")
	}
	v.Lock()
}

// recoverDamaged applies a recovery of a vault whose newest file has the bytes
// data, and of whose hotp account three counters were handed out.
func (r *rig) recoverDamaged(data []byte, hotp string, lost []string) {
	t := r.tb
	t.Helper()
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), true)
	if err != nil || !rec.Damaged || !rec.Applied || rec.Kept == "" {
		t.Fatalf("%+v, %v", rec, err)
	}
	if !reflect.DeepEqual(rec.Lost, lost) {
		t.Errorf("lost %q", rec.Lost)
	}
	if !bytes.Equal(readAll(t, rec.Kept), data) {
		t.Error("the damaged file was not kept")
	}
	// Three were handed out, one of them known to the journal alone.
	if c, err := v.NextCounter(hotp); err != nil || c < 3+CounterMargin {
		t.Fatalf("counter %d, %v", c, err)
	}
	if v.Generation() != 4 || v.ReadOnly() {
		t.Fatalf("generation %d", v.Generation())
	}
	v.Lock()
}

// TestRollbackFindsTheNewestThatIsLeft puts back an old file by hand: Recover
// takes the newer one that was kept.
func TestRollbackFindsTheNewestThatIsLeft(t *testing.T) {
	r := newRig(t)
	v := r.create()
	first := readAll(t, r.store.vaultFile())
	for range 3 {
		r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	}
	v.Lock()
	// Written over as another program does it; the kept generations are other files.
	if err := os.Remove(r.store.vaultFile()); err != nil {
		t.Fatal(err)
	}
	writeAll(t, r.store.vaultFile(), first)
	rec, v, err := r.store.Recover(t.Context(), r.key.way("one"), true)
	if err != nil || !errors.Is(rec.Problem, ErrRolledBack) || rec.Generation != 3 || rec.Kept == "" || v.Generation() != 5 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if len(v.Accounts()) != 2 {
		t.Fatalf("%d accounts", len(v.Accounts()))
	}
	v.Lock()
	r.unlock(passwordWay()).Lock()
}
