//go:build unix

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// sick is a machine of its own folder, with nothing wrong but what a test does to it.
// What the system tells besides its files is played.
type sick struct {
	dir    string
	clock  bool
	access error
}

func (s *sick) machine() machine {
	return machine{root: os.DirFS(s.dir), system: "linux", synchronised: func() (bool, error) { return s.clock, nil },
		reachable: func(string) error { return s.access }}
}

// put makes an empty file.
func (s *sick) put(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// worst is the finding of a code, and whether it is there and not fine.
func worst(list []ipc.Finding, code string) (ipc.Finding, bool) {
	for _, f := range list {
		if f.Code == code {
			return f, f.Level != levelOK
		}
	}
	return ipc.Finding{}, false
}

// TestMachineFindings causes each finding about the machine, and sees it gone after
// what it advises: for tokenctl service install that is the real one, into the
// machine's folder; what asks a service of the system is played.
func TestMachineFindings(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("services are installed by root")
	}
	system := &ipc.Status{Daemon: ipc.Daemon{Mode: "system", Bus: "ok"}}
	install := func(t *testing.T, s *sick) {
		if err := os.MkdirAll(filepath.Join(s.dir, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		at(t, opened(), "service", "--root", s.dir, "install").ends(0)
	}
	for _, c := range []struct {
		code, level, fix string
		st               *ipc.Status
		cause            func(t *testing.T, s *sick)
		mend             func(t *testing.T, s *sick)
	}{
		{"udev-rule", levelWarning, "sudo tokenctl service install", system, nil, install},
		{"polkit-rule", levelWarning, "sudo tokenctl service install", system, nil, install},
		{"polkit-actions", levelWarning, "sudo tokenctl service install", system, nil, install},
		{"polkit", levelWarning, "sudo apt-get install polkitd", system,
			func(t *testing.T, s *sick) { s.put(t, "usr/bin/apt-get") },
			func(t *testing.T, s *sick) {
				install(t, s)
				s.put(t, "usr/lib/polkit-1/polkitd") // as the package does
			}},
		{"clock-synchronised", levelWarning, "sudo timedatectl set-ntp true", system,
			func(t *testing.T, s *sick) {
				s.put(t, "run/systemd/system/x")
				s.put(t, "usr/lib/systemd/systemd-timesyncd")
				s.clock = false
			}, func(_ *testing.T, s *sick) { s.clock = true }},
		{"clock-synchronised", levelWarning, "sudo chronyd", system,
			func(t *testing.T, s *sick) { s.put(t, "usr/sbin/chronyd"); s.clock = false }, func(_ *testing.T, s *sick) { s.clock = true }},
		{"socket-rights", levelError, "sudo systemctl restart tokend.socket", nil,
			func(t *testing.T, s *sick) { s.put(t, "run/tokend/tokend.sock"); s.access = fs.ErrPermission },
			func(_ *testing.T, s *sick) { s.access = nil }},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := &sick{dir: t.TempDir(), clock: true}
			if c.cause != nil {
				c.cause(t, s)
			}
			f, is := worst(s.machine().find(c.st, local.SystemSocket()), c.code)
			if !is || f.Level != c.level || f.Fix != c.fix || f.Message == "" {
				t.Fatalf("caused: %+v", f)
			}
			c.mend(t, s)
			if f, is := worst(s.machine().find(c.st, local.SystemSocket()), c.code); is {
				t.Errorf("after %s: %+v", c.fix, f)
			}
		})
	}
}

// TestMachineOfAUser: who runs a daemon of his own is told nothing of the machine's.
func TestMachineOfAUser(t *testing.T) {
	s := &sick{dir: t.TempDir(), clock: true}
	for _, f := range s.machine().find(&ipc.Status{Daemon: ipc.Daemon{Mode: "user"}}, "/x") {
		if f.Level != levelOK {
			t.Errorf("%+v", f)
		}
	}
	if s.machine().installed() || adviceStart("", false) != "tokend serve --user" {
		t.Error("nothing is installed")
	}
	s.put(t, "usr/lib/systemd/system/tokend.socket")
	if s.machine().starts() {
		t.Error("it is started by a systemd that does not run")
	}
	s.put(t, "run/systemd/system/x")
	if !s.machine().starts() || adviceStart("", true) != "sudo tokenctl service start" || !strings.Contains(adviceStart("/s", true), "--socket /s") {
		t.Error("the machine's daemon is not started")
	}
}
