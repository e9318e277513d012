//go:build cgo && linux && !nofido2

package fido2_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fxamacker/cbor/v2"
	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// TestAttestation: what a maker vouches for is told, and verified against roots
// that were given, and no others.
func TestAttestation(t *testing.T) {
	model := [16]byte{0x2f, 0xc0, 0x57, 0x9f, 0x81, 0x13, 0x47, 0xea, 0xb1, 0x16, 0xbb, 0x5a, 0x8d, 0xb9, 0x20, 0x2a}
	maker, err := vfido.NewMaker("Keys & Sons")
	if err != nil {
		t.Fatal(err)
	}
	other, err := vfido.NewMaker("Keys & Sons") // the same name is not the same maker
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		kind     vfido.Attestation
		roots    [][]byte
		none     bool
		maker    string
		verified bool
	}{
		{name: "root given", roots: [][]byte{other.Root().Raw, maker.Root().Raw}, maker: "Keys & Sons", verified: true},
		{name: "another root", roots: [][]byte{other.Root().Raw}, maker: "Keys & Sons"},
		{name: "no root", maker: "Keys & Sons"},
		{name: "nonsense for roots", roots: [][]byte{nil, {1, 2, 3}}, maker: "Keys & Sons"},
		{name: "self", kind: vfido.AttestationSelf, roots: [][]byte{maker.Root().Raw}},
		{name: "none", kind: vfido.AttestationNone, roots: [][]byte{maker.Root().Raw}, none: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := plug(t, vfido.Options{AAGUID: model, Maker: maker, Attestation: c.kind})
			e, err := driver(s.path()).Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, Roots: c.roots})
			if err != nil {
				t.Fatal(err)
			}
			a := e.Attestation
			if c.none {
				if a != nil {
					t.Errorf("attested %+v", a)
				}
				return
			}
			if a == nil || a.Model != "2fc0579f-8113-47ea-b116-bb5a8db9202a" || a.Maker != c.maker || a.Verified != c.verified {
				t.Errorf("attested %+v", a)
			}
		})
	}
}

// TestAttestationOfOneKeyAlone: the word on the first credential does not vouch for
// a second that comes without.
func TestAttestationOfOneKeyAlone(t *testing.T) {
	maker, err := vfido.NewMaker("Keys & Sons")
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	for silent := range 3 { // the third stays away: both are attested
		s := plug(t, vfido.Options{Maker: maker})
		var made atomic.Int32
		s.SetHook(func(cmd vfido.Command, response []byte) []byte {
			if cmd != vfido.CommandMakeCredential {
				return response
			}
			if int(made.Add(1))-1 != silent {
				return response
			}
			var answer map[int]cbor.RawMessage
			if err := cbor.Unmarshal(response[1:], &answer); err != nil {
				t.Error(err)
			}
			answer[1], answer[3] = cbor.RawMessage("\x64none"), cbor.RawMessage{0xa0}
			out, err := canonical.Marshal(answer)
			if err != nil {
				t.Error(err)
			}
			return append([]byte{0}, out...)
		})
		e, err := driver(s.path()).Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, Roots: [][]byte{maker.Root().Raw}})
		if err != nil || made.Load() != 2 {
			t.Fatalf("%d credentials: %v", made.Load(), err)
		}
		if verified := e.Attestation != nil && e.Attestation.Verified; verified != (silent == 2) {
			t.Errorf("credential %d unattested: %+v", silent, e.Attestation)
		}
	}
}

// TestWipe: enrolling leaves nothing to remove; what something else stored for
// our relying party is removed, and nothing of others.
func TestWipe(t *testing.T) {
	for _, o := range []vfido.Options{{PIN: rightPIN}, {PIN: rightPIN, Version: vfido.CTAP20, ManagementPreview: true}} {
		s := plug(t, o)
		d := driver(s.path())
		e, _ := enroll(t, d, s, rightPIN)
		wipe := func(keys []tokens.Key, pin string) ([]string, error) {
			r := tokens.WipeRequest{Locator: s.path(), Keys: keys}
			if pin != "" {
				r.PIN = []byte(pin)
			}
			return d.Wipe(t.Context(), r)
		}
		seen := s.Counts().PINsSeen
		if gone, err := wipe(e.Keys, ""); err != nil || len(gone) != 0 || s.Counts().PINsSeen != seen {
			t.Errorf("wiped %v: %v", gone, err)
		}
		if gone, err := wipe(e.Keys, rightPIN); err != nil || len(gone) != 0 {
			t.Errorf("wiped %v: %v", gone, err)
		}
		other := plug(t, o)
		foreign, _ := enroll(t, driver(other.path()), other, rightPIN)
		_, err := wipe(foreign.Keys, rightPIN)
		conformance.Code(t, err, tokens.CodeWrongToken)
		store(t, s, fido2.RPID)
		store(t, s, fido2.RPID)
		store(t, s, "example.org")
		_, err = wipe(e.Keys, "")
		conformance.Code(t, err, tokens.CodePINRequired)
		gone, err := wipe(e.Keys, rightPIN)
		left := 1
		if o.Version != vfido.CTAP20 && errors.Is(err, &tokens.Error{Code: tokens.CodeUnsupported}) {
			left = 3 // an old libfido2, and a key that does not know the number of its drafts
		} else if err != nil || len(gone) != 2 {
			t.Fatalf("wiped %v: %v", gone, err)
		}
		if n := s.Residents(); n != left {
			t.Errorf("%d credentials are left", n)
		}
		agree(t, d, s, keyOf(t, e, tokens.ClassSession), rightPIN)
	}
	// Where nothing but a reset would remove it, that is said.
	s := plug(t, vfido.Options{PIN: rightPIN, Version: vfido.CTAP20})
	store(t, s, fido2.RPID)
	_, err := driver(s.path()).Wipe(t.Context(), tokens.WipeRequest{Locator: s.path(), PIN: []byte(rightPIN)})
	conformance.Code(t, err, tokens.CodeUnsupported)
}

