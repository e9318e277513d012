package local

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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
	for _, fd := range []int{pidfd, -1} {
		if p := Describe(ipc.Principal{UID: "1", PID: cmd.Process.Pid}, fd); p.Exe != exe || p.Program != filepath.Base(exe) || p.UID != "1" {
			t.Errorf("%+v", p)
		}
	}
	// Somebody else's number: the process that was meant is another, and gone.
	own := ipc.Principal{PID: os.Getpid()}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if p := Describe(own, pidfd); p != own {
		t.Errorf("of another process than the one that is meant was told %+v", p)
	}
	if gone := (ipc.Principal{PID: cmd.Process.Pid}); Describe(gone, -1) != gone || Describe(ipc.Principal{}, -1) != (ipc.Principal{}) {
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
		Describe(ipc.Principal{PID: os.Getpid()}, -1)
	}
}
