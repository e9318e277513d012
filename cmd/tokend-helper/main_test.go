//go:build linux

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

func build(t *testing.T, cgo string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokend-helper")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// start runs a watch, which goes on until it is ended, and waits for its first
// event: all threads that it has by then were made by the program.
func start(t *testing.T, path string, kind tokens.Kind) (cmd *exec.Cmd, stdin io.WriteCloser) {
	t.Helper()
	cmd = exec.Command(path, "watch", string(kind))
	cmd.Env = []string{"PCSCLITE_CSOCK_NAME=" + filepath.Join(t.TempDir(), "nobody")}
	leaked, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	cmd.ExtraFiles = []*os.File{leaked}
	if stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if err := wire.WriteRequest(stdin, wire.Request{Kind: kind, Op: wire.OpWatch}); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"watch"`) {
			return cmd, stdin
		}
	}
	t.Fatal("the watch did not get ready")
	return nil, nil
}

func TestStartsBare(t *testing.T) {
	for _, cgo := range []string{"1", "0"} {
		path := build(t, cgo)
		t.Run("cgo="+cgo+"/soft", func(t *testing.T) { startsBare(t, path, cgo, tokens.KindSoft) })
		if cgo == "1" {
			t.Run("cgo=1/piv", func(t *testing.T) { startsBare(t, path, cgo, tokens.KindPIV) })
		}
	}
}

func startsBare(t *testing.T, path, cgo string, kind tokens.Kind) {
	cmd, _ := start(t, path, kind)
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	threads, err := filepath.Glob(proc + "task/*/status")
	if err != nil || len(threads) < 2 {
		t.Fatal("no threads")
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "NoNewPrivs:\t1\n") || !strings.Contains(string(b), "Seccomp:\t2\n") {
			t.Errorf("a thread may gain rights or make any call:\n%s", b)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("core files are possible:\n%s", limits)
	}
	if cgo == "0" {
		return // Go's own descriptors alone can be told from others by C
	}
	fds, err := filepath.Glob(proc + "fd/*")
	if err != nil || len(fds) < 3 {
		t.Fatalf("descriptors %v", fds)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "/etc/passwd" {
			t.Error("an inherited descriptor is open")
		}
	}
}

// TestSaysWhatHolds compares what the program says with what this kernel has.
func TestSaysWhatHolds(t *testing.T) {
	for cgo, want := range map[string]string{"1": "no-new-privs no-core landlock-N seccomp pcscd-only", "0": "no-new-privs no-core landlock-N seccomp"} {
		out, err := exec.Command(build(t, cgo), "hello").Output()
		if err != nil {
			t.Fatal(err)
		}
		var h wire.Hello
		if err := wire.Decode(out, &h); err != nil {
			t.Fatal(err)
		}
		version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
		landlock := fmt.Sprintf("landlock-%d", version)
		if errno != 0 {
			want = strings.Replace(want, "landlock-N ", "", 1)
		}
		if got := strings.Join(h.Confined, " "); got != strings.Replace(want, "landlock-N", landlock, 1) {
			t.Errorf("cgo=%s: %s, want %s", cgo, got, want)
		}
	}
}

func TestEndsWithItsStarter(t *testing.T) {
	cmd, stdin := start(t, build(t, "1"), tokens.KindSoft)
	stdin.Close()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		t.Fatal("it goes on after its standard input has ended")
	}
}

func TestWithoutCgoSaysWhatIsMissing(t *testing.T) {
	path := build(t, "0")
	out, err := exec.Command(path, "hello").Output()
	if err != nil {
		t.Fatal(err)
	}
	var h wire.Hello
	if err := wire.Decode(out, &h); err != nil {
		t.Fatal(err)
	}
	if h.Missing[tokens.KindPIV] == "" || len(h.Kinds) != 1 {
		t.Fatalf("hello %+v", h)
	}
	cmd := exec.Command(path, "op", "piv")
	cmd.Stdin = strings.NewReader(`{"version":1,"kind":"piv","op":"list"}` + "\n{}\n")
	out, _ = cmd.Output()
	a, err := wire.NewAnswers(strings.NewReader(string(out)), true, nil).Next()
	if err != nil || a.Error == nil || a.Error.Code != tokens.CodeUnsupported {
		t.Fatalf("answer %q: %v", out, err)
	}
}

func TestRefusesNonsense(t *testing.T) {
	path := build(t, "0")
	for _, in := range []string{"", "{}\n{}\n", `{"version":9,"kind":"soft","op":"list"}` + "\n{}\n", `{"version":1,"kind":"soft","op":"dance"}` + "\n{}\n",
		`{"version":1,"kind":"soft","op":"watch"}` + "\n{}\n", strings.Repeat("x", 1<<20)} {
		cmd := exec.Command(path, "op", "soft")
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		if err == nil {
			t.Errorf("%.40q was accepted", in)
		}
		a, err := wire.NewAnswers(strings.NewReader(string(out)), true, nil).Next()
		if err != nil || a.Error == nil {
			t.Errorf("%.40q: answer %q", in, out)
		}
	}
}
