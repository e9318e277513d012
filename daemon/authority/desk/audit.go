package desk

import (
	"context"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/auditwire"
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// AuthorityAudit implements [ipc.AuthorityOffice].
func (d *Desk) AuthorityAudit(ctx context.Context, p ipc.Principal, q ipc.AuditQuery) (ipc.AuditPage, error) {
	c, err := d.require(ctx, p, actLook, ofReach, authority.RoleAdmin)
	if err != nil {
		return ipc.AuditPage{}, err
	}
	if q.Last < 0 || q.Last > maxPage {
		return ipc.AuditPage{}, ipc.Errorf(ipc.InvalidArgument, "the last 1 to %d entries can be asked for", maxPage)
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return ipc.AuditPage{}, err
	}
	c.chain.flush()
	page, err := c.chain.page(c.auditQuery(q, limit))
	if err != nil {
		return ipc.AuditPage{}, d.failed(err)
	}
	return page, nil
}

// auditQuery is what the chain is asked; users have their ids there.
func (c *caller) auditQuery(q ipc.AuditQuery, limit int) audit.Query {
	out := audit.Query{After: q.After, Limit: limit, Since: q.Since, Until: q.Until, Action: q.Kind, By: c.userID(q.By), Failed: q.Failed}
	if q.Last > 0 {
		out.Last, out.Limit = true, q.Last
	}
	out.Only = c.visible()
	out.Objects = []audit.Object{
		{Name: "user", ID: c.userID(q.User)}, {Name: "account", ID: q.Account}, {Name: "device", ID: q.Device}, {Name: "reference", ID: q.Reference},
	}
	return out
}

// userID is the id of a user, or what was given where there is none of this name:
// a uid, or one who was removed.
func (c *caller) userID(ref string) string {
	if ref == "" {
		return ""
	}
	if u, err := c.authority.User(ref); err == nil {
		return u.ID
	}
	return ref
}

// CheckpointAuthorityAudit implements [ipc.AuthorityOffice].
func (d *Desk) CheckpointAuthorityAudit(ctx context.Context, p ipc.Principal) (ipc.AuditCheckpoint, error) {
	c, err := d.require(ctx, p, actLook, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.AuditCheckpoint{}, err
	}
	c.chain.flush()
	point, err := c.chain.checkpoint()
	if err != nil {
		return ipc.AuditCheckpoint{}, d.failed(err)
	}
	return auditwire.Checkpoint(point), nil
}

// VerifyAuthorityAudit implements [ipc.AuthorityOffice].
func (d *Desk) VerifyAuthorityAudit(ctx context.Context, p ipc.Principal, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	c, err := d.require(ctx, p, actLook, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.AuditVerdict{}, err
	}
	if len(r.Checkpoints) > maxPage {
		return ipc.AuditVerdict{}, ipc.Errorf(ipc.InvalidArgument, "at most %d checkpoints are compared at a time", maxPage)
	}
	c.chain.flush()
	owner := audit.Owner{Chain: c.chain.id(), Signs: func(signer string) bool { return signer == c.issuer.Signer() }}
	res, list, err := c.chain.log.CompareTexts(owner, r.Checkpoints)
	if err != nil {
		return ipc.AuditVerdict{}, d.failed(fmt.Errorf("cannot read the authority's audit log: %w", err))
	}
	out := ipc.AuditVerdict{Version: ipc.Version, Chain: owner.Chain, Entries: res.Entries, First: res.First, Last: res.Last,
		Checkpoints: auditwire.Verdicts(list)}
	out.Problem = c.chain.problem(res)
	out.Intact = out.Problem == ""
	return out, nil
}
