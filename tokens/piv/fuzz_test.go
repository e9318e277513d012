//go:build cgo && linux

package piv

import (
	"errors"
	"testing"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// FuzzCard: no answer of a card makes its readers panic, or give out a key that
// is not on its curve.
func FuzzCard(f *testing.F) {
	point := append([]byte{4}, make([]byte, 64)...)
	seeds := [][]byte{
		nil, {1}, {1, 1, 0x11, 2, 2, 2, 1, 3, 1, 1}, append([]byte{1, 1, 0x11, 4, 67, 0x86, 65}, point...),
		{5, 1, 1, 6, 2, 3, 3}, {0x53, 0x82, 0xff, 0xff}, {0x53, 0x04, 0x70, 0x82, 0x00, 0x00}, {0x7f, 0x49, 0x84, 1, 2, 3, 4}, {0x7f},
		tlv(0x70, []byte{0x30, 0x03, 0x02, 0x01, 0x01}), tlv(0x53, tlv(0x70, make([]byte, 300))),
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		if k, ok := parseMetadata(b).slotKey(gopiv.SlotKeyManagement); ok && parsePoint(k.Algorithm, k.Public) == nil {
			t.Fatal("a key off its curve")
		}
		if k, ok := certified(gopiv.SlotKeyManagement, parseCertificate(b)); ok && parsePoint(k.Algorithm, k.Public) == nil {
			t.Fatal("a key off its curve")
		}
		for tag, v := range objects(b) {
			if tag < 0 || len(v) > len(b) {
				t.Fatal("an object larger than its container")
			}
		}
	})
}

// FuzzParams: foreign parameters give a slot that exists, or an error.
func FuzzParams(f *testing.F) {
	seeds := []string{
		`{"slot":"82","pin":"once","touch":"never"}`, `{"slot":"9b","pin":"once","touch":"never"}`, `{"slot":"f9","pin":"never","touch":"never"}`,
		`{"slot":"82","pin":"x","touch":"never"}`, `{}`, `null`, ``, `{"slot":"82","pin":"once","touch":"never"}{}`, `{"slot":"082","pin":"once","touch":"never"}`,
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		p, slot, err := parseParams(b)
		if err != nil {
			var typed *tokens.Error
			if !errors.As(err, &typed) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if again, err := parseSlot(p.Slot); err != nil || again != slot || slot.Key == 0x9b || slot.Key == 0xf9 {
			t.Fatalf("slot %v", slot)
		}
	})
}
