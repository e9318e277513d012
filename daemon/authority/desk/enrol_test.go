package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

// stand is a verifier that answers as it is told to.
type stand struct {
	mu       sync.Mutex
	asked    []remote.Question
	typed    []string // with them, and with what went on
	answers  []remote.Answer
	err      error
	enrolled []string
	enrolErr error
}

func (s *stand) next(q *remote.Question, passcode []byte) (remote.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typed = append(s.typed, string(passcode))
	if q != nil {
		kept := *q
		kept.Passcode = nil
		s.asked = append(s.asked, kept)
	}
	if s.err != nil || len(s.answers) == 0 {
		return remote.Answer{}, s.err
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a, nil
}

func (s *stand) Begin(_ context.Context, q remote.Question) (remote.Answer, error) {
	return s.next(&q, q.Passcode)
}

func (s *stand) Continue(_ context.Context, token, passcode []byte) (remote.Answer, error) {
	if string(token) != "state" {
		return remote.Answer{}, &remote.Unavailable{Verifier: "duo", Problem: "not its token"}
	}
	return s.next(nil, passcode)
}

func (s *stand) Check(context.Context) error { return nil }

func (s *stand) Enroll(_ context.Context, user string) (remote.Enrolment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enrolled = append(s.enrolled, user)
	return remote.Enrolment{Link: "https://m.example.org/one", Code: "duo://secretcode", Until: time.Unix(1796000000, 0)}, s.enrolErr
}

// will has it answer next.
func (s *stand) will(err error, answers ...remote.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.answers, s.typed, s.asked = err, answers, nil, nil
}

// withDuo is a desk whose authority has the fobs' passcodes verified by stand where
// they are not verified here.
func withDuo(t *testing.T) (*bench, *stand) {
	t.Helper()
	s := &stand{}
	b := furnished(t, func(c *desk.Config) {
		c.Makers = desk.Makers{Duo: func(ipc.DuoSettings) (remote.Verifier, error) { return s, nil },
			Radius: func(s ipc.RadiusSettings) (remote.Verifier, error) {
				return mute{settings: s, closed: &closings{}}, nil
			}}
	})
	if _, err := b.SetVerifier(t.Context(), root, "duo", ipc.SetVerifierRequest{Duo: &ipc.DuoSettings{Host: "duo.example.org"}}); err != nil {
		t.Fatal(err)
	}
	return b, s
}

// TestEnrollUser: who may, for whom, and what becomes of it; each try is in the audit,
// and what takes the account over is not.
func TestEnrollUser(t *testing.T) {
	b, s := withDuo(t)
	ctx := t.Context()
	made, err := b.EnrollUser(ctx, as("helpdesk"), "duo", ipc.UserRef{User: "bob"})
	if err != nil || string(made.Code) != "duo://secretcode" || string(made.Link) != "https://m.example.org/one" || made.UserID != b.ids["bob"] || !slices.Equal(s.enrolled, []string{"bob"}) {
		t.Fatalf("%+v, %v, %q", made, err, s.enrolled)
	}
	for _, c := range []struct {
		who, verifier, user string
		kind                ipc.Kind
	}{
		{"user", "duo", "bob", ipc.NotAuthorized}, {"verifier", "duo", "bob", ipc.NotAuthorized},
		{"helpdesk", "duo", "admin", ipc.NotAuthorized}, {"helpdesk", "duo", "helpdesk", ipc.NotAuthorized}, {"helpdesk", "duo", "helpdesk2", ipc.NotAuthorized},
		{"admin", "duo", "admin2", ipc.NotAuthorized}, {"admin", "duo", "admin", ipc.NotAuthorized}, {"admin", "duo", "owner", ipc.NotAuthorized},
		{"owner", "duo", "ghost", ipc.Conflict}, {"owner", "duo", "nobody", ipc.NotFound}, {"owner", "radius", "bob", ipc.NotFound}, {"owner", "local", "bob", ipc.InvalidArgument},
	} {
		if _, err := b.EnrollUser(ctx, as(c.who), c.verifier, ipc.UserRef{User: c.user}); ipc.KindOf(err) != c.kind {
			t.Errorf("%s, %s at %s: %v", c.who, c.user, c.verifier, err)
		}
	}
	if _, err := b.EnrollUser(ctx, as("admin"), "duo", ipc.UserRef{User: "helpdesk"}); err != nil {
		t.Errorf("an administrator, for one of the helpdesk: %v", err)
	}
	// Where the policy asks for two, an administrator alone may.
	back := b.asksForSecond(t)
	if _, err := b.EnrollUser(ctx, as("helpdesk"), "duo", ipc.UserRef{User: "bob"}); ipc.KindOf(err) != ipc.PolicyDenied {
		t.Errorf("without a second: %v", err)
	}
	back()
	if _, err := b.SetVerifier(ctx, root, "radius", radiusAt("good:1812")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.EnrollUser(ctx, root, "radius", ipc.UserRef{User: "bob"}); ipc.KindOf(err) != ipc.Unsupported {
		t.Errorf("at RADIUS: %v", err)
	}
	for kind, fails := range map[ipc.Kind]error{
		ipc.AlreadyExists: &remote.Unavailable{Verifier: "duo", Problem: "known", Err: remote.ErrEnrolled},
		ipc.VerifierDown:  &remote.Unavailable{Verifier: "duo", Problem: "no answer in time", Err: errors.New("x")},
	} {
		s.enrolErr = fails
		if made, err := b.EnrollUser(ctx, root, "duo", ipc.UserRef{User: "bob"}); ipc.KindOf(err) != kind || len(made.Code) > 0 {
			t.Errorf("%s: %+v, %v", kind, made, err)
		}
	}
	entries := b.since(t, 0)
	for _, want := range []string{"true duo", "false duo already-exists", "false duo verifier-unreachable", "false not-authorized", "false policy-denied"} {
		if !slices.ContainsFunc(entries, func(e ipc.AuditEntry) bool {
			return e.Action == "verifier-enroll" && fmt.Sprint(e.OK, " ", e.Detail) == want
		}) {
			t.Errorf("no %q in %+v", want, entries)
		}
	}
	if raw, err := json.Marshal(entries); err != nil || strings.Contains(string(raw), "secretcode") || strings.Contains(string(raw), "m.example.org") {
		t.Errorf("what takes the account over is in the audit: %v", err)
	}
}
