package webkey_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/webkey"
	"github.com/tokenbridge/tokend/tokens/tokentest/softkey"
)

const user = "00112233445566778899aabbccddeeff"

func factor(n byte) [32]byte {
	return webkey.ForFactor([32]byte{1}, [16]byte{2}, [16]byte{3}, []byte{n})
}

// registered is what is kept of a key.
func registered(t testing.TB, k *softkey.Key) webkey.Credential {
	t.Helper()
	c, err := webkey.ReadNew(k.New(user), webkey.ForNew(user))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeys(t *testing.T) {
	for name, k := range map[string]*softkey.Key{"ES256": softkey.New(t), "EdDSA": softkey.NewEd25519(t)} {
		c := registered(t, k)
		if !bytes.Equal(c.ID, k.ID) || !c.UV || c.Model != k.Model || c.Count != 2 || !bytes.Equal(c.Public, k.COSE()) {
			t.Errorf("%s: %+v", name, c)
		}
		said := k.Statement(factor(1))
		count, err := c.Check(said, factor(1))
		if err != nil || count != 3 {
			t.Fatalf("%s: %d, %v", name, count, err)
		}
		if id, err := webkey.Named(said); err != nil || !bytes.Equal(id, k.ID) {
			t.Error(err)
		}
		c.Count = count
		if _, err := c.Check(said, factor(1)); !errors.Is(err, webkey.ErrCounter) {
			t.Errorf("%s, replayed: %v", name, err)
		}
	}
}

// TestWithoutPIN: a key that verifies nobody, or counts nothing, or tells more than
// is asked for.
func TestWithoutPIN(t *testing.T) {
	k := softkey.New(t)
	k.Flags, k.Still = softkey.UP|softkey.ED, true
	k.Extensions = []byte{0xa1, 0x61, 'x', 0xf5}
	c := registered(t, k)
	if c.UV || c.Count != 0 {
		t.Fatalf("%+v", c)
	}
	if _, err := c.Check(k.Statement(factor(1)), factor(1)); err != nil {
		t.Error(err)
	}
	// A PIN was set since: more than was asked for.
	k.Flags |= softkey.UV
	if _, err := c.Check(k.Statement(factor(1)), factor(1)); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	k := softkey.New(t)
	c := registered(t, k)
	other := softkey.New(t)
	raw := func(a webkey.Assertion) []byte {
		b, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// as makes an assertion by a key that was changed for it alone.
	as := func(change func(k *softkey.Key)) []byte {
		x := *k
		x.Count += 100
		change(&x)
		return x.Statement(factor(1))
	}
	for name, x := range map[string]struct {
		said []byte
		want error
	}{
		"good":                       {as(func(*softkey.Key) {}), nil},
		"nothing":                    {nil, webkey.ErrMalformed},
		"too large":                  {make([]byte, webkey.MaxStatement+1), webkey.ErrMalformed},
		"a byte too many":            {append(as(func(*softkey.Key) {}), 0), webkey.ErrMalformed},
		"another challenge":          {k.Statement(factor(2)), webkey.ErrNotThis},
		"another authority":          {k.Statement(webkey.ForFactor([32]byte{9}, [16]byte{2}, [16]byte{3}, []byte{1})), webkey.ErrNotThis},
		"another device":             {k.Statement(webkey.ForFactor([32]byte{1}, [16]byte{9}, [16]byte{3}, []byte{1})), webkey.ErrNotThis},
		"another conversation":       {k.Statement(webkey.ForFactor([32]byte{1}, [16]byte{2}, [16]byte{9}, []byte{1})), webkey.ErrNotThis},
		"what it was registered by":  {k.Statement(webkey.ForNew(user)), webkey.ErrNotThis},
		"another key":                {other.Statement(factor(1)), webkey.ErrNotThis},
		"another key in its name":    {as(func(x *softkey.Key) { x.Private = other.Private }), webkey.ErrNotThis},
		"another credential of it":   {as(func(x *softkey.Key) { x.ID = other.ID }), webkey.ErrNotThis},
		"another relying party":      {as(func(x *softkey.Key) { x.RelyingParty = "tokend.invalid" }), webkey.ErrNotThis},
		"no touch":                   {as(func(x *softkey.Key) { x.Flags = softkey.UV }), webkey.ErrNobody},
		"no PIN":                     {as(func(x *softkey.Key) { x.Flags = softkey.UP }), webkey.ErrNobody},
		"the counter stands still":   {as(func(x *softkey.Key) { x.Count, x.Still = c.Count, true }), webkey.ErrCounter},
		"the counter goes back":      {as(func(x *softkey.Key) { x.Count = 0 }), webkey.ErrCounter},
		"the counter is gone":        {as(func(x *softkey.Key) { x.Count, x.Still = 0, true }), webkey.ErrCounter},
		"a credential in it":         {as(func(x *softkey.Key) { x.Flags |= softkey.AT }), webkey.ErrMalformed},
		"extensions that are none":   {as(func(x *softkey.Key) { x.Flags |= softkey.ED; x.Extensions = []byte{0x80} }), webkey.ErrMalformed},
		"extensions that nobody has": {as(func(x *softkey.Key) { x.Extensions = []byte{0xa0} }), webkey.ErrMalformed},
		"no signature":               {raw(webkey.Assertion{Credential: k.ID, AuthData: k.Assert(factor(1)).AuthData}), webkey.ErrNotThis},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Check(x.said, factor(1)); !errors.Is(err, x.want) {
				t.Errorf("%v, want %v", err, x.want)
			}
		})
	}
}

