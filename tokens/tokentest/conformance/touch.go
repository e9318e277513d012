package conformance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

func hasTouch(c Config) bool { return slices.Contains(c.Classes, tokens.ClassTouch) }

func testTouch(t *testing.T, c Config) {
	if !hasTouch(c) {
		return
	}
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassTouch)
	before := f.A.Touches()
	touches := 0
	f.A.SetTouch(TouchRefuse)
	_, err := f.Driver.Agree(t.Context(), request(c, f.A, e, k, Peer(t, k), &touches))
	Code(t, err, tokens.CodeTouchDenied)
	f.A.SetTouch(TouchForsake)
	_, err = f.Driver.Agree(t.Context(), request(c, f.A, e, k, Peer(t, k), &touches))
	Code(t, err, tokens.CodeTouchTimeout)
	f.A.SetTouch(TouchGive)
	peer := Peer(t, k)
	began := time.Now()
	got, err := f.Driver.Agree(t.Context(), request(c, f.A, e, k, peer, &touches))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("the next touch took %v", took)
	}
	Want(t, got, k, peer)
	if touches != 3 || f.A.Touches()-before != 3 {
		t.Errorf("%d touches announced, %d asked for by the token, want 3", touches, f.A.Touches()-before)
	}
}

// testCancel calls an operation off in mid-touch.
func testCancel(t *testing.T, c Config) {
	if !hasTouch(c) || !c.Cancels {
		return
	}
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassTouch)
	f.A.SetTouch(TouchForsake)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var called time.Time
	r := request(c, f.A, e, k, Peer(t, k), new(int))
	r.OnTouch = func() {
		time.Sleep(100 * time.Millisecond) // the token is waiting by now
		called = time.Now()
		cancel()
	}
	_, err := f.Driver.Agree(ctx, r)
	Code(t, err, tokens.CodeCancelled)
	if took := time.Since(called); took > soon {
		t.Errorf("cancelling took %v", took)
	}
	// The token goes on waiting until it gives up; work goes on after that.
	f.A.SetTouch(TouchGive)
	peer := Peer(t, k)
	got, err := f.Driver.Agree(t.Context(), request(c, f.A, e, k, peer, new(int)))
	if err != nil {
		t.Fatalf("after a cancelled operation: %v", err)
	}
	Want(t, got, k, peer)
}

func testChangePIN(t *testing.T, c Config) {
	f := c.New(t)
	p, ok := f.Driver.(tokens.PINChanger)
	if !ok {
		return
	}
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassSession)
	change := func(old, changed []byte) ([]byte, error) {
		return p.ChangePIN(t.Context(), tokens.PINRequest{
			Locator: f.A.Locator, Which: "pin", Old: bytes.Clone(old), New: bytes.Clone(changed), KeyFile: e.KeyFile, Keys: e.Keys,
		})
	}
	if e.KeyFile == nil { // where the token is told by its place, another can be there
		seen, count := 0, f.B.PINsSeen
		if count == nil {
			count = func() int { return seen }
		}
		seen = count()
		_, err := p.ChangePIN(t.Context(), tokens.PINRequest{
			Locator: f.B.Locator, Which: "pin", Old: bytes.Clone(f.A.PIN), New: bytes.Clone(f.A.NewPIN), Keys: e.Keys,
		})
		Code(t, err, tokens.CodeWrongToken)
		if n := count() - seen; n != 0 {
			t.Errorf("another token saw %d PINs", n)
		}
	}
	_, err := change(f.A.WrongPIN, f.A.NewPIN)
	Code(t, err, tokens.CodePINInvalid)
	_, err = change(f.A.PIN, []byte("1"))
	if !errors.Is(err, &tokens.Error{Code: tokens.CodeInvalid}) {
		Code(t, err, tokens.CodePINPolicy)
	}
	file, err := change(f.A.PIN, f.A.NewPIN)
	if err != nil {
		t.Fatal(err)
	}
	if (file != nil) != (e.KeyFile != nil) {
		t.Fatal("a key file came or went")
	}
	e.KeyFile = file
	peer := Peer(t, k)
	r := request(c, f.A, e, k, peer, new(int))
	_, err = f.Driver.Agree(t.Context(), r)
	Code(t, err, tokens.CodePINInvalid)
	r.PIN = bytes.Clone(f.A.NewPIN)
	got, err := f.Driver.Agree(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	Want(t, got, k, peer)
}

