// Package conformance is the suite that every token driver passes, run directly
// or through tokens/helper.
package conformance

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// Touch is what a token's user does when it waits for a touch.
type Touch int

// The touches.
const (
	TouchGive    Touch = iota // touches at once
	TouchRefuse               // the token refuses at once
	TouchForsake              // nobody touches it until it gives up
)

// Token is one token of a Fixture, fresh or at least without keys of ours.
type Token struct {
	Locator  string
	PIN      []byte
	WrongPIN []byte // never equal to PIN; may be tried once
	NewPIN   []byte
	// SetTouch says how touches are answered from now on; nil for a token that
	// has no touch.
	SetTouch func(Touch)
	// Touches counts the times the token has waited for one.
	Touches func() int
	// PINsSeen counts the PINs shown to the token, nil where nobody can tell.
	PINsSeen func() int
}

// Fixture is what one test works with.
type Fixture struct {
	Driver tokens.Driver
	// A and B are different tokens. They may share a locator where that says
	// nothing, as with software tokens.
	A, B Token
}

// Config describes a driver.
type Config struct {
	// New makes a Fixture that lasts as long as the test.
	New func(t *testing.T) *Fixture
	// Classes are the classes that a token of this kind can have.
	Classes []tokens.Class
	// Algorithm is that of the keys made by default.
	Algorithm tokens.Algorithm
	// Listed says that List shows the keys of a token.
	Listed bool
	// TouchesAlways says that a session key waits for a touch too.
	TouchesAlways bool
	// PINAlways says that a touch key takes the PIN too.
	PINAlways bool
	// CountsTries says that a wrong PIN comes with the tries left.
	CountsTries bool
	// Cancels says that a cancelled operation ends at once, even while the
	// token waits for a touch.
	Cancels bool
	// Parts names the parts to run, for a token that differs from another of its
	// kind in details alone; nil means all.
	Parts []string
	// Bypass, when set, tries as another program to use the session key without
	// a PIN, and returns nil if that succeeded.
	Bypass func(t *testing.T, f *Fixture, k tokens.Key, peer []byte) error
}

// Run runs the suite.
func Run(t *testing.T, c Config) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Config)
	}{
		{"Enroll", testEnroll},
		{"Agree", testAgree},
		{"PIN", testPIN},
		{"WrongToken", testWrongToken},
		{"InvalidRequests", testInvalid},
		{"Touch", testTouch},
		{"Cancel", testCancel},
		{"ChangePIN", testChangePIN},
		{"Inspect", testInspect},
		{"NothingLeftOpen", testNothingLeftOpen},
		{"Concurrency", testConcurrency},
		{"Probe", testProbe},
		{"Wipe", testWipe},
	} {
		if c.Parts != nil && !slices.Contains(c.Parts, part.name) {
			continue
		}
		t.Run(part.name, func(t *testing.T) { part.run(t, c) })
	}
}

func enroll(t *testing.T, c Config, f *Fixture, tok Token) tokens.Enrollment {
	t.Helper()
	e, err := f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: tok.Locator, Classes: c.Classes, PIN: bytes.Clone(tok.PIN)})
	if err != nil {
		t.Fatalf("cannot enroll: %v", err)
	}
	return e
}

func key(t *testing.T, e tokens.Enrollment, class tokens.Class) tokens.Key {
	t.Helper()
	for _, k := range e.Keys {
		if k.Class == class {
			return k
		}
	}
	t.Fatalf("no key of class %s", class)
	return tokens.Key{}
}

