//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// disturbing is what happens to machines.
func (s *scenario) disturbing() []part {
	return []part{
		{"hot-plug: a key that is pulled out locks, and is told of within a second, as is one that is put in", s.hotPlug, false},
		{"pcscd restarted, then gone for a while, opened by the card: the card comes back, and what it opened is locked when it does not soon", s.pcscd, false},
		{"udev restarted: nothing is lost, and a key that is put in is seen", s.udev, false},
		{"tokend killed: back by itself, locked, nothing lost", s.killed, false},
		{"the watching helpers killed: back by themselves, nothing lost", s.helpersKilled, false},
		{"the machine goes to sleep: the agent of the session locks", s.sleep, false},
		{"dbus restarted: tokend is on it again", s.dbus, false},
	}
}

func ctx() context.Context { return context.Background() }

// told waits for an event of tokend's about a kind of token, as root, and returns
// how long it took from the moment when it was caused.
func (s *scenario) told(kind, token string, cause func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx(), time.Minute)
	defer cancel()
	following, seen := make(chan struct{}), make(chan time.Time, 1)
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- client.New("/run/tokend/tokend.sock").Events(ctx, func(e ipc.Event) error {
			if first {
				first = false
				close(following)
			}
			// Those that are there are told of at first.
			if e.Type == kind && e.Token != nil && e.Token.Kind == token {
				select {
				case seen <- time.Now():
				default:
				}
			}
			return nil
		})
	}()
	select {
	case <-following:
	case err := <-ended:
		return 0, fmt.Errorf("cannot follow the events: %w", err)
	}
	began := time.Now()
	if err := cause(); err != nil {
		return 0, err
	}
	select {
	case at := <-seen:
		return at.Sub(began), nil
	case err := <-ended:
		return 0, fmt.Errorf("%s was not told: %w", kind, err)
	}
}

func (s *scenario) hotPlug() error {
	if err := s.unlock("fido2"); err != nil {
		return err
	}
	tell := func(line, answer string) func() error {
		return func() error { return s.tokens.tell(line, answer) }
	}
	var figures []string
	for _, one := range []struct{ kind, token, line, answer string }{
		{ipc.EventTokenRemoved, "fido2", "remove key", "^key 0: remov"},
		{ipc.EventTokenInserted, "fido2", "insert key", "^key 0: insert"},
		{ipc.EventTokenRemoved, "piv", "remove card", "^card 0: remov"},
		{ipc.EventTokenInserted, "piv", "insert card", "^card 0: insert"},
	} {
		took, err := s.told(one.kind, one.token, tell(one.line, one.answer))
		if err != nil {
			return fmt.Errorf("%s: %w", one.line, err)
		}
		figures = append(figures, fmt.Sprintf("%s %d ms", one.line, took.Milliseconds()))
		// A card is read as it is put in, with more arithmetic than an emulated
		// processor does in a second.
		if took > time.Second && one.token == "fido2" {
			return fmt.Errorf("%s: it was told after %v", one.line, took)
		}
		if one.line == "remove key" {
			if err := s.state(ipc.VaultIsLocked); err != nil {
				return err
			}
		}
	}
	s.Notef("hot-plug, in an emulated machine: %s", strings.Join(figures, ", "))
	return s.recovered()
}

// recovered wants all to be as before a disturbance, once the key has opened.
func (s *scenario) recovered() error {
	return errors.Join(s.unlock("fido2"), s.nothingLost())
}

// pcscd opens by the card and restarts pcscd: the vault stays open when the card is
// back soon (3 s), which takes longer than that on a slow machine, and locks when it
// is not.
func (s *scenario) pcscd() error {
	if err := errors.Join(s.lock(), s.unlock("piv"), s.rightCode(s.seat)); err != nil {
		return err
	}
	if _, err := s.root.sh("systemctl restart pcscd.service"); err != nil {
		return err
	}
	if err := s.comesBack("pcscd restarted", "piv"); err != nil {
		return err
	}
	if err := errors.Join(s.unlock("piv"), s.rightCode(s.seat)); err != nil {
		return err
	}
	if _, err := s.root.sh("systemctl mask --runtime --now pcscd.socket pcscd.service"); err != nil {
		return err
	}
	err := s.becomes(ipc.VaultIsLocked)
	_, again := s.root.sh("systemctl unmask --runtime pcscd.socket pcscd.service && systemctl start pcscd.socket")
	if err = errors.Join(err, again); err != nil {
		return err
	}
	return errors.Join(s.unlock("piv"), s.rightCode(s.seat), s.lock(), s.recovered())
}

