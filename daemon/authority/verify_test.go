package authority

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// press makes a Yubico OTP.
func press(serial string, session uint16, use uint8) string {
	s := seedOf(serial, fob.Yubico)
	var b [16]byte
	copy(b[:], s.PrivateID)
	binary.LittleEndian.PutUint16(b[6:], session)
	b[11], b[12] = use, 7
	sum := uint16(0xffff)
	for _, c := range b[:14] {
		sum ^= uint16(c)
		for range 8 {
			sum = sum>>1 ^ sum&1*0x8408
		}
	}
	binary.LittleEndian.PutUint16(b[14:], ^sum)
	c, err := aes.NewCipher(s.Secret)
	if err != nil {
		panic(err)
	}
	c.Encrypt(b[:], b[:])
	return fob.Modhex(s.PublicID) + fob.Modhex(b[:])
}

func TestVerify(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H", "Spare")
	r.fobs(fob.TOTP, "T")
	r.fobs(fob.Yubico, "Y", "Z")
	alice := r.user("alice", "H", "T", "Y")
	r.user("bob", "Z")
	if v := r.try("vpn", "ALICE", code("H", 2)); !v.Accepted || v.UserID != alice.ID || v.Serial != "H" || v.Reason != "" {
		t.Fatalf("%+v", v)
	}
	if e := r.told.last(); e.Kind != "verify" || !e.OK || e.User != alice.ID || e.Fob == "" || e.Service != "vpn" {
		t.Errorf("%+v", e)
	}
	if len(r.clock.waited) != 0 {
		t.Error("an acceptance waits")
	}
	r.refused("alice", code("H", 2), ReasonReused)
	r.refused("alice", code("H", 1), ReasonReused)
	r.accepted(alice.ID, code("H", 3)+"\r\n")
	step := uint64(r.clock.Now().Unix() / 30)
	r.accepted("alice", code("T", step))
	r.refused("alice", code("T", step), ReasonReused)
	r.accepted("alice", press("Y", 4, 1))
	r.refused("alice", press("Y", 4, 1), ReasonReused)
	r.refused("alice", press("Z", 4, 1), ReasonUnassigned)
	r.accepted("bob", press("Z", 4, 1))
	r.refused("alice", "what is this", ReasonUnreadable)
	r.refused("alice", "12345678", ReasonUnfit)
	r.clock.pass(time.Hour)
	r.refused("alice", wrongCode("H"), ReasonWrong)
	r.refused("carol", "123456", ReasonUnknownUser)
	r.refused("bob", "123456", ReasonUnfit)
	r.user("dave")
	r.refused("dave", "123456", ReasonNoFob)
	for _, d := range r.clock.waited {
		if d != DefaultDeadline {
			t.Errorf("a failure waits %v", d)
		}
	}
	r.reopen()
	r.clock.pass(time.Hour)
	r.refused("alice", code("H", 3), ReasonReused)
	r.refused("alice", press("Y", 4, 1), ReasonReused)
	r.accepted("alice", code("H", 4))
	f, err := r.Fob("H")
	if err != nil || f.Counter != 5 || !f.Used.Equal(r.clock.Now().Truncate(time.Second)) {
		t.Errorf("%+v, %v", f, err)
	}
	for _, service := range []string{"", "a b", "ä", strings.Repeat("x", 65), "a\nb"} {
		if v, err := r.Verify(t.Context(), Attempt{Service: service, User: "alice", Passcode: []byte(code("H", 5))}); kind(err) != Invalid || v.Accepted {
			t.Errorf("%q: %+v, %v", service, v, err)
		}
	}
}

