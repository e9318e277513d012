//go:build linux

package e2e

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// build compiles the programs once for all tests of the package.
var build = sync.OnceValues(func() (Programs, error) {
	dir, err := os.MkdirTemp("", "tokend-programs-")
	if err != nil {
		return Programs{}, err
	}
	return Build(dir, os.Getenv("TOKEND_TEST_NORACE") == "")
})

func programs(tb testing.TB) Programs {
	tb.Helper()
	p, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestMain(m *testing.M) {
	code := m.Run()
	if p, err := build(); err == nil {
		if races, err := p.Races(); races != "" || err != nil {
			fmt.Fprintln(os.Stderr, "the programs have data races:", races, err)
			code = 1
		}
		if err := os.RemoveAll(p.Dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}
