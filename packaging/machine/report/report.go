// Package report is what the virtual machine of "make test-machine" tells its
// host: one line of JSON for each step, in the order of time.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Kinds of lines.
const (
	Begin = "begin" // a step begins
	Pass  = "pass"  // it is as expected
	Fail  = "fail"  // it is not
	Note  = "note"  // a figure, or what cannot be tried here
	End   = "end"   // the scenario is over
)

// Line is one line.
type Line struct {
	Kind    string  `json:"kind"`
	Step    string  `json:"step,omitempty"`
	Text    string  `json:"text,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// Parse reads a line; false is for lines of others.
func Parse(text []byte) (Line, bool) {
	var l Line
	err := json.Unmarshal(text, &l)
	return l, err == nil && l.Kind != ""
}

// Report writes lines.
type Report struct {
	mu     sync.Mutex
	to     io.Writer
	failed int
}

// New makes a report that is written to w.
func New(w io.Writer) *Report { return &Report{to: w} }

func (r *Report) write(l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := json.Marshal(l)
	if err != nil {
		return // strings and numbers always can
	}
	_, _ = fmt.Fprintf(r.to, "%s\n", b) // there is nobody else to tell
}

// Step does f and says how it went, and whether well.
func (r *Report) Step(name string, f func() error) bool {
	r.write(Line{Kind: Begin, Step: name})
	began := time.Now()
	err := f()
	l := Line{Kind: Pass, Step: name, Seconds: time.Since(began).Seconds()}
	if err != nil {
		l.Kind, l.Text = Fail, err.Error()
		r.mu.Lock()
		r.failed++
		r.mu.Unlock()
	}
	r.write(l)
	return err == nil
}

// Notef tells something that is neither good nor bad.
func (r *Report) Notef(format string, args ...any) {
	r.write(Line{Kind: Note, Text: fmt.Sprintf(format, args...)})
}

// End says that nothing more comes.
func (r *Report) End() { r.write(Line{Kind: End}) }
