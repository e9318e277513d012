package desk

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// attended is the service of a helper who names none.
const attended = "attended"

// Verify implements [ipc.Verifications].
func (d *Desk) Verify(ctx context.Context, p ipc.Principal, r ipc.VerifyRequest) (ipc.Verified, error) {
	c, err := d.require(ctx, p, actVerify, ofReach, authority.RoleVerifier, authority.RoleAdmin)
	if err != nil {
		return ipc.Verified{}, err
	}
	v, err := c.verify(ctx, r)
	if err != nil {
		return ipc.Verified{}, d.failed(err)
	}
	if v.challenge != nil {
		return ipc.Verified{}, v.challenged()
	}
	if !v.Accepted {
		return ipc.Verified{}, ipc.Errorf(ipc.PasscodeInvalid, "the passcode was not accepted")
	}
	return ipc.Verified{Version: ipc.Version, Accepted: true}, nil
}

// VerifyAttended implements [ipc.Verifications].
func (d *Desk) VerifyAttended(ctx context.Context, p ipc.Principal, r ipc.VerifyRequest) (ipc.AttendedVerdict, error) {
	c, err := d.require(ctx, p, actVerify, ofUser(r.User), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.AttendedVerdict{}, err
	}
	if r.Service == "" {
		r.Service = attended
	}
	v, err := c.verify(ctx, r)
	if err != nil {
		return ipc.AttendedVerdict{}, d.failed(err)
	}
	if v.challenge != nil {
		return ipc.AttendedVerdict{}, v.challenged()
	}
	if !v.Accepted {
		return ipc.AttendedVerdict{}, v.refused()
	}
	out := ipc.AttendedVerdict{Version: ipc.Version, Accepted: true, UserID: v.UserID, FobID: v.FobID, Serial: v.Serial,
		AccountID: v.account, DeviceID: v.device, Verifier: ipc.VerifierName(v.verifier), Lifted: v.Lifted}
	if v.managed {
		return out, nil
	}
	if err := c.stillThrottled(&out); err != nil { // it was accepted all the same
		d.cfg.Log.Error("cannot say at which services a user is throttled", "err", err)
	}
	return out, nil
}

// stillThrottled adds where single passcodes are refused all the same.
func (c *caller) stillThrottled(v *ipc.AttendedVerdict) error {
	failures, err := c.chain.failures(v.UserID)
	if err != nil {
		return err
	}
	if v.Throttled, err = c.throttles(v.UserID, failures); err != nil {
		return err
	}
	page, err := c.authority.Fobs(authority.FobQuery{User: v.UserID, State: fob.Active})
	for _, f := range page.Fobs {
		if !f.Throttled.IsZero() {
			v.ThrottledFobs = append(v.ThrottledFobs, ipc.ThrottledFob{Serial: f.Serial, Until: wireTime(f.Throttled)})
		}
	}
	return err
}

// verdict is what became of a passcode or of a managed account's code.
type verdict struct {
	authority.Verdict
	managed         bool
	account, device string // ids, of a managed account's code
	// verifier is who looked at it elsewhere, challenge what he wants in addition.
	verifier  policy.Verifier
	challenge *issue.PasscodeChallenge
}

// verify asks the one who knows: of fobs the registry, or else who verifies them
// elsewhere, of managed accounts the issuer. All keep the same throttle, and but for who
// is elsewhere the same deadline.
func (c *caller) verify(ctx context.Context, r ipc.VerifyRequest) (verdict, error) {
	if !r.Managed && r.Account == "" {
		at := authority.Attempt{By: c.by, Service: r.Service, User: r.User, Passcode: r.Passcode, Within: c.within()}
		if v, err := c.issuer.VerifyElsewhere(ctx, at, r.Challenge); err != nil {
			return verdict{}, err
		} else if v != nil {
			return verdict{Verdict: v.Verdict, verifier: v.Verifier, challenge: v.Challenge}, nil
		}
		v, err := c.authority.Verify(ctx, at)
		return verdict{Verdict: v}, err
	}
	v, err := c.issuer.VerifyManaged(ctx, issue.Login{By: c.by, Service: r.Service, User: r.User, Account: r.Account, Code: r.Passcode, Within: c.within()})
	return verdict{Verdict: authority.Verdict{Accepted: v.Accepted, UserID: v.UserID, Reason: v.Reason, RetryAfter: v.RetryAfter},
		managed: true, account: v.Account, device: v.Device}, err
}

// challenged says that it is not decided, and how it goes on.
func (v verdict) challenged() *ipc.Error {
	return &ipc.Error{Kind: ipc.Conflict, Message: shownVerifier(v.verifier) + " asks for something more, and has accepted nothing yet",
		Items: []ipc.Item{{ID: v.challenge.ID, Name: v.challenge.Prompt, Reason: challengedReason}}}
}

// challengedReason marks the id of a challenge among the items of an error.
const challengedReason = "challenged"

