//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// keyPIN is the PIN of the first FIDO2 key of a keyring.
const keyPIN = "a pin of the key"

// keyring is a daemon with all that a person may own: a card for the reader, a
// FIDO2 key with a PIN and one without. Only the card is plugged in at first.
type keyring struct {
	*bench
	pinned, bare *vfido.Key
	ports        map[*vfido.Key]*vfido.Port
	keyPIN       string // a file
}

// newKeyring starts the daemon; o may change what the two keys are.
func newKeyring(t *testing.T, change func(pinned, bare *vfido.Options)) *keyring {
	t.Helper()
	pinned, bare := vfido.Options{PIN: keyPIN}, vfido.Options{}
	if change != nil {
		change(&pinned, &bare)
	}
	k := &keyring{ports: map[*vfido.Key]*vfido.Port{}, keyPIN: File(t, keyPIN)}
	dir := t.TempDir()
	var args []string
	for i, o := range []vfido.Options{pinned, bare} {
		key, err := vfido.New(o)
		if err != nil {
			t.Fatal(err)
		}
		port := vfido.NewPort(filepath.Join(dir, fmt.Sprintf("key%d", i)))
		k.ports[key] = port
		t.Cleanup(func() {
			if port.Key() != nil {
				_ = port.Remove()
			}
		})
		args = append(args, "--fido2-device", port.Path())
		if i == 0 {
			k.pinned = key
		} else {
			k.bare = key
		}
	}
	k.bench = newBench(t, yubikey(), args...)
	return k
}

// device is where a key is plugged in.
func (k *keyring) device(key *vfido.Key) string { return k.ports[key].Path() }

// plug plugs in exactly these, of k.card, k.pinned and k.bare, and waits until
// the daemon has seen it.
func (k *keyring) plug(these ...any) {
	k.tb.Helper()
	want := map[string]bool{}
	if slices.Contains(these, any(k.card)) {
		want["piv"] = true
		if k.rig.Card(0) == nil {
			k.must(k.rig.Insert(k.card, 0))
		}
	} else if k.rig.Card(0) != nil {
		k.must(k.rig.Remove(0))
	}
	for key, port := range k.ports {
		wanted := slices.Contains(these, any(key))
		if wanted {
			want[port.Path()] = true
		}
		switch {
		case wanted && port.Key() == nil:
			k.must(port.Insert(key))
		case !wanted && port.Key() != nil:
			k.must(port.Remove())
		}
	}
	Eventually(k.tb, 2*soon(), func() error {
		have := map[string]bool{}
		var list ipc.TokenList
		k.JSON(&list, "token", "list")
		for _, t := range list.Tokens {
			if t.Present && t.Kind == "piv" {
				have["piv"] = true
			} else if t.Present {
				have[t.Locator] = true
			}
		}
		if fmt.Sprint(have) != fmt.Sprint(want) {
			return fmt.Errorf("the daemon sees %v, plugged in are %v", have, want)
		}
		return nil
	})
}

func (k *keyring) must(err error) {
	k.tb.Helper()
	if err != nil {
		k.tb.Fatal(err)
	}
}

// touches is how often a token has been touched so far.
func (k *keyring) touches(token any) int {
	if key, ok := token.(*vfido.Key); ok {
		return key.Counts().TouchesGiven
	}
	return k.card.Counts().TouchesGiven
}

// order is the names of the accounts as the vault has them.
func (d *Daemon) order() []string {
	d.tb.Helper()
	var list ipc.AccountList
	d.JSON(&list, "account", "list")
	var names []string
	for _, a := range list.Accounts {
		names = append(names, a.Name)
	}
	return names
}

// userFolder is where the daemon keeps what belongs to the test's user.
func (d *Daemon) userFolder() string {
	return filepath.Join(d.State, "users", fmt.Sprint(os.Getuid()))
}
