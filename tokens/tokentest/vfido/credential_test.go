package vfido

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func TestMakeRefusals(t *testing.T) {
	c := newClient(t, Options{MaxList: 2})
	missing := func(key int) func(m) { return func(p m) { delete(p, key) } }
	for _, tt := range []struct {
		what   string
		change func(m)
		want   Status
	}{
		{"no hash", missing(1), StatusMissingParameter}, {"no rp", missing(2), StatusMissingParameter},
		{"no user", missing(3), StatusMissingParameter}, {"no algorithms", missing(4), StatusMissingParameter},
		{"short hash", set(1, []byte{1}), StatusInvalidLength},
		{"text for a hash", set(1, "text"), StatusUnexpectedType},
		{"RSA", set(4, []any{map[string]any{"type": "public-key", "alg": -257}}), StatusUnsupportedAlgorithm},
		{"EdDSA", set(4, []any{map[string]any{"type": "public-key", "alg": -8}}), StatusUnsupportedAlgorithm},
		{"another type", set(4, []any{map[string]any{"type": "private-key", "alg": -7}}), StatusUnsupportedAlgorithm},
		{"without touch", option(7, "up", false), StatusInvalidOption},
		{"a finger it has no reader for", option(7, "uv", true), StatusInvalidOption},
		{"long list", set(5, descriptors([]byte{1}, []byte{2}, []byte{3})), StatusLimitExceeded},
		{"enterprise attestation", set(10, 1), StatusInvalidParameter},
		{"unknown protocol", func(p m) { p[8], p[9] = make([]byte, 16), 3 }, StatusInvalidParameter},
		{"no protocol", set(8, make([]byte, 16)), StatusMissingParameter},
		{"no token", func(p m) { p[8], p[9] = make([]byte, 32), 2 }, StatusPINAuthInvalid},
		{"protection 4", set(6, map[string]any{"credProtect": 4}), StatusInvalidOption},
		{"hmac-secret of a number", set(6, map[string]any{"hmac-secret": 1}), StatusUnexpectedType},
		{"nothing for a touch", set(8, []byte{}), StatusPINNotSet},
	} {
		t.Run(tt.what, func(t *testing.T) {
			c.t = t
			c.want(tt.want, CommandMakeCredential, makeParams(tt.change))
		})
	}
	c.t = t
	if n := c.k.Counts(); n.MakeCredentials != 0 || len(c.k.Credentials()) != 0 {
		t.Errorf("%+v", n)
	}
	c.want(StatusOK, CommandMakeCredential, makeParams(set(6, map[string]any{"unknown": 1}), option(7, "up", true)))
	old := newClient(t, Options{Version: CTAP20})
	old.want(StatusInvalidOption, CommandMakeCredential, makeParams(option(7, "up", true)))
	none := newClient(t, Options{MaxResident: -1})
	none.want(StatusUnsupportedOption, CommandMakeCredential, makeParams(option(7, "rk", true)))
}