// Peer makes the other side of an agreement with k.
func Peer(t testing.TB, k tokens.Key) *ecdh.PrivateKey {
	t.Helper()
	p, err := curve(t, k.Algorithm).GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func curve(t testing.TB, a tokens.Algorithm) ecdh.Curve {
	t.Helper()
	switch a {
	case tokens.P256:
		return ecdh.P256()
	case tokens.P384:
		return ecdh.P384()
	case tokens.X25519:
		return ecdh.X25519()
	}
	t.Fatalf("unknown algorithm %q", a)
	return nil
}

// Want fails the test unless got is what crypto/ecdh computes from the other
// side.
func Want(t testing.TB, got []byte, k tokens.Key, peer *ecdh.PrivateKey) {
	t.Helper()
	pub, err := curve(t, k.Algorithm).NewPublicKey(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	want, err := peer.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the shared secret is another")
	}
}

// Code fails the test unless err is a *tokens.Error of that code.
func Code(t testing.TB, err error, code tokens.Code) *tokens.Error {
	t.Helper()
	var told *tokens.Error
	if !errors.As(err, &told) || told.Code != code {
		t.Fatalf("error %v, want code %s", err, code)
	}
	return told
}

// request is an agreement that works, with the touches announced counted.
func request(c Config, tok Token, e tokens.Enrollment, k tokens.Key, peer *ecdh.PrivateKey, touches *int) tokens.AgreeRequest {
	r := tokens.AgreeRequest{
		Locator: tok.Locator, Key: k, Peer: peer.PublicKey().Bytes(), KeyFile: e.KeyFile,
		OnTouch: func() { *touches++ },
	}
	if k.Class == tokens.ClassSession || c.PINAlways {
		r.PIN = bytes.Clone(tok.PIN)
	}
	return r
}

func testEnroll(t *testing.T, c Config) {
	f := c.New(t)
	list, err := f.Driver.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(x tokens.Token) bool { return x.Locator == f.A.Locator })
	if i < 0 {
		t.Fatalf("the token is not in the list %v", list)
	}
	if list[i].ID == "" || list[i].Model == "" || list[i].Problem != nil {
		t.Fatalf("listed as %+v", list[i])
	}
	e := enroll(t, c, f, f.A)
	if len(e.Keys) != len(c.Classes) {
		t.Fatalf("%d keys for %d classes", len(e.Keys), len(c.Classes))
	}
	for _, k := range e.Keys {
		if k.Kind != list[i].Kind || k.Algorithm != c.Algorithm || len(k.Params) > 4096 {
			t.Errorf("key %+v", k)
		}
		if _, err := curve(t, k.Algorithm).NewPublicKey(k.Public); err != nil {
			t.Errorf("public key: %v", err)
		}
	}
	if len(c.Classes) == 2 && bytes.Equal(e.Keys[0].Public, e.Keys[1].Public) {
		t.Error("both classes have one key")
	}
	if !c.Listed {
		return
	}
	if list, err = f.Driver.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range e.Keys {
		found := slices.ContainsFunc(list, func(x tokens.Token) bool {
			return x.Locator == f.A.Locator && slices.ContainsFunc(x.Keys, func(s tokens.SlotKey) bool { return bytes.Equal(s.Public, k.Public) })
		})
		if !found {
			t.Errorf("the %s key is not in the list", k.Class)
		}
	}
	// A second enrolment destroys nothing.
	_, err = f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: f.A.Locator, Classes: c.Classes, PIN: bytes.Clone(f.A.PIN)})
	Code(t, err, tokens.CodeOccupied)
}

func testAgree(t *testing.T, c Config) {
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	for _, k := range e.Keys {
		for range 3 {
			peer, touches := Peer(t, k), 0
			got, err := f.Driver.Agree(t.Context(), request(c, f.A, e, k, peer, &touches))
			if err != nil {
				t.Fatalf("%s: %v", k.Class, err)
			}
			Want(t, got, k, peer)
			want := 0
			if k.Class == tokens.ClassTouch || c.TouchesAlways {
				want = 1
			}
			if touches != want {
				t.Fatalf("%s: %d touches announced, want %d", k.Class, touches, want)
			}
		}
	}
}

