package vault

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// scenario is a vault's life on a memFS, step by step, with a record of what the
// user was told: accounts that were acknowledged and counters handed out.
type scenario struct {
	tb    testing.TB
	fs    *memFS
	key   *softKey
	extra *softKey
	store *Store
	vault *Vault

	hotp   string
	handed map[uint64]bool // counters of hotp
	last   uint64          // the next one expected
	acked  []Account
	step   int
}

func faultOptions(m FS) Options {
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return Options{Dir: "/state/vault", PinFile: "/state/pins/1000.json", Now: func() time.Time { t = t.Add(time.Second); return t },
		ScryptLogN: 1, KeepGenerations: 2, FS: m}
}

func newScenario(tb testing.TB, key, extra *softKey) *scenario {
	return &scenario{tb: tb, fs: newMemFS(), key: key, extra: extra, handed: map[uint64]bool{}}
}

func (s *scenario) steps() []func(context.Context) error {
	add := func(class tokens.Class, typ string) func(context.Context) error {
		return func(ctx context.Context) error {
			out, err := s.vault.Add(ctx, newAccounts(1, class, typ))
			if err == nil && typ == "hotp" && s.hotp == "" {
				s.hotp = out[0].ID
			}
			return err
		}
	}
	count := func(context.Context) error {
		n, err := s.vault.NextCounter(s.hotp)
		if err != nil {
			return err
		}
		if s.handed[n] || n != s.last {
			s.tb.Fatalf("counter %d handed out, %d expected", n, s.last)
		}
		s.handed[n], s.last = true, n+1
		return nil
	}
	return []func(context.Context) error{
		func(ctx context.Context) (err error) {
			if s.store == nil {
				if s.store, err = OpenStore(faultOptions(s.fs)); err != nil {
					return err
				}
			}
			n := s.key.slot("one", "")
			s.vault, err = s.store.Create(ctx, &n, []byte(testPassword))
			return err
		},
		add(tokens.ClassSession, "hotp"), add(tokens.ClassTouch, "totp"), count, count,
		add(tokens.ClassSession, "totp"), count,
		func(ctx context.Context) error {
			n := s.extra.slot("extra", "")
			n.Enrollment.KeyFile = []byte("sealed")
			_, err := s.vault.AddSlot(ctx, n, Way{})
			return err
		},
		count,
		func(ctx context.Context) error {
			_, err := s.vault.Edit(ctx, s.acked[1].ID, func(a *Account) error { a.Name = "edited"; return nil })
			return err
		},
		count, count,
		func(ctx context.Context) error {
			_, err := s.vault.RevokeSlot(ctx, "extra", s.key.way("one"))
			return err
		},
		count,
		func(ctx context.Context) error {
			return s.vault.SetRecovery(ctx, []byte(testPassword), s.key.way("one"))
		},
		count, add(tokens.ClassSession, "totp"),
	}
}

// run goes on until a step fails or all are done.
func (s *scenario) run() error {
	all := s.steps()
	for ; s.step < len(all); s.step++ {
		err := all[s.step](s.tb.Context())
		if err != nil {
			return err
		}
		s.acked = s.vault.Accounts()
	}
	return nil
}

// accounts opens the vault on m and returns what is in it, nil when there is no
// vault, and the notices.
func (s *scenario) accounts(m *memFS) ([]Account, *Vault) {
	s.tb.Helper()
	store, err := OpenStore(faultOptions(m))
	if err != nil {
		s.tb.Fatal(err)
	}
	v, err := store.Unlock(s.tb.Context(), s.key.way("one"))
	if errors.Is(err, ErrNoVault) {
		return nil, nil
	}
	if err != nil {
		s.tb.Fatalf("after step %d: %v\n%q", s.step, err, tail(s.fs.log))
	}
	if v.ReadOnly() || len(v.Notices()) > 0 {
		s.tb.Fatalf("after step %d: read-only %v, notices %q\n%q", s.step, v.Problem(), v.Notices(), tail(s.fs.log))
	}
	return v.Accounts(), v
}

func tail(log []string) []string { return log[max(0, len(log)-12):] }

func faultKeys(t *testing.T) (key, extra *softKey) {
	key = newSoftKey(t, tokens.X25519, tokens.ClassSession, tokens.ClassTouch)
	extra = newSoftKey(t, tokens.X25519, tokens.ClassSession)
	extra.kind = tokens.KindSoft
	return key, extra
}

// countOps runs the scenario undisturbed and returns its operations.
func countOps(t *testing.T, key, extra *softKey) []string {
	s := newScenario(t, key, extra)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if s.fs.ops < 100 {
		t.Fatalf("only %d operations", s.fs.ops)
	}
	return s.fs.log
}

// faultModes are the ways in which operation n fails: bit 0 says that a write
// leaves half of its bytes, which only a write can.
func faultModes(ops []string, n int) []int {
	if strings.HasPrefix(ops[n-1], "write") {
		return []int{0, 1, 2, 3}
	}
	return []int{0, 2}
}

