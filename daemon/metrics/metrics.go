// Package metrics counts what a daemon does and writes the figures in Prometheus's
// text format (version 0.0.4). It knows nothing of what is counted; names and labels
// are chosen by the program, and the values of labels from small sets. Where a caller
// breaks that, a family stops growing and counts the rest together.
package metrics

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// MaxSeries is how many combinations of labels a family has at most. What comes later
// is counted under Other.
const MaxSeries = 128

// Other is the value of every label of the series that takes what is too much.
const Other = "other"

// Set is the families that are written together. Its methods, and those of the
// families, are safe for concurrent use.
type Set struct {
	mu       sync.Mutex
	families []*family
}

// Family is what is known of a family without its figures.
type Family struct {
	Name, Type, Help string
	Labels           []string
}

// family is one name, with its series.
type family struct {
	Family
	bounds []float64 // of a histogram, rising

	mu     sync.Mutex
	series map[string]*series
}

// series is the figures of one combination of labels.
type series struct {
	values  []string
	value   float64
	buckets []uint64 // not cumulated
	count   uint64
}

func (s *Set) add(kind, name, help string, bounds []float64, labels []string) *family {
	f := &family{Family: Family{name, kind, help, labels}, bounds: bounds, series: make(map[string]*series)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.families = append(s.families, f)
	slices.SortFunc(s.families, func(a, b *family) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// Families tells of all families, by name.
func (s *Set) Families() []Family {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Family, 0, len(s.families))
	for _, f := range s.families {
		list = append(list, f.Family)
	}
	return list
}

// Counter is a number that only grows.
type Counter struct{ f *family }

// Counter makes a family; name ends in "_total".
func (s *Set) Counter(name, help string, labels ...string) *Counter {
	return &Counter{s.add("counter", name, help, nil, labels)}
}

// Inc adds one. There is a value for each label. A nil Counter counts nothing.
func (c *Counter) Inc(values ...string) { c.Add(1, values...) }

// Add adds n, which is not below zero.
func (c *Counter) Add(n float64, values ...string) {
	if c == nil {
		return
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.of(values).value += n
}

// Is gives it the value of a number that somebody else counts.
func (c *Counter) Is(n float64, values ...string) {
	if c == nil {
		return
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.of(values).value = n
}

// Gauge is a number that is looked up.
type Gauge struct{ f *family }

// Gauge makes a family.
func (s *Set) Gauge(name, help string, labels ...string) *Gauge {
	return &Gauge{s.add("gauge", name, help, nil, labels)}
}

// Set gives it a value. A nil Gauge has none.
func (g *Gauge) Set(v float64, values ...string) {
	if g == nil {
		return
	}
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	g.f.of(values).value = v
}

// Clear takes all values away: of what is not there any more.
func (g *Gauge) Clear() {
	if g == nil {
		return
	}
	g.f.mu.Lock()
	defer g.f.mu.Unlock()
	clear(g.f.series)
}

// Bool gives it 1 or 0.
func (g *Gauge) Bool(is bool, values ...string) {
	v := 0.0
	if is {
		v = 1
	}
	g.Set(v, values...)
}

// Histogram is how many of something were up to so large each.
type Histogram struct{ f *family }

// Histogram makes a family; bounds are the upper ones of its buckets, rising.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) *Histogram {
	return &Histogram{s.add("histogram", name, help, bounds, labels)}
}

// Observe counts v. A nil Histogram counts nothing.
func (h *Histogram) Observe(v float64, values ...string) {
	if h == nil {
		return
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	s := h.f.of(values)
	if s.buckets == nil {
		s.buckets = make([]uint64, len(h.f.bounds))
	}
	if i, _ := slices.BinarySearch(h.f.bounds, v); i < len(s.buckets) {
		s.buckets[i]++
	}
	s.count++
	s.value += v
}

// of needs f.mu.
func (f *family) of(values []string) *series {
	if len(values) != len(f.Labels) {
		panic("metrics: " + f.Name + " has other labels")
	}
	key := strings.Join(values, "\xff")
	if s := f.series[key]; s != nil {
		return s
	}
	if len(f.series) >= MaxSeries {
		other := make([]string, len(values))
		for i := range other {
			other[i] = Other
		}
		if key = strings.Join(other, "\xff"); f.series[key] != nil {
			return f.series[key]
		}
		values = other
	}
	s := &series{values: slices.Clone(values)}
	f.series[key] = s
	return s
}

// Write writes all figures, by name and labels. A family without any is left out.
func (s *Set) Write(w io.Writer) error {
	s.mu.Lock()
	families := slices.Clone(s.families)
	s.mu.Unlock()
	b := bufio.NewWriter(w)
	for _, f := range families {
		f.write(b)
	}
	return b.Flush()
}

func (f *family) write(w *bufio.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.series) == 0 {
		return
	}
	// The writer keeps its error for Flush.
	_, _ = w.WriteString("# HELP " + f.Name + " " + escaper(false).Replace(f.Help) + "\n# TYPE " + f.Name + " " + f.Type + "\n")
	keys := make([]string, 0, len(f.series))
	for key := range f.series {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		s := f.series[key]
		if f.Type != "histogram" {
			f.line(w, "", s.values, "", s.value)
			continue
		}
		sum := uint64(0)
		for i, bound := range f.bounds {
			if s.buckets != nil {
				sum += s.buckets[i]
			}
			f.line(w, "_bucket", s.values, number(bound), float64(sum))
		}
		f.line(w, "_bucket", s.values, "+Inf", float64(s.count))
		f.line(w, "_sum", s.values, "", s.value)
		f.line(w, "_count", s.values, "", float64(s.count))
	}
}

// line writes one figure; le is the bound of a bucket.
func (f *family) line(w *bufio.Writer, suffix string, values []string, le string, v float64) {
	var labels []string
	for i, name := range f.Labels {
		labels = append(labels, name+`="`+escaper(true).Replace(values[i])+`"`)
	}
	if le != "" {
		labels = append(labels, `le="`+le+`"`)
	}
	_, _ = w.WriteString(f.Name + suffix)
	if len(labels) > 0 {
		_, _ = w.WriteString("{" + strings.Join(labels, ",") + "}")
	}
	_, _ = w.WriteString(" " + number(v) + "\n")
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// escaper writes a text as the format has it, between quotes or not.
func escaper(quoted bool) *strings.Replacer {
	if quoted {
		return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`)
}