func TestBadCBOR(t *testing.T) {
	c := newClient(t, Options{})
	good, err := cbor.Marshal(assertParams([]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		in   []byte
		want Status
	}{
		"nothing":           {nil, StatusInvalidLength},
		"no parameters":     {[]byte{2}, StatusMissingParameter},
		"half":              {append([]byte{2}, good[:len(good)/2]...), StatusInvalidCBOR},
		"too much":          {append(append([]byte{2}, good...), 0), StatusInvalidCBOR},
		"a number":          {[]byte{2, 0x01}, StatusUnexpectedType},
		"twice the same":    {[]byte{2, 0xA2, 1, 0x61, 'a', 1, 0x61, 'a'}, StatusInvalidCBOR},
		"indefinite length": {[]byte{2, 0xBF, 1, 0x61, 'a', 0xFF}, StatusInvalidCBOR},
		"a tag":             {[]byte{2, 0xC1, 0xA0}, StatusInvalidCBOR},
		"deep":              {[]byte{2, 0xA1, 9, 0x81, 0x81, 0x81, 0x81, 0x81, 0}, StatusInvalidCBOR},
		"unknown command":   {[]byte{0x55}, StatusInvalidCommand},
		"large blobs":       {[]byte{0x0C}, StatusInvalidCommand},
		"too large":         {append([]byte{2}, make([]byte, 1200)...), StatusRequestTooLarge},
	} {
		if out := c.k.CBOR(t.Context(), tt.in); len(out) != 1 || Status(out[0]) != tt.want {
			t.Errorf("%s: %x, not %v", what, out, tt.want)
		}
	}
	old := newClient(t, Options{Version: CTAP20})
	old.want(StatusInvalidCommand, CommandSelection, nil)
	u2f := newClient(t, Options{Version: U2FOnly})
	u2f.want(StatusInvalidCommand, CommandGetInfo, nil)
}

func TestTouches(t *testing.T) {
	var last Prompt
	c := newClient(t, Options{TouchTimeout: 150 * time.Millisecond})
	id := c.make()
	c.k.SetTouch(func(_ context.Context, p Prompt) bool { last = p; return true })
	c.want(StatusOK, CommandGetAssertion, assertParams(id))
	if last != (Prompt{CommandGetAssertion, testRP}) {
		t.Errorf("asked for %+v", last)
	}
	all := map[Command]any{
		CommandMakeCredential: makeParams(), CommandGetAssertion: assertParams(id), CommandSelection: nil, CommandReset: nil,
	}
	for cmd, params := range all {
		c.k.SetTouch(TouchNo)
		c.want(StatusOperationDenied, cmd, params)
		c.k.SetTouch(TouchNever)
		c.want(StatusUserActionTimeout, cmd, params)
		c.k.SetTouch(TouchAfter(time.Hour))
		c.want(StatusUserActionTimeout, cmd, params)
	}
	before := c.k.Counts()
	c.k.SetTouch(TouchAfter(time.Millisecond))
	c.want(StatusOK, CommandSelection, nil)
	// Pre-flights and what is not there need no touch.
	c.k.SetTouch(TouchNo)
	c.want(StatusOK, CommandGetAssertion, assertParams(id, option(5, "up", false)))
	if c.data().flags != 0 {
		t.Errorf("flags %x of a pre-flight", c.data().flags)
	}
	c.want(StatusNoCredentials, CommandGetAssertion, assertParams([]byte{1}, option(5, "up", false)))
	c.want(StatusNoCredentials, CommandGetAssertion, assertParams([]byte{1}))
	after := c.k.Counts()
	if after.TouchesAsked != before.TouchesAsked+1 || after.TouchesGiven != before.TouchesGiven+1 || after.Preflights != before.Preflights+2 {
		t.Errorf("%+v after %+v", after, before)
	}
	c.k.SetTouch(nil)
	c.want(StatusCredentialExcluded, CommandMakeCredential, makeParams(set(5, descriptors([]byte{9}, id))))
	if c.k.Counts().TouchesGiven != after.TouchesGiven+1 {
		t.Error("an excluded credential was told without a touch")
	}
	c.want(StatusPINNotSet, CommandGetAssertion, assertParams(id, set(6, []byte{})))
	if s := c.setPIN(testPIN); s != StatusOK {
		t.Fatal(s)
	}
	c.want(StatusPINInvalid, CommandGetAssertion, assertParams(id, set(6, []byte{})))
	if c.k.PINTries() != 8 {
		t.Error("choosing a key by touch cost a try")
	}
}

func TestPINNeeded(t *testing.T) {
	plain, resident := makeParams(), makeParams(option(7, "rk", true))
	for _, tt := range []struct {
		what           string
		o              Options
		plain, rk, use Status
	}{
		{"2.1 without PIN", Options{}, StatusOK, StatusOK, StatusOK},
		{"2.1", Options{PIN: testPIN}, StatusOK, StatusPINRequired, StatusOK},
		{"2.0", Options{PIN: testPIN, Version: CTAP20}, StatusPINRequired, StatusPINRequired, StatusOK},
		{"makeCredUvNotRqd off", Options{PIN: testPIN, MakeCredUVRequired: true}, StatusPINRequired, StatusPINRequired, StatusOK},
		{"alwaysUv", Options{PIN: testPIN, AlwaysUV: true}, StatusPINRequired, StatusPINRequired, StatusPINRequired},
		{"alwaysUv without PIN", Options{AlwaysUV: true}, StatusPINRequired, StatusPINRequired, StatusPINRequired},
		{"alwaysUv with a finger", Options{AlwaysUV: true, UV: true}, StatusOK, StatusOK, StatusOK},
	} {
		c := newClient(t, tt.o)
		if a, b := c.call(CommandMakeCredential, plain), c.call(CommandMakeCredential, resident); a != tt.plain || b != tt.rk {
			t.Errorf("%s: %v, %v", tt.what, a, b)
		}
		if tt.o.PIN != "" {
			if s := c.login(testPIN, 0, ""); s != StatusOK {
				t.Fatal(s)
			}
		}
		var id []byte
		if tt.o.PIN != "" {
			id = c.make(c.withToken(8, 9))
		} else if tt.plain == StatusOK {
			id = c.make()
		} else {
			continue
		}
		if s := c.call(CommandGetAssertion, assertParams(id)); s != tt.use {
			t.Errorf("%s: an assertion: %v", tt.what, s)
		}
		c.want(StatusOK, CommandGetAssertion, assertParams(id, option(5, "up", false)))
	}
}

func TestResidents(t *testing.T) {
	now := newClock()
	c := newClient(t, Options{PIN: testPIN, MaxResident: 3, Now: now.Now})
	add := func(user byte, change ...func(m)) Status {
		t.Helper()
		if s := c.login(testPIN, permitMake, testRP); s != StatusOK {
			t.Fatal(s)
		}
		change = append(change, option(7, "rk", true), set(3, map[string]any{"id": []byte{user}, "name": "name"}), c.withToken(8, 9))
		return c.call(CommandMakeCredential, makeParams(change...))
	}
	for _, user := range []byte{1, 2, 2, 3} {
		if s := add(user); s != StatusOK {
			t.Fatal(s)
		}
	}
	if s := add(4); s != StatusKeyStoreFull || c.k.Residents() != 3 {
		t.Errorf("%v with %d", s, c.k.Residents())
	}
	if s := add(5, set(2, map[string]any{"id": "x"})); s != StatusPINAuthInvalid {
		t.Error(s)
	}
	users := func(uv bool) (got []byte) {
		t.Helper()
		p := assertParams(nil)
		if uv {
			if s := c.login(testPIN, permitAssert, testRP); s != StatusOK {
				t.Fatal(s)
			}
			p = assertParams(nil, c.withToken(6, 7))
		}
		c.want(StatusOK, CommandGetAssertion, p)
		var n int
		if c.get(5, &n); n != 3 {
			t.Errorf("%d credentials", n)
		}
		for range 3 {
			var u userEntity
			c.get(4, &u)
			if (u.Name != "") != uv {
				t.Errorf("the user's name is %q", u.Name)
			}
			got = append(got, u.ID...)
			if s := c.call(CommandGetNextAssertion, nil); s != StatusOK {
				if s != StatusNotAllowed {
					t.Error(s)
				}
				break
			}
		}
		return got
	}
	if got := users(true); !bytes.Equal(got, []byte{3, 2, 1}) {
		t.Errorf("users %v", got)
	}
	if got := users(false); !bytes.Equal(got, []byte{3, 2, 1}) {
		t.Errorf("users %v", got)
	}
	// Another command, or time, ends the sequence.
	c.want(StatusOK, CommandGetAssertion, assertParams(nil))
	c.want(StatusOK, CommandGetInfo, nil)
	c.want(StatusNotAllowed, CommandGetNextAssertion, nil)
	c.want(StatusOK, CommandGetAssertion, assertParams(nil))
	now.advance(31 * time.Second)
	c.want(StatusNotAllowed, CommandGetNextAssertion, nil)
	c.want(StatusUnsupportedOption, CommandGetAssertion, assertParams(nil, option(5, "rk", true)))
	c.want(StatusMissingParameter, CommandGetAssertion, m{1: testRP})
}

func TestCredProtect(t *testing.T) {
	c := newClient(t, Options{PIN: testPIN})
	token := func() func(m) {
		if s := c.login(testPIN, 0, ""); s != StatusOK {
			t.Fatal(s)
		}
		return c.withToken(8, 9)
	}
	for level, want := range map[int]struct{ listed, found, excluded Status }{
		1: {StatusOK, StatusOK, StatusCredentialExcluded},
		2: {StatusOK, StatusNoCredentials, StatusCredentialExcluded},
		3: {StatusNoCredentials, StatusNoCredentials, StatusOK},
	} {
		c.want(StatusOK, CommandReset, nil)
		if s := c.setPIN(testPIN); s != StatusOK {
			t.Fatal(s)
		}
		id := c.make(option(7, "rk", true), set(6, map[string]any{"credProtect": level, "hmac-secret": true}), token())
		if got := c.data().extensions["credProtect"]; got != uint64(level) {
			t.Errorf("level %d is told as %v", level, got)
		}
		c.want(want.listed, CommandGetAssertion, assertParams(id))
		c.want(want.found, CommandGetAssertion, assertParams(nil))
		c.want(want.excluded, CommandMakeCredential, makeParams(set(5, descriptors(id))))
		token()
		c.want(StatusOK, CommandGetAssertion, assertParams(nil, c.withToken(6, 7)))
	}
}

func TestHMACSecret(t *testing.T) {
	each(t, Options{PIN: testPIN}, func(t *testing.T, c *client) {
		login := func() {
			t.Helper()
			if s := c.login(testPIN, 0, ""); s != StatusOK {
				t.Fatal(s)
			}
		}
		login()
		id := c.make(c.withToken(8, 9))
		if c.data().extensions["hmac-secret"] != true {
			t.Error("the new credential does not tell of hmac-secret")
		}
		get := func(salts []byte, change ...func(m)) []byte {
			t.Helper()
			c.want(StatusOK, CommandGetAssertion, assertParams(id, append(change, c.withSalts(salts))...))
			return c.secrets()
		}
		one, two := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
		a, b := get(one), get(two)
		if len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(get(one), a) || !bytes.Equal(get(append(bytes.Clone(one), two...)), append(bytes.Clone(a), b...)) {
			t.Error("outputs do not depend on the salt alone")
		}
		login()
		if bytes.Equal(get(one, c.withToken(6, 7)), a) {
			t.Error("the output is the same with and without user verification")
		}
		if n := c.k.Counts().HMACOutputs; n != 6 {
			t.Errorf("%d outputs", n)
		}
		c.agree()
		for what, tt := range map[string]struct {
			change func(in m)
			want   Status
		}{
			"forged":      {func(in m) { in[3] = make([]byte, 32) }, StatusPINAuthInvalid},
			"no salts":    {func(in m) { delete(in, 2) }, StatusMissingParameter},
			"no key":      {func(in m) { delete(in, 1) }, StatusMissingParameter},
			"no MAC":      {func(in m) { delete(in, 3) }, StatusMissingParameter},
			"a protocol":  {func(in m) { in[4] = 3 - c.protocol }, StatusInvalidParameter},
			"short salts": {func(in m) { in[2] = c.seal(one[:16]); in[3] = c.auth(c.mac, in[2].([]byte)) }, StatusInvalidParameter},
			"odd salts":   {func(in m) { in[2] = one[:15]; in[3] = c.auth(c.mac, in[2].([]byte)) }, StatusInvalidParameter},
		} {
			sealed := c.seal(one)
			in := m{1: c.peer, 2: sealed, 3: c.auth(c.mac, sealed), 4: c.protocol}
			tt.change(in)
			if s := c.call(CommandGetAssertion, assertParams(id, set(4, map[string]any{"hmac-secret": in}))); s != tt.want {
				t.Errorf("%s: %v", what, s)
			}
		}
		c.want(StatusUnsupportedOption, CommandGetAssertion, assertParams(id, c.withSalts(one), option(5, "up", false)))
	})
}

func TestHMACSecretVariants(t *testing.T) {
	salt := make([]byte, 32)
	c := newClient(t, Options{PIN: testPIN, OneCredRandom: true})
	id := c.make()
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withSalts(salt)))
	without := c.secrets()
	if s := c.login(testPIN, 0, ""); s != StatusOK {
		t.Fatal(s)
	}
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withToken(6, 7), c.withSalts(salt)))
	if !bytes.Equal(without, c.secrets()) {
		t.Error("the one CredRandom gives two outputs")
	}
	// A credential made without the extension has no output.
	id = c.make(func(p m) { delete(p, 6) })
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withSalts(salt)))
	if c.data().extensions != nil {
		t.Error("an output of a credential without hmac-secret")
	}
	c = newClient(t, Options{NoHMACSecret: true, NoCredProtect: true})
	id = c.make(set(6, map[string]any{"hmac-secret": true, "credProtect": 3}))
	if c.data().flags&flagED != 0 || c.call(CommandGetAssertion, assertParams(id, c.withSalts(salt))) != StatusOK || c.data().extensions != nil {
		t.Error("a key without extensions has them")
	}
}

