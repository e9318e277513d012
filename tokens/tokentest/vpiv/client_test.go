package vpiv

import (
	"crypto/cipher"
	"testing"
)

// client sends whole commands to a card, chained and collected as a reader's
// software does.
type client struct {
	t    *testing.T
	card *Card
}

func newClient(t *testing.T, o Options) client {
	t.Helper()
	card, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := client{t, card}
	c.must(insSelect, 4, 0, rid())
	return c
}

// do returns the data and the status.
func (c client) do(ins, p1, p2 byte, parts ...[]byte) ([]byte, status) {
	c.t.Helper()
	var data []byte
	for _, p := range parts {
		data = append(data, p...)
	}
	for len(data) > 255 {
		out := c.card.APDU(append([]byte{0x10, ins, p1, p2, 255}, data[:255]...))
		if s := trailer(c.t, out); s != swOK {
			return nil, s
		}
		data = data[255:]
	}
	in := []byte{0, ins, p1, p2}
	if len(data) > 0 {
		in = append(append(in, byte(len(data))), data...)
	}
	var all []byte
	for {
		out := c.card.APDU(in)
		s := trailer(c.t, out)
		all = append(all, out[:len(out)-2]...)
		if s&0xFF00 != swMore {
			return all, s
		}
		in = []byte{0, insGetResponse, 0, 0, byte(s)}
	}
}

func (c client) must(ins, p1, p2 byte, parts ...[]byte) []byte {
	c.t.Helper()
	out, s := c.do(ins, p1, p2, parts...)
	if s != swOK {
		c.t.Fatalf("instruction %02x %02x %02x: status %04x", ins, p1, p2, s)
	}
	return out
}

func (c client) want(want status, ins, p1, p2 byte, parts ...[]byte) {
	c.t.Helper()
	if _, s := c.do(ins, p1, p2, parts...); s != want {
		c.t.Errorf("instruction %02x %02x %02x: status %04x, not %04x", ins, p1, p2, s, want)
	}
}

func (c client) verify(pin string) status {
	c.t.Helper()
	_, s := c.do(insVerify, 0, refPIN, newReference(pin, 1).value)
	return s
}

// manage authenticates with the management key as it is, both ways.
func (c client) manage() {
	c.t.Helper()
	alg, key := c.card.ManagementKey()
	if s := c.mutual(alg, key); s != swOK {
		c.t.Fatalf("management key: status %04x", s)
	}
}

func (c client) mutual(alg byte, key []byte) status {
	c.t.Helper()
	block := mustCipher(c.t, alg, key)
	n := block.BlockSize()
	out, s := c.do(insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagWitness)))
	if s != swOK {
		return s
	}
	template, _ := findTLV(out, tagDynamic)
	sealed, _ := findTLV(template, tagWitness)
	witness, challenge := make([]byte, n), random(n)
	block.Decrypt(witness, sealed)
	out, s = c.do(insAuthenticate, alg, slotManagement,
		tlv(tagDynamic, tlv(tagWitness, witness), tlv(tagChallenge, challenge), tlv(tagResponse)))
	if s != swOK {
		return s
	}
	template, _ = findTLV(out, tagDynamic)
	response, _ := findTLV(template, tagResponse)
	want := make([]byte, n)
	block.Encrypt(want, challenge)
	if string(response) != string(want) {
		c.t.Error("the card does not know its own management key")
	}
	return s
}

func (c client) generate(slot, alg, pin, touch byte) []byte {
	c.t.Helper()
	out := c.must(insGenerate, 0, slot, tlv(0xAC, tlv(0x80, []byte{alg}), tlv(0xAA, []byte{pin}), tlv(0xAB, []byte{touch})))
	body, ok := findTLV(out, 0x7F49)
	if !ok {
		c.t.Fatalf("no public key in %x", out)
	}
	return body
}

// sign asks for a signature, which needs what any use of the key needs.
func (c client) sign(slot, alg byte) status {
	c.t.Helper()
	_, s := c.do(insAuthenticate, alg, slot, tlv(tagDynamic, tlv(tagResponse), tlv(tagChallenge, make([]byte, 32))))
	return s
}

func (c client) wantSign(want status, slot byte, why string) {
	c.t.Helper()
	if s := c.sign(slot, AlgP256); s != want {
		c.t.Errorf("%s: status %04x, not %04x", why, s, want)
	}
}

func trailer(t *testing.T, out []byte) status {
	t.Helper()
	if len(out) < 2 {
		t.Fatalf("an answer of %d bytes", len(out))
	}
	return status(out[len(out)-2])<<8 | status(out[len(out)-1])
}

func mustCipher(t *testing.T, alg byte, key []byte) cipher.Block {
	t.Helper()
	block, err := managementCipher(alg, key)
	if err != nil {
		t.Fatal(err)
	}
	return block
}
