//go:build cgo && linux && !nofido2

package fido2_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// cancelAfter calls an agreement off so long after it announced its touch.
func cancelAfter(t testing.TB, d tokens.Driver, s slot, k tokens.Key, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes()}
	r.OnTouch = func() { time.AfterFunc(wait, cancel) }
	began := time.Now()
	_, err := d.Agree(ctx, r)
	conformance.Code(t, err, tokens.CodeCancelled)
	if took := time.Since(began); took > wait+3*time.Second {
		t.Errorf("cancelling took %v", took)
	}
}

// TestLastTry: the last try is spent when asked for alone, and after three wrong
// PINs in a row the key has to be plugged in anew.
func TestLastTry(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := driver(s.path())
	e, _ := enroll(t, d, s, rightPIN)
	k := keyOf(t, e, tokens.ClassSession)
	for left := 7; left > 1; left-- {
		if told := refused(t, d, s, k, wrongPIN, codeAt(left)); told.Tries != left {
			t.Fatalf("%d tries told, want %d", told.Tries, left)
		}
		if left == 5 || left == 2 {
			before := s.Counts().PINsSeen
			if told := refused(t, d, s, k, rightPIN, tokens.CodePINPaused); told.Tries != left {
				t.Errorf("%d tries told, want %d", told.Tries, left)
			}
			if s.Counts().PINsSeen != before {
				t.Error("a paused key saw a PIN")
			}
			if err := s.PowerCycle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused(t, d, s, k, wrongPIN, tokens.CodePINInvalid)
	before := s.Counts()
	for range 3 {
		if told := refused(t, d, s, k, rightPIN, tokens.CodeLastTry); told.Tries != 1 {
			t.Errorf("%d tries told", told.Tries)
		}
	}
	_, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(rightPIN)})
	conformance.Code(t, err, tokens.CodeLastTry)
	_, err = d.ChangePIN(t.Context(), tokens.PINRequest{Locator: s.path(), Which: "pin", Old: []byte(rightPIN), New: []byte(newPIN)})
	conformance.Code(t, err, tokens.CodeLastTry)
	if n := s.Counts(); n.PINsSeen != before.PINsSeen || n.TouchesAsked != before.TouchesAsked || s.PINTries() != 1 {
		t.Errorf("the last try was touched: %+v, %d left", n, s.PINTries())
	}
	// The touch class goes on, for it shows no PIN.
	agree(t, d, s, keyOf(t, e, tokens.ClassTouch), "")
	r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(wrongPIN), SpendLastTry: true}
	_, err = d.Agree(t.Context(), r)
	conformance.Code(t, err, tokens.CodePINBlocked)
	if told := refused(t, d, s, k, rightPIN, tokens.CodePINBlocked); told.Tries != 0 || !strings.Contains(told.Detail, "reset") {
		t.Errorf("told %+v", told)
	}
}

// codeAt is what a wrong PIN brings that leaves so many of 8 tries. Three in a
// row pause the key.
func codeAt(left int) tokens.Code {
	if left == 5 || left == 2 {
		return tokens.CodePINPaused
	}
	return tokens.CodePINInvalid
}

// TestPINBeforeTouch: what is wrong with the PIN is said before anything waits
// for a touch.
func TestPINBeforeTouch(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := driver(s.path())
	e, _ := enroll(t, d, s, rightPIN)
	before := s.Counts().TouchesAsked
	for pin, code := range map[string]tokens.Code{
		"": tokens.CodePINRequired, "123": tokens.CodeInvalid, strings.Repeat("1", 64): tokens.CodeInvalid, rightPIN + "\x00x": tokens.CodeInvalid,
	} {
		r := tokens.AgreeRequest{
			Locator: s.path(), Key: keyOf(t, e, tokens.ClassSession), Peer: conformance.Peer(t, e.Keys[0]).PublicKey().Bytes(),
			OnTouch: func() { t.Errorf("PIN %q: a touch was announced", pin) },
		}
		if pin != "" {
			r.PIN = []byte(pin)
		}
		_, err := d.Agree(t.Context(), r)
		told := conformance.Code(t, err, code)
		if told.Tries != 8 || strings.Contains(err.Error(), rightPIN) {
			t.Errorf("PIN %q: %+v", pin, told)
		}
	}
	if n := s.Counts(); n.TouchesAsked != before || s.PINTries() != 8 {
		t.Errorf("%d touches, %d tries left", n.TouchesAsked-before, s.PINTries())
	}
}

// TestAWrongPINAnnouncesNoTouch, as the key refuses it before it waits for one; a
// right one does, within the time that a person is to be told in.
func TestAWrongPINAnnouncesNoTouch(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := driver(s.path())
	e, _ := enroll(t, d, s, rightPIN)
	k := keyOf(t, e, tokens.ClassSession)
	told := func() { t.Error("a touch was announced") }
	_, err := d.Agree(t.Context(), tokens.AgreeRequest{
		Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(wrongPIN), OnTouch: told,
	})
	conformance.Code(t, err, tokens.CodePINInvalid)
	_, err = d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(wrongPIN), OnTouch: told})
	conformance.Code(t, err, tokens.CodePINInvalid)
	s.SetTouch(vfido.TouchNever)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	announced := false
	_, err = d.Agree(ctx, tokens.AgreeRequest{
		Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN),
		OnTouch: func() { announced = true; cancel() },
	})
	conformance.Code(t, err, tokens.CodeCancelled)
	if !announced {
		t.Error("the touch that is waited for was not announced")
	}
}

