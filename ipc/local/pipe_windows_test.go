package local

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// listenPipe listens at a pipe with a name of its own. Under wine the first client
// gets the instance that go-winio keeps for itself and never answers on, so one is
// made that gets it. On Windows nobody can connect before somebody accepts.
func listenPipe(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := pipePrefix + "tokend-test-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	l, err := Listen(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	short := 200 * time.Millisecond
	if c, err := winio.DialPipe(path, &short); err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return l, path
}

// TestPipe has both ends say who the other is.
func TestPipe(t *testing.T) {
	l, path := listenPipe(t)
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	c, err := Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := <-accepted
	defer s.Close()
	own, err := ownSID()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Principal(s)
	if err != nil || p.UID != own.String() || !p.Admin || p.PID != os.Getpid() || !strings.HasSuffix(p.Exe, ".exe") || p.Program == "" || p.Session == "" {
		t.Errorf("the caller is %+v, %v", p, err)
	}
	// wine makes another instance, whatever it is asked for.
	wine := windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
	if _, err := Listen(path, Options{}); !wine && !errors.Is(err, ErrInUse) {
		t.Errorf("a second daemon at the pipe: %v", err)
	}
}

// TestPipeChecks tries what is no pipe, and names that cannot be one.
func TestPipeChecks(t *testing.T) {
	l, path := listenPipe(t)
	go func() { _, _ = l.Accept() }()
	c, err := winio.DialPipe(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := Principal(&net.TCPConn{}); !errors.Is(err, ErrUnidentified) {
		t.Errorf("what is no pipe: %v", err)
	}
	if err := checkServer(c, path); err != nil {
		t.Errorf("one's own: %v", err)
	}
	for _, path := range []string{"/tmp/s", pipePrefix + strings.Repeat("x", maxPath)} {
		if _, err := Dial(context.Background(), path); err == nil {
			t.Errorf("%s was dialled", path)
		}
	}
}

// TestDescriptor reads who may use a pipe.
func TestDescriptor(t *testing.T) {
	const me = "S-1-5-21-1-2-3-1001"
	for public, want := range map[bool]string{
		false: "O:" + me + "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;" + me + ")",
		true:  "O:" + me + "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;" + me + ")(A;;GA;;;BA)(A;;0x12019b;;;AU)",
	} {
		sddl := descriptor(me, public)
		if sddl != want {
			t.Errorf("public: %v: %s, want %s", public, sddl, want)
		}
		if _, err := windows.SecurityDescriptorFromString(sddl); err != nil {
			t.Errorf("%s: %v", sddl, err)
		}
	}
	const createInstance = windows.FILE_APPEND_DATA // FILE_CREATE_PIPE_INSTANCE has the same bit
	if mask, err := strconv.ParseUint(pipeAccess, 0, 32); err != nil || mask&createInstance != 0 {
		t.Errorf("whoever may connect may answer in the daemon's place: %s, %v", pipeAccess, err)
	}
}