func testPIN(t *testing.T, c Config) {
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassSession)
	peer, touches := Peer(t, k), 0
	r := request(c, f.A, e, k, peer, &touches)
	r.PIN = nil
	_, err := f.Driver.Agree(t.Context(), r)
	Code(t, err, tokens.CodePINRequired)
	r.PIN = bytes.Clone(f.A.WrongPIN)
	_, err = f.Driver.Agree(t.Context(), r)
	told := Code(t, err, tokens.CodePINInvalid)
	if c.CountsTries != (told.Tries >= 0) {
		t.Fatalf("%d tries left", told.Tries)
	}
	if bytes.Contains([]byte(err.Error()), f.A.WrongPIN) {
		t.Fatal("the PIN is in the error")
	}
	r.PIN = bytes.Clone(f.A.PIN)
	got, err := f.Driver.Agree(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	Want(t, got, k, peer)
	_, err = f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: f.B.Locator, Classes: c.Classes})
	Code(t, err, tokens.CodePINRequired)
}

func testWrongToken(t *testing.T, c Config) {
	f := c.New(t)
	ea, eb := enroll(t, c, f, f.A), enroll(t, c, f, f.B)
	for _, k := range ea.Keys {
		touches := 0
		r := request(c, f.B, eb, k, Peer(t, k), &touches)
		r.PIN = bytes.Clone(f.A.PIN)
		before := 0
		if f.B.PINsSeen != nil {
			before = f.B.PINsSeen()
		}
		_, err := f.Driver.Agree(t.Context(), r)
		Code(t, err, tokens.CodeWrongToken)
		if touches != 0 {
			t.Error("a touch was announced")
		}
		if f.B.PINsSeen != nil && f.B.PINsSeen() != before {
			t.Error("the PIN was shown to another token")
		}
	}
}

func testInvalid(t *testing.T, c Config) {
	f := c.New(t)
	e := enroll(t, c, f, f.A)
	k := key(t, e, tokens.ClassSession)
	touches := 0
	good := request(c, f.A, e, k, Peer(t, k), &touches)
	off := bytes.Clone(good.Peer)
	off[len(off)-1] ^= 1
	peers := map[string][]byte{"none": nil, "short": good.Peer[:10], "long": append(bytes.Clone(good.Peer), 0), "zero": make([]byte, len(good.Peer))}
	if k.Algorithm != tokens.X25519 {
		peers["off the curve"] = off
		peers["compressed"] = append([]byte{2}, good.Peer[1:1+(len(good.Peer)-1)/2]...)
		peers["infinity"] = []byte{0}
	}
	for name, peer := range peers {
		r := good
		r.PIN, r.Peer = bytes.Clone(f.A.PIN), peer
		if _, err := f.Driver.Agree(t.Context(), r); err == nil {
			t.Errorf("peer %s was used", name)
		} else {
			Code(t, err, tokens.CodeInvalid)
		}
	}
	r := good
	r.PIN, r.Key.Algorithm = bytes.Clone(f.A.PIN), "P-521"
	_, err := f.Driver.Agree(t.Context(), r)
	Code(t, err, tokens.CodeInvalid)
	_, err = f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: f.A.Locator, PIN: bytes.Clone(f.A.PIN)})
	Code(t, err, tokens.CodeInvalid)
	_, err = f.Driver.Enroll(t.Context(), tokens.EnrollRequest{Locator: "no such token", Classes: c.Classes, PIN: bytes.Clone(f.A.PIN)})
	Code(t, err, tokens.CodeNotPresent)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Driver.Agree(ended, good)
	Code(t, err, tokens.CodeCancelled)
}

func testInspect(t *testing.T, c Config) {
	f := c.New(t)
	i, ok := f.Driver.(tokens.Inspector)
	if !ok {
		return
	}
	d, err := i.Inspect(t.Context(), f.A.Locator)
	if err != nil {
		t.Fatal(err)
	}
	if d.Token.Locator != f.A.Locator || d.Token.ID == "" {
		t.Fatalf("details %+v", d)
	}
	_, err = i.Inspect(t.Context(), "no such token")
	Code(t, err, tokens.CodeNotPresent)
}

// soon is how fast work goes on once the cause of a failure is gone.
const soon = time.Second