func TestVerifyStates(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "A", "B")
	r.user("alice", "A", "B")
	counter := uint64(0)
	next := func() string { counter++; return code("A", counter) }
	r.accepted("alice", next())
	for _, v := range []struct {
		set  func(by, serial string) (Fob, error)
		want Reason
	}{{r.DisableFob, ReasonDisabled}, {r.LoseFob, ReasonLost}} {
		if _, err := v.set("owner", "A"); err != nil {
			t.Fatal(err)
		}
		right := next()
		r.refused("alice", right, v.want)
		if e := r.told.last(); e.Detail != string(v.want) || e.Fob == "" {
			t.Errorf("%+v", e)
		}
		r.accepted("alice", code("B", counter)) // the other one works
		if _, err := r.EnableFob("owner", "A"); err != nil {
			t.Fatal(err)
		}
		r.accepted("alice", right) // it was not used up
	}
	yes, no := true, false
	if _, err := r.EditUser("owner", "alice", UserEdit{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	right := next()
	r.refused("alice", right, ReasonDisabledUser)
	if _, err := r.EditUser("owner", "alice", UserEdit{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	r.accepted("alice", right)
	if _, err := r.UnassignFob("owner", "A", "alice"); err != nil {
		t.Fatal(err)
	}
	r.refused("alice", next(), ReasonWrong)
}

// TestSharedFob: several users, one counter.
func TestSharedFob(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "S")
	r.user("alice", "S")
	r.user("bob", "S")
	r.accepted("alice", code("S", 0))
	r.refused("bob", code("S", 0), ReasonReused)
	r.accepted("bob", code("S", 1))
	r.refused("alice", code("S", 1), ReasonReused)
}

// TestAgainstOathtool: passcodes made by another program.
func TestAgainstOathtool(t *testing.T) {
	r := newRig(t)
	var page []Seed
	for _, typ := range []fob.Type{fob.HOTP, fob.TOTP} {
		for digits := 6; digits <= 8; digits++ {
			s := seedOf(fmt.Sprintf("%s-%d", typ, digits), typ)
			s.Digits = digits
			page = append(page, s)
		}
	}
	if _, err := r.ImportFobs("owner", page); err != nil {
		t.Fatal(err)
	}
	for _, s := range page {
		r.user("user of "+s.Serial, s.Serial)
		args := []string{"-d", fmt.Sprint(s.Digits), "-c", "9"}
		if s.Type == fob.TOTP {
			args = []string{"--totp", "-d", fmt.Sprint(s.Digits), "-N", r.clock.Now().Format("2006-01-02 15:04:05 UTC")}
		}
		out, err := exec.Command("oathtool", append(args, fmt.Sprintf("%x", s.Secret))...).CombinedOutput()
		if err != nil {
			t.Fatalf("oathtool: %v: %s", err, out)
		}
		r.accepted("user of "+s.Serial, string(out))
		r.refused("user of "+s.Serial, string(out), ReasonReused)
	}
}

// TestAtOnce: of 100 equal passcodes at the same time, one is accepted.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.fobs(fob.TOTP, "T")
	r.fobs(fob.Yubico, "Y")
	r.user("alice", "H", "T", "Y")
	r.user("bob", "H", "T", "Y")
	step := uint64(r.clock.Now().Unix() / 30)
	for _, passcode := range []string{
		code("H", 0), code("H", 7), code("T", step-1), code("T", step), press("Y", 1, 0), press("Y", 1, 1), code("H", 9) + code("H", 10),
	} {
		var accepted, reused atomic.Int32
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 100 {
			wg.Go(func() {
				<-start
				switch v := r.try([]string{"vpn", "ssh"}[i%2], []string{"alice", "bob"}[i/2%2], passcode); {
				case v.Accepted:
					accepted.Add(1)
				case v.Reason == ReasonReused:
					reused.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if accepted.Load() != 1 || reused.Load() != 99 {
			t.Fatalf("%s: %d are accepted, %d are reused", passcode, accepted.Load(), reused.Load())
		}
	}
}

// TestThrottle: each failure doubles the delay, for the user as for his fob, and
// over a restart.
func TestThrottle(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.user("alice", "H")
	wrong := wrongCode("H")
	want := time.Second
	for n := 1; n <= 14; n++ {
		r.refused("alice", wrong, ReasonWrong)
		v := r.try("vpn", "alice", code("H", 0))
		if v.Reason != ReasonThrottled || v.RetryAfter != want {
			t.Fatalf("after %d failures: %+v, not %v", n, v, want)
		}
		// Another service knows of the fob's failures.
		if v := r.try("ssh", "alice", code("H", 0)); v.Reason != ReasonThrottled {
			t.Fatalf("%+v", v)
		}
		if n%5 == 0 {
			r.reopen()
		}
		r.clock.pass(want - time.Millisecond)
		r.refused("alice", code("H", 0), ReasonThrottled)
		r.clock.pass(time.Millisecond)
		want = min(2*want, 15*time.Minute)
	}
	r.accepted("alice", code("H", 0))
	// That took nothing back: the next failure costs as much.
	r.refused("alice", wrong, ReasonWrong)
	if v := r.try("vpn", "alice", code("H", 1)); v.RetryAfter != 15*time.Minute {
		t.Errorf("%+v", v)
	}
	// Time does.
	r.clock.pass(mostFailures * longest)
	r.refused("alice", wrong, ReasonWrong)
	if v := r.try("vpn", "alice", code("H", 1)); v.RetryAfter != time.Second {
		t.Errorf("%+v", v)
	}
}

// TestThrottledUnknown: users that do not exist are throttled like others.
func TestThrottledUnknown(t *testing.T) {
	r := newRig(t)
	want := time.Second
	for range 12 {
		r.refused("nobody", "123456", ReasonUnknownUser)
		if v := r.try("vpn", "NOBODY", "123456"); v.Reason != ReasonThrottled || v.RetryAfter != want {
			t.Fatalf("%+v, not %v", v, want)
		}
		r.refused("somebody", "123456", ReasonUnknownUser)
		r.clock.pass(want)
		want = min(2*want, 15*time.Minute)
	}
}

// TestNotLockedOut: while a stranger does his worst, the user proves himself by
// two passcodes in a row, or by a Yubico OTP; and what is right but cannot be
// used throttles nobody.
func TestNotLockedOut(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H", "Stock")
	r.fobs(fob.TOTP, "T")
	r.fobs(fob.Yubico, "Y")
	r.user("alice", "H", "T", "Y")
	wrong := wrongCode("H")
	counter := uint64(0)
	for day := range 40 {
		for range 50 {
			r.try("vpn", "alice", wrong)
			r.try("ssh", "alice", wrong)
			r.clock.pass(time.Minute)
		}
		r.try("vpn", "alice", wrong)
		r.refused("alice", code("H", counter), ReasonThrottled)
		r.accepted("alice", code("H", counter)+" "+code("H", counter+1))
		counter += 2
		r.accepted("alice", press("Y", uint16(day+1), 0))
		step := uint64(r.clock.Now().Unix() / 30)
		r.accepted("alice", code("T", step-1)+code("T", step))
		r.refused("alice", wrong+wrong, ReasonWrong)
		r.refused("alice", code("H", counter)+wrong, ReasonWrong)
	}
	// One right passcode, and one that does not follow, prove nothing.
	r.refused("alice", code("H", counter)+code("H", counter+2), ReasonWrong)
	r.refused("alice", code("H", counter+fob.LookAhead)+code("H", counter+fob.LookAhead+1), ReasonWrong)
	// 15 minutes of peace are enough.
	r.clock.pass(15 * time.Minute)
	r.accepted("alice", code("H", counter))
	for range 20 { // a client that sends everything twice
		r.refused("alice", code("H", counter), ReasonReused)
		r.refused("alice", "garbage", ReasonUnreadable)
	}
	r.accepted("alice", code("H", counter+1))
}

// TestPairsAreBounded: passcodes in a row cannot be tried at any rate, but
// whoever is refused for it has used nothing up.
func TestPairsAreBounded(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.user("alice", "H")
	wrong := wrongCode("H")
	for range 12 {
		r.try("vpn", "alice", wrong)
		r.clock.pass(20 * time.Minute)
	}
	r.try("vpn", "alice", wrong)
	looked := 0
	for range 1000 {
		if r.try("vpn", "alice", wrong+wrong).Reason == ReasonWrong {
			looked++
		}
	}
	if looked != pairBurst {
		t.Errorf("%d were looked at", looked)
	}
	pair := code("H", 0) + code("H", 1)
	r.refused("alice", pair, ReasonThrottled)
	r.clock.pass(pairEvery)
	r.accepted("alice", pair)
}

// TestParallelGuesses: a throttle that is looked at before the others' failures
// are counted would be none.
func TestParallelGuesses(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.user("alice", "H")
	wrong := wrongCode("H")
	var looked atomic.Int32
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if r.try("vpn", "alice", wrong).Reason != ReasonThrottled {
				looked.Add(1)
			}
		})
	}
	wg.Wait()
	if looked.Load() != 1 {
		t.Errorf("%d of 500 guesses at once were looked at", looked.Load())
	}
}

// TestEntriesAreBounded: failures that are forgotten do not fill the disk.
func TestEntriesAreBounded(t *testing.T) {
	r := newRig(t)
	// One name at many services: names that no user has share rows.
	unknown := func(service string) {
		t.Helper()
		if v := r.try(service, "nobody", "123456"); v.Reason != ReasonUnknownUser {
			t.Fatalf("%s: %+v", service, v)
		}
	}
	for i := range 300 {
		unknown(fmt.Sprint("service", i))
	}
	if n := r.entries(); n != 300 {
		t.Fatal(n)
	}
	r.clock.pass(mostFailures * longest)
	for i := range 100 { // each takes up to four old ones with it
		unknown(fmt.Sprint("another", i))
	}
	if n := r.entries(); n != 100 {
		t.Errorf("%d entries", n)
	}
	r.reopen()
	if n := r.entries(); n != 100 {
		t.Errorf("%d entries", n)
	}
}

// entries counts, and compares with the count that is kept.
func (r *rig) entries() int {
	r.Helper()
	n, byAge := 0, 0
	var kept countRecord
	err := r.store.View(func(tx *store.Tx) error {
		each := func(bucket string, n *int) error {
			return tx.Each(bucket, nil, func([]byte, func(any) error) (bool, error) { *n++; return true, nil })
		}
		_, err := tx.Get(selfBucket, []byte(triesCountKey), &kept)
		return errors.Join(err, each(triesBucket, &n), each(triesByAge, &byAge))
	})
	if err != nil || n != byAge || n != kept.Count {
		r.Fatalf("%d, %d by age, %d counted: %v", n, byAge, kept.Count, err)
	}
	return n
}

func TestResync(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H", "Other")
	r.fobs(fob.Yubico, "Y")
	r.user("alice", "H", "Y")
	r.user("bob")
	row := func(first uint64, n int) []byte {
		var b []byte
		for i := range n {
			b = append(b, code("H", first+uint64(i))+"\n"...)
		}
		return b
	}
	r.refused("alice", code("H", 500), ReasonWrong)
	if v := r.try("vpn", "alice", code("H", 500)+code("H", 501)); v.Accepted {
		t.Fatal("a login looks as far as a resync")
	}
	_, err := r.ResyncFob(Resync{By: "helper", Serial: "H", User: "alice", Passcodes: row(500, 1), Attended: true})
	r.fails(err, Invalid)
	_, err = r.ResyncFob(Resync{By: "helper", Serial: "H", User: "alice", Passcodes: row(500, 2)})
	r.fails(err, Invalid)
	_, err = r.ResyncFob(Resync{By: "helper", Serial: "H", User: "bob", Passcodes: row(500, 2), Attended: true})
	r.fails(err, NotFound)
	_, err = r.ResyncFob(Resync{By: "helper", Serial: "H", Passcodes: []byte("x"), Attended: true})
	r.fails(err, Invalid)
	_, err = r.ResyncFob(Resync{By: "helper", Serial: "Y", Passcodes: []byte(press("Y", 1, 1)), Attended: true})
	r.fails(err, Conflict)
	f, err := r.ResyncFob(Resync{By: "helper", Serial: "H", User: "alice", Passcodes: row(500, 2), Attended: true})
	if err != nil || f.Counter != 502 || !f.Throttled.IsZero() {
		t.Fatalf("%+v, %v", f, err)
	}
	r.refused("alice", code("H", 501), ReasonReused) // and looked at, at this service, too
	r.accepted("alice", code("H", 502))
	if f, err = r.ResyncFob(Resync{By: "alice", Serial: "H", User: "alice", Passcodes: row(700, 3)}); err != nil || f.Counter != 703 {
		t.Fatalf("%+v, %v", f, err)
	}
	for range MaxResyncs - 1 {
		_, err = r.ResyncFob(Resync{By: "alice", Serial: "H", Passcodes: row(100, 3)})
		r.fails(err, Refused)
	}
	if e := r.told.last(); e.OK || e.Detail != string(Refused) {
		t.Errorf("%+v", e)
	}
	r.reopen()
	_, err = r.ResyncFob(Resync{By: "alice", Serial: "H", Passcodes: row(800, 3)})
	r.fails(err, TooMany)
	if _, err = r.ResyncFob(Resync{By: "helper", Serial: "H", Passcodes: row(750, 2), Attended: true}); err != nil {
		t.Error("strangers have used up the helper's tries:", err)
	}
	r.clock.pass(24 * time.Hour)
	if _, err = r.ResyncFob(Resync{By: "alice", Serial: "H", Passcodes: row(800, 3)}); err != nil {
		t.Error(err)
	}
	if _, err := r.LoseFob("owner", "H"); err != nil {
		t.Fatal(err)
	}
	_, err = r.ResyncFob(Resync{By: "helper", Serial: "H", Passcodes: row(900, 2), Attended: true})
	r.fails(err, Conflict)
}

func TestBurn(t *testing.T) {
	r := newRig(t)
	var serials []string
	for i := range 1200 {
		serials = append(serials, fmt.Sprint("B", i))
	}
	r.fobs(fob.HOTP, serials[:900]...)
	r.fobs(fob.TOTP, serials[900:]...)
	r.user("alice", "B7", "B1000")
	r.accepted("alice", code("B7", 4))
	step := uint64(r.clock.Now().Unix() / 30)
	if n, err := r.BurnFobs("owner", "", 20); err != nil || n != 1200 {
		t.Fatal(n, err)
	}
	if e := r.told.last(); e.Detail != "raised=1200 margin=20" {
		t.Errorf("%+v", e)
	}
	for _, old := range []string{code("B7", 5), code("B1000", step)} {
		if v := r.try("vpn", "alice", old); v.Accepted {
			t.Error("a burnt passcode is accepted")
		}
		r.clock.pass(90 * time.Second)
	}
	r.accepted("alice", code("B7", 25))
	r.accepted("alice", code("B1000", uint64(r.clock.Now().Unix()/30)))
	if n, err := r.BurnFobs("owner", "B7", 5); err != nil || n != 1 {
		t.Error(n, err)
	}
	if f, _ := r.Fob("B7"); f.Counter != 31 {
		t.Errorf("%+v", f)
	}
	_, err := r.BurnFobs("owner", "", MaxBurn+1)
	r.fails(err, Invalid)
	_, err = r.BurnFobs("owner", "none", 1)
	r.fails(err, NotFound)
}

// TestContext: whoever gives up is answered, and his failure counts.
func TestContext(t *testing.T) {
	r := newRig(t)
	_ = r.Close()
	r.o.Wait = nil
	r.o.Deadline = time.Hour
	var err error
	if r.Authority, err = Open(r.o); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if v, err := r.Verify(ctx, Attempt{Service: "vpn", User: "x", Passcode: []byte("123456")}); !errors.Is(err, gone) || v.Accepted {
		t.Error(v, err)
	}
	if n := r.entries(); n != 1 {
		t.Error(n)
	}
}

// TestLateFailure: work that took longer than the deadline is answered at the
// next multiple of it.
func TestLateFailure(t *testing.T) {
	r := newRig(t)
	begun := r.clock.Now()
	for passed, want := range map[int]int{0: 250, 10: 240, 250: 250, 260: 240, 999: 1, -5: 250} {
		r.clock.waited = nil
		if err := r.HoldBack(t.Context(), begun.Add(-time.Duration(passed)*time.Millisecond)); err != nil || r.clock.waited[0] != time.Duration(want)*time.Millisecond {
			t.Errorf("after %d ms: %v, %v", passed, r.clock.waited, err)
		}
	}
}
