package vfido

import (
	"strings"
	"testing"
	"time"
)

// each runs a test with every version and protocol.
func each(t *testing.T, o Options, f func(t *testing.T, c *client)) {
	for _, v := range []Version{CTAP20, CTAP21} {
		for _, p := range []int{1, 2} {
			o.Version, o.Protocols = v, []int{p}
			name := map[Version]string{CTAP20: "CTAP20", CTAP21: "CTAP21"}[v] + map[int]string{1: "/1", 2: "/2"}[p]
			t.Run(name, func(t *testing.T) { f(t, newClient(t, o)) })
		}
	}
}

func TestSetAndChangePIN(t *testing.T) {
	each(t, Options{}, func(t *testing.T, c *client) {
		for pin, want := range map[string]Status{
			"123": StatusPINPolicy, "äöü": StatusPINPolicy, "": StatusPINPolicy, strings.Repeat("1", 64): StatusPINPolicy,
			"\xff\xfe12": StatusPINPolicy,
		} {
			if s := c.setPIN(pin); s != want {
				t.Errorf("%q: %v", pin, s)
			}
		}
		if s := c.changePIN(testPIN, "5678"); s != StatusPINNotSet {
			t.Errorf("changing no PIN: %v", s)
		}
		if s := c.login(testPIN, 0, ""); s != StatusPINNotSet {
			t.Errorf("a token without a PIN: %v", s)
		}
		long := strings.Repeat("ä", 31) + "1" // 63 bytes
		if s := c.setPIN(long); s != StatusOK || !c.k.PINIs(long) || c.k.PINIs("") {
			t.Fatalf("%v", s)
		}
		if s := c.setPIN("5678"); s != StatusPINAuthInvalid {
			t.Errorf("setting a second PIN: %v", s)
		}
		if s := c.changePIN("5678", testPIN); s != StatusPINInvalid || c.k.PINTries() != 7 {
			t.Errorf("changing with a wrong PIN: %v", s)
		}
		if s := c.changePIN(long, "12"); s != StatusPINPolicy {
			t.Errorf("changing to a short PIN: %v", s)
		}
		if s := c.changePIN(long, testPIN); s != StatusOK || !c.k.PINIs(testPIN) || c.k.PINTries() != 8 {
			t.Errorf("changing: %v", s)
		}
		if s := c.login(testPIN, 0, ""); s != StatusOK || len(c.token) != 32 {
			t.Errorf("a token: %v", s)
		}
		if n := c.k.Counts(); n.PINsSeen != 4 || n.PINFailures != 1 || n.PINsSet != 2 || n.TokensIssued != 1 {
			t.Errorf("%+v", n)
		}
	})
}

func TestForgedPINBlocks(t *testing.T) {
	each(t, Options{PIN: testPIN}, func(t *testing.T, c *client) {
		c.agree()
		sealed, h := c.seal(pad("5678")), c.seal(pinHash(testPIN))
		good := m{1: c.protocol, 2: 4, 3: c.peer, 4: c.auth(c.mac, sealed, h), 5: sealed, 6: h}
		bad := func(key int, v any) m {
			p := m{}
			for k, v := range good {
				p[k] = v
			}
			if p[key] = v; v == nil {
				delete(p, key)
			}
			return p
		}
		for _, key := range []int{1, 2, 3, 4, 5, 6} {
			c.want(StatusMissingParameter, CommandClientPIN, bad(key, nil))
		}
		c.want(StatusPINAuthInvalid, CommandClientPIN, bad(4, make([]byte, 16)))
		c.want(StatusPINAuthInvalid, CommandClientPIN, bad(5, sealed[1:]))
		c.want(StatusInvalidParameter, CommandClientPIN, bad(1, 3-c.protocol))
		c.want(StatusInvalidParameter, CommandClientPIN, bad(3, m{1: 2, 3: -25, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)}))
		c.want(StatusInvalidParameter, CommandClientPIN, bad(3, m{1: 2, 3: -25, -1: 1, -2: []byte{1}, -3: []byte{2}}))
		c.want(StatusUnexpectedType, CommandClientPIN, bad(6, "text"))
		if c.k.PINTries() != 8 {
			t.Errorf("%d tries are left", c.k.PINTries())
		}
		short := c.seal(make([]byte, 32))
		c.want(StatusInvalidParameter, CommandClientPIN, m{1: c.protocol, 2: 4, 3: c.peer, 4: c.auth(c.mac, short, h), 5: short, 6: h})
		c.want(StatusOK, CommandClientPIN, good)
	})
}

