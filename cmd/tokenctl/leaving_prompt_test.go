//go:build !windows

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

const secretTyped = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"

// At the first account a recovery password is asked for. Who declines is told what
// that means, and is left alone from then on; who agrees is not asked once more for
// the PIN that he typed a moment ago.
func TestAddOffersAWayBack(t *testing.T) {
	f := opened()
	x := at(t, f, "account", "add", "--issuer", "A", "--name", "a")
	x.sees("Secret .*: ").types(secretTyped).sees("added A:a")
	x.sees("opens with YubiKey alone").sees("without any token").sees("Set one now").types("no\n")
	x.sees("let you in another way").sees("recovery set-password").ends(0)
	f.mu.Lock()
	if !f.declined {
		t.Error("it was not noted")
	}
	f.mu.Unlock()
	out := at(t, f, "account", "add", "--issuer", "B", "--name", "b").sees("Secret .*: ").types(secretTyped).sees("added B:b").ends(0)
	if strings.Contains(out, "Set one now") || strings.Contains(out, "no recovery password") {
		t.Fatalf("it is asked again:\n%s", out)
	}

	f = opened()
	f.status.Vault.State, f.wantAgreed = ipc.VaultIsLocked, true
	x = at(t, f, "account", "add", "--issuer", "A", "--name", "a")
	x.sees("Secret .*: ").types(secretTyped).sees("PIN for YubiKey").types(fakePIN + "\n").sees("added A:a")
	x.sees("Set one now").types("\n").sees("New recovery password").types("a long password\n").sees("Once more").types("a long password\n")
	if out := x.sees("recovery password is set").sees(`backup\s+create FILE`).ends(0); strings.Count(out, "PIN for") != 1 {
		t.Fatalf("the PIN is asked for twice:\n%s", out)
	}
	if f.password != "a long password" || f.tried() != fakePIN+" "+fakePIN {
		t.Fatalf("password %q, PINs tried %s", f.password, f.tried())
	}
}

// Ctrl-C at the offer leaves the account where it is, and says so.
func TestOfferIsCancelled(t *testing.T) {
	f := opened()
	x := at(t, f, "account", "add", "--issuer", "A", "--name", "a")
	x.sees("Secret .*: ").types(secretTyped).sees("Set one now.*: ").types("\x03").sees("no recovery password was set; later").ends(0)
	if f.declined || len(f.accounts) != 1 {
		t.Fatalf("declined %v, accounts %v", f.declined, f.accounts)
	}
}

// A purge names what is lost and what remains, wants the beginning of the vault's
// id, and then says how to go on.
func TestPurgeAsks(t *testing.T) {
	f := opened("GitHub me session totp", "Bank me session hotp")
	f.status.Vault.ID = "0123456789abcdef"
	f.backedAt = filepath.Join(t.TempDir(), "b.tokend")
	if err := os.WriteFile(f.backedAt, []byte("the backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("the backup"))
	f.backedSum = hex.EncodeToString(sum[:])

	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	if err := os.Mkdir(filepath.Join(config, "autostart"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(config, "autostart", autostartFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := runtime.GOOS == "linux"
	x := at(t, f, "purge")
	x.sees("2 accounts:").sees("GitHub:me").sees(`Bank:me \(its counter is ahead`).sees("2 changes since").sees("3 earlier states")
	x.sees("b.tokend").sees(`with 1 account; opened .*; opens with\s+recovery password`).sees("Keys on YubiKey: slots 82, 83").sees("One entry of the audit log")
	if agent {
		x.sees(`What starts the agent with your session:\s`).sees(autostartFile)
	}
	x.sees("survive on an SSD").sees(`first 8 characters of the vault's id \(01234567\): `).types("yes\n").sees("cancelled").ends(15)
	x = at(t, f, "purge")
	x.sees(`\(01234567\): `).types("01234567\n").sees("vault 0123456789abcdef is gone")
	x.sees("tokenctl token wipe slot1")
	if agent {
		x.sees(`tokenctl agent\s+remove`)
	}
	x.sees("tokenctl backup restore .*b.tokend").sees("rm -r /state ").ends(0)
	at(t, f, "purge").sees("there is no vault").ends(11)

	// A backup that is not there any more does not count, whatever the daemon knows.
	f.enrolled(ipc.VaultIsLocked)
	if err := os.Remove(f.backedAt); err != nil {
		t.Fatal(err)
	}
	x = at(t, f, "purge")
	x.sees("All accounts in it. It is locked").sees("it is not there now").sees("nothing was removed").sees("--without-backup").ends(20)
	f.mu.Lock()
	state := f.status.Vault.State
	f.mu.Unlock()
	if state != ipc.VaultIsLocked {
		t.Fatal("it was purged")
	}
	at(t, f, "purge", "--without-backup").sees(`\(v1\): `).types("v1\n").sees("is gone").ends(0)
}
