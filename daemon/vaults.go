package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// undoLimit bounds how long is spent on putting a token back as it was.
const undoLimit = 20 * time.Second

// wipeAuth overwrites the secrets of a request once it is answered.
func wipeAuth(a *ipc.Auth) {
	a.PIN.Wipe()
	a.RecoveryPassword.Wipe()
	a.RecoveryKey.Wipe()
}

func wipeEnroll(r *ipc.EnrollRequest) {
	wipeAuth(&r.Auth)
	r.PIN.Wipe()
	r.ManagementKey.Wipe()
}

// Init implements [ipc.Vaults].
func (d *Daemon) Init(ctx context.Context, p ipc.Principal, r ipc.InitRequest) (ipc.InitResult, error) {
	defer r.RecoveryPassword.Wipe()
	if r.Enroll != nil {
		defer wipeEnroll(r.Enroll)
	}
	u, err := d.user(&p)
	if err != nil {
		return ipc.InitResult{}, err
	}
	if r.Enroll == nil && len(r.RecoveryPassword) == 0 {
		return ipc.InitResult{}, ipc.Errorf(ipc.InvalidArgument, "a vault needs a token or a recovery password")
	}
	if len(r.RecoveryPassword) > 0 {
		if err := checkPassword("recovery password", r.RecoveryPassword); err != nil {
			return ipc.InitResult{}, err
		}
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.InitResult{}, err
	}
	defer leave()
	s, made, err := u.create(ctx, p, r)
	u.auditResult(p, actInit, "", err)
	if err != nil {
		return ipc.InitResult{}, err
	}
	if made != nil {
		u.endChange(func(n *notesData) { n.enrolled(s.slot, made.Enrollment) })
	}
	result := ipc.InitResult{Version: ipc.Version, Vault: u.vaultInfo(), Warnings: append(u.warnings(p), authorityWarnings(d.authority(p))...)}
	if made != nil {
		for _, t := range u.tokenList(p) {
			if t.ID == s.slot {
				result.Token = &t
			}
		}
	}
	d.tellUnlocked(u, "the vault was made")
	return result, nil
}

// create makes the vault and opens its session.
func (u *user) create(ctx context.Context, p ipc.Principal, r ipc.InitRequest) (*session, *vault.NewSlot, error) {
	if store, err := u.storeIfAny(); err != nil {
		return nil, nil, mapError(err)
	} else if store != nil && store.Exists() {
		return nil, nil, mapError(vault.ErrExists)
	}
	var e *enrolling
	var first *vault.NewSlot
	if r.Enroll != nil {
		var err error
		if e, err = u.prepareEnroll(ctx, p, *r.Enroll); err != nil {
			return nil, nil, err
		}
	}
	store, err := u.storeOrNew()
	if err != nil {
		return nil, nil, mapError(err)
	}
	if e != nil {
		if first, err = e.run(ctx); err != nil {
			return nil, nil, err
		}
	}
	if first != nil {
		u.beginChange(p, underway{Action: actInit, Slot: first.ID, Keys: e.madeKeys(first)})
	}
	var v *vault.Vault
	o := opening{recovery: len(r.RecoveryPassword) > 0}
	err = u.opened(ctx, o, e != nil, func(ctx context.Context) error {
		v, err = store.Create(ctx, first, r.RecoveryPassword)
		return err
	})
	if err != nil {
		if e != nil {
			e.undo(first)
		}
		return nil, nil, mapError(err)
	}
	id, by := "", byRecovery
	if slots := v.Slots(); first != nil && len(slots) > 0 {
		id, by = slots[0].ID, slots[0].Label
		u.noteUse(id)
	}
	return u.replace(v, id, by), first, nil
}

