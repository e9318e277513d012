//go:build linux

package rig

import (
	"testing"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

func TestInsertRemoveRestart(t *testing.T) {
	r := Start(t, Options{})
	card, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"insert", func() error { return r.Insert(card, 0) }},
		{"remove", func() error { return r.Remove(0) }},
		{"insert in the other", func() error { return r.Insert(card, 1) }},
		{"restart", r.RestartPCSCD},
		{"remove after restart", func() error { return r.Remove(1) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		t.Log(s.name, r.Readers())
	}
}
