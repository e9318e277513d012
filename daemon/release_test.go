package daemon

import (
	"testing"
	"time"
)

// TestMemoryIsGivenBackWhenNothingIsAsked collects at some moments and looks when the
// memory would be given back.
func TestMemoryIsGivenBackWhenNothingIsAsked(t *testing.T) {
	var r release
	begin := time.Unix(1_700_000_000, 0)
	for _, c := range []struct{ at, want time.Duration }{
		{0, releaseDelay},
		{10 * time.Second, releaseDelay},
		{releaseLatest - releaseDelay/2, releaseDelay / 2}, // somebody has asked all the time
		{releaseLatest + time.Second, -time.Second},        // a collection took long: at once
	} {
		if got := r.collected(begin.Add(c.at)); got != c.want {
			t.Errorf("after a collection at %v: in %v, want %v", c.at, got, c.want)
		}
	}
	r = release{}
	if got := r.collected(begin.Add(time.Hour)); got != releaseDelay {
		t.Errorf("the next time: in %v", got)
	}
}