// Unlock implements [ipc.Vaults].
func (d *Daemon) Unlock(ctx context.Context, p ipc.Principal, r ipc.UnlockRequest) (ipc.UnlockResult, error) {
	defer wipeAuth(&r.Auth)
	agent, err := withAgent(r.Interaction)
	if err != nil {
		return ipc.UnlockResult{}, err
	}
	u, err := d.user(&p)
	if err != nil {
		return ipc.UnlockResult{}, err
	}
	if agent && noSecret(r.Auth) {
		return u.unlockByAgent(ctx, p, wanted{}, r.Auth, nil)
	}
	store, err := u.existing()
	if err != nil {
		return ipc.UnlockResult{}, err
	}
	if noAuth(r.Auth) {
		if s, err := u.open(true); err == nil { // open already: this is a use
			return ipc.UnlockResult{Version: ipc.Version, Vault: u.vaultInfo(), Notices: u.notices(s.vault)}, nil
		}
	}
	s, err := u.unlock(ctx, p, store, r.Auth)
	if err != nil {
		if ipc.KindOf(err) != ipc.PINRequired { // a question, not a try
			u.auditResult(p, "unlock", "", err)
		}
		return ipc.UnlockResult{}, err
	}
	object := s.slot
	if object == "" {
		object = "recovery"
	}
	u.audit(entry{action: "unlock", object: object, by: p, ok: true})
	u.passwordGiven(r.Auth)
	d.tellUnlocked(u, "")
	return ipc.UnlockResult{Version: ipc.Version, Vault: u.vaultInfo(), Notices: u.notices(s.vault)}, nil
}

func noAuth(a ipc.Auth) bool {
	return a.Token == "" && noSecret(a)
}

// noSecret says that no PIN, password or key was given.
func noSecret(a ipc.Auth) bool {
	return len(a.PIN) == 0 && len(a.RecoveryPassword) == 0 && len(a.RecoveryKey) == 0
}

// overtakenLimit is how often an unlock begins anew before it gives up.
const overtakenLimit = 3

// unlock opens the vault, and again where another call wrote meanwhile: whoever
// unlocks has no part in that.
func (u *user) unlock(ctx context.Context, p ipc.Principal, store *vault.Store, a ipc.Auth) (*session, error) {
	for n := 1; ; n++ {
		s, err := u.unlockOnce(ctx, p, store, a)
		if n == overtakenLimit || ipc.KindOf(err) != ipc.Conflict {
			return s, err
		}
	}
}

func (u *user) unlockOnce(ctx context.Context, p ipc.Principal, store *vault.Store, a ipc.Auth) (*session, error) {
	if _, err := store.Head(); err != nil && u.sess.Load() == nil {
		u.problem.Store(lastingProblem(err))
		return nil, mapError(err) // no keyslot is looked for in a vault that is not to be used
	}
	o, err := u.way(ctx, a, tokens.ClassSession, u.slots(), cause{who: p})
	if err != nil {
		return nil, err
	}
	var v *vault.Vault
	locks := u.locks.Load()
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		v, err = store.Unlock(ctx, o.way)
		return err
	})
	if err != nil {
		if lasting := lastingProblem(err); lasting != nil {
			u.problem.Store(lasting)
		}
		return nil, mapError(err)
	}
	u.problem.Store(nil)
	u.noteUse(o.slot)
	if u.locks.Load() != locks {
		v.Lock()
		return nil, errLockedBefore()
	}
	if old := u.sess.Load(); old != nil && old.vault.Stale() {
		u.end(old, reasonStale, false)
	}
	s := u.begin(v, o.slot, u.labelOf(v, o))
	if s.vault.Stale() {
		u.end(s, reasonStale, true)
		if u.locks.Load() != locks {
			return nil, errLockedBefore()
		}
		return nil, mapError(vault.ErrConflict)
	}
	if u.locks.Load() != locks && s.vault == v {
		u.end(s, "it was locked while it was being unlocked", true)
		return nil, errLockedBefore()
	}
	// The token may have been pulled out between its answer and now.
	if !u.stillThere(s) {
		u.end(s, pulledOut, true)
		return nil, ipc.Errorf(ipc.TokenRemoved, "token %q was pulled out", s.by)
	}
	return s, nil
}

