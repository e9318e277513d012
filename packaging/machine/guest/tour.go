//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

const (
	keyPIN   = "4711-0815"
	password = "rosebud and three more words"
	// sampleSecret is that of quickstart's sample, RFC 6238's test vector.
	sampleSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// installing is what a user does first.
func (s *scenario) installing() []part {
	return []part{
		{"command 1: sudo apt-get install ./tokend.deb", s.install, true},
		{"the service runs; the key belongs to the helper's group and to the person, and to nobody else", s.installed, false},
		{"command 2: tokenctl quickstart, with the FIDO2 key", s.quickstart, true},
		{"command 3: tokenctl code, which is right", s.firstCode, true},
		{"the README's tour: an account, the card as a second token, a backup, lock and unlock by either", s.tour, false},
	}
}

func (s *scenario) install() error {
	_, err := s.seat.try(job{Args: []string{"sudo", "apt-get", "-qq", "-y", "install", firstPackage}})
	return err
}

func (s *scenario) installed() error {
	text, err := s.root.sh(`
		udevadm settle
		systemctl is-active tokend.socket
		systemctl is-enabled tokend.socket tokend-helper-piv.socket tokend-helper-fido2.socket tokend.service
		stat -c '%A %U %G' /dev/hidraw0 /run/tokend/tokend.sock /run/tokend-helper/fido2-op.sock /run/tokend-helper/piv-op.sock /var/lib/tokend`)
	if err != nil {
		return err
	}
	if err := wants(text, "active\n", "crw-rw---- root tokend-helper", "srw-rw-rw- root root",
		"srw------- tokend tokend\nsrw------- tokend tokend", "drwx------ tokend tokend"); err != nil {
		return err
	}
	if _, err := s.seat.sh("exec 3<>/dev/hidraw0"); err != nil {
		return fmt.Errorf("who sits at the machine cannot open the key: %w", err)
	}
	return s.well()
}

// well waits until the daemon says that it has all it needs.
func (s *scenario) well() error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		st, err := s.status(s.seat)
		if err == nil && st.Daemon.Mode == "system" && st.Daemon.Helper == "ok" && st.Daemon.Bus == "ok" {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, fmt.Errorf("the daemon is not well: %+v", st.Daemon))
		}
	}
}

func (s *scenario) quickstart() error {
	if err := s.until(s.seat, "key and card are seen", func(st []ipc.Token) bool { return present(st, "fido2") && present(st, "piv") }); err != nil {
		return err
	}
	o, err := s.seat.try(job{Args: []string{"tokenctl", "quickstart"}, Answers: []answer{
		{`Type new or restore .*: `, ""},
		{`Which one \(1 to 2\).*: `, "fido2"},
		{`PIN for .*: `, keyPIN},
		{`Set one now\? .*: `, "yes"},
		{`New recovery password.*: `, password},
		{`Once more.*: `, password},
		{`Type import, .*: `, "sample"},
		{`Folder for copies of backups.*: `, "/home/person/Backups"},
		{`once an hour, by a timer of yours\? .*: `, "yes"},
	}})
	if err != nil {
		return err
	}
	return wants(o.Out, "made vault", "the recovery password is set", "What next")
}

func (s *scenario) firstCode() error {
	if err := s.rightCode(s.seat); err != nil {
		return err
	}
	s.Notef("from the package to the first code: 3 commands (5 are allowed)")
	return nil
}

// rightCode wants the sample account's code, and to be without questions.
func (s *scenario) rightCode(p place) error {
	var c ipc.Code
	if err := s.json(p, &c, "code", "sample", "--no-input"); err != nil {
		return err
	}
	want, err := totp.GenerateCode(sampleSecret, c.ValidFrom)
	if err == nil && c.Code != want {
		err = fmt.Errorf("the code is %s, not %s", c.Code, want)
	}
	return err
}