// comesBack waits until a token is seen again, and tells how the vault is then.
func (s *scenario) comesBack(what, kind string) error {
	if err := s.until(s.seat, "a token is seen again: "+kind, func(l []ipc.Token) bool { return present(l, kind) }); err != nil {
		return err
	}
	st, err := s.status(s.seat)
	if err != nil {
		return err
	}
	s.Notef("%s: the token is back (%s), the vault is %s", what, kind, st.Vault.State)
	if st.Vault.State == ipc.VaultIsLocked {
		return nil
	}
	return s.rightCode(s.seat)
}

// becomes waits until the person's vault is in a state.
func (s *scenario) becomes(want ipc.VaultState) error {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = s.state(want); err == nil {
			return nil
		}
	}
	return err
}

func (s *scenario) udev() error {
	if _, err := s.root.sh("systemctl restart systemd-udevd.service"); err != nil {
		return err
	}
	if err := errors.Join(s.state(ipc.VaultUnlocked), s.nothingLost()); err != nil {
		return err
	}
	for _, one := range [][2]string{{"remove key", "^key 0: remov"}, {"insert key", "^key 0: insert"}} {
		if err := s.tokens.tell(one[0], one[1]); err != nil {
			return err
		}
	}
	return s.recovered()
}

func (s *scenario) killed() error {
	before, err := s.status(s.seat)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := s.root.sh("systemctl kill -s KILL tokend.service"); err != nil {
		return err
	}
	after, err := s.status(s.seat)
	if err != nil {
		return err
	}
	s.Notef("killed, tokend answered again after %d ms", time.Since(began).Milliseconds())
	if after.Daemon.PID == before.Daemon.PID || after.Vault.State != ipc.VaultIsLocked {
		return fmt.Errorf("process %d, then %d; the vault is %s", before.Daemon.PID, after.Daemon.PID, after.Vault.State)
	}
	return s.recovered()
}

func (s *scenario) helpersKilled() error {
	if _, err := s.root.sh("pkill -KILL -u tokend-helper"); err != nil {
		return err
	}
	for _, kind := range []string{"fido2", "piv"} {
		if err := s.comesBack("the watching helpers killed", kind); err != nil {
			return err
		}
	}
	return s.recovered()
}

// sleep has logind signal that the machine goes to sleep, for real; what would
// then stop it is replaced by something that does not.
func (s *scenario) sleep() error {
	if _, err := s.seat.sh("tokenctl agent install"); err != nil {
		return err
	}
	if err := s.unlock("fido2"); err != nil {
		return err
	}
	if _, err := s.root.sh(`
		mkdir -p /run/systemd/system/systemd-suspend.service.d
		printf '[Service]\nExecStart=\nExecStart=/bin/sleep 2\n' >/run/systemd/system/systemd-suspend.service.d/machine.conf
		systemctl daemon-reload
		cat /sys/power/state
		systemctl suspend`); err != nil {
		return err
	}
	if err := s.becomes(ipc.VaultIsLocked); err != nil {
		return err
	}
	return s.recovered()
}

func (s *scenario) dbus() error {
	if _, err := s.root.sh("systemctl restart dbus.service"); err != nil {
		return err
	}
	var st ipc.Status
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if st, err = s.status(s.seat); err == nil && st.Daemon.Bus == "ok" {
			break
		}
	}
	if err != nil || st.Daemon.Bus != "ok" {
		return errors.Join(err, fmt.Errorf("on the bus: %q", st.Daemon.Bus))
	}
	if _, err := s.root.sh("busctl --system status io.github.tokenbridge.Tokend1 | grep -q ^PID="); err != nil {
		return err
	}
	return errors.Join(s.unlock("fido2"), s.rightCode(s.seat))
}
