//go:build !windows

package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
)

const exportedWith = "correct horse battery"

func exportedRows() []transfer.Row {
	return []transfer.Row{
		{Issuer: "Example", Name: "anna", Type: "totp", Algorithm: "SHA1", Digits: 6, Period: 30, Secret: transfer.Secret("12345678901234567890")},
		{Issuer: "Bank", Name: "konto", Type: "totp", Algorithm: "SHA256", Digits: 8, Period: 60, Secret: transfer.Secret("abcdefghijklmnopqrst")},
	}
}

// userFile writes one of the user's files.
func userFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sealedExport(t *testing.T) string {
	t.Helper()
	data, err := transfer.WriteAegis(exportedRows(), []byte(exportedWith), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return userFile(t, "aegis.json", data)
}

// TestImportAsks: the password does not show and is asked for again when it is
// wrong; then the plan, and a question that only yes answers.
func TestImportAsks(t *testing.T) {
	f := opened()
	path := sealedExport(t)
	x := at(t, f, "import", path)
	x.sees(`Password of .*aegis.json \(Aegis\): `).types("wrong horse\n")
	x.sees(`the password does not open the file`).sees(`Password of .*: `).types(exportedWith + "\n")
	x.sees(`read 2 rows`).sees(`Example:anna`).sees(`Apply this\? \(yes/no\)`).types("no\n").sees(`nothing was changed`)
	if out := x.ends(0); strings.Contains(out, exportedWith) || strings.Contains(out, "GEZDGNBV") {
		t.Errorf("a secret shows:\n%s", out)
	}
	if len(f.accounts) != 0 {
		t.Fatalf("%d accounts were imported without a yes", len(f.accounts))
	}
	x = at(t, f, "import", path)
	x.sees(`: `).types(exportedWith + "\n")
	x.sees(`Apply this\?`).types("yes\n")
	x.sees(`imported 2, same 0, skipped 0`).sees(`tokenctl code "Example:anna"`)
	x.sees(`Set one now`).types("no\n").ends(0)
	if len(f.accounts) != 2 {
		t.Errorf("%d accounts", len(f.accounts))
	}
}

// TestImportUnlocksInPassing: the file is read first, then the vault is opened.
func TestImportUnlocksInPassing(t *testing.T) {
	f := opened()
	f.status.Vault.State, f.wantAgreed = "locked", true
	x := at(t, f, "import", userFile(t, "lines.txt", transfer.WriteAddresses(exportedRows())), "--apply")
	x.sees(`read 2 rows`).sees(`PIN for YubiKey`).types(fakePIN + "\n")
	x.sees(`imported 2`).sees(`in the clear`)
	// The PIN that was typed for unlocking serves once more, unasked.
	x.sees(`Set one now`).types("yes\n").sees(`New recovery`).types("a long password\n").sees(`Once more`).types("a long password\n")
	x.sees(`the recovery password is set`).sees(`make a copy before you destroy anything`).ends(0)
}

// TestExportAsks: who leaves and how it is protected is said first, and the
// password is typed twice.
func TestExportAsks(t *testing.T) {
	f := opened("Example anna session totp", "Steam carla session steam")
	path := filepath.Join(t.TempDir(), "out.json")
	x := at(t, f, "export", "--format", "aegis", "--output", path)
	x.sees(`these accounts leave the vault:`).sees(`Example:anna`).sees(`sealed with a password`).sees(`Export 2 accounts\? Type yes`).types("yes\n")
	x.sees(`New password for the export \(10 to 128 characters\): `).types("short\n")
	x.sees(`it must have 10 to 128`).sees(`New password`).types(exportedWith + "\n")
	x.sees(`Once more: `).types(exportedWith + "\n")
	x.sees(`exported 2 accounts, read back and compared`)
	if out := x.ends(0); strings.Contains(out, exportedWith) {
		t.Error("the password shows")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	x = at(t, f, "export", "--format", "otpauth", "--output", path+".2")
	x.sees(`in the clear`).sees(`Export 2 accounts\?`).types("\n")
	x.ends(15)
	if _, err := os.Stat(path + ".2"); err == nil {
		t.Error("it was written without a yes")
	}
}

// TestExportInTerminal draws codes that a camera reads, one after the other.
func TestExportInTerminal(t *testing.T) {
	f := opened("Example anna session totp", "Example bo session totp", "Steam carla session steam")
	x := at(t, f, "export", "anna", "bo", "--format", "qr", "--yes")
	x.sees(`Example anna`).sees(`▀`).sees(`Enter for the next: `).types("\n").sees(`Example bo`).sees(`exported 2 accounts`)
	x.sees(`clear the terminal`)
	x.ends(0)
	x = at(t, f, "export", "--format", "google", "--yes")
	x.sees(`part 1 of 1`).sees(`▀`).sees(`not exported: Steam:carla`).sees(`exported 2 accounts`)
	x.ends(20)
}

// TestChecklistTyped: what is typed is kept at once.
func TestChecklistTyped(t *testing.T) {
	f := opened("GitHub me session totp")
	list := filepath.Join(t.TempDir(), "list.json")
	x := at(t, f, "import", "--checklist", "microsoft", "--checklist-file", list)
	x.sees(`Microsoft Authenticator: it exports nothing`).sees(`Account: `).types("GitHub\n").sees(`Account: `).types("Bank: konto\n").sees(`Account: `).types("\x03")
	x.ends(15)
	x = at(t, f, "import", "--checklist", "--checklist-file", list)
	x.sees(`open +Bank: konto +Microsoft Authenticator`).sees(`done +GitHub`).sees(`1 of 2 are left`)
	x.ends(20)
}
