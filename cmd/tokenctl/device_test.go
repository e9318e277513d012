package main

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// twoAuthorities is a daemon with an account of each of two authorities.
type twoAuthorities struct{ daemon }

func (twoAuthorities) Name() string { return "test" }

func (twoAuthorities) Accounts(context.Context) (ipc.AccountList, error) {
	return ipc.AccountList{Accounts: []ipc.Account{
		{ID: "evil", Kind: "managed", Name: "a"}, {ID: "good", Kind: "managed", Name: "b"}, {ID: "good too", Kind: "managed", Name: "c"},
	}}, nil
}

// TestSameID: an authority's id is its own word. One that takes another's does not
// keep that from being asked; an authority is told by its keys.
func TestSameID(t *testing.T) {
	c := &cli{out: io.Discard, err: io.Discard, now: time.Now, getenv: func(string) string { return "" }, dial: func(string) daemon { return twoAuthorities{} }}
	begin := func(_ context.Context, account string) (ipc.ManagedStep, error) {
		return ipc.ManagedStep{Phase: ipc.PhaseDone, Conversation: account,
			Authority: ipc.ManagedAuthority{Name: "Example", ID: "the same", Fingerprint: account[:4]}}, nil
	}
	var asked []string
	err := c.eachAuthority(t.Context(), &authFlags{}, "ask", begin, func(e *errand) error {
		asked = append(asked, e.step.Conversation)
		return nil
	})
	if err != nil || !slices.Equal(asked, []string{"evil", "good"}) {
		t.Errorf("%v, %v", asked, err)
	}
}

// TestPollAfter: no authority makes a run sleep for years.
func TestPollAfter(t *testing.T) {
	for seconds, want := range map[int]time.Duration{-1: time.Second, 0: time.Second, 2: 2 * time.Second, 1<<31 - 1: time.Minute} {
		if got := pollAfter(seconds); got != want {
			t.Errorf("%d: %v", seconds, got)
		}
	}
}
