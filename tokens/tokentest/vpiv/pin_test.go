package vpiv

import (
	"bytes"
	"testing"
)

func TestPINTries(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	for _, want := range []status{0x63C2, 0x63C1, 0x63C0, swBlocked} {
		if s := c.verify("111111"); s != want {
			t.Errorf("a wrong PIN: status %04x, not %04x", s, want)
		}
	}
	c.want(swBlocked, insVerify, 0, refPIN)
	if s := c.verify(FactoryPIN); s != swBlocked {
		t.Errorf("the right PIN of a blocked card: status %04x", s)
	}
	// The PUK unblocks it.
	puk, pin := newReference(FactoryPUK, 1).value, newReference("24681357", 1).value
	c.want(0x63C2, insResetRetry, 0, refPIN, newReference("00000000", 1).value, pin)
	c.must(insResetRetry, 0, refPIN, puk, pin)
	if c.card.PINVerified() || c.card.PUKTries() != 3 || c.card.PINTries() != 3 {
		t.Error("unblocking left other tries, or authenticated the user")
	}
	if s := c.verify("24681357"); s != swOK {
		t.Errorf("the new PIN: status %04x", s)
	}
	c.must(insVerify, 0, refPIN)
	c.must(insVerify, 0xFF, refPIN)
	c.want(0x63C3, insVerify, 0, refPIN)
	c.want(swNoReference, insVerify, 0, 0x00)
	c.want(swWrongData, insVerify, 0, refPIN, []byte("1234"))
	c.want(swWrongP1P2, insVerify, 1, refPIN)
	if n := c.card.Counts(); n.PINsSeen != 9 || n.PINFailures != 6 {
		t.Errorf("counts %+v", n)
	}
}

func TestChangePIN(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	ref := func(s string) []byte { return newReference(s, 1).value }
	c.want(0x63C2, insChangeReference, 0, refPIN, ref("111111"), ref("222222"))
	c.want(swWrongData, insChangeReference, 0, refPIN, ref(FactoryPIN), ref("123"))
	c.want(swWrongData, insChangeReference, 0, refPIN, ref(FactoryPIN))
	c.want(swNoReference, insChangeReference, 0, 0x00, ref(FactoryPIN), ref("222222"))
	c.want(swNoReference, insResetRetry, 0, refPUK, ref(FactoryPUK), ref("222222"))
	c.want(swWrongP1P2, insChangeReference, 1, refPIN, ref(FactoryPIN), ref("222222"))
	c.must(insChangeReference, 0, refPIN, ref(FactoryPIN), ref("222222"))
	c.must(insChangeReference, 0, refPUK, ref(FactoryPUK), ref("333333"))
	if s := c.verify("222222"); s != swOK {
		t.Errorf("the new PIN: status %04x", s)
	}
	c.must(insResetRetry, 0, refPIN, ref("333333"), ref("444444"))
	if s := c.verify("444444"); s != swOK {
		t.Errorf("the PIN set with the new PUK: status %04x", s)
	}
}

func TestSetTriesAndReset(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	c.want(swNotSatisfied, insSetTries, 4, 5)
	c.manage()
	c.want(swNotSatisfied, insSetTries, 4, 5)
	if s := c.verify(FactoryPIN); s != swOK {
		t.Fatalf("status %04x", s)
	}
	c.want(swWrongData, insSetTries, 0, 5)
	c.must(insSetTries, 20, 5)
	if c.card.PINTries() != 20 || c.card.PUKTries() != 5 {
		t.Errorf("tries %d and %d", c.card.PINTries(), c.card.PUKTries())
	}
	if s := c.verify("111111"); s != 0x63CF {
		t.Errorf("19 tries left: status %04x", s)
	}
	c.generate(0x82, AlgP256, pinOnce, touchNever)
	c.must(insPutData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x00}), tlv(0x53, []byte{1, 2}))
	c.want(swConditions, insReset, 0, 0)
	for c.card.PINTries() > 0 {
		c.verify("111111")
	}
	c.want(swConditions, insReset, 0, 0)
	wrong := bytes.Repeat([]byte{0xFF}, 16) // as ykman does it
	for c.card.PUKTries() > 0 {
		c.do(insResetRetry, 0, refPIN, wrong)
	}
	before := c.must(insGetData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x01}))
	c.must(insReset, 0, 0)
	if c.card.PINTries() != 3 || c.card.PUKTries() != 3 || len(c.card.Slots()) != 0 || c.card.Counts().Resets != 1 {
		t.Error("the card is not as from the factory")
	}
	if _, ok := c.card.Object(objectAdmin); ok {
		t.Error("an object survived the reset")
	}
	c.want(swNotSatisfied, insGenerate, 0, 0x82, tlv(0xAC, tlv(0x80, []byte{AlgP256})))
	c.manage()
	c.generate(0x82, AlgP256, pinOnce, touchNever)
	c.must(insAttest, 0x82, 0)
	if after := c.must(insGetData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xFF, 0x01})); !bytes.Equal(before, after) {
		t.Error("the maker's certificate did not survive the reset")
	}
}

