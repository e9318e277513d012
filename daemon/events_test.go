package daemon_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// stream is an open event stream.
type stream struct {
	events chan ipc.Event
	stop   context.CancelFunc
}

// listen opens the caller's stream and takes its first event.
func listen(t *testing.T, d *daemon.Daemon, p ipc.Principal) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{events: make(chan ipc.Event, 256), stop: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Events(ctx, p, func(e ipc.Event) error { s.events <- e; return nil })
	}()
	t.Cleanup(func() { cancel(); <-done })
	if e := <-s.events; e.Type != ipc.EventState || e.Vault == nil {
		t.Fatalf("the stream begins with %+v", e)
	}
	return s
}

// next waits for the next event of a type.
func (s *stream) next(t *testing.T, kind string) ipc.Event {
	t.Helper()
	limit := time.After(20 * time.Second)
	var passed []string
	for {
		select {
		case e := <-s.events:
			if e.Type == kind {
				return e
			}
			passed = append(passed, e.Type)
		case <-limit:
			t.Fatalf("no event %q came; there were %v", kind, passed)
		}
	}
}

func TestEventsAreOnesOwn(t *testing.T) {
	d := start(t, nil)
	alice, bob := caller("1000"), caller("1001")
	initSoft(t, d, alice)
	initSoft(t, d, bob)
	his, hers := listen(t, d, bob), listen(t, d, alice)
	a := add(t, d, alice, aliceURI)
	if e := hers.next(t, ipc.EventAccountAdded); e.Account == nil || e.Account.ID != a.ID || e.Account.Name != "alice" {
		t.Errorf("the owner is told %+v", e)
	}
	if err := d.Lock(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	hers.next(t, ipc.EventLocked)
	if _, err := d.Unlock(t.Context(), alice, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		t.Fatal(err)
	}
	hers.next(t, ipc.EventWorking)
	if e := hers.next(t, ipc.EventUnlocked); e.Vault == nil || e.Vault.UnlockedBy != "recovery password" {
		t.Errorf("unlocking is told as %+v", e)
	}
	// Bob's stream has had nothing: what comes first is his own.
	if err := d.Lock(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	e := <-his.events
	for e.Type == ipc.EventBackupState { // of his own vault
		e = <-his.events
	}
	if e.Type != ipc.EventLocked || e.Detail != "on request" {
		t.Errorf("another user's stream says %+v", e)
	}
}

func TestASlowReceiverIsToldWhatItMissed(t *testing.T) {
	d := start(t, func(cfg *daemon.Config) { cfg.Backups.Debounce = time.Hour }) // whose events would come between
	p := caller("1000")
	initSoft(t, d, p)
	a := add(t, d, p, aliceURI)
	add(t, d, p, "otpauth://totp/other?secret=GEZDGNBVGY3TQOJQ")
	if _, err := d.PlanBackupRun(t.Context(), p, ipc.BackupRunRequest{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, resume := make(chan struct{}), make(chan struct{})
	var got []ipc.Event
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Events(ctx, p, func(e ipc.Event) error {
			if e.Type == ipc.EventState {
				close(begun)
				<-resume
			}
			got = append(got, e)
			if e.Type == ipc.EventDropped {
				cancel()
			}
			return nil
		})
	}()
	<-begun
	for i := range 80 {
		if _, err := d.MoveAccount(t.Context(), p, a.ID, ipc.MoveAccountRequest{Position: i % 2}); err != nil {
			t.Fatal(err)
		}
	}
	close(resume)
	<-done
	last := got[len(got)-1]
	if last.Type != ipc.EventDropped || !strings.HasPrefix(last.Detail, "16 events") || len(got) != 1+64+1 {
		t.Errorf("of 80 events %d came, and last %+v", len(got)-2, last)
	}
}
