package metrics_test

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/daemon/metrics"
)

func written(t *testing.T, s *metrics.Set) string {
	t.Helper()
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFormat(t *testing.T) {
	var s metrics.Set
	s.Counter("b_total", "Two\nlines, a \\.", "x").Add(2, "a\"b\\c\nd")
	h := s.Histogram("c_seconds", "C.", []float64{0.1, 1}, "y")
	for _, v := range []float64{0.05, 0.1, 0.5, 7} {
		h.Observe(v, "z")
	}
	g := s.Gauge("a", "A.")
	g.Set(1.5)
	s.Gauge("none", "Nothing.")
	want := `# HELP a A.
# TYPE a gauge
a 1.5
# HELP b_total Two\nlines, a \\.
# TYPE b_total counter
b_total{x="a\"b\\c\nd"} 2
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{y="z",le="0.1"} 2
c_seconds_bucket{y="z",le="1"} 3
c_seconds_bucket{y="z",le="+Inf"} 4
c_seconds_sum{y="z"} 7.65
c_seconds_count{y="z"} 4
`
	if got := written(t, &s); got != want {
		t.Errorf("got\n%s", got)
	}
	g.Clear()
	if got := written(t, &s); strings.Contains(got, "# HELP a ") {
		t.Errorf("what was cleared is left:\n%s", got)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	var s metrics.Set
	c := s.Counter("x_total", "X.", "name")
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() { c.Inc(fmt.Sprint("n", i)) })
	}
	wg.Wait()
	got := written(t, &s)
	if n := strings.Count(got, "x_total{"); n != metrics.MaxSeries+1 {
		t.Errorf("%d series", n)
	}
	if want := fmt.Sprintf("x_total{name=\"other\"} %d\n", 1000-metrics.MaxSeries); !strings.Contains(got, want) {
		t.Errorf("not %q:\n%s", want, got)
	}
}

func TestNilCountsNothing(*testing.T) {
	var t metrics.Tokend
	t.Requests.Inc("http", "ok")
	t.RequestTime.Observe(1, "read")
	t.Helper.Bool(true)
	t.Vaults.Clear()
	t.Process()
}

// TestPromtool has Prometheus's own tool look at everything that tokend can export.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: packaging/setup.sh test installs it (Debian's prometheus)")
	}
	m := metrics.New()
	m.Process()
	for _, f := range m.Families() {
		if f.Help == "" || !strings.HasSuffix(f.Help, ".") {
			t.Errorf("%s has the help %q", f.Name, f.Help)
		}
	}
	m.Requests.Inc("http", "ok")
	m.RequestTime.Observe(0.2, "use")
	m.TokenOperationTime.Observe(3, "piv", "agree")
	m.Vaults.Set(1, "locked")
	m.Build.Set(1, `a"b`)
	cmd := exec.Command(tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(written(t, m.Set))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
