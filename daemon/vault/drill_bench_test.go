package vault

import (
	"testing"
)

// BenchmarkBackup is what making, opening and drilling a backup of 10,000 accounts
// takes of the vault itself.
func BenchmarkBackup(b *testing.B) {
	r, v := sizedVault(b, 10_000)
	data, _, err := r.store.Backup()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := r.store.Backup(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.store.Inspect(b.Context(), data, r.key.way("one")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("drill", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.store.Drill(b.Context(), data, r.key.way("one"), r.key.way("one"), v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