// TestEveryBit: nothing of an assertion can be changed.
func TestEveryBit(t *testing.T) {
	for _, k := range []*softkey.Key{softkey.New(t), softkey.NewEd25519(t)} {
		c := registered(t, k)
		said := k.Statement(factor(1))
		for i := range said {
			for bit := range 8 {
				bad := bytes.Clone(said)
				bad[i] ^= 1 << bit
				if _, err := c.Check(bad, factor(1)); err == nil {
					t.Fatalf("byte %d, bit %d", i, bit)
				}
			}
		}
	}
}

func TestNewRefused(t *testing.T) {
	pack := func(data []byte, proof webkey.Assertion) []byte {
		b, err := webkey.EncodeNew(data, proof)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hash := webkey.ForNew(user)
	k, other := softkey.New(t), softkey.New(t)
	short := softkey.New(t)
	short.ID = nil
	web := softkey.New(t)
	web.RelyingParty = "example.org"
	untouched := softkey.New(t)
	untouched.Flags = 0
	for name, x := range map[string]struct {
		said []byte
		want error
	}{
		"good":                   {k.New(user), nil},
		"nothing":                {nil, webkey.ErrMalformed},
		"for another user":       {k.New("another"), webkey.ErrNotThis},
		"proved by another key":  {pack(k.Made(), other.Assert(hash)), webkey.ErrNotThis},
		"proved by nothing":      {pack(k.Made(), webkey.Assertion{}), webkey.ErrMalformed},
		"no credential":          {pack(k.Assert(hash).AuthData, k.Assert(hash)), webkey.ErrMalformed},
		"no credential id":       {short.New(user), webkey.ErrMalformed},
		"a web site's":           {web.New(user), webkey.ErrNotThis},
		"no touch":               {untouched.New(user), webkey.ErrNobody},
		"an assertion":           {k.Statement(hash), webkey.ErrMalformed},
		"cut":                    {k.New(user)[:100], webkey.ErrMalformed},
		"its data is cut":        {pack(k.Made()[:80], k.Assert(hash)), webkey.ErrMalformed},
		"its data has a byte on": {pack(append(k.Made(), 0), k.Assert(hash)), webkey.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := webkey.ReadNew(x.said, hash)
			if !errors.Is(err, x.want) || (c.ID == nil) != (x.want != nil) {
				t.Errorf("%v, want %v", err, x.want)
			}
		})
	}
}

// FuzzAssertion: nothing but what the key signed is an assertion.
func FuzzAssertion(f *testing.F) {
	k := softkey.New(f)
	c := registered(f, k)
	good := k.Statement(factor(1))
	f.Add(good)
	f.Add(good[:50])
	k.Extensions = []byte{0xa1, 0x61, 'x', 0xf5}
	k.Flags |= softkey.ED
	f.Add(k.Statement(factor(1)))
	f.Add(k.New(user))
	f.Fuzz(func(t *testing.T, said []byte) {
		_, err := c.Check(said, factor(1))
		if _, named := webkey.Named(said); err == nil && named != nil {
			t.Fatal("good, and names nothing")
		}
	})
}

// FuzzNew goes to what a key says of its credential.
func FuzzNew(f *testing.F) {
	for _, k := range []*softkey.Key{softkey.New(f), softkey.NewEd25519(f)} {
		f.Add(k.New(user))
		f.Add(k.Made())
	}
	hash := webkey.ForNew(user)
	proof := softkey.New(f).Assert(hash)
	f.Fuzz(func(t *testing.T, b []byte) {
		wrapped, err := webkey.EncodeNew(b, proof)
		if err != nil {
			return
		}
		for _, said := range [][]byte{b, wrapped} {
			c, err := webkey.ReadNew(said, hash)
			if (err == nil) != (len(c.ID) > 0 && len(c.Public) > 0) {
				t.Fatalf("%+v, %v", c, err)
			}
		}
	})
}
