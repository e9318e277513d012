package desk

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls what is refused before the issuer is asked; done, it has
// the issuer's words.
const (
	actActivation = "activation-create"
	actApprove    = "activation-approve"
	actOff        = "activation-revoke"
	actBypass     = "bypass-create"
	actBypassOff  = "bypass-revoke"
	actDeviceOff  = "device-revoke"
)

// maxValid is what a life in seconds is cut to before the policy's bound, so that
// it can be counted.
const maxValid = 10 * 365 * 24 * 60 * 60

func valid(seconds int) (time.Duration, error) {
	if seconds < 0 {
		return 0, ipc.Errorf(ipc.InvalidArgument, "a time must not be negative")
	}
	return time.Duration(min(seconds, maxValid)) * time.Second, nil
}

// person is the caller as a policy sees him. Root, and the daemon's owner, need
// not be among the users; then he is his uid, which is no user's id.
func (c *caller) person() policy.Person {
	p := policy.Person{ID: c.by, Name: c.user.Name, Groups: c.user.Groups, Authorities: c.user.Authorities}
	for _, r := range c.roles() {
		p.Roles = append(p.Roles, policy.Role(r))
	}
	return p
}

// mayHelp says whether the caller may help somebody: by his rank and by the
// policy. It says as well whether another person must approve.
func (c *caller) mayHelp(action string, who authority.User) (second bool, err error) {
	if c.reaches(who.Authority) && c.is(who) { // before his rank, which is not above his own
		return false, c.byPolicy(action, who, policy.HelpDecision{Reason: policy.HelpsHimself})
	}
	if err := c.mayChange(action, who); err != nil {
		return false, err
	}
	now := c.policy.current()
	if now.problem != nil {
		return false, noPolicy(now.problem)
	}
	h := now.policy.MayHelp(c.person(), person(who))
	return h.SecondApprover, c.byPolicy(action, who, h)
}

// is says that the caller is this user.
func (c *caller) is(who authority.User) bool { return c.user.ID != "" && c.user.ID == who.ID }

func noPolicy(problem error) error {
	return &ipc.Error{Kind: ipc.AuthorityDamaged, Err: problem,
		Message: "the authority has no policy that can be used, and so leaves nobody anything"}
}

// byPolicy notes what the policy does not allow, and says so.
func (c *caller) byPolicy(action string, who authority.User, h policy.HelpDecision) error {
	if h.Allowed {
		return nil
	}
	c.chain.Audit(authority.Entry{Kind: action, By: c.by, User: who.ID, Detail: string(ipc.PolicyDenied)})
	return ipc.Errorf(ipc.PolicyDenied, "%s", h.Reason)
}

// CreateActivation implements [ipc.Activations].
func (d *Desk) CreateActivation(ctx context.Context, p ipc.Principal, r ipc.NewActivation) (ipc.MadeActivation, error) {
	c, err := d.require(ctx, p, actActivation, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.MadeActivation{}, err
	}
	life, err := valid(r.ValidSeconds)
	if err != nil {
		return ipc.MadeActivation{}, err
	}
	who, made, err := d.makeActivation(c, r, life)
	if err != nil {
		return ipc.MadeActivation{}, d.failed(err)
	}
	if r.Mail {
		return d.mailed(ctx, c, who, made)
	}
	return made, nil
}

// makeActivation makes the link, and says for whom.
func (d *Desk) makeActivation(c *caller, r ipc.NewActivation, life time.Duration) (who authority.User, out ipc.MadeActivation, err error) {
	d.changes.Lock()
	defer d.changes.Unlock()
	if who, err = c.authority.User(r.User); err != nil {
		return who, out, err
	}
	second, err := c.mayHelp(actActivation, who)
	if err != nil {
		return who, out, err
	}
	endpoint, err := d.endpoint(r.Local)
	if err != nil {
		return who, out, err
	}
	if r.Mail {
		if err := d.mailable(who); err != nil {
			return who, out, err
		}
	}
	a, link, err := c.issuer.CreateActivation(c.by, issue.NewActivation{
		User: who.ID, Account: r.Account, Issuer: r.Issuer, Algorithm: algorithm(r.Algorithm), Digits: r.Digits, Period: r.Period,
		Life: life, Second: second, Endpoint: endpoint,
	})
	defer link.Secret.Wipe()
	if err != nil {
		return who, out, err
	}
	uri, err := link.URI()
	out = ipc.MadeActivation{Version: ipc.Version, Activation: wireActivation(a), Link: ipc.Secret(uri), Endpoint: endpoint.String()}
	return who, out, err
}

