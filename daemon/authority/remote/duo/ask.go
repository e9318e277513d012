package duo

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// retryAfter is how long to wait before looking again. Duo answers when something
// has happened, so it is short.
const retryAfter = time.Second

// What a token begins with.
const (
	waiting    = "waiting:"    // the transaction follows
	challenged = "challenged:" // the user follows
)

// Begin asks a question. Duo is first asked how it stands with the user: one whom it
// would let in unasked is an error, for then no answer of its means anything.
func (v *Verifier) Begin(ctx context.Context, q remote.Question) (remote.Answer, error) {
	switch q.Factor {
	case "fob", "push", "sms", "phone_call":
	default:
		return rejected(remote.Unknown), nil
	}
	if !goodUser(q.User) {
		return rejected(remote.Unknown), nil
	}
	if q.Factor == "fob" && !goodPasscode(q.Passcode) {
		return rejected(remote.Wrong), nil
	}
	raw, err := v.signed(ctx, http.MethodPost, "/auth/v2/preauth", url.Values{"username": {q.User}})
	if err != nil {
		return remote.Answer{}, err
	}
	s, err := readStanding(raw)
	if err != nil {
		return remote.Answer{}, v.unavailable(err)
	}
	switch s.Result {
	case "auth":
		return v.ask(ctx, q, s)
	case "deny":
		return rejected(remote.Denied), nil
	case "enroll":
		return remote.Answer{State: remote.Rejected, Reason: remote.Unknown, Enrolment: link(s.Portal)}, nil
	}
	return remote.Answer{}, v.unavailable(errUnproven)
}

// ask goes on with a question about a user whom Duo will ask.
func (v *Verifier) ask(ctx context.Context, q remote.Question, s standing) (remote.Answer, error) {
	if q.Factor == "fob" {
		return v.passcode(ctx, q.User, q.Passcode)
	}
	factor := strings.TrimSuffix(q.Factor, "_call")
	d, ok := s.with(factor)
	if !ok {
		return rejected(remote.Unknown), nil
	}
	p := url.Values{"username": {q.User}, "factor": {factor}, "device": {d.ID}}
	switch factor {
	case "sms":
		return v.text(ctx, q.User, d, p)
	case "push":
		p.Set("type", "Reactivation")
		p.Set("pushinfo", shown(q))
	}
	p.Set("async", "1")
	got, err := v.auth(ctx, p)
	switch {
	case err != nil:
		return remote.Answer{}, err
	case got.Txid == "" && got.Result == "deny":
		return v.settled(got, remote.Denied)
	case got.Result != "" || !plain(got.Txid, remote.MaxToken-len(waiting)):
		return remote.Answer{}, v.unavailable(errNotDuo)
	}
	return remote.Answer{State: remote.Waiting, Token: []byte(waiting + got.Txid), RetryAfter: retryAfter}, nil
}

// text has a passcode sent to a device, for which Duo answers that it is denied and sent.
func (v *Verifier) text(ctx context.Context, user string, d device, p url.Values) (remote.Answer, error) {
	got, err := v.auth(ctx, p)
	switch {
	case err != nil:
		return remote.Answer{}, err
	case got.Result == "allow":
		return remote.Answer{}, v.unavailable(errUnproven)
	case got.Result != "deny":
		return remote.Answer{}, v.unavailable(errNotDuo)
	case got.Status != "sent":
		return v.settled(got, remote.Denied)
	}
	a := remote.Answer{State: remote.Challenged, Token: []byte(challenged + user), Prompt: "Passcode of the text message"}
	if n := digits(d.Number); n != "" {
		a.Prompt += " to " + n
	}
	return a, nil
}

// passcode asks whether a passcode is the user's.
func (v *Verifier) passcode(ctx context.Context, user string, passcode []byte) (remote.Answer, error) {
	got, err := v.auth(ctx, url.Values{"username": {user}, "factor": {"passcode"}, "passcode": {string(passcode)}})
	switch {
	case err != nil:
		return remote.Answer{}, err
	case got.Result == "waiting":
		return remote.Answer{}, v.unavailable(errNotDuo)
	}
	return v.settled(got, remote.Wrong)
}

func (v *Verifier) auth(ctx context.Context, p url.Values) (verdict, error) {
	raw, err := v.signed(ctx, http.MethodPost, "/auth/v2/auth", p)
	if err != nil {
		return verdict{}, err
	}
	got, err := readVerdict(raw)
	if err != nil {
		return verdict{}, v.unavailable(err)
	}
	return got, nil
}

func (v *Verifier) settled(got verdict, wrong remote.Reason) (remote.Answer, error) {
	a, err := got.answer(wrong)
	if err != nil {
		return remote.Answer{}, v.unavailable(err)
	}
	return a, nil
}

// Continue goes on with a question that was answered with a token.
func (v *Verifier) Continue(ctx context.Context, token, passcode []byte) (remote.Answer, error) {
	if len(token) > remote.MaxToken {
		return remote.Answer{}, v.unavailable(errToken)
	}
	if txid, ok := strings.CutPrefix(string(token), waiting); ok && plain(txid, remote.MaxToken) {
		return v.look(ctx, txid, token)
	}
	if user, ok := strings.CutPrefix(string(token), challenged); ok && goodUser(user) {
		if !goodPasscode(passcode) {
			return rejected(remote.Wrong), nil
		}
		return v.passcode(ctx, user, passcode)
	}
	return remote.Answer{}, v.unavailable(errToken)
}

// look asks what has become of a transaction. Duo keeps that back until something
// has happened: where it takes longer than a request may, and Duo answers otherwise,
// nothing has happened.
func (v *Verifier) look(ctx context.Context, txid string, token []byte) (remote.Answer, error) {
	still := remote.Answer{State: remote.Waiting, Token: token, RetryAfter: retryAfter}
	raw, err := v.signed(ctx, http.MethodGet, "/auth/v2/auth_status", url.Values{"txid": {txid}})
	if errors.Is(err, errSlow) {
		if _, err := v.ping(ctx); err != nil {
			return remote.Answer{}, err
		}
		return still, nil
	}
	if err != nil {
		return remote.Answer{}, err
	}
	got, err := readVerdict(raw)
	if err != nil {
		return remote.Answer{}, v.unavailable(err)
	}
	if got.Txid != "" && got.Txid != txid {
		return remote.Answer{}, v.unavailable(errOther)
	}
	a, err := v.settled(got, remote.Denied)
	if a.State == remote.Waiting {
		return still, nil
	}
	return a, err
}

// shown is what Duo Mobile shows with the question.
func shown(q remote.Question) string {
	var parts []string
	for _, p := range [][2]string{{"Account", q.Account}, {"Device", q.Device}, {"Reference", q.Reference}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+strings.ReplaceAll(url.QueryEscape(line(p[1], 128)), "+", "%20"))
		}
	}
	return strings.Join(parts, "&")
}

// goodUser reports whether a name can be a user's.
func goodUser(s string) bool {
	return s != "" && len(s) <= 256 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// goodPasscode reports whether something can be a passcode.
func goodPasscode(b []byte) bool { return plain(string(b), 128) }
