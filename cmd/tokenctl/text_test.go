package main

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

func TestVaultTextOfAnUnusableVault(t *testing.T) {
	for want, kind := range map[string]ipc.Kind{
		"cannot be used: it is damaged":                   ipc.VaultDamaged,
		"cannot be used: another vault lies in its place": ipc.VaultReplaced,
		"cannot be used: an older copy lies in its place": ipc.VaultRolledBack,
		"cannot be used: as it is said":                   ipc.DiskFull,
	} {
		v := ipc.Vault{State: ipc.VaultBroken, Problem: &ipc.Error{Kind: kind, Message: "as it is said"}}
		if got := vaultText(v); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// Lines break between words, below the first word, and never within a command.
func TestBroken(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"short", "short"},
		{"  one two three four", "  one two\n  three four"},
		{"- one two three four", "- one two\n  three four"},
		{"say `a b c d e f g` now", "say\n`a b c d e f g`\nnow"},
		{"  mend it: tokenctl doctor", "  mend it: tokenctl doctor"},
	} {
		if got := strings.Join(broken(c.in, 12), "\n"); got != c.want {
			t.Errorf("%q gives %q, not %q", c.in, got, c.want)
		}
	}
	if got := broken("one two three four", 0); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// Where --token is not the flag that names the token which agrees, the advice
// names the one that is.
func TestAdviceNamesTheFlagOfWhoAgrees(t *testing.T) {
	agrees := ipc.Errorf(ipc.AmbiguousToken, "several enrolled tokens are present and a PIN is for one")
	if got := strings.Join(adviceEnroll(agrees, "piv", ""), "\n"); !strings.Contains(got, "--auth-token") || strings.Contains(got, "--reader") {
		t.Errorf("who agrees: %s", got)
	}
	fresh := ipc.Errorf(ipc.AmbiguousToken, "several tokens are plugged in")
	if got := strings.Join(adviceEnroll(fresh, "piv", ""), "\n"); !strings.Contains(got, "--reader") {
		t.Errorf("which is enrolled: %s", got)
	}
}

// A FIDO2 key has no PUK: no advice may send anybody to look for one.
func TestAdviceByKindOfToken(t *testing.T) {
	for _, c := range []struct {
		kind           ipc.Kind
		token          string
		has, hasNotAny string
	}{
		{ipc.PINBlocked, kindFIDO2, "fido2-token -R DEVICE", "--unblock"},
		{ipc.PINBlocked, kindFIDO2, "tokenctl token revoke t1", "--unblock"},
		{ipc.PINBlocked, "piv", "tokenctl token pin t1 --unblock", "fido2"},
		{ipc.PINLastTry, kindFIDO2, "--spend-last-try", "PUK"},
		{ipc.PINLastTry, "piv", "with the PUK", "reset"},
		{ipc.PINPaused, kindFIDO2, "not blocked: pull key out", "reset"},
		{ipc.TokenFull, kindFIDO2, "fido2-token -D -i ID DEVICE", "ykman piv"},
		{ipc.TokenUnsupported, kindFIDO2, "hmac-secret", "doctor"},
		{ipc.Busy, kindFIDO2, "if key blinks, touch it", "PUK"},
		{ipc.AlreadyExists, kindFIDO2, "tokenctl token test t1", "choose another name"},
		{ipc.TokenService, kindFIDO2, "tokenctl doctor", "smart card"},
		{ipc.TokenService, "piv", "start the smart card service", "doctor"},
		{ipc.TouchTimeout, kindFIDO2, "touch key when it blinks", "PIN"},
	} {
		got := strings.Join(advise(&ipc.Error{Kind: c.kind, Token: &ipc.TokenRef{ID: "t1", Label: "key", Kind: c.token}}), "\n")
		if !strings.Contains(got, c.has) || strings.Contains(got, c.hasNotAny) {
			t.Errorf("%s, %s:\n%s", c.kind, c.token, got)
		}
	}
}

// The last way into a vault cannot be revoked: another comes first.
func TestMendOfKeyslotWithoutPIN(t *testing.T) {
	for only, want := range map[bool]int{false: 3, true: 4} {
		if a := adviceEnrolAnew(ipc.Token{ID: "t1"}, only); len(a) != want || strings.Contains(strings.Join(a, ""), "set-password") != only {
			t.Errorf("%v: %q", only, a)
		}
	}
}

// Where no token is enrolled that could agree, nobody is sent to look for one.
func TestAdviceWhereNoTokenCanAgree(t *testing.T) {
	for message, wants := range map[string]bool{
		"no token opens accounts of class session":     false,
		"the tokens that are present are not enrolled": true,
	} {
		e := &ipc.Error{Kind: ipc.NoKeyslot, Message: message}
		got := strings.Join(adviceEnroll(e, kindFIDO2, ""), "\n")
		if strings.Contains(got, "plug an enrolled token in") != wants || !strings.Contains(got, "--recovery-password-file FILE") {
			t.Errorf("%s:\n%s", message, got)
		}
	}
}

// That nothing was changed is said once.
func TestAdviceOnly(t *testing.T) {
	all := []string{"nothing was changed; add another", "nothing was changed", "nothing was changed and no code was made; repeat"}
	if got := strings.Join(adviceOnly(all, true), "|"); got != "add another|nothing was changed and no code was made; repeat" {
		t.Error(got)
	}
	if got := adviceOnly(all, false); len(got) != len(all) {
		t.Error(got)
	}
}

// What the doctor found is broken between words, and its command not at all.
func TestFindingLines(t *testing.T) {
	got := findingLines(levelWarning, "every copy of a backup is on the file system of the vault", "tokenctl backup destination add PATH", 41)
	want := []string{
		"warning  every copy of a backup is on the",
		"         file system of the vault",
		"         mend it: tokenctl backup destination add PATH",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := findingLines(levelOK, "all is well", "", 0); !slices.Equal(got, []string{"ok       all is well"}) {
		t.Errorf("%q", got)
	}
}

// A printed recovery key is broken between its groups, in lines as long as each
// other.
func TestKeyLines(t *testing.T) {
	key := "AGE-SECRET-KEY-1 " + strings.TrimSpace(strings.Repeat("ABCD ", 15))
	for _, screen := range []int{0, 120, 80, 40, 16, 4} {
		lines := keyLines(key, screen)
		if strings.Join(lines, " ") != key || screen >= 16 && widest(strings.Join(lines, "\n")) > screen || screen == 80 && len(lines) != 2 {
			t.Errorf("%d columns: %q", screen, lines)
		}
	}
}

// A failure to write does not speak of reading, and says what to do next.
func TestWriteFailures(t *testing.T) {
	for want, err := range map[string]error{
		"make the folder first":  &fs.PathError{Op: "open", Path: "p", Err: fs.ErrNotExist},
		"may not write there":    &fs.PathError{Op: "open", Path: "p", Err: fs.ErrPermission},
		"make that file system":  &fs.PathError{Op: "open", Path: "p", Err: syscall.EROFS},
		"choose another name":    fs.ErrExist,
		"free some space and re": &fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC},
	} {
		if want == "free some space and re" && runtime.GOOS == "windows" {
			continue // it has numbers of its own
		}
		var f *failure
		if got := writeFailure("write p", err); !errors.As(got, &f) || !strings.Contains(strings.Join(f.hints, " "), want) {
			t.Errorf("%v: %v", err, f.hints)
		}
	}
}

// How a destination fails decides what is to be done.
func TestDestinationAdvice(t *testing.T) {
	for reason, want := range map[string]string{
		"no space left on device": "free some space there", "read-only file system": "make it writable", "permission denied": "let your user write", "it is not a folder": "see to it",
	} {
		if got := adviceDestinationFails("/m 1", reason); !strings.HasPrefix(got[0], want) || !strings.Contains(got[1], "remove '/m 1'") {
			t.Errorf("%s: %q", reason, got)
		}
	}
}
