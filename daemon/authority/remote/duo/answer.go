package duo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

var (
	errNotDuo   = errors.New("its answer is not one of Duo's Auth API")
	errUnproven = errors.New("it lets this user in without asking him for anything, so nothing was verified")
	errOther    = errors.New("its answer is to another question")
	errToken    = errors.New("the question to continue is not one of Duo's")
)

// Codes of Duo's that mean something of their own.
const (
	codeIntegration = 40102
	codeSignature   = 40103
	codeTimestamp   = 40105
	codeParams      = 40002
)

// refusal is an answer of Duo's that says FAIL, or that is none but for its HTTP
// status. Its texts are Duo's and are not kept: they could repeat what was sent.
type refusal struct {
	Status int
	Code   int // 0 if there is none
}

func (r *refusal) Error() string {
	switch {
	case r.Code == codeIntegration:
		return "the integration key is not known there"
	case r.Code == codeSignature:
		return "the signature is refused: the secret key or the host is not this application's"
	case r.Code == codeTimestamp:
		return "the time of the request is refused"
	case r.Code == codeParams:
		return "it refuses what the request says (error 40002)"
	case r.Status == http.StatusForbidden:
		return fmt.Sprintf("this application may not use the Auth API (error %d)", r.Code)
	case r.Status >= 500:
		return fmt.Sprintf("it has a fault of its own (HTTP status %d)", r.Status)
	case r.Code == 0:
		return fmt.Sprintf("it refuses the request (HTTP status %d)", r.Status)
	}
	return fmt.Sprintf("it refuses the request (HTTP status %d, error %d)", r.Status, r.Code)
}

// readAnswer returns what a good answer holds.
func readAnswer(status int, body []byte) (json.RawMessage, error) {
	if status >= 300 && status < 400 {
		return nil, errMoved
	}
	var a struct {
		Stat     string          `json:"stat"`
		Code     int             `json:"code"`
		Response json.RawMessage `json:"response"`
	}
	err := json.Unmarshal(body, &a)
	switch {
	case status != http.StatusOK && (err != nil || a.Stat != "FAIL"):
		return nil, &refusal{Status: status}
	case err == nil && a.Stat == "FAIL":
		return nil, &refusal{Status: status, Code: a.Code}
	case err != nil || a.Stat != "OK" || len(a.Response) == 0:
		return nil, errNotDuo
	}
	return a.Response, nil
}

// readTime reads the answer of ping and check.
func readTime(raw json.RawMessage) (time.Time, error) {
	var r struct {
		Time int64 `json:"time"`
	}
	if json.Unmarshal(raw, &r) != nil {
		return time.Time{}, errNotDuo
	}
	return moment(r.Time)
}

// moment is a time of Duo's, in seconds since 1970.
func moment(seconds int64) (time.Time, error) {
	if seconds <= 0 || seconds > 1<<36 {
		return time.Time{}, errNotDuo
	}
	return time.Unix(seconds, 0), nil
}

// device is something of the user's that Duo can reach.
type device struct {
	ID           string   `json:"device"`
	Number       string   `json:"number"` // masked by Duo
	Capabilities []string `json:"capabilities"`
}

// standing is what Duo says of a user before it is asked anything about him.
type standing struct {
	Result  string   `json:"result"`
	Portal  string   `json:"enroll_portal_url"`
	Devices []device `json:"devices"`
}

func readStanding(raw json.RawMessage) (standing, error) {
	var s standing
	if json.Unmarshal(raw, &s) != nil {
		return standing{}, errNotDuo
	}
	switch s.Result {
	case "auth", "allow", "deny", "enroll":
		return s, nil
	}
	return standing{}, errNotDuo
}

// with finds the first device that has a capability.
func (s standing) with(capability string) (device, bool) {
	for _, d := range s.Devices {
		if plain(d.ID, 128) && slices.Contains(d.Capabilities, capability) {
			return d, true
		}
	}
	return device{}, false
}

// verdict is what Duo says of a factor.
type verdict struct {
	Result string `json:"result"`
	Status string `json:"status"`
	Txid   string `json:"txid"`
}

func readVerdict(raw json.RawMessage) (verdict, error) {
	var v verdict
	if json.Unmarshal(raw, &v) != nil || v == (verdict{}) {
		return verdict{}, errNotDuo
	}
	return v, nil
}

// answer is what a verdict comes to. An allow counts where its status says that the
// user was asked: "bypass" is one that was let in without. wrong is what a plain
// denial means.
func (v verdict) answer(wrong remote.Reason) (remote.Answer, error) {
	reason, final := reasons()[v.Status]
	if v.Status == "deny" {
		reason, final = wrong, true
	}
	switch {
	case v.Result == "allow" && v.Status == "allow":
		return remote.Answer{State: remote.Accepted}, nil
	case v.Result == "allow" && v.Status == "bypass":
		return remote.Answer{}, errUnproven
	case v.Result == "deny" && final, v.Result == "waiting" && final:
		return rejected(reason), nil
	case v.Result == "deny":
		return rejected(remote.Denied), nil
	case v.Result == "waiting":
		return remote.Answer{State: remote.Waiting, RetryAfter: retryAfter}, nil
	}
	return remote.Answer{}, errNotDuo
}

// reasons are the statuses after which nothing more comes. Duo's documentation has
// "timeout" come with the result "waiting".
func reasons() map[string]remote.Reason {
	return map[string]remote.Reason{
		"fraud":      remote.Fraud,
		"timeout":    remote.TimedOut,
		"locked_out": remote.LockedOut,
	}
}

func rejected(why remote.Reason) remote.Answer {
	return remote.Answer{State: remote.Rejected, Reason: why}
}

// link returns s if it is a web address that can be shown and opened, else nothing.
func link(s string) string {
	if !plain(s, remote.MaxPrompt) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return s
}

// line makes of s at most limit characters that print.
func line(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}

// digits is what of a telephone number is shown: Duo masks most of it.
func digits(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789Xx*+-() ", r) {
			return r
		}
		return -1
	}, s)
	return strings.TrimSpace(line(s, 32))
}
