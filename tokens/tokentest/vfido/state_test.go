package vfido

import (
	"bytes"
	"testing"
)

// TestSaved has a key that was loaded give the secrets of the one that was saved.
func TestSaved(t *testing.T) {
	first := newClient(t, Options{})
	first.want(StatusOK, CommandMakeCredential, makeParams())
	if s := first.setPIN("1234"); s != StatusOK {
		t.Fatal(s)
	}
	saved, err := first.k.Save()
	if err != nil {
		t.Fatal(err)
	}
	next := newClient(t, Options{})
	if err := next.k.Load(saved); err != nil {
		t.Fatal(err)
	}
	if !next.k.PINIs("1234") || next.k.PINTries() != first.k.PINTries() {
		t.Error("the PIN is another")
	}
	again, err := next.k.Save()
	if err != nil || !bytes.Equal(saved, again) {
		t.Errorf("what is saved again differs: %v", err)
	}
	a, b := first.k.credentials[0], next.k.credentials[0]
	if !bytes.Equal(a.id, b.id) || !bytes.Equal(a.random, b.random) || !bytes.Equal(a.randomUV, b.randomUV) || a.rp != b.rp || a.rpHash != b.rpHash {
		t.Error("the credential is another")
	}
	next.want(StatusOK, CommandGetAssertion, assertParams(b.id))
	for _, bad := range [][]byte{nil, saved[:len(saved)/2], bytes.Repeat([]byte{7}, 50)} {
		if next.k.Load(bad) == nil {
			t.Errorf("%d bytes of nonsense are a key", len(bad))
		}
	}
}
