//go:build !windows

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// No code stands on the screen after a lock, and nobody has to wait for it until
// the code runs out.
func TestWatchGoesBlankAtOnce(t *testing.T) {
	for _, args := range [][]string{{"code", "--watch"}, {"code", "--watch", "github"}} {
		f := opened("GitHub me session totp", "Bank me touch totp")
		x := at(t, f, args...)
		x.sees(`GitHub:me  [0-9]{6}  [0-9]+ s`).sees(`GitHub:me  [0-9]{6}  [0-9]+ s`)
		if err := f.Lock(context.Background(), ipc.Principal{}); err != nil {
			t.Fatal(err)
		}
		// What the next code would have failed with has other words.
		x.sees(`\r\x1b\[J`).sees("the vault was locked: on request")
		out := x.ends(12)
		if rest := out[strings.LastIndex(out, "\x1b[J"):]; strings.Contains(rest, "GitHub") && !strings.Contains(rest, "cannot make a code for") {
			t.Errorf("%v: a code is drawn after the lock:\n%s", args, rest)
		}
	}
}

// Two commands of one user that wait at once each tell what is theirs.
func TestWaitsAreToldToTheirOwn(t *testing.T) {
	f := opened("GitHub me touch totp", "Bank me touch totp")
	f.delay = 2 * time.Second
	one := at(t, f, "code", "github")
	one.sees("touch YubiKey for GitHub:me …")
	two := at(t, f, "code", "bank")
	two.sees("touch YubiKey for Bank:me …")
	if out := one.ends(0); strings.Contains(out, "Bank") {
		t.Errorf("the first shows the second's wait:\n%s", out)
	}
	if out := two.ends(0); strings.Contains(out, "GitHub") {
		t.Errorf("the second shows the first's wait:\n%s", out)
	}
}

// Whoever touched a token once is told that it wants another touch.
func TestEachTouchIsTold(t *testing.T) {
	f := opened("Bank me touch totp")
	f.delay, f.touches = 500*time.Millisecond, 3
	x := at(t, f, "code", "bank")
	x.sees("touch YubiKey for Bank:me …\r\n").sees(`touch YubiKey for Bank:me \(2\) …\r\n`).sees(`touch YubiKey for Bank:me \(3\) …\r\n`).ends(0)
}

// A token that wants its PIN for unlocking and once more for a touch is given it
// without another question; another token is asked for its own.
func TestOnePINForUnlockingAndTouch(t *testing.T) {
	f := opened("Bank me touch totp")
	f.status.Vault.State, f.touchPIN = ipc.VaultIsLocked, true
	x := at(t, f, "code", "bank")
	x.sees(`PIN for YubiKey \(3 tries left\): `).types(fakePIN + "\n").sees(`\r\n[0-9]{6}\r\n`)
	if out := x.ends(0); strings.Count(out, "PIN for") != 1 {
		t.Fatalf("asked more than once:\n%s", out)
	}
	if got := f.tried(); got != fakePIN+" "+fakePIN {
		t.Fatalf("tried: %s", got)
	}
}

// A code that a token with a PIN guards by touch asks for the PIN and repeats.
func TestTouchCodeAsksForPIN(t *testing.T) {
	f := opened("Bank me touch totp")
	f.touchPIN = true
	x := at(t, f, "code", "bank")
	x.sees(`PIN for YubiKey \(3 tries left\): `).types("000000\n").sees(`wrong PIN\r\nPIN for YubiKey \(2 tries left\): `).types(fakePIN + "\n")
	x.sees(`\r\n[0-9]{6}\r\n`).ends(0)
}

// With every token unplugged and the vault locked, one question for the recovery
// password is all that revoking a lost token takes.
func TestRevokeWithoutAnyToken(t *testing.T) {
	f := opened()
	f.status.Vault.State, f.status.Vault.RecoverySet, f.wantAgreed = ipc.VaultIsLocked, time.Now(), true
	f.tokens[0].Present = false
	f.tokens = append(f.tokens, ipc.Token{ID: "slot2", Kind: "fido2", Label: "lost", Enrolled: true, Hardware: true, Classes: []string{"session"}})
	x := at(t, f, "token", "revoke", "lost")
	x.sees("What will be:\r\n- lost opens the vault no more").sees("Left to open the vault: YubiKey, the recovery password.")
	x.sees(`These backups it still opens`).sees(`    old one\r\n`).sees(`here.tokend \(of 20`).sees("renew the accounts at their services")
	x.sees("Revoke lost. Type yes to go on: ").types("yes\n")
	x.sees("the recovery password can agree in its place").sees("Recovery password: ").types(f.password + "\n")
	x.sees("revoked lost; the vault has new keys")
	if out := x.ends(0); strings.Count(out, "Recovery password:") != 1 {
		t.Fatalf("asked more than once:\n%s", out)
	}
}

