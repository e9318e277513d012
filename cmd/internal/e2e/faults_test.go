//go:build linux

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// faultBench is a vault with a session and a touch account.
func faultBench(t *testing.T, o vpiv.Options) (b *bench, session, touch sample) {
	t.Helper()
	b = newBench(t, o)
	b.init()
	s := samples(2)
	b.add(s[0])
	b.add(s[1])
	return b, s[0], s[1]
}

// back fails the test unless work goes on soon, on the same daemon.
func (b *bench) back(what string, work func() error) {
	b.tb.Helper()
	took := Eventually(b.tb, soon(), work)
	b.tb.Logf("%s: back after %v", what, took.Round(time.Millisecond))
	if !b.Alive() {
		b.tb.Fatal("the daemon died")
	}
}

// try is an error unless tokenctl succeeds.
func (d *Daemon) try(args ...string) error {
	if r := d.Ctl("", args...); r.Exit != 0 {
		return fmt.Errorf("%s", r)
	}
	return nil
}

func TestCardPulledInMidOperation(t *testing.T) {
	t.Parallel()
	b, session, touch := faultBench(t, yubikey())
	wanted := make(chan struct{}, 1)
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		wanted <- struct{}{}
		<-ctx.Done()
		return false
	})
	go func() {
		<-wanted
		_ = b.rig.Remove(0)
	}()
	b.Fails(13, "", []string{"code", touch.name}, "pulled out")
	b.card.SetTouch(nil)
	b.putBack()
	b.back("card in again", func() error { return b.try("unlock", "--pin-file", b.pin) })
	checkOne(t, b.Daemon, touch)
	checkOne(t, b.Daemon, session)

	// And while the PIN is on its way.
	b.OK("", "lock")
	b.card.SetDelay(100 * time.Millisecond)
	go func() {
		time.Sleep(400 * time.Millisecond)
		_ = b.rig.Remove(0)
	}()
	b.Fails(13, "", []string{"unlock", "--pin-file", b.pin})
	b.card.SetDelay(0)
	b.putBack()
	b.back("card in again", func() error { return b.try("unlock", "--pin-file", b.pin) })
}

func TestPCSCDKilled(t *testing.T) {
	t.Parallel()
	b, session, touch := faultBench(t, yubikey())
	for round := range 3 {
		if err := b.rig.KillPCSCD(); err != nil {
			t.Fatal(err)
		}
		b.Fails(13, "", []string{"code", touch.name})
		if err := b.rig.StartPCSCD(); err != nil {
			t.Fatal(err)
		}
		b.back(fmt.Sprintf("restart %d", round), func() error { return b.wantToken() })
		if err := b.wantVault(ipc.VaultUnlocked); err != nil {
			// A restart that took longer than the grace locks; that is no fault.
			b.back("unlock", func() error { return b.try("unlock", "--pin-file", b.pin) })
		}
		b.back("a touch code", func() error { return b.try("code", touch.name) })
		checkOne(t, b.Daemon, touch)
		checkOne(t, b.Daemon, session)
	}
	// Killed in the middle of a touch.
	wanted := make(chan struct{}, 1)
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		wanted <- struct{}{}
		<-ctx.Done()
		return false
	})
	go func() {
		<-wanted
		_ = b.rig.KillPCSCD()
	}()
	b.Fails(13, "", []string{"code", touch.name})
	b.card.SetTouch(nil)
	if err := b.rig.StartPCSCD(); err != nil {
		t.Fatal(err)
	}
	b.back("a touch code", func() error {
		if b.wantVault(ipc.VaultUnlocked) != nil {
			_ = b.try("unlock", "--pin-file", b.pin)
		}
		return b.try("code", touch.name)
	})
}

func TestWrongAndBlockedPIN(t *testing.T) {
	t.Parallel()
	b, session, _ := faultBench(t, yubikey())
	b.OK("", "lock")
	wrong := File(t, "654321")
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong}, "2")
	if n := b.card.PINTries(); n != 2 {
		t.Fatalf("%d tries left after one wrong PIN from a file", n)
	}
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong}, "1")
	// The last try is never spent unasked, not even on the right PIN.
	seen := b.card.Counts().PINsSeen
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong}, "last")
	b.Fails(14, "", []string{"unlock", "--pin-file", b.pin}, "last")
	if b.card.PINTries() != 1 || b.card.Counts().PINsSeen != seen {
		t.Fatalf("the last try was spent: %d left", b.card.PINTries())
	}
	b.OK("", "unlock", "--pin-file", b.pin, "--spend-last-try")
	if n := b.card.PINTries(); n != 3 {
		t.Fatalf("%d tries after the right PIN", n)
	}
	checkOne(t, b.Daemon, session)
	b.OK("", "lock")
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong})
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong})
	b.Fails(14, "", []string{"unlock", "--pin-file", wrong, "--spend-last-try"}, "blocked")
	b.Fails(14, "", []string{"unlock", "--pin-file", b.pin}, "blocked")
	// The way out: the PUK, without a restart.
	b.OK("", "token", "pin", "--unblock", "--puk-file", File(t, vpiv.FactoryPUK), "--new-pin-file", File(t, "424242"))
	b.back("unlock", func() error { return b.try("unlock", "--pin-file", File(t, "424242")) })
	checkOne(t, b.Daemon, session)
}

