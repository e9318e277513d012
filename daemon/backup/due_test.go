package backup_test

import (
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/backup"
)

const second = time.Second

func timing() backup.Timing {
	return backup.Timing{Quiet: 30 * second, Patience: 300 * second, Counters: time.Hour, Retry: time.Minute}
}

func TestDue(t *testing.T) {
	type step struct {
		at   time.Duration
		what string // changed, counted, failed, now (is due), not
	}
	for name, steps := range map[string][]step{
		"nothing":                 {{0, "not"}, {time.Hour, "not"}},
		"one change":              {{0, "changed"}, {29 * second, "not"}, {30 * second, "now"}, {31 * second, "not"}},
		"changes share one":       {{0, "changed"}, {20 * second, "changed"}, {40 * second, "not"}, {50 * second, "now"}},
		"patience ends":           {{0, "changed"}, {100 * second, "changed"}, {200 * second, "changed"}, {290 * second, "changed"}, {300 * second, "now"}},
		"counters wait":           {{0, "counted"}, {1800 * second, "counted"}, {3599 * second, "not"}, {3600 * second, "now"}},
		"a change is sooner":      {{0, "counted"}, {10 * second, "changed"}, {40 * second, "now"}, {3600 * second, "not"}},
		"counters delay nothing":  {{0, "changed"}, {10 * second, "counted"}, {30 * second, "now"}},
		"tried again":             {{0, "failed"}, {59 * second, "not"}, {60 * second, "now"}},
		"failure after a change":  {{0, "changed"}, {1 * second, "failed"}, {30 * second, "now"}},
		"a change after counters": {{0, "counted"}, {3000 * second, "changed"}, {3030 * second, "now"}},
	} {
		t.Run(name, func(t *testing.T) {
			var d backup.Due
			for i, s := range steps {
				switch s.what {
				case "changed":
					d.Changed(s.at, timing())
				case "counted":
					d.Counted(s.at, timing())
				case "failed":
					d.Failed(s.at, timing())
				default:
					if got := d.Now(s.at); got != (s.what == "now") {
						t.Fatalf("step %d, at %v: due is %v", i, s.at, got)
					}
				}
			}
		})
	}
}

func TestDropped(t *testing.T) {
	for _, c := range []struct {
		had, has int
		want     bool
	}{
		{0, 0, false}, {3, 0, true}, {2, 0, false}, {10, 7, false}, {9, 6, false}, {10, 6, true}, {100, 67, false}, {100, 66, true}, {5, 9, false}, {4, 2, false}, {4, 1, true},
	} {
		if got := backup.Dropped(c.had, c.has); got != c.want {
			t.Errorf("%d to %d: %v", c.had, c.has, got)
		}
	}
}

func TestExcess(t *testing.T) {
	at := func(days int) time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, days) }
	item := func(n uint64) backup.Item { return backup.Item{Generation: n} }
	var list []backup.Kept
	for i := range 40 { // two a day
		list = append(list, backup.Kept{Item: item(uint64(i)), Made: at(i / 2), Size: 10, Firm: i == 3})
	}
	left := func(l backup.Limits) map[uint64]bool {
		kept := map[uint64]bool{}
		for _, k := range list {
			kept[k.Item.Generation] = true
		}
		for _, i := range l.Excess(list) {
			delete(kept, i.Generation)
		}
		return kept
	}
	got := left(backup.Limits{Newest: 4, Days: 5, Bytes: 1 << 20})
	for _, n := range []uint64{3, 31, 33, 35, 36, 37, 38, 39} {
		if !got[n] {
			t.Errorf("generation %d is gone", n)
		}
		delete(got, n)
	}
	if len(got) > 0 {
		t.Errorf("too many are kept: %v", got)
	}
	// Whatever the bytes: the newest and what is firm.
	if got := left(backup.Limits{Newest: 4, Days: 5, Bytes: 5}); len(got) != 2 || !got[3] || !got[39] {
		t.Errorf("kept %v", got)
	}
	if got := left(backup.Limits{Newest: 40, Days: 0, Bytes: 35}); len(got) != 4 || !got[3] || !got[37] {
		t.Errorf("kept %v", got)
	}
	if got := (backup.Limits{}).Excess(nil); got != nil {
		t.Errorf("of nothing, %v goes", got)
	}
}
