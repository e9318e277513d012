package main

import (
	"strings"
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