func (s *scenario) tour() error {
	_, err := s.seat.sh(`
		set -eu
		umask 077
		cd "$HOME"
		printf '%s' '` + keyPIN + `' >fido2.pin
		printf '%s' '` + vpiv.FactoryPIN + `' >piv.pin
		printf '%s' '` + password + `' >password
		printf 'otpauth://totp/GitHub:me@example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=GitHub' >uri
		tokenctl account add --uri-file uri --class session
		tokenctl code github --no-input
		tokenctl account list
		tokenctl token enroll --token piv --pin-file piv.pin --label card --auth-pin-file fido2.pin
		tokenctl token list
		tokenctl backup create out.tokend
		tokenctl backup inspect out.tokend
		tokenctl backup status`)
	if err != nil {
		return err
	}
	for _, kind := range []string{"piv", "fido2"} {
		if err := errors.Join(s.lock(), s.unlock(kind), s.rightCode(s.seat)); err != nil {
			return err
		}
	}
	return nil
}

// json runs tokenctl as p and decodes its document.
func (s *scenario) json(p place, v any, args ...string) error {
	o, err := p.try(job{Args: append([]string{"tokenctl", "--json"}, args...)})
	if err == nil {
		err = json.Unmarshal([]byte(o.Out), v)
	}
	return err
}

func (s *scenario) status(p place) (ipc.Status, error) {
	var st ipc.Status
	return st, s.json(p, &st, "status")
}

// until waits for the tokens that p sees to be as they should.
func (s *scenario) until(p place, what string, is func([]ipc.Token) bool) error {
	began := time.Now()
	for {
		var list ipc.TokenList
		err := s.json(p, &list, "token", "list")
		if err == nil && is(list.Tokens) {
			return nil
		}
		if time.Since(began) > patience/4 {
			return errors.Join(fmt.Errorf("it is not so that %s: %+v", what, list), err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func present(list []ipc.Token, kind string) bool {
	for _, t := range list {
		if t.Kind == kind && t.Present && t.Problem == nil {
			return true
		}
	}
	return false
}

func (s *scenario) lock() error {
	_, err := s.seat.try(job{Args: []string{"tokenctl", "lock"}})
	return err
}

// unlock opens the person's vault with his token of a kind, once it is seen.
func (s *scenario) unlock(kind string) error {
	if err := s.until(s.seat, "the token is seen: "+kind, func(l []ipc.Token) bool { return present(l, kind) }); err != nil {
		return err
	}
	var list ipc.TokenList
	if err := s.json(s.seat, &list, "token", "list"); err != nil {
		return err
	}
	for _, t := range list.Tokens {
		if t.Kind == kind && t.Enrolled {
			_, err := s.seat.try(job{Args: []string{"tokenctl", "unlock", "--token", t.ID, "--pin-file", "/home/person/" + kind + ".pin"}})
			return err
		}
	}
	return fmt.Errorf("no %s token is enrolled", kind)
}

// state wants the person's vault to be in a state.
func (s *scenario) state(want ipc.VaultState) error {
	st, err := s.status(s.seat)
	if err == nil && st.Vault.State != want {
		err = fmt.Errorf("the vault is %s, not %s", st.Vault.State, want)
	}
	return err
}

// nothingLost wants both accounts and both tokens to be there.
func (s *scenario) nothingLost() error {
	var accounts ipc.AccountList
	var list ipc.TokenList
	err := errors.Join(s.json(s.seat, &accounts, "account", "list"), s.json(s.seat, &list, "token", "list"))
	if err != nil {
		return err
	}
	enrolled := 0
	for _, t := range list.Tokens {
		if t.Enrolled {
			enrolled++
		}
	}
	if len(accounts.Accounts) != 2 || enrolled != 2 {
		return fmt.Errorf("there are %d accounts and %d tokens, not 2 and 2", len(accounts.Accounts), enrolled)
	}
	return s.rightCode(s.seat)
}