// TestPINTries wants three misses a power cycle and eight in all.
func TestPINTries(t *testing.T) {
	each(t, Options{PIN: testPIN}, func(t *testing.T, c *client) {
		retries := func(want int, cycle bool) {
			t.Helper()
			c.want(StatusOK, CommandClientPIN, m{1: c.protocol, 2: 1})
			var n int
			if c.get(3, &n); n != want {
				t.Errorf("%d tries are left, not %d", n, want)
			}
			if raw, ok := c.answer[4]; ok != (c.k.opts.Version == CTAP21) || ok && (raw[0] == 0xF5) != cycle {
				t.Errorf("powerCycleState %x", raw)
			}
		}
		retries(8, false)
		for i, want := range []Status{
			StatusPINInvalid, StatusPINInvalid, StatusPINAuthBlocked, StatusPINAuthBlocked,
			StatusPINInvalid, StatusPINInvalid, StatusPINAuthBlocked, StatusPINAuthBlocked,
			StatusPINInvalid, StatusPINBlocked, StatusPINBlocked, StatusPINBlocked,
		} {
			if i%4 == 0 && i > 0 {
				retries(8-3*i/4, true)
				if s := c.login(testPIN, 0, ""); s != StatusPINAuthBlocked {
					t.Errorf("the right PIN after three misses: %v", s)
				}
				if err := c.k.PowerCycle(); err != nil {
					t.Fatal(err)
				}
				retries(8-3*i/4, false)
			}
			if s := c.login("0000", 0, ""); s != want {
				t.Errorf("miss %d: %v, not %v", i, s, want)
			}
		}
		retries(0, false)
		if s := c.login(testPIN, 0, ""); s != StatusPINBlocked {
			t.Errorf("the right PIN of a blocked key: %v", s)
		}
		if s := c.changePIN(testPIN, "5678"); s != StatusPINBlocked {
			t.Errorf("changing a blocked PIN: %v", s)
		}
		// Only a reset helps.
		c.want(StatusOK, CommandReset, nil)
		if !c.k.PINIs("") || c.setPIN("5678") != StatusOK || c.k.PINTries() != 8 {
			t.Error("the key is not as from the factory")
		}
	})
}

// TestMissEndsAgreement wants a new key agreement after each miss, so that what
// was sealed before is worth nothing.
func TestMissEndsAgreement(t *testing.T) {
	c := newClient(t, Options{PIN: testPIN})
	c.agree()
	right, peer := c.seal(pinHash(testPIN)), c.peer
	c.want(StatusPINInvalid, CommandClientPIN, m{1: 2, 2: 5, 3: peer, 6: c.seal(pinHash("0000"))})
	c.want(StatusPINInvalid, CommandClientPIN, m{1: 2, 2: 5, 3: peer, 6: right})
	if s := c.login(testPIN, 0, ""); s != StatusOK || c.k.PINTries() != 8 {
		t.Errorf("%v", s)
	}
}

func TestForcedChange(t *testing.T) {
	c := newClient(t, Options{PIN: "12345", ForcePINChange: true, MinPINLength: 5})
	c.want(StatusOK, CommandGetInfo, nil)
	var force bool
	if c.get(12, &force); !force {
		t.Error("getInfo does not tell")
	}
	for _, p := range []int{0, permitAssert} {
		if s := c.login("12345", p, testRP); s != StatusPINPolicy {
			t.Errorf("%v", s)
		}
	}
	if s := c.changePIN("12345", "12345"); s != StatusPINPolicy {
		t.Errorf("to the same PIN: %v", s)
	}
	if s := c.changePIN("12345", "1234"); s != StatusPINPolicy {
		t.Errorf("to a short PIN: %v", s)
	}
	if s := c.changePIN("12345", "54321"); s != StatusOK || c.login("54321", permitAssert, testRP) != StatusOK {
		t.Errorf("%v", s)
	}
}

func TestPermissions(t *testing.T) {
	c := newClient(t, Options{PIN: testPIN})
	for _, tt := range []struct {
		permissions any
		rp          any
		want        Status
	}{
		{nil, testRP, StatusMissingParameter}, {0, testRP, StatusInvalidParameter},
		{permitMake, nil, StatusMissingParameter}, {0x10, nil, StatusUnauthorizedPermission},
		{permitManage, nil, StatusOK}, {permitMake | permitAssert, testRP, StatusOK},
	} {
		c.agree()
		p := m{1: 2, 2: 9, 3: c.peer, 6: c.seal(pinHash(testPIN)), 9: tt.permissions, 10: tt.rp}
		for k, v := range p {
			if v == nil {
				delete(p, k)
			}
		}
		c.want(tt.want, CommandClientPIN, p)
	}
	if c.k.Counts().PINsSeen != 2 {
		t.Error("a wrong permission was looked at after the PIN")
	}
	id := c.make()
	use := func(want Status) {
		t.Helper()
		c.want(want, CommandGetAssertion, assertParams(id, c.withToken(6, 7)))
	}
	login := func(permissions int, rp string) {
		t.Helper()
		if s := c.login(testPIN, permissions, rp); s != StatusOK {
			t.Fatal(s)
		}
	}
	login(permitMake, testRP)
	use(StatusPINAuthInvalid)
	login(permitAssert, "other.example")
	use(StatusPINAuthInvalid)
	login(permitAssert, testRP)
	use(StatusOK)
	use(StatusPINAuthInvalid) // it was spent by the touch
	login(permitAssert, testRP)
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withToken(6, 7), option(5, "up", false)))
	use(StatusOK) // a pre-flight did not spend it
	login(0, "")
	use(StatusOK)
	login(permitAssert, testRP)
	first := c.token
	login(permitAssert, testRP)
	c.token, first = first, c.token
	use(StatusPINAuthInvalid) // a later token ended it
	c.token = first
	if err := c.k.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	use(StatusPINAuthInvalid)
	// getPinToken takes no permissions.
	c.agree()
	c.want(StatusInvalidParameter, CommandClientPIN, m{1: 2, 2: 5, 3: c.peer, 6: c.seal(pinHash(testPIN)), 9: 1})
}

