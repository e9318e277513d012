//go:build unix

package vault

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/tokens"
)

// TestPipesInPlaceOfFiles puts named pipes where the vault's files were: opening
// one would wait for ever, and with it whoever wants to close the store.
func TestPipesInPlaceOfFiles(t *testing.T) {
	r := newRig(t)
	v := r.create()
	r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	v.Lock()
	done := make(chan error)
	for _, path := range []string{r.store.vaultFile(), r.opt.PinFile, r.store.dir + "/" + journalName} {
		data := readAll(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() {
			v, err := r.store.Unlock(t.Context(), r.key.way("one"))
			if err == nil {
				v.Lock()
			}
			r.store.Exists()
			done <- err
		}()
		select {
		case err := <-done:
			t.Logf("%s: %v", path, err)
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it waits", path)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		writeAll(t, path, data)
	}
	r.unlock(r.key.way("one")).Lock()
}
