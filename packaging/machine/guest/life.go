//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// lasting is what outlives a boot, an upgrade and a removal.
func (s *scenario) lasting() []part {
	return []part{
		{"after the boot: the service runs, the vault is there and locked, the key opens it, nothing is lost", s.booted, false},
		{"upgrade: the new one runs, what was there is there", s.upgrade, false},
		{"remove: nothing of ours runs or is left, the vaults stay", s.remove, false},
		{"installed again: the vault is there", s.again, false},
		{"purge: says which vaults there are, and keeps them aside", s.purge, false},
	}
}

func (s *scenario) booted() error {
	if err := s.state(ipc.VaultIsLocked); err != nil {
		return err
	}
	return s.recovered()
}

func (s *scenario) apt(args ...string) (string, error) {
	o, err := s.seat.try(job{Args: append([]string{"sudo", "apt-get", "-q", "-y"}, args...)})
	return o.Out + o.Err, err
}

func (s *scenario) upgrade() error {
	before, err := s.status(s.seat)
	if err != nil {
		return err
	}
	if _, err := s.apt("install", nextPackage); err != nil {
		return err
	}
	after, err := s.status(s.seat)
	if err != nil {
		return err
	}
	version, err := s.root.sh("dpkg-query -W -f '${Version}' tokend; systemctl is-active tokend.service tokend.socket; systemctl --failed --no-legend")
	if err != nil {
		return err
	}
	if after.Daemon.PID == before.Daemon.PID || after.Vault.State != ipc.VaultIsLocked {
		return fmt.Errorf("process %d, then %d; the vault is %s", before.Daemon.PID, after.Daemon.PID, after.Vault.State)
	}
	if err := wants(version, "next"); err != nil {
		return err
	}
	if strings.Contains(version, "failed") {
		return errors.New(version)
	}
	return s.recovered()
}

// remove passes over the name tokend-hotplug.service, behind which nothing is any
// more: a key that is plugged in keeps it for its time.
func (s *scenario) remove() error {
	said, err := s.apt("remove", "tokend")
	if err != nil {
		return err
	}
	s.Notef("%s", ours(said))
	text, err := s.root.sh(`
		pgrep -a tokend || true
		systemctl list-units --all --no-legend 'tokend*' | grep -v -e not-found -e masked -e '^[^a-z]*tokend-hotplug.service *error ' || true
		ls -d /run/tokend/* /run/tokend-helper/* /usr/bin/tokend /usr/libexec/tokend /usr/lib/udev/rules.d/70-tokend.rules 2>/dev/null || true`)
	if err != nil {
		return err
	}
	if strings.TrimSpace(text) != "" {
		return fmt.Errorf("left behind:\n%s", text)
	}
	_, err = s.root.sh("ls /var/lib/tokend/users/1000/vault.tokend")
	return err
}

// ours are the lines of the maintainer scripts.
func ours(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "/var/") || strings.Contains(line, "vault") || strings.Contains(line, "tokend is purged") || strings.Contains(line, "backup") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func (s *scenario) again() error {
	if _, err := s.apt("install", nextPackage); err != nil {
		return err
	}
	if err := s.state(ipc.VaultIsLocked); err != nil {
		return err
	}
	return s.recovered()
}

func (s *scenario) purge() error {
	said, err := s.apt("purge", "tokend")
	if err != nil {
		return err
	}
	s.Notef("%s", ours(said))
	if err := wants(said, "the vault of person (1000)", "/var/backups/tokend-"); err != nil {
		return err
	}
	text, err := s.root.sh(`
		ls /var/backups/tokend-*/users/1000/vault.tokend
		stat -c '%A %U' /var/backups/tokend-*
		ls -d /var/lib/tokend /etc/tokend 2>/dev/null || true
		systemctl --failed --no-legend`)
	if err != nil {
		return err
	}
	if strings.Contains(text, "/var/lib/tokend") || strings.Contains(text, "failed") {
		return errors.New(text)
	}
	return wants(text, "vault.tokend", "drwx------ root")
}
