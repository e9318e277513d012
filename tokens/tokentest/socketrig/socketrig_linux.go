package socketrig

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// Options say how the program is started.
type Options struct {
	// Program is the path of tokend-helper, or of what stands in for it.
	Program string
	Kind    tokens.Kind
	// Devices are on the command line, as a unit has them for FIDO2 keys that the
	// system does not list.
	Devices []string
	// Env is what of the environment it gets, "NAME=VALUE".
	Env []string
	// As is a command that starts the listener, to have it run as another user.
	As []string
	// Folder is where the sockets lie; empty means one of their own.
	Folder string
}

// Start has systemd's own program for it listen at both sockets of a kind for the
// length of the test, and start the program for each connection, as Accept=yes does. It
// returns the folder of the sockets.
func Start(t testing.TB, o Options) string {
	t.Helper()
	if o.Folder == "" {
		// Not t.TempDir, whose paths are too long for a socket's.
		dir, err := os.MkdirTemp("", "socketrig")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		o.Folder = dir
	}
	for _, mode := range []string{"op", "watch"} {
		o.listen(t, mode)
	}
	return o.Folder
}

func (o Options) listen(t testing.TB, mode string) {
	t.Helper()
	path := filepath.Join(o.Folder, string(o.Kind)+"-"+mode+".sock")
	args := append(append([]string{}, o.As...), "systemd-socket-activate", "--accept", "--inetd", "--listen="+path)
	for _, kv := range o.Env {
		args = append(args, "--setenv="+kv)
	}
	args = append(append(args, o.Program, mode, string(o.Kind)), o.Devices...)
	cmd := exec.Command(args[0], args[1:]...)
	log := new(lines)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", path, log)
		}
	})
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if strings.Contains(log.String(), "Listening on "+path) {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("nobody listens at %s:\n%s", path, log)
		}
	}
}

// lines is what a process wrote.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
