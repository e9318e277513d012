//go:build cgo && linux && !nofido2

package fido2_test

import (
	"bytes"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/webkey"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

const keysUser = "00112233445566778899aabbccddeeff"

func factorHash(n byte) [32]byte {
	return webkey.ForFactor([32]byte{1}, [16]byte{2}, [16]byte{3}, []byte{n})
}

func asWebkey(a tokens.Assertion) webkey.Assertion {
	return webkey.Assertion{Credential: a.Credential, AuthData: a.AuthData, Signature: a.Signature}
}

// registered has a key make a credential, as an authority would take it.
func registered(t *testing.T, a tokens.Asserter, s slot, pin []byte) webkey.Credential {
	t.Helper()
	hash := webkey.ForNew(keysUser)
	made, err := a.MakeCredential(t.Context(), tokens.CredentialRequest{Locator: s.path(), Hash: hash[:], PIN: pin})
	if err != nil {
		t.Fatal(err)
	}
	said, err := webkey.EncodeNew(made.AuthData, asWebkey(made.Proof))
	if err != nil {
		t.Fatal(err)
	}
	c, err := webkey.ReadNew(said, hash)
	if err != nil {
		t.Fatal(err)
	}
	if made.Token.Locator != s.path() {
		t.Errorf("%+v", made.Token)
	}
	return c
}

func assertion(t *testing.T, a tokens.Asserter, s slot, pin []byte, hash [32]byte, ids ...[]byte) ([]byte, error) {
	t.Helper()
	got, err := a.Assert(t.Context(), tokens.AssertRequest{Locator: s.path(), Hash: hash[:], Credentials: ids, PIN: pin})
	if err != nil {
		return nil, err
	}
	said, err := asWebkey(got).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return said, nil
}

// TestAuthority: keys of all kinds are registered, and sign what an authority takes.
func TestAuthority(t *testing.T) {
	all := kinds()
	all["no PIN"] = vfido.Options{}
	all["2.0 without a PIN"] = vfido.Options{Version: vfido.CTAP20}
	all["a finger"] = vfido.Options{UV: true}
	for name, o := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other := plug(t, o), plug(t, o)
			var pin []byte
			if o.PIN != "" {
				pin = []byte(o.PIN)
			}
			d := client(s.path(), other.path())
			c := registered(t, d, s, pin)
			if want := o.PIN != "" || o.UV; c.UV != want {
				t.Errorf("UV %v", c.UV)
			}
			if s.Residents() > 0 {
				t.Error("the key keeps the credential")
			}
			foreign := bytes.Repeat([]byte{7}, len(c.ID))
			before := s.Counts()
			touches := 0
			got, err := d.Assert(t.Context(), tokens.AssertRequest{Locator: s.path(), Hash: hashOf(1), Credentials: [][]byte{foreign, c.ID}, PIN: pin,
				OnTouch: func() { touches++ }})
			if err != nil {
				t.Fatal(err)
			}
			if n := s.Counts().TouchesAsked - before.TouchesAsked; n != 1 && !o.UV || touches != 1 {
				t.Errorf("%d touches, %d told", n, touches)
			}
			said, err := asWebkey(got).Encode()
			if err != nil {
				t.Fatal(err)
			}
			count, err := c.Check(said, factorHash(1))
			if err != nil {
				t.Fatal(err)
			}
			c.Count = count
			if _, err := c.Check(said, factorHash(1)); err == nil {
				t.Error("the same assertion is taken again")
			}
			// Another key of the same kind sees neither PIN nor touch.
			before = other.Counts()
			_, err = assertion(t, d, other, pin, factorHash(2), c.ID)
			conformance.Code(t, err, tokens.CodeWrongToken)
			if n := other.Counts(); n.TouchesAsked != before.TouchesAsked || n.PINsSeen != before.PINsSeen {
				t.Errorf("%+v", n)
			}
		})
	}
}

func hashOf(n byte) []byte {
	h := factorHash(n)
	return h[:]
}

// TestAuthorityPIN: the PIN is asked for before a touch, and a wrong one is told.
func TestAuthorityPIN(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := client(s.path())
	hash := webkey.ForNew(keysUser)
	_, err := d.MakeCredential(t.Context(), tokens.CredentialRequest{Locator: s.path(), Hash: hash[:]})
	conformance.Code(t, err, tokens.CodePINRequired)
	c := registered(t, d, s, []byte(rightPIN))
	before := s.Counts().TouchesAsked
	_, err = assertion(t, d, s, nil, factorHash(1), c.ID)
	conformance.Code(t, err, tokens.CodePINRequired)
	_, err = assertion(t, d, s, []byte(wrongPIN), factorHash(1), c.ID)
	conformance.Code(t, err, tokens.CodePINInvalid)
	if s.Counts().TouchesAsked != before {
		t.Error("a touch was waited for")
	}
	s.SetTouch(vfido.TouchNo)
	_, err = assertion(t, d, s, []byte(rightPIN), factorHash(1), c.ID)
	conformance.Code(t, err, tokens.CodeTouchDenied)
	s.SetTouch(vfido.TouchYes)
	if _, err = assertion(t, d, s, []byte(rightPIN), factorHash(1), c.ID); err != nil {
		t.Error(err)
	}
}

// TestAuthorityKeepsToItself: credentials of vaults and of authorities do not answer
// for each other, and what makes no sense reaches no key.
func TestAuthorityKeepsToItself(t *testing.T) {
	s := plug(t, vfido.Options{})
	d := client(s.path())
	e, _ := enroll(t, d, s, "")
	c := registered(t, d, s, nil)
	for _, cred := range s.Credentials() {
		if !bytes.Equal(cred.ID, c.ID) {
			_, err := assertion(t, d, s, nil, factorHash(1), cred.ID)
			conformance.Code(t, err, tokens.CodeWrongToken)
		}
	}
	agree(t, d, s, keyOf(t, e, tokens.ClassTouch), "")
	for _, r := range []tokens.AssertRequest{
		{Locator: s.path(), Hash: make([]byte, 31), Credentials: [][]byte{c.ID}},
		{Locator: s.path(), Hash: make([]byte, 32)},
		{Locator: s.path(), Hash: make([]byte, 32), Credentials: [][]byte{{}}},
		{Locator: s.path(), Hash: make([]byte, 32), Credentials: [][]byte{make([]byte, 1024)}},
		{Locator: s.path(), Hash: make([]byte, 32), Credentials: make([][]byte, 17)},
	} {
		_, err := d.Assert(t.Context(), r)
		conformance.Code(t, err, tokens.CodeInvalid)
	}
	_, err := d.MakeCredential(t.Context(), tokens.CredentialRequest{Locator: s.path(), Hash: []byte("x")})
	conformance.Code(t, err, tokens.CodeInvalid)
	_, err = d.MakeCredential(t.Context(), tokens.CredentialRequest{Locator: "/dev/null", Hash: make([]byte, 32)})
	conformance.Code(t, err, tokens.CodeNotPresent)
	if tokens.AuthorityRP != webkey.RelyingParty {
		t.Error("keys sign for another party than authorities check")
	}
}
