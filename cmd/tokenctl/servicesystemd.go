package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// The units.
const (
	daemonUnit = "tokend.service"
	socketUnit = "tokend.socket"
)

// helperSockets are the units that start tokend-helper for the system's daemon.
func helperSockets() []string {
	return []string{"tokend-helper-piv.socket", "tokend-helper-piv-watch.socket", "tokend-helper-fido2.socket", "tokend-helper-fido2-watch.socket"}
}

// systemd is the system's systemd, or a user's.
type systemd struct {
	user         bool
	root         string // the folder that is installed into; empty for this machine
	config, data string // the user's folders
	socket       string
	vaults       string
	absent       string // why there is no systemd to start anything; empty where there is
}

// newSystemd is the systemd of this machine.
func (c *cli) newSystemd(f *serviceFlags) (*systemd, error) {
	s := &systemd{user: f.scoped() == scopeUser, root: f.root, socket: local.SystemSocket(), vaults: "/var/lib/tokend"}
	if !s.user {
		if s.root == "" && !isThere("/run/systemd/system") {
			s.absent = "this machine was not started by systemd"
		}
		return s, nil
	}
	run := c.getenv("XDG_RUNTIME_DIR")
	if s.root == "" && (run == "" || !isThere(filepath.Join(run, "systemd", "private"))) {
		s.absent = "no systemd of yours answers here"
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	if s.socket, err = local.UserSocket(); err != nil {
		return nil, err
	}
	folder := func(env string, usual ...string) string {
		if dir := c.getenv(env); filepath.IsAbs(dir) {
			return dir
		}
		return filepath.Join(append([]string{home}, usual...)...)
	}
	s.config, s.data = folder("XDG_CONFIG_HOME", ".config"), folder("XDG_DATA_HOME", ".local", "share")
	s.vaults = filepath.Join(folder("XDG_STATE_HOME", ".local", "state"), "tokend")
	return s, nil
}

// units are all that are started and stopped, sockets first.
func (s *systemd) units() []string {
	if s.user {
		return []string{socketUnit, daemonUnit}
	}
	return append(append([]string{socketUnit}, helperSockets()...), daemonUnit)
}

// systemctl is a command of this systemd.
func (s *systemd) systemctl(words ...string) []string {
	command := []string{"systemctl"}
	if s.user {
		command = append(command, "--user")
	}
	if s.root != "" {
		command = append(command, "--root="+s.root)
	}
	return append(command, words...)
}

// packaged says whether a package has brought the units.
func (s *systemd) packaged() bool {
	for _, lib := range []string{"/usr/lib/systemd", "/lib/systemd"} {
		if isThere(filepath.Join(s.root, lib, either(s.user, scopeUser, scopeSystem), daemonUnit)) {
			return true
		}
	}
	return false
}

func (s *systemd) files(p programs) ([]serviceFile, error) {
	if s.user {
		return userFiles(p, s.config, s.data)
	}
	return systemFiles(p)
}

func (s *systemd) plan(network bool) (servicePlan, error) {
	p := servicePlan{packaged: s.packaged()}
	if network && s.user {
		return p, usage("--network is for --system: your own daemon has a network")
	}
	if !p.packaged {
		var found programs
		var err error
		found, p.refused = s.found()
		if p.Files, err = s.files(found); err != nil {
			return p, err
		}
	}
	if network {
		drop, err := networkFile()
		if err != nil {
			return p, err
		}
		p.Files = append(p.Files, drop)
	}
	p.Commands = s.commands(p)
	if err := s.present(); err != nil {
		p.refused = err
	}
	return p, nil
}

// present fails where there is no systemd that could start or stop anything.
func (s *systemd) present() error {
	if s.absent == "" {
		return nil
	}
	return &hinted{err: &ipc.Error{Kind: ipc.Unsupported, Message: s.absent}, hints: adviceServiceAbsent(s.user)}
}

// found are the programs that the units are to start; with an error those that they
// would start, were all well.
func (s *systemd) found() (programs, error) {
	if s.root != "" { // of what lies in there nothing is known
		return programs{packagedTokend, packagedHelper}, nil
	}
	p, err := findPrograms()
	if err != nil {
		p = programs{packagedTokend, packagedHelper}
	} else {
		err = p.check()
	}
	if err == nil && !s.user {
		err = p.safe()
	}
	if err != nil {
		return p, &hinted{err: &ipc.Error{Kind: fileKind(err), Message: plain(err)}, hints: adviceServicePrograms()}
	}
	return p, nil
}

// commands follow when the files are in place. In another root the system's programs
// do there what can be done without a running system.
func (s *systemd) commands(p servicePlan) (list [][]string) {
	if !s.user && !p.packaged {
		at := func(words ...string) []string {
			if s.root != "" {
				return append([]string{words[0], "--root=" + s.root}, words[1:]...)
			}
			return words
		}
		list = append(list, at("systemd-sysusers", "tokend.conf"), at("systemd-tmpfiles", "--create", "tokend.conf"))
	}
	if s.root == "" {
		list = append(list, s.systemctl("daemon-reload"))
		if !s.user && !p.packaged {
			list = append(list, []string{"udevadm", "control", "--reload"}, []string{"udevadm", "trigger", "--subsystem-match=hidraw"},
				[]string{"systemctl", "try-reload-or-restart", "dbus.service"})
		}
	}
	list = append(list, s.systemctl("enable", daemonUnit))
	if s.root == "" {
		units := s.units()
		list = append(list, append(s.systemctl("start"), units[:len(units)-1]...), s.systemctl("restart", daemonUnit))
	}
	return list
}

// optional says of which commands a failure is only told: what they reload may not be
// there.
func optional(words []string) bool {
	return words[0] == "udevadm" || len(words) > 1 && words[1] == "try-reload-or-restart"
}

func (s *systemd) install(ctx context.Context, p servicePlan) error {
	for _, f := range p.Files {
		if err := f.write(s.root); err != nil {
			return fileFailure("write "+f.Path, err)
		}
	}
	for _, words := range p.Commands {
		if err := manager(ctx, words[0], words[1:]...); err != nil && !optional(words) {
			return &hinted{err: err, hints: adviceServiceBroken(s.user)}
		}
	}
	return nil
}

func (s *systemd) removal(context.Context) (r serviceRemoval, err error) {
	r = serviceRemoval{First: [][]string{}, Files: []string{}, Kept: []string{}, Then: [][]string{}, packaged: s.packaged()}
	var files []serviceFile
	if !r.packaged {
		if files, err = s.files(programs{}); err != nil {
			return r, err
		}
	}
	if !s.user {
		drop, err := networkFile()
		if err != nil {
			return r, err
		}
		files = append(files, drop)
	}
	for _, f := range files {
		switch target := filepath.Join(s.root, f.Path); {
		case !isThere(target):
		case f.changed(s.root):
			r.Kept = append(r.Kept, f.Path)
		default:
			r.Files = append(r.Files, f.Path)
		}
	}
	if isThere(filepath.Join(s.root, s.unitPath())) || r.packaged {
		words := s.systemctl("disable", daemonUnit, socketUnit)
		if s.root == "" {
			words = append(s.systemctl("disable", "--now"), s.units()...)
		}
		r.First = append(r.First, words)
	}
	if s.root == "" && !r.nothing() {
		r.Then = append(r.Then, s.systemctl("daemon-reload"))
	}
	return r, nil
}

func (s *systemd) uninstall(ctx context.Context, r serviceRemoval) error {
	for _, words := range r.First {
		if err := s.present(); err != nil {
			return err
		}
		if err := manager(ctx, words[0], words[1:]...); err != nil {
			return err
		}
	}
	for _, path := range r.Files {
		if err := removeFile(s.root, path); err != nil {
			return fileFailure("remove "+path, err)
		}
	}
	for _, words := range r.Then {
		_ = manager(ctx, words[0], words[1:]...)
	}
	return nil
}

// unitPath is where an installation without a package has the daemon's unit.
func (s *systemd) unitPath() string {
	if s.user {
		return filepath.Join(s.config, "systemd", "user", daemonUnit)
	}
	return "/etc/systemd/system/" + daemonUnit
}

func (s *systemd) start(ctx context.Context) error {
	if err := s.present(); err != nil {
		return err
	}
	// A service that failed too often is not tried again before this.
	_ = manager(ctx, "systemctl", append(s.systemctl("reset-failed")[1:], s.units()...)...)
	return manager(ctx, "systemctl", append(s.systemctl("start")[1:], s.units()...)...)
}

func (s *systemd) stop(ctx context.Context) error {
	if err := s.present(); err != nil {
		return err
	}
	return manager(ctx, "systemctl", append(s.systemctl("stop")[1:], s.units()...)...)
}

func (s *systemd) state(ctx context.Context) (serviceState, error) {
	st := serviceState{Manager: "systemd", Scope: either(s.user, scopeUser, scopeSystem), Packaged: s.packaged(), Socket: s.socket, State: s.vaults, Absent: s.absent}
	st.Installed = st.Packaged || isThere(filepath.Join(s.root, s.unitPath()))
	if !st.Installed || st.Absent != "" {
		return st, nil
	}
	if s.root != "" {
		st.Enabled = manager(ctx, "systemctl", s.systemctl("is-enabled", daemonUnit)[1:]...) == nil
		return st, nil
	}
	daemon, err := s.show(ctx, daemonUnit)
	if err != nil {
		return st, err
	}
	socket, err := s.show(ctx, socketUnit)
	if err != nil {
		return st, err
	}
	st.Enabled = daemon["UnitFileState"] == "enabled" || socket["UnitFileState"] == "enabled"
	st.Active, st.Listening = daemon["ActiveState"], socket["ActiveState"] == "active"
	if at, ok := strings.CutPrefix(daemon["ActiveEnterTimestamp"], "@"); ok && st.Active == "active" {
		if seconds, err := strconv.ParseInt(at, 10, 64); err == nil {
			st.Since = time.Unix(seconds, 0)
		}
	}
	return st, nil
}

// show asks for what systemd knows of a unit.
func (s *systemd) show(ctx context.Context, unit string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	words := s.systemctl("show", "--timestamp=unix", "--property=UnitFileState,ActiveState,ActiveEnterTimestamp", unit)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).Output()
	if err != nil {
		return nil, fmt.Errorf("systemctl show %s: %w", unit, err)
	}
	return properties(string(out)), nil
}

// properties reads lines of the form NAME=VALUE.
func properties(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			m[name] = value
		}
	}
	return m
}

// safe says whether the system's service may start the programs: from folders that
// nobody but root can change, and that the service sees.
func (p programs) safe() error {
	for _, file := range []string{p.tokend, p.helper} {
		for _, hidden := range []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} {
			if strings.HasPrefix(file, hidden+"/") {
				return fmt.Errorf("%s lies in %s, which the service does not see: %w", file, hidden, fs.ErrPermission)
			}
		}
		for at := file; ; at = filepath.Dir(at) {
			if err := rootsAlone(at); err != nil {
				return err
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}
