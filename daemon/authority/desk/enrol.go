package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls it, done and refused.
const actEnrol = "verifier-enroll"

// EnrollUser implements [ipc.Verifiers]. The account stays a factor, as a fob does. The
// verifier is asked while nothing here is held. It knows users by their names, and may
// be believed by others than this authority: a child's administrator, who can give a
// user any name that is free, would be whom he likes there. So it takes a role that is
// good for all.
func (d *Desk) EnrollUser(ctx context.Context, p ipc.Principal, name string, r ipc.UserRef) (ipc.MadeEnrolment, error) {
	c, err := d.require(ctx, p, actEnrol, all(ofUser(r.User), ofAll), helpers()...)
	if err != nil {
		return ipc.MadeEnrolment{}, err
	}
	v, err := verifierNamed(name)
	if err != nil {
		return ipc.MadeEnrolment{}, err
	}
	who, err := c.changeable(actEnrol, r.User)
	if err != nil {
		return ipc.MadeEnrolment{}, d.failed(err)
	}
	if err := c.mayFurnish(actEnrol, who, "an account at "+name); err != nil {
		return ipc.MadeEnrolment{}, err
	}
	if who.Disabled {
		return ipc.MadeEnrolment{}, ipc.Errorf(ipc.Conflict, "the user is disabled")
	}
	asks := c.verifiers.get(v)
	if asks == nil {
		return ipc.MadeEnrolment{}, ipc.Errorf(ipc.NotFound, "no such verifier is set up")
	}
	enrols, ok := asks.(remote.Enroller)
	if !ok {
		return ipc.MadeEnrolment{}, ipc.Errorf(ipc.Unsupported, "%s makes no accounts for users: who runs it does", name)
	}
	// Whoever gives up waiting does not undo what was made meanwhile: it is audited.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
	defer cancel()
	e, err := enrols.Enroll(ctx, who.Name)
	entry := authority.Entry{Kind: actEnrol, By: c.by, User: who.ID, OK: err == nil, Detail: name}
	switch {
	case errors.Is(err, remote.ErrEnrolled):
		err = ipc.Errorf(ipc.AlreadyExists, "%s knows %s already, or refuses the name", name, who.Name)
	case err != nil:
		c.verifiers.failed(v, err)
		err = &ipc.Error{Kind: ipc.VerifierDown, Message: name + " gave no answer that counts: " + checkProblem(err), Err: err}
	}
	if err != nil {
		entry.Detail += " " + string(failed(err).Kind)
	}
	c.chain.Audit(entry)
	if err != nil {
		return ipc.MadeEnrolment{}, d.failed(err)
	}
	return ipc.MadeEnrolment{Version: ipc.Version, Verifier: ipc.VerifierName(v), UserID: who.ID, Link: ipc.Secret(e.Link), Code: ipc.Secret(e.Code), Until: wireTime(e.Until)}, nil
}