// testNothingLeftOpen: after an operation with a PIN another program gets
// nothing without one.
func testNothingLeftOpen(t *testing.T, c Config) {
	if c.Bypass == nil {
		return
	}
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassSession)
	peer := Peer(t, k).PublicKey().Bytes()
	if err := c.Bypass(t, f, k, peer); err == nil {
		t.Error("open after enrolling")
	}
	if _, err := f.Driver.Agree(t.Context(), request(c, f.A, e, k, Peer(t, k), new(int))); err != nil {
		t.Fatal(err)
	}
	if err := c.Bypass(t, f, k, peer); err == nil {
		t.Error("open after an agreement")
	}
	if p, ok := f.Driver.(tokens.PINChanger); ok {
		_, err := p.ChangePIN(t.Context(), tokens.PINRequest{Locator: f.A.Locator, Which: "pin", Old: bytes.Clone(f.A.PIN), New: bytes.Clone(f.A.NewPIN)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Bypass(t, f, k, peer); err == nil {
			t.Error("open after a change of PIN")
		}
	}
}

// testConcurrency uses two tokens at once.
func testConcurrency(t *testing.T, c Config) {
	f := c.New(t)
	ea, eb := enroll(t, c, f, f.A), enroll(t, c, f, f.B)
	var wg sync.WaitGroup
	for _, side := range []struct {
		tok Token
		e   tokens.Enrollment
	}{{f.A, ea}, {f.B, eb}} {
		wg.Go(func() {
			for range 4 {
				for _, k := range side.e.Keys {
					peer := Peer(t, k)
					got, err := f.Driver.Agree(t.Context(), request(c, side.tok, side.e, k, peer, new(int)))
					if err != nil {
						t.Errorf("%s: %v", k.Class, err)
						return
					}
					if pub, err := peer.Curve().NewPublicKey(k.Public); err != nil {
						t.Error(err)
					} else if want, err := peer.ECDH(pub); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: the shared secret is another (%v)", k.Class, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// testProbe asks a token that does not list its keys, and has it enrolled
// again beside a keyslot of its own.
func testProbe(t *testing.T, c Config) {
	f := c.New(t)
	p, ok := f.Driver.(tokens.Prober)
	if !ok || c.Listed {
		return
	}
	ea, eb := enroll(t, c, f, f.A), enroll(t, c, f, f.B)
	keys := append(slices.Clone(ea.Keys), eb.Keys...)
	before := f.A.Touches()
	for _, tok := range []Token{f.A, f.B} {
		held, err := p.Probe(t.Context(), tokens.ProbeRequest{Locator: tok.Locator, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for i, yes := range held {
			if want := (i < len(ea.Keys)) == (tok.Locator == f.A.Locator); yes != want {
				t.Errorf("%s holds key %d: %v", tok.Locator, i, yes)
			}
		}
	}
	_, err := f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: f.A.Locator, Classes: c.Classes, PIN: bytes.Clone(f.A.PIN), Exclude: keys})
	Code(t, err, tokens.CodeEnrolled)
	if n := f.A.Touches() - before; n != 0 {
		t.Errorf("%d touches were waited for", n)
	}
	_, err = f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: f.A.Locator, Classes: c.Classes, PIN: bytes.Clone(f.A.PIN), Exclude: eb.Keys})
	if err != nil {
		t.Errorf("beside another token's keyslot: %v", err)
	}
}

func testWipe(t *testing.T, c Config) {
	f := c.New(t)
	w, ok := f.Driver.(tokens.Wiper)
	if !ok || !c.Listed {
		return
	}
	ea, eb := enroll(t, c, f, f.A), enroll(t, c, f, f.B)
	wipe := func(tok Token, keys []tokens.Key) ([]string, error) {
		return w.Wipe(t.Context(), tokens.WipeRequest{Locator: tok.Locator, Keys: keys, PIN: bytes.Clone(tok.PIN)})
	}
	// Keys of another token are not removed, though they are in the same place.
	_, err := wipe(f.B, ea.Keys)
	Code(t, err, tokens.CodeWrongToken)
	k := key(t, eb, tokens.ClassSession)
	peer := Peer(t, k)
	got, err := f.Driver.Agree(t.Context(), request(c, f.B, eb, k, peer, new(int)))
	if err != nil {
		t.Fatal(err)
	}
	Want(t, got, k, peer)
	// One key alone.
	k = key(t, ea, tokens.ClassSession)
	places, err := wipe(f.A, []tokens.Key{k})
	if err != nil || len(places) != 1 {
		t.Fatalf("cleared %v: %v", places, err)
	}
	_, err = f.Driver.Agree(t.Context(), request(c, f.A, ea, k, Peer(t, k), new(int)))
	Code(t, err, tokens.CodeWrongToken)
	for _, k := range ea.Keys {
		if k.Class == tokens.ClassSession {
			continue
		}
		peer := Peer(t, k)
		got, err := f.Driver.Agree(t.Context(), request(c, f.A, ea, k, peer, new(int)))
		if err != nil {
			t.Fatalf("the key that was not named: %v", err)
		}
		Want(t, got, k, peer)
		if _, err := wipe(f.A, []tokens.Key{k}); err != nil {
			t.Fatal(err)
		}
	}
	// A token that was wiped is as good as new.
	again := enroll(t, c, f, f.A)
	k = key(t, again, tokens.ClassSession)
	peer = Peer(t, k)
	if got, err = f.Driver.Agree(t.Context(), request(c, f.A, again, k, peer, new(int))); err != nil {
		t.Fatal(err)
	}
	Want(t, got, k, peer)
}
