package issue

import (
	"encoding/base32"
	"fmt"
	"io"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
)

// The codes of refusals, for programs.
const (
	codeRefused  = "refused"           // who asks is told nothing
	codeOver     = "conversation-over" // to be begun again
	codePolicy   = "policy-denied"     // the policy leaves no factor
	codeRestore  = "restore-forbidden" // the policy forbids it after a restore
	codeOffered  = "factor-not-offered"
	codePasscode = "passcode-invalid"
	codeBypass   = "bypass-code-invalid"
	codeKey      = "security-key-invalid"
	codeThrottle = "throttled"
	codeApproval = "not-approved"
	codeLate     = "approval-expired"
	codeCode     = "code-invalid"
	codeDevice   = "device-unknown"
	codeThis     = "this-device"
	codeOther    = "other-user"  // the device is another user's
	codeLast     = "last-device" // an account would be left on none
)

// unknown is the one answer to who may not know why. Nothing of it is remembered:
// the same again gets the same.
func (i *Issuer) unknown(s *step) message.Result {
	s.passing = true
	return &message.Refused{Code: codeRefused, Message: "the authority does not know this, or does not allow it", Final: true}
}

// end refuses, and ends the conversation.
func (s *step) end(code, text string) *message.Refused {
	s.talk.Stage = over
	return &message.Refused{Code: code, Message: text, Reference: s.talk.Reference, Final: true}
}

// again refuses, and the conversation goes on.
func (s *step) again(code, text string, wait time.Duration) *message.Refused {
	seconds := int((wait + time.Second - 1) / time.Second)
	return &message.Refused{Code: code, Message: text, Reference: s.talk.Reference, RetryAfter: seconds}
}

// left says what the policy leaves where it leaves no factor.
func (i *Issuer) left(s *step, d policy.Decision) (message.Result, error) {
	p, err := i.reg.Profile()
	if err != nil {
		return nil, err
	}
	r := &message.Refused{Code: codePolicy, Message: "the policy leaves no factor that could be used", Denials: denials(d), Final: true,
		Contact: shown(i.contact(p), 400), Reference: s.talk.Reference}
	if f := d.Forbidden; f != nil {
		r.Code, r.Message = codeRestore, shown("reactivation of a restored account is forbidden by "+f.By, 400)
	}
	for _, a := range d.Alternatives {
		r.Alternatives = append(r.Alternatives, message.Alternative{Kind: a.Kind, Value: shown(a.Value, 800)})
	}
	s.talk.Stage = over
	return r, nil
}

func denials(d policy.Decision) []message.Denial {
	var out []message.Denial
	for _, x := range d.Denials {
		out = append(out, message.Denial{Factor: string(x.Factor), Reason: shown(x.Reason, 400), Because: shown(x.Because, 400)})
	}
	return out
}

// newReference is what a user can say over the phone: 35 random bits.
func (i *Issuer) newReference() (string, error) {
	var b [5]byte
	if _, err := io.ReadFull(i.random, b[:]); err != nil {
		return "", fmt.Errorf("cannot make a reference: %w", err)
	}
	s := crockford().EncodeToString(b[:])
	return "R-" + s[:4] + "-" + s[4:], nil
}

// crockford has no letters that are taken for digits, nor a U.
func crockford() *base32.Encoding {
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
}