// TestDiskFullAtEveryStep lets the disk be full from every single operation on,
// or for that one operation alone, with and without half of the bytes written:
// what is in memory stays what is on disk, and with room again all goes on.
func TestDiskFullAtEveryStep(t *testing.T) {
	key, extra := faultKeys(t)
	ops := countOps(t, key, extra)
	total := len(ops)
	for n := 1; n <= total; n += faultStride {
		for _, mode := range faultModes(ops, n) {
			s := newScenario(t, key, extra)
			s.fs.short = mode&1 == 1
			once := mode&2 == 2
			full := true
			s.fs.fault = func(op string) error {
				if full && s.fs.ops >= n && needsRoom(op) && (!once || s.fs.ops == n) {
					return errNoSpace
				}
				return nil
			}
			name := fmt.Sprintf("operation %d, mode %d", n, mode)
			err := s.run()
			if err == nil && !once && n < total-20 {
				t.Fatalf("%s: nothing failed", name)
			}
			if err != nil {
				if !errors.Is(err, ErrDiskFull) && !errors.Is(err, ErrUncertain) {
					t.Fatalf("%s: %v", name, err)
				}
				got, _ := s.accounts(s.fs.snapshot())
				// Where Create failed there may be nothing; later on nothing may
				// be lost.
				if s.vault != nil {
					s.acked = s.vault.Accounts()
				}
				if s.vault != nil && !reflect.DeepEqual(got, s.acked) {
					t.Fatalf("%s: %v: in memory and on disk differ:\n%+v\n%+v\n%q", name, err, s.acked, got, tail(s.fs.log))
				}
			}
			full = false
			last := err
			if errors.Is(err, ErrUncertain) {
				s.step++ // it is done
				if s.hotp == "" && len(s.acked) > 0 {
					s.hotp = s.acked[0].ID
				}
			}
			if err := s.run(); err != nil {
				t.Fatalf("%s: with room again, step %d: %v", name, s.step, err)
			}
			// What was not synced, and said so, may go with the power.
			got, _ := s.accounts(s.fs.reboot(!errors.Is(last, ErrUncertain)))
			if !reflect.DeepEqual(got, s.acked) {
				t.Fatalf("%s: in the end:\n%+v\n%+v", name, s.acked, got)
			}
		}
	}
}

// TestCrashAtEveryStep stops the machine before every single operation. What
// was acknowledged is there afterwards, also when all that was not synced is
// lost; no counter comes twice, and none is lost but the one under way.
func TestCrashAtEveryStep(t *testing.T) {
	key, extra := faultKeys(t)
	ops := countOps(t, key, extra)
	total := len(ops)
	for n := 1; n <= total; n += faultStride {
		for _, mode := range faultModes(ops, n) {
			s := newScenario(t, key, extra)
			s.fs.short = mode&1 == 1
			s.fs.fault = func(string) error {
				if s.fs.ops >= n {
					return errCrash
				}
				return nil
			}
			err := s.run()
			if err == nil {
				if n < total-20 {
					t.Fatalf("operation %d: nothing failed", n)
				}
				continue
			}
			got, v := s.accounts(s.fs.reboot(mode&2 == 2))
			if s.vault == nil {
				continue
			}
			for i, a := range s.acked {
				if i >= len(got) || got[i].ID != a.ID {
					t.Fatalf("operation %d, mode %d, step %d (%v): an account is lost\n%+v\n%+v\n%q", n, mode, s.step, err, s.acked, got, tail(s.fs.log))
				}
			}
			if len(got) > len(s.acked)+1 {
				t.Fatalf("operation %d: more accounts than were added", n)
			}
			if s.hotp == "" {
				continue
			}
			c, err := v.NextCounter(s.hotp)
			if err != nil {
				t.Fatal(err)
			}
			if s.handed[c] || c > s.last+1 {
				t.Fatalf("operation %d, mode %d: counter %d after %d", n, mode, c, s.last)
			}
		}
	}
}

// TestRevokedGenerationsGoAfterCrash stops the machine while earlier generations
// are removed: the next opening removes them.
func TestRevokedGenerationsGoAfterCrash(t *testing.T) {
	key, extra := faultKeys(t)
	ops := countOps(t, key, extra)
	total := len(ops)
	left := 0
	for n := 1; n <= total; n++ {
		s := newScenario(t, key, extra)
		s.fs.fault = func(string) error {
			if s.fs.ops >= n {
				return errCrash
			}
			return nil
		}
		if s.run() == nil || s.step < 12 {
			continue
		}
		m := s.fs.reboot(false)
		store, err := OpenStore(faultOptions(m))
		if err != nil {
			t.Fatal(err)
		}
		before := store.earlier()
		v, err := store.Unlock(t.Context(), key.way("one"))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range before {
			if g.epoch < v.Epoch() {
				left++
			}
		}
		for _, g := range store.earlier() {
			if g.epoch != v.Epoch() {
				t.Fatalf("operation %d: generation %d of epoch %d is still there", n, g.number, g.epoch)
			}
		}
	}
	if left == 0 {
		t.Fatal("no crash left anything to remove")
	}
}

// TestSyncsOfACounter counts what a HOTP code costs.
func TestSyncsOfACounter(t *testing.T) {
	key, extra := faultKeys(t)
	s := newScenario(t, key, extra)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	s.fs.log = nil
	for range 3 {
		if _, err := s.vault.NextCounter(s.hotp); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"write counters.journal", "sync counters.journal"}
	want = append(append(append([]string{}, want...), want...), want...)
	if !reflect.DeepEqual(s.fs.log, want) {
		t.Fatalf("%q", s.fs.log)
	}
}