// TestSetsPIN sets the first PIN and changes it, within the key's rules.
func TestSetsPIN(t *testing.T) {
	for _, o := range []vfido.Options{{MinPINLength: 6}, {Version: vfido.CTAP20, Protocols: []int{1}}} {
		s := plug(t, o)
		d := driver(s.path())
		e, _ := enroll(t, d, s, "")
		change := func(which, old, fresh string) error {
			r := tokens.PINRequest{Locator: s.path(), Which: which, New: []byte(fresh)}
			if old != "" {
				r.Old = []byte(old)
			}
			_, err := d.ChangePIN(t.Context(), r)
			return err
		}
		conformance.Code(t, change("unblock", "x", newPIN), tokens.CodeUnsupported)
		conformance.Code(t, change("puk", "x", newPIN), tokens.CodeUnsupported)
		conformance.Code(t, change("door", "x", newPIN), tokens.CodeInvalid)
		conformance.Code(t, change("pin", rightPIN, newPIN), tokens.CodePINNotSet)
		for _, bad := range []string{"", "123", strings.Repeat("ü", 32), "12345\x006"} {
			conformance.Code(t, change("pin", "", bad), tokens.CodePINPolicy)
		}
		if o.MinPINLength > 4 {
			conformance.Code(t, change("pin", "", "12345"), tokens.CodePINPolicy)
		}
		if n := s.Counts().PINsSet; n != 0 {
			t.Fatalf("%d PINs were set", n)
		}
		// The same in Unicode's composed form, whatever the keyboard gave.
		if err := change("pin", "", "u\u0308ber-Pin"); err != nil {
			t.Fatal(err)
		}
		if !s.PINIs("\u00fcber-Pin") {
			t.Error("the PIN is not in composed form")
		}
		conformance.Code(t, change("pin", "", newPIN), tokens.CodePINRequired)
		conformance.Code(t, change("pin", wrongPIN, newPIN), tokens.CodePINInvalid)
		if err := change("pin", "\u00fcber-Pin", newPIN); err != nil {
			t.Fatal(err)
		}
		// What was enrolled without a PIN goes on without.
		agree(t, d, s, keyOf(t, e, tokens.ClassSession), "")
		again, _ := enroll(t, d, s, newPIN)
		agree(t, d, s, keyOf(t, again, tokens.ClassSession), newPIN)
	}
}

// TestPINToBeChanged: a key that has every PIN refused until it was changed.
func TestPINToBeChanged(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN, ForcePINChange: true})
	d := driver(s.path())
	_, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(rightPIN)})
	conformance.Code(t, err, tokens.CodePINChange)
	if n := s.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 {
		t.Errorf("%+v", n)
	}
	if _, err := d.ChangePIN(t.Context(), tokens.PINRequest{Locator: s.path(), Which: "pin", Old: []byte(rightPIN), New: []byte(newPIN)}); err != nil {
		t.Fatal(err)
	}
	e, _ := enroll(t, d, s, newPIN)
	agree(t, d, s, keyOf(t, e, tokens.ClassSession), newPIN)
}

// TestPINNotSet: a key that demands a PIN and has none.
func TestPINNotSet(t *testing.T) {
	s := plug(t, vfido.Options{AlwaysUV: true})
	d := driver(s.path())
	list, err := d.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Problem == nil || list[0].Problem.Code != tokens.CodePINNotSet || !list[0].NoPIN {
		t.Fatalf("listed as %+v: %v", list, err)
	}
	_, err = d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both})
	conformance.Code(t, err, tokens.CodePINNotSet)
	if n := s.Counts().TouchesAsked; n != 0 {
		t.Errorf("%d touches", n)
	}
	found, err := d.Diagnose(t.Context())
	if err != nil || len(found) != 1 || found[0].Code != tokens.CodePINNotSet || found[0].Fix == "" {
		t.Errorf("found %+v: %v", found, err)
	}
}

// TestFingerBlocked: after too many strange fingers the PIN is asked for, and no
// further finger.
func TestFingerBlocked(t *testing.T) {
	for _, version := range []vfido.Version{vfido.CTAP20, vfido.CTAP21} {
		s := plug(t, vfido.Options{PIN: rightPIN, UV: true, Version: version})
		d := driver(s.path())
		e, _ := enroll(t, d, s, "")
		k := keyOf(t, e, tokens.ClassSession)
		s.SetFinger(vfido.TouchNo)
		for range 3 {
			refused(t, d, s, k, "", tokens.CodePINRequired)
		}
		before := s.Counts().FingersAsked
		refused(t, d, s, k, "", tokens.CodePINRequired)
		if s.Counts().FingersAsked != before {
			t.Error("another finger was asked for")
		}
		agree(t, d, s, k, rightPIN)
		s.SetFinger(vfido.TouchYes)
		agree(t, d, s, k, "")
	}
}
