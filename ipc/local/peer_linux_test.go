package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	envRole   = "TOKEND_TEST_ROLE"
	envTarget = "TOKEND_TEST_TARGET"
)

// TestMain makes the test binary play the other process: a client or a daemon
// of another user.
func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "":
		os.Exit(m.Run())
	case "client":
		c, err := net.Dial("unix", os.Getenv(envTarget))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, _ = bufio.NewReader(c).ReadByte() // until the test has looked
	case "daemon":
		l, err := net.Listen("unix", os.Getenv(envTarget))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_ = os.Chmod(os.Getenv(envTarget), 0o777)
		fmt.Println("listening")
		c, err := l.Accept()
		if err == nil {
			_, _ = bufio.NewReader(c).ReadByte()
		}
	}
}

// needRoot fails rather than skips: without root the one thing that these
// tests are for, another user, cannot be had.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test starts processes of other users and must run as root")
	}
}

// openDir is a folder that every user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tokend-local-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// as starts this test binary as another user. The copy is needed because that
// user may not be able to enter the folder of the original.
func as(t *testing.T, dir string, uid uint32, role, target string) *exec.Cmd {
	t.Helper()
	program := filepath.Join(dir, "other-"+role)
	if err := os.Link(os.Args[0], program); err != nil {
		b, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program)
	cmd.Dir = "/"
	cmd.Env = []string{envRole + "=" + role, envTarget + "=" + target}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	cmd.Stderr = os.Stderr
	return cmd
}

func TestPrincipalOfAnotherUser(t *testing.T) {
	needRoot(t)
	for _, uid := range []uint32{12345, overflowUID()} {
		dir := openDir(t)
		path := filepath.Join(dir, "s")
		l := mustListen(t, path, Options{Mode: 0o666})
		cmd := as(t, dir, uid, "client", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Principal(c)
		_ = c.Close()
		_ = cmd.Wait()
		if uid == overflowUID() {
			if !errors.Is(err, ErrUnidentified) || p.UID != "" {
				t.Errorf("the overflow uid: %+v, %v; want ErrUnidentified", p, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.UID != "12345" || p.Admin || p.PID != cmd.Process.Pid || p.Program != "other-client" {
			t.Errorf("principal %+v, want uid 12345, pid %d, no admin", p, cmd.Process.Pid)
		}
	}
}

func TestDialRefusesAStrangersDaemon(t *testing.T) {
	needRoot(t)
	for _, uid := range []uint32{12345, overflowUID()} {
		dir := openDir(t)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		cmd := as(t, dir, uid, "daemon", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != "listening" {
			t.Fatalf("the stranger's daemon: %q, %v", line, err)
		}
		c, err := Dial(context.Background(), path)
		if err == nil {
			_ = c.Close()
		}
		_ = cmd.Wait()
		var stranger *StrangerError
		if !errors.As(err, &stranger) || stranger.Owner != strconv.Itoa(int(uid)) || stranger.Path != path || stranger.Nobody != (uid == overflowUID()) {
			t.Errorf("daemon of uid %d: %v, want *StrangerError", uid, err)
		}
	}
}

func TestListenLeavesAnotherUsersSocket(t *testing.T) {
	needRoot(t)
	dir := openDir(t)
	path := filepath.Join(dir, "s")
	l := mustListen(t, path, Options{})
	_ = l.(*listener).UnixListener.Close()
	if err := os.Lchown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, Options{}); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("another user's stale socket: %v", err)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, "t"), Options{}); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("another user's folder: %v", err)
	}
}
