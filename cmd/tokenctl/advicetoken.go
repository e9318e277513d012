package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// isFIDO2 says that an error is about a FIDO2 key.
func isFIDO2(t *ipc.TokenRef) bool { return t != nil && t.Kind == kindFIDO2 }

func adviseToken(e *ipc.Error) []string {
	name := tokenName(e.Token)
	switch e.Kind {
	case ipc.TokenNotPresent:
		return []string{"plug an enrolled token in and repeat; `tokenctl token list` shows which are enrolled",
			"without any token: `tokenctl unlock --recovery` takes the recovery password"}
	case ipc.TokenRemoved:
		return []string{"nothing was changed and no code was made; plug " + name + " in again and repeat"}
	case ipc.NoKeyslot:
		return []string{"plug in a token that is enrolled for it: `tokenctl token list` shows which are",
			"or use the recovery password (--recovery), then enrol this one: `tokenctl token enroll`"}
	case ipc.TokenOccupied:
		return []string{"nothing was changed; `tokenctl token info` lists the keys on it",
			"if nobody needs what is there (a vault that is gone, an enrolment that was interrupted): repeat with --overwrite 82 --overwrite 83, which destroys it for ever",
			"if somebody does: choose free slots with --slot 84 --touch-slot 85, or use the key that is there with --use-existing"}
	case ipc.TokenService:
		if isFIDO2(e.Token) || strings.Contains(e.Message, "token helper") { // pcscd has no part in those
			return []string{"nothing was changed; `tokenctl doctor` names what is in the way and what mends it",
				"without any token: `tokenctl unlock --recovery` takes the recovery password"}
		}
		return []string{adviceCardService(remedy.Here()),
			"without any token: `tokenctl unlock --recovery` takes the recovery password"}
	case ipc.TokenUnattested:
		return []string{"nothing was enrolled and nothing is left on it; take a token of a maker that is trusted here",
			"which those are: `require_attestation` and `attestation_roots` in tokend's configuration; where that does not require it, any may do without --require-attestation"}
	case ipc.TouchTimeout:
		return []string{"nothing was changed; repeat, and touch " + name + " when it blinks",
			"if it still blinks, touch it first, or pull it out and plug it in again: it waits for the old request"}
	case ipc.TouchDenied:
		return []string{"nothing was changed; the token refused without waiting: plug it in again and repeat"}
	case ipc.Busy:
		if e.Token != nil {
			return []string{"nothing was changed; if " + name + " blinks, touch it: it waits for a request that nobody answered (pulling it out ends that as well)",
				"else another program uses it, a browser or gpg for instance: wait " + waitText(e.RetryAfter) + " and repeat"}
		}
	case ipc.AlreadyExists:
		if e.Token != nil {
			return []string{"nothing was changed; `tokenctl token list` shows what opens the vault, and `tokenctl token test" + idOf(e.Token) + "` whether it does"}
		}
	}
	if a := adviseUseless(e, name); a != nil {
		return a
	}
	return advisePIN(e, name)
}

// adviseUseless is about a token that is there and cannot be used; name is the
// token's.
func adviseUseless(e *ipc.Error, name string) []string {
	switch e.Kind {
	case ipc.TokenUnsupported:
		if isFIDO2(e.Token) {
			return []string{"nothing was changed; it has to be a FIDO2 key with hmac-secret: a U2F key, which only logs in at web sites, cannot hold a vault",
				"a YubiKey can be used as --token piv as well",
				"`tokenctl token info` says what it can do"}
		}
		if runtime.GOOS == "windows" && strings.Contains(e.Message, "FIDO2") {
			return []string{"a YubiKey can be used as --token piv as well; a key that is nothing but FIDO2 opens a vault on Linux, and there with the same backup",
				"`tokenctl doctor` checks the rest"}
		}
		return []string{"`tokenctl token info` says what this token can do", "`tokenctl doctor` checks the rest"}
	case ipc.TokenFailed:
		if strings.Contains(e.Message, "the token helper") { // no token has a part in it
			return []string{"nothing was changed; `tokenctl doctor` says what is wrong with the helper, and what mends it"}
		}
		return []string{"nothing was changed; pull " + name + " out, plug it in again and repeat",
			"if it goes on, `tokenctl token info` and `tokenctl doctor` look closer; another token or the recovery password opens the vault meanwhile"}
	case ipc.TokenFull:
		if isFIDO2(e.Token) {
			return []string{"nothing was changed; make room by deleting a credential that nobody needs, or take another key",
				"`fido2-token -L` names the DEVICE, `fido2-token -L -r DEVICE` the sites, `fido2-token -L -k SITE DEVICE` a site's credentials, `fido2-token -D -i ID DEVICE` deletes one"}
		}
		return []string{"nothing was changed; the token's own tool removes what nobody needs (`ykman piv info` lists it), or take another token"}
	case ipc.TokenAccess:
		return []string{"nothing was changed; the system keeps tokend from the device: `tokenctl doctor` names the command that mends it",
			"on Linux the udev rules give it to who sits at the machine: pull " + name + " out and plug it in again after they were installed"}
	}
	return nil
}

