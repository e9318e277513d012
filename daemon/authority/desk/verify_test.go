package desk_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

func (b *bench) verify(t *testing.T, user, passcode string) error {
	t.Helper()
	r, err := b.Verify(t.Context(), as("verifier"), ipc.VerifyRequest{User: user, Service: "pam", Passcode: ipc.Secret(passcode)})
	if (err == nil) != r.Accepted {
		t.Errorf("%+v with %v", r, err)
	}
	return err
}

// attended is the kind, the reason and the wait that a helper is told.
func (b *bench) attended(t *testing.T, user, passcode string) (kind ipc.Kind, reason string, wait int) {
	t.Helper()
	_, err := b.VerifyAttended(t.Context(), as("helpdesk"), ipc.VerifyRequest{User: user, Passcode: ipc.Secret(passcode)})
	if err == nil {
		return "", "", 0
	}
	var e *ipc.Error
	if !errors.As(err, &e) || len(e.Items) != 1 {
		t.Fatalf("%+v", err)
	}
	return e.Kind, e.Items[0].Reason, e.RetryAfter
}

// TestVerifySaysOneThing: a service is told the same for everything that can be
// wrong, a helper is told what it is.
func TestVerifySaysOneThing(t *testing.T) {
	b := furnished(t)
	if err := b.verify(t, "user", passcode(t, "user-fob", 0)+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.LoseFob(t.Context(), root, "bob-fob"); err != nil {
		t.Fatal(err)
	}
	b.took()
	want := error(ipc.Errorf(ipc.PasscodeInvalid, "the passcode was not accepted"))
	for _, c := range []struct {
		user, passcode string
		kind           ipc.Kind
		reason         string
	}{
		{"user", passcode(t, "user-fob", 0), ipc.PasscodeReused, "reused"},
		{"user", "nonsense!", ipc.PasscodeInvalid, "unreadable"},
		{"user", "12345678", ipc.PasscodeInvalid, "unfit"},
		{"bob", passcode(t, "bob-fob", 0), ipc.PasscodeInvalid, "lost"},
		{"ghost", passcode(t, "ghost-fob", 0), ipc.PasscodeInvalid, "disabled-user"},
		{"nobody", "123456", ipc.PasscodeInvalid, "unknown-user"},
		{"user", passcode(t, "user-fob", 900), ipc.PasscodeInvalid, "wrong"},
	} {
		if err := b.verify(t, c.user, c.passcode); !reflect.DeepEqual(err, want) {
			t.Errorf("%s: %v", c.reason, err)
		}
		if w := b.took(); len(w) != 1 || w[0] != 250*time.Millisecond {
			t.Errorf("%s is answered after %v", c.reason, w)
		}
		b.pass(time.Hour)
		if kind, reason, _ := b.attended(t, c.user, c.passcode); kind != c.kind || reason != c.reason {
			t.Errorf("%s: a helper is told %s, %s", c.reason, kind, reason)
		}
		b.took()
		b.pass(time.Hour)
	}
	// Throttled.
	for range 3 {
		_ = b.verify(t, "user", "000000")
	}
	if err := b.verify(t, "user", passcode(t, "user-fob", 1)); !reflect.DeepEqual(err, want) {
		t.Errorf("throttled: %v", err)
	}
	if kind, reason, wait := b.attended(t, "user", passcode(t, "user-fob", 1)); kind != ipc.Throttled || reason != "throttled" || wait < 1 {
		t.Errorf("throttled: a helper is told %s, %s, %d", kind, reason, wait)
	}
	if _, err := b.Verify(t.Context(), as("verifier"), ipc.VerifyRequest{User: "user", Service: "no spaces", Passcode: ipc.Secret("1")}); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("a service with a space: %v", err)
	}
}