func TestAttestation(t *testing.T) {
	maker, err := NewMaker("Maker")
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Maker: maker, AAGUID: [16]byte{1, 2, 3}})
	c.make()
	var statement struct {
		Alg int      `cbor:"alg"`
		Sig []byte   `cbor:"sig"`
		X5C [][]byte `cbor:"x5c"`
	}
	c.get(3, &statement)
	if len(statement.X5C) != 1 {
		t.Fatal("no certificate")
	}
	certificate, err := x509.ParseCertificate(statement.X5C[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(maker.Root())
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots}); err != nil || !c.k.AttestationRoot().Equal(maker.Root()) {
		t.Error(err)
	}
	digest := sha256.Sum256(append(c.data().raw, hash()...))
	if public, ok := certificate.PublicKey.(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(public, digest[:], statement.Sig) {
		t.Error("the attestation is not signed by the certificate's key")
	}
	found := false
	for _, e := range certificate.Extensions {
		var model []byte
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}) {
			_, err := asn1.Unmarshal(e.Value, &model)
			found = err == nil && len(model) == 16 && model[2] == 3 && !e.Critical
		}
	}
	if !found || !c.k.AttestationCertificate().Equal(certificate) {
		t.Error("the certificate does not tell the model")
	}
	other := newClient(t, Options{})
	if other.k.AttestationRoot().Equal(maker.Root()) {
		t.Error("another key has the same root")
	}
	for kind, want := range map[Attestation]string{AttestationNone: "none", AttestationSelf: "packed"} {
		c := newClient(t, Options{Attestation: kind, Algorithms: []int{AlgEdDSA}})
		c.make(set(4, []any{map[string]any{"type": "public-key", "alg": AlgEdDSA}}))
		var format string
		if c.get(1, &format); format != want {
			t.Errorf("format %q", format)
		}
		if kind == AttestationNone {
			if !bytes.Equal(c.answer[3], []byte{0xA0}) {
				t.Errorf("statement %x", c.answer[3])
			}
			continue
		}
		statement.X5C = nil
		c.get(3, &statement)
		d := c.data()
		public := ed25519.PublicKey(c.k.credentials[0].public[len(c.k.credentials[0].public)-32:])
		if statement.X5C != nil || statement.Alg != AlgEdDSA || !ed25519.Verify(public, append(bytes.Clone(d.raw), hash()...), statement.Sig) {
			t.Error("the credential did not sign itself")
		}
	}
}

