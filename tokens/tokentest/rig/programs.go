//go:build linux

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// MissingError says what a rig needs and this machine does not have.
type MissingError struct {
	What    []string // programs, libraries or rights
	Package []string // of Debian and Ubuntu, for what can be installed
}

func (e *MissingError) Error() string {
	s := "cannot run a private pcscd: missing " + strings.Join(e.What, ", ")
	if len(e.Package) > 0 {
		s += " (Debian packages: " + strings.Join(e.Package, ", ") + ")"
	}
	return s
}

// programs is what a rig is made of.
type programs struct {
	pcscd    []string // the program and what it needs to be told
	driver   string
	enter    []string // what to put before unshare
	unshare  []string
	rootless bool // not root here: cards get in through relay
	userns   bool
}

// findPrograms looks for what a rig needs.
func findPrograms() (programs, error) {
	var p programs
	missing := &MissingError{}
	miss := func(what, pkg string) {
		missing.What = append(missing.What, what)
		if !slices.Contains(missing.Package, pkg) {
			missing.Package = append(missing.Package, pkg)
		}
	}
	if path := lookUp("pcscd"); path == "" {
		miss("pcscd", "pcscd")
	} else {
		p.pcscd = pcscdCommand(path)
	}
	if p.driver = findDriver(); p.driver == "" {
		miss("libifdvpcd.so", "vsmartcard-vpcd")
	}
	for _, t := range [][2]string{
		{"bash", "bash"}, {"unshare", "util-linux"}, {"nsenter", "util-linux"}, {"setpriv", "util-linux"},
		{"mount", "mount"}, {"ip", "iproute2"},
	} {
		if lookUp(t[0]) == "" {
			miss(t[0], t[1])
		}
	}
	if len(missing.What) > 0 {
		return p, missing
	}
	return p, p.findRights()
}

// pcscdCommand leaves out who may use a card where pcscd can: whoever reaches
// the rig's folder may.
func pcscdCommand(path string) []string {
	help, err := exec.Command(path, "--help").CombinedOutput()
	if err == nil && strings.Contains(string(help), "--disable-polkit") {
		return []string{path, "--disable-polkit"}
	}
	return []string{path}
}

// findRights finds a way to make namespaces: as root, in a user namespace, or
// with sudo.
func (p *programs) findRights() error {
	namespaces := []string{"unshare", "--mount", "--net"}
	if os.Geteuid() == 0 {
		p.unshare = namespaces
		if out, err := try(p.unshare, "true"); err != nil {
			return fmt.Errorf("cannot run a private pcscd: cannot make namespaces although root: %w: %s", err, out)
		}
		return nil
	}
	p.rootless = true
	p.unshare = append(namespaces, "--map-root-user")
	if _, err := try(p.unshare, "mount", "-t", "tmpfs", "tmpfs", "/run"); err == nil {
		p.userns = true
		return nil
	}
	p.enter, p.unshare = []string{"sudo", "-n"}, namespaces
	if _, err := try(append(p.enter, p.unshare...), "true"); err == nil {
		return nil
	}
	return &MissingError{What: []string{"root, user namespaces, or sudo without a password"}}
}

func try(before []string, args ...string) (string, error) {
	all := append(append([]string(nil), before...), args...)
	out, err := exec.Command(all[0], all[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// lookUp finds a program also where only root's PATH leads; "" when missing.
func lookUp(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	return ""
}

func findDriver() string {
	for _, lib := range []string{"/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/" + runtime.GOARCH} {
		p := filepath.Join(lib, "pcsc/drivers/serial/libifdvpcd.so")
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}
