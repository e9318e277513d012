package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// adviceInactive is about an account whose secret is not on this device.
func adviceInactive(command string) []string {
	return []string{"its secret was never in a backup: the authority that issued it makes another for this device: `" + command + "`"}
}

// adviceInactives is said below lists with accounts that are inactive; nothing where
// there are none.
func adviceInactives(accounts []ipc.Account) []string {
	var names []string
	arg := "ACCOUNT"
	for _, a := range accounts {
		if a.Inactive {
			names = append(names, accountName(a.Issuer, a.Name))
			arg = accountArg(refOf(a))
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return []string{names[0] + " is inactive: its secret is not on this device; bring it back: tokenctl reactivate " + arg}
	}
	return []string{plural(len(names), "account") + " are inactive, for their secrets are not on this device: " + strings.Join(names, ", "),
		"bring them back, one after the other: tokenctl reactivate ACCOUNT"}
}

// adviceGoesOn says that an interrupted conversation goes on.
func adviceGoesOn(s ipc.ManagedStep, again string) []string {
	if again == "" {
		return []string{"nothing was changed; repeat it when you like"}
	}
	out := "what is under way is kept"
	if s.Until != nil && !s.Until.IsZero() {
		out += " until " + s.Until.Local().Format("2006-01-02 15:04")
	}
	return []string{out + ", and your accounts are as they were; it goes on with `" + again + "`"}
}

// adviceNotCarried is about a request that did not arrive, or whose answer did not.
func adviceNotCarried(s ipc.ManagedStep, again string, err error) []string {
	var e *ipc.Error
	errors.As(err, &e)
	var out []string
	switch {
	case errors.Is(err, carry.ErrWrongKey):
		out = append(out, "either the authority's listener has a new key, or somebody is between: nothing was sent to it",
			"ask the authority's contact"+contactText(s.Authority)+"; by hand it goes in any case: "+either(again == "", "see `tokenctl reactivate --help`", "`"+again+" --to-file FILE`"))
		return out
	case e != nil && (e.Kind == ipc.Throttled || e.Kind == ipc.Busy):
		out = append(out, "wait "+waitText(e.RetryAfter))
	case e != nil && e.Kind == ipc.Conflict:
		return []string{"nothing was changed; compare this machine's clock with the authority's, and begin it anew: `" + again + " --anew`"}
	case e != nil && e.Kind == ipc.NotAuthorized:
		return []string{"nothing was changed; an administrator of the authority sees in its audit why" + contactText(s.Authority)}
	case s.Phase == ipc.PhaseProving:
		out = append(out, "the new secret is here and was not used: the old one counts until the authority has the proof")
	}
	if again == "" {
		return append(out, "nothing was changed; look whether the network leads there, and repeat")
	}
	out = append(out, adviceGoesOn(s, again)...)
	if e != nil && e.Kind == ipc.VerifierDown {
		out = append(out, byHandText(s, again))
	}
	return out
}

// byHandText is the way without a network. What was begun over one has no time to
// be carried.
func byHandText(s ipc.ManagedStep, again string) string {
	if s.Kind == kindReactivate && s.Phase != ipc.PhaseProving {
		return "without a network, by hand, begun anew because files take longer: `" + strings.TrimSuffix(again, " --anew") + " --anew --to-file FILE`"
	}
	return "without a network, by hand: `" + again + " --to-file FILE`"
}

func contactText(a ipc.ManagedAuthority) string {
	if a.Contact == "" {
		return ""
	}
	return ": " + a.Contact
}

// adviceAnswer is about an answer that could not be used.
func adviceAnswer(again string, err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) || e.Kind != ipc.InvalidArgument {
		return nil
	}
	return []string{unchanged + "; an answer is good for the device that asked, once, and not for ever",
		"what waits here now: `tokenctl reactivate`" + either(again == "", "", "; the message again: `"+strings.TrimSuffix(again, " --go-on")+" --to-file FILE`")}
}

// adviceExpired is about a conversation that is over and came to nothing.
func adviceExpired(again string) []string {
	return []string{"your accounts are as they were; begin again: `" + strings.TrimSuffix(again, " --go-on") + "`"}
}

func adviceUnsure(again string) []string {
	return []string{"both secrets are kept; another reactivation settles it: `" + again + " --anew`"}
}