func TestReset(t *testing.T) {
	now := newClock()
	c := newClient(t, Options{ResetWindow: 10 * time.Second, Now: now.Now, PIN: testPIN})
	c.make()
	now.advance(11 * time.Second)
	c.want(StatusNotAllowed, CommandReset, nil)
	if err := c.k.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	now.advance(9 * time.Second)
	c.want(StatusOK, CommandReset, nil)
	if n := c.k.Counts(); len(c.k.Credentials()) != 0 || !c.k.PINIs("") || n.Resets != 1 || n.PowerCycles != 1 {
		t.Errorf("%+v", n)
	}
	now.advance(2 * time.Second)
	c.want(StatusNotAllowed, CommandReset, nil) // a reset is no power-up
}

func TestManagement(t *testing.T) {
	for _, o := range []Options{{PIN: testPIN}, {PIN: testPIN, Version: CTAP20, ManagementPreview: true}} {
		c := newClient(t, o)
		cmd := CommandManagement
		if o.Version == CTAP20 {
			cmd = CommandManagementPreview
		}
		login := func() {
			t.Helper()
			permissions := permitManage
			if o.Version == CTAP20 {
				permissions = 0
			}
			if s := c.login(testPIN, permissions, ""); s != StatusOK {
				t.Fatal(s)
			}
		}
		manage := func(want Status, sub byte, params any) {
			t.Helper()
			p, message := m{1: sub, 3: c.protocol}, []byte{sub}
			if params != nil {
				raw, err := cbor.Marshal(params)
				if err != nil {
					t.Fatal(err)
				}
				p[2] = cbor.RawMessage(raw)
				message = append(message, raw...)
			}
			p[4] = c.auth(c.token, message)
			c.want(want, cmd, p)
		}
		var ids [][]byte
		for i, rp := range []string{"a.example", "b.example", "a.example"} {
			if s := c.login(testPIN, 0, ""); s != StatusOK {
				t.Fatal(s)
			}
			ids = append(ids, c.make(option(7, "rk", true), set(2, map[string]any{"id": rp}), set(3, map[string]any{"id": []byte{byte(i)}}), c.withToken(8, 9)))
		}
		login()
		c.want(StatusPINRequired, cmd, m{1: 1})
		manage(StatusOK, 1, nil)
		var n, left int
		if c.get(1, &n); n != 3 {
			t.Errorf("%d credentials", n)
		}
		if c.get(2, &left); left != 22 {
			t.Errorf("room for %d", left)
		}
		manage(StatusOK, 2, nil)
		if c.get(5, &n); n != 2 {
			t.Errorf("%d relying parties", n)
		}
		c.want(StatusNotAllowed, cmd, m{1: 5})
		c.want(StatusOK, cmd, m{1: 3})
		c.want(StatusNotAllowed, cmd, m{1: 3})
		h := sha256.Sum256([]byte("a.example"))
		manage(StatusOK, 4, m{1: h[:]})
		if c.get(9, &n); n != 2 {
			t.Errorf("%d credentials of a.example", n)
		}
		c.want(StatusOK, cmd, m{1: 5})
		c.want(StatusNotAllowed, cmd, m{1: 5})
		manage(StatusNoCredentials, 4, m{1: make([]byte, 32)})
		manage(StatusOK, 6, m{2: descriptors(ids[0])[0]})
		manage(StatusNoCredentials, 6, m{2: descriptors(ids[0])[0]})
		manage(StatusMissingParameter, 6, m{})
		if c.k.Residents() != 2 {
			t.Errorf("%d are left", c.k.Residents())
		}
		if o.Version == CTAP20 {
			manage(StatusInvalidSubcommand, 7, m{2: descriptors(ids[1])[0], 3: map[string]any{"id": []byte{1}, "name": "new"}})
			continue
		}
		manage(StatusOK, 7, m{2: descriptors(ids[1])[0], 3: map[string]any{"id": []byte{1}, "name": "new"}})
		manage(StatusInvalidParameter, 7, m{2: descriptors(ids[1])[0], 3: map[string]any{"id": []byte{9}}})
		if s := c.login(testPIN, permitAssert, "a.example"); s != StatusOK {
			t.Fatal(s)
		}
		manage(StatusPINAuthInvalid, 1, nil)
		// A token for one relying party manages that one's alone.
		if s := c.login(testPIN, permitManage, "a.example"); s != StatusOK {
			t.Fatal(s)
		}
		manage(StatusPINAuthInvalid, 1, nil)
		manage(StatusPINAuthInvalid, 6, m{2: descriptors(ids[1])[0]})
		manage(StatusOK, 4, m{1: h[:]})
		manage(StatusOK, 6, m{2: descriptors(ids[2])[0]})
	}
	c := newClient(t, Options{NoManagement: true})
	c.want(StatusInvalidCommand, CommandManagement, m{1: 1})
	c.want(StatusInvalidCommand, CommandManagementPreview, m{1: 1})
	c = newClient(t, Options{NoManagementPreview: true})
	c.want(StatusInvalidCommand, CommandManagementPreview, m{1: 1})
}
