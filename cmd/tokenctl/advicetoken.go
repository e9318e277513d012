package main

import (
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

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
	case ipc.TokenUnsupported:
		return []string{"`tokenctl token info` says what this token can do; `tokenctl doctor` checks the rest"}
	case ipc.TokenOccupied:
		return []string{"nothing was changed; `tokenctl token info` lists the keys on it",
			"if nobody needs what is there (a vault that is gone, an enrolment that was interrupted): repeat with --overwrite 82 --overwrite 83, which destroys it for ever",
			"if somebody does: choose free slots with --slot 84 --touch-slot 85, or use the key that is there with --use-existing"}
	case ipc.TokenFailed:
		return []string{"nothing was changed; pull " + name + " out, plug it in again and repeat",
			"if it goes on, `tokenctl token info` and `tokenctl doctor` look closer; another token or the recovery password opens the vault meanwhile"}
	case ipc.TokenService:
		return []string{"nothing was changed; start the smart card service (`systemctl start pcscd.socket`) and repeat, tokend need not be restarted",
			"without any token: `tokenctl unlock --recovery` takes the recovery password"}
	case ipc.TokenFull:
		return []string{"nothing was changed; the token's own tool removes what nobody needs (`fido2-token -L -r DEVICE` lists it), or take another token"}
	case ipc.TokenAccess:
		return []string{"nothing was changed; `tokenctl doctor` names the command that lets tokend open the device"}
	case ipc.TokenUnattested:
		return []string{"nothing was enrolled and nothing is left on it; take a token of a maker that is trusted here",
			"who may decide that: `require_attestation` and `attestation_roots` in tokend's configuration"}
	case ipc.TouchTimeout:
		return []string{"nothing was changed; repeat, and touch " + name + " when it blinks"}
	case ipc.TouchDenied:
		return []string{"nothing was changed; the token refused without waiting: plug it in again and repeat"}
	}
	return advisePIN(e, name)
}

// advisePIN is for what concerns a token's PIN; name is the token's.
func advisePIN(e *ipc.Error, name string) []string {
	switch e.Kind {
	case ipc.PINRequired:
		return []string{"run the command at a terminal to be asked, or give the " + pinWord(e.Token) + " of " + name + " with --pin-file FILE (- is standard input)"}
	case ipc.PINInvalid:
		a := []string{"nothing was changed; the " + pinWord(e.Token) + " of " + name + " is another one"}
		if e.TriesLeft != nil {
			a = append(a, fmt.Sprintf("%s left before it is blocked", plural(*e.TriesLeft, "try")))
		}
		return a
	case ipc.PINBlocked:
		return []string{"set a new PIN with the PUK: `tokenctl token pin" + idOf(e.Token) + " --unblock`",
			"until then another enrolled token opens the vault, or the recovery password: `tokenctl unlock --recovery`"}
	case ipc.PINLastTry:
		return []string{"nothing was tried: one more wrong PIN blocks " + name,
			"if you are sure of the PIN, add --spend-last-try; if not, set a new one with the PUK: `tokenctl token pin" + idOf(e.Token) + " --unblock`"}
	case ipc.PINPaused:
		return []string{"nothing was tried: pull " + name + " out, put it back, and be sure of the PIN before you repeat"}
	case ipc.PINNotSet:
		return []string{"nothing was changed; set a PIN: `tokenctl token pin" + idOf(e.Token) + "`, and repeat"}
	case ipc.PINChange:
		return []string{"nothing was changed; give it a new PIN: `tokenctl token pin" + idOf(e.Token) + "`, and repeat"}
	case ipc.PINPolicy:
		return []string{"the PIN is as it was; choose another one and repeat"}
	}
	return nil
}
