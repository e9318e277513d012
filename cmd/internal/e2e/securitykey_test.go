//go:build linux

package e2e

import (
	"errors"
	"strings"
	"testing"
)

// TestSecurityKeyAsFactor registers a FIDO2 key at an authority and brings a managed
// account back with it: the key's PIN and a touch. The authority and the device are
// one daemon, with the key in its machine.
func TestSecurityKeyAsFactor(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, nil)
	k.plug(k.pinned, k.bare)
	k.OK("", "init", "--token", "fido2", "--device", k.device(k.bare), "--recovery-password-file", k.password)
	others := k.touches(k.bare)
	k.OK("", "admin", "authority", "create", "Example Ltd", "--contact", "IT, room 4.12")
	k.OK("", "admin", "user", "add", "alice")
	device := k.device(k.pinned)
	k.Fails(14, "not its PIN", []string{"admin", "user", "key", "add", "alice", "--key", device, "--pin-file", "-"}, "PIN")
	if r := k.OK("", "admin", "user", "key", "list", "alice"); !strings.Contains(r.Stderr, "has no security keys") {
		t.Errorf("the list: %s", r)
	}
	k.OK("", "admin", "user", "key", "add", "alice", "--name", "ring", "--key", device, "--pin-file", k.keyPIN)
	if n := k.touches(k.bare); n != others {
		t.Errorf("the key that was not meant was touched %d times", n-others)
	}
	link := strings.TrimSpace(k.OK("", "admin", "activation", "create", "alice", "--account", "vpn", "--period", "5").Stdout)
	k.OK(link+"\n", "activate", "--link-file", "-", "--name", "desk")
	accepted := func() {
		t.Helper()
		// A code is good once, and the proof of the secret was one.
		Eventually(t, 2*soon(), func() error {
			r := k.Ctl(k.OK("", "code", "vpn").Stdout, "admin", "verify", "alice", "--account", "vpn", "--passcode-file", "-")
			if r.Exit != 0 {
				return errors.New(r.String())
			}
			return nil
		})
	}
	accepted()

	before := k.touches(k.pinned)
	reactivate := []string{"reactivate", "vpn", "--factor", "security_key", "--key", device, "--key-pin-file"}
	r := k.Fails(14, "not its PIN", append(reactivate, "-"), "PIN")
	if n := k.touches(k.pinned); n != before || strings.Contains(r.Stderr, "not its PIN") {
		t.Errorf("a wrong PIN took %d touches: %s", n-before, r)
	}
	k.plug(k.bare)
	k.Fails(13, "", []string{"reactivate", "vpn", "--factor", "security_key", "--key-pin-file", k.keyPIN})
	if n := k.touches(k.bare); n != others {
		t.Errorf("a key that is not registered was touched %d times", n-others)
	}
	accepted()
	k.plug(k.pinned, k.bare)
	r = k.OK("", append(reactivate, k.keyPIN)...)
	if n := k.touches(k.pinned); n != before+1 || !strings.Contains(r.Stderr, "works on this device") {
		t.Errorf("%d touches: %s", n-before, r)
	}
	accepted()

	k.OK("", "admin", "user", "key", "remove", "alice", "ring", "--yes")
	r = k.Ctl("", "reactivate", "vpn", "--anew", "--factor", "security_key", "--key", device, "--key-pin-file", k.keyPIN)
	if r.Exit != 19 || k.touches(k.pinned) != before+1 {
		t.Errorf("a key that was removed: %s", r)
	}
}
