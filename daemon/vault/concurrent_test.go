package vault

import (
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
