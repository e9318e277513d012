package desk

import (
	"context"
	"fmt"
	"strings"

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
	var page ipc.AuditPage
	asked, err := c.auditQuery(q, limit)
	if err == nil {
		page, err = c.chain.page(asked)
	}
	if err != nil {
		return ipc.AuditPage{}, d.failed(err)
	}
	return page, nil
}

// auditQuery is what the chain is asked; users have their ids there. It fails where
// nothing could fit because something is named that there is not.
func (c *caller) auditQuery(q ipc.AuditQuery, limit int) (audit.Query, error) {
	out := audit.Query{After: q.After, Limit: limit, Since: q.Since, Until: q.Until, Action: q.Kind, Failed: q.Failed}
	if q.Last > 0 {
		out.Last, out.Limit = true, q.Last
	}
	out.Only = c.visible()
	if q.Kind != "" {
		known, err := c.chain.knows(q.Kind)
		if err == nil && !known {
			err = unknownKind(q.Kind)
		}
		if err != nil {
			return out, err
		}
	}
	for _, x := range []struct{ what, id string }{{"account", q.Account}, {"device", q.Device}} {
		if x.id != "" && !isID(x.id) {
			return out, ipc.Errorf(ipc.InvalidArgument, "the %s is given by its id, and %q is none", x.what, x.id)
		}
	}
	user, err := c.userID(q.User)
	if err != nil {
		return out, err
	}
	if out.By, err = c.actorID(q.By); err != nil {
		return out, err
	}
	out.Objects = []audit.Object{
		{Name: "user", ID: user}, {Name: "account", ID: q.Account}, {Name: "device", ID: q.Device}, {Name: "reference", ID: q.Reference},
	}
	return out, nil
}

// unknownKind has the kinds that there are among its items.
func unknownKind(kind string) *ipc.Error {
	e := ipc.Errorf(ipc.InvalidArgument, "no entry is of the kind %q", kind)
	for _, k := range auditKinds() {
		e.Items = append(e.Items, ipc.Item{ID: k, Reason: "kind"})
	}
	return e
}

// userID is the id of a user, or what was given where it is an id: of one who was
// removed.
func (c *caller) userID(ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	u, err := c.authority.User(ref)
	switch {
	case err == nil:
		return u.ID, nil
	case isID(ref):
		return ref, nil
	}
	return "", err
}

// actorID is userID for who has done something, also the daemon itself and who is no
// user.
func (c *caller) actorID(ref string) (string, error) {
	uid, isUID := strings.CutPrefix(ref, "uid ")
	if isUID && uid != "" || ref == "tokend" {
		return ref, nil
	}
	return c.userID(ref)
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
	if cut := c.marks.cut(); out.Problem == "" && cut != "" {
		out.Problem = cut
	}
	out.Intact = out.Problem == ""
	if out.Warnings, err = c.marks.past(); err != nil {
		return ipc.AuditVerdict{}, d.failed(fmt.Errorf("cannot read the authority's audit log: %w", err))
	}
	return out, nil
}
