package vpiv

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseCommand(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 300)
	tests := []struct {
		name string
		in   []byte
		data []byte
		le   int
		bad  bool
	}{
		{name: "case 1", in: unhex(t, "00fd0000"), le: 256},
		{name: "case 2", in: unhex(t, "00fd000003"), le: 3},
		{name: "case 2, all", in: unhex(t, "00fd000000"), le: 256},
		{name: "case 3", in: unhex(t, "00fd0000020102"), data: []byte{1, 2}, le: 256},
		{name: "case 4", in: unhex(t, "00fd000002010210"), data: []byte{1, 2}, le: 16},
		{name: "case 2, extended", in: unhex(t, "00fd0000000400"), le: 1024},
		{name: "case 2, extended, all", in: unhex(t, "00fd0000000000"), le: 65536},
		{name: "case 3, extended", in: append(unhex(t, "00fd000000012c"), long...), data: long, le: 65536},
		{name: "case 4, extended", in: append(append(unhex(t, "00fd000000012c"), long...), 2, 0), data: long, le: 512},
		{name: "nothing", bad: true},
		{name: "no header", in: unhex(t, "00fd00"), bad: true},
		{name: "too little data", in: unhex(t, "00fd0000050102"), bad: true},
		{name: "too much data", in: unhex(t, "00fd00000101020304"), bad: true},
		{name: "too little extended data", in: unhex(t, "00fd00000000ff01"), bad: true},
		{name: "too short extended length", in: unhex(t, "00fd00000001"), bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := parseCommand(tt.in)
			if tt.bad {
				if s != swWrongLength {
					t.Errorf("status %04x", s)
				}
				return
			}
			if s != swOK || !bytes.Equal(c.data, tt.data) || c.le != tt.le || c.ins != 0xFD {
				t.Errorf("status %04x, %+v", s, c)
			}
		})
	}
}

func TestTLV(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 3000} {
		v := bytes.Repeat([]byte{0xAB}, n)
		b := append(tlv(0x7F49, v), tlv(0x53, []byte{1})...)
		tag, got, rest, ok := splitTLV(b)
		if !ok || tag != 0x7F49 || !bytes.Equal(got, v) || len(rest) != 3 {
			t.Errorf("%d bytes: tag %x, %d bytes, rest %d, %v", n, tag, len(got), len(rest), ok)
		}
		if v, ok := findTLV(b, 0x53); !ok || len(v) != 1 {
			t.Errorf("the second value is missing after %d bytes", n)
		}
	}
	for _, s := range []string{"", "53", "5302ff", "5381", "5f", "5f2f", "538201", "5383000001ff"} {
		if _, _, _, ok := splitTLV(unhex(t, s)); ok {
			t.Errorf("%q passes for a value", s)
		}
	}
}

func TestPortionsAndChains(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	c.manage()
	content := random(2500)
	id := tlv(0x5C, []byte{0x5F, 0xC1, 0x05})
	c.must(insPutData, 0x3F, 0xFF, id, tlv(0x53, content))
	if got := c.must(insGetData, 0x3F, 0xFF, id); !bytes.Equal(got, tlv(0x53, content)) {
		t.Error("an object comes back changed")
	}
	// Extended lengths give the same in one piece.
	in := append([]byte{0, insGetData, 0x3F, 0xFF, 0, 0, byte(len(id))}, id...)
	out := c.card.APDU(append(in, 0, 0))
	if !bytes.Equal(out[:len(out)-2], tlv(0x53, content)) {
		t.Error("an object comes back changed in an extended answer")
	}
	// The first portion says how much is left, and a new command ends the rest.
	out = c.card.APDU(append([]byte{0, insGetData, 0x3F, 0xFF, byte(len(id))}, append(id, 16)...))
	if len(out) != 18 || trailer(t, out) != swMore|0xFF {
		t.Errorf("a portion of %d bytes, status %04x", len(out), trailer(t, out))
	}
	c.must(insVersion, 0, 0)
	if out, s := c.do(insGetResponse, 0, 0); s != swOK || len(out) != 0 {
		t.Errorf("after another command %d bytes are left", len(out))
	}
	// A chain that goes on with another instruction is dropped.
	c.card.APDU(append([]byte{0x10, insPutData, 0x3F, 0xFF, byte(len(id))}, id...))
	c.want(swWrongData, insGetData, 0x3F, 0xFF)
	// An endless chain is refused.
	var s status
	for range 50 {
		if s = trailer(t, c.card.APDU(append([]byte{0x10, insPutData, 0x3F, 0xFF, 255}, make([]byte, 255)...))); s != swOK {
			break
		}
	}
	if s != swWrongLength {
		t.Errorf("an endless chain: status %04x", s)
	}
	if s := trailer(t, c.card.APDU(unhex(t, "80fd0000"))); s != swNoClass {
		t.Errorf("a foreign class: status %04x", s)
	}
}

