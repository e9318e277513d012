//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// manyAccounts is how many a large vault has; half of them want a touch.
const manyAccounts = 10_000

// backup measures making, opening and drilling a backup of a large vault, with the
// recovery key, which takes no key derivation, and how codes fare meanwhile.
func (b *bench) backup(ctx context.Context) (err error) {
	r, err := withCard(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	d, err := b.tokend("backup", r.Env()...)
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if _, err := d.Init(ctx, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "piv", Label: "card", PIN: ipc.Secret(vpiv.FactoryPIN)},
		RecoveryPassword: ipc.Secret(password),
	}); err != nil {
		return fmt.Errorf("cannot make a vault: %w", err)
	}
	if err := d.accounts(ctx, manyAccounts/2, 0); err != nil {
		return err
	}
	if err := d.accountsOf(ctx, "touch", manyAccounts/2, manyAccounts/2); err != nil {
		return err
	}
	key, err := d.ShowRecoveryKey(ctx, ipc.ShowRecoveryKeyRequest{Password: ipc.Secret(password)})
	if err != nil {
		return err
	}
	return b.backupFigures(ctx, d, string(key.Key))
}

func (b *bench) backupFigures(ctx context.Context, d *daemon, key string) error {
	var made ipc.Backup
	auth := func() ipc.Auth { return ipc.Auth{RecoveryKey: ipc.Secret(key)} }
	steps := []struct {
		what, goal string
		times      int
		do         func() error
	}{
		{"making", "", 100, func() (err error) { made, err = d.CreateBackup(ctx); return err }},
		{"opening", "", 20, func() error {
			_, err := d.InspectBackup(ctx, ipc.InspectBackupRequest{Auth: auth(), Data: made.Data})
			return err
		}},
		{"a drill of (a code of every account)", "-", 10, func() error {
			res, err := d.DrillBackup(ctx, ipc.DrillRequest{Auth: auth(), Data: made.Data})
			if err == nil && !res.Proved {
				err = errors.New("the backup was not proved")
			}
			return err
		}},
	}
	alone, err := codesBeside(ctx, d.socket, 0)
	if err != nil {
		return err
	}
	for n := 1; n <= 2; n++ {
		codes, err := codesBeside(ctx, d.socket, n)
		if err != nil {
			return err
		}
		b.code(fmt.Sprintf("a code beside %d that only compute (other processes), 100 a second, p99", n), codes, alone, "-")
	}
	var both time.Duration
	for _, s := range steps {
		var took sample
		codes, err := codesWhile(ctx, d.socket, func() (err error) {
			took, err = repeat(b.times(s.times), s.do, nil)
			return err
		})
		if err != nil {
			return err
		}
		compared := fmt.Sprintf("%.1f MB", float64(len(made.Data))/1e6)
		if s.goal == "" {
			both += took.median()
			s.goal = "both together under 1 s"
		}
		b.add(fmt.Sprintf("%s a backup of 10,000 accounts, half of them touch", s.what), show(took.median()), compared, "-", s.goal)
		b.code("a code meanwhile, 100 a second, p99", codes, alone, "under 5 ms")
	}
	b.add("making and opening it together", show(both), "-", "-", "under 1 s")
	return nil
}

// code adds what codes took, compared with what they take when nothing else runs.
func (b *bench) code(what string, codes, alone sample, goal string) {
	b.add(what, show(codes.at(99)), "nothing else "+show(alone.at(99)),
		fmt.Sprintf("%.2f", float64(codes.at(99))/float64(alone.at(99))), goal)
}
