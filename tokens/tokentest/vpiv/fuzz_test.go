package vpiv

import (
	"bytes"
	"testing"
)

// conversation packs APDUs for FuzzAPDU: a length byte before each.
func conversation(apdus ...[]byte) []byte {
	var b []byte
	for _, a := range apdus {
		b = append(append(b, byte(len(a))), a...)
	}
	return b
}

// seeds are conversations that reach every instruction.
func seeds() [][]byte {
	cmd := func(ins, p1, p2 byte, parts ...[]byte) []byte {
		d := bytes.Join(parts, nil)
		return append([]byte{0, ins, p1, p2, byte(len(d))}, d...)
	}
	pin := newReference(FactoryPIN, 1).value
	gen := func(alg byte) []byte { return cmd(insGenerate, 0, 0x82, tlv(0xAC, tlv(0x80, []byte{alg}))) }
	object := tlv(0x5C, []byte{0x5F, 0xC1, 0x09})
	return [][]byte{
		conversation(cmd(insVerify, 0, refPIN, pin), cmd(insChangeReference, 0, refPIN, pin, pin), cmd(insResetRetry, 0, refPIN, pin, pin)),
		conversation(gen(AlgP256), signAPDU(), cmd(insAttest, 0x82, 0), cmd(insMetadata, 0, 0x82), cmd(insMoveKey, 0xFF, 0x82)),
		conversation(gen(AlgX25519), cmd(insAuthenticate, AlgX25519, 0x82, tlv(tagDynamic, tlv(tagExponentiate, bytes.Repeat([]byte{9}, 32))))),
		conversation(gen(AlgP384), cmd(insAuthenticate, AlgP384, 0x82, tlv(tagDynamic, tlv(tagExponentiate, bytes.Repeat([]byte{4}, 97))))),
		conversation(cmd(insPutData, 0x3F, 0xFF, object, tlv(0x53, make([]byte, 200))), cmd(insGetData, 0x3F, 0xFF, object), cmd(insGetResponse, 0, 0)),
		conversation([]byte{0x10, insPutData, 0x3F, 0xFF, 5, 0x5C, 3, 0x5F, 0xC1, 9}, cmd(insPutData, 0x3F, 0xFF, tlv(0x53, nil))),
		conversation(cmd(insImport, AlgP256, 0x82, tlv(6, bytes.Repeat([]byte{1}, 32)), tlv(0xAA, []byte{1})), signAPDU()),
		conversation(cmd(insImport, AlgRSA1024, 0x82, tlv(1, bytes.Repeat([]byte{0xFD}, 64)), tlv(2, bytes.Repeat([]byte{0xFB}, 64)))),
		conversation(cmd(insAuthenticate, AlgAES192, slotManagement, tlv(tagDynamic, tlv(tagWitness))),
			cmd(insAuthenticate, AlgAES192, slotManagement, tlv(tagDynamic, tlv(tagWitness, make([]byte, 16)), tlv(tagChallenge, make([]byte, 16))))),
		conversation(cmd(insAuthenticate, AlgAES192, slotManagement, tlv(tagDynamic, tlv(tagChallenge))),
			cmd(insAuthenticate, AlgAES192, slotManagement, tlv(tagDynamic, tlv(tagResponse, make([]byte, 16))))),
		conversation(cmd(insSetManagementKey, 0xFF, 0xFF, []byte{AlgAES128, slotManagement, 16}, make([]byte, 16)), cmd(insSetTries, 1, 1), cmd(insReset, 0, 0)),
		conversation(cmd(insSelect, 4, 0, []byte{0xA0, 0, 0, 5, 0x27, 0x47, 0x11, 0x17}), []byte{0, 0x1D, 0, 0}),
		conversation(cmd(insSelect, 4, 0, []byte{0xA0, 0, 0, 5, 0x27, 0x20, 0x01}), []byte{0, 1, 0x10, 0}, []byte{0, 3, 0, 0}),
		conversation([]byte{0, insSerial, 0, 0}, []byte{0, insVersion, 0, 0}, []byte{0, 0xA4, 4}, []byte{0, insGetData, 0x3F, 0xFF, 0, 0, 3, 0x5C, 1, 0x7E, 0, 0}),
	}
}

// FuzzAPDU sends any commands to a card where everybody is authenticated. The
// card must answer each with a status and its present keys must stay usable.
func FuzzAPDU(f *testing.F) {
	all := seeds()
	if len(all) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range all {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		card, err := New(YubiKey(5, 7, 1))
		if err != nil {
			t.Fatal(err)
		}
		c := client{t, card}
		c.must(insSelect, 4, 0, rid())
		c.manage()
		c.verify(FactoryPIN)
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			in := b[1 : 1+n]
			b = b[1+n:]
			if makesRSA(in) {
				continue // seconds of search for primes find no bugs of ours
			}
			if out := card.APDU(in); len(out) < 2 {
				t.Fatalf("%x is answered with %x", in, out)
			}
		}
		card.PowerCycle()
		c.must(insSelect, 4, 0, rid())
		c.must(insVersion, 0, 0)
		if l, r := card.PINTries(), card.PUKTries(); l < 0 || r < 0 {
			t.Errorf("%d and %d tries", l, r)
		}
	})
}

// makesRSA says whether in generates, or may go on to generate, an RSA key.
func makesRSA(in []byte) bool {
	return len(in) > 4 && in[1] == insGenerate && bytes.ContainsAny(in[4:], "\x05\x06\x07\x16")
}

// FuzzTLV takes any bytes apart and puts what it found together again.
func FuzzTLV(f *testing.F) {
	seeds := [][]byte{tlv(0x53, []byte{1}), tlv(0x7F49, make([]byte, 300)), tlv(0x70, make([]byte, 200)), {0x5F}, {0x53, 0x82, 1}}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, v, rest, ok := splitTLV(b)
		if !ok {
			return
		}
		if len(v)+len(rest) >= len(b) {
			t.Fatalf("%d bytes hold %d and %d", len(b), len(v), len(rest))
		}
		if tag > 0xFFFF {
			t.Fatalf("tag %x", tag)
		}
		again, w, _, ok := splitTLV(tlv(tag, v))
		if len(v) > 0xFFFF || !ok || tag > 0xFF && again != tag || !bytes.Equal(v, w) {
			t.Fatalf("%x does not survive", b)
		}
	})
}
