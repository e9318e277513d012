package daemon

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

func TestGuessesAreThrottled(t *testing.T) {
	var g gauge
	now := time.Hour
	guess := func(result error) error {
		if err := g.begin(now); err != nil {
			return err
		}
		g.outcome(now, result)
		g.end()
		return nil
	}
	for i := range freeGuesses {
		if err := guess(vault.ErrWrongPassword); err != nil {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	delay := firstGuessDelay
	for range 8 {
		err := guess(nil)
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind != ipc.Throttled || e.RetryAfter != int(delay/time.Second) {
			t.Fatalf("after too many guesses: %v, want to wait %v", err, delay)
		}
		now += delay
		if err := guess(vault.ErrWrongPassword); err != nil {
			t.Fatalf("after waiting: %v", err)
		}
		delay = min(2*delay, longestDelay)
	}
	now += delay
	if err := guess(nil); err != nil {
		t.Fatal(err)
	}
	if err := guess(errors.New("the disk failed")); err != nil {
		t.Errorf("the right password did not forgive: %v", err)
	}
	if g.wrong != 0 {
		t.Error("another failure counts as a guess")
	}
}

func TestGuessesAtOnceAreBounded(t *testing.T) {
	var g gauge
	for range waitingGuesses {
		if err := g.begin(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.begin(0); ipc.KindOf(err) != ipc.Busy {
		t.Errorf("one too many: %v", err)
	}
	g.end()
	if err := g.begin(0); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}
