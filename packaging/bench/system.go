//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// start measures from starting the process to the socket that answers.
func (b *bench) start(ctx context.Context) error {
	d, err := b.tokend("start")
	if err != nil {
		return err
	}
	if err := d.vault(ctx, 1000); err != nil {
		return err
	}
	if err := d.stop(); err != nil {
		return err
	}
	var s sample
	for range b.times(40) {
		began := time.Now()
		d, err := b.tokend("start")
		if err != nil {
			return err
		}
		s = append(s, time.Since(began))
		if err := d.stop(); err != nil {
			return err
		}
	}
	b.add("start of tokend to listening, a vault of 1,000 accounts there", show(s.median()), "p99 "+show(s.at(99)), "-", "at most 50 ms")
	return nil
}

// memory measures what the daemon holds in memory with 1,000 accounts.
func (b *bench) memory(ctx context.Context) error {
	d, err := b.tokend("memory")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	fresh, err := d.resident()
	if err != nil {
		return err
	}
	if err := d.vault(ctx, 1000); err != nil {
		return err
	}
	// Started anew and unlocked: what a day begins with.
	token := d.token
	if err := d.stop(); err != nil {
		return err
	}
	if d, err = b.tokend("memory"); err != nil {
		return err
	}
	if err := d.open(ctx, token); err != nil {
		return err
	}
	if _, err := d.Code(ctx, "user500@example.org", ipc.CodeRequest{}); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // let it become idle
	open, err := d.resident()
	if err != nil {
		return err
	}
	if err := d.Lock(ctx); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	locked, err := d.resident()
	if err != nil {
		return err
	}
	b.add("idle memory (resident), 1,000 accounts, unlocked", open, "locked "+locked+"; without a vault "+fresh, "-", "at most 30 MB")
	return nil
}

// resident is the daemon's resident memory.
func (d *daemon) resident() (string, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return "", err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%.1f MB", float64(kib)*1024/1e6), nil
		}
	}
	return "", fmt.Errorf("the kernel does not tell the resident memory")
}

// fsync counts the calls that force writes to the disk while codes are made.
func (b *bench) fsync(ctx context.Context) error {
	d, err := b.tokend("fsync")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 10); err != nil {
		return err
	}
	var zero uint64
	_, err = d.AddAccounts(ctx, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{
		Name: "counter", Secret: ipc.Secret(secretOf(77)), Type: "hotp", Counter: &zero, Class: "session",
	}}})
	if err != nil {
		return err
	}
	n := b.times(200)
	for _, m := range []struct{ what, account, goal string }{
		{"fsyncs for a HOTP code", "counter", "at most 2"},
		{"fsyncs for a TOTP code", "user5@example.org", "none"},
	} {
		took, calls, err := d.traced(ctx, filepath.Join(b.dir, "trace"), n, m.account)
		if err != nil {
			return err
		}
		b.add(m.what, fmt.Sprintf("%.2f", float64(calls)/float64(n)), fmt.Sprintf("over %d codes, %s each under strace", n, show(took.median())), "-", m.goal)
	}
	return nil
}

// traced asks for n codes while strace writes down the calls that sync.
func (d *daemon) traced(ctx context.Context, path string, n int, account string) (sample, int, error) {
	// Anything pending from before is written first.
	time.Sleep(time.Second)
	trace := exec.CommandContext(ctx, "strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs,sync,msync",
		"-o", path, "-p", strconv.Itoa(d.cmd.Process.Pid))
	trace.Stderr = os.Stderr
	if err := trace.Start(); err != nil {
		return nil, 0, fmt.Errorf("cannot start strace: %w", err)
	}
	if err := d.attached(); err != nil {
		return nil, 0, err
	}
	var s sample
	for range n {
		began := time.Now()
		if _, err := d.Code(ctx, account, ipc.CodeRequest{}); err != nil {
			return nil, 0, err
		}
		s = append(s, time.Since(began))
	}
	if err := trace.Process.Signal(syscall.SIGINT); err != nil {
		return nil, 0, err
	}
	_ = trace.Wait() // ended by our signal
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	calls := 0
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "sync") && !strings.Contains(line, "resumed>") {
			calls++
		}
	}
	return s, calls, nil
}