// advisePIN is for what concerns a token's PIN; name is the token's.
func advisePIN(e *ipc.Error, name string) []string {
	switch e.Kind {
	case ipc.PINRequired:
		return []string{"run the command at a terminal to be asked, or give the " + pinWord(e.Token) + " of " + name + " with --pin-file FILE (- is standard input)",
			"the recovery password opens without a token: --recovery, or --recovery-password-file FILE"}
	case ipc.PINInvalid:
		a := []string{"nothing was changed; the " + pinWord(e.Token) + " of " + name + " is another one"}
		if e.TriesLeft != nil {
			a = append(a, fmt.Sprintf("%s left before it is blocked", plural(*e.TriesLeft, "try")))
		}
		return a
	case ipc.PINBlocked:
		if isFIDO2(e.Token) {
			return adviceReset(e.Token)
		}
		return []string{"set a new PIN with the PUK: `tokenctl token pin" + idOf(e.Token) + " --unblock`",
			"until then another enrolled token opens the vault, or the recovery password: `tokenctl unlock --recovery`"}
	case ipc.PINLastTry:
		if isFIDO2(e.Token) {
			return []string{"nothing was tried: one more wrong PIN blocks " + name + " for good, and only a reset that destroys all on it mends that",
				"if you are sure of the PIN, add --spend-last-try; if not, use another token or the recovery password: `tokenctl unlock --recovery`"}
		}
		return []string{"nothing was tried: one more wrong PIN blocks " + name,
			"if you are sure of the PIN, add --spend-last-try; if not, set a new one with the PUK: `tokenctl token pin" + idOf(e.Token) + " --unblock`"}
	case ipc.PINPaused:
		a := []string{"it is not blocked: pull " + name + " out, plug it in again, and repeat with a PIN that you are sure of"}
		if e.TriesLeft != nil {
			a = append(a, fmt.Sprintf("%s left in all before it is blocked for good", plural(*e.TriesLeft, "try")))
		}
		return a
	case ipc.PINNotSet:
		return []string{"nothing was changed; set a PIN: `tokenctl token pin" + idOf(e.Token) + "`, and repeat"}
	case ipc.PINChange:
		return []string{"nothing was changed; give it a new PIN: `tokenctl token pin" + idOf(e.Token) + "`, and repeat"}
	case ipc.PINPolicy:
		return []string{"the PIN is as it was; choose another one and repeat: `tokenctl token info" + idOf(e.Token) + "` tells the token's own rules"}
	}
	return nil
}

// adviceReset is about a FIDO2 key whose PIN is blocked or forgotten: it has no
// PUK.
func adviceReset(t *ipc.TokenRef) []string {
	revoke := "`tokenctl token revoke" + idOf(t) + "`"
	if t == nil || t.ID == "" {
		revoke = "`tokenctl token revoke TOKEN`"
	}
	return []string{
		"a FIDO2 key has no PUK: only a reset mends it, and that destroys every credential on it, those of web sites too",
		"1. open the vault with another token, or by the recovery password: `tokenctl unlock --recovery`",
		"2. take the key's way into the vault away: " + revoke,
		"3. reset it by its maker's tool (`ykman fido reset`), or: `fido2-token -L` names the DEVICE, `fido2-token -R DEVICE` resets it",
		"4. enrol it again: `tokenctl token enroll --token fido2`",
	}
}

// adviceResetNew is adviceReset for a key that no vault here opens with.
func adviceResetNew() []string {
	return []string{"a FIDO2 key has no PUK: only a reset mends it, and that destroys every credential on it, those of web sites too",
		"by its maker's tool (`ykman fido reset`), or: `fido2-token -L` names the DEVICE, `fido2-token -R DEVICE` resets it"}
}

// adviceNoPUK is about flags that a FIDO2 key has no use for.
func adviceNoPUK(t ipc.Token) []string {
	known := "you know its PIN: `tokenctl token pin " + quoted(t.ID) + "` changes it"
	if !t.Enrolled {
		return append([]string{known}, adviceResetNew()...)
	}
	return append([]string{known}, adviceReset(&ipc.TokenRef{ID: t.ID, Label: t.Label, Kind: t.Kind})...)
}

