package desk

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/ipc"
)

// maxFailures is how many failures of a user are reported.
const maxFailures = 10

// UserReport implements [ipc.Users].
func (d *Desk) UserReport(ctx context.Context, p ipc.Principal, id string) (ipc.UserReport, error) {
	c, err := d.require(ctx, p, actLook, ofUser(id), helpers()...)
	if err != nil {
		return ipc.UserReport{}, err
	}
	out, err := d.report(c, id)
	if err != nil {
		return ipc.UserReport{}, d.failed(err)
	}
	return out, nil
}

func (d *Desk) report(c *caller, ref string) (ipc.UserReport, error) {
	u, err := c.authority.User(ref)
	if err != nil {
		return ipc.UserReport{}, err
	}
	out := ipc.UserReport{Version: ipc.Version, User: wireUser(c.tree, u), MayHelp: c.wouldHelp(u), Fobs: []ipc.Fob{}, SecurityKeys: []ipc.SecurityKey{},
		Activations: []ipc.Activation{}, BypassCodes: []ipc.BypassCode{}, Accounts: []ipc.ReportedAccount{}, Throttled: []ipc.ThrottledService{}}
	for _, f := range u.Fobs {
		full, err := c.authority.Fob(f.ID)
		if err != nil {
			return out, err
		}
		out.Fobs = append(out.Fobs, c.wireFob(full))
	}
	slices.SortFunc(out.Fobs, func(a, b ipc.Fob) int { return compare(a.Serial, b.Serial) })
	if err := c.issued(u.ID, &out); err != nil {
		return out, err
	}
	if err := d.allowances(c, u, &out); err != nil {
		return out, err
	}
	if out.Failures, err = c.chain.failures(u.ID); err != nil {
		return out, err
	}
	out.Throttled, err = c.throttles(u.ID, out.Failures)
	return out, err
}

// issued adds what was issued to the user: of what is used up or revoked the
// devices alone.
func (c *caller) issued(user string, out *ipc.UserReport) error {
	var err error
	if out.Devices, err = c.devices(user); err != nil {
		return err
	}
	keys, err := c.issuer.SecurityKeys(user)
	if err != nil {
		return err
	}
	for _, k := range keys {
		out.SecurityKeys = append(out.SecurityKeys, wireSecurityKey(k))
	}
	activations, err := c.issuer.Activations(user)
	if err != nil {
		return err
	}
	for _, a := range activations {
		if a.State == issue.Open || a.State == issue.Waiting {
			out.Activations = append(out.Activations, wireActivation(a))
		}
	}
	codes, err := c.issuer.BypassCodes(user)
	if err != nil {
		return err
	}
	for _, b := range codes {
		if b.State == issue.Open {
			out.BypassCodes = append(out.BypassCodes, wireBypass(b))
		}
	}
	return nil
}

// allowances adds the accounts, each with what the policy says of it.
func (d *Desk) allowances(c *caller, u authority.User, out *ipc.UserReport) error {
	accounts, err := c.issuer.Accounts(u.ID)
	if err != nil {
		return err
	}
	explain := func(account string) (ipc.PolicyExplanation, error) {
		if c.policy.current().problem != nil { // the rest is told all the same
			return ipc.PolicyExplanation{Version: ipc.Version, User: u.Name, Account: account, Restored: true, Outcome: "no-policy"}, nil
		}
		return c.explain(policy.Subject{User: person(u), Account: account, Restored: true}, u, d.cfg.Now())
	}
	all, err := explain("")
	if err != nil {
		return err
	}
	out.Has = all.Has
	for _, a := range accounts {
		e, err := explain(a.Label)
		if err != nil {
			return err
		}
		held := 0
		for _, x := range a.Devices {
			if x.State == issue.Active {
				held++
			}
		}
		out.Accounts = append(out.Accounts, ipc.ReportedAccount{ID: a.ID, Name: a.Label, State: ipc.DeviceState(a.State), Devices: held, Activated: a.Activated, Policy: e})
	}
	return nil
}

// wouldHelp is mayHelp for who only asks: nothing of it is noted.
func (c *caller) wouldHelp(who authority.User) ipc.ReportedHelp {
	now := c.policy.current()
	switch {
	case c.is(who):
		return ipc.ReportedHelp{Reason: policy.HelpsHimself}
	case !c.above(who):
		return ipc.ReportedHelp{Reason: "your role at the authority does not allow this for a user of such a role"}
	case now.problem != nil:
		return ipc.ReportedHelp{Reason: "the authority has no policy that can be used"}
	case who.Disabled:
		return ipc.ReportedHelp{Reason: "the user is disabled"}
	}
	h := now.policy.MayHelp(c.person(), person(who))
	return ipc.ReportedHelp{Allowed: h.Allowed, SecondApprover: h.SecondApprover, Reason: h.Reason}
}

// throttles are the services of these failures at which single passcodes of the user
// are not looked at.
func (c *caller) throttles(user string, failures []ipc.UserFailure) ([]ipc.ThrottledService, error) {
	var services []string
	for _, f := range failures {
		if f.Service != "" && !slices.Contains(services, f.Service) {
			services = append(services, f.Service)
		}
	}
	slices.Sort(services)
	out := []ipc.ThrottledService{}
	until, err := c.authority.Throttled(user, services)
	for _, s := range services {
		if t, ok := until[s]; ok {
			out = append(out, ipc.ThrottledService{Service: s, Until: wireTime(t)})
		}
	}
	return out, err
}

// tried are the entries that are about what a user, or who took himself for one,
// tried. What helpers were refused is not among them.
func tried() []string {
	return []string{actVerify, actMail, "managed-verify", "fob-resync", "activate", "reactivate-begin", "reactivate-factor", "device-ask", "device-approve", "secret-prove", "security-key-copied"}
}

// failures are a user's last ones, the newest first.
func (c *chain) failures(user string) ([]ipc.UserFailure, error) {
	c.flush()
	found, err := c.log.Find(audit.Query{Actions: tried(), Failed: true, Objects: []audit.Object{{Name: "user", ID: user}}, Last: true, Limit: maxFailures})
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority's audit log: %w", err)
	}
	out := []ipc.UserFailure{}
	for _, e := range slices.Backward(found.Entries) {
		out = append(out, failureOf(e))
	}
	return out, nil
}

// isID says that a word is an id, which is no reason.
func isID(word string) bool {
	_, err := hex.DecodeString(word)
	return err == nil && len(word) == 32
}

// failureOf reads back what entry has written.
func failureOf(e audit.Entry) ipc.UserFailure {
	f := ipc.UserFailure{Time: wireTime(e.Time), Action: e.Action, Times: 1}
	var reason []string
	for _, word := range strings.Fields(e.Detail) {
		name, value, pair := strings.Cut(word, "=")
		switch {
		case !pair && isID(word):
		case !pair:
			reason = append(reason, word)
		case name == "user":
			f.FobID = e.Object
		case name == "service":
			f.Service = value
		case name == "account":
			f.AccountID = value
		case name == "device":
			f.DeviceID = value
		case name == "repeated":
			if n, err := strconv.Atoi(value); err == nil {
				f.Times = n
			}
		}
	}
	f.Reason = strings.Join(reason, " ")
	return f
}
