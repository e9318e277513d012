//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is a way to get a code by starting a process.
type program struct {
	name  string
	times int
	args  []string
	env   []string
}

func (p program) run(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", p.name, err, said.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// process measures a code as a whole process: tokenctl, oathtool and pass otp,
// on the same secret.
func (b *bench) process(ctx context.Context) error {
	d, err := b.tokend("process")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 50); err != nil {
		return err
	}
	const account = 25
	store, err := b.passwordStore(ctx, secretOf(account))
	if err != nil {
		return fmt.Errorf("cannot make a password store to compare with: %w", err)
	}
	ours := program{name: "tokenctl code", times: b.times(400), env: []string{"TOKEND_SOCKET=" + d.socket},
		args: []string{filepath.Join(b.bin, "tokenctl"), "code", fmt.Sprintf("user%d@example.org", account)}}
	oathtool := program{name: "oathtool", times: b.times(400),
		args: []string{"oathtool", "--totp", "--base32", secretOf(account)}}
	pass := program{name: "pass otp", times: b.times(40), env: store, args: []string{"pass", "otp", "account"}}
	medians := map[string]sample{}
	if err := agree(ctx, ours, oathtool, pass); err != nil {
		return err
	}
	// In turns, so that what else the machine does hits all alike.
	for range 10 {
		for _, p := range []program{ours, oathtool, pass} {
			s, err := repeat(max(1, p.times/10), func() error { _, err := p.run(ctx); return err }, nil)
			if err != nil {
				return err
			}
			medians[p.name] = append(medians[p.name], s...)
		}
	}
	a, o, p := medians[ours.name].median(), medians[oathtool.name].median(), medians[pass.name].median()
	b.add("`tokenctl code NAME` as a process", show(a), "`oathtool` "+show(o), ratio(a, o), "ratio at most 4")
	b.add("the same", show(a), "`pass otp` "+show(p), ratio(p, a)+" times faster", "at least 10 times faster")
	return nil
}

// agree makes sure that all programs give the same code. At the turn of a time
// step they may differ, so they have three tries.
func agree(ctx context.Context, programs ...program) error {
	var seen []string
	for range 3 {
		seen = nil
		for _, p := range programs {
			code, err := p.run(ctx)
			if err != nil {
				return err
			}
			seen = append(seen, strings.ReplaceAll(code, " ", ""))
		}
		if seen[0] == seen[1] && seen[1] == seen[2] {
			return nil
		}
	}
	return fmt.Errorf("the programs give different codes: %v", seen)
}

// passwordStore makes a gpg key without passphrase and a password store with
// one otpauth URI in it, and returns the environment to use them with.
func (b *bench) passwordStore(ctx context.Context, secret string) ([]string, error) {
	home := filepath.Join(b.dir, "gpg")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	env := []string{"GNUPGHOME=" + home, "PASSWORD_STORE_DIR=" + filepath.Join(b.dir, "store")}
	const user = "measurement@example.org"
	for _, step := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", user, "default", "default", "never"}},
		{"", []string{"pass", "init", user}},
		{"otpauth://totp/account?secret=" + secret + "\n", []string{"pass", "otp", "insert", "account"}},
	} {
		cmd := exec.CommandContext(ctx, step.args[0], step.args[1:]...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Stdin = strings.NewReader(step.stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(step.args, " "), err, out)
		}
	}
	return env, nil
}
