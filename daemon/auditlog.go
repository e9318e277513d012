package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/auditwire"
	"github.com/tokenbridge/tokend/ipc"
)

// maxAuditPage is how many entries of the audit log a page has.
const maxAuditPage = 1000

// checkpointEvery is how often the daemon's own log has a checkpoint of a user's
// chain, where something was added to it and the vault is open.
const checkpointEvery = 24 * time.Hour

// lastPoint is which checkpoint the daemon's own log had last.
type lastPoint struct {
	seq  uint64
	when time.Time
}

// chain is the user's audit log, nil where he has none, and why it cannot be
// written.
func (u *user) chain() (log *audit.Log, problem string, err error) {
	if _, err := u.storeIfAny(); err != nil {
		return nil, "", mapError(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.logErr != nil {
		problem = "the log cannot be written"
	}
	return u.log, problem, nil
}

// Audit implements [ipc.Reporter].
func (d *Daemon) Audit(_ context.Context, p ipc.Principal) (ipc.AuditLog, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.AuditLog{}, err
	}
	return u.auditLog()
}

// auditLog is the user's whole chain and whether it verifies.
func (u *user) auditLog() (ipc.AuditLog, error) {
	log, problem, err := u.chain()
	out := ipc.AuditLog{Version: ipc.Version, Entries: []ipc.AuditEntry{}, Intact: problem == "", Problem: problem}
	if log == nil || err != nil {
		return out, err
	}
	res, err := log.Walk(func(e audit.Entry) { out.Entries = append(out.Entries, auditwire.Entry(e)) })
	if err != nil {
		return out, mapError(err)
	}
	if !res.Intact() {
		out.Intact, out.Problem = false, res.Problem()
	}
	return out, nil
}

// AuditEntries implements [ipc.Reporter].
func (d *Daemon) AuditEntries(_ context.Context, p ipc.Principal, q ipc.AuditQuery) (ipc.AuditPage, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.AuditPage{}, err
	}
	if min(q.Limit, q.Last) < 0 || max(q.Limit, q.Last) > maxAuditPage {
		return ipc.AuditPage{}, ipc.Errorf(ipc.InvalidArgument, "a page has 1 to %d entries", maxAuditPage)
	}
	log, problem, err := u.chain()
	out := ipc.AuditPage{Version: ipc.Version, Entries: []ipc.AuditEntry{}, Intact: problem == "", Problem: problem}
	if log == nil || err != nil {
		return out, err
	}
	find := audit.Query{After: q.After, Limit: q.Limit, Since: q.Since, Until: q.Until, Action: q.Kind, By: q.By, Failed: q.Failed,
		Objects: []audit.Object{{Name: "user", ID: q.User}, {Name: "account", ID: q.Account}, {Name: "device", ID: q.Device}, {Name: "reference", ID: q.Reference}}}
	switch {
	case q.Last > 0:
		find.Last, find.Limit = true, q.Last
	case q.Limit == 0:
		find.Limit = maxAuditPage
	}
	found, err := log.Find(find)
	if err != nil {
		return out, mapError(err)
	}
	out.Entries = auditwire.Entries(found.Entries)
	out.More = found.More
	if !found.Result.Intact() {
		out.Intact, out.Problem = false, found.Result.Problem()
	}
	return out, nil
}

// CheckpointAudit implements [ipc.Reporter].
func (d *Daemon) CheckpointAudit(_ context.Context, p ipc.Principal) (ipc.AuditCheckpoint, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.AuditCheckpoint{}, err
	}
	if _, err := u.existing(); err != nil {
		return ipc.AuditCheckpoint{}, err
	}
	c, err := u.checkpoint()
	if err != nil {
		return ipc.AuditCheckpoint{}, mapError(err)
	}
	return auditwire.Checkpoint(c), nil
}

