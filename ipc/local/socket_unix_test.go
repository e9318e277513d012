//go:build unix

package local

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func mustListen(t *testing.T, path string, o Options) net.Listener {
	t.Helper()
	l, err := Listen(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode().Perm()
}

func TestListenModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		old := syscall.Umask(umask)
		dir := filepath.Join(t.TempDir(), "a", "b")
		mustListen(t, filepath.Join(dir, "s"), Options{})
		sys := filepath.Join(t.TempDir(), "sys")
		mustListen(t, filepath.Join(sys, "s"), Options{Mode: 0o666, DirMode: 0o755})
		syscall.Umask(old)
		if m := mode(t, dir); m != 0o700 {
			t.Errorf("umask %#o: folder %#o, want 0700", umask, m)
		}
		if m := mode(t, filepath.Join(dir, "s")); m != 0o600 {
			t.Errorf("umask %#o: socket %#o, want 0600", umask, m)
		}
		if m := mode(t, sys); m != 0o755 {
			t.Errorf("umask %#o: system folder %#o, want 0755", umask, m)
		}
		if m := mode(t, filepath.Join(sys, "s")); m != 0o666 {
			t.Errorf("umask %#o: system socket %#o, want 0666", umask, m)
		}
	}
}

func TestListenRefusesALiveOneAndReplacesAStaleOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, path, Options{})
	if _, err := Listen(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second daemon: %v, want ErrInUse", err)
	}
	// A daemon that was killed leaves its socket: close without the removal.
	if err := l.(*listener).UnixListener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the stale socket is gone before the test: %v", err)
	}
	mustListen(t, path, Options{})
	c, err := Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestListenAtOnceGivesOneWinner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale := mustListen(t, path, Options{})
	_ = stale.(*listener).UnixListener.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []net.Listener
	for range 16 {
		wg.Go(func() {
			l, err := Listen(path, Options{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, l)
			} else if !errors.Is(err, ErrInUse) {
				t.Errorf("a loser got %v, want ErrInUse", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d daemons listen, want 1", len(won))
	}
	_ = won[0].Close()
}

func TestCloseRemovesOnlyOurSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, path, Options{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := mustListen(t, path, Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("closing removed another daemon's socket: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("closing left the socket: %v", err)
	}
	if err := other.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v, want net.ErrClosed", err)
	}
}

func TestListenRefusals(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"sticky folder":   {filepath.Join(shared, "s"), "others can write"},
		"relative":        {"s", "not absolute"},
		"file in the way": {file, "no socket is in the way"},
		"open folder":     {filepath.Join(open, "s"), "others can write"},
		"too long":        {filepath.Join(dir, strings.Repeat("x", maxPath)), "can have at most " + strconv.Itoa(maxPath)},
	} {
		if _, err := Listen(c.path, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || len(b) != 0 {
		t.Errorf("the file in the way was touched: %v", err)
	}
	var long *PathTooLongError
	if _, err := Dial(context.Background(), "/"+strings.Repeat("x", maxPath)); !errors.As(err, &long) {
		t.Errorf("dialling a path too long: %v", err)
	}
	exact := filepath.Join(dir, strings.Repeat("y", maxPath-len(dir)-1))
	if len(exact) != maxPath {
		t.Fatal(len(exact))
	}
	mustListen(t, exact, Options{})
}

func TestPrincipalIsWhoTheKernelSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, path, Options{})
	c, err := Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	p, err := Principal(s)
	if err != nil {
		t.Fatal(err)
	}
	if p.UID != strconv.Itoa(os.Geteuid()) || p.PID != os.Getpid() || !p.Admin {
		t.Errorf("principal %+v, want ourselves", p)
	}
	if p.Program == "" || len(p.Program) > 16 || !strings.HasPrefix(filepath.Base(os.Args[0]), p.Program) {
		t.Errorf("program %q of %s", p.Program, os.Args[0])
	}
}

func TestPrincipalNeedsASocket(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _ = a.Close(); _ = b.Close() }()
	if _, err := Principal(a); !errors.Is(err, ErrUnidentified) {
		t.Errorf("a pipe in memory: %v", err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	c, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s, err := tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if p, err := Principal(s); !errors.Is(err, ErrUnidentified) {
		t.Errorf("a TCP connection: %+v, %v", p, err)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31m\nü"); got != "a?[31m???" {
		t.Errorf("%q", got)
	}
}