// store has the key store a credential, as another program could.
func store(t *testing.T, s slot, rp string) {
	t.Helper()
	dev, err := libfido2.NewDevice(s.path())
	if err != nil {
		t.Fatal(err)
	}
	id := libfido2.RandBytes(16)
	_, err = dev.MakeCredential(libfido2.RandBytes(32), libfido2.RelyingParty{ID: rp, Name: rp}, libfido2.User{ID: id, Name: "x"},
		libfido2.ES256, rightPIN, &libfido2.MakeCredentialOpts{RK: libfido2.True})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInspect: what a key tells of itself, without PIN and touch.
func TestInspect(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN, UV: true, Firmware: [3]byte{5, 7, 1}})
	d := driver(s.path())
	got, err := d.Inspect(t.Context(), s.path())
	if err != nil {
		t.Fatal(err)
	}
	if got.PINTries != 8 || got.PUKTries != -1 || got.Token.Firmware != "5.7.1" || got.Token.NoPIN || got.Attestation != nil {
		t.Errorf("details %+v", got)
	}
	for name, part := range map[string]string{
		"CTAP versions": "FIDO_2_1", "extensions": "hmac-secret", "PIN/UV protocols": "2, 1", "PIN": "set", "tries for a finger": "3",
		"options on": "clientPin", "firmware version": "5.7.1", "room for resident credentials": "25", "model (AAGUID)": "-",
	} {
		if !slices.ContainsFunc(got.Facts, func(f tokens.Fact) bool { return f.Name == name && strings.Contains(f.Value, part) }) {
			t.Errorf("no fact %s: …%s…; facts %+v", name, part, got.Facts)
		}
	}
	if n := s.Counts(); n.PINsSeen+n.TouchesAsked+n.FingersAsked != 0 {
		t.Errorf("%+v", n)
	}
	old := plug(t, vfido.Options{Version: vfido.U2FOnly})
	if got, err = driver(old.path()).Inspect(t.Context(), old.path()); err != nil || got.Token.Problem == nil || got.PINTries != -1 || len(got.Facts) == 0 {
		t.Errorf("details %+v: %v", got, err)
	}
	bare := plug(t, vfido.Options{})
	if got, err = driver(bare.path()).Inspect(t.Context(), bare.path()); err != nil || got.PINTries != -1 || !got.Token.NoPIN {
		t.Errorf("details %+v: %v", got, err)
	}
}

// TestDiagnose: each obstacle is found, with what mends it.
func TestDiagnose(t *testing.T) {
	good, old := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{Version: vfido.U2FOnly})
	change := plug(t, vfido.Options{PIN: rightPIN, ForcePINChange: true})
	paused, last := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{PIN: rightPIN})
	blocked := plug(t, vfido.Options{PIN: rightPIN})
	spoil(t, paused, 3)
	spoil(t, last, 7)
	spoil(t, blocked, 8)
	nothing := t.TempDir() + "/nothing"
	found, err := driver(good.path(), old.path(), change.path(), paused.path(), last.path(), blocked.path(), nothing).Diagnose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]tokens.Code{
		old.path(): tokens.CodeUnsupported, change.path(): tokens.CodePINChange, paused.path(): tokens.CodePINPaused,
		last.path(): tokens.CodeLastTry, blocked.path(): tokens.CodePINBlocked, nothing: tokens.CodeNotPresent,
	}
	if len(found) != len(want) {
		t.Errorf("%d findings, want %d: %+v", len(found), len(want), found)
	}
	for _, f := range found {
		if want[f.Locator] != f.Code || f.Detail == "" {
			t.Errorf("finding %+v, want %s", f, want[f.Locator])
		}
	}
}

// spoil tries so many wrong PINs.
func spoil(t *testing.T, s slot, n int) {
	t.Helper()
	dev, err := libfido2.NewDevice(s.path())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if i > 0 && i%3 == 0 {
			if err := s.PowerCycle(); err != nil {
				t.Fatal(err)
			}
		}
		if err := dev.SetPIN(newPIN, wrongPIN); err == nil {
			t.Fatal("a wrong PIN did")
		}
	}
	if n%3 != 0 && n < 8 {
		if err := s.PowerCycle(); err != nil {
			t.Fatal(err)
		}
	}
}
