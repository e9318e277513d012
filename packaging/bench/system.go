//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/ipc"
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

// enroll measures adding a token to a small and to a large vault.
func (b *bench) enroll(ctx context.Context) error {
	d, err := b.tokend("enroll")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 10); err != nil {
		return err
	}
	n := 0
	enroll := func() (sample, error) {
		var s sample
		for range b.times(20) {
			n++
			began := time.Now()
			r, err := d.EnrollToken(ctx, ipc.EnrollRequest{Kind: "soft", Label: fmt.Sprintf("token %d", n), PIN: ipc.Secret(passphrase)})
			if err != nil {
				return nil, err
			}
			s = append(s, time.Since(began))
			// Taken away again, so that the number of keyslots stays the same.
			if _, err := d.RevokeToken(ctx, r.Token.ID, ipc.RevokeRequest{Confirm: r.Token.ID}); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	small, err := enroll()
	if err != nil {
		return err
	}
	if err := d.accounts(ctx, 9990, 10); err != nil {
		return err
	}
	large, err := enroll()
	if err != nil {
		return err
	}
	b.add("enrolling a token, 10,000 accounts", show(large.median()), "10 accounts "+show(small.median()), ratio(large.median(), small.median()), "the same")
	return nil
}
