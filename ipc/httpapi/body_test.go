package httpapi

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// TestReadBody reads bodies that arrive in any pieces, announced or not.
func TestReadBody(t *testing.T) {
	const limit = 1 << 20
	for _, n := range []int{0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 300_000, limit - 1, limit, limit + 1} {
		want := bytes.Repeat([]byte("body"), n)[:n]
		for _, size := range []int64{-1, int64(n)} {
			for _, halves := range []bool{false, true} {
				var r io.Reader = bytes.NewReader(want)
				if halves {
					r = iotest.HalfReader(r)
				}
				got, err := readBody(r, size, limit)
				if n > limit {
					if !errors.Is(err, errTooLarge) {
						t.Errorf("%d bytes, %d announced: %v", n, size, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %d announced: %d bytes, %v", n, size, len(got), err)
				}
			}
		}
	}
}

// TestReadBodyGrowsWithWhatHasCome announces much and sends little, and the other way
// round.
func TestReadBodyGrowsWithWhatHasCome(t *testing.T) {
	got, err := readBody(bytes.NewReader(make([]byte, 100_000)), 1<<20, 1<<20)
	if err != nil || cap(got) > 4*100_000 {
		t.Errorf("room for %d bytes, %v", cap(got), err)
	}
	if got, err := readBody(bytes.NewReader(make([]byte, 200_000)), 70_000, 1<<20); err != nil || len(got) != 200_000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
