package vault

import (
	"context"
	"fmt"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// during opens the vault with the token "one" and lets f happen while the token
// is waited for.
func (r *rig) during(f func()) (*Vault, error) {
	return r.store.Unlock(r.tb.Context(), Way{SlotID: "one",
		Exchange: func(ctx context.Context, k tokens.Key, peer []byte) ([]byte, error) {
			f()
			return r.key.exchange(ctx, k, peer)
		}})
}

// TestUnlockSeesWhatWasWrittenMeanwhile writes, and locks, while a second
// opening waits for its token: nothing is lost and no counter comes twice.
func TestUnlockSeesWhatWasWrittenMeanwhile(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	again, err := r.during(func() {
		for range 20 {
			if _, err := v.NextCounter(a[0].ID); err != nil {
				t.Fatal(err)
			}
		}
		r.add(v, newAccounts(1, tokens.ClassSession, "")...)
		v.Lock()
	})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := again.NextCounter(a[0].ID); err != nil || c != 20 {
		t.Errorf("counter %d, %v; 0 to 19 were handed out", c, err)
	}
	r.add(again, newAccounts(1, tokens.ClassSession, "")...)
	again.Lock()
	if n := len(r.unlock(r.key.way("one")).Accounts()); n != 3 {
		t.Errorf("%d accounts, 3 were added", n)
	}
}

// TestSecondOpeningLeavesTheFirst opens a vault that is open, while that writes:
// the first goes on, and what it wrote stays.
func TestSecondOpeningLeavesTheFirst(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	again, err := r.during(func() { r.add(v, newAccounts(1, tokens.ClassSession, "")...) })
	if err != nil {
		t.Fatal(err)
	}
	again.Lock()
	if c, err := v.NextCounter(a[0].ID); err != nil || c != 0 {
		t.Errorf("counter %d, %v", c, err)
	}
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
	v.Lock()
	v = r.unlock(r.key.way("one"))
	if n := len(v.Accounts()); n != 3 || len(v.Notices()) != 0 {
		t.Errorf("%d accounts, 3 were added; %q", n, v.Notices())
	}
}

// TestStaleVaultWritesNothing has two vaults open at once: the one that did not
// write last neither writes nor counts.
func TestStaleVaultWritesNothing(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	again := r.unlock(r.key.way("one"))
	if v.Stale() || again.Stale() {
		t.Fatal("stale before anything was written")
	}
	if _, err := v.NextCounter(a[0].ID); err != nil {
		t.Fatal(err)
	}
	if v.Stale() || !again.Stale() {
		t.Errorf("the one that wrote %t, the other %t", v.Stale(), again.Stale())
	}
	_, err := again.NextCounter(a[0].ID)
	wantErr(t, err, ErrConflict)
	_, err = again.Add(t.Context(), newAccounts(1, tokens.ClassSession, ""))
	wantErr(t, err, ErrConflict)
	r.add(v, newAccounts(1, tokens.ClassSession, "")...)
}

// TestOwnWritesAreNotStale looks at a vault while it writes: it stands on what it
// has just written itself at every moment.
func TestOwnWritesAreNotStale(t *testing.T) {
	r := newRig(t)
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 30 {
			if _, err := v.NextCounter(a[0].ID); err != nil {
				t.Error(err)
			}
			if _, err := v.Edit(t.Context(), a[0].ID, func(e *Account) error { e.Note = fmt.Sprint(i); return nil }); err != nil {
				t.Error(err)
			}
		}
	}()
	for looks := 0; ; looks++ {
		if v.Stale() {
			t.Fatalf("stale by its own doing, at look %d", looks)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// TestUnlockDoesNotUndoRevoke rotates the keys while a second opening waits: it
// must not bring the revoked token back.
func TestUnlockDoesNotUndoRevoke(t *testing.T) {
	r := newRig(t)
	v := r.create()
	lost := newSoftKey(t, tokens.P256, tokens.ClassSession)
	if _, err := v.AddSlot(t.Context(), lost.slot("two", "lost"), Way{}); err != nil {
		t.Fatal(err)
	}
	_, err := r.during(func() {
		if _, err := v.RevokeSlot(t.Context(), "two", Way{}); err != nil {
			t.Fatal(err)
		}
		v.Lock()
	})
	wantErr(t, err, ErrConflict)
	_, err = r.store.Unlock(t.Context(), lost.way("two"))
	wantErr(t, err, ErrNoKeyslot)
	if v = r.unlock(r.key.way("one")); v.Epoch() != 2 {
		t.Errorf("epoch %d", v.Epoch())
	}
}
