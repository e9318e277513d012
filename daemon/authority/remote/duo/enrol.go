package duo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// enrolFor is how long an enrolment is good.
const enrolFor = 24 * time.Hour

// ErrEnrolled is that Duo does not enrol this user: it does so for those alone whom it
// does not know.
var ErrEnrolled = errors.New("the user is known there already, or his name is refused")

// Enrolment is how a user gets his account at Duo into Duo Mobile. Whoever has it
// can enrol in his place, so it is shown to him alone; it prints as "[enrolment]".
type Enrolment struct {
	// Link is opened on the phone; https, may be empty.
	Link string
	// Code is what Duo Mobile reads as a QR code.
	Code string
	// Until is when it ceases to be good.
	Until time.Time
	// User is the user's id at Duo.
	User string
}

// String hides all of it.
func (Enrolment) String() string { return "[enrolment]" }

// GoString hides all of it.
func (Enrolment) GoString() string { return "[enrolment]" }

// Enroll makes a user at Duo who has no device yet. The error is an
// *remote.Unavailable, which wraps ErrEnrolled where that may be why.
func (v *Verifier) Enroll(ctx context.Context, user string) (Enrolment, error) {
	if !goodUser(user) {
		return Enrolment{}, v.notEnrolled()
	}
	raw, err := v.signed(ctx, http.MethodPost, "/auth/v2/enroll",
		url.Values{"username": {user}, "valid_secs": {strconv.Itoa(int(enrolFor / time.Second))}})
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.Code == codeParams {
		return Enrolment{}, v.notEnrolled()
	}
	if err != nil {
		return Enrolment{}, err
	}
	e, err := readEnrolment(raw)
	if err != nil {
		return Enrolment{}, v.unavailable(err)
	}
	return e, nil
}

func (v *Verifier) notEnrolled() error {
	return &remote.Unavailable{Verifier: Name, Server: v.host, Problem: ErrEnrolled.Error(), Err: ErrEnrolled}
}

func readEnrolment(raw json.RawMessage) (Enrolment, error) {
	var r struct {
		Code    string `json:"activation_code"`
		URL     string `json:"activation_url"`
		Expires int64  `json:"expiration"`
		User    string `json:"user_id"`
	}
	if json.Unmarshal(raw, &r) != nil || !goodCode(r.Code) || !plain(r.User, 128) {
		return Enrolment{}, errNotDuo
	}
	until, err := moment(r.Expires)
	if err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Link: link(r.URL), Code: r.Code, Until: until, User: r.User}, nil
}

func goodCode(s string) bool { return plain(s, remote.MaxPrompt) && strings.HasPrefix(s, "duo://") }

// EnrolState is what has become of an enrolment.
type EnrolState string

// The states.
const (
	EnrolWaiting EnrolState = "waiting" // nobody has used it
	EnrolDone    EnrolState = "success" // it was used
	EnrolInvalid EnrolState = "invalid" // it is not good any more, or never was
)

// EnrolStatus says what has become of an enrolment; User and Code are what is needed
// of it. The error is an *remote.Unavailable.
func (v *Verifier) EnrolStatus(ctx context.Context, e Enrolment) (EnrolState, error) {
	raw, err := v.signed(ctx, http.MethodPost, "/auth/v2/enroll_status", url.Values{"user_id": {e.User}, "activation_code": {e.Code}})
	if err != nil {
		return "", err
	}
	s, err := readEnrolState(raw)
	if err != nil {
		return "", v.unavailable(err)
	}
	return s, nil
}

func readEnrolState(raw json.RawMessage) (EnrolState, error) {
	var s EnrolState
	if json.Unmarshal(raw, &s) != nil || s != EnrolWaiting && s != EnrolDone && s != EnrolInvalid {
		return "", errNotDuo
	}
	return s, nil
}
