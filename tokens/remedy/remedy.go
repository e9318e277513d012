// Package remedy knows the commands that mend what a machine lacks of others: their
// services and packages. Which they are, the machine's files tell.
package remedy

import (
	"io/fs"
	"os"
	"runtime"
)

// Machine is what the commands depend on.
type Machine struct {
	System string // as GOOS has it
	Root   fs.FS  // its files
}

// Here is the machine that the program runs on.
func Here() Machine { return Machine{runtime.GOOS, os.DirFS("/")} }

// Has says whether one of the paths, relative to Root, is there.
func (m Machine) Has(paths ...string) bool {
	for _, p := range paths {
		if _, err := fs.Stat(m.Root, p); err == nil {
			return true
		}
	}
	return false
}

// Systemd says whether systemd is the machine's init.
func (m Machine) Systemd() bool { return m.Has("run/systemd/system") }

// openRC says whether services are OpenRC's.
func (m Machine) openRC() bool { return m.Has("usr/sbin/openrc-run", "sbin/openrc-run") }

// StartCards is the command that starts the service without which no card is seen;
// empty where none does.
func (m Machine) StartCards() string {
	switch {
	case m.System != "linux":
		return ""
	case m.Systemd():
		return "sudo systemctl enable --now pcscd.socket"
	case m.openRC():
		return "sudo rc-service pcscd start"
	}
	return "sudo pcscd"
}

// RestartCards is the command that starts it anew; empty where none does.
func (m Machine) RestartCards() string {
	switch {
	case m.System != "linux":
		return ""
	case m.Systemd():
		return "sudo systemctl restart pcscd"
	case m.openRC():
		return "sudo rc-service pcscd restart"
	}
	return "sudo pkill -x pcscd; sleep 1; sudo pcscd" // which does not start beside one that ends
}

// Packages are what a program is called in distributions, empty where they have none.
type Packages struct{ Debian, Fedora, SUSE, Arch, Alpine string }

// Install is the command that installs packages; empty where it is not known how
// packages are installed.
func (m Machine) Install(p Packages) string {
	for _, by := range []struct{ program, command, names string }{
		{"usr/bin/apt-get", "sudo apt-get install ", p.Debian},
		{"usr/bin/dnf", "sudo dnf install ", p.Fedora},
		{"usr/bin/zypper", "sudo zypper install ", p.SUSE},
		{"usr/bin/pacman", "sudo pacman -S ", p.Arch},
		{"sbin/apk", "sudo apk add ", p.Alpine},
	} {
		if by.names != "" && m.Has(by.program) {
			return by.command + by.names
		}
	}
	return ""
}
