package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
	"github.com/tokenbridge/tokend/tokens/remedy"
	"github.com/tokenbridge/tokend/udev"
)

// machine is what the doctor looks at of the system itself. It is looked at by
// tokenctl, for a daemon that is kept from devices and folders sees little of it, and
// one that is down sees nothing.
type machine struct {
	root   fs.FS // the system's files
	system string
	// synchronised says whether the clock is kept by others' clocks; it fails where
	// the system does not tell.
	synchronised func() (bool, error)
	// reachable fails where the caller may not connect to a socket.
	reachable func(socket string) error
}

func thisMachine() machine {
	return machine{root: os.DirFS("/"), system: runtime.GOOS, synchronised: synchronised, reachable: mayConnect}
}

// The files that a machine's tokend needs of the system, below the folders where they
// can be.
const (
	polkitRules   = "50-tokend.rules"
	polkitActions = "io.github.tokenbridge.tokend.policy"
)

func unitFolders() []string {
	return []string{"etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}
}

func udevFolders() []string {
	return []string{"etc/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d"}
}

func polkitRuleFolders() []string {
	return []string{"etc/polkit-1/rules.d", "usr/share/polkit-1/rules.d"}
}

// polkitPrograms are where distributions put polkitd.
func polkitPrograms() []string {
	return []string{"usr/lib/polkit-1/polkitd", "usr/libexec/polkitd", "usr/lib/policykit-1/polkitd", "usr/libexec/polkit-1/polkitd"}
}

// has says whether one of the folders has the file; it fails where one of them cannot
// be looked into, and none of the others has it.
func (m machine) has(folders []string, name string) (bool, error) {
	var hidden error
	for _, dir := range folders {
		_, err := fs.Stat(m.root, path.Join(dir, name))
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, fs.ErrPermission):
			hidden = err
		}
	}
	return false, hidden
}

// installed says whether a machine's tokend is.
func (m machine) installed() bool {
	is, _ := m.has(unitFolders(), socketUnit)
	return is
}

// starts says whether systemd runs here, and can start what is installed.
func (m machine) starts() bool {
	return m.remedies().Systemd() && m.installed()
}

// find is what stands in the way on this machine. st is nil where no daemon answers.
func (m machine) find(st *ipc.Status, socket string) []ipc.Finding {
	f := m.socket(st, socket)
	if m.system == "linux" && (st == nil && m.installed() || st != nil && st.Daemon.Mode == "system") {
		f = append(f, m.udev(), m.polkitRule())
		if st == nil || st.Daemon.Bus != "" {
			f = append(f, m.polkit()...)
		}
	}
	f = append(f, m.clock())
	var list []ipc.Finding
	for _, one := range f {
		if one.Code != "" {
			list = append(list, one)
		}
	}
	return list
}

// socket is about a socket that is there and may not be connected to.
func (m machine) socket(st *ipc.Status, socket string) []ipc.Finding {
	if st != nil || strings.HasPrefix(socket, `\\`) {
		return nil
	}
	err := m.reachable(socket)
	if !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	f := ipc.Finding{Code: "socket-rights", Level: levelError, Fix: adviceSocketRights(socket, socket == local.SystemSocket()),
		Message: fmt.Sprintf("you may not connect to %s%s", socket, m.rights(socket))}
	return []ipc.Finding{f}
}

// rights is the mode of a socket, or that of the folder which hides it.
func (m machine) rights(socket string) string {
	for at := socket; at != filepath.Dir(at); at = filepath.Dir(at) {
		if info, err := fs.Stat(m.root, strings.TrimPrefix(filepath.ToSlash(at), "/")); err == nil {
			return fmt.Sprintf(" (%s has the mode %04o)", at, info.Mode().Perm())
		}
	}
	return ""
}

func (m machine) udev() ipc.Finding {
	switch there, err := m.has(udevFolders(), udev.RulesName); {
	case there:
		return ipc.Finding{Code: "udev-rule", Level: levelOK, Message: "the udev rule for FIDO2 keys is installed"}
	case err != nil:
		return ipc.Finding{}
	}
	return ipc.Finding{Code: "udev-rule", Level: levelWarning, Fix: adviceServiceFiles,
		Message: "the udev rule is missing that lets tokend-helper use FIDO2 keys: /dev/hidraw* is root's alone without it"}
}

func (m machine) polkitRule() ipc.Finding {
	switch there, err := m.has(polkitRuleFolders(), polkitRules); {
	case there:
		return ipc.Finding{Code: "polkit-rule", Level: levelOK, Message: "the polkit rule for smart cards is installed"}
	case err != nil: // the folder of the rules is polkit's alone on many systems
		return ipc.Finding{}
	}
	return ipc.Finding{Code: "polkit-rule", Level: levelWarning, Fix: adviceServiceFiles,
		Message: "the polkit rule is missing that lets tokend-helper use smart cards: pcscd refuses it where polkit is asked"}
}

// polkit is about who is asked before accounts and tokens are changed over D-Bus.
func (m machine) polkit() []ipc.Finding {
	var list []ipc.Finding
	there := false
	for _, p := range polkitPrograms() {
		_, err := fs.Stat(m.root, p)
		there = there || err == nil
	}
	if !there {
		list = append(list, ipc.Finding{Code: "polkit", Level: levelWarning, Fix: m.remedies().Install(remedy.Packages{Debian: "polkitd", Fedora: "polkit", SUSE: "polkit", Arch: "polkit"}),
			Message: "polkit is not installed: over D-Bus nothing can be changed without it"})
	}
	if is, err := m.has([]string{"usr/share/polkit-1/actions"}, polkitActions); !is && err == nil {
		list = append(list, ipc.Finding{Code: "polkit-actions", Level: levelWarning, Fix: adviceServiceFiles,
			Message: "polkit does not know tokend's actions, and refuses each change over D-Bus"})
	}
	if len(list) == 0 {
		list = append(list, ipc.Finding{Code: "polkit", Level: levelOK, Message: "polkit and tokend's actions are installed"})
	}
	return list
}

// remedies are the commands that mend what this machine lacks of others.
func (m machine) remedies() remedy.Machine { return remedy.Machine{System: m.system, Root: m.root} }

// clock says whether the time is kept right: codes are made of it.
func (m machine) clock() ipc.Finding {
	switch is, err := m.synchronised(); {
	case err != nil:
		return ipc.Finding{}
	case is:
		return ipc.Finding{Code: "clock-synchronised", Level: levelOK, Message: "the clock is synchronised"}
	}
	return ipc.Finding{Code: "clock-synchronised", Level: levelWarning, Fix: m.remedies().SetClock(),
		Message: "nothing synchronises the clock: codes are wrong once it is half a minute off"}
}
