package authority

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// journal is an Auditor that keeps what it is told.
type journal struct {
	mu      sync.Mutex
	entries []Entry
}

func (j *journal) Audit(e Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

func (j *journal) last() Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[len(j.entries)-1]
}

// clock is a wall clock that stands still, and notes how long somebody waited.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Wait(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	return nil
}

type rig struct {
	testing.TB
	*Authority
	o     Options
	clock *clock
	told  *journal
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	keyFile := store.KeyFile(filepath.Join(dir, "key"))
	if err := keyFile.Create(); err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, clock: &clock{now: time.Date(2026, 11, 28, 12, 0, 10, 0, time.UTC)}, told: &journal{}}
	r.o = Options{Dir: filepath.Join(dir, "authority"), Key: keyFile, Audit: r.told, Now: r.clock.Now, Wait: r.clock.Wait}
	var err error
	if r.Authority, err = Create("owner", r.o, Profile{Name: "Example", Contact: "help@example.org", Portal: "https://example.org/2fa"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *rig) reopen() {
	r.Helper()
	if err := r.Close(); err != nil {
		r.Fatal(err)
	}
	var err error
	if r.Authority, err = Open(r.o); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) user(name string, serials ...string) User {
	r.Helper()
	u, err := r.AddUser("owner", User{Name: name})
	if err != nil {
		r.Fatal(err)
	}
	for _, s := range serials {
		if _, err := r.AssignFob("owner", s, name); err != nil {
			r.Fatal(err)
		}
	}
	return u
}

func seedOf(serial string, t fob.Type) Seed {
	secret := []byte(fmt.Sprintf("%-20.20s", "secret of "+serial))
	s := Seed{Serial: serial, Type: t, Secret: secret, Maker: "Example Fobs", Model: "M1"}
	if t == fob.Yubico {
		s.Secret = secret[len(secret)-16:]
		s.PublicID, s.PrivateID = make([]byte, 6), secret[len(secret)-6:]
		for i, c := range []byte(serial) {
			s.PublicID[i%6] = s.PublicID[i%6]*7 + c
		}
	}
	return s
}

func (r *rig) fobs(t fob.Type, serials ...string) {
	r.Helper()
	var page []Seed
	for _, s := range serials {
		page = append(page, seedOf(s, t))
	}
	rows, err := r.ImportFobs("owner", page)
	if err != nil {
		r.Fatal(err)
	}
	for _, row := range rows {
		if row.Outcome != RowAdded {
			r.Fatalf("%+v", row)
		}
	}
}

func code(serial string, factor uint64) string {
	s := seedOf(serial, fob.HOTP)
	v, err := otp.HOTP(s.Secret, otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: 6}, factor)
	if err != nil {
		panic(err)
	}
	return v.String()
}

// wrongCode is none that would be accepted within a thousand.
func wrongCode(serial string) string {
	known := map[string]bool{}
	for i := range uint64(1000) {
		known[code(serial, i)] = true
	}
	for i := 0; ; i++ {
		if c := fmt.Sprintf("%06d", i); !known[c] {
			return c
		}
	}
}

func (r *rig) try(service, user, passcode string) Verdict {
	r.Helper()
	v, err := r.Verify(r.Context(), Attempt{Service: service, User: user, Passcode: []byte(passcode)})
	if err != nil {
		r.Error(err) // also of goroutines
	}
	return v
}

func (r *rig) accepted(user, passcode string) {
	r.Helper()
	if v := r.try("vpn", user, passcode); !v.Accepted {
		r.Fatalf("%+v", v)
	}
}

func (r *rig) refused(user, passcode string, why Reason) {
	r.Helper()
	if v := r.try("vpn", user, passcode); v.Accepted || v.Reason != why {
		r.Fatalf("%+v, not %s", v, why)
	}
}

func kind(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func (r *rig) fails(err error, want ErrorKind) {
	r.Helper()
	if kind(err) != want {
		r.Errorf("%v, not %s", err, want)
	}
}
