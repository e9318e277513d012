package daemon_test

import (
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestNoNewPINForAKeyExchangedUnseen: the PIN of an enrolled key is changed on the
// key that holds the keyslot, whatever lies in its place without anybody having
// seen it come.
func TestNoNewPINForAKeyExchangedUnseen(t *testing.T) {
	a, b := &stick{model: "Stick", pin: "aaaa"}, &stick{model: "Stick", pin: "bbbb"}
	w := newDrawer()
	w.insert("/dev/a", a)
	d := withDrawer(t, w, nil)
	p := caller("1000")
	made := initStick(t, d, p, "aaaa", "first")
	w.mu.Lock()
	w.in["/dev/a"] = b
	w.mu.Unlock()
	change := ipc.ChangePINRequest{Which: "pin", Old: secretOf("aaaa"), New: secretOf("cccc")}
	if err := d.ChangePIN(t.Context(), p, made.Token.ID, change); err == nil {
		t.Error("the PIN of another key was changed")
	}
	if seen := b.pinsSeen(); len(seen) != 0 || b.pin != "bbbb" {
		t.Errorf("the other key saw %q, and its PIN is %q", seen, b.pin)
	}
	if listedAs(t, d, p, "first").Present {
		t.Error("the first key still counts as present")
	}
	w.pull("/dev/a")
	w.insert("/dev/a", a)
	change = ipc.ChangePINRequest{Which: "pin", Old: secretOf("aaaa"), New: secretOf("cccc")}
	if err := d.ChangePIN(t.Context(), p, made.Token.ID, change); err != nil || a.pin != "cccc" {
		t.Errorf("the first key's PIN is %q: %v", a.pin, err)
	}
}
