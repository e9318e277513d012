//go:build linux

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// mostExposed is what "systemd-analyze security" may say of tokend at most.
const mostExposed = 2.0

// keeping is who is kept from what.
func (s *scenario) keeping() []part {
	return []part{
		{"a second user, by ssh: no tokens, no accounts, no device, no helper, nothing on the bus", s.second, false},
		{"the person by ssh, while nobody sits at the machine: no tokens, no codes", s.withoutSeat, false},
		{"nothing that was installed is writable by everybody, but the one socket that asks who comes", s.modes, false},
		{"systemd-analyze verify has nothing to say of the units", s.verified, false},
		{"systemd-analyze security: tokend at most " + strconv.FormatFloat(mostExposed, 'f', 1, 64), s.exposure, false},
		{"tokend has neither devices nor network nor root; its helper has no vault", s.confined, false},
		{"over D-Bus: each his own vault, and polkit decides who changes it", s.bus, false},
	}
}

func (s *scenario) second() error {
	var list ipc.TokenList
	if err := s.json(s.other, &list, "token", "list"); err != nil {
		return err
	}
	if len(list.Tokens) > 0 {
		return fmt.Errorf("another user sees tokens: %+v", list.Tokens)
	}
	st, err := s.status(s.other)
	if err != nil {
		return err
	}
	if st.Vault.State != ipc.VaultNone || st.Vault.Accounts != 0 || len(st.Tokens) > 0 {
		return fmt.Errorf("another user sees a vault: %+v", st)
	}
	return errors.Join(s.refused(s.other,
		"tokenctl code sample --no-input",
		"tokenctl account list --json | grep -q '\"id\"'",
		"exec 3<>/dev/hidraw0",
		"ls /var/lib/tokend",
		"cat /home/person/fido2.pin",
	), s.refused(s.seat, "ls /var/lib/tokend"), s.noConnection(s.other), s.noConnection(s.seat))
}

// refused wants each line of shell to fail.
func (s *scenario) refused(p place, lines ...string) error {
	var errs []error
	for _, line := range lines {
		if out, err := p.sh(line); err == nil {
			errs = append(errs, fmt.Errorf("%s may: %s\n%s", p.name, line, out))
		}
	}
	return errors.Join(errs...)
}

// noConnection wants the helper's sockets to be closed to a user.
func (s *scenario) noConnection(p place) error {
	for _, socket := range []string{"fido2-op", "fido2-watch", "piv-op", "piv-watch"} {
		out, err := p.sh(program + " connect /run/tokend-helper/" + socket + ".sock")
		if err == nil || !strings.Contains(err.Error(), "permission denied") {
			return fmt.Errorf("%s, %s: %s%w", p.name, socket, out, err)
		}
	}
	return nil
}

// withoutSeat has nobody sit at the machine for a while.
func (s *scenario) withoutSeat() (err error) {
	if _, err := s.root.sh("systemctl stop getty@tty1.service; until [ -z \"$(loginctl show-seat seat0 -p ActiveSession --value)\" ]; do sleep 0.2; done"); err != nil {
		return err
	}
	defer func() {
		_, again := s.root.sh("systemctl start getty@tty1.service")
		err = errors.Join(err, again)
		if err == nil {
			_, err = s.seat.sh("true")
		}
	}()
	var list ipc.TokenList
	if err := s.json(s.far, &list, "token", "list"); err != nil {
		return err
	}
	for _, t := range list.Tokens {
		if t.Present {
			return fmt.Errorf("a token is seen: %+v", t)
		}
	}
	if err := s.refused(s.far, "exec 3<>/dev/hidraw0", "tokenctl lock && tokenctl unlock --pin-file fido2.pin"); err != nil {
		return err
	}
	st, err := s.status(s.far)
	if err == nil && st.Vault.State != ipc.VaultIsLocked {
		err = fmt.Errorf("the vault is %s", st.Vault.State)
	}
	return errors.Join(err, s.refused(s.far, "tokenctl code sample --no-input"))
}

