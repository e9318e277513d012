package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/packaging/machine/report"
)

// TestReading takes what a machine tells, among what others write to its console.
func TestReading(t *testing.T) {
	var told bytes.Buffer
	told.WriteString("[    0.1] a kernel's line\n{\"other\": 1}\n")
	r := report.New(&told)
	if !r.Step("one", func() error { return nil }) || r.Step("two", func() error { return errors.New("broken\nin two lines") }) {
		t.Error("steps are taken for what they are not")
	}
	r.Notef("%d ms", 7)
	var out strings.Builder
	got := &reading{out: &out}
	got.read(strings.NewReader(told.String()))
	if got.ended || got.steps != 2 || len(got.failed) != 1 || got.failed[0] != "two" || got.step != "two" {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"  ok    ", "one\n", "  FAIL  ", "          in two lines\n", "7 ms\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	r.End()
	got.read(&told)
	if !got.ended {
		t.Error("the end was not seen")
	}
}

// TestNoMachine fails without an image, and says what failed.
func TestNoMachine(t *testing.T) {
	var out, errOut strings.Builder
	t.Setenv("PATH", t.TempDir())
	if code := run([]string{"-image", t.TempDir(), "-disk", "none"}, &out, &errOut); code != 1 || !strings.Contains(errOut.String(), "cannot start the machine") {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
	if code := run([]string{"-nonsense"}, &out, &errOut); code != 2 {
		t.Errorf("exit code %d", code)
	}
}