// checkpoint makes a checkpoint of the user's chain, which the daemon's own log has
// then. The vault's own key signs: whoever knows the vault knows it, and it cannot be
// had of a locked one. It does not count as use.
func (u *user) checkpoint() (audit.Checkpoint, error) {
	s, err := u.open(false)
	if err != nil {
		return audit.Checkpoint{}, err
	}
	log, _, err := u.chain()
	if err != nil {
		return audit.Checkpoint{}, err
	}
	if log == nil {
		return audit.Checkpoint{}, ipc.Errorf(ipc.Internal, "the audit log cannot be opened")
	}
	c, err := log.Checkpoint("", s.vault)
	if err != nil {
		return c, err
	}
	u.mu.Lock()
	u.told = lastPoint{c.Seq, u.d.now()}
	u.mu.Unlock()
	if n := u.notesOf(); n != nil {
		if err := n.update(func(n *notesData) { n.Checkpoint = c.String() }); err != nil {
			u.d.log.Warn("cannot write the daemon's notes on a user", "uid", u.uid, "err", err)
		}
	}
	u.d.log.Info("audit checkpoint", "of", "vault", "uid", u.uid, "chain", c.Chain, "seq", c.Seq, "checkpoint", c.String())
	return c, nil
}

// checkpointNew makes a checkpoint where something was added since the last one. The
// backup that was just made and the day's may ask at once: one is enough.
func (u *user) checkpointNew() error {
	u.pointing.Lock()
	defer u.pointing.Unlock()
	u.mu.Lock()
	last, log := u.told, u.log
	u.mu.Unlock()
	if log == nil {
		return nil
	}
	if seq, _ := log.Head(); seq == last.seq {
		return nil
	}
	_, err := u.checkpoint()
	return err
}

// checkpoints puts those that are due into the daemon's own log: the first as soon
// as a vault is open.
func (d *Daemon) checkpoints() {
	for _, u := range d.everyUser() {
		if u.sess.Load() == nil {
			continue
		}
		u.mu.Lock()
		last, log := u.told, u.log
		u.mu.Unlock()
		if log == nil || !last.when.IsZero() && d.now().Sub(last.when).Abs() < checkpointEvery {
			continue
		}
		if err := u.checkpointNew(); err != nil && ipc.KindOf(mapError(err)) != ipc.VaultLocked {
			d.log.Warn("cannot make a checkpoint of an audit log", "uid", u.uid, "err", err)
		}
	}
}

// VerifyAudit implements [ipc.Reporter].
func (d *Daemon) VerifyAudit(_ context.Context, p ipc.Principal, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.AuditVerdict{}, err
	}
	if len(r.Checkpoints) > maxAuditPage {
		return ipc.AuditVerdict{}, ipc.Errorf(ipc.InvalidArgument, "at most %d checkpoints are compared at a time", maxAuditPage)
	}
	log, problem, err := u.chain()
	out := ipc.AuditVerdict{Version: ipc.Version, Checkpoints: []ipc.CheckpointVerdict{}, Intact: problem == "", Problem: problem}
	if err != nil {
		return out, err
	}
	if log == nil {
		if len(r.Checkpoints) > 0 {
			return out, errNoVault()
		}
		return out, nil
	}
	signers := u.signers()
	res, list, err := log.CompareTexts(audit.Owner{Signs: func(s string) bool { return slices.Contains(signers, s) }}, r.Checkpoints)
	if err != nil {
		return out, mapError(err)
	}
	out.Chain, out.Entries, out.First, out.Last = log.ID(), res.Entries, res.First, res.Last
	if !res.Intact() {
		out.Intact, out.Problem = false, res.Problem()
	}
	out.Checkpoints = auditwire.Verdicts(list)
	return out, nil
}

// signers are the keys that sign the vault, and signed it before as far back as it
// tells: since the recovery password was last set. It need not be open.
func (u *user) signers() []string {
	store, err := u.storeIfAny()
	if err != nil || store == nil {
		return nil
	}
	head, err := store.RecoverHead()
	if err != nil {
		return nil
	}
	return append(head.Signed, head.Signer)
}
