//go:build cgo && linux

package piv_test

import (
	"context"
	"errors"
	"testing"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// watching starts a watch for the length of the test.
func watching(t *testing.T, w tokens.Watcher) <-chan tokens.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events, done := make(chan tokens.Event, 100), make(chan error, 1)
	go func() { done <- w.Watch(ctx, func(e tokens.Event) { events <- e }) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the watch ended with %v", err)
			}
		case <-time.After(3 * time.Second):
			t.Error("the watch did not end")
		}
	})
	return events
}

// next waits for one event.
func next(t *testing.T, events <-chan tokens.Event, want tokens.EventType, within time.Duration) tokens.Event {
	t.Helper()
	select {
	case e := <-events:
		if e.Type != want {
			t.Fatalf("event %+v, want %s", e, want)
		}
		return e
	case <-time.After(within):
		t.Fatalf("no event %s within %v", want, within)
	}
	return tokens.Event{}
}

func quiet(t *testing.T, events <-chan tokens.Event) {
	t.Helper()
	select {
	case e := <-events:
		t.Fatalf("event %+v", e)
	case <-time.After(500 * time.Millisecond):
	}
}

func TestWatch(t *testing.T) {
	for name, w := range map[string]tokens.Watcher{
		"directly": piv.New(piv.Options{}), "through the helper": client(), "through the sockets": connected(t),
	} {
		t.Run(name, func(t *testing.T) {
			card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
			e := mustEnroll(t, enrollRequest())
			events := watching(t, w)
			if got := next(t, events, tokens.EventInserted, 3*time.Second); len(got.Token.Keys) != 2 || got.Token.Locator != reader(0) {
				t.Fatalf("token %+v", got.Token)
			}
			next(t, events, tokens.EventReady, soon)
			// Use and reset by others are no events, and cost the card nothing.
			before := card.Counts().Commands
			quiet(t, events)
			if card.Counts().Commands != before {
				t.Error("the watch goes on using the card")
			}
			agrees(t, e, vpiv.FactoryPIN)
			quiet(t, events)
			remove(t, 0)
			next(t, events, tokens.EventRemoved, soon)
			plug(t, card, 0)
			next(t, events, tokens.EventInserted, soon)
			// pcscd killed and started again.
			if err := bench.rig.KillPCSCD(); err != nil {
				t.Fatal(err)
			}
			next(t, events, tokens.EventServiceLost, soon)
			if err := bench.rig.StartPCSCD(); err != nil {
				t.Fatal(err)
			}
			// The reader may come up before its card.
			got := map[tokens.EventType]bool{}
			for range 2 {
				select {
				case e := <-events:
					got[e.Type] = true
				case <-time.After(soon):
				}
			}
			if !got[tokens.EventInserted] || !got[tokens.EventReady] {
				t.Fatalf("events after the restart: %v", got)
			}
			agrees(t, e, vpiv.FactoryPIN)
			quiet(t, events)
		})
	}
}

func TestWatchWaitsForABusyCard(t *testing.T) {
	insert(t, vpiv.YubiKey(5, 4, 3), 0)
	yk, err := gopiv.Open(reader(0))
	if err != nil {
		t.Fatal(err)
	}
	events := watching(t, piv.New(piv.Options{}))
	quiet(t, events)
	yk.Close()
	if got := next(t, events, tokens.EventInserted, soon); got.Token.Problem != nil {
		t.Fatalf("token %+v", got.Token)
	}
	next(t, events, tokens.EventReady, soon)
}
