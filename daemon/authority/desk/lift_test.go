package desk_test

import (
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// TestAttendedLift: two passcodes in a row at the desk let a service look at single
// ones again, and the helper is told; after a single one he is told where its user is
// refused still.
func TestAttendedLift(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	const service = "vpn"
	desk := func(passcodes string) ipc.AttendedVerdict {
		t.Helper()
		v, err := b.VerifyAttended(ctx, as("helpdesk"), ipc.VerifyRequest{User: "bob", Passcode: ipc.Secret(passcodes)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ask := func(p string) error {
		_, err := b.Verify(ctx, as("verifier"), ipc.VerifyRequest{User: "bob", Service: service, Passcode: ipc.Secret(p)})
		return err
	}
	if v := desk(passcode(t, "bob-fob", 0)); v.Lifted || len(v.Throttled)+len(v.ThrottledFobs) > 0 {
		t.Errorf("%+v", v)
	}
	for range 6 {
		_ = ask("000000")
		b.pass(time.Minute)
	}
	_ = ask("000000")
	if ipc.KindOf(ask(passcode(t, "bob-fob", 1))) != ipc.PasscodeInvalid {
		t.Fatal("it is not throttled")
	}
	v := desk(passcode(t, "bob-fob", 1) + " " + passcode(t, "bob-fob", 2))
	if !v.Accepted || !v.Lifted || len(v.Throttled)+len(v.ThrottledFobs) > 0 {
		t.Errorf("%+v", v)
	}
	if err := ask(passcode(t, "bob-fob", 3)); err != nil {
		t.Error(err)
	}
	r, err := b.UserReport(ctx, as("helpdesk"), "bob")
	if err != nil || len(r.Throttled) > 0 || !r.Fobs[0].Throttled.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	// After too many lifts he is told that it is not so.
	for n := uint64(4); n < 20; n += 2 {
		_ = ask("000000")
		b.pass(500 * time.Millisecond) // so often passcodes in a row are looked at
		v = desk(passcode(t, "bob-fob", n) + passcode(t, "bob-fob", n+1))
	}
	if v.Lifted || len(v.Throttled) != 1 || v.Throttled[0].Service != service || !v.Throttled[0].Until.After(b.clock.Now()) ||
		len(v.ThrottledFobs) != 1 || v.ThrottledFobs[0].Serial != "bob-fob" {
		t.Errorf("%+v", v)
	}
}
