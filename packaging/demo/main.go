//go:build linux

// Command demo makes the README's picture: it runs the built programs on a
// virtual card in a real pcscd, types at a pseudo-terminal what a person would
// type, and draws what came back. Nothing in the picture is written by hand.
//
//	go run ./packaging/demo -bin bin -o docs/demo.svg
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// columns is the terminal's width.
const columns = 92

// The card's secrets and the vault's recovery password guard nothing.
const (
	pin           = "482915"
	puk           = "73920164"
	managementKey = "1f2e3d4c5b6a798897a6b5c4d3e2f1001122334455667788"
	password      = "correct horse battery staple"
)

// story is what is typed, and what is answered to the prompts that come.
func story() []step {
	return []step{
		{line: "tokenctl token list"},
		{line: "tokenctl account list", answers: []answer{{"PIN", pin}}},
		{line: "tokenctl code github"},
		{line: "tokenctl code mail"},
		{line: "tokenctl backup create backup.tokend"},
	}
}

// accounts are what the vault holds. The secrets are examples.
const accounts = `otpauth://totp/GitHub:jo@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=GitHub
otpauth://totp/Example%20Bank:4711?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20Bank&digits=8
`

// session are accounts of the session class.
const session = `otpauth://totp/Mail:jo@example.org?secret=KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU&issuer=Mail
`

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	out := flag.String("o", "docs/demo.svg", "the picture")
	flag.Parse()
	if err := run(*bin, *out); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is where the story plays.
type stage struct {
	bin, dir string
	env      []string
}

func run(bin, out string) (err error) {
	s := stage{}
	if s.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "tokend-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	r, err := rig.New(context.Background(), rig.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	o := vpiv.YubiKey(5, 4, 3)
	o.Touch = vpiv.TouchAfter(time.Second)
	// Past its first day: nothing is the factory's any more.
	o.PIN, o.PUK = pin, puk
	if o.ManagementKey, err = hex.DecodeString(managementKey); err != nil {
		return err
	}
	card, err := vpiv.New(o)
	if err != nil {
		return err
	}
	if err := r.Insert(card, 0); err != nil {
		return err
	}
	socket := filepath.Join(s.dir, "s")
	s.env = append(os.Environ(), "TOKEND_SOCKET="+socket, "PATH="+s.bin+":"+os.Getenv("PATH"), "TERM=xterm", "HOME="+s.dir)
	stop, err := s.daemon(socket, r.Env())
	if err != nil {
		return err
	}
	defer stop()
	if err := s.prepare(); err != nil {
		return err
	}
	var all []span
	for _, st := range story() {
		shown, err := s.play(st)
		if err != nil {
			return err
		}
		all = append(all, shown...)
	}
	return os.WriteFile(out, draw(all), 0o644)
}

// daemon starts tokend.
func (s *stage) daemon(socket string, env []string) (stop func(), err error) {
	cmd := exec.Command(filepath.Join(s.bin, "tokend"), "serve", "--user", "--bus", "none", "--state-dir", filepath.Join(s.dir, "state"), "--socket", socket)
	cmd.Env = append(s.env, env...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // ended by our signal
	}
	for range 200 {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return stop, conn.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return nil, fmt.Errorf("tokend does not listen: %s", log.String())
}

// prepare makes the vault and its accounts, and locks it: the story begins in
// the middle of a day.
func (s *stage) prepare() error {
	for name, text := range map[string]string{"pin": pin, "password": password, "key": managementKey, "touch": accounts, "session": session} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "--token", "piv", "--label", "yubikey", "--pin-file", "pin", "--management-key-file", "key", "--recovery-password-file", "password"},
		{"account", "add", "--uri-file", "touch"},
		{"account", "add", "--uri-file", "session", "--class", "session"},
		{"lock"},
	} {
		cmd := exec.Command(filepath.Join(s.bin, "tokenctl"), args...)
		cmd.Env, cmd.Dir = s.env, s.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("tokenctl %v: %w\n%s", args, err, out)
		}
	}
	return nil
}
