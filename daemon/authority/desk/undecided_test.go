package desk_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

// TestUndecidedIsBounded: whoever holds back each no on its way from a verifier, and who
// has to do with a server that answers a wrong code with the next challenge, guesses no
// faster than others for long; and a clock that is set back shuts nobody out.
func TestUndecidedIsBounded(t *testing.T) {
	b, s := withDuo(t)
	text, err := b.Policy(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetPolicy(t.Context(), root, ipc.SetPolicyRequest{Text: strings.Replace(text.Text, `fob = ["local"]`, `fob = ["duo"]`, 1)}); err != nil {
		t.Fatal(err)
	}
	try := func(challenge string) (asked bool, next string) {
		t.Helper()
		_, err := b.Verify(t.Context(), as("verifier"), ipc.VerifyRequest{User: "user", Service: "pam", Passcode: ipc.Secret("000000"), Challenge: challenge})
		var e *ipc.Error
		if errors.As(err, &e) && e.Kind == ipc.Conflict {
			next = e.Items[0].ID
		}
		asked = len(s.typed) > 0
		s.typed = nil
		return asked, next
	}
	silent := func() bool {
		s.will(&remote.Unavailable{Verifier: "duo", Problem: "no answer in time"}, remote.Answer{})
		asked, _ := try("")
		return asked
	}
	challenged := func() bool {
		c := remote.Answer{State: remote.Challenged, Token: []byte("state"), Prompt: "wrong, once more"}
		s.will(nil, c, c)
		first, next := try("")
		if next == "" {
			return first
		}
		again, _ := try(next)
		return again
	}
	for name, guess := range map[string]func() bool{"held back": silent, "challenged": challenged} {
		b.pass(2 * time.Hour)
		guesses := 0
		for range 200 {
			b.pass(10 * time.Second)
			if guess() {
				guesses++
			}
		}
		if guesses != 30 {
			t.Errorf("%s: %d guesses in half an hour", name, guesses)
		}
		b.pass(time.Hour)
		if !guess() {
			t.Errorf("%s: an hour later nothing is asked", name)
		}
		b.pass(-24 * time.Hour)
		if !guess() {
			t.Errorf("%s: the clock was set back, and nothing is asked", name)
		}
		b.pass(24 * time.Hour)
	}
}
