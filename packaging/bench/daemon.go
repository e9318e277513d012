//go:build linux

package main

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// passphrase is of the software tokens made here, password of the vaults'
// recovery: both guard nothing.
const (
	passphrase = "passphrase of a measurement"
	password   = "password of a measurement"
)

// patience is how long a daemon may take to listen.
const patience = 10 * time.Second

// daemon is a tokend that runs.
type daemon struct {
	*client.Client
	cmd    *exec.Cmd
	dir    string
	socket string
	token  string // id of the software token
}

// tokend starts tokend on a folder of its own; env is added to its environment.
func (b *bench) tokend(name string, env ...string) (*daemon, error) {
	return b.tokendOn(name, "none", env...)
}

// tokendOn starts it on a message bus.
func (b *bench) tokendOn(name, bus string, env ...string) (*daemon, error) {
	d := &daemon{dir: filepath.Join(b.dir, name)}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	d.socket = filepath.Join(d.dir, "s")
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command(filepath.Join(b.bin, "tokend"), "serve", "--user", "--bus", bus,
		"--state-dir", filepath.Join(d.dir, "state"), "--socket", d.socket)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stderr, d.cmd.Stdout = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start tokend: %w", err)
	}
	if err := listening(d.socket); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	d.Client = client.New(d.socket)
	return d, nil
}

// listening waits until somebody listens at socket.
func listening(socket string) error {
	for began := time.Now(); ; time.Sleep(200 * time.Microsecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return conn.Close()
		}
		if time.Since(began) > patience {
			return fmt.Errorf("nobody listens: %w", err)
		}
	}
}

func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("cannot stop tokend: %w", err)
	}
	_ = d.cmd.Wait() // ended by our signal
	return nil
}

// vault makes a vault with a software token and n accounts of the session
// class, and leaves it unlocked.
func (d *daemon) vault(ctx context.Context, n int) error {
	made, err := d.Init(ctx, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "soft", Label: "first", PIN: ipc.Secret(passphrase)},
		RecoveryPassword: ipc.Secret(password),
	})
	if err != nil {
		return fmt.Errorf("cannot make a vault: %w", err)
	}
	d.token = made.Token.ID
	return d.accounts(ctx, n, 0)
}

// batch is how many accounts travel in one request.
const batch = 1000

// accounts adds n accounts, numbered from first.
func (d *daemon) accounts(ctx context.Context, n, first int) error {
	return d.accountsOf(ctx, "session", n, first)
}

// accountsOf is accounts of a class.
func (d *daemon) accountsOf(ctx context.Context, class string, n, first int) error {
	for n > 0 {
		var r ipc.AddAccountsRequest
		for range min(n, batch) {
			r.Accounts = append(r.Accounts, ipc.NewAccount{
				Issuer: fmt.Sprintf("Service %d", first),
				Name:   fmt.Sprintf("user%d@example.org", first),
				Secret: ipc.Secret(secretOf(first)),
				Class:  class,
			})
			first++
		}
		if _, err := d.AddAccounts(ctx, r); err != nil {
			return fmt.Errorf("cannot add accounts: %w", err)
		}
		n -= len(r.Accounts)
	}
	return nil
}

// secretOf is account i's secret in base32: 20 bytes, all different.
func secretOf(i int) string {
	var s [20]byte
	for j := 0; j < len(s); j += 4 {
		binary.BigEndian.PutUint32(s[j:], uint32(i)*2654435761+uint32(j)*40503)
	}
	return base32.StdEncoding.EncodeToString(s[:])
}

// open unlocks the vault with the passphrase of a software token.
func (d *daemon) open(ctx context.Context, token string) error {
	_, err := d.Unlock(ctx, ipc.UnlockRequest{Auth: ipc.Auth{Token: token, PIN: ipc.Secret(passphrase)}})
	if err != nil {
		return fmt.Errorf("cannot unlock: %w", err)
	}
	return nil
}
