package vfido

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// verifies says whether a signature is by a credential of the key.
func (k *Key) verifies(id, message, signature []byte) bool {
	for _, c := range k.credentials {
		if public, ok := c.private.Public().(*ecdsa.PublicKey); ok && bytes.Equal(c.id, id) {
			digest := sha256.Sum256(message)
			return ecdsa.VerifyASN1(public, digest[:], signature)
		}
	}
	return false
}

// requests are commands that reach all that takes CBOR apart.
func requests(t testing.TB) [][]byte {
	var all [][]byte
	add := func(cmd Command, params any) {
		b, err := cbor.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, append([]byte{byte(cmd)}, b...))
	}
	point := m{1: 2, 3: -25, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)}
	add(CommandMakeCredential, makeParams(set(6, map[string]any{"hmac-secret": true, "credProtect": 2}), option(7, "rk", true)))
	add(CommandMakeCredential, makeParams(set(5, descriptors([]byte{1})), set(8, make([]byte, 32)), set(9, 2)))
	add(CommandGetAssertion, assertParams([]byte{1}, option(5, "up", false)))
	add(CommandGetAssertion, assertParams(nil, set(4, map[string]any{"hmac-secret": m{1: point, 2: make([]byte, 48), 3: make([]byte, 32), 4: 2}})))
	for sub := 1; sub <= 9; sub++ {
		add(CommandClientPIN, m{1: 2, 2: sub, 3: point, 4: make([]byte, 32), 5: make([]byte, 80), 6: make([]byte, 32), 9: 3, 10: testRP})
	}
	for sub := 1; sub <= 7; sub++ {
		add(CommandManagement, m{1: sub, 2: m{1: make([]byte, 32), 2: descriptors([]byte{1})[0], 3: map[string]any{"id": []byte{1}}}, 3: 2, 4: make([]byte, 32)})
	}
	return append(all, []byte{byte(CommandGetInfo)}, []byte{byte(CommandGetNextAssertion)}, []byte{byte(CommandReset)}, []byte{byte(CommandSelection)})
}

// FuzzCBOR sends any command to keys of both versions, which must answer with a
// status and go on.
func FuzzCBOR(f *testing.F) {
	all := requests(f)
	if len(all) == 0 {
		f.Fatal("no seeds")
	}
	for _, r := range all {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, o := range []Options{{UV: true}, {Version: CTAP20, PIN: testPIN, ManagementPreview: true}} {
			c := newClient(t, o)
			id := []byte(nil)
			if o.PIN == "" {
				id = c.make()
			}
			if out := c.k.CBOR(t.Context(), in); len(out) == 0 || len(out) > 1 && out[0] != 0 {
				t.Fatalf("%x is answered with %x", in, out)
			}
			c.want(StatusOK, CommandGetInfo, nil)
			if n := c.k.PINTries(); n < 0 || n > maxPINTries {
				t.Errorf("%d tries", n)
			}
			if len(in) > 0 && Command(in[0]) != CommandReset && id != nil {
				c.want(StatusOK, CommandGetAssertion, assertParams(id, option(5, "up", false)))
			}
		}
	})
}

// FuzzU2F does the same with U2F.
func FuzzU2F(f *testing.F) {
	seeds := [][]byte{{0, 3, 0, 0}, {0, 3, 0, 0, 0, 0, 0}, append([]byte{0, 1, 0, 0, 0, 0, 64}, make([]byte, 64)...), append([]byte{0, 2, 7, 0, 0, 0, 66}, make([]byte, 66)...)}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newClient(t, Options{Version: U2FOnly})
		if out, _ := c.k.message(t.Context(), in); len(out) < 2 {
			t.Fatalf("%x is answered with %x", in, out)
		}
		if out, word := c.u2f(u2fVersion, 0, nil); word != wordOK || string(out) != "U2F_V2" {
			t.Errorf("%q %x", out, word)
		}
	})
}

// lineOf is an end of a line in memory.
type lineOf struct {
	io.Reader
	io.Writer
}

// FuzzHID sends any packets to a key; after them, it must answer an INIT.
func FuzzHID(f *testing.F) {
	var seeds [][]byte
	for _, cmd := range []Command{CommandPing, CommandCBOR, CommandMessage, CommandWink, CommandCancel, CommandInit, 0x84} {
		var b []byte
		for _, channel := range []uint32{broadcast, 0, 0x100} {
			for _, p := range packets(channel, cmd, make([]byte, 100), nil) {
				b = append(b, p[:]...)
			}
		}
		seeds = append(seeds, b)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		k, err := New(Options{InitAborts: true, Touch: TouchNo})
		if err != nil {
			t.Fatal(err)
		}
		toKey, fromClient := io.Pipe()
		toClient, fromKey := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- k.Serve(ctx, lineOf{toKey, fromKey}) }()
		nonce := random(8)
		go func() {
			for ; len(in) > 0; in = in[min(packetSize, len(in)):] {
				report := make([]byte, reportSize)
				copy(report[1:], in)
				_, _ = fromClient.Write(report)
			}
			last := packets(broadcast, CommandInit, nonce, nil)[0]
			_, _ = fromClient.Write(append([]byte{0}, last[:]...))
		}()
		for {
			var b [packetSize]byte
			if _, err := io.ReadFull(toClient, b[:]); err != nil {
				t.Fatal(err)
			}
			if p := parsePacket(b); p.cmd == CommandInit && bytes.Equal(p.data[:8], nonce) {
				break
			}
		}
		_ = fromClient.Close()
		_ = toClient.Close()
		if err := <-ended; err == nil || ctx.Err() != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}
