//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/packaging/machine/report"
)

// stateDir outlives a boot.
const stateDir = "/var/lib/machine"

// Files of the second disk.
const (
	firstPackage = "/run/machine/first.deb"
	nextPackage  = "/run/machine/next.deb"
)

// scenario is what happens in the machine, and who takes part.
type scenario struct {
	*report.Report
	root, seat, far, other place
	tokens                 *hardware
	failed                 bool
}

// play does the part of the scenario that this boot is for, and then boots again
// or switches off.
func play() error {
	s := &scenario{
		Report: report.New(os.Stdout),
		root:   root(), seat: seat(), far: remote("person"), other: remote("other"),
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return err
	}
	stage := filepath.Join(stateDir, "booted")
	_, err := os.Stat(stage)
	first := errors.Is(err, os.ErrNotExist)
	parts := s.afterReboot
	if first {
		parts = s.firstBoot
		if err := os.WriteFile(stage, nil, 0o600); err != nil {
			return err
		}
	}
	whole := s.whole(parts())
	s.explain()
	if first && whole {
		if err := s.tokens.pullOut(); err != nil {
			return err
		}
		return s.reboot()
	}
	s.End()
	_, err = s.root.sh("systemctl poweroff")
	return err
}

// part is a step of the scenario.
type part struct {
	name string
	do   func() error
	// must says that nothing after it makes sense when it fails.
	must bool
}

// whole does the parts, and says whether it came to their end.
func (s *scenario) whole(parts []part) bool {
	for _, p := range parts {
		if s.Step(p.name, p.do) {
			continue
		}
		s.failed = true
		if p.must {
			return false
		}
	}
	return true
}

// explain tells what the services said, when something failed.
func (s *scenario) explain() {
	if !s.failed {
		return
	}
	text, err := s.root.sh("journalctl -b --no-pager -o short-monotonic -u 'tokend*' -u pcscd -u polkit -u dbus -u machine | tail -n 150; systemctl --failed --no-legend")
	s.Notef("%s%v", text, err)
}

func (s *scenario) reboot() error {
	_, err := s.root.sh("systemctl reboot")
	return err
}

// firstBoot is everything but what takes another boot.
func (s *scenario) firstBoot() []part {
	return append([]part{
		{"the machine is up, a person sits at it, another may come by ssh", s.settle, true},
		{"virtual FIDO2 key and PIV card: the kernel, udev and pcscd see them as real ones", s.plug, true},
	}, parts(s.installing(), s.keeping(), s.disturbing())...)
}

// afterReboot is the rest.
func (s *scenario) afterReboot() []part {
	return append([]part{
		{"booted again; the key is plugged in", s.plugAgain, true},
	}, s.lasting()...)
}

func parts(lists ...[]part) []part {
	var all []part
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// settle makes the way for ssh, and waits for the person at the machine.
func (s *scenario) settle() error {
	if _, err := s.root.sh(`
		test -e /root/.ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
		for user in person other; do
			install -d -m 700 -o $user -g $user /home/$user/.ssh
			install -d -o $user -g $user /home/$user/Backups
			install -m 600 -o $user -g $user /root/.ssh/id_ed25519.pub /home/$user/.ssh/authorized_keys
		done`); err != nil {
		return err
	}
	at, err := s.seat.sh(`loginctl show-session "$XDG_SESSION_ID" -p Name -p Seat -p Active -p Remote`)
	if err != nil {
		return err
	}
	if err := wants(at, "Name=person", "Seat=seat0", "Active=yes", "Remote=no"); err != nil {
		return err
	}
	for _, p := range []place{s.far, s.other} {
		far, err := p.sh(`loginctl show-session "$XDG_SESSION_ID" -p Seat -p Remote`)
		if err != nil {
			return err
		}
		if err := wants(far, "Seat=\n", "Remote=yes"); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// wants is an error for each text that is missing.
func wants(text string, all ...string) error {
	var errs []error
	for _, one := range all {
		if !strings.Contains(text+"\n", one) {
			errs = append(errs, fmt.Errorf("%q is missing in:\n%s", one, text))
		}
	}
	return errors.Join(errs...)
}

// plug puts the virtual tokens in, and sees that they are there for others.
func (s *scenario) plug() (err error) {
	if _, err = s.root.sh("modprobe uhid"); err != nil {
		return err
	}
	if s.tokens, err = plugIn(); err != nil {
		return err
	}
	text, err := s.root.sh(`udevadm settle; ls -l /dev/hidraw0; udevadm info /dev/hidraw0; systemctl is-active pcscd.socket; fido2-token -L`)
	if err != nil {
		return err
	}
	return wants(text, "ID_FIDO_TOKEN=1", "active\n", "/dev/hidraw0: vendor=0xf1d0")
}

func (s *scenario) plugAgain() error {
	if err := s.settle(); err != nil {
		return err
	}
	return s.plug()
}
