package daemon

import (
	"context"
	"slices"

	"github.com/tokenbridge/tokend/daemon/drill"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// byRecoveryKey names the recovery key where the password is told from it.
const byRecoveryKey = "recovery key"

// DrillBackup implements [ipc.Backups].
func (d *Daemon) DrillBackup(ctx context.Context, p ipc.Principal, r ipc.DrillRequest) (ipc.DrillResult, error) {
	defer wipeAuth(&r.Auth)
	u, err := d.user(&p)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	o, touch, err := u.drillWays(ctx, p, r)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	store, err := u.storeOrNew()
	if err != nil {
		return ipc.DrillResult{}, mapError(err)
	}
	var live *vault.Vault
	if s, err := u.open(false); err == nil {
		live = s.vault
	}
	var report *vault.DrillReport
	err = u.opened(ctx, o, false, func(ctx context.Context) error {
		report, err = store.Drill(ctx, r.Data, o.way, touch, live)
		return err
	})
	defer d.collectSoon()
	if err != nil {
		u.auditResult(p, "drill", "", err)
		return ipc.DrillResult{}, backupError(err)
	}
	out := u.drillResult(report)
	out.OpenedBy = drillBy(o, len(r.Auth.RecoveryKey) > 0, report)
	u.recordDrill(&out, o, report, len(r.Auth.RecoveryPassword) > 0)
	u.audit(entry{action: "drill", object: shortSum(out.SHA256), by: p, ok: out.Proved})
	return out, nil
}

// drillWays is how a backup's two classes will be opened: by the recovery
// password or key, or both by one token.
func (u *user) drillWays(ctx context.Context, p ipc.Principal, r ipc.DrillRequest) (opening, vault.Way, error) {
	o, err := u.foreignWay(ctx, p, r.Auth, r.Data)
	if err != nil || o.recovery {
		return o, vault.Way{}, err
	}
	head, err := vault.HeadOf(r.Data)
	if err != nil {
		return o, vault.Way{}, backupError(err)
	}
	i := slices.IndexFunc(head.Slots, func(s vault.Slot) bool { return s.ID == o.slot })
	if i < 0 {
		return o, vault.Way{}, nil
	}
	if _, ok := head.Slots[i].Key(tokens.ClassTouch); !ok {
		return o, vault.Way{}, nil
	}
	return o, u.through(head.Slots[i], r.Auth, cause{who: p}).way, nil
}

// drillBy is what opened a backup, for people.
func drillBy(o opening, key bool, report *vault.DrillReport) string {
	if key {
		return byRecoveryKey
	}
	for _, s := range report.Slots {
		if s.ID == o.slot {
			return slotRef(s).Label
		}
	}
	return o.by
}

func (u *user) drillResult(r *vault.DrillReport) ipc.DrillResult {
	out := ipc.DrillResult{
		Version: ipc.Version, VaultID: r.VaultID, Epoch: r.Epoch, Generation: r.Generation, Written: wireTime(r.Written),
		Signer: r.Signer, SHA256: r.SHA256, At: wireTime(u.d.now()), Own: r.Known, Compared: r.Compared, Proved: true,
		Accounts: make([]ipc.DrillAccount, 0, len(r.Accounts)), Missing: wireAccounts(r.Missing),
	}
	for i := range r.Accounts {
		a := &r.Accounts[i]
		// A managed account has no secret in any backup: that is as it should be.
		out.Proved = out.Proved && (a.State == drill.Proved || a.State == drill.Absent)
		out.Accounts = append(out.Accounts, ipc.DrillAccount{
			Account: wireAccount(a.Account), State: string(a.State), Problem: a.Problem, Live: a.Live, Differs: a.Differs,
		})
	}
	return out
}

// recordDrill remembers a backup of the caller's vault as proved, and that the
// recovery password is still known where that is what opened it.
func (u *user) recordDrill(out *ipc.DrillResult, o opening, r *vault.DrillReport, password bool) {
	if !out.Proved || !r.Known {
		return
	}
	by := o.slot
	if o.recovery {
		by = out.OpenedBy
	}
	at := wireTime(u.d.now())
	known, err := u.notesOf().markProved(out.SHA256, by, at)
	if err == nil && !known {
		// It was made on another device, or is older than what is remembered.
		err = u.notesOf().update(func(n *notesData) {
			b := n.putBackup(backupNote{
				SHA256: out.SHA256, Made: wireTime(r.Written), VaultID: r.VaultID, Epoch: r.Epoch, Generation: r.Generation,
				Accounts: len(r.Accounts), RecoverySet: r.RecoverySet,
			})
			for _, s := range r.Slots {
				b.Slots = append(b.Slots, s.ID)
			}
			b.Proved, b.ProvedBy = at, by
		})
	}
	if err != nil {
		u.d.log.Warn("cannot remember that a backup was proved", "err", err)
		return
	}
	out.Recorded = true
	if password {
		u.passwordKnown(r.RecoverySet)
	}
}
