//go:build linux && cgo

package confine_test

import (
	"slices"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokend-helper/internal/confine"
)

// TestSealedAddress is about the page that says where PIV may connect to: it
// is kept by mseal where the kernel has it, else by the filter.
func TestSealedAddress(t *testing.T) {
	for without, guarded := range map[int]bool{0: true, noMseal: true, noSeccomp: true, noSeccomp | noMseal: false} {
		r := hunt(t, without, "op", "piv")
		if (r.Results["seal: mprotect"] != "") != guarded {
			t.Errorf("lacking %d: mprotect %q", without, r.Results["seal: mprotect"])
		}
		if slices.Contains(r.Held, confine.PCSCDOnly) != (without&noSeccomp == 0) {
			t.Errorf("lacking %d: held %v", without, r.Held)
		}
	}
}

// TestBroker has a watch open a configured device, and no other, by way of the
// second process.
func TestBroker(t *testing.T) {
	r := hunt(t, 0, "watch", "fido2")
	check(t, r, "fido2", landlockVersion(), true)
	if _, tried := r.Results["permitted: the device"]; !tried {
		t.Error("the device was not tried")
	}
	if r.Results["another device from C"] == "" {
		t.Error("another terminal was opened")
	}
}