// modes passes over the folder of polkit's rules, which is the distribution's and
// polkit's own user's.
func (s *scenario) modes() error {
	text, err := s.root.sh(`
		{
			dpkg -L tokend | while read -r path; do [ -d "$path" ] && [ ! -L "$path" ] || echo "$path"; done
			find /etc/tokend /usr/libexec/tokend /usr/share/doc/tokend /run/tokend /run/tokend-helper /var/lib/tokend
		} | sort -u | while read -r path; do
			[ ! -e "$path" ] || find "$path" -maxdepth 0 ! -type l -perm /o+w
		done
		echo "not root's:"
		dpkg -L tokend | while read -r path; do
			[ ! -e "$path" ] || find "$path" -maxdepth 0 ! \( -user root -group root \) ! -path /var/lib/tokend ! -path /usr/share/polkit-1/rules.d
		done`)
	if err != nil {
		return err
	}
	if text != "/run/tokend/tokend.sock\nnot root's:\n" {
		return fmt.Errorf("writable by everybody, or not root's:\n%s", text)
	}
	return nil
}

func (s *scenario) verified() error {
	o := s.root.run(ctx(), job{Args: []string{"sh", "-c", `
		systemd-analyze verify --man=no /usr/lib/systemd/system/tokend*.socket /usr/lib/systemd/system/tokend*.service
		systemd-analyze verify --man=no --user /usr/lib/systemd/user/tokend*`}})
	var ours []string
	for line := range strings.Lines(o.Out + o.Err) {
		if strings.Contains(line, "tokend") {
			ours = append(ours, line)
		}
	}
	if len(ours) > 0 || o.Problem != "" {
		return fmt.Errorf("%s%s", o.Problem, strings.Join(ours, ""))
	}
	return nil
}

func (s *scenario) exposure() error {
	text, err := s.root.sh("for u in tokend.service tokend-helper-fido2@1.service tokend-helper-piv@1.service; do systemd-analyze security --no-pager $u | grep 'Overall exposure'; done")
	if err != nil {
		return err
	}
	s.Notef("%s", text)
	all := regexp.MustCompile(`for (\S+): ([0-9.]+)`).FindAllStringSubmatch(text, -1)
	if len(all) != 3 {
		return fmt.Errorf("not of three units: %s", text)
	}
	if x, err := strconv.ParseFloat(all[0][2], 64); err != nil || x > mostExposed {
		return fmt.Errorf("tokend's exposure is %v: %w", x, err)
	}
	return nil
}

func (s *scenario) confined() error {
	text, err := s.root.sh(`
		pid=$(systemctl show -p MainPID --value tokend.service)
		grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status
		ps -o user= -p $pid
		nsenter -t $pid -m sh -c 'ls /dev/hidraw0 2>&1 || true'
		nsenter -t $pid -n ip -o link | wc -l
		pgrep -u tokend-helper -a`)
	if err != nil {
		return err
	}
	return wants(text, "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "tokend\n", "No such file", "\n1\n", "watch fido2", "watch piv")
}

func (s *scenario) bus() error {
	const name = "io.github.tokenbridge.Tokend1"
	if err := s.unlock("fido2"); err != nil {
		return err
	}
	tree := "busctl --system --list tree " + name
	mine, err := s.seat.sh(tree)
	if err != nil {
		return err
	}
	theirs, err := s.other.sh(tree)
	if err != nil {
		return err
	}
	s.Notef("objects on the bus: the person's %d, the other's %d", strings.Count(mine, "\n"), strings.Count(theirs, "\n"))
	accounts := regexp.MustCompile(`(?m)/\S+/account/\S+`).FindAllString(mine, -1)
	if len(accounts) != 2 || strings.Contains(theirs, "/account/") {
		return fmt.Errorf("the person's objects:\n%sthe other's:\n%s", mine, theirs)
	}
	issuer := "busctl --system get-property " + name + " " + accounts[0] + " " + name + ".Account Issuer"
	move := "busctl --system call " + name + " " + accounts[0] + " " + name + ".Account Move u 1"
	for _, line := range []string{issuer, move} {
		if _, err := s.seat.sh(line); err != nil {
			return err
		}
	}
	// Reading is his own wherever he is; for a change polkit wants him at the machine.
	if _, err := s.far.sh(issuer); err != nil {
		return err
	}
	return errors.Join(s.refused(s.far, move), s.refused(s.other, issuer, move))
}