func TestSelect(t *testing.T) {
	card, err := New(YubiKey(5, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	c := client{t, card}
	c.want(swNoInstruction, insVersion, 0, 0)
	management, otp := unhex(t, "a000000527471117"), unhex(t, "a0000005272001")
	for _, aid := range [][]byte{rid(), applicationID(), unhex(t, "a000000308000010000100"), unhex(t, "a00000030800001000")} {
		out := c.must(insSelect, 4, 0, aid)
		if body, ok := findTLV(out, 0x61); !ok || len(body) == 0 {
			t.Errorf("selecting %x: %x", aid, out)
		}
	}
	if s := c.verify(FactoryPIN); s != swOK {
		t.Fatalf("status %04x", s)
	}
	c.must(insSelect, 4, 0, rid())
	c.want(swNotFound, insSelect, 4, 0, unhex(t, "d27600012401"))
	c.want(swNotFound, insSelect, 4, 0, unhex(t, "a000"))
	c.want(swWrongP1P2, insSelect, 0, 0, rid())
	if !card.PINVerified() {
		t.Error("selecting PIV again, or failing to select, ended the authentication")
	}
	if out := c.must(insSelect, 4, 0, management); !bytes.Contains(out, []byte("5.4.3")) {
		t.Errorf("management applet: %q", out)
	}
	if card.PINVerified() {
		t.Error("selecting another applet left the user authenticated")
	}
	info := c.must(0x1D, 0, 0)
	if serial, ok := findTLV(info[1:], 2); !ok || !bytes.Equal(serial, []byte{0x00, 0xBC, 0x61, 0x4E}) {
		t.Errorf("serial number %x in %x", serial, info)
	}
	c.want(swNoInstruction, insVerify, 0, refPIN)
	c.must(insSelect, 4, 0, otp)
	if out := c.must(1, 0x10, 0); !bytes.Equal(out, []byte{0x00, 0xBC, 0x61, 0x4E}) {
		t.Errorf("serial number %x", out)
	}
	if out := c.must(3, 0, 0); !bytes.HasPrefix(out, []byte{5, 4, 3}) {
		t.Errorf("status %x", out)
	}
	c.want(swNoInstruction, 9, 0, 0)
	card.PowerCycle()
	c.want(swNoInstruction, insVersion, 0, 0)
}

func TestPlainCard(t *testing.T) {
	c := newClient(t, PlainPIV())
	for _, ins := range []byte{insVersion, insSerial, insMetadata, insAttest, insSetTries, insReset, insImport, insSetManagementKey, insMoveKey} {
		c.want(swNoInstruction, ins, 0, 0)
	}
	c.want(swNotFound, insSelect, 4, 0, unhex(t, "a000000527471117"))
	c.manage()
	c.must(insGenerate, 0, slotExchange, tlv(0xAC, tlv(0x80, []byte{AlgP256})))
	c.want(swWrongData, insGenerate, 0, slotExchange, tlv(0xAC, tlv(0x80, []byte{AlgP256}), tlv(0xAA, []byte{2})))
	c.want(swWrongP1P2, insGenerate, 0, slotAttestation, tlv(0xAC, tlv(0x80, []byte{AlgP256})))
	c.want(swNotFound, insPutData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x00}), tlv(0x53, []byte{1}))
	c.want(swNotSatisfied, insAuthenticate, AlgP256, slotExchange, tlv(tagDynamic, tlv(tagChallenge, make([]byte, 32))))
	if s := c.verify(FactoryPIN); s != swOK {
		t.Errorf("status %04x", s)
	}
	c.must(insAuthenticate, AlgP256, slotExchange, tlv(tagDynamic, tlv(tagChallenge, make([]byte, 32))))
}