// adviceRefused is about an authority's no.
func adviceRefused(s ipc.ManagedStep, again string) []string {
	r := s.Refused
	var out []string
	switch r.Code {
	case "policy-denied", "restore-forbidden":
		return append(adviceAlternatives(r, s.Authority), adviceReference(r)...)
	case "throttled":
		out = append(out, "nothing was accepted; wait "+waitText(r.RetrySeconds)+", then it goes on: `"+again+"`",
			"another factor is not held up: --factor FACTOR")
	case "passcode-invalid":
		out = append(out, "nothing was changed; take the passcode that the fob shows next, each is good for one use: `"+again+"`",
			"if it is refused again, the fob may have gone astray: the helpdesk can resync it"+contactText(s.Authority))
	case "bypass-code-invalid":
		out = append(out, "nothing was changed; a bypass code is good once, and not for long: compare it, or ask for another"+contactText(s.Authority))
	case "security-key-invalid":
		out = append(out, "nothing was changed; it is another key than the one that the authority knows, or its answer was not good: `"+again+"`")
	case "code-invalid":
		out = append(out, "the old secret still counts; most often a clock is wrong: compare this machine's with the time on a phone, and set it right"+commandText(remedy.Here().SetClock())+"; then it goes on: `"+again+"`")
	case "not-approved", "approval-expired":
		if s.Kind == kindQuestions {
			return []string{"nobody got anything; the other device asks once more if that is wanted, and shows another number then: `tokenctl device approve`"}
		}
		out = append(out, "nothing was changed; ask once more, or take another factor: `"+again+"`")
	case "other-user":
		return []string{"the link is not used up; use it as the user whom it is for: in his own vault (another login), or on another device"}
	case "conversation-over":
		return adviceExpired(again)
	case "last-device":
		return []string{"nothing was changed; if that is meant: --last"}
	case "device-unknown", "this-device":
		return append([]string{"nothing was changed"}, adviceWhichDevice()...)
	default:
		if out = adviceVerifierRefused(s, again); out == nil {
			out = adviceUnknown(s)
		}
	}
	return append(out, adviceReference(r)...)
}

// adviceOnceMore is what to heed in the next try of a factor.
func adviceOnceMore(code string) []string {
	switch code {
	case "passcode-invalid":
		return []string{"each passcode is good for one use: take the one that the fob shows next"}
	case "bypass-code-invalid":
		return []string{"compare it with what you were told: it is good once, and not for long"}
	}
	return nil
}

// adviceUnknown is about a refusal that says nothing, so that strangers learn
// nothing.
func adviceUnknown(s ipc.ManagedStep) []string {
	contact := contactText(s.Authority)
	switch s.Kind {
	case kindActivate:
		return []string{"the link was used, has expired, was revoked, or waits for a second person's agreement: the authority tells nobody which",
			"ask who sent it; another is made in a moment" + contact}
	case kindReactivate:
		return []string{"the account was removed there, or given out anew by an activation since this backup was made: ask for an activation" + contact}
	}
	return []string{"this device has no account there that works: `tokenctl reactivate` lists what is inactive"}
}

// adviceAlternatives are the ways that a policy leaves beside factors.
func adviceAlternatives(r *ipc.ManagedRefusal, a ipc.ManagedAuthority) []string {
	out := []string{"your account and your other devices are as they were"}
	told := false
	for _, x := range r.Alternatives {
		switch x.Kind {
		case "portal":
			out = append(out, "what is left: the portal, "+x.Value)
		case "administrator":
			out = append(out, "what is left: an activation link, made for you by: "+x.Value)
		case "contact":
			out, told = append(out, "ask: "+x.Value), true
		default:
			out = append(out, "what is left: "+x.Kind+" "+x.Value)
		}
	}
	if c := r.Contact; c != "" && !told {
		out = append(out, "ask: "+c)
	} else if c := a.Contact; c != "" && !told {
		out = append(out, "ask: "+c)
	}
	return out
}

// adviceReference is what to say to the helpdesk.
func adviceReference(r *ipc.ManagedRefusal) []string {
	if r.Reference == "" {
		return nil
	}
	return []string{"the authority has it as " + r.Reference}
}

// adviceOtherFactor is about a factor that is not offered.
func adviceOtherFactor(o *ipc.ManagedOffer, again string) []string {
	if len(o.Factors) == 0 {
		return adviceExpired(again)
	}
	return []string{"nothing was tried; take one that is offered: `" + again + " --factor " + o.Factors[0] + "`"}
}

// adviceNextFile is about a message that waits, where no file was named for it.
func adviceNextFile(again string) []string {
	return []string{"write it to a file: " + strings.TrimSuffix(again, " --go-on") + either(strings.HasSuffix(again, " --go-on"), " --go-on", "") + " --to-file FILE"}
}

// adviceCarryFile is the way of a message that is in a file now.
func adviceCarryFile(s ipc.ManagedStep, path, again string, now time.Time) []string {
	back := strings.TrimSuffix(again, " --go-on") + " --from-file ANSWER"
	if s.Phase != ipc.PhaseProving {
		back += " --to-file NEXT"
	}
	from := either(path == "" || path == "-", "FILE", quoted(path))
	where := s.Authority.Name
	out := []string{"carry it to " + where + ", and there: tokenctl admin message " + from + " > ANSWER",
		"then here, with what came back: " + back}
	if s.Until != nil && !s.Until.IsZero() {
		out = append(out, fmt.Sprintf("it is good for %s, until %s", span(s.Until.Sub(now)), s.Until.Local().Format("2006-01-02 15:04")))
	}
	return out
}

func adviceMessageFile() []string {
	return []string{"nothing was changed; take the whole file, or a picture in which every code of the message is whole"}
}

