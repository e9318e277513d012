package daemon

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// shown counts the times that a PIN reached a token.
type shown struct {
	tokens.Driver
	pins atomic.Int32
}

func (s *shown) ChangePIN(context.Context, tokens.PINRequest) ([]byte, error) {
	s.pins.Add(1)
	return nil, nil
}

func (s *shown) Enroll(context.Context, tokens.EnrollRequest) (tokens.Enrollment, error) {
	s.pins.Add(1)
	return tokens.Enrollment{}, tokens.Errorf(tokens.CodeProtocol, "no more is needed")
}

func (s *shown) Watch(ctx context.Context, _ func(tokens.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestNoPINToAnExchangedToken exchanges the card in the reader while a PIN for
// it waits for its turn.
func TestNoPINToAnExchangedToken(t *testing.T) {
	driver := &shown{}
	d, err := New(Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Mode: ModeUser, Owner: "1000",
		Drivers:  map[tokens.Kind]tokens.Driver{tokens.KindPIV: driver},
		Watchers: map[tokens.Kind]tokens.Watcher{tokens.KindPIV: driver},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	p := ipc.Principal{UID: "1000"}
	mine, other := card("reader 0", 1), card("reader 0", 2)
	report(d.presence, tokens.EventReady, tokens.Token{})
	calls := map[string]func() error{
		"change": func() error {
			return d.ChangePIN(t.Context(), p, mine.ID, ipc.ChangePINRequest{Which: "pin", Old: ipc.Secret("111111"), New: ipc.Secret("222222")})
		},
		"enroll": func() error {
			_, err := d.Init(t.Context(), p, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "piv", PIN: ipc.Secret("111111"), Locator: mine.ID}})
			return err
		},
	}
	for name, call := range calls {
		for _, exchanged := range []bool{true, false} {
			report(d.presence, tokens.EventInserted, mine)
			driver.pins.Store(0)
			leave, err := d.queues.enter(t.Context(), mine.Locator, p.UID, func(int) {})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- call() }()
			for waiting := 0; waiting < 2; {
				d.queues.mu.Lock()
				waiting = len(d.queues.places[mine.Locator])
				d.queues.mu.Unlock()
			}
			if exchanged {
				report(d.presence, tokens.EventRemoved, mine)
				report(d.presence, tokens.EventInserted, other)
			}
			leave()
			err = <-done
			if n := driver.pins.Load(); exchanged != (n == 0) {
				t.Errorf("%s, exchanged %t: the PIN was shown %d times (%v)", name, exchanged, n, err)
			}
			if exchanged && ipc.KindOf(err) != ipc.TokenNotPresent {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