// attached waits until a tracer holds every thread of the daemon.
func (d *daemon) attached() error {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.cmd.Process.Pid))
		if err != nil {
			return err
		}
		held := 0
		for _, t := range tasks {
			if data, err := os.ReadFile(t); err == nil && !strings.Contains(string(data), "TracerPid:\t0\n") {
				held++
			}
		}
		if held == len(tasks) && held > 0 {
			return nil
		}
	}
	return fmt.Errorf("strace does not attach")
}

// enroll measures adding a token to a small and to a large vault, in turns, and
// what the token itself needs for it: its own enrolment and the one opening by
// which the new keyslot is tried.
func (b *bench) enroll(ctx context.Context) error {
	small, err := b.vaultOf(ctx, "enroll-small", 10)
	if err != nil {
		return err
	}
	defer func() { _ = small.stop() }()
	large, err := b.vaultOf(ctx, "enroll-large", 10000)
	if err != nil {
		return err
	}
	defer func() { _ = large.stop() }()
	soft := helper.New(helper.Config{Path: filepath.Join(b.bin, "tokend-helper"), Kind: tokens.KindSoft})
	var few, many, alone sample
	for n := range b.times(20) {
		for _, m := range []struct {
			s       *sample
			measure func() (time.Duration, error)
		}{
			{&few, func() (time.Duration, error) { return small.enrolled(ctx, n) }},
			{&many, func() (time.Duration, error) { return large.enrolled(ctx, n) }},
			{&alone, func() (time.Duration, error) { return enrolledAlone(ctx, soft) }},
		} {
			took, err := m.measure()
			if err != nil {
				return err
			}
			*m.s = append(*m.s, took)
		}
	}
	f, m, a := few.median(), many.median(), alone.median()
	b.add("enrolling a software token, 10,000 accounts", show(m), "10 accounts "+show(f), ratio(m, f), "the same")
	b.add("the same, beyond the token", show(m-a), "10 accounts "+show(f-a)+"; the token alone "+show(a), "-", "-")
	return nil
}

// vaultOf is a daemon with a vault of n accounts, unlocked.
func (b *bench) vaultOf(ctx context.Context, name string, n int) (*daemon, error) {
	d, err := b.tokend(name)
	if err != nil {
		return nil, err
	}
	if err := d.vault(ctx, n); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// enrolled is how long the n-th enrolment takes. The token is taken away again,
// so that the number of keyslots stays the same.
func (d *daemon) enrolled(ctx context.Context, n int) (time.Duration, error) {
	first := func() ipc.Auth { return ipc.Auth{Token: d.token, PIN: ipc.Secret(passphrase)} }
	began := time.Now()
	r, err := d.EnrollToken(ctx, ipc.EnrollRequest{Kind: "soft", Label: fmt.Sprintf("token %d", n), PIN: ipc.Secret(passphrase), Auth: first()})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	_, err = d.RevokeToken(ctx, r.Token.ID, ipc.RevokeRequest{Confirm: r.Token.ID, Auth: first()})
	return took, err
}

func enrolledAlone(ctx context.Context, d tokens.Driver) (time.Duration, error) {
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	made, err := d.Enroll(ctx, tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(passphrase)})
	if err != nil {
		return 0, fmt.Errorf("cannot enrol without the daemon: %w", err)
	}
	// Twice: the enrolled token agrees, and the new one is opened once.
	for range 2 {
		_, err := d.Agree(ctx, tokens.AgreeRequest{Key: made.Keys[0], Peer: peer.PublicKey().Bytes(), PIN: []byte(passphrase), KeyFile: made.KeyFile})
		if err != nil {
			return 0, fmt.Errorf("cannot open a key file without the daemon: %w", err)
		}
	}
	return time.Since(began), nil
}