// TestOwnResync: three passcodes, of his own fob; that others have fobs he is not
// told.
func TestOwnResync(t *testing.T) {
	b := furnished(t)
	three := func(serial string, from uint64) ipc.ResyncFobRequest {
		return ipc.ResyncFobRequest{Passcodes: ipc.Secret(passcode(t, serial, from) + " " + passcode(t, serial, from+1) + " " + passcode(t, serial, from+2))}
	}
	ctx := t.Context()
	f, err := b.ResyncOwnFob(ctx, as("user"), "user-fob", three("user-fob", 500))
	if err != nil || f.Counter != 503 {
		t.Errorf("%+v, %v", f, err)
	}
	_, others := b.ResyncOwnFob(ctx, as("user"), "bob-fob", three("bob-fob", 5))
	_, missing := b.ResyncOwnFob(ctx, as("user"), "no-fob", three("no-fob", 5))
	_, roots := b.ResyncOwnFob(ctx, root, "bob-fob", three("bob-fob", 5))
	if ipc.KindOf(others) != ipc.NotFound || !reflect.DeepEqual(others, missing) || !reflect.DeepEqual(roots, missing) {
		t.Errorf("%v, %v, %v", others, missing, roots)
	}
	// A request that names somebody else is still about himself.
	r := three("bob-fob", 5)
	r.User = "bob"
	if _, err := b.ResyncOwnFob(ctx, as("user"), "bob-fob", r); !reflect.DeepEqual(err, missing) {
		t.Errorf("%v", err)
	}
	for range 4 {
		if _, err := b.ResyncOwnFob(ctx, as("user"), "user-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret("111111 222222 333333")}); ipc.KindOf(err) != ipc.PasscodeInvalid {
			t.Errorf("%v", err)
		}
	}
	if _, err := b.ResyncOwnFob(ctx, as("user"), "user-fob", three("user-fob", 600)); ipc.KindOf(err) != ipc.Throttled {
		t.Errorf("the sixth try of a day: %v", err)
	}
	if f, err := b.ResyncFob(ctx, as("helpdesk"), "bob-fob", ipc.ResyncFobRequest{Passcodes: ipc.Secret(passcode(t, "bob-fob", 70) + passcode(t, "bob-fob", 71))}); err != nil || f.Counter != 72 {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestFailuresDoNotFillTheAudit: who fails often adds a few entries and a count.
func TestFailuresDoNotFillTheAudit(t *testing.T) {
	b := furnished(t)
	before, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	last := before.Entries[len(before.Entries)-1].Seq
	const tries = 3000
	for i := range tries {
		_ = b.verify(t, fmt.Sprint("nobody", i%1000), "123456")
	}
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{After: last})
	if err != nil || !page.Intact {
		t.Fatalf("%+v, %v", page, err)
	}
	counted := 0
	for _, e := range page.Entries {
		if e.Action != "verify" || e.OK || e.By != b.ids["verifier"] || strings.Contains(e.Detail, "nobody") {
			t.Errorf("%+v", e)
		}
		n := 1
		if _, more, ok := strings.Cut(e.Detail, "repeated="); ok {
			if _, err := fmt.Sscan(more, &n); err != nil {
				t.Error(err)
			}
		}
		counted += n
	}
	// Those that the throttle stopped are not told of, which some of these names share.
	if len(page.Entries) > 3 || counted < 800 || counted > tries {
		t.Errorf("%d entries tell of %d failures", len(page.Entries), counted)
	}
	// Services of any name are kinds of their own only so far.
	for i := range 400 {
		_, _ = b.Verify(t.Context(), as("verifier"), ipc.VerifyRequest{User: "user", Service: fmt.Sprint("s", i), Passcode: ipc.Secret("x")})
	}
	page, err = b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{After: last})
	if err != nil || len(page.Entries) > 2*256+8 {
		t.Errorf("%d entries, %v", len(page.Entries), err)
	}
}

