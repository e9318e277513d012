// Command testreport turns the stream of "go test -json" on standard input into
// what a person wants to read: a line a package, the whole output of what
// failed, what was skipped and why, and at the end a count.
//
// It fails when a test failed, when a package did not build, when a fuzz target
// has no seeds (its corpus would test nothing), when a test was skipped and
// -noskip is given, and when nothing ran at all.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"
)

func main() {
	noskip := flag.Bool("noskip", false, "a skipped test is a failure")
	flag.Parse()
	r := newReport(os.Stdout)
	err := r.read(os.Stdin)
	if err != nil {
		fmt.Fprintf(os.Stderr, "testreport: %v\n", err)
	}
	if !r.finish(*noskip) || err != nil {
		os.Exit(1)
	}
}

// event is one line of the stream, as "go doc test2json" has it.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// id names a test, or with an empty Test a package.
type id struct{ pkg, test string }

type report struct {
	out     io.Writer
	output  map[id][]string
	build   map[string][]string
	seeds   map[id]int // of each fuzz target
	passed  int
	failed  []string
	skipped []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[id][]string{}, build: map[string][]string{}, seeds: map[id]int{}}
}

// read takes the whole stream. Lines that are not JSON are shown as they are.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				_, _ = r.out.Write(line)
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the test events: %w", err)
		}
	}
}

func (r *report) take(e event) {
	k := id{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.build[e.ImportPath] = append(r.build[e.ImportPath], e.Output)
	case "run":
		target, _, sub := strings.Cut(e.Test, "/")
		if strings.HasPrefix(target, "Fuzz") {
			n := 0
			if sub {
				n = 1
			}
			r.seeds[id{e.Package, target}] += n
		}
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		r.end(k, e)
	}
}

// end takes the end of a test or, without a test's name, of a package.
func (r *report) end(k id, e event) {
	if k.test == "" {
		r.endPackage(k, e)
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
		delete(r.output, k)
	case "fail":
		r.failed = append(r.failed, k.pkg+" "+k.test)
		fmt.Fprintf(r.out, "--- %s %s\n%s", k.pkg, k.test, strings.Join(r.output[k], ""))
	case "skip":
		r.skipped = append(r.skipped, k.pkg+" "+k.test+": "+reason(r.output[k]))
	}
}

func (r *report) endPackage(k id, e event) {
	took := (time.Duration(e.Elapsed * float64(time.Second))).Round(10 * time.Millisecond)
	switch e.Action {
	case "pass":
		fmt.Fprintf(r.out, "ok    %s  %v\n", k.pkg, took)
	case "skip":
		fmt.Fprintf(r.out, "-     %s  no tests\n", k.pkg)
	case "fail":
		fmt.Fprintf(r.out, "FAIL  %s  %v\n", k.pkg, took)
		if e.FailedBuild != "" {
			fmt.Fprint(r.out, strings.Join(r.build[e.FailedBuild], ""))
		}
		fmt.Fprint(r.out, strings.Join(r.output[k], ""))
		// A panic or a time-out fails the package in the midst of a test,
		// whose end then never comes.
		for o, lines := range r.output {
			if o.pkg == k.pkg && o.test != "" && !strings.Contains(strings.Join(lines, ""), "--- ") {
				fmt.Fprintf(r.out, "--- unfinished: %s\n%s", o.test, strings.Join(lines, ""))
			}
		}
		r.failed = append(r.failed, k.pkg)
	}
}

// reason is what a test said when it skipped itself.
func reason(lines []string) string {
	var said []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			said = append(said, l)
		}
	}
	return strings.Join(said, " ")
}

// finish prints the end of the report and says whether all is well.
func (r *report) finish(noskip bool) bool {
	var unseeded []string
	for k, n := range r.seeds {
		if n == 0 {
			unseeded = append(unseeded, k.pkg+" "+k.test)
		}
	}
	sort.Strings(unseeded)
	for _, s := range r.skipped {
		fmt.Fprintf(r.out, "skipped: %s\n", s)
	}
	for _, s := range unseeded {
		fmt.Fprintf(r.out, "no seeds: %s\n", s)
	}
	for _, s := range r.failed {
		fmt.Fprintf(r.out, "failed: %s\n", s)
	}
	failed := len(r.failed) + len(unseeded)
	ok := failed == 0 && r.passed > 0
	if noskip && len(r.skipped) > 0 {
		fmt.Fprintln(r.out, "no test may be skipped here")
		ok = false
	}
	if r.passed == 0 {
		fmt.Fprintln(r.out, "no test ran")
	}
	fmt.Fprintf(r.out, "fuzz targets: %d, each with seeds: %v\n", len(r.seeds), len(unseeded) == 0)
	fmt.Fprintf(r.out, "tests: %d passed, %d failed, %d skipped\n", r.passed, failed, len(r.skipped))
	return ok
}