// stillThere says whether the token that unlocked s is in its place, where that
// matters.
func (u *user) stillThere(s *session) bool {
	if s.slot == "" || u.d.limits.Load().KeepOnRemoval {
		return true
	}
	for _, slot := range u.slots() {
		if slot.ID != s.slot || slot.Kind == tokens.KindSoft {
			continue
		}
		_, ok := u.d.presence.holder(slot.Keys...)
		return ok
	}
	return true
}

// labelOf is the label of the keyslot that opened v: before, it was sealed.
func (u *user) labelOf(v *vault.Vault, o opening) string {
	for _, slot := range v.Slots() {
		if slot.ID == o.slot {
			return slotRef(slot).Label
		}
	}
	return o.by
}

// lastingProblem keeps, for status, why a vault cannot be used; a wrong PIN or
// an absent token is no such reason.
func lastingProblem(err error) *ipc.Error {
	e := mapError(err)
	switch e.Kind {
	case ipc.VaultDamaged, ipc.VaultReplaced, ipc.VaultRolledBack, ipc.NewerVersion:
		return e
	}
	return nil
}

// notices are what the vault has to say to its owner.
func (u *user) notices(v *vault.Vault) []ipc.Warning {
	list := []ipc.Warning{}
	for _, n := range v.Notices() {
		list = append(list, ipc.Warning{Code: "vault-notice", Message: n})
	}
	if v.ReadOnly() {
		list = append(list, u.warnReadOnly(v))
	}
	return list
}

// tellUnlocked publishes that the vault is open now.
func (d *Daemon) tellUnlocked(u *user, detail string) {
	e := d.event(ipc.EventUnlocked)
	v := u.vaultInfo()
	e.Vault, e.Detail = &v, detail
	d.hub.publish(u.uid, e)
}

// RecoverVault implements [ipc.Vaults].
func (d *Daemon) RecoverVault(ctx context.Context, p ipc.Principal, r ipc.RecoverVaultRequest) (ipc.RecoverVaultResult, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.RecoverVaultResult{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.RecoverVaultResult{}, err
	}
	defer leave()
	store, err := u.existing()
	if err != nil {
		return ipc.RecoverVaultResult{}, err
	}
	head, err := store.RecoverHead()
	if err != nil {
		return ipc.RecoverVaultResult{}, mapError(err)
	}
	o, err := u.way(ctx, r.Auth, tokens.ClassSession, u.labelled(head.Slots), cause{who: p})
	if err != nil {
		return ipc.RecoverVaultResult{}, err
	}
	var found *vault.Recovery
	var v *vault.Vault
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		found, v, err = store.Recover(ctx, o.way, r.Apply)
		return err
	})
	u.auditResult(p, "vault-recover", "", err)
	if err != nil {
		return ipc.RecoverVaultResult{}, mapError(err)
	}
	said := []ipc.Warning{}
	if v != nil {
		said = u.notices(v)
	}
	if r.Apply && v != nil {
		u.problem.Store(nil)
		u.replace(v, o.slot, u.labelOf(v, o))
		d.tellUnlocked(u, "the vault was recovered")
	} else if v != nil {
		v.Lock()
	}
	return recoverResult(found, said), nil
}

func recoverResult(f *vault.Recovery, said []ipc.Warning) ipc.RecoverVaultResult {
	res := ipc.RecoverVaultResult{
		Version: ipc.Version, Damaged: f.Damaged, Generation: f.Generation, Written: wireTime(f.Written), Signer: f.Signer,
		Accounts: wireAccounts(f.Accounts), Lost: append([]string{}, f.Lost...), Applied: f.Applied, Kept: f.Kept,
		Notices: slices.DeleteFunc(said, func(w ipc.Warning) bool { return w.Code == "read-only" }),
	}
	if f.Problem != nil {
		res.Problem = f.Problem.Error()
	}
	return res
}
