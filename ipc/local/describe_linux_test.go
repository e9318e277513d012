package local

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/ipc"
)

func TestUnitOf(t *testing.T) {
	for cgroup, want := range map[string][2]string{
		"": {}, "0::/\n": {},
		"0::/user.slice/user-1000.slice/session-3.scope\n":                                                               {"session-3.scope", "3"},
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-0a1b.scope\n": {"vte-spawn-0a1b.scope", ""},
		"0::/system.slice/cron.service\n":                                                                                {"cron.service", ""},
		"12:pids:/x\n1:name=systemd:/user.slice/user-0.slice/session-c2.scope\n":                                         {"session-c2.scope", "c2"},
		"1:name=systemd:/old.service\n0::/new.service\n":                                                                 {"new.service", ""},
		"1:name=systemd:/old.service\n0::/\n":                                                                            {"old.service", ""},
		"0::/system.slice/a\x1bb.service\n":                                                                              {"a?b.service", ""},
		"0::/user.slice/user@1000.service/app.slice/run-u1.scope/child\n":                                                {"run-u1.scope", ""},
		"nonsense": {},
	} {
		unit, session := unitOf(cgroup)
		if unit != want[0] || session != want[1] {
			t.Errorf("%q: %q, %q; want %q", cgroup, unit, session, want)
		}
	}
}

func TestWindowOf(t *testing.T) {
	for stat, want := range map[string]struct {
		leader   int
		terminal string
	}{
		"": {}, "nonsense": {}, ")": {}, "7 (a) S 1 7": {}, "7 (a) S 1 7 0 0 -1": {}, "7 (a) S 1 7 -5 0 -1": {}, "7 (a) S 1 7 x 34819 -1": {},
		"7 (a) S 1 7 7 0 -1 4194304":          {7, ""},
		"7 (a) S 1 7 5 34819 7 4194304":       {5, "pts/3"},
		"7 (a) S 1 7 5 1083436 7":             {5, "pts/300"},
		"7 (a) S 1 7 5 52288 7":               {5, "204:64"},
		"7 (a) S 1 7 5 1025 7":                {5, "tty1"},
		"7 (a) S 1 7 5 1088 7":                {5, "ttyS0"},
		"7 (a) S 1 7 5 1089x 7":               {5, ""},
		"7 (x) S 9 9 9 1025 ) S 1 7 5 0 -1\n": {5, ""},
		"7 (a b) c) R 1 7 5 34816 7":          {5, "pts/0"},
	} {
		if leader, terminal := windowOf(stat); leader != want.leader || terminal != want.terminal {
			t.Errorf("%q: %d, %q; want %+v", stat, leader, terminal, want)
		}
	}
}

// TestWindows starts a process in two terminals each, and one without any.
func TestWindows(t *testing.T) {
	window := func(on bool) (leader int, terminal, want string) {
		cmd := exec.Command("sh", "-c", "sleep 60; :") // so that the one that is looked at leads nothing
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if on {
			other, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = other.Close(), tty.Close() })
			cmd.Stdin, cmd.SysProcAttr.Setctty, want = tty, true, strings.TrimPrefix(tty.Name(), "/dev/")
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
		children := fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)
		for range 1000 {
			b, err := os.ReadFile(children)
			if err != nil {
				t.Fatal(err)
			}
			if child := strings.TrimSpace(string(b)); child != "" {
				stat, err := os.ReadFile("/proc/" + child + "/stat")
				if err != nil {
					t.Fatal(err)
				}
				leader, terminal = windowOf(string(stat))
				if leader != cmd.Process.Pid {
					t.Errorf("%d leads, not %d", leader, cmd.Process.Pid)
				}
				// Where the system has no units, that is what is told of it.
				pid, _ := strconv.Atoi(child)
				if p := describe(ipc.Principal{PID: pid}, -1, uint32(os.Geteuid())); p.Unit == "" && (p.Leader != leader || p.Terminal != terminal) || p.Unit != "" && p.Leader != 0 {
					t.Errorf("%+v", p)
				}
				return leader, terminal, want
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("the shell starts nothing")
		return 0, "", ""
	}
	seen := make(map[int]bool)
	for _, on := range []bool{true, true, false} {
		leader, terminal, want := window(on)
		if terminal != want || seen[leader] {
			t.Errorf("on a terminal: %v: %d, %q, want %q", on, leader, terminal, want)
		}
		seen[leader] = true
	}
}

// TestDescribe looks at a process that is there, and at one whose number may be
// another's by now.
func TestDescribe(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(pidfd) }()
	exe, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		t.Fatal(err)
	}
	own := uint32(os.Geteuid())
	for _, fd := range []int{pidfd, -1} {
		if p := describe(ipc.Principal{UID: "1", PID: cmd.Process.Pid}, fd, own); p.Exe != exe || p.Program != filepath.Base(exe) || p.UID != "1" {
			t.Errorf("%+v", p)
		}
	}
	// Somebody else's number: the process that was meant is another, and gone.
	other := ipc.Principal{PID: os.Getpid()}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if p := describe(other, pidfd, own); p != other {
		t.Errorf("of another process than the one that is meant was told %+v", p)
	}
	if gone := (ipc.Principal{PID: cmd.Process.Pid}); describe(gone, -1, own) != gone || describe(ipc.Principal{}, -1, own) != (ipc.Principal{}) {
		t.Error("something was told of a process that is not there")
	}
}

// TestNumberOfAnothers has a number named that a process of another user has by
// now: a connection to a bus can outlive the process that made it.
func TestNumberOfAnothers(t *testing.T) {
	own := uint32(os.Geteuid())
	p, err := Named(own, os.Getpid())
	if err != nil || p.Exe == "" || p.Program == "" {
		t.Errorf("one's own: %+v, %v", p, err)
	}
	p, err = Named(own+1, os.Getpid())
	if err != nil || p.Exe != "" || p.Program != "" || p.Unit != "" || p.Session != "" {
		t.Errorf("another user is told %+v, %v", p, err)
	}
	for status, want := range map[string]bool{
		"": false, "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\n": true, "Uid:\t55\t55\t55\t55\n": false, "Name:\tUid:\t5\n": false,
	} {
		if runsAs(status, 2) != want {
			t.Errorf("%q: %v", status, !want)
		}
	}
}

// TestPrincipalNamesExecutable asks through a socket.
func TestPrincipalNamesExecutable(t *testing.T) {
	l, err := Listen(filepath.Join(openDir(t), "s"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Principal(s); err != nil || p.Exe != self || p.PID != os.Getpid() {
		t.Errorf("%+v, %v", p, err)
	}
}

func BenchmarkDescribe(b *testing.B) {
	for b.Loop() {
		describe(ipc.Principal{PID: os.Getpid()}, -1, uint32(os.Geteuid()))
	}
}
