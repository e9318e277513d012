package authority

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
)

// TestEqualTiming compares how long answers take, with the real clock: of an
// unknown user, of a user without a fob, of a wrong passcode, of one with an
// unknown fob, of a throttled one. From when an answer comes, nobody must be able
// to tell which it was.
func TestEqualTiming(t *testing.T) {
	r := newRig(t)
	const rounds, probes = 40, 8
	_ = r.Close()
	r.o.Now, r.o.Wait, r.o.Deadline = nil, nil, DefaultDeadline
	var err error
	if r.Authority, err = Open(r.o); err != nil {
		t.Fatal(err)
	}
	var serials []string
	for i := range 16 {
		serials = append(serials, fmt.Sprint("W", i))
	}
	r.fobs(fob.HOTP, serials...)
	r.user("none")
	for i := range rounds * probes {
		r.user(fmt.Sprint("wrong", i), serials[i%16])
	}
	r.user("sixteen", serials...)
	letters := press("unknown", 1, 1)
	kinds := map[string]func(i int) (user, passcode string){
		"unknown user":    func(i int) (string, string) { return fmt.Sprint("nobody", i), "123456" },
		"no fob":          func(int) (string, string) { return "none", "123456" },
		"wrong passcode":  func(i int) (string, string) { return fmt.Sprint("wrong", i), "123456" },
		"unknown fob":     func(i int) (string, string) { return fmt.Sprint("wrong", i), letters },
		"throttled":       func(int) (string, string) { return "sixteen", "123456" },
		"not a passcode":  func(int) (string, string) { return "sixteen", "x" },
		"other's letters": func(i int) (string, string) { return fmt.Sprint("nobody", i), letters },
	}
	took := map[string][]float64{}
	var mu sync.Mutex
	for round := range rounds {
		var wg sync.WaitGroup
		for probe := range probes {
			for kind, make := range kinds {
				wg.Go(func() {
					user, passcode := make(round*probes + probe)
					began := time.Now()
					r.try("vpn", user, passcode)
					d := time.Since(began).Seconds()
					mu.Lock()
					defer mu.Unlock()
					took[kind] = append(took[kind], d)
				})
			}
		}
		wg.Wait()
	}
	for kind, d := range took {
		slices.Sort(d)
		z := rankSum(d, others(took, kind))
		t.Logf("%-16s median %.2f ms, 10%% %.2f ms, 90%% %.2f ms, z %.2f", kind, d[len(d)/2]*1e3, d[len(d)/10]*1e3, d[len(d)*9/10]*1e3, z)
		// 5 standard deviations: once in a million runs by chance.
		if math.Abs(z) > 5 {
			t.Errorf("%s can be told from the others by its time (z = %.1f)", kind, z)
		}
	}
}

func others(took map[string][]float64, but string) (all []float64) {
	for kind, d := range took {
		if kind != but {
			all = append(all, d...)
		}
	}
	return all
}

// rankSum is the statistic of Wilcoxon, Mann and Whitney, in standard deviations.
func rankSum(a, b []float64) float64 {
	type sample struct {
		d     float64
		first bool
	}
	var all []sample
	for _, d := range a {
		all = append(all, sample{d, true})
	}
	for _, d := range b {
		all = append(all, sample{d, false})
	}
	slices.SortFunc(all, func(x, y sample) int {
		if x.d < y.d {
			return -1
		}
		return 1
	})
	sum := 0.0
	for i, s := range all {
		if s.first {
			sum += float64(i + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	u := sum - n*(n+1)/2
	return (u - n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
}
