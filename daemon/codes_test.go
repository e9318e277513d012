package daemon

import (
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

func TestStepsClaim(t *testing.T) {
	started := time.Unix(1_000_000_000, 0) // 10 s into a step of 30
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	var s steps
	claim := func(now int64, fresh bool, remaining int) int64 {
		t.Helper()
		got, err := s.claim("a", stepRequest{now: at(now), started: started, period: 30, fresh: fresh, remaining: remaining})
		if err != nil {
			t.Fatalf("at %d: %v", now, err)
		}
		return got.Unix()
	}
	const step = 1_000_000_020 // begins a step
	if got := claim(1_000_000_005, false, 0); got != 1_000_000_005 {
		t.Errorf("a plain code is of the present step, got %d", got)
	}
	if got := claim(1_000_000_005, true, 0); got != step {
		t.Errorf("the step in which the daemon started is not fresh: got %d, want %d", got, step)
	}
	if got := claim(1_000_000_006, true, 0); got != step+30 {
		t.Errorf("a promised step is not fresh: got %d", got)
	}
	if got := claim(step+1, false, 0); got != step+1 {
		t.Errorf("a plain code never waits, got %d", got)
	}
	if got := claim(step+61, true, 0); got != step+61 {
		t.Errorf("a step that nobody had is fresh at once, got %d", got)
	}
	if got := claim(step+62, true, 0); got != step+90 {
		t.Errorf("a step handed out a second ago is fresh: got %d", got)
	}
	if got := claim(step+145, false, 10); got != step+150 {
		t.Errorf("with 5 s left and 10 wanted: got %d", got)
	}
	if got := claim(step+140, false, 10); got != step+140 {
		t.Errorf("with 10 s left and 10 wanted: got %d", got)
	}
}

func TestStepsDoNotPromiseWithoutEnd(t *testing.T) {
	var s steps
	r := stepRequest{now: time.Unix(3000, 0), period: 30, fresh: true}
	promised := map[int64]bool{}
	for range maxFreshSteps + 1 {
		got, err := s.claim("a", r)
		if err != nil {
			t.Fatal(err)
		}
		if promised[got.Unix()] {
			t.Errorf("step %d was promised twice", got.Unix())
		}
		promised[got.Unix()] = true
	}
	if _, err := s.claim("a", r); ipc.KindOf(err) != ipc.Busy {
		t.Errorf("one promise too many: %v", err)
	}
	if _, err := s.claim("b", r); err != nil {
		t.Errorf("another account has steps of its own: %v", err)
	}
}

func TestStepsOfAnEditedPeriod(t *testing.T) {
	var s steps
	if _, err := s.claim("a", stepRequest{now: time.Unix(3000, 0), period: 50}); err != nil {
		t.Fatal(err)
	}
	got, err := s.claim("a", stepRequest{now: time.Unix(3001, 0), period: 30, fresh: true})
	if err != nil || got.Unix() != 3060 {
		t.Errorf("got %v, %v; want the first step of 30 s that begins after 3050", got.Unix(), err)
	}
}
