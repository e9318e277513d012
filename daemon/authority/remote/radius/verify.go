package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	wire "layeh.com/radius"
)

var _ remote.Verifier = (*Client)(nil)

// maxRounds is how often in a row a server may challenge.
const maxRounds = 10

// Begin asks whether the passcode is the user's or, where there is none, sends the
// factor's word and waits for what the server makes of it. Device, account and
// reference have no place in RADIUS.
func (c *Client) Begin(ctx context.Context, q remote.Question) (remote.Answer, error) {
	if !isText(q.User) {
		return rejected(remote.Unknown), nil // no server can have such a user
	}
	if len(q.Passcode) > 0 {
		if !c.mayBePasscode(q.Passcode) {
			return rejected(remote.Wrong), nil
		}
		return c.ask(ctx, c.order(), question{user: q.User, password: q.Passcode})
	}
	word, ok := c.words[q.Factor]
	if !ok {
		return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Problem: fmt.Sprintf("there is no passcode, and no word is configured to ask for %q", q.Factor)}
	}
	return c.ask(ctx, c.order(), question{user: q.User, password: []byte(word), word: true})
}

// Continue answers a challenge, to the server that it is of. The passcode may be
// empty: some challenges ask for nothing.
func (c *Client) Continue(ctx context.Context, token, passcode []byte) (remote.Answer, error) {
	t, err := decodeToken(token)
	if err != nil {
		return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Problem: "the token is not one of a challenge", Err: err}
	}
	for _, s := range c.servers {
		if s.id != t.server {
			continue
		}
		if len(passcode) > 0 && !c.mayBePasscode(passcode) {
			return rejected(remote.Wrong), nil
		}
		return c.ask(ctx, []*server{s}, question{user: t.user, password: passcode, state: t.state, rounds: t.rounds})
	}
	return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Problem: "the server that challenged is not configured any more"}
}

// Check asks each server for its status (Status-Server, RFC 5997), all at once. One
// that does not answer may be down, or not know this host or its secret, or never
// answer that question: it cannot be told which.
func (c *Client) Check(ctx context.Context) error {
	failures := make([]*failure, len(c.servers))
	var all sync.WaitGroup
	for i, s := range c.servers {
		all.Go(func() {
			_, failures[i] = c.exchange(ctx, s, question{status: true}, c.patience(false))
		})
	}
	all.Wait()
	var failed []*failure
	for _, f := range failures {
		if f != nil {
			if f.silent() {
				f.problem += " to Status-Server: it is down, or does not know this host or its secret, or does not answer such questions"
			}
			failed = append(failed, f)
		}
	}
	return unavailable(failed)
}

// ask asks these servers one after the other until one answers. Only silence leads
// to the next: a rejection is an answer.
func (c *Client) ask(ctx context.Context, servers []*server, q question) (remote.Answer, error) {
	var failed []*failure
	for _, s := range servers {
		r, f := c.exchange(ctx, s, q, c.patience(q.word))
		if f == nil {
			c.mark(s, time.Time{})
			return c.answer(s, q, r)
		}
		if ctx.Err() != nil {
			return remote.Answer{}, unavailable(append(failed, f))
		}
		// The user's phone is not rung once more by the next server because he has not
		// answered this one.
		if q.word && f.silent() && c.alive(ctx, s) {
			return rejected(remote.TimedOut), nil
		}
		c.mark(s, c.now())
		failed = append(failed, f)
	}
	return remote.Answer{}, unavailable(failed)
}

// alive says whether a server answers a Status-Server, asked once.
func (c *Client) alive(ctx context.Context, s *server) bool {
	_, f := c.exchange(ctx, s, question{status: true}, patience{every: c.timeout, sends: 1, total: c.timeout})
	return f == nil
}

// answer makes an answer of what a server has said.
func (c *Client) answer(s *server, q question, r reply) (remote.Answer, error) {
	switch r.code {
	case wire.CodeAccessAccept:
		return remote.Answer{State: remote.Accepted}, nil
	case wire.CodeAccessReject:
		// RADIUS does not say why.
		if q.word {
			return rejected(remote.Denied), nil
		}
		return rejected(remote.Wrong), nil
	case wire.CodeAccessChallenge:
		if q.rounds+1 > maxRounds {
			return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Server: s.address, Problem: fmt.Sprintf("it has challenged %d times in a row", maxRounds+1)}
		}
		t := token{rounds: q.rounds + 1, server: s.id, user: q.user, state: r.state}
		return remote.Answer{State: remote.Challenged, Token: t.encode(), Prompt: prompt(r.messages)}, nil
	default: // parse lets no other through
		return remote.Answer{}, &remote.Unavailable{Verifier: "radius", Server: s.address, Problem: ErrCode.Error()}
	}
}

func rejected(why remote.Reason) remote.Answer {
	return remote.Answer{State: remote.Rejected, Reason: why}
}

// order is the servers in the order in which they are asked now.
func (c *Client) order() []*server {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var first, last []*server
	for _, s := range c.servers {
		if since := now.Sub(s.failed); !s.failed.IsZero() && since >= 0 && since < avoid {
			last = append(last, s)
		} else {
			first = append(first, s)
		}
	}
	return append(first, last...)
}

func (c *Client) mark(s *server, failed time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.failed = failed
}

// mayBePasscode says whether what the user typed may be sent as a passcode. A
// passcode that ends in NUL would be another at the server. One that is a word, as
// in "push2" or "123456,phone", would have the server ask by another factor, and
// so get round a policy that denies it.
func (c *Client) mayBePasscode(p []byte) bool {
	if len(p) > maxPassword || bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	tail := bytes.TrimRightFunc(p, func(r rune) bool { return unicode.IsDigit(r) || unicode.IsSpace(r) })
	if i := bytes.LastIndexFunc(tail, func(r rune) bool { return !unicode.IsLetter(r) }); i >= 0 {
		tail = tail[i+1:]
		for len(tail) > 0 && tail[0]&0xc0 == 0x80 { // what is left of the character at i
			tail = tail[1:]
		}
	}
	for _, word := range []string{"auto", "push", "phone", "sms"} {
		if bytes.EqualFold(tail, []byte(word)) {
			return false
		}
	}
	for _, word := range c.words {
		if bytes.EqualFold(tail, []byte(word)) || bytes.EqualFold(bytes.TrimSpace(p), []byte(word)) {
			return false
		}
	}
	return true
}

// prompt is what of a server's Reply-Messages is shown: printable, one line. The
// characters that turn the direction of writing are not printable.
func prompt(messages [][]byte) string {
	var kept []rune
	for _, r := range strings.ToValidUTF8(string(bytes.Join(messages, []byte(" "))), " ") {
		if unicode.IsSpace(r) {
			r = ' '
		}
		if !unicode.IsPrint(r) || r == ' ' && (len(kept) == 0 || kept[len(kept)-1] == ' ') {
			continue
		}
		if kept = append(kept, r); len(kept) == remote.MaxPrompt {
			break
		}
	}
	return strings.TrimRight(string(kept), " ")
}

// unavailable makes one error of why each server has not answered; nil of none.
func unavailable(failed []*failure) error {
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return &remote.Unavailable{Verifier: "radius", Server: failed[0].server, Problem: failed[0].problem, Err: failed[0].err}
	}
	var problems []string
	var causes []error
	for _, f := range failed {
		problems = append(problems, f.server+": "+f.problem)
		causes = append(causes, f.err)
	}
	return &remote.Unavailable{Verifier: "radius", Problem: strings.Join(problems, "; "), Err: errors.Join(causes...)}
}