func TestFirmware(t *testing.T) {
	tests := []struct {
		v    Version
		ins  byte
		p1   byte
		p2   byte
		data []byte
		want status
	}{
		{Version{4, 2, 8}, insAttest, 0x82, 0, nil, swNoInstruction},
		{Version{4, 3, 5}, insAttest, 0x82, 0, nil, swWrongData}, // known, but no key
		{Version{4, 3, 5}, insSerial, 0, 0, nil, swNoInstruction},
		{Version{5, 0, 2}, insSerial, 0, 0, nil, swOK},
		{Version{5, 2, 7}, insMetadata, 0, refPIN, nil, swNoInstruction},
		{Version{5, 3, 1}, insMetadata, 0, refPIN, nil, swOK},
		{Version{5, 4, 3}, insMoveKey, 0xFF, 0x82, nil, swNoInstruction},
		{Version{5, 7, 1}, insMoveKey, 0xFF, 0x82, nil, swNoReference}, // known, but no key
		{Version{5, 4, 3}, insGenerate, 0, 0x82, tlv(0xAC, tlv(0x80, []byte{AlgX25519})), swWrongData},
		{Version{5, 7, 1}, insGenerate, 0, 0x82, tlv(0xAC, tlv(0x80, []byte{AlgX25519})), swOK},
		{Version{5, 3, 1}, insSetManagementKey, 0xFF, 0xFF, append([]byte{AlgAES128, slotManagement, 16}, make([]byte, 16)...), swWrongData},
		{Version{5, 4, 3}, insSetManagementKey, 0xFF, 0xFF, append([]byte{AlgAES128, slotManagement, 16}, make([]byte, 16)...), swOK},
	}
	for _, tt := range tests {
		c := newClient(t, YubiKey(tt.v[0], tt.v[1], tt.v[2]))
		c.manage()
		if _, s := c.do(tt.ins, tt.p1, tt.p2, tt.data); s != tt.want {
			t.Errorf("firmware %v, instruction %02x: status %04x, not %04x", tt.v, tt.ins, s, tt.want)
		}
	}
	for v, want := range map[Version]byte{{5, 4, 3}: Alg3DES, {5, 7, 0}: AlgAES192} {
		if alg, _ := newClient(t, YubiKey(v[0], v[1], v[2])).card.ManagementKey(); alg != want {
			t.Errorf("firmware %v has a management key of algorithm %02x", v, alg)
		}
	}
}

func TestOptions(t *testing.T) {
	o := YubiKey(5, 4, 3)
	o.NoSerial, o.NoMetadata, o.NoAttestation, o.NoApplets = true, true, true, true
	o.RetiredSlots = []byte{0x82, 0x83}
	o.PINTries, o.PUKTries, o.PIN, o.PUK = 5, 2, "98765432", "abcdef"
	o.ManagementAlgorithm, o.ManagementKey = AlgAES256, bytes.Repeat([]byte{9}, 32)
	c := newClient(t, o)
	c.want(swNoInstruction, insSerial, 0, 0)
	c.want(swNoInstruction, insMetadata, 0, refPIN)
	c.want(swNoInstruction, insAttest, 0x82, 0)
	c.want(swNotFound, insSelect, 4, 0, unhex(t, "a000000527471117"))
	c.manage()
	c.generate(0x83, AlgP256, pinOnce, touchNever)
	c.want(swWrongP1P2, insGenerate, 0, 0x84, tlv(0xAC, tlv(0x80, []byte{AlgP256})))
	c.want(swNotFound, insPutData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xC1, 0x0F}), tlv(0x53, []byte{1}))
	if got := c.card.Slots(); !bytes.Equal(got, []byte{0x83}) {
		t.Errorf("slots %x", got)
	}
	if c.card.PINTries() != 5 || c.card.PUKTries() != 2 || c.verify("98765432") != swOK {
		t.Error("PIN or tries are others")
	}
	o = YubiKey(5, 4, 3)
	o.Serial = 0
	if out := newClient(t, o).must(insSerial, 0, 0); !bytes.Equal(out, make([]byte, 4)) {
		t.Errorf("serial number %x", out)
	}
	bad := []func(*Options){
		func(o *Options) { o.PIN = "12345" },
		func(o *Options) { o.PUK = "123456789" },
		func(o *Options) { o.PINTries = 256 },
		func(o *Options) { o.PUKTries = -1 },
		func(o *Options) { o.ManagementKey = []byte{1} },
		func(o *Options) { o.ManagementAlgorithm = 0x77 },
		func(o *Options) { o.RetiredSlots = []byte{0x9A} },
		func(o *Options) { o.ATR = []byte{0x3B} },
	}
	for i, change := range bad {
		o := YubiKey(5, 4, 3)
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("bad options %d make a card", i)
		}
	}
}
