package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tokenbridge/tokend/packaging"
	"github.com/tokenbridge/tokend/udev"
)

// The programs in the files as packages ship them.
const (
	packagedTokend = "/usr/bin/tokend"
	packagedHelper = "/usr/libexec/tokend/tokend-helper"
)

// authorityDropIn gives the daemon a network. It is the administrator's to change.
const authorityDropIn = "tokend-authority.conf"

// serviceFile is a file that an installation consists of.
type serviceFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
	own  bool   // it may have been changed by hand: neither overwritten nor removed then
}

// programs are where the daemon and its helper lie.
type programs struct{ tokend, helper string }

// findPrograms looks for tokend beside this program, and for its helper where tokend
// looks for it.
func findPrograms() (programs, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return programs{}, fmt.Errorf("cannot tell where this program lies: %w", err)
	}
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	dir := filepath.Dir(self)
	p := programs{tokend: filepath.Join(dir, "tokend"+suffix)}
	if !isThere(p.tokend) {
		return p, fmt.Errorf("there is no tokend beside this program, in %s: %w", dir, fs.ErrNotExist)
	}
	for _, in := range []string{".", "../libexec/tokend", "../libexec", "../lib/tokend"} {
		if p.helper = filepath.Join(dir, in, "tokend-helper"+suffix); isThere(p.helper) {
			return p, nil
		}
	}
	return p, fmt.Errorf("there is no tokend-helper in %s or in ../libexec/tokend: %w", dir, fs.ErrNotExist)
}

// check says whether the programs' paths can be written into units.
func (p programs) check() error {
	for _, file := range []string{p.tokend, p.helper} {
		if strings.ContainsFunc(file, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) {
			return fmt.Errorf("the path %q has characters that cannot be written into a unit", file)
		}
	}
	return nil
}

// put writes the programs' places into a file.
func (p programs) put(b []byte) string {
	b = bytes.ReplaceAll(b, []byte("="+packagedTokend+" "), []byte("="+p.tokend+" "))
	b = bytes.ReplaceAll(b, []byte("="+packagedHelper+" "), []byte("="+p.helper+" "))
	return string(b)
}

// systemFolders say where the folders of package packaging go, for who installs from
// source. What is in /etc stands above what a package has in /usr.
func systemFolders() [][2]string {
	return [][2]string{
		{"sysusers.d", "/etc/sysusers.d"},
		{"tmpfiles.d", "/etc/tmpfiles.d"},
		{"systemd/system", "/etc/systemd/system"},
		{"polkit/io.github.tokenbridge.tokend.policy", "/usr/share/polkit-1/actions"}, // looked for nowhere else
		{"polkit/50-tokend.rules", "/etc/polkit-1/rules.d"},
		{"dbus/io.github.tokenbridge.Tokend1.conf", "/etc/dbus-1/system.d"},
		{"dbus/system-services", "/usr/local/share/dbus-1/system-services"},
	}
}

// systemFiles are the files of the system's daemon under systemd.
func systemFiles(p programs) ([]serviceFile, error) {
	files, err := placed(p, systemFolders())
	return append(files, serviceFile{Path: "/etc/udev/rules.d/" + udev.RulesName, Text: string(udev.Rules)}), err
}

// networkFile is what gives the system's daemon a network.
func networkFile() (serviceFile, error) {
	b, err := packaging.Files.ReadFile("systemd/examples/" + authorityDropIn)
	return serviceFile{Path: "/etc/systemd/system/tokend.service.d/" + authorityDropIn, Text: string(b), own: true}, err
}

// userFiles are those of a user's own daemon; config and data are his folders for
// these.
func userFiles(p programs, config, data string) ([]serviceFile, error) {
	return placed(p, [][2]string{
		{"systemd/user", filepath.Join(config, "systemd", "user")},
		{"dbus/services", filepath.Join(data, "dbus-1", "services")},
	})
}

// placed are files of package packaging at their places.
func placed(p programs, folders [][2]string) ([]serviceFile, error) {
	var list []serviceFile
	for _, f := range folders {
		err := fs.WalkDir(packaging.Files, f[0], func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := packaging.Files.ReadFile(name)
			list = append(list, serviceFile{Path: filepath.Join(f[1], path.Base(name)), Text: p.put(b)})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot read what this program has built in: %w", err)
		}
	}
	return list, nil
}

// write puts the file in place below root; others may read it.
func (f serviceFile) write(root string) error {
	target := filepath.Join(root, f.Path)
	if f.own && isThere(target) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { //nolint:gosec // the system's folders are everybody's to read
		return err
	}
	tmp := target + ".tmp"
	if err := os.WriteFile(tmp, []byte(f.Text), 0o644); err != nil { //nolint:gosec // so are its units
		return err
	}
	// The umask may have taken too much: polkit and the bus read as other users.
	if err := os.Chmod(tmp, 0o644); err != nil { //nolint:gosec // the same
		return err
	}
	return os.Rename(tmp, target)
}

// changed says whether the file is there and was changed by hand.
func (f serviceFile) changed(root string) bool {
	if !f.own {
		return false
	}
	b, err := os.ReadFile(filepath.Join(root, f.Path))
	return err == nil && string(b) != f.Text
}

// removeFile takes a file of an installation away, and its folder where that was for
// it alone.
func removeFile(root, file string) error {
	target := filepath.Join(root, file)
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir := filepath.Dir(target); strings.HasSuffix(dir, ".d") && path.Base(file) == authorityDropIn {
		_ = os.Remove(dir) // another file in it keeps it
	}
	return nil
}
