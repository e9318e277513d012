package acl

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/windows"
)

// TestStrangers reads access lists as folders have them.
func TestStrangers(t *testing.T) {
	const (
		me     = "S-1-5-21-1-2-3-1001"
		other  = "S-1-5-21-1-2-3-1002"
		mine   = "O:" + me + "D:P(A;;FA;;;" + me + ")(A;;FA;;;SY)(A;;FA;;;BA)"
		all    = "S-1-1-0"
		users  = "S-1-5-32-545"
		nobody = ""
	)
	own, err := windows.StringToSid(me)
	if err != nil {
		t.Fatal(err)
	}
	for sddl, want := range map[string]struct{ change, read string }{
		mine:                                     {nobody, nobody},
		mine + "(A;;FR;;;WD)":                    {nobody, all},
		mine + "(A;;FX;;;WD)":                    {nobody, nobody},
		mine + "(A;;FA;;;WD)":                    {all, all},
		mine + "(A;OICIIO;FA;;;WD)":              {nobody, nobody},
		mine + "(A;OICI;0x1200a9;;;BU)":          {nobody, users}, // as in ProgramData
		mine + "(A;CI;0x6;;;BU)":                 {users, nobody}, // the same: to make files
		mine + "(A;OICIIO;GA;;;CO)":              {nobody, nobody},
		mine + "(A;;WD;;;" + other + ")":         {other, nobody}, // who may give himself the rest
		mine + "(D;;FA;;;WD)":                    {nobody, nobody},
		"O:" + other + "D:P(A;;FA;;;" + me + ")": {other, other},
		"O:BAD:P(A;;FA;;;SY)":                    {nobody, nobody},
		"O:" + me:                                {all, all}, // no list
	} {
		sd, err := windows.SecurityDescriptorFromString(sddl)
		if err != nil {
			t.Fatalf("%s: %v", sddl, err)
		}
		for mask, want := range map[windows.ACCESS_MASK]string{changes: want.change, reads: want.read} {
			list, err := among(sd, own, mask)
			if err != nil || len(list) > 1 || (want == nobody) != (len(list) == 0) || want != nobody && !slices.Contains(list, want) {
				t.Errorf("%s: %#x is for %q (%v), want %q", sddl, uint32(mask), list, err, want)
			}
		}
	}
}

// TestProtect closes a folder to others. (wine lets everybody read in its answers,
// whatever the list is, so it is only asked who may change it.)
func TestProtect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Protect(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "vault")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file} {
		if list, err := Changers(path); err != nil || len(list) > 0 {
			t.Errorf("%s, protected, may be changed by %q, %v", path, list, err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if list, err := ChangersOf(f); err != nil || len(list) > 0 {
		t.Errorf("%s, open and protected, may be changed by %q, %v", file, list, err)
	}
	if list, err := Changers(filepath.Join(dir, "none")); err == nil {
		t.Errorf("what is not there may be changed by %q", list)
	}
	if Mending(dir) == "" {
		t.Error("there is no command that mends it")
	}
}