// adviceEnroll is about a new token of a kind that could not be enrolled:
// command is what was tried.
func adviceEnroll(e *ipc.Error, kind, command string) []string {
	switch e.Kind {
	case ipc.TokenNotPresent:
		if e.Token != nil || !strings.HasPrefix(e.Message, "no ") {
			return adviceAgree(e, "--recovery-password-file") // it is about an enrolled one
		}
		a := []string{"plug the new token in and repeat; `tokenctl token list` shows what is plugged in"}
		if kind == kindFIDO2 {
			return append(a, "a key that is plugged in and not in the list: `tokenctl doctor` says why; a device that the system does not list as a FIDO2 key: `tokend serve --fido2-device PATH`")
		}
		return append(a, "without hardware, to try it: `tokenctl token enroll --token soft`, or `tokenctl init --token soft`")
	case ipc.NoKeyslot:
		return adviceAgree(e, "--recovery-password-file")
	case ipc.Ambiguous, ipc.AmbiguousToken:
		if strings.HasPrefix(e.Message, "several enrolled tokens") {
			return adviceAuthToken() // it is about which of them agrees
		}
		flag, _, _ := strings.Cut(placeFlag(kind), " ")
		return []string{"say which with " + flag + ": the id at the beginning of a line, or the name after it"}
	case ipc.PINBlocked:
		if kind == kindFIDO2 {
			return append(adviceResetNew(), "nothing was enrolled; or take another key")
		}
	case ipc.AlreadyExists:
		if strings.Contains(e.Message, "enrolled already") {
			return adviceEnrolledAlready()
		}
	case ipc.TokenOccupied:
		return []string{"the card holds keys from before: of a vault, for something else, or of an enrolment that was interrupted; nothing was changed",
			"beside them: `" + command + " --slot 84 --touch-slot 85`",
			"in their place, and what they opened is lost: `" + command + " --overwrite 82 --overwrite 83`"}
	}
	return nil
}

// adviceEnrolledAlready is about a new token that is not plugged in, where one
// that opens the vault is.
func adviceEnrolledAlready() []string {
	return []string{"nothing was changed; plug the new one in, beside it or in its place, and repeat; `tokenctl token list` shows which are enrolled"}
}

// adviceAuthToken is about a PIN that several enrolled tokens could be meant by,
// where --token is not the flag that says which.
func adviceAuthToken() []string {
	return []string{"say which agrees: --auth-token with the id at the beginning of a line, or the name after it"}
}

// adviceRevoked is what is left to do after a token was lost.
func adviceRevoked() []string {
	return []string{"if token, PIN and an old backup may be in one hand: renew the accounts at their services, too",
		"make a backup now: tokenctl backup create FILE"}
}

// adviceLastWay is about a token that is the last way to something; what it alone
// opens is said before.
func adviceLastWay(touch bool) []string {
	a := []string{"nothing was changed; add another way first, then repeat:"}
	if touch {
		return append(a, "another token that can ask for a touch: `tokenctl token enroll` (a software token cannot)",
			"or the recovery password, which opens these accounts too: `tokenctl recovery set-password`",
			"or let them do without a touch: `tokenctl account edit ACCOUNT --class session`")
	}
	return append(a, "another token: `tokenctl token enroll`", "or the recovery password: `tokenctl recovery set-password`")
}

func adviceSoftPUK() []string {
	return []string{"you know it: `tokenctl token pin` changes it; else open the vault another way, revoke the software token, and enrol a new one"}
}

// adviceFirstPIN is about a token that has no PIN yet.
func adviceFirstPIN(t ipc.Token) []string {
	return []string{"give the new one alone: `tokenctl token pin " + quoted(t.ID) + " --new-pin-file FILE`"}
}

// adviceEnrolAnew is about a key that was enrolled without a PIN and has one now.
// only says that nothing else opens the vault.
func adviceEnrolAnew(t ipc.Token, only bool) []string {
	a := []string{"it was enrolled without a PIN, and still opens this vault so; for the PIN to count, enrol it anew:"}
	if only {
		a = append(a, "  tokenctl recovery set-password   (nothing else opens the vault meanwhile)")
	}
	return append(a, "  tokenctl token revoke "+quoted(t.ID), "  tokenctl token enroll --token fido2")
}

// onlyWay says that one token alone opens the vault, and no recovery password.
func onlyWay(tokens []ipc.Token, v ipc.Vault) bool {
	n := 0
	for _, t := range tokens {
		if t.Enrolled {
			n++
		}
	}
	return n == 1 && v.RecoverySet.IsZero()
}

// isOnlyWay is onlyWay of the vault as it is now; where that is not known, no.
func (c *cli) isOnlyWay(ctx context.Context) bool {
	st, err := c.daemon().Status(ctx)
	return err == nil && onlyWay(st.Tokens, st.Vault)
}

// adviceCardService starts the service without which no card can be seen.
func adviceCardService(m remedy.Machine) string {
	how := "as the system has it"
	switch m.System {
	case "linux":
		how = "`" + m.StartCards() + "`"
	case "windows":
		how = "`sc start SCardSvr`; it runs while a reader is plugged in"
	case "darwin":
		how = "it starts when a reader is plugged in"
	}
	return "nothing was changed; start the smart card service (" + how + ") and repeat, tokend need not be restarted"
}
