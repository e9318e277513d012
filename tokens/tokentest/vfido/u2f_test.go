package vfido

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"testing"
	"time"
)

// u2f sends a U2F command with extended lengths and returns data and status.
func (c *client) u2f(ins, p1 byte, data []byte) ([]byte, uint16) {
	c.t.Helper()
	in := append([]byte{0, ins, p1, 0, 0}, byte(len(data)>>8), byte(len(data)))
	if len(data) == 0 {
		in = in[:4]
	}
	out, _ := c.k.message(c.t.Context(), append(append(in, data...), 0, 0)[:len(in)+len(data)])
	if len(out) < 2 {
		c.t.Fatalf("answer %x", out)
	}
	return out[:len(out)-2], binary.BigEndian.Uint16(out[len(out)-2:])
}

func TestU2F(t *testing.T) {
	for _, v := range []Version{U2FOnly, CTAP21} {
		c := newClient(t, Options{Version: v, Touch: TouchAfter(300 * time.Millisecond)})
		if out, word := c.u2f(u2fVersion, 0, nil); word != wordOK || string(out) != "U2F_V2" {
			t.Errorf("%q %x", out, word)
		}
		challenge, app := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
		touched := func(ins, p1 byte, data []byte) []byte {
			t.Helper()
			waits := 0
			for range 50 {
				out, word := c.u2f(ins, p1, data)
				if word == wordOK {
					if waits == 0 {
						t.Error("it did not wait for the touch")
					}
					return out
				}
				if word != wordNoTouch {
					t.Fatalf("%x", word)
				}
				waits++
			}
			t.Fatal("it never saw the touch")
			return nil
		}
		out := touched(u2fRegister, 0, append(bytes.Clone(challenge), app...))
		if out[0] != 5 {
			t.Fatalf("%x", out)
		}
		point, n := out[1:66], int(out[66])
		handle, rest := out[67:67+n], out[67+n:]
		var raw asn1.RawValue
		signature, err := asn1.Unmarshal(rest, &raw)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(raw.FullBytes)
		if err != nil {
			t.Fatal(err)
		}
		signed := bytes.Join([][]byte{{0}, app, challenge, handle, point}, nil)
		if err := certificate.CheckSignature(x509.ECDSAWithSHA256, signed, signature); err != nil {
			t.Error(err)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Join([][]byte{challenge, app, {byte(n)}, handle}, nil)
		if _, word := c.u2f(u2fAuthenticate, u2fCheckOnly, data); word != wordNoTouch {
			t.Errorf("asking whose it is: %x", word)
		}
		out = touched(u2fAuthenticate, u2fEnforce, data)
		digest := sha256.Sum256(bytes.Join([][]byte{app, out[:5], challenge}, nil))
		if out[0] != flagUP || !ecdsa.VerifyASN1(public, digest[:], out[5:]) {
			t.Errorf("%x", out)
		}
		other := bytes.Clone(data)
		other[40] ^= 1
		for what, tt := range map[string]struct {
			ins, p1 byte
			data    []byte
			word    uint16
		}{
			"another's": {u2fAuthenticate, u2fCheckOnly, other, wordWrongData}, "how": {u2fAuthenticate, 1, data, wordWrongData},
			"short": {u2fAuthenticate, u2fCheckOnly, data[:70], wordWrongLength}, "register": {u2fRegister, 0, app, wordWrongLength},
			"unknown": {9, 0, nil, wordNoCommand},
		} {
			if _, word := c.u2f(tt.ins, tt.p1, tt.data); word != tt.word {
				t.Errorf("%s: %x", what, word)
			}
		}
		if n := c.k.Counts(); n.MakeCredentials != 1 || n.Assertions != 1 || n.TouchesAsked != 2 || n.TouchesGiven != 2 {
			t.Errorf("%+v", n)
		}
	}
	c := newClient(t, Options{AlwaysUV: true, PIN: testPIN})
	if _, word := c.u2f(u2fVersion, 0, nil); word != wordNoCommand {
		t.Errorf("alwaysUv: %x", word)
	}
}
