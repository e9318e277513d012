package daemon

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// card is a token as a watcher reports it.
func card(reader string, public byte) tokens.Token {
	return tokens.Token{
		ID: fmt.Sprintf("piv-%d", public), Kind: tokens.KindPIV, Locator: reader, Serial: "0",
		Keys: []tokens.SlotKey{{Slot: "82", Algorithm: tokens.P256, Public: []byte{4, public}}},
	}
}

func keyOf(t tokens.Token) tokens.Key {
	return tokens.Key{Kind: t.Kind, Algorithm: t.Keys[0].Algorithm, Public: t.Keys[0].Public}
}

// reports is what a presence told of.
type reports struct {
	mu   sync.Mutex
	list []string
}

func (t *reports) get() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// watching is a presence and what it told of.
func watching() (*presence, *reports) {
	var all reports
	p := newPresence([]tokens.Kind{tokens.KindPIV}, removalGrace, func(inserted bool, t tokens.Token) {
		all.mu.Lock()
		defer all.mu.Unlock()
		all.list = append(all.list, fmt.Sprintf("%v %s", inserted, t.ID))
	})
	return p, &all
}

func report(p *presence, kind tokens.EventType, t tokens.Token) {
	p.handle(tokens.Event{Type: kind, Kind: tokens.KindPIV, Token: t})
}

func TestPresenceTellsAPullAtOnce(t *testing.T) {
	p, told := watching()
	a := card("r0", 1)
	report(p, tokens.EventInserted, a)
	report(p, tokens.EventReady, tokens.Token{})
	if _, ok := p.holder(keyOf(a)); !ok {
		t.Error("an inserted token is not present")
	}
	report(p, tokens.EventRemoved, tokens.Token{Kind: tokens.KindPIV, Locator: "r0"})
	if _, ok := p.holder(keyOf(a)); ok {
		t.Error("a removed token is present")
	}
	if want := []string{"true piv-1", "false piv-1"}; !slices.Equal(told.get(), want) {
		t.Errorf("told %v, want %v", told.get(), want)
	}
}

func TestPresenceForgivesARestartOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, told := watching()
		stays, moves, goes := card("r0", 1), card("r1", 2), card("r2", 3)
		for _, c := range []tokens.Token{stays, moves, goes} {
			report(p, tokens.EventInserted, c)
		}
		report(p, tokens.EventReady, tokens.Token{})
		before := len(told.get())
		p.handle(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindPIV, Detail: "gone"})
		if ok, detail := p.service(tokens.KindPIV); ok || detail != "gone" {
			t.Errorf("a lost service is told as %v %q", ok, detail)
		}
		if seen := p.all(); len(seen) != 3 || seen[0].Problem == nil || seen[0].Problem.Code != tokens.CodeNoService {
			t.Errorf("while the service is lost, %d tokens are listed: %+v", len(seen), seen)
		}
		time.Sleep(time.Second)
		report(p, tokens.EventInserted, stays)
		moves.Locator = "r7"
		report(p, tokens.EventInserted, moves)
		report(p, tokens.EventReady, tokens.Token{})
		if got := told.get()[before:]; len(got) != 0 {
			t.Errorf("a restart told %v", got)
		}
		time.Sleep(removalGrace)
		synctest.Wait()
		if got, want := told.get()[before:], []string{"false piv-3"}; !slices.Equal(got, want) {
			t.Errorf("after the grace it told %v, want %v", got, want)
		}
		if len(p.all()) != 2 {
			t.Errorf("%d tokens are left", len(p.all()))
		}
	})
}

func TestPresenceSeesAnotherTokenInThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, told := watching()
		report(p, tokens.EventInserted, card("r0", 1))
		p.handle(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindPIV})
		report(p, tokens.EventInserted, card("r0", 2))
		if want := []string{"true piv-1", "false piv-1", "true piv-2"}; !slices.Equal(told.get(), want) {
			t.Errorf("told %v, want %v", told.get(), want)
		}
		time.Sleep(2 * removalGrace)
		synctest.Wait()
		if len(told.get()) != 3 || len(p.all()) != 1 {
			t.Errorf("the grace took the new token: %v", told.get())
		}
	})
}

func TestPresenceWaitsForTheFirstReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := watching()
		go func() {
			time.Sleep(300 * time.Millisecond)
			report(p, tokens.EventReady, tokens.Token{})
		}()
		start := time.Now()
		p.settled(t.Context())
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("it waited %v", took)
		}
		p.handle(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindPIV})
		start = time.Now()
		p.settled(t.Context())
		if took := time.Since(start); took != readyWait {
			t.Errorf("right after a loss it waited %v", took)
		}
		time.Sleep(removalGrace)
		start = time.Now()
		p.settled(t.Context())
		if took := time.Since(start); took != 0 {
			t.Errorf("long after a loss it waited %v", took)
		}
	})
}

func TestHoldsGoesByPublicKey(t *testing.T) {
	a, b := card("r0", 1), card("r1", 2)
	b.ID, b.Serial = a.ID, a.Serial
	if holds(b, keyOf(a)) {
		t.Error("a token with the same id and serial passes for the one with the key")
	}
	if !holds(a, keyOf(b), keyOf(a)) {
		t.Error("a token that holds one of the keys is not recognised")
	}
	k := keyOf(a)
	k.Kind = tokens.KindFIDO2
	if holds(a, k) {
		t.Error("a key of another kind is found on a card")
	}
}