// firstPIN checks what the FIDO2 keys' PIN is, and that no card was tried.
func firstPIN(t *testing.T, f *fake, want string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fido2PIN != want || len(f.spent) > 0 {
		t.Fatalf("PIN %q, tried %q", f.fido2PIN, f.spent)
	}
}

// The first PIN of a FIDO2 key: its own rule before typing, no old one, and what
// it means for a vault that the key opens already.
func TestFirstPIN(t *testing.T) {
	f := opened()
	f.tokens = append(f.tokens, ipc.Token{ID: "slot2", Kind: "fido2", Label: "key", Enrolled: true, Present: true, NoPIN: true, Hardware: true})
	x := at(t, f, "token", "pin", "key")
	x.sees("no PIN is set on key; this is its first\r\n").sees(`New PIN \(6 to 63 characters\): `).types("12345\n").sees("wants at least 6 characters, and that has 5")
	x.sees("New PIN").types("246810\n").sees("Once more: ").types("246811\n").sees("not the same")
	x.sees("New PIN").types("246810\n").sees("Once more: ").types("246810\n").sees("set the PIN of key\r\n").sees("enrolled without a PIN").ends(0)
	firstPIN(t, f, "246810")
	x = at(t, f, "token", "pin", "key")
	x.sees("Present PIN of key: ").types("246810\n").sees("New PIN").types("135791\n").sees("Once more: ").types("135791\n").sees("changed the PIN of key").ends(0)
}

// A key that was agreed to in quickstart is the one that is used: with a second one
// plugged in it is not asked for again.
func TestQuickstartTakesTheKeyAgreedTo(t *testing.T) {
	f := newFake()
	f.tokens[0].Present = false
	for _, id := range []string{"hid1", "hid2"} {
		f.tokens = append(f.tokens, ipc.Token{ID: id, Kind: "fido2", Model: "Security Key", Locator: "/dev/" + id, Present: true, NoPIN: true, Hardware: true})
	}
	x := at(t, f, "quickstart")
	x.sees("Type new or restore").types("\n")
	x.sees("several tokens are plugged in").sees(`1  Security Key at hid1 \(/dev/hid1\); used for a vault`).sees(`2  Security Key at hid2`)
	x.sees(`Which one \(1 to 2\), or type soft`).types("\n").sees("please type a number of the list, or soft").sees("Which one").types("2\n")
	x.sees(`: 2\s+Security Key at hid2 has no PIN`).sees("Set a PIN now").types("\x03")
}

// A quickstart with a key that has no PIN says what that means, sets one, and
// does not ask for it again.
func TestQuickstartSetsFirstPIN(t *testing.T) {
	f := newFake()
	f.tokens[0].Present = false
	f.tokens = append(f.tokens, ipc.Token{ID: "hid1", Kind: "fido2", Model: "Security Key", Locator: "/dev/hidraw1", Present: true, NoPIN: true, Hardware: true})
	x := at(t, f, "quickstart")
	x.sees("Type new or restore").types("\n")
	x.sees(`Security Key at hidraw1 \(/dev/hidraw1\) is plugged in; used for a vault, nothing is stored on it`).sees("Use it").types("\n")
	x.sees("has no PIN: whoever finds it opens the vault").sees(`Set a PIN now\? \(yes/no\) \[yes\]: `).types("\n")
	x.sees("New PIN").types("246810\n").sees("Once more: ").types("246810\n").sees("its PIN is set").sees("up to seven touches")
	x.sees("made vault v1").sees("Set one now").types("no\n").types("\x03")
	firstPIN(t, f, "246810")
}

// A key without a PIN gets one before it is enrolled, if the user wants; one that
// is left without is warned of.
func TestEnrollOffersFirstPIN(t *testing.T) {
	f := opened()
	f.tokens = append(f.tokens, ipc.Token{ID: "hid1", Kind: "fido2", Model: "Security Key", Locator: "/dev/hidraw1", Present: true, NoPIN: true, Hardware: true})
	x := at(t, f, "token", "enroll", "--token", "fido2", "--label", "bare")
	x.sees("Security Key at hidraw1 has no PIN: whoever finds it").sees("revoked and enrolled anew").sees("Set a PIN now").types("no\n")
	x.sees("enrolled bare").sees("warning: .* without a PIN").ends(0)
	firstPIN(t, f, "")
	f.mu.Lock()
	f.tokens = append(f.tokens, ipc.Token{ID: "hid2", Kind: "fido2", Model: "Security Key", Locator: "/dev/hidraw2", Present: true, NoPIN: true, Hardware: true})
	f.mu.Unlock()
	x = at(t, f, "token", "enroll")
	x.sees("bare is plugged in, and enrolled already").sees("Security Key at hidraw2 .* is plugged in").sees("Use it").types("\n")
	x.sees("has no PIN").sees("Set a PIN now").types("\n")
	x.sees("New PIN").types("246810\n").sees("Once more: ").types("246810\n").sees("its PIN is set").sees("enrolled ")
	if out := x.ends(0); strings.Contains(out, "warning") {
		t.Fatalf("it has a PIN now:\n%s", out)
	}
	firstPIN(t, f, "246810")
}

