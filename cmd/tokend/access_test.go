package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

func TestTokenAccess(t *testing.T) {
	seats := t.TempDir()
	a := &tokenAccess{seats: seats}
	allowed := func(uid string) bool { return a.allowed(ipc.Principal{UID: uid}) }
	if allowed("1000") {
		t.Error("without seats and names somebody is allowed")
	}
	// What logind writes about a seat.
	text := "# This is private data. Do not parse.\nIS_SEAT0=1\nCAN_MULTI_SESSION=1\nACTIVE=3\nACTIVE_UID=1000\nSESSIONS=3 c1\nUIDS=1000 118\n"
	if err := os.WriteFile(filepath.Join(seats, "seat0"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]bool{"1000": true, "118": false, "100": false, "0": false, "": false} {
		if allowed(uid) != want {
			t.Errorf("uid %q at the seat: allowed is %v", uid, !want)
		}
	}
	if unknown := a.set([]string{"root", "no-such-user"}); len(unknown) != 1 || unknown[0] != "no-such-user" {
		t.Errorf("names that nobody has: %v", unknown)
	}
	if !allowed("0") || allowed("118") {
		t.Error("the users named are not those allowed")
	}
}
