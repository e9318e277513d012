//go:build cgo && linux && !nofido2

package fido2_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// enroll has a key enrolled for both classes and counts the touches announced.
func enroll(t testing.TB, d tokens.Driver, s slot, pin string) (tokens.Enrollment, int) {
	t.Helper()
	touches := 0
	r := tokens.EnrollRequest{Locator: s.path(), Classes: both, OnTouch: func() { touches++ }}
	if pin != "" {
		r.PIN = []byte(pin)
	}
	e, err := d.Enroll(t.Context(), r)
	if err != nil {
		t.Fatalf("cannot enroll: %v", err)
	}
	return e, touches
}

// keyOf is the key of a class.
func keyOf(t testing.TB, e tokens.Enrollment, c tokens.Class) tokens.Key {
	t.Helper()
	for _, k := range e.Keys {
		if k.Class == c {
			return k
		}
	}
	t.Fatalf("no %s key", c)
	return tokens.Key{}
}

// agree does one agreement that must work, and counts the touches announced.
func agree(t testing.TB, d tokens.Driver, s slot, k tokens.Key, pin string) int {
	t.Helper()
	touches := 0
	peer := conformance.Peer(t, k)
	r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: peer.PublicKey().Bytes(), OnTouch: func() { touches++ }}
	if pin != "" {
		r.PIN = []byte(pin)
	}
	got, err := d.Agree(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v", k.Class, err)
	}
	conformance.Want(t, got, k, peer)
	return touches
}

// refused does one agreement that must fail.
func refused(t testing.TB, d tokens.Driver, s slot, k tokens.Key, pin string, code tokens.Code) *tokens.Error {
	t.Helper()
	r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes()}
	if pin != "" {
		r.PIN = []byte(pin)
	}
	_, err := d.Agree(t.Context(), r)
	return conformance.Code(t, err, code)
}

// TestMatrix tries a key of every sort. The counts are the key's own.
func TestMatrix(t *testing.T) {
	for _, version := range []vfido.Version{vfido.CTAP20, vfido.CTAP21} {
		for _, protocol := range []int{1, 2} {
			for _, pin := range []string{"", rightPIN} {
				for _, finger := range []bool{false, true} {
					for _, always := range []bool{false, true} {
						for _, shared := range []bool{false, true} {
							if always && (version == vfido.CTAP20 || pin == "" && !finger) {
								continue
							}
							o := vfido.Options{
								Version: version, Protocols: []int{protocol}, PIN: pin, UV: finger, AlwaysUV: always, OneCredRandom: shared,
							}
							name := fmt.Sprintf("2.%d,protocol=%d,pin=%v,finger=%v,always=%v,shared=%v", 2-version, protocol, pin != "", finger, always, shared)
							t.Run(name, func(t *testing.T) { testSort(t, o) })
						}
					}
				}
			}
		}
	}
}

func testSort(t *testing.T, o vfido.Options) {
	s := plug(t, o)
	d := driver(s.path())
	// A key with a finger is used by the finger first: the PIN is for those who
	// have none.
	pin := o.PIN
	if o.UV {
		pin = ""
	}
	e, touches := enroll(t, d, s, pin)
	verified := o.PIN != "" || o.UV
	want := 4
	if verified && !o.AlwaysUV {
		want++
	}
	if touches != want {
		t.Errorf("%d touches announced at enrolling, want %d", touches, want)
	}
	var warnings []tokens.Warning
	switch {
	case !verified:
		warnings = append(warnings, tokens.WarnNoPIN)
	case o.OneCredRandom && !o.AlwaysUV:
		warnings = append(warnings, tokens.WarnPINBypass)
	}
	if !slices.Equal(e.Warnings, warnings) {
		t.Errorf("warnings %v, want %v", e.Warnings, warnings)
	}
	if e.Token.NoPIN == verified || !e.Token.Unlisted || !e.Token.Touch || e.Token.Problem != nil {
		t.Errorf("token %+v", e.Token)
	}
	if n := s.Residents(); n != 0 {
		t.Errorf("%d credentials are stored on the key", n)
	}
	for _, c := range both {
		uses := pin
		if c == tokens.ClassTouch && !o.AlwaysUV {
			uses = ""
		}
		before := s.Counts()
		if n := agree(t, d, s, keyOf(t, e, c), uses); n != 1 {
			t.Errorf("%s: %d touches announced", c, n)
		}
		after := s.Counts()
		seen, want := after.PINsSeen-before.PINsSeen, 0
		if uses != "" {
			want = 1
		}
		if seen != want {
			t.Errorf("%s: the key saw %d PINs, want %d", c, seen, want)
		}
		if n := after.HMACOutputs - before.HMACOutputs; n != 1 {
			t.Errorf("%s: %d outputs of hmac-secret", c, n)
		}
		uv := after.UserVerified - before.UserVerified
		if wantUV := c == tokens.ClassSession && verified || o.AlwaysUV; (uv == 1) != wantUV {
			t.Errorf("%s: the user was verified %d times", c, uv)
		}
		if people := after.TouchesAsked - before.TouchesAsked + after.FingersAsked - before.FingersAsked; people < 1 || people > 2 {
			t.Errorf("%s: the key waited %d times", c, people)
		}
	}
	// The PIN does where the finger does not.
	if o.UV && o.PIN != "" {
		s.SetFinger(vfido.TouchNo)
		told := refused(t, d, s, keyOf(t, e, tokens.ClassSession), "", tokens.CodePINRequired)
		if told.Detail == "" {
			t.Error("no detail")
		}
		agree(t, d, s, keyOf(t, e, tokens.ClassSession), o.PIN)
	}
}