func TestTokenLife(t *testing.T) {
	now := newClock()
	c := newClient(t, Options{PIN: testPIN, Now: now.Now})
	id := c.make()
	preflight := func(want Status) {
		t.Helper()
		c.want(want, CommandGetAssertion, assertParams(id, c.withToken(6, 7), option(5, "up", false)))
	}
	login := func() {
		t.Helper()
		if s := c.login(testPIN, permitAssert, testRP); s != StatusOK {
			t.Fatal(s)
		}
	}
	login()
	now.advance(31 * time.Second)
	preflight(StatusPINAuthInvalid)
	login()
	now.advance(29 * time.Second)
	preflight(StatusOK)
	now.advance(9 * time.Minute)
	preflight(StatusOK)
	now.advance(time.Minute)
	preflight(StatusPINAuthInvalid)
}

// TestOldToken wants a CTAP 2.0 token to be good until power is lost.
func TestOldToken(t *testing.T) {
	c := newClient(t, Options{Version: CTAP20, PIN: testPIN})
	if s := c.login(testPIN, 0, ""); s != StatusOK {
		t.Fatal(s)
	}
	id := c.make(c.withToken(8, 9))
	for range 3 {
		c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withToken(6, 7)))
	}
	if s := c.login("0000", 0, ""); s != StatusPINInvalid {
		t.Error(s)
	}
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withToken(6, 7)))
	if err := c.k.PowerCycle(); err != nil {
		t.Fatal(err)
	}
	c.want(StatusPINAuthInvalid, CommandGetAssertion, assertParams(id, c.withToken(6, 7)))
	for _, sub := range []byte{SubGetTokenUsingPIN, SubGetTokenUsingUV, SubGetUVRetries, 0x42} {
		c.want(StatusInvalidParameter, CommandClientPIN, m{1: 1, 2: sub})
	}
	without := newClient(t, Options{Version: CTAP20})
	without.token = make([]byte, 32)
	without.want(StatusPINNotSet, CommandGetAssertion, assertParams(id, without.withToken(6, 7)))
}

func TestFinger(t *testing.T) {
	c := newClient(t, Options{PIN: testPIN, UV: true, UVTries: 2})
	tries := func(want int) {
		t.Helper()
		c.want(StatusOK, CommandClientPIN, m{1: 2, 2: 7})
		var n int
		if c.get(5, &n); n != want || c.k.UVTries() != want {
			t.Errorf("%d tries are left, not %d", n, want)
		}
	}
	id := c.make()
	if s := c.finger(permitAssert, testRP); s != StatusOK {
		t.Fatal(s)
	}
	touches := c.k.Counts().TouchesAsked
	c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withToken(6, 7)))
	if c.data().flags != flagUP|flagUV || c.k.Counts().TouchesAsked != touches {
		t.Error("the finger was not touch enough")
	}
	c.want(StatusOK, CommandGetAssertion, assertParams(id, option(5, "uv", true)))
	if c.data().flags != flagUP|flagUV || c.k.Counts().TouchesAsked != touches {
		t.Error("the option uv did not look at the finger")
	}
	c.k.SetFinger(TouchNo)
	if s := c.finger(permitAssert, testRP); s != StatusUVInvalid {
		t.Error(s)
	}
	tries(1)
	c.want(StatusPINRequired, CommandGetAssertion, assertParams(id, option(5, "uv", true)))
	tries(0)
	c.k.SetFinger(nil)
	if s := c.finger(permitAssert, testRP); s != StatusUVBlocked {
		t.Error(s)
	}
	if s := c.login(testPIN, permitAssert, testRP); s != StatusOK {
		t.Error(s)
	}
	tries(2)
	if n := c.k.Counts(); n.FingersAsked != 4 || n.FingersMatched != 2 {
		t.Errorf("%+v", n)
	}
	// Without a PIN to fall back on it is a refusal.
	c = newClient(t, Options{UV: true, Finger: TouchNo})
	c.want(StatusOperationDenied, CommandMakeCredential, makeParams(option(7, "uv", true)))
	c = newClient(t, Options{PIN: testPIN})
	c.want(StatusInvalidSubcommand, CommandClientPIN, m{1: 2, 2: 7})
	if s := c.finger(permitAssert, testRP); s != StatusNotAllowed {
		t.Error(s)
	}
}
