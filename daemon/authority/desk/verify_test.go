package desk_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

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
	// Those that the throttle stopped are not told of.
	if len(page.Entries) > 3 || counted < 1000 || counted > tries {
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