// TestTwoKeys: with two keys plugged in and one enrolled, the other sees neither
// PIN nor touch.
func TestTwoKeys(t *testing.T) {
	a, b := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{PIN: wrongPIN})
	d := client(a.path(), b.path())
	e, _ := enroll(t, d, a, rightPIN)
	before := a.Counts()
	for _, s := range []slot{b, a} {
		held, err := d.Probe(t.Context(), tokens.ProbeRequest{Locator: s.path(), Keys: e.Keys})
		if err != nil {
			t.Fatal(err)
		}
		for _, yes := range held {
			if yes != (s == a) {
				t.Fatalf("held %v", held)
			}
		}
	}
	k := keyOf(t, e, tokens.ClassSession)
	refused(t, d, b, k, rightPIN, tokens.CodeWrongToken)
	agree(t, d, a, k, rightPIN)
	if n := b.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 || n.PINFailures != 0 {
		t.Errorf("the other key: %+v", n)
	}
	if n := a.Counts(); n.PINsSeen-before.PINsSeen != 1 || n.TouchesAsked-before.TouchesAsked != 1 {
		t.Errorf("the right key: %+v", n)
	}
}

// TestManyCredentials asks for more credentials than fit into one request.
func TestManyCredentials(t *testing.T) {
	for name, o := range map[string]vfido.Options{
		"list of 3": {MaxList: 3}, "long ids": {CredentialIDLength: 600}, "2.0 does not tell": {Version: vfido.CTAP20},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := plug(t, o), plug(t, o)
			d := driver(a.path(), b.path())
			var keys []tokens.Key
			var want []bool
			for i := range 7 {
				s := []slot{a, b}[i%2]
				e, _ := enroll(t, d, s, "")
				for _, k := range e.Keys {
					keys, want = append(keys, k), append(want, s == a)
				}
			}
			held, err := d.Probe(t.Context(), tokens.ProbeRequest{Locator: a.path(), Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(held) != fmt.Sprint(want) {
				t.Errorf("held %v, want %v", held, want)
			}
		})
	}
}

// TestAlgorithms: the key pair can be on other curves than X25519.
func TestAlgorithms(t *testing.T) {
	s := plug(t, vfido.Options{CredentialIDLength: 1023})
	d := driver(s.path())
	for _, a := range []tokens.Algorithm{tokens.P256, tokens.P384, tokens.X25519} {
		e, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range e.Keys {
			if k.Algorithm != a || len(k.Params) > 4096 {
				t.Errorf("%s key, %d bytes of parameters", k.Algorithm, len(k.Params))
			}
			agree(t, d, s, k, "")
		}
	}
}

// TestEnrollsOneClass: the touch class alone needs no PIN where the key says so.
func TestEnrollsOneClass(t *testing.T) {
	for _, demands := range []bool{false, true} {
		s := plug(t, vfido.Options{PIN: rightPIN, MakeCredUVRequired: demands})
		d := driver(s.path())
		r := tokens.EnrollRequest{Locator: s.path(), Classes: []tokens.Class{tokens.ClassTouch}}
		_, err := d.Enroll(t.Context(), r)
		if demands {
			conformance.Code(t, err, tokens.CodePINRequired)
			r.PIN = []byte(rightPIN)
			_, err = d.Enroll(t.Context(), r)
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen := s.Counts().PINsSeen; (seen > 0) != demands {
			t.Errorf("the key saw %d PINs", seen)
		}
		r.Classes = []tokens.Class{tokens.ClassTouch, tokens.ClassTouch}
		_, err = d.Enroll(t.Context(), r)
		conformance.Code(t, err, tokens.CodeInvalid)
	}
}

// TestCancelLeavesTheKeyFree: a called-off operation stops the blinking, and the
// next finds the key free.
func TestCancelLeavesTheKeyFree(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	for name, d := range map[string]tokens.Driver{"driver": driver(s.path()), "helper": client(s.path())} {
		t.Run(name, func(t *testing.T) {
			e, _ := enroll(t, d, s, rightPIN)
			k := keyOf(t, e, tokens.ClassTouch)
			for _, wait := range []time.Duration{0, 3 * time.Millisecond, 30 * time.Millisecond, 200 * time.Millisecond} {
				s.SetTouch(vfido.TouchNever)
				before := s.Counts().Cancels
				cancelAfter(t, d, s, k, wait)
				s.SetTouch(vfido.TouchYes)
				began := time.Now()
				agree(t, d, s, k, "")
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("called off after %v: the next took %v", wait, took)
				}
				if wait >= 200*time.Millisecond && s.Counts().Cancels == before {
					t.Error("the key was not told")
				}
			}
		})
	}
}

// TestSalts: a salt made for a browser's PRF is used as the browser does.
func TestSalts(t *testing.T) {
	s := plug(t, vfido.Options{})
	d := driver(s.path())
	e, _ := enroll(t, d, s, "")
	k := keyOf(t, e, tokens.ClassTouch)
	agree(t, d, s, k, "")
	k.Params = bytes.Replace(k.Params, []byte(`"raw"`), []byte(`"prf"`), 1)
	refused(t, d, s, k, "", tokens.CodeNoKey)
	k.Params = bytes.Replace(k.Params, []byte(`"prf"`), []byte(`"odd"`), 1)
	refused(t, d, s, k, "", tokens.CodeInvalid)
}
