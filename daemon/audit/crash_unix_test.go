//go:build unix

package audit

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv makes this test program, started again, append for ever to the log it
// names.
const childEnv = "TOKEND_AUDIT_TEST_LOG"

func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	l, err := OpenSize(path, time.Now, 30_000)
	for i := 0; err == nil; i++ {
		if err = l.Append(Entry{Action: "code", Object: fmt.Sprint(i), OK: true, Sync: i%50 == 0}); err == nil && i == 0 {
			fmt.Println("ready")
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilled kills a process that appends and rotates, at random moments, again
// and again over one log.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	var last uint64
	for round := range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		time.Sleep(time.Duration(rand.IntN(8_000)) * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if line != "ready\n" {
			t.Fatalf("round %d: the child said %q", round, line)
		}
		l := mustOpen(t, path)
		res, err := l.Check()
		if err != nil || !res.Intact() || res.Torn != 0 || res.Last <= last {
			t.Fatalf("round %d: %+v after %d, %v", round, res, last, err)
		}
		last = res.Last
		_ = l.Close()
	}
	t.Logf("%d entries in 25 rounds", last)
}

// apartEnv is set in the process of a test that has one for itself.
const apartEnv = "TOKEND_AUDIT_APART"

// apart runs a test in a process of its own, and says whether this is not it: where
// no file may grow, neither may what go test writes down of the tests beside it.
func apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartEnv) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), apartEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return true
}

// TestDiskFull lets a write end in the middle of a line, for real: the kernel
// refuses to let the file grow. The log stays as it was, and goes on when there
// is room again.
func TestDiskFull(t *testing.T) {
	if apart(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path)
	mustAppend(t, l, sample()...)
	before := read(t, path)

	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	setLimit(&small.Cur, len(before)+40)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := l.Append(Entry{Action: "too-much"})
	_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	if !errors.Is(err, unix.EFBIG) {
		t.Fatalf("Append said %v", err)
	}
	if got := read(t, path); string(got) != string(before) {
		t.Errorf("the file changed: %d bytes, were %d", len(got), len(before))
	}
	mustAppend(t, l, Entry{Action: "after"})
	entries, err := l.Read()
	if err != nil || len(entries) != 5 || entries[4].Action != "after" {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestDiskFullInRotation: there is no room for the new file's first line. The full
// file has its name already; nothing is lost, and it goes on.
func TestDiskFullInRotation(t *testing.T) {
	if apart(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := OpenWith(path, Options{Now: clock(), MaxSize: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustAppend(t, l, sample()...)

	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	setLimit(&small.Cur, 40)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	first, again := l.Append(Entry{Action: "lost"}), l.Append(Entry{Action: "lost"})
	_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	if !errors.Is(first, unix.EFBIG) || !errors.Is(again, unix.EFBIG) {
		t.Fatalf("Append said %v, then %v", first, again)
	}
	mustAppend(t, l, Entry{Action: "after"})
	entries, err := l.Read()
	n := len(entries)
	if err != nil || entries[n-3].Action != "lock" || entries[n-2].Action != ActionRotated || entries[n-1].Action != "after" {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestSymlinkRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "audit.log")); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(filepath.Join(dir, "audit.log"), time.Now); err == nil {
		_ = l.Close()
		t.Error("a symbolic link was followed")
	}
}

// setLimit sets a limit, whose type differs between systems.
func setLimit[N int64 | uint64](limit *N, n int) { *limit = N(n) }
