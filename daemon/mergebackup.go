package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// MergeBackup implements [ipc.Backups].
func (d *Daemon) MergeBackup(ctx context.Context, p ipc.Principal, r ipc.MergeBackupRequest) (ipc.Plan, error) {
	defer wipeAuth(&r.Auth)
	o, err := mergeOptions(r.Source, r.Keep, r.Resolve, r.Apply)
	if err != nil {
		return ipc.Plan{}, err
	}
	signer, err := fingerprint(r.Signer)
	if err == nil {
		err = checkBackupFile(r.From)
	}
	if err != nil {
		return ipc.Plan{}, err
	}
	o.Margin = vault.CounterMargin
	var notices []ipc.Warning
	plan, err := d.changed(ctx, p, r.Apply, "backup-merge", func(u *user, s *session) (vault.Merged, error) {
		in, err := u.openForMerge(ctx, p, s, r, signer)
		if !r.Apply || err != nil {
			u.auditResult(p, "backup-inspect", "", err)
		}
		if err != nil {
			return vault.Merged{}, backupError(err)
		}
		defer in.Wipe()
		info, proved := in.Info()
		notices = backupNotices(s.vault, info, proved || signer != "")
		if o.Source == "" {
			o.Source = "backup of " + info.Written.UTC().Format("2006-01-02")
		}
		m, err := s.vault.Merge(ctx, in, o)
		if errors.Is(err, vault.ErrTouchWanted) {
			if err := u.openTouchOf(ctx, p, s, in, r); err != nil {
				return m, backupError(err)
			}
			m, err = s.vault.Merge(ctx, in, o)
		}
		if err == nil && r.Apply && info.VaultID == s.vault.ID() {
			u.cameFrom(r.Data, r.From, -1)
		}
		return m, err
	})
	if err != nil {
		return ipc.Plan{}, err
	}
	plan.Notices = append(plan.Notices, notices...)
	return plan, nil
}

// openForMerge opens a backup beside the vault that is open.
func (u *user) openForMerge(ctx context.Context, p ipc.Principal, s *session, r ipc.MergeBackupRequest, signer string) (*vault.Incoming, error) {
	if noAuth(r.Auth) && s.vault.OpensBackup(r.Data) {
		return s.vault.OpenBackup(ctx, r.Data, vault.Way{}, signer)
	}
	o, err := u.foreignWay(ctx, p, r.Auth, r.Data)
	if err != nil {
		return nil, err
	}
	ctx, done := s.bind(ctx)
	defer done()
	var in *vault.Incoming
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		in, err = s.vault.OpenBackup(ctx, r.Data, o.way, signer)
		return err
	})
	return in, err
}

// openTouchOf opens the touch class of a backup: one touch, which is announced.
func (u *user) openTouchOf(ctx context.Context, p ipc.Principal, s *session, in *vault.Incoming, r ipc.MergeBackupRequest) error {
	head, err := vault.HeadOf(r.Data)
	if err != nil {
		return err
	}
	if store, err := u.storeIfAny(); err == nil && store != nil {
		store.FillKeyFiles(head.Slots)
	}
	o, err := u.way(ctx, r.Auth, tokens.ClassTouch, head.Slots, cause{who: p})
	if err != nil {
		return err
	}
	ctx, done := s.bind(ctx)
	defer done()
	return u.opened(ctx, o, false, func(ctx context.Context) error { return in.OpenTouch(ctx, o.way) })
}

// backupNotices says what there is to know of a backup that is merged.
func backupNotices(v *vault.Vault, info vault.BackupInfo, vouched bool) []ipc.Warning {
	var list []ipc.Warning
	own := info.VaultID == v.ID()
	if !own {
		list = append(list, ipc.Warning{Code: "other-vault", Message: fmt.Sprintf("the backup is of another vault (%s)", info.VaultID)})
	}
	if !own && !vouched {
		list = append(list, ipc.Warning{
			Code: "signer-unproved",
			Message: "a token opens also what somebody else made for it: nothing proves who made this backup, signed by " + info.Signer +
				"; the recovery password would, or naming the signer",
		})
	}
	if own && info.Epoch < v.Epoch() {
		list = append(list, ipc.Warning{
			Code:    "old-epoch",
			Message: fmt.Sprintf("the backup is of epoch %d, before the keys were rotated (epoch %d): a token revoked since opens it", info.Epoch, v.Epoch()),
		})
	}
	return list
}