// The same offer where init makes the vault.
func TestInitOffersFirstPIN(t *testing.T) {
	f := newFake()
	f.tokens[0].Present = false
	f.tokens = append(f.tokens, ipc.Token{ID: "hid1", Kind: "fido2", Model: "Security Key", Locator: "/dev/hidraw1", Present: true, NoPIN: true, Hardware: true})
	x := at(t, f, "init", "--token", "fido2", "--no-recovery-password")
	x.sees("Set a PIN now").types("\n").sees("New PIN").types("246810\n").sees("Once more: ").types("246810\n").sees("its PIN is set").sees("made vault v1").sees("Folder for copies").types("skip\n").ends(0)
	firstPIN(t, f, "246810")
}

// A wrong or empty answer is asked again, and what was seen is said.
func TestEnrollAsksAgain(t *testing.T) {
	f := opened()
	x := at(t, f, "token", "enroll")
	x.sees("YubiKey is plugged in, and enrolled already").sees("no other hardware token is plugged in")
	x.sees("Plug a token in and press Enter, or type soft").types("what\n").sees("please press Enter, or type soft")
	x.sees("Plug a token in").types("piv\n").sees("no other hardware token is plugged in")
	x.sees("Plug a token in").types("\n").sees("no other hardware token is plugged in").sees("Plug a token in")
	f.mu.Lock()
	f.tokens = append(f.tokens, ipc.Token{ID: "piv-222", Kind: "piv", Model: "YubiKey 5", Serial: "222", Present: true, Hardware: true})
	f.mu.Unlock()
	x.types("\n").sees("YubiKey 5 222 is plugged in").sees("Use it").types("no\n").sees("Plug a token in").types("SOFT\n").sees("passphrase of the software token").types("\x03").ends(15)

	f = newFake()
	f.tokens[0].Present = false
	x = at(t, f, "init")
	x.sees("no hardware token is plugged in").sees(`or none \(the recovery password alone\): `).types("none\n").sees("New recovery password").types("\x03").ends(15)
}

// Where only the enrolled token is plugged in, the new one is asked for.
func TestEnrollWantsTheNewOne(t *testing.T) {
	f := opened()
	x := at(t, f, "token", "enroll", "--token", "piv")
	x.sees("YubiKey is plugged in, and enrolled already").sees("Plug the new one in and press Enter: ")
	f.mu.Lock()
	f.tokens = append(f.tokens, ipc.Token{ID: "piv-222", Kind: "piv", Model: "YubiKey 5", Serial: "222", Present: true, Hardware: true})
	f.mu.Unlock()
	x.types("\n").sees("enrolled ").ends(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enrollAt != "piv-222" {
		t.Fatalf("enrolled at %q", f.enrollAt)
	}
}

// After the only token was revoked nobody is sent to plug an enrolled one in.
func TestEnrollWhereNoneIsEnrolled(t *testing.T) {
	f := opened()
	f.status.Vault.RecoverySet, f.wantAgreed, f.tokens[0].Enrolled = time.Now(), true, false
	x := at(t, f, "token", "enroll", "--token", "piv", "--no-input")
	x.sees("no token is enrolled that can agree, so the recovery password has to").sees("--recovery-password-file FILE")
	if out := x.ends(13); strings.Contains(out, "plug an enrolled token in") {
		t.Fatalf("none is:\n%s", out)
	}
	x = at(t, f, "token", "enroll", "--token", "piv")
	x.sees(`the recovery password can agree in its place\r\n`).sees("Recovery password: ").types(f.password + "\n").sees("enrolled ").ends(0)
}

// Who waits for the next code is told why, also where the code goes into a pipe;
// a pipe is told nothing.
func TestWaitForTheNextCodeIsTold(t *testing.T) {
	f := opened("GitHub me session totp")
	f.stepWait = 2 * time.Second
	for flags, why := range map[string]string{
		"--fresh":                    "this code was handed out before: waiting for the next …",
		"--min-remaining 9":          "this code has less than 9 s left: waiting for the next …",
		"--fresh --min-remaining 20": "this code was handed out before, or has less than 20 s left: waiting for the next …",
	} {
		atRunning(t, f, "sh", "-c", "tokenctl code github "+flags+" | sed 's/^/piped /'").sees("^" + why + "\r\n").sees(`piped [0-9]{6}\r\n$`).ends(0)
		atRunning(t, f, "sh", "-c", "tokenctl code github "+flags+" 2>&1 | cat").sees(`^[0-9]{6}\r\n$`).ends(0)
	}
}
