package daemon

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// consent is what changing who can open the vault takes: where there are touch
// accounts, a way to open their class, which the change goes through; elsewhere
// the caller shows anew that he can open the vault, and no way is returned.
func (u *user) consent(ctx context.Context, p ipc.Principal, s *session, a ipc.Auth, without string) (opening, error) {
	if !s.vault.NeedsTouch() {
		return opening{}, u.agreed(ctx, p, s, a)
	}
	all, err := s.slots()
	if err != nil {
		return opening{}, err
	}
	slots := slices.DeleteFunc(slices.Clone(all), func(slot vault.Slot) bool { return slot.ID == without })
	o, err := u.way(ctx, a, tokens.ClassTouch, slots, cause{who: p})
	if err != nil && without != "" && noAuth(a) {
		// The token that is to go may have its last use.
		if own, ownErr := u.way(ctx, a, tokens.ClassTouch, all, cause{who: p}); ownErr == nil {
			return own, nil
		}
	}
	return o, err
}

// agreed has the caller show anew that he can open the vault, before it is
// changed who can. An unlocked vault gives codes to every program of its user;
// without this such a program could also let itself in for good and lock the
// user out. A change that takes a touch has its proof in that.
func (u *user) agreed(ctx context.Context, p ipc.Principal, s *session, a ipc.Auth) error {
	slots, err := s.slots()
	if err != nil {
		return err
	}
	o, err := u.way(ctx, a, tokens.ClassSession, slots, cause{who: p})
	if err != nil {
		return err
	}
	store, err := u.existing()
	if err != nil {
		return err
	}
	ctx, done := s.bind(ctx)
	defer done()
	return u.opened(ctx, o, false, func(ctx context.Context) error {
		if o.recovery {
			return store.CheckRecovery(ctx, o.way)
		}
		return s.vault.CheckSlot(ctx, o.slot, tokens.ClassSession, o.way.Exchange)
	})
}