func TestClientGoneInMidTouch(t *testing.T) {
	t.Parallel()
	b, session, touch := faultBench(t, yubikey())
	wanted, touched := make(chan struct{}, 1), make(chan struct{})
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		wanted <- struct{}{}
		select {
		case <-touched:
			return true
		case <-ctx.Done():
			return false
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-wanted
		cancel()
	}()
	r := b.CtlContext(ctx, "", "code", touch.name)
	if r.Exit != 15 {
		t.Errorf("want cancelled: %s", r)
	}
	b.card.SetTouch(nil)
	checkOne(t, b.Daemon, session) // at once: it does not need the card
	// No program can call a card's wait for a touch off; the next one who asks
	// is told that the card is still at it, and comes next.
	done, said := make(chan Result, 1), new(Buffer)
	go func() { done <- b.ctl(context.Background(), "", said, "code", touch.name) }()
	Eventually(t, soon(), func() error {
		if !strings.Contains(said.String(), "busy") {
			return fmt.Errorf("nothing is said of the card being busy: %q", said)
		}
		return nil
	})
	close(touched)
	freed := time.Now()
	r = <-done
	if r.Exit != 0 || !strings.Contains(r.Stderr, "busy") || time.Since(freed) > soon() {
		t.Errorf("%v after the card was free: %s", time.Since(freed), r)
	}
	checkOne(t, b.Daemon, touch)
}

func TestTouchDeniedAndTimedOut(t *testing.T) {
	t.Parallel()
	b, session, touch := faultBench(t, yubikey())
	b.card.SetTouch(vpiv.TouchNo)
	b.Fails(15, "", []string{"code", touch.name}, "touch")
	b.card.SetTouch(vpiv.TouchNever) // the card gives up after 15 s, as a YubiKey does
	r := b.Fails(15, "", []string{"code", touch.name}, "touch")
	if r.Took < 10*time.Second || r.Took > 30*time.Second {
		t.Errorf("timed out after %v", r.Took)
	}
	if strings.Contains(r.Stderr, "denied") || strings.Contains(r.Stderr, "refused") {
		t.Errorf("a timeout that says denied: %s", r)
	}
	b.card.SetTouch(nil)
	b.back("a touch code", func() error { return b.try("code", touch.name) })
	// While one waits for a touch, session codes go on.
	release := make(chan struct{})
	wanted := make(chan struct{}, 1)
	b.card.SetTouch(func(ctx context.Context, _ byte) bool {
		wanted <- struct{}{}
		select {
		case <-release:
			return true
		case <-ctx.Done():
			return false
		}
	})
	done := make(chan Result, 1)
	go func() { done <- b.Ctl("", "code", touch.name) }()
	<-wanted
	checkOne(t, b.Daemon, session)
	time.Sleep(400 * time.Millisecond) // a person is told after a moment of waiting
	close(release)
	if r := <-done; r.Exit != 0 || !strings.Contains(r.Stderr, "ouch") {
		t.Errorf("the touch was not announced, or there is no code: %s", r)
	}
}

// TestMuteAndLyingCard has a card that answers badly in every way: bounded time,
// a clear error, and the daemon unharmed.
func TestMuteAndLyingCard(t *testing.T) {
	t.Parallel()
	b, session, _ := faultBench(t, yubikey())
	b.idle()
	before := b.resources()
	defer func() {
		b.tb = t
		b.idle()
		b.resources().flat(t, before)
	}()
	for name, f := range map[string]vpiv.Fault{
		"garbage":   {Kind: vpiv.FaultGarbage, INS: 0x87, Times: -1},
		"truncated": {Kind: vpiv.FaultTruncate, INS: 0x87, Times: -1},
		"too long":  {Kind: vpiv.FaultLength, INS: 0x87, Times: -1},
		"too short": {Kind: vpiv.FaultShort, INS: 0x87, Times: -1},
		"status":    {Kind: vpiv.FaultStatus, INS: 0x87, Times: -1, Status: 0x6F00},
		"hang":      {Kind: vpiv.FaultHang, INS: 0x87, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			b.OK("", "lock")
			b.card.Inject(f)
			r := b.Ctl("", "unlock", "--pin-file", b.pin)
			// What is too long may be taken: the sealed key tells right from wrong.
			if (r.Exit != 13 && f.Kind != vpiv.FaultLength) || r.Took > 45*time.Second {
				t.Errorf("%s", r)
			}
			t.Logf("%s", r)
			b.card.ClearFaults()
			if f.Kind == vpiv.FaultHang { // only power wakes such a card
				_ = b.rig.Remove(0)
				if err := b.rig.Insert(b.card, 0); err != nil {
					t.Fatal(err)
				}
			}
			b.tb = t
			b.back(name, func() error { return b.try("unlock", "--pin-file", b.pin) })
			checkOne(t, b.Daemon, session)
		})
	}
}
