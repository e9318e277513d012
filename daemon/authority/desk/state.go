package desk

import (
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

// State is what Status tells a caller of the authority; nil where there is none,
// or it is none of his business.
func (d *Desk) State(p ipc.Principal) *ipc.AuthorityState {
	if s, is := d.lockedState(p); is {
		return s
	}
	c, err := d.recognise(p, d.cfg.Login(p.UID))
	if err != nil {
		e := *failed(err)
		e.Err = nil
		return &ipc.AuthorityState{Roles: []ipc.Role{ipc.RoleOwner}, Local: true, Problem: &e}
	}
	if c == nil {
		return nil
	}
	s := &ipc.AuthorityState{User: c.user.Name, Roles: wireRoles(c.roles()), Child: c.child(), Local: true}
	profile, err := c.authority.Profile()
	if err != nil {
		e := *failed(err)
		e.Err, s.Problem = nil, &e
		return s
	}
	s.ID, s.Name = profile.ID, profile.Name
	if c.rank() >= rankAdmin {
		s.Warnings = c.marks.warnings()
	}
	return s
}

// lockedState is State where the authority is locked.
func (d *Desk) lockedState(p ipc.Principal) (_ *ipc.AuthorityState, is bool) {
	switch set, err := d.lockedFor(p); {
	case err != nil:
		return nil, true
	case set == nil:
		return nil, false
	}
	return &ipc.AuthorityState{Roles: []ipc.Role{}, Local: true, Locked: true, Problem: errLocked()}, true
}

// fixAudit says what is wrong with the audit log. Nothing makes it whole again.
const fixAudit = "tokenctl admin audit verify"

// warnings are about what is not as it should be.
func (d *Desk) warnings(c *caller) []ipc.Warning {
	var list []ipc.Warning
	if !c.reachesAll() { // others mend it
		return nil
	}
	if r := d.cfg.Reach(); r.Problem != "" {
		list = append(list, ipc.Warning{Code: "authority-listen", Message: "the authority cannot be reached from other machines: " + r.Problem})
	}
	if d.cfg.MailProblem != "" {
		list = append(list, ipc.Warning{Code: "authority-mail", Message: "the authority cannot send links by e-mail: " + d.cfg.MailProblem})
	}
	if p := c.policy.current(); p.problem != nil {
		list = append(list, ipc.Warning{Code: "authority-policy",
			Message: "the authority has no policy that can be used, and so leaves nobody anything: " + p.problem.Error(), Fix: "tokenctl admin policy set FILE"})
	}
	list = append(list, c.verifierWarnings()...)
	list = append(list, d.keyWarnings(c)...)
	list = append(list, c.marks.warnings()...)
	if found, err := c.chain.log.Look(); err != nil {
		list = append(list, ipc.Warning{Code: "authority-audit", Fix: fixAudit, Message: "the authority's audit log cannot be read"})
	} else if problem := c.chain.problem(found); problem != "" {
		list = append(list, ipc.Warning{Code: "authority-audit", Fix: fixAudit, Message: "the authority's audit log is not as it should be: " + problem})
	}
	return list
}

// keyWarnings are about how the authority opens.
func (d *Desk) keyWarnings(c *caller) (list []ipc.Warning) {
	d.mu.Lock()
	set := c.slots
	d.mu.Unlock()
	if set == nil || c.rank() < rankAdmin {
		return nil
	}
	for _, s := range set.Slots {
		if s.KeyFile != nil {
			list = append(list, ipc.Warning{Code: "software-token", Message: fmt.Sprintf("key %s of the authority is a software token, not hardware", s.ID),
				Fix: "tokenctl admin authority key add && tokenctl admin authority key remove " + s.ID})
		}
	}
	if len(set.Slots) == 1 && !d.unattended(c.office) {
		list = append(list, ipc.Warning{Code: "single-token", Message: "one token is the only way to open the authority", Fix: "tokenctl admin authority key add"})
	}
	return list
}

// Findings are what the doctor tells of the authority to those who can mend it.
func (d *Desk) Findings(p ipc.Principal) []ipc.Finding {
	if s, is := d.lockedState(p); is {
		if s == nil {
			return nil
		}
		return []ipc.Finding{{Code: "authority-locked", Level: "error", Message: "the authority is locked, and answers nobody", Fix: "tokenctl admin authority unlock"}}
	}
	c, err := d.recognise(p, d.cfg.Login(p.UID))
	if err != nil {
		e := failed(err)
		message := "the authority cannot be used: " + e.Message
		if e.Err != nil {
			message += " (" + e.Err.Error() + ")"
		}
		return []ipc.Finding{{Code: "authority", Level: "error", Message: message}}
	}
	if c == nil || c.rank() < rankAdmin || !c.reachesAll() {
		return nil
	}
	var list []ipc.Finding
	for _, w := range d.warnings(c) {
		level := "error"
		if w.Code == "software-token" || w.Code == "single-token" { // it works, as long as that is there
			level = "warning"
		}
		list = append(list, ipc.Finding{Code: w.Code, Level: level, Message: w.Message, Fix: w.Fix})
	}
	if len(list) == 0 {
		list = append(list, ipc.Finding{Code: "authority", Level: "ok", Message: "the authority's registry, policy and audit log can be used"})
	}
	return list
}

// Standing is whether an authority answers.
type Standing int

// The standings of an authority.
const (
	Absent Standing = iota // there is none
	Serves
	Fails // it is locked, or cannot be used
)

// Stands says whether the authority answers, for who watches it.
func (d *Desk) Stands() Standing {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.office != nil:
		return Serves
	case d.locked != nil, d.problem != nil:
		return Fails
	}
	return Absent
}
