//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestJobs(t *testing.T) {
	for name, tt := range map[string]struct {
		job
		out, problem string
		code         int
	}{
		"plain":      {job: job{Args: []string{"sh", "-c", "echo out; exit 3"}}, out: "out\n", code: 3},
		"typed":      {job: job{Args: []string{"sh", "-c", "printf 'name: '; read a; printf '\\033[1magain: '; read b; test -t 0 && echo $a-$b"}, Answers: []answer{{`name: `, "x"}, {`again: `, "y"}}}, out: "x-y"},
		"not asked":  {job: job{Args: []string{"true"}, Answers: []answer{{`name: `, "x"}}}, problem: "never shown"},
		"for ever":   {job: job{Args: []string{"sleep", "60"}, Seconds: 1}, problem: "not over after 1s"},
		"no program": {job: job{Args: []string{"/nowhere"}}, problem: "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := json.Marshal(tt.job)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := serveJob(t.Context(), bytes.NewReader(in), &out); err != nil {
				t.Fatal(err)
			}
			var o outcome
			if err := json.Unmarshal(out.Bytes(), &o); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(o.Out, tt.out) || !strings.Contains(o.Problem, tt.problem) || (o.Problem == "") != (tt.problem == "") || o.Code != tt.code {
				t.Errorf("%+v", o)
			}
		})
	}
	if err := serveJob(t.Context(), strings.NewReader("{}"), &bytes.Buffer{}); err == nil {
		t.Error("a job without a command is run")
	}
}

func TestOurs(t *testing.T) {
	text := ours("Reading package lists...\ntokend is purged. In /var/lib/tokend there are:\n  the vault of person (1000)\n")
	if strings.Count(text, "\n") != 2 || strings.Contains(text, "Reading") {
		t.Error(text)
	}
	if err := wants("a\nb\n", "a\n", "c"); err == nil || !strings.Contains(err.Error(), `"c" is missing`) {
		t.Error(err)
	}
}
