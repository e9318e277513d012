package daemon_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/soft"
)

const (
	passphrase = "correct horse battery"
	recovery   = "a recovery password"
)

// cheapLogN keeps tests of the recovery password quick.
const cheapLogN = 10

// clock is a clock that tests set.
type clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func newClock() *clock {
	return &clock{wall: time.Date(2026, 3, 4, 5, 6, 10, 0, time.UTC), elapsed: time.Hour}
}

func (c *clock) clock() daemon.Clock {
	return daemon.Clock{
		Now:     func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall },
		Elapsed: func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.elapsed },
	}
}

// pass lets time pass on both clocks.
func (c *clock) pass(d time.Duration) { c.jump(d, d) }

// jump moves the wall clock and the other one by different amounts.
func (c *clock) jump(wall, elapsed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(wall), c.elapsed+elapsed
}

// softDriver is the real software token, at a cost for tests.
func softDriver() tokens.Driver {
	return soft.New(rand.Reader, soft.Cost{Memory: 8 << 10, Passes: 1, Lanes: 1})
}

// start runs a daemon with the software token; change may alter its config.
func start(t *testing.T, change func(*daemon.Config)) *daemon.Daemon {
	t.Helper()
	cfg := daemon.Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Mode: daemon.ModeSystem, Version: "test",
		Drivers:    map[tokens.Kind]tokens.Driver{tokens.KindSoft: softDriver()},
		ScryptLogN: cheapLogN, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	d, err := daemon.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// caller is a user of the machine.
func caller(uid string) ipc.Principal {
	return ipc.Principal{UID: uid, PID: 4711, Program: "test"}
}

// secretOf is a fresh copy, for the daemon wipes what it is given.
func secretOf(s string) ipc.Secret { return ipc.Secret(s) }

// initSoft makes a vault on a software token with a recovery password.
func initSoft(t *testing.T, d *daemon.Daemon, p ipc.Principal) ipc.InitResult {
	t.Helper()
	r, err := d.Init(t.Context(), p, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "soft", Label: "key file", PIN: secretOf(passphrase)},
		RecoveryPassword: secretOf(recovery),
	})
	if err != nil {
		t.Fatalf("init: %v", err)
	}
	return r
}

// add adds one account by its URI and returns it.
func add(t *testing.T, d *daemon.Daemon, p ipc.Principal, uri string) ipc.Account {
	t.Helper()
	list, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: secretOf(uri)}}})
	if err != nil {
		t.Fatalf("add: %v", err)
	}
	return list.Accounts[0]
}

// wantKind checks how a call failed and returns its error.
func wantKind(t *testing.T, err error, kind ipc.Kind) *ipc.Error {
	t.Helper()
	var e *ipc.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("got kind %s (%v), want %s", e.Kind, e, kind)
	}
	return e
}

func TestFirstUse(t *testing.T) {
	c := newClock()
	d := start(t, func(cfg *daemon.Config) { cfg.Clock = c.clock() })
	p := caller("1000")
	if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{}); err == nil {
		t.Error("a vault that is not there was unlocked")
	} else {
		wantKind(t, err, ipc.NoVault)
	}
	made := initSoft(t, d, p)
	if made.Vault.State != ipc.VaultUnlocked || made.Vault.UnlockedBy != "key file" || made.Token == nil || made.Token.Hardware {
		t.Errorf("init told %+v", made)
	}
	// RFC 6238's secret; at this time oathtool says 404871 for 6 digits.
	a := add(t, d, p, "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example")
	if a.Class != "session" {
		t.Errorf("without a token that has a touch, the class is %q", a.Class)
	}
	code, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if want := oathtool(t, "--totp", "--now=2026-03-04 05:06:10 UTC", "-b", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); code.Code != want {
		t.Errorf("the code is %s, oathtool says %s", code.Code, want)
	}
	if code.ValidFrom.Unix()%30 != 0 || code.ValidUntil.Sub(code.ValidFrom) != 30*time.Second || code.Account.ID != a.ID {
		t.Errorf("the code is told as %+v", code)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, err = d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
	wantKind(t, err, ipc.VaultLocked)
	e := wantKind(t, func() error { _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{}); return err }(), ipc.PINRequired)
	if e.Token == nil || e.Token.ID != made.Token.ID || e.Token.Label != "key file" {
		t.Errorf("the token that wants a PIN is told as %+v", e.Token)
	}
	_, err = d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{Token: e.Token.ID, PIN: secretOf("wrong passphrase")}})
	wantKind(t, err, ipc.PINInvalid)
	u, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{Token: e.Token.ID, PIN: secretOf(passphrase)}})
	if err != nil || u.Vault.State != ipc.VaultUnlocked || u.Vault.Accounts != 1 {
		t.Fatalf("unlock: %+v, %v", u, err)
	}
	if _, err := d.Code(t.Context(), p, a.ID, ipc.CodeRequest{}); err != nil {
		t.Errorf("a code after unlocking: %v", err)
	}
}