func TestPINPolicies(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	c.manage()
	c.generate(0x82, AlgP256, pinNever, touchNever)
	c.generate(0x83, AlgP256, pinOnce, touchNever)
	c.generate(0x84, AlgP256, pinAlways, touchNever)
	c.wantSign(swOK, 0x82, "never")
	c.wantSign(swNotSatisfied, 0x83, "once, without PIN")
	c.wantSign(swNotSatisfied, 0x84, "always, without PIN")
	c.verify(FactoryPIN)
	c.wantSign(swOK, 0x84, "always, after the PIN")
	c.wantSign(swNotSatisfied, 0x84, "always, a second time")
	c.wantSign(swOK, 0x83, "once, after the PIN")
	c.wantSign(swOK, 0x83, "once, a second time")
	c.must(insSelect, 4, 0, rid())
	c.wantSign(swOK, 0x83, "once, after selecting again")
	c.verify("111111")
	c.wantSign(swNotSatisfied, 0x83, "once, after a wrong PIN")
	c.verify(FactoryPIN)
	c.card.PowerCycle()
	c.must(insSelect, 4, 0, rid())
	c.wantSign(swNotSatisfied, 0x83, "once, after a reset of the card")
	// What slots have by themselves.
	c.manage()
	for slot, want := range map[byte]status{slotAuthentication: swNotSatisfied, slotSignature: swNotSatisfied, slotCard: swOK} {
		c.must(insGenerate, 0, slot, tlv(0xAC, tlv(0x80, []byte{AlgP256})))
		c.wantSign(want, slot, "the slot's own policy")
	}
}

func TestManagementKey(t *testing.T) {
	keys := map[byte][]byte{Alg3DES: random(24), AlgAES128: random(16), AlgAES192: random(24), AlgAES256: random(32)}
	for alg, key := range keys {
		c := newClient(t, YubiKey(5, 7, 1))
		set := append([]byte{alg, slotManagement, byte(len(key))}, key...)
		c.want(swNotSatisfied, insSetManagementKey, 0xFF, 0xFF, set)
		if s := c.mutual(AlgAES192, bytes.Repeat([]byte{7}, 24)); s != swNotSatisfied {
			t.Errorf("a wrong key: status %04x", s)
		}
		c.manage()
		c.want(swWrongData, insSetManagementKey, 0xFF, 0xFF, set[:len(set)-1])
		c.want(swWrongP1P2, insSetManagementKey, 0, 0, set)
		c.must(insSetManagementKey, 0xFF, 0xFF, set)
		c.card.PowerCycle()
		c.must(insSelect, 4, 0, rid())
		if s := c.mutual(alg, key); s != swOK {
			t.Errorf("algorithm %02x: status %04x", alg, s)
		}
		meta := c.must(insMetadata, 0, slotManagement)
		if a, _ := findTLV(meta, 1); !bytes.Equal(a, []byte{alg}) {
			t.Errorf("algorithm %x in metadata", a)
		}
		if d, _ := findTLV(meta, 5); !bytes.Equal(d, []byte{0}) {
			t.Errorf("metadata takes %x for the factory's", key)
		}
		// The external half alone.
		c.card.PowerCycle()
		c.must(insSelect, 4, 0, rid())
		out := c.must(insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagChallenge)))
		template, _ := findTLV(out, tagDynamic)
		challenge, _ := findTLV(template, tagChallenge)
		block := mustCipher(t, alg, key)
		response := make([]byte, block.BlockSize())
		c.want(swNotSatisfied, insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagResponse, response)))
		block.Encrypt(response, challenge)
		c.want(swNotSatisfied, insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagResponse, response)))
		out = c.must(insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagChallenge)))
		template, _ = findTLV(out, tagDynamic)
		challenge, _ = findTLV(template, tagChallenge)
		block.Encrypt(response, challenge)
		c.must(insAuthenticate, alg, slotManagement, tlv(tagDynamic, tlv(tagResponse, response)))
		c.generate(0x82, AlgP256, pinOnce, touchNever)
	}
}

func TestManagementKeyWithTouch(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	c.manage()
	c.must(insSetManagementKey, 0xFF, 0xFE, append([]byte{Alg3DES, slotManagement, 24}, FactoryManagementKey()...))
	c.card.SetTouch(TouchNo)
	if s := c.mutual(Alg3DES, FactoryManagementKey()); s != swNotSatisfied {
		t.Errorf("without a touch: status %04x", s)
	}
	c.card.SetTouch(nil)
	c.manage()
	if n := c.card.Counts(); n.TouchesAsked != 2 || n.TouchesGiven != 1 || n.ManagementAuths != 2 {
		t.Errorf("counts %+v", n)
	}
}
