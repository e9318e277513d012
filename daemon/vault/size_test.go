package vault

import (
	"fmt"
	"testing"

	"github.com/tokenbridge/tokend/tokens"
)

// TestSizes holds the container to its bounds with accounts as people have them.
func TestSizes(t *testing.T) {
	for class, limit := range map[tokens.Class]int{tokens.ClassSession: 200_000, tokens.ClassTouch: 500_000} {
		r := newRig(t)
		v := r.create()
		r.add(v, newAccounts(1000, class, "")...)
		v.Lock()
		data, _, err := r.store.Backup()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("1,000 %s accounts: %d bytes", class, len(data))
		if len(data) >= limit {
			t.Errorf("1,000 %s accounts take %d bytes, not less than %d", class, len(data), limit)
		}
	}
}

// sizedVault has n accounts, half of them of the touch class.
func sizedVault(b *testing.B, n int) (*rig, *Vault) {
	r := newRig(b)
	v := r.create()
	r.add(v, append(newAccounts(n/2, tokens.ClassSession, ""), newAccounts(n-n/2, tokens.ClassTouch, "")...)...)
	return r, v
}

var benchSizes = []int{10, 1000, 10_000}

func BenchmarkUnlock(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, v := sizedVault(b, n)
			v.Lock()
			for b.Loop() {
				r.unlock(r.key.way("one")).Lock()
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, v := sizedVault(b, n)
			one := newAccounts(1, tokens.ClassTouch, "")
			for b.Loop() {
				id := r.add(v, one...)[0].ID
				b.StopTimer()
				if _, err := v.Remove(b.Context(), id); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkEnroll is the vault's part of enrolling a token with both classes.
func BenchmarkEnroll(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, v := sizedVault(b, n)
			i := 0
			for b.Loop() {
				k := newSoftKey(b, tokens.P256, tokens.ClassSession, tokens.ClassTouch)
				i++
				if _, err := v.AddSlot(b.Context(), k.slot(fmt.Sprintf("k%d", i), ""), r.key.way("one")); err != nil {
					b.Fatal(err)
				}
				if i%32 != 0 {
					continue
				}
				b.StopTimer() // the keyslots are bounded
				if err := v.dropSlots(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// dropSlots removes all keyslots but the first without new keys: for measuring
// only.
func (v *Vault) dropSlots() error {
	return v.change(testContext(), func(d *draft) error {
		d.parts.Header.Keyslots = d.parts.Header.Keyslots[:1:1]
		first := d.keys.Slots[0]
		d.keys = d.keys.with(func(k *archiveKeys) { k.Slots = append(k.Slots[:0:0], first) })
		d.keysChanged = true
		return nil
	})
}

func BenchmarkUse(b *testing.B) {
	r, v := sizedVault(b, 1000)
	session, touch := v.Accounts()[0].ID, v.Accounts()[999].ID
	for name, id := range map[string]string{"session": session, "touch": touch} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r.secret(v, id, r.key.way("one"))
			}
		})
	}
}

func BenchmarkNextCounter(b *testing.B) {
	r := newRig(b)
	v := r.create()
	id := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)[0].ID
	for b.Loop() {
		if _, err := v.NextCounter(id); err != nil {
			b.Fatal(err)
		}
	}
}
