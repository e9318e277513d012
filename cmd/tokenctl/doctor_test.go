//go:build !windows

package main

import (
	"strings"
	"testing"
)

// At a terminal what is wrong comes last, and what is fine is counted, so that the
// first does not scroll away; --all names it.
func TestDoctorAtATerminal(t *testing.T) {
	f := opened()
	f.tries = 0
	lines := func(args ...string) []string {
		return strings.Split(strings.TrimSpace(at(t, f, append([]string{"doctor"}, args...)...).ends(1)), "\r\n")
	}
	short, all := lines(), lines("--all")
	last := func(list []string) string { return strings.Join(list[len(list)-2:], "|") }
	const worst = "error    PIN tries|         mend it: tokenctl token pin --unblock"
	if last(short) != worst || last(all) != worst {
		t.Errorf("%q\n%q", short, all)
	}
	fine := 0
	for _, l := range all {
		if strings.HasPrefix(l, levelOK+" ") {
			fine++
		}
	}
	if fine < 3 || short[0] != levelOK+"       "+plural(fine, "check")+" found nothing wrong; --all names them" || strings.Count(strings.Join(short, "\n"), "ok  ") != 1 {
		t.Errorf("%d are fine:\n%q\n%q", fine, short, all)
	}
}
