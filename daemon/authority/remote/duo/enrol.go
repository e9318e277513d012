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

var _ remote.Enroller = (*Verifier)(nil)

// Enroll makes a user at Duo who has no device yet.
func (v *Verifier) Enroll(ctx context.Context, user string) (remote.Enrolment, error) {
	if !goodUser(user) {
		return remote.Enrolment{}, v.notEnrolled()
	}
	raw, err := v.signed(ctx, http.MethodPost, "/auth/v2/enroll",
		url.Values{"username": {user}, "valid_secs": {strconv.Itoa(int(enrolFor / time.Second))}})
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.Code == codeParams {
		return remote.Enrolment{}, v.notEnrolled()
	}
	if err != nil {
		return remote.Enrolment{}, err
	}
	e, err := readEnrolment(raw)
	if err != nil {
		return remote.Enrolment{}, v.unavailable(err)
	}
	return e, nil
}

func (v *Verifier) notEnrolled() error {
	return &remote.Unavailable{Verifier: Name, Server: v.host, Problem: remote.ErrEnrolled.Error(), Err: remote.ErrEnrolled}
}

func readEnrolment(raw json.RawMessage) (remote.Enrolment, error) {
	var r struct {
		Code    string `json:"activation_code"`
		URL     string `json:"activation_url"`
		Expires int64  `json:"expiration"`
	}
	if json.Unmarshal(raw, &r) != nil || !goodCode(r.Code) {
		return remote.Enrolment{}, errNotDuo
	}
	until, err := moment(r.Expires)
	if err != nil {
		return remote.Enrolment{}, err
	}
	return remote.Enrolment{Link: link(r.URL), Code: r.Code, Until: until}, nil
}

func goodCode(s string) bool { return plain(s, remote.MaxPrompt) && strings.HasPrefix(s, "duo://") }
