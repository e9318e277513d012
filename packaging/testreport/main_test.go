package main

import (
	"strings"
	"testing"
)

const (
	passing = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"FuzzA"}
{"Action":"run","Package":"p","Test":"FuzzA/seed#0"}
{"Action":"pass","Package":"p","Test":"FuzzA/seed#0","Elapsed":0}
{"Action":"pass","Package":"p","Test":"FuzzA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.5}
`
	failing = `{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:1: it broke\n"}
{"Action":"fail","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"fail","Package":"p","Elapsed":0.5}
`
	skipping = `{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:1: no reader\n"}
{"Action":"skip","Package":"p","Test":"TestC","Elapsed":0}
`
	unseeded = `{"Action":"run","Package":"p","Test":"FuzzB"}
{"Action":"pass","Package":"p","Test":"FuzzB","Elapsed":0}
`
	unbuilt = `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: syntax error\n"}
{"ImportPath":"q","Action":"build-fail"}
{"Action":"fail","Package":"q","Elapsed":0,"FailedBuild":"q"}
`
	panicking = `{"Action":"run","Package":"p","Test":"TestD"}
{"Action":"output","Package":"p","Test":"TestD","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p","Elapsed":9}
`
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in string
		noskip   bool
		ok       bool
		want     string
	}{
		{"passing", passing, true, true, "tests: 3 passed, 0 failed, 0 skipped\n"},
		{"failing", passing + failing, false, false, "b_test.go:1: it broke"},
		{"skip allowed", passing + skipping, false, true, "skipped: p TestC: c_test.go:1: no reader\n"},
		{"skip forbidden", passing + skipping, true, false, "no test may be skipped here"},
		{"fuzz target without seeds", passing + unseeded, false, false, "no seeds: p FuzzB\n"},
		{"package that does not build", passing + unbuilt, false, false, "q.go:1: syntax error"},
		{"test that never ends", passing + panicking, false, false, "panic: test timed out"},
		{"nothing", "", false, false, "no test ran"},
		{"words between", "warning\n" + passing, true, true, "warning\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := r.finish(c.noskip); ok != c.ok {
				t.Errorf("finish = %v, want %v", ok, c.ok)
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("report lacks %q:\n%s", c.want, out.String())
			}
		})
	}
}
