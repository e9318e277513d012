package daemon

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/ipc"
)

// SetRecoveryPassword implements [ipc.Recovery].
func (d *Daemon) SetRecoveryPassword(ctx context.Context, p ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	return d.newRecovery(ctx, p, r, false)
}

// RotateRecovery implements [ipc.Recovery].
func (d *Daemon) RotateRecovery(ctx context.Context, p ipc.Principal, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error) {
	return d.newRecovery(ctx, p, r, true)
}

func (d *Daemon) newRecovery(ctx context.Context, p ipc.Principal, r ipc.SetRecoveryRequest, rotate bool) (ipc.RecoveryResult, error) {
	defer func() { wipeAuth(&r.Auth); r.Password.Wipe() }()
	u, err := d.user(&p)
	if err != nil {
		return ipc.RecoveryResult{}, err
	}
	if len(r.Password) == 0 {
		return ipc.RecoveryResult{}, ipc.Errorf(ipc.InvalidArgument, "no recovery password was given")
	}
	if err := checkPassword("recovery password", r.Password); err != nil {
		return ipc.RecoveryResult{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.RecoveryResult{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.RecoveryResult{}, err
	}
	action := actRecoverySet
	if rotate {
		action = actRecoveryRotate
	}
	before, signer, undos := s.vault.RecoverySet(), s.vault.Signer(), s.undoable()
	err = u.setRecovery(ctx, p, s, r, action)
	u.auditResult(p, action, "", err)
	u.endChange(nil)
	if err != nil {
		return ipc.RecoveryResult{}, mapError(err)
	}
	s.reindex()
	info := u.vaultInfo()
	e := d.event(ipc.EventNotice)
	e.Detail = "the recovery password was set"
	d.hub.publish(u.uid, e)
	warnings := newSigner(signer, info.Signer)
	if rotate {
		warnings = slices.Concat(warnings, u.asideWarnings(), undosEnd(undos))
	}
	return ipc.RecoveryResult{
		Version: ipc.Version, Set: info.RecoverySet, Vault: info,
		OldBackups: u.backupsByRecovery(s.vault.ID(), before),
		Warnings:   warnings,
	}, nil
}

func (u *user) setRecovery(ctx context.Context, p ipc.Principal, s *session, r ipc.SetRecoveryRequest, action string) error {
	touch, err := u.consent(ctx, p, s, r.Auth, "")
	if err != nil {
		return err
	}
	ctx, done := s.bind(ctx)
	defer done()
	u.beginChange(p, underway{Action: action, Epoch: s.vault.Epoch(), RecoverySet: s.vault.RecoverySet()})
	return u.derive(ctx, false, func(ctx context.Context) error {
		if action == actRecoveryRotate {
			return s.vault.RotateRecovery(ctx, r.Password, touch.way)
		}
		return s.vault.SetRecovery(ctx, r.Password, touch.way)
	})
}

// CheckRecovery implements [ipc.Recovery]. It works while the vault is locked
// and opens nothing.
func (d *Daemon) CheckRecovery(ctx context.Context, p ipc.Principal, r ipc.CheckRecoveryRequest) (ipc.CheckRecoveryResult, error) {
	defer func() { r.Password.Wipe(); r.Key.Wipe() }()
	u, err := d.user(&p)
	if err != nil {
		return ipc.CheckRecoveryResult{}, err
	}
	if (len(r.Password) == 0) == (len(r.Key) == 0) {
		return ipc.CheckRecoveryResult{}, ipc.Errorf(ipc.InvalidArgument, "give either the recovery password or the recovery key")
	}
	err = u.checkRecovery(ctx, r)
	u.auditResult(p, "recovery-check", "", err)
	if err != nil {
		return ipc.CheckRecoveryResult{}, mapError(err)
	}
	info := u.vaultInfo()
	return ipc.CheckRecoveryResult{Version: ipc.Version, Set: info.RecoverySet, Checked: info.RecoveryChecked}, nil
}

// ShowRecoveryKey implements [ipc.Recovery].
func (d *Daemon) ShowRecoveryKey(ctx context.Context, p ipc.Principal, r ipc.ShowRecoveryKeyRequest) (ipc.RecoveryKey, error) {
	defer r.Password.Wipe()
	u, err := d.user(&p)
	if err != nil {
		return ipc.RecoveryKey{}, err
	}
	if len(r.Password) == 0 {
		return ipc.RecoveryKey{}, ipc.Errorf(ipc.InvalidArgument, "no recovery password was given")
	}
	store, err := u.existing()
	if err != nil {
		return ipc.RecoveryKey{}, err
	}
	var key []byte
	err = u.derive(ctx, true, func(ctx context.Context) error {
		key, err = store.ShowRecoveryKey(ctx, r.Password)
		return err
	})
	u.auditResult(p, "recovery-show-key", "", err)
	if err != nil {
		return ipc.RecoveryKey{}, mapError(err)
	}
	head, err := store.Head()
	if err != nil {
		clear(key)
		return ipc.RecoveryKey{}, mapError(err)
	}
	return ipc.RecoveryKey{Version: ipc.Version, Key: key, VaultID: head.VaultID, Signer: head.Signer}, nil
}