// shownVerifier is a verifier in words.
func shownVerifier(v policy.Verifier) string {
	if v == policy.Duo {
		return "Duo"
	}
	return strings.ToUpper(string(v))
}

// elsewhereReason is reason for what a verifier elsewhere has said.
func (v verdict) elsewhereReason() string {
	name := shownVerifier(v.verifier)
	switch v.Reason {
	case authority.ReasonWrong:
		return name + " does not accept it"
	case issue.ReasonDenied:
		return name + " itself said no"
	case issue.ReasonLockedOut:
		return name + " has locked the user out"
	case issue.ReasonNotThere:
		return name + " does not know the user"
	}
	return reason(v.Reason)
}

// refused says to a helper why.
func (v verdict) refused() *ipc.Error {
	e := &ipc.Error{Kind: ipc.PasscodeInvalid, Message: "the passcode was not accepted: " + reason(v.Reason),
		Items: []ipc.Item{{ID: v.FobID, Name: v.Serial, Reason: string(v.Reason)}}}
	if v.verifier != "" {
		e.Message = "the passcode was not accepted: " + v.elsewhereReason()
		e.Items[0].Name = string(v.verifier)
	}
	if v.managed {
		e.Message, e.Items[0].ID = "the code was not accepted: "+managedReason(v.Reason), v.device
	}
	switch v.Reason {
	case authority.ReasonReused:
		e.Kind = ipc.PasscodeReused
	case authority.ReasonThrottled:
		e.Kind, e.RetryAfter = ipc.Throttled, int(math.Ceil(v.RetryAfter.Seconds()))
	}
	return e
}

func reason(r authority.Reason) string {
	switch r {
	case authority.ReasonUnknownUser:
		return "there is no such user"
	case authority.ReasonDisabledUser:
		return "the user is disabled"
	case authority.ReasonNoFob:
		return "the user has no fob that could have made it"
	case authority.ReasonUnreadable:
		return "it is neither digits nor a Yubico OTP"
	case authority.ReasonThrottled:
		return "after too many failures single passcodes are not looked at for a while"
	case authority.ReasonWrong:
		return "none of the user's fobs makes it now"
	case authority.ReasonReused:
		return "it was used before, or a later one was"
	case authority.ReasonUnfit:
		return "none of the user's fobs makes passcodes of this length or kind"
	case authority.ReasonUnassigned:
		return "the fob is not the user's"
	case authority.ReasonDisabled:
		return "the fob is disabled"
	case authority.ReasonLost:
		return "the fob is lost"
	case authority.ReasonNotYet:
		return "the fob is not valid yet"
	case authority.ReasonExpired:
		return "the fob has expired"
	}
	return string(r)
}

// managedReason is reason for a code of a managed account.
func managedReason(r authority.Reason) string {
	switch r {
	case authority.ReasonWrong:
		return "none of the devices that have the account makes it now"
	case authority.ReasonReused:
		return "it was used before, or a later one of this device was"
	case authority.ReasonUnfit:
		return "no code of the account has this length"
	case issue.ReasonNoAccount:
		return "the user has no such account that works"
	case issue.ReasonPending:
		return "it is of a device that has not proved its new secret yet"
	}
	return reason(r)
}

// ResyncFob implements [ipc.Fobs].
func (d *Desk) ResyncFob(ctx context.Context, p ipc.Principal, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	return d.changeFob(ctx, p, actResync, id, ofFob(id), helpers(), func(c *caller) (authority.Fob, error) {
		return resynced(c.authority.ResyncFob(authority.Resync{By: c.by, Serial: id, User: r.User, Passcodes: r.Passcodes, Attended: true}))
	})
}

const actResync = "fob-resync"

// resynced: too many tries are over after a while.
func resynced(f authority.Fob, err error) (authority.Fob, error) {
	var e *authority.Error
	if errors.As(err, &e) && e.Kind == authority.TooMany {
		return f, &ipc.Error{Kind: ipc.Throttled, Message: e.Problem, RetryAfter: int((24 * time.Hour).Seconds())}
	}
	return f, err
}

// ResyncOwnFob implements [ipc.Fobs]. That there is a fob which is not his the
// caller is not told.
func (d *Desk) ResyncOwnFob(ctx context.Context, p ipc.Principal, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	c, err := d.enter(ctx, p)
	if err != nil {
		return ipc.Fob{}, err
	}
	if c.user.ID == "" {
		return ipc.Fob{}, errNotOwn()
	}
	f, err := resynced(c.authority.ResyncFob(authority.Resync{By: c.by, Serial: id, User: c.user.ID, Passcodes: r.Passcodes}))
	var e *authority.Error
	if errors.As(err, &e) && e.Kind == authority.NotFound {
		return ipc.Fob{}, errNotOwn()
	}
	return d.fob(c, f, err)
}

func errNotOwn() *ipc.Error { return ipc.Errorf(ipc.NotFound, "you have no such fob") }