// TestVerifyElsewhere: a passcode of a user whose fob is not here is asked of who
// verifies it by the policy, of nobody else, and nobody else's is. No answer is no
// accept, and not "wrong" either.
func TestVerifyElsewhere(t *testing.T) {
	b, s := withDuo(t)
	ctx := t.Context()
	text, err := b.Policy(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	set := func(by string) {
		t.Helper()
		if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: strings.Replace(text.Text, `fob = ["local"]`, "fob = ["+by+"]", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	set(`"local", "duo"`)
	accepted, wrong := remote.Answer{State: remote.Accepted}, remote.Answer{State: remote.Rejected, Reason: remote.Wrong}

	// Who has a fob here is verified here.
	s.will(nil, accepted)
	if err := b.verify(t, "bob", "987654"); ipc.KindOf(err) != ipc.PasscodeInvalid || len(s.typed) > 0 {
		t.Errorf("bob has a fob: %v, asked %q", err, s.typed)
	}
	// Nor is anybody asked about who is no user, or is disabled, or about nothing.
	for _, c := range [][2]string{{"nobody", "987654"}, {"ghost", "987654"}, {"user", ""}} {
		if err := b.verify(t, c[0], c[1]); ipc.KindOf(err) != ipc.PasscodeInvalid || len(s.typed) > 0 {
			t.Errorf("%q: %v, asked %q", c, err, s.typed)
		}
	}
	b.pass(time.Hour)
	used := passcode(t, "user-fob", 0)
	if err := b.verify(t, "user", used); err != nil {
		t.Fatal(err)
	}
	if _, err := b.LoseFob(ctx, root, "user-fob"); err != nil {
		t.Fatal(err)
	}
	// What a lost fob makes is told to nobody.
	for p, want := range map[string]string{used: "reused", passcode(t, "user-fob", 1): "lost"} {
		if _, reason, _ := b.attended(t, "user", p); reason != want || len(s.typed) > 0 {
			t.Errorf("of a lost fob: %s, not %s, asked %q", reason, want, s.typed)
		}
	}
	if err := b.verify(t, "user", "987654\r\n"); err != nil || len(s.asked) != 1 || s.asked[0].User != "user" || s.asked[0].Factor != "fob" || s.typed[0] != "987654" {
		t.Fatalf("%v, asked %+v %q", err, s.asked, s.typed)
	}
	s.will(nil, accepted)
	v, err := b.VerifyAttended(ctx, as("helpdesk"), ipc.VerifyRequest{User: "user", Passcode: ipc.Secret("987654")})
	if err != nil || v.Verifier != ipc.VerifierDuo || v.UserID != b.ids["user"] || v.Serial != "" {
		t.Errorf("%+v, %v", v, err)
	}
	for _, c := range []struct {
		answer remote.Answer
		err    error
		kind   ipc.Kind // for a service
		reason string   // for a helper
	}{
		{wrong, nil, ipc.PasscodeInvalid, "wrong"},
		{remote.Answer{State: remote.Rejected, Reason: remote.Denied}, nil, ipc.PasscodeInvalid, "denied"},
		{remote.Answer{State: remote.Rejected, Reason: remote.LockedOut}, nil, ipc.PasscodeInvalid, "locked-out"},
		{remote.Answer{State: remote.Rejected, Reason: remote.Unknown}, nil, ipc.PasscodeInvalid, "not-enrolled"},
		{remote.Answer{State: remote.Waiting, Token: []byte("state")}, nil, ipc.VerifierDown, ""},
		{remote.Answer{State: "nonsense"}, nil, ipc.VerifierDown, ""},
		{remote.Answer{}, nil, ipc.VerifierDown, ""},
		{accepted, &remote.Unavailable{Verifier: "duo", Problem: "no answer in time"}, ipc.VerifierDown, ""},
	} {
		b.pass(time.Hour)
		s.will(c.err, c.answer)
		b.took()
		if err := b.verify(t, "user", "987654"); ipc.KindOf(err) != c.kind || c.kind == ipc.PasscodeInvalid && err.Error() != "the passcode was not accepted" {
			t.Errorf("%+v: %v", c, err)
		}
		if w := b.took(); len(w) != 1 {
			t.Errorf("%+v: not held back: %v", c, w)
		}
		b.pass(time.Hour)
		s.will(c.err, c.answer)
		if c.reason == "" {
			if _, err := b.VerifyAttended(ctx, as("helpdesk"), ipc.VerifyRequest{User: "user", Passcode: ipc.Secret("987654")}); ipc.KindOf(err) != ipc.VerifierDown {
				t.Errorf("%+v: %v", c, err)
			}
		} else if kind, reason, _ := b.attended(t, "user", "987654"); kind != ipc.PasscodeInvalid || reason != c.reason {
			t.Errorf("%+v: a helper is told %s, %s", c, kind, reason)
		}
	}
	// The doctor knows of it for a while.
	silent := func() bool {
		return slices.ContainsFunc(b.Findings(root), func(f ipc.Finding) bool {
			return f.Code == "authority-verifier" && strings.Contains(f.Message, "no answer in time") && strings.Contains(f.Fix, "verifier check duo")
		})
	}
	if !silent() {
		t.Errorf("%+v", b.Findings(root))
	}
	if b.pass(2 * time.Hour); silent() {
		t.Error("two hours later it is told still")
	}
	// What is not reached does not hold anybody up, what is wrong does, also elsewhere.
	b.pass(4 * time.Hour)
	for range 3 {
		s.will(nil, wrong)
		_ = b.verify(t, "user", "000000")
	}
	s.will(nil, accepted)
	if kind, reason, wait := b.attended(t, "user", "987654"); kind != ipc.Throttled || reason != "throttled" || wait < 1 || len(s.typed) > 0 {
		t.Errorf("throttled: %s, %s, %d, asked %q", kind, reason, wait, s.typed)
	}
	b.pass(time.Hour)
	// By a policy that does not name the authority its fobs count for nothing.
	set(`"duo"`)
	s.will(nil, wrong)
	if err := b.verify(t, "bob", passcode(t, "bob-fob", 5)); ipc.KindOf(err) != ipc.PasscodeInvalid || len(s.typed) != 1 {
		t.Errorf("%v, asked %q", err, s.typed)
	}
	if _, err := b.RemoveVerifier(ctx, root, "duo"); err != nil {
		t.Fatal(err)
	}
	if err := b.verify(t, "bob", passcode(t, "bob-fob", 6)); ipc.KindOf(err) != ipc.VerifierDown {
		t.Errorf("nobody is set up to verify it: %v", err)
	}
	entries := b.since(t, 0)
	for _, want := range []string{"true service=pam duo", "false service=pam duo wrong", "false service=attended duo locked-out", "false service=pam duo unavailable"} {
		if !slices.ContainsFunc(entries, func(e ipc.AuditEntry) bool { return e.Action == "verify" && fmt.Sprint(e.OK, " ", e.Detail) == want }) {
			t.Errorf("no %q in the audit: %+v", want, entries)
		}
	}
}

// TestVerifyChallenge: what a verifier asks for in addition is answered by who asked
// first, for the same user and service, in time and once.
func TestVerifyChallenge(t *testing.T) {
	b, s := withDuo(t)
	ctx := t.Context()
	text, err := b.Policy(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetPolicy(ctx, root, ipc.SetPolicyRequest{Text: strings.Replace(text.Text, `fob = ["local"]`, `fob = ["duo"]`, 1)}); err != nil {
		t.Fatal(err)
	}
	accepted := remote.Answer{State: remote.Accepted}
	begin := func(service string) string {
		t.Helper()
		s.will(nil, remote.Answer{State: remote.Challenged, Token: []byte("state"), Prompt: "Next\x1b code"}, accepted)
		_, err := b.Verify(ctx, as("verifier"), ipc.VerifyRequest{User: "user", Service: service, Passcode: ipc.Secret("111111")})
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind != ipc.Conflict || len(e.Items) != 1 || e.Items[0].Reason != "challenged" || e.Items[0].ID == "" || strings.Contains(e.Items[0].Name, "\x1b") {
			t.Fatalf("%+v", err)
		}
		return e.Items[0].ID
	}
	answer := func(who, user, service, id string) error {
		_, err := b.Verify(ctx, as(who), ipc.VerifyRequest{User: user, Service: service, Passcode: ipc.Secret("222222"), Challenge: id})
		return err
	}
	id := begin("pam")
	for what, err := range map[string]error{
		"somebody else": answer("admin", "user", "pam", id), "another user": answer("verifier", "bob", "pam", id), "another service": answer("verifier", "user", "ssh", id),
		"nobody": answer("verifier", "nobody", "pam", id), "none": answer("verifier", "user", "pam", "00"),
	} {
		if ipc.KindOf(err) != ipc.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := answer("verifier", "user", "pam", id); err != nil || !slices.Equal(s.typed, []string{"111111", "222222"}) {
		t.Errorf("%v, asked %q", err, s.typed)
	}
	if err := answer("verifier", "user", "pam", id); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("twice: %v", err)
	}
	id = begin("pam")
	b.pass(3 * time.Minute)
	if err := answer("verifier", "user", "pam", id); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("too late: %v", err)
	}
}

// TestVerifyElsewhereCounts: who hangs up does not get a guess for nothing, and guesses
// at one user are made one after the other.
func TestVerifyElsewhereCounts(t *testing.T) {
	b, s := withDuo(t)
	text, err := b.Policy(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetPolicy(t.Context(), root, ipc.SetPolicyRequest{Text: strings.Replace(text.Text, `fob = ["local"]`, `fob = ["duo"]`, 1)}); err != nil {
		t.Fatal(err)
	}
	var all []remote.Answer
	for range 20 {
		all = append(all, remote.Answer{State: remote.Rejected, Reason: remote.Wrong})
	}
	s.will(nil, all...)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _ = b.verify(t, "user", "000000") })
	}
	wg.Wait()
	if len(s.typed) != 1 {
		t.Errorf("%d guesses at once", len(s.typed))
	}
	b.pass(time.Hour)
	s.will(nil, all...)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Verify(gone, as("verifier"), ipc.VerifyRequest{User: "user", Service: "pam", Passcode: ipc.Secret("000000")})
	if ipc.KindOf(err) != ipc.Cancelled {
		t.Errorf("%v", err)
	}
	// The guess was made, and is counted before the next may be.
	if kind, _, _ := b.attended(t, "user", "000000"); kind != ipc.Throttled || len(s.typed) != 1 {
		t.Errorf("%s after %q", kind, s.typed)
	}
}