// EnrollToken implements [ipc.Tokens].
func (d *Daemon) EnrollToken(ctx context.Context, p ipc.Principal, r ipc.EnrollRequest) (ipc.EnrollResult, error) {
	defer wipeEnroll(&r)
	u, err := d.user(&p)
	if err != nil {
		return ipc.EnrollResult{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.EnrollResult{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.EnrollResult{}, err
	}
	slot, made, err := u.enroll(ctx, p, s, r)
	u.auditResult(p, actEnroll, slot.ID, err)
	if err != nil {
		return ipc.EnrollResult{}, mapError(err)
	}
	u.endChange(func(n *notesData) { n.enrolled(slot.ID, made) })
	e := d.event(ipc.EventTokenEnrolled)
	e.Token = new(slotRef(slot))
	d.hub.publish(u.uid, e)
	t := u.listed(p, slot.ID)
	res := ipc.EnrollResult{Version: ipc.Version, Token: t, Warnings: append([]ipc.Warning{}, t.Warnings...)}
	if a := made.Attestation; a != nil {
		res.Attested, res.AttestationOK, res.Maker, res.MakerModel = true, a.Verified, a.Maker, a.Model
	}
	return res, nil
}

func (u *user) enroll(ctx context.Context, p ipc.Principal, s *session, r ipc.EnrollRequest) (vault.Slot, tokens.Enrollment, error) {
	if s.vault.ReadOnly() {
		return vault.Slot{}, tokens.Enrollment{}, mapError(vault.ErrReadOnly)
	}
	e, err := u.prepareEnroll(ctx, p, r)
	if err != nil {
		return vault.Slot{}, tokens.Enrollment{}, err
	}
	var touch opening
	if slices.Contains(e.classes, tokens.ClassTouch) {
		touch, err = u.consent(ctx, p, s, r.Auth, "")
	} else {
		err = u.agreed(ctx, p, s, r.Auth)
	}
	if err != nil {
		return vault.Slot{}, tokens.Enrollment{}, err
	}
	ctx, done := s.bind(ctx)
	defer done()
	made, err := e.run(ctx)
	if err != nil {
		return vault.Slot{}, tokens.Enrollment{}, err
	}
	u.beginChange(p, underway{Action: actEnroll, Slot: made.ID, Keys: e.madeKeys(made)})
	var slot vault.Slot
	err = u.opened(ctx, touch, true, func(ctx context.Context) error {
		slot, err = s.vault.AddSlot(ctx, *made, touch.way)
		return err
	})
	if err != nil {
		e.undo(made)
		return vault.Slot{}, tokens.Enrollment{}, err
	}
	return slot, made.Enrollment, nil
}

// RevokeToken implements [ipc.Tokens].
func (d *Daemon) RevokeToken(ctx context.Context, p ipc.Principal, id string, r ipc.RevokeRequest) (ipc.RevokeResult, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.RevokeResult{}, err
	}
	leave, err := u.alone(ctx)
	if err != nil {
		return ipc.RevokeResult{}, err
	}
	defer leave()
	s, err := u.open(true)
	if err != nil {
		return ipc.RevokeResult{}, err
	}
	slot, err := s.keyslot(id)
	if err != nil {
		return ipc.RevokeResult{}, err
	}
	if r.Confirm != slot.ID {
		return ipc.RevokeResult{}, ipc.Errorf(ipc.InvalidArgument, "the confirmation is not the keyslot's id")
	}
	revoked := u.listed(p, slot.ID)
	signer, undos := s.vault.Signer(), s.undoable()
	info, err := u.revoke(ctx, p, s, slot, r.Auth)
	u.auditResult(p, actRevoke, slot.ID, err)
	if err != nil {
		return ipc.RevokeResult{}, mapError(err)
	}
	u.endChange(func(n *notesData) { n.revoked(slot.ID, slot.Keys) })
	e := d.event(ipc.EventTokenRevoked)
	e.Token = new(slotRef(slot))
	d.hub.publish(u.uid, e)
	revoked.Enrolled = false
	now := u.vaultInfo()
	return ipc.RevokeResult{
		Version: ipc.Version, Revoked: revoked, Vault: now,
		OldBackups: u.backupsBySlot(s.vault.ID(), slot.ID),
		Warnings:   slices.Concat(u.revokeWarnings(p, info), newSigner(signer, now.Signer), undosEnd(undos), d.authorityKeyWarning(slot)),
	}, nil
}

func (u *user) revoke(ctx context.Context, p ipc.Principal, s *session, slot vault.Slot, a ipc.Auth) (vault.RevokeInfo, error) {
	// Nobody is asked for what is refused in any case.
	if err := s.vault.MayRevoke(slot.ID); err != nil {
		return vault.RevokeInfo{}, err
	}
	touch, err := u.consent(ctx, p, s, a, slot.ID)
	if err != nil {
		return vault.RevokeInfo{}, err
	}
	ctx, done := s.bind(ctx)
	defer done()
	u.beginChange(p, underway{Action: actRevoke, Slot: slot.ID, Keys: slot.Keys})
	var info vault.RevokeInfo
	err = u.opened(ctx, touch, true, func(ctx context.Context) error {
		info, err = s.vault.RevokeSlot(ctx, slot.ID, touch.way)
		return err
	})
	s.reindex()
	if err != nil {
		u.endChange(nil)
		return vault.RevokeInfo{}, err
	}
	if s.slot == slot.ID { // the session stays; its token no longer matters
		u.begin(s.vault, "", s.by)
	}
	return info, nil
}

// newSigner warns where the key that signs the vault is another than before: a
// fingerprint that was noted for a restore no longer fits new backups.
func newSigner(before, now string) []ipc.Warning {
	if before == now || now == "" {
		return []ipc.Warning{}
	}
	return []ipc.Warning{{
		Code:    "signer-changed",
		Message: "the vault is signed by a new key, " + now + ": a fingerprint noted before fits older backups only",
		Fix:     "tokenctl backup create FILE",
	}}
}

// asideWarnings is about files that a restore put aside: they stay when keys are
// rotated, unlike earlier generations.
func (u *user) asideWarnings() []ipc.Warning {
	store, err := u.storeIfAny()
	if err != nil || store == nil {
		return nil
	}
	var list []ipc.Warning
	for _, dir := range store.Aside() {
		list = append(list, ipc.Warning{
			Code:    "old-files",
			Message: "what a restore put aside is still in " + dir + ", and former keys may open it",
			Fix:     "rm -r " + dir,
		})
	}
	return list
}

func (u *user) revokeWarnings(p ipc.Principal, info vault.RevokeInfo) []ipc.Warning {
	list := []ipc.Warning{}
	if u.everBackedUp() { // there may be more than those that are named
		with := " with its PIN"
		switch {
		case info.Revoked.Kind == tokens.KindSoft:
			with = " with its passphrase"
		case opensWithoutPIN(info.Revoked):
			with = ""
		}
		list = append(list, ipc.Warning{
			Code:    "old-copies",
			Message: "old backups still open with the revoked token; if it may be in other hands" + with + ", renew the accounts at their services",
			Fix:     "tokenctl backup create FILE",
		})
	}
	list = append(list, u.asideWarnings()...)
	for _, c := range info.RecoveryOnly {
		list = append(list, ipc.Warning{
			Code:    "recovery-only",
			Message: "accounts of class " + string(c) + " are opened by the recovery password alone now",
			Fix:     u.enrollFix(p),
		})
	}
	return list
}

// TestToken implements [ipc.Tokens]: it opens each class of the keyslot once.
func (d *Daemon) TestToken(ctx context.Context, p ipc.Principal, id string, r ipc.TestTokenRequest) (ipc.TestTokenResult, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.TestTokenResult{}, err
	}
	s, err := u.open(true)
	if err != nil {
		return ipc.TestTokenResult{}, err
	}
	slot, err := s.keyslot(id)
	if err != nil {
		return ipc.TestTokenResult{}, err
	}
	if r.Auth.Token != "" {
		if other, err := s.keyslot(r.Auth.Token); err != nil || other.ID != slot.ID {
			return ipc.TestTokenResult{}, ipc.Errorf(ipc.InvalidArgument, "the PIN is for another token")
		}
	}
	result := ipc.TestTokenResult{Version: ipc.Version, Opened: []string{}}
	err = u.testSlot(ctx, p, s, slot, r.Auth, &result)
	u.auditResult(p, "token-test", slot.ID, err)
	if err != nil {
		return ipc.TestTokenResult{}, mapError(err)
	}
	u.noteUse(slot.ID)
	result.Token = u.listed(p, slot.ID)
	return result, nil
}

func (u *user) testSlot(ctx context.Context, p ipc.Principal, s *session, slot vault.Slot, a ipc.Auth, result *ipc.TestTokenResult) error {
	c := cause{who: p}
	if !u.isHere(ctx, p, slot) {
		return u.missing(p, slot)
	}
	ctx, done := s.bind(ctx)
	defer done()
	o := u.through(slot, a, c)
	for _, k := range slot.Keys {
		if err := s.vault.CheckSlot(ctx, slot.ID, k.Class, o.way.Exchange); err != nil {
			return err
		}
		result.Opened = append(result.Opened, string(k.Class))
	}
	return nil
}