// adviceMessageRefused is about a message that the authority did not answer.
func adviceMessageRefused(err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Kind {
	case ipc.NotFound, ipc.NoVault:
		return []string{"no authority lives in this daemon; another daemon's socket: --socket PATH"}
	case ipc.Conflict, ipc.InvalidArgument, ipc.NotAuthorized:
		return []string{"nothing was changed; the device writes it once more: there, the same command with --to-file, or --anew"}
	}
	return nil
}

func adviceLink() []string {
	return []string{"nothing was changed; paste it whole, as it was sent: it is one line, without blanks"}
}

// adviceActivationLink is about an activation link where an otpauth address was asked for.
func adviceActivationLink() []string {
	return []string{"nothing was added and the link is not used up; it goes there: `tokenctl activate`"}
}

func adviceActivationQR() []string {
	return []string{"nothing was added and the link is not used up; with this picture: `tokenctl activate --qr FILE`"}
}

func adviceLinkTyped() []string {
	return []string{"run it without the link, which is then asked for; or --link-file FILE (- is standard input), --qr FILE",
		"what was typed is in the shell's history: use the link soon, for it is good once"}
}

func adviceNoLinkQR() []string {
	return []string{"take the picture so that the whole code and the white edge around it are in it, straight and sharp"}
}

// adviceLinkUse is about a link whose authority could not be asked, or is another.
func adviceLinkUse(where string, err error) []string {
	var e *ipc.Error
	switch {
	case errors.Is(err, carry.ErrWrongKey):
		return []string{"nothing was sent and the link is not used up; something else answers at " + where + ": ask who sent the link"}
	case errors.As(err, &e) && e.Kind == ipc.VerifierDown:
		return []string{"the link is not used up; look whether the network leads to " + where + ", and repeat",
			"without a network, by hand: with the authority's descriptor in a file, `tokenctl activate --descriptor FILE --to-file FILE`"}
	case errors.As(err, &e) && e.Kind == ipc.ActivationBad:
		return []string{"nothing was changed; ask who sent it for another"}
	}
	return nil
}

func adviceNoActivation() []string {
	return []string{"begin one with a link: `tokenctl activate`; what else is under way: `tokenctl reactivate`"}
}

// adviceActivated is what to do with a new managed account.
func adviceActivated(a ipc.AccountRef) []string {
	return []string{"a code: tokenctl code " + accountArg(a),
		"its secret is in no backup, but what brings it back on another device is: make one with `tokenctl backup create FILE`"}
}

// adviceReactivated is what to do with an account that works again.
func adviceReactivated(a *ipc.AccountRef) []string {
	if a == nil {
		return nil
	}
	return []string{"a code: tokenctl code " + accountArg(*a)}
}

// adviceNotManaged is about an account that no authority can bring back.
func adviceNotManaged(a ipc.Account) []string {
	return []string{"its secret is in the vault and in its backups; a code: `tokenctl code " + accountArg(refOf(a)) + "`",
		"if its codes are refused, set two-factor login up anew at the service; docs/recovery.md has more"}
}

func adviceNoManaged() []string {
	return []string{"a managed account comes by an activation link: `tokenctl activate`"}
}

func adviceNoQuestion() []string {
	return []string{"nothing was answered; see what is asked: `tokenctl device approve --json --no-input`"}
}

// adviceSaidNo is about a device that asked and was not its user's.
func adviceSaidNo() []string {
	return []string{"if you did not begin it, somebody has a backup of your vault and what opens it: change the recovery password and tell the authority's contact"}
}

func adviceWhichDevice() []string {
	return []string{"see which there are, with their ids: `tokenctl device list`"}
}

func adviceThisDevice() []string {
	return []string{"nothing was changed; if it is meant: `tokenctl device revoke --this`"}
}

// adviceForget is about a device that revoked itself and has not heard so.
func adviceForget() []string {
	return []string{"it is revoked all the same, and its codes count no more; to forget the secrets: `tokenctl device check`"}
}

// adviceManagedInBackup is about the managed accounts of a backup.
func adviceManagedInBackup(n int) []string {
	return []string{plural(n, "account") + " of an authority's " + either(n == 1, "is", "are") + " in it without the secret, which is in no backup: after a restore `tokenctl reactivate` brings " +
		either(n == 1, "it", "them") + " back, by a factor that the authority asks for"}
}

// adviceWasTaken is about an account that was taken from this device, which is being
// brought back.
func adviceWasTaken(who ipc.ManagedAuthority) []string {
	return []string{"the way back is the same as for a new device: a factor, which follows; if it was not you who revoked it, tell the authority's contact" + contactText(who)}
}

// adviceFactors is about a factor that there is not.
func adviceFactors() []string {
	names := make([]string, 0, len(allFactors()))
	for _, f := range allFactors() {
		names = append(names, string(f))
	}
	return []string{"factors: " + strings.Join(names, ", ")}
}

// adviceTaken is about an account that was taken from this device.
func adviceTaken(a *ipc.AccountRef, who ipc.ManagedAuthority) []string {
	out := []string{"if that was not you, tell the authority's contact at once" + contactText(who)}
	if a != nil {
		out = append(out, "to have it here again: tokenctl reactivate "+accountArg(*a))
	}
	return out
}
