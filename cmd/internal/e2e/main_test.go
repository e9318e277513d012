//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// raced says that the programs are built with the race detector. With
// TOKEND_TEST_NORACE they are built as they are shipped, as far as the
// environment says so too (GOEXPERIMENT).
var raced = os.Getenv("TOKEND_TEST_NORACE") == ""

// build compiles the programs once for all tests of the package.
var build = sync.OnceValues(func() (Programs, error) {
	dir, err := os.MkdirTemp("", "tokend-programs-")
	if err != nil {
		return Programs{}, err
	}
	return Build(dir, raced)
})

// buildPlain compiles them without the race detector, for tests that need many
// starts or derivations and prove nothing about races.
var buildPlain = sync.OnceValues(func() (Programs, error) {
	if !raced {
		return build()
	}
	dir, err := os.MkdirTemp("", "tokend-programs-")
	if err != nil {
		return Programs{}, err
	}
	plainBuilt.Store(true)
	return Build(dir, false)
})

// plainBuilt says that there is something to be removed.
var plainBuilt atomic.Bool

func plainPrograms(tb testing.TB) Programs {
	tb.Helper()
	p, err := buildPlain()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// soon is what is promised to take a second, on a machine that may have much
// else to do; with the race detector in them the programs are several times as
// slow.
func soon() time.Duration {
	if raced {
		return 15 * time.Second
	}
	return 3 * time.Second
}

func programs(tb testing.TB) Programs {
	tb.Helper()
	p, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// searched is the exit code after a search of all logs for the secrets of all tests.
func searched(l *Leaks) int {
	secrets, names, texts := l.Searched()
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "searched %d logs for %d secrets and %d names\n", texts, secrets, names)
	}
	found := l.Found()
	if len(found) == 0 {
		return 0
	}
	fmt.Fprintf(os.Stderr, "secrets or names are in logs:\n%s\n", strings.Join(found, "\n"))
	return 1
}

func TestMain(m *testing.M) {
	code := m.Run()
	if p, err := build(); err == nil {
		if races, err := p.Races(); races != "" || err != nil {
			fmt.Fprintln(os.Stderr, "the programs have data races:", races, err)
			code = 1
		}
		code = max(code, searched(p.Leaks))
		if err := os.RemoveAll(p.Dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if plainBuilt.Load() {
		if p, err := buildPlain(); err == nil {
			code = max(code, searched(p.Leaks))
			_ = os.RemoveAll(p.Dir)
		}
	}
	os.Exit(code)
}
