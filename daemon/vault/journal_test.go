package vault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

func journalOf(r *rig) string { return filepath.Join(r.opt.Dir, journalName) }

// hotpVault has two HOTP accounts, the first of which gave n codes.
func hotpVault(r *rig, n int) []Account {
	v := r.create()
	a := r.add(v, newAccounts(2, tokens.ClassSession, "hotp")...)
	for range n {
		if _, err := v.NextCounter(a[0].ID); err != nil {
			r.tb.Fatal(err)
		}
	}
	v.Lock()
	return a
}

func TestJournalDamage(t *testing.T) {
	const handed = 4
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		next   uint64 // the first account's next counter
		notice bool
	}{
		{"intact", func(b []byte) []byte { return b }, handed, false},
		{"torn tail", func(b []byte) []byte { return append(b, b[40:59]...) }, handed, false},
		{"zeros at the end", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, handed, false},
		{"last record cut", func(b []byte) []byte { return b[:len(b)-1] }, handed - 1, false},
		{"broken middle", func(b []byte) []byte { b[40*2+10] ^= 1; return b }, handed + CounterMargin, true},
		{"broken last", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, handed - 1 + CounterMargin, true},
		{"records swapped", func(b []byte) []byte {
			return append(append(append(bytes.Clone(b[:40]), b[80:120]...), b[40:80]...), b[120:]...)
		}, handed + CounterMargin, true},
		{"record removed", func(b []byte) []byte { return append(bytes.Clone(b[:80]), b[120:]...) }, 1 + CounterMargin, true},
		{"no magic", func(b []byte) []byte { b[0] ^= 1; return b }, CounterMargin, true},
		{"head forged", func(b []byte) []byte { b[30] ^= 1; return b }, CounterMargin, true},
		{"empty", func([]byte) []byte { return nil }, CounterMargin, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			a := hotpVault(r, handed)
			data := readAll(t, journalOf(r))
			if len(data) != 40*(1+handed) {
				t.Fatalf("%d bytes", len(data))
			}
			writeAll(t, journalOf(r), c.change(data))
			v := r.unlock(r.key.way("one"))
			if (len(v.Notices()) > 0) != c.notice {
				t.Errorf("notices %q", v.Notices())
			}
			n, err := v.NextCounter(a[0].ID)
			if err != nil || n != c.next {
				t.Fatalf("counter %d, not %d: %v", n, c.next, err)
			}
			v.Lock()
			v = r.unlock(r.key.way("one"))
			if len(v.Notices()) > 0 {
				t.Errorf("a second notice: %q", v.Notices())
			}
			if n, err := v.NextCounter(a[0].ID); err != nil || n != c.next+1 {
				t.Fatalf("then counter %d, %v", n, err)
			}
			v.Lock()
		})
	}
}

