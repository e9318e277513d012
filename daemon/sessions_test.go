package daemon_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// state is how the caller's vault is.
func state(t *testing.T, d *daemon.Daemon, p ipc.Principal) ipc.Vault {
	t.Helper()
	s, err := d.Status(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return s.Vault
}

func TestSessionsEnd(t *testing.T) {
	use := func(t *testing.T, d *daemon.Daemon) {
		if _, err := d.Code(t.Context(), caller("1000"), "alice", ipc.CodeRequest{}); err != nil {
			t.Errorf("a use failed: %v", err)
		}
	}
	look := func(t *testing.T, d *daemon.Daemon) {
		p := caller("1000")
		_, _ = d.Accounts(t.Context(), p)
		_, _ = d.Account(t.Context(), p, "alice")
		_, _ = d.Status(t.Context(), p)
		_, _ = d.Tokens(t.Context(), p)
		if _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Passive: true}); err != nil {
			t.Errorf("a passive code failed: %v", err)
		}
	}
	repeat := func(n int, step time.Duration, f func(*testing.T, *daemon.Daemon)) func(*testing.T, *daemon.Daemon, *clock) {
		return func(t *testing.T, d *daemon.Daemon, c *clock) {
			for range n {
				c.pass(step)
				f(t, d)
			}
		}
	}
	for _, c := range []struct {
		name   string
		do     func(*testing.T, *daemon.Daemon, *clock)
		locked bool
	}{
		{"used", repeat(20, 9*time.Minute, use), false},
		{"idle", func(_ *testing.T, _ *daemon.Daemon, c *clock) { c.pass(10 * time.Minute) }, true},
		{"almost idle", func(_ *testing.T, _ *daemon.Daemon, c *clock) { c.pass(10*time.Minute - time.Second) }, false},
		{"looked at", func(t *testing.T, d *daemon.Daemon, c *clock) {
			repeat(9, time.Minute, look)(t, d, c)
			c.pass(time.Minute)
		}, true},
		{"hard limit", func(t *testing.T, d *daemon.Daemon, c *clock) {
			repeat(79, 9*time.Minute, use)(t, d, c)
			c.pass(9 * time.Minute)
		}, true},
		{"wall clock set forward a little", func(_ *testing.T, _ *daemon.Daemon, c *clock) { c.jump(time.Hour, 0) }, false},
		{"wall clock set back", func(t *testing.T, d *daemon.Daemon, c *clock) {
			c.jump(-24*time.Hour, 0)
			use(t, d)
			c.pass(10 * time.Minute)
		}, true},
		{"slept where the other clock stands still", func(_ *testing.T, _ *daemon.Daemon, c *clock) { c.jump(12*time.Hour, 0) }, true},
		{"slept where it goes on", func(_ *testing.T, _ *daemon.Daemon, c *clock) { c.jump(time.Hour, time.Hour) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newClock()
			d := start(t, func(cfg *daemon.Config) { cfg.Clock = k.clock() })
			p := caller("1000")
			initSoft(t, d, p)
			add(t, d, p, aliceURI)
			c.do(t, d, k)
			if got := state(t, d, p).State; (got == ipc.VaultIsLocked) != c.locked {
				t.Errorf("the vault is %s", got)
			}
			_, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
			if c.locked {
				wantKind(t, err, ipc.VaultLocked)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLimitsAreTold compares what status says with what happens.
func TestLimitsAreTold(t *testing.T) {
	k := newClock()
	d := start(t, func(cfg *daemon.Config) { cfg.Clock = k.clock() })
	p := caller("1000")
	initSoft(t, d, p)
	v := state(t, d, p)
	if got := v.IdleLock.Sub(v.UnlockedAt); got != 10*time.Minute {
		t.Errorf("it says that it locks after %v", got)
	}
	if got := v.HardLock.Sub(v.UnlockedAt); got != 12*time.Hour {
		t.Errorf("it says that it locks at the latest after %v", got)
	}
	d.SetLimits(daemon.Limits{Idle: time.Minute, Hard: time.Hour})
	k.pass(time.Minute)
	if got := state(t, d, p).State; got != ipc.VaultIsLocked {
		t.Errorf("after a reload with a shorter limit it is %s", got)
	}
}

// TestExpiryWipesWithoutAUse waits for the daemon's own check.
func TestExpiryWipesWithoutAUse(t *testing.T) {
	k := newClock()
	d := start(t, func(cfg *daemon.Config) { cfg.Clock = k.clock() })
	p := caller("1000")
	initSoft(t, d, p)
	events := listen(t, d, p)
	k.pass(11 * time.Minute)
	e := events.next(t, ipc.EventLocked)
	if e.Detail == "" || e.Vault == nil || e.Vault.State != ipc.VaultIsLocked {
		t.Errorf("the event is %+v", e)
	}
}

func TestLockAll(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	events := listen(t, d, bob)
	d.LockAll("the machine suspends")
	if e := events.next(t, ipc.EventLocked); e.Detail != "the machine suspends" {
		t.Errorf("the reason is %q", e.Detail)
	}
	for _, p := range []ipc.Principal{alice, bob} {
		if got := state(t, d, p).State; got != ipc.VaultIsLocked {
			t.Errorf("uid %s: %s", p.UID, got)
		}
	}
}

// TestLockUser locks the vault of the user whose session ends, and no other's.
func TestLockUser(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	events := listen(t, d, bob)
	d.LockUser("4711", "nobody")
	d.LockUser(bob.UID, "the session was locked")
	if e := events.next(t, ipc.EventLocked); e.Detail != "the session was locked" {
		t.Errorf("the reason is %q", e.Detail)
	}
	if a, b := state(t, d, alice).State, state(t, d, bob).State; a != ipc.VaultUnlocked || b != ipc.VaultIsLocked {
		t.Errorf("alice's is %s, bob's %s", a, b)
	}
}

// TestUnlockedAgain unlocks what is unlocked: the session goes on, and writes.
func TestUnlockedAgain(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	hotp := add(t, d, p, "otpauth://hotp/A:h?secret=JBSWY3DPEHPK3PXP&issuer=A&counter=0")
	auth := ipc.Auth{PIN: secretOf(passphrase)}
	for n := range uint64(2) {
		if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: auth}); err != nil {
			t.Fatal(err)
		}
		auth = ipc.Auth{PIN: secretOf(passphrase)} // the one before was wiped
		c, err := d.Code(t.Context(), p, hotp.ID, ipc.CodeRequest{})
		if err != nil || *c.Counter != n {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	add(t, d, p, "otpauth://totp/B:b?secret=JBSWY3DPEHPK3PXP&issuer=B")
}

// TestNothingIsLostToASecondUnlock adds accounts and locks while another client's
// unlock is under way.
func TestNothingIsLostToASecondUnlock(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, "otpauth://hotp/A:h?secret=JBSWY3DPEHPK3PXP&issuer=A&counter=0")
	unlock := func() error {
		_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}})
		return err
	}
	added := 1
	for i := range 12 {
		done := make(chan error, 1)
		go func() { done <- unlock() }()
		time.Sleep(time.Duration(i) * 5 * time.Millisecond)
		uri := fmt.Sprintf("otpauth://totp/B:%d?secret=JBSWY3DPEHPK3PX%c&issuer=B", i, 'A'+i)
		r := ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: secretOf(uri)}}}
		if _, err := d.AddAccounts(t.Context(), p, r); err == nil {
			added++
		} else {
			wantKind(t, err, ipc.VaultLocked)
		}
		if err := d.Lock(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			wantKind(t, err, ipc.Cancelled)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if n := state(t, d, p).Accounts; n != added || added < 2 {
		t.Errorf("%d accounts, %d were added", n, added)
	}
}

// TestLockOvertakesUnlock locks while an unlock is under way: what was locked
// last stays locked.
func TestLockOvertakesUnlock(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	joined, working := make(chan struct{}, 100), make(chan struct{}, 1)
	go func() {
		_ = d.Events(ctx, p, func(e ipc.Event) error {
			select {
			case joined <- struct{}{}:
			default:
			}
			if e.Type == ipc.EventWorking {
				select {
				case working <- struct{}{}:
				default:
				}
			}
			return nil
		})
	}()
	<-joined
	overtaken := 0
	for range 10 {
		select {
		case <-working:
		default:
		}
		done := make(chan error, 1)
		go func() {
			_, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}})
			done <- err
		}()
		<-working
		if err := d.Lock(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			wantKind(t, err, ipc.Cancelled)
			overtaken++
		}
		if s := state(t, d, p).State; s != ipc.VaultIsLocked {
			t.Fatalf("the vault is %s after a lock (overtaken %d times)", s, overtaken)
		}
	}
	if overtaken == 0 {
		t.Error("no lock came in time")
	}
}
