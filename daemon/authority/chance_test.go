package authority

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
)

// tries counts what somebody can try within a time who waits extra after each
// delay.
func tries(span time.Duration, extra func() time.Duration) (first, later int) {
	begin := time.Unix(1_800_000_000, 0)
	var t throttle
	for now := begin; now.Sub(begin) < 2*span; {
		if now.Sub(begin) < span {
			first++
		} else {
			later++
		}
		t = t.failed(now)
		now = now.Add(t.waits(now) + extra())
	}
	return first, later
}

// TestChance computes what the doc comment of the throttle says: how often
// somebody can guess, whatever his patience, and how likely he is right.
func TestChance(t *testing.T) {
	const day = 24 * time.Hour
	first, later := tries(day, func() time.Duration { return 0 })
	t.Logf("tries without a pause: %d on the first day, %d on the second", first, later)
	if first != 105 || later != 96 {
		t.Errorf("%d on the first day, %d on the second, and not 105 and 96", first, later)
	}
	r := rand.New(rand.NewPCG(6, 6))
	for _, most := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15*time.Minute - 1, 15 * time.Minute, 15*time.Minute + 1, time.Hour} {
		for name, extra := range map[string]func() time.Duration{
			"always": func() time.Duration { return most },
			"random": func() time.Duration { return time.Duration(r.Int64N(int64(most))) },
			"seldom": func() time.Duration {
				if r.IntN(12) == 0 {
					return most
				}
				return 0
			},
		} {
			if f, l := tries(day, extra); f > 107 || l > 107 {
				t.Errorf("with pauses of %v, %s: %d and %d", most, name, f, l)
			}
		}
	}
	for _, v := range []struct {
		digits     float64
		hotp, totp float64
	}{{1e6, 1.06e-3, 2.88e-4}, {1e7, 1.06e-4, 2.88e-5}, {1e8, 1.06e-5, 2.88e-6}} {
		hotp, totp := 96*(1+fob.LookAhead)/v.digits, 96*(1+2*fob.Window)/v.digits
		t.Logf("of %.0e passcodes, in a day: HOTP %.3g (first day %.3g), TOTP %.3g", v.digits, hotp, 105*(1+fob.LookAhead)/v.digits, totp)
		if near := func(a, b float64) bool { return a > b*0.995 && a < b*1.005 }; !near(hotp, v.hotp) || !near(totp, v.totp) {
			t.Errorf("%.0e: %v and %v, and not %v and %v", v.digits, hotp, totp, v.hotp, v.totp)
		}
	}
	// Whoever proves his fob gives who guesses as many tries again, for as long as
	// these are fewer than waiting would have left.
	lifted := float64(96 + MaxLifts*mostFailures)
	t.Logf("with %d lifts in a day, of six digits: HOTP %.3g, TOTP %.3g", MaxLifts, lifted*(1+fob.LookAhead)/1e6, lifted*(1+2*fob.Window)/1e6)
	if h, o := lifted*(1+fob.LookAhead)/1e6, lifted*(1+2*fob.Window)/1e6; h > 1.67e-3 || o > 4.54e-4 {
		t.Errorf("with all lifts of a day %v and %v", h, o)
	}
	// Pairs in spite of the throttle: two passcodes of six digits, of which the
	// first is one of 1+LookAhead, or of three steps.
	perDay := float64(day / pairEvery)
	if chance := perDay * (1 + fob.LookAhead) / 1e12; chance > 4e-6 {
		t.Errorf("pairs are guessed with a chance of %v a day", chance)
	} else {
		t.Logf("pairs in spite of the throttle, in a day: %.2g", chance)
	}
	// A resync, attended: five tries a day at a thousand places.
	t.Logf("resync, in a day: attended %.2g, self-service %.2g", MaxResyncs*2*fob.ResyncSteps/1e12, MaxResyncs*2*fob.ResyncSteps/1e18)
}

// TestGuessing guesses, on the real thing: a day of it leaves no more tries than
// are computed, however the user logs in meanwhile.
func TestGuessing(t *testing.T) {
	t.Run("single", func(t *testing.T) { guesses(t, 0, 107) })
	t.Run("pairs", func(t *testing.T) { guesses(t, 5, 107+MaxLifts*mostFailures) })
	t.Run("seldom", func(t *testing.T) { guesses(t, 20, 107+MaxLifts*mostFailures) })
}

// guesses has the user prove his fob at each so many tries, and never if 0.
func guesses(t *testing.T, pairs, most int) {
	r := newRig(t)
	r.fobs(fob.HOTP, "H")
	r.user("alice", "H")
	wrong := wrongCode("H")
	begin := r.clock.Now()
	looked, lifted, counter := 0, 0, uint64(0)
	for n := 0; r.clock.Now().Sub(begin) < 24*time.Hour; n++ {
		v := r.try([]string{"vpn", "ssh"}[n%2], "alice", wrong)
		if v.Reason != ReasonThrottled {
			looked++
		}
		if n%3 == 0 && r.try("vpn", "alice", code("H", counter)).Accepted {
			counter++
		}
		r.clock.pass(max(time.Second, v.RetryAfter))
		if pairs > 0 && n%pairs == 0 {
			v := r.try("ssh", "alice", code("H", counter)+code("H", counter+1))
			if !v.Accepted {
				t.Fatalf("%+v", v)
			}
			counter += 2
			if v.Lifted {
				lifted++
			}
		}
	}
	t.Logf("%d guesses at two services were looked at, and %d passcodes of the user; %d lifts", looked, counter, lifted)
	if looked > most || pairs > 0 && (lifted < MaxLifts || counter < 20) {
		t.Errorf("%d guesses were looked at, and %d passcodes of the user; %d lifts", looked, counter, lifted)
	}
}
