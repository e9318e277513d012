package vault

import (
	"bytes"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// TestConcurrentUse reads, writes and counts from several goroutines at once: no
// counter comes twice, and none is lost to a write.
func TestConcurrentUse(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, append(newAccounts(1, tokens.ClassSession, "hotp"), newAccounts(1, tokens.ClassSession, "")...)...)
	const n = 40
	seen := make(chan uint64, 4*n)
	done := make(chan error, 6)
	for range 4 {
		go func() {
			for range n {
				c, err := v.NextCounter(a[0].ID)
				if err != nil {
					done <- err
					return
				}
				seen <- c
			}
			done <- nil
		}()
	}
	go func() {
		for i := range n {
			if _, err := v.Edit(t.Context(), a[1].ID, func(a *Account) error { a.Digits = 6 + i%3; return nil }); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	go func() {
		for range n {
			if err := v.Use(t.Context(), a[1].ID, Way{}, func([]byte) error { return nil }); err != nil {
				done <- err
				return
			}
			v.Accounts()
			v.Slots()
		}
		done <- nil
	}()
	for range 6 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	close(seen)
	had := map[uint64]bool{}
	for c := range seen {
		if had[c] {
			t.Fatalf("counter %d twice", c)
		}
		had[c] = true
	}
	v.Lock()
	v = r.unlock(r.key.way("one"))
	if c, err := v.NextCounter(a[0].ID); err != nil || c != 4*n {
		t.Fatalf("counter %d, %v", c, err)
	}
}

func TestStoreIsExclusive(t *testing.T) {
	r := newRig(t)
	_, err := OpenStore(r.opt)
	wantErr(t, err, ErrBusy)
	r.reopen()
}

// TestOlderFormatIsWrittenAnew changes a label only, which in today's format
// leaves the accounts' member as it is, but not in an older one.
func TestOlderFormatIsWrittenAnew(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	before := v.st.parts.Session
	if err := v.RenameSlot(t.Context(), "one", "renamed"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(v.st.parts.Session, before) {
		t.Fatal("a label costs encrypting all accounts")
	}
	v.st.older = true
	if err := v.RenameSlot(t.Context(), "one", "again"); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(v.st.parts.Session, before) || v.st.older {
		t.Fatal("the accounts are still of the older format")
	}
	v.Lock()
	r.unlock(r.key.way("one")).Lock()
}

// TestLockWipes holds on to a vault's memory and looks at it after Lock.
func TestLockWipes(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(3, tokens.ClassSession, "")...)
	var held [][]byte
	for _, rec := range v.st.records {
		held = append(held, rec.Secret)
	}
	k := v.st.keys
	held = append(held, k.SessionKey, k.SigningKey, k.JournalKey)
	old := v.st.arena
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	if old.Bytes() != nil {
		t.Error("a write left the former secrets")
	}
	v.Lock()
	for i, b := range held {
		if len(b) == 0 || !allZero(b) {
			t.Errorf("%d: %d bytes are still there", i, len(b))
		}
	}
	if k.buf.Bytes() != nil || v.Accounts() != nil || v.ID() != "" || v.Signer() != "" {
		t.Error("a locked vault tells something")
	}
}

// TestOpenedAgain opens a vault that is open: only the later one may write, so
// that neither writes over the other and no counter comes twice.
func TestOpenedAgain(t *testing.T) {
	r := newRig(t)
	first := r.create()
	id := r.add(first, newAccounts(1, tokens.ClassSession, "hotp")...)[0].ID
	if _, err := first.NextCounter(id); err != nil {
		t.Fatal(err)
	}
	// Looking at a sound vault takes nothing away.
	rec, look, err := r.store.Recover(t.Context(), r.key.way("one"), false)
	if err != nil || rec.Problem != nil || rec.Damaged || len(rec.Accounts) != 1 || rec.Accounts[0].Counter != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	_, err = look.NextCounter(id)
	wantErr(t, err, ErrConflict)
	look.Lock()
	if _, err := first.NextCounter(id); err != nil {
		t.Fatal(err)
	}
	second := r.unlock(r.key.way("one"))
	_, err = first.NextCounter(id)
	wantErr(t, err, ErrConflict)
	_, err = first.Add(t.Context(), newAccounts(1, tokens.ClassSession, ""))
	wantErr(t, err, ErrConflict)
	if n, err := second.NextCounter(id); err != nil || n != 2 {
		t.Fatalf("counter %d, %v", n, err)
	}
	r.add(second, newAccounts(1, tokens.ClassSession, "")...)
	first.Lock()
	second.Lock()
	third := r.unlock(r.key.way("one"))
	if n, err := third.NextCounter(id); err != nil || n != 3 || len(third.Accounts()) != 2 || len(third.Notices()) > 0 {
		t.Fatalf("counter %d, %v", n, err)
	}
}