// endpoints are where devices are told that the authority answers.
func (d *Desk) endpoints() []string {
	out := []string{}
	for _, e := range d.cfg.Reach().Endpoints {
		out = append(out, e.String())
	}
	return out
}

// endpoint is where a link leads.
func (d *Desk) endpoint(local bool) (message.Endpoint, error) {
	reach := d.cfg.Reach()
	if local {
		if e, ok := reach.local(); ok {
			return e, nil
		}
	} else if len(reach.Endpoints) > 0 {
		return reach.Endpoints[0], nil
	}
	return message.Endpoint{}, ipc.Errorf(ipc.Unsupported, "no link can name where this authority answers")
}

// Activations implements [ipc.Activations].
func (d *Desk) Activations(ctx context.Context, p ipc.Principal, r ipc.UserRef) (ipc.ActivationList, error) {
	c, err := d.require(ctx, p, actLook, ofUser(r.User), helpers()...)
	if err != nil {
		return ipc.ActivationList{}, err
	}
	list, err := c.issuer.Activations(r.User)
	if err != nil {
		return ipc.ActivationList{}, d.failed(err)
	}
	out := ipc.ActivationList{Version: ipc.Version, Activations: make([]ipc.Activation, 0, len(list))}
	for _, a := range list {
		wire := wireActivation(a)
		wire.ByName = c.nameOf(a.By)
		out.Activations = append(out.Activations, wire)
	}
	return out, nil
}

// ApproveActivation implements [ipc.Activations]. Who approves must be known as a
// person, so that he can be told from the first; root is nobody in particular, and
// can be whomever he likes.
func (d *Desk) ApproveActivation(ctx context.Context, p ipc.Principal, id string) (ipc.Activation, error) {
	return d.changeActivation(ctx, p, actApprove, id, func(c *caller, a issue.Activation, who authority.User) error {
		if a.State != issue.Waiting { // nobody's approval is missing, whoever it is
			return c.issuer.ApproveActivation(c.by, a.ID)
		}
		if c.user.ID == "" || c.root {
			return c.refusedOf(actApprove, who.ID, "only a user of the authority who is logged in as himself can be the second approver")
		}
		now := c.policy.current()
		if now.problem != nil {
			return noPolicy(now.problem)
		}
		first := policy.Person{ID: a.By}
		if d.wasFirst(c, a.By) {
			first.ID = c.by
		}
		if err := c.byPolicy(actApprove, who, now.policy.MayApprove(c.person(), first, person(who))); err != nil {
			return err
		}
		return c.issuer.ApproveActivation(c.by, a.ID)
	})
}

// wasFirst says whether a caller is who made an activation as a uid, without being a
// user then, or with another user's login.
func (d *Desk) wasFirst(c *caller, by string) bool {
	uid, isUID := strings.CutPrefix(by, "uid ")
	if !isUID {
		return false
	}
	login := d.cfg.Login(uid)
	return login != "" && slices.Contains(c.user.Logins, login)
}

// RevokeActivation implements [ipc.Activations].
func (d *Desk) RevokeActivation(ctx context.Context, p ipc.Principal, id string) (ipc.Activation, error) {
	return d.changeActivation(ctx, p, actOff, id, func(c *caller, a issue.Activation, _ authority.User) error {
		return c.issuer.RevokeActivation(c.by, a.ID)
	})
}

func (d *Desk) changeActivation(ctx context.Context, p ipc.Principal, action, id string, change func(*caller, issue.Activation, authority.User) error) (ipc.Activation, error) {
	c, err := d.require(ctx, p, action, ofActivation(id), helpers()...)
	if err != nil {
		return ipc.Activation{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	a, err := c.issuer.Activation(id)
	if err != nil {
		return ipc.Activation{}, d.failed(err)
	}
	who, err := c.changeable(action, a.User)
	if err != nil {
		return ipc.Activation{}, d.failed(err)
	}
	if err := change(c, a, who); err != nil {
		return ipc.Activation{}, d.failed(err)
	}
	if a, err = c.issuer.Activation(id); err != nil {
		return ipc.Activation{}, d.failed(err)
	}
	return wireActivation(a), nil
}

// changeable is the user whose thing it is, if the caller may change him.
func (c *caller) changeable(action, user string) (authority.User, error) {
	who, err := c.authority.User(user)
	if err != nil {
		return who, err
	}
	return who, c.mayChange(action, who)
}

func wireActivation(a issue.Activation) ipc.Activation {
	return ipc.Activation{ID: a.ID, UserID: a.User, AccountID: a.Account, Account: a.Label, By: a.By,
		Created: wireTime(a.Created), Expires: wireTime(a.Expires), DeviceID: a.Device, State: ipc.CodeState(a.State)}
}