// TestJournalOfAnotherTime puts journals in place that are not the vault's: an
// earlier one, whose counters are folded in already, is not taken for the
// present one.
func TestJournalOfAnotherTime(t *testing.T) {
	r := newRig(t)
	a := hotpVault(r, 3)
	old := readAll(t, journalOf(r))
	v := r.unlock(r.key.way("one"))
	if _, err := v.Edit(t.Context(), a[0].ID, func(a *Account) error { a.Counter = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	v.Lock()
	writeAll(t, journalOf(r), old) // as a crash before the new one was started leaves it
	v = r.unlock(r.key.way("one"))
	if n, err := v.NextCounter(a[0].ID); err != nil || n != 1 || len(v.Notices()) != 0 {
		t.Fatalf("counter %d, %v, %q: the counter set by the user is gone", n, err, v.Notices())
	}
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	v.Lock()
	writeAll(t, journalOf(r), old) // older than that
	v = r.unlock(r.key.way("one"))
	if n, err := v.NextCounter(a[0].ID); err != nil || n < 2+CounterMargin || len(v.Notices()) != 1 {
		t.Fatalf("counter %d, %v, %q", n, err, v.Notices())
	}
	v.Lock()
	if err := os.Remove(journalOf(r)); err != nil {
		t.Fatal(err)
	}
	v = r.unlock(r.key.way("one"))
	if len(v.Notices()) != 1 {
		t.Fatalf("a lost journal is not told: %q", v.Notices())
	}
	v.Lock()
}

func TestJournalIsFoldedWhenLong(t *testing.T) {
	r := newRig(t)
	a := hotpVault(r, 1)
	v := r.unlock(r.key.way("one"))
	generation := v.Generation()
	v.journal.records = journalFold - 1 // as if so many had been written
	v.journal.dirty = true
	if _, err := v.NextCounter(a[0].ID); err != nil {
		t.Fatal(err)
	}
	if v.Generation() != generation+1 || v.journal.records != 0 {
		t.Fatalf("generation %d, %d records", v.Generation(), v.journal.records)
	}
	v.Lock()
	v = r.unlock(r.key.way("one"))
	if n, err := v.NextCounter(a[0].ID); err != nil || n != 2 || len(v.Notices()) > 0 {
		t.Fatalf("counter %d, %v, %q", n, err, v.Notices())
	}
	v.Lock()
}

func TestRestoreSkipsCounters(t *testing.T) {
	r := newRig(t)
	a := hotpVault(r, 5)
	data, info, err := r.store.Backup()
	if err != nil {
		t.Fatal(err)
	}
	fresh := newRig(t)
	v, err := fresh.store.Restore(t.Context(), data, passwordWay(), info.Signer)
	if err != nil || len(v.Notices()) != 1 {
		t.Fatalf("%v", err)
	}
	// The backup was made before the codes; what is skipped is documented.
	if n, err := v.NextCounter(a[0].ID); err != nil || n != CounterMargin {
		t.Fatalf("counter %d, %v", n, err)
	}
	v.Lock()
	_, err = fresh.store.Restore(t.Context(), data, passwordWay(), "")
	wantErr(t, err, ErrExists)
}

// FuzzJournal feeds foreign bytes to the reader: whatever it believes carries
// the right MAC.
func FuzzJournal(f *testing.F) {
	key := bytes.Repeat([]byte{7}, 32)
	const vault, id, account = "00112233445566778899aabbccddeeff", "0102030405060708", "1112131415161718"
	start, err := journalStart(key, vault, id)
	if err != nil {
		f.Fatal(err)
	}
	whole := bytes.Clone(start)
	for i := range 5 {
		rec, err := journalEntry(key, vault, id, account, uint64(10+i), int64(i+1))
		if err != nil {
			f.Fatal(err)
		}
		whole = append(whole, rec...)
	}
	seeds := [][]byte{nil, start, whole, whole[:len(whole)-7], append(bytes.Clone(whole), make([]byte, 80)...), []byte(journalMagic)}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := replay(data, key, vault)
		for acc, n := range r.counters {
			if acc != account || n < 10 || n > 14 {
				t.Fatalf("counter %d of %s is believed", n, acc)
			}
			var be [8]byte
			binary.BigEndian.PutUint64(be[:], n)
			if !bytes.Contains(data, be[:]) {
				t.Fatal("a counter from nowhere")
			}
		}
		if r.records*journalRecord > int64(len(data)) {
			t.Fatalf("%d records in %d bytes", r.records, len(data))
		}
	})
	if len(seeds) < 5 {
		f.Fatal("no seeds")
	}
}

// FuzzPin feeds foreign bytes to the reader of the pin.
func FuzzPin(f *testing.F) {
	f.Add([]byte(`{"format":"tokend-pin","version":1,"vault_id":"00","signer":"11","epoch":1,"generation":2}`))
	f.Add([]byte(`{"format":"tokend-pin","version":2}`))
	f.Add([]byte(`{"format":"tokend-pin","version":1,"next":{"signer":"22"},"former":["a"]}`))
	f.Add([]byte(`null`))
	m := newMemFS()
	s := &Store{fs: m, pinFile: "/pin"}
	f.Fuzz(func(t *testing.T, data []byte) {
		m.names["/pin"] = &memNode{data: data}
		p, err := s.readPin()
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err == nil && p.Version != pinVersion {
			t.Fatal(fmt.Errorf("version %d is taken", p.Version))
		}
	})
}
