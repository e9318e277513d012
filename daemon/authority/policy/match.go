package policy

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Person is a user as the authority knows him.
type Person struct {
	ID     string
	Name   string
	Groups []string
	// Authorities are names and ids of the child authorities that he is in.
	Authorities []string
	Roles       []Role // RoleUser is implied
}

// Device is a device as it names itself. A policy can match it, but its name is
// its own word.
type Device struct {
	ID   string
	Name string
}

// match is whom a rule is for: every list that is there must match, by any of
// its entries.
type match struct {
	everybody         bool
	users             names
	groups            names
	authorities       names
	accounts          names
	devices           names
	roles             []Role
	exceptUsers       names
	exceptGroups      names
	exceptAuthorities names
	exceptRoles       []Role
}

// names are names and patterns, without regard to case. In a pattern * stands
// for any characters.
type names struct {
	exact map[string]bool
	globs []string
	first string // as written, for messages
}

// fold is how names are compared: a rule for Alice is one for alice.
func fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

func newNames(list []string) names {
	if len(list) == 0 {
		return names{}
	}
	n := names{exact: map[string]bool{}, first: list[0]}
	for _, s := range list {
		if s = fold(s); strings.Contains(s, "*") {
			n.globs = append(n.globs, s)
		} else {
			n.exact[s] = true
		}
	}
	return n
}

func (n names) some() bool { return len(n.exact)+len(n.globs) > 0 }

// has says whether one of the names, folded already, is meant.
func (n names) has(folded ...string) bool {
	for _, s := range folded {
		if n.exact[s] {
			return true
		}
		for _, g := range n.globs {
			if glob(g, s) {
				return true
			}
		}
	}
	return false
}

// within says that whatever n means, outer means too. For patterns it may say no
// where yes is right.
func (n names) within(outer names) bool {
	for s := range n.exact {
		if !outer.has(s) {
			return false
		}
	}
	for _, g := range n.globs {
		// A pattern that is matched as if its stars were letters is the narrower one.
		if !outer.has(g) {
			return false
		}
	}
	return true
}

// glob matches with one place to go back to, so its time is bounded by the
// product of the lengths.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// folded is a subject with its names ready to compare.
type folded struct {
	user        []string
	groups      []string
	authorities []string
	account     []string
	device      []string
	roles       []Role
}

func foldAll(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, fold(s))
		}
	}
	return out
}

func newFolded(u Person, account string, d Device) folded {
	return folded{user: foldAll(u.ID, u.Name), groups: foldAll(u.Groups...), authorities: foldAll(u.Authorities...), account: foldAll(account),
		device: foldAll(d.ID, d.Name), roles: append([]Role{RoleUser}, u.Roles...)}
}

func anyRole(list, of []Role) bool {
	return slices.ContainsFunc(list, func(r Role) bool { return slices.Contains(of, r) })
}

// user says whether a rule is for the person, whatever account and device.
func (m match) user(s folded) bool {
	switch {
	case m.exceptUsers.has(s.user...), m.exceptGroups.has(s.groups...), m.exceptAuthorities.has(s.authorities...), anyRole(m.exceptRoles, s.roles):
		return false
	case m.users.some() && !m.users.has(s.user...),
		m.groups.some() && !m.groups.has(s.groups...),
		m.authorities.some() && !m.authorities.has(s.authorities...),
		len(m.roles) > 0 && !anyRole(m.roles, s.roles):
		return false
	}
	return m.everybody || m.users.some() || m.groups.some() || m.authorities.some() || len(m.roles) > 0 || m.accounts.some() || m.devices.some()
}

func (m match) all(s folded) bool {
	return m.user(s) && (!m.accounts.some() || m.accounts.has(s.account...)) && (!m.devices.some() || m.devices.has(s.device...))
}

// covers says that m matches whatever o matches. It may say no where yes is
// right, never the other way round.
func (m match) covers(o match) bool {
	for _, l := range []struct{ outer, inner names }{
		{m.users, o.users}, {m.groups, o.groups}, {m.authorities, o.authorities}, {m.accounts, o.accounts}, {m.devices, o.devices},
	} {
		if l.outer.some() && (!l.inner.some() || !l.inner.within(l.outer)) {
			return false
		}
	}
	if len(m.roles) > 0 && !slices.Contains(m.roles, RoleUser) && (len(o.roles) == 0 || !subset(o.roles, m.roles)) {
		return false
	}
	return m.exceptUsers.within(o.exceptUsers) && m.exceptGroups.within(o.exceptGroups) && m.exceptAuthorities.within(o.exceptAuthorities) && subset(m.exceptRoles, o.exceptRoles)
}

func subset(inner, outer []Role) bool {
	return !slices.ContainsFunc(inner, func(r Role) bool { return !slices.Contains(outer, r) })
}

// never says that the rule's own words leave nobody.
func (m match) never() bool {
	return m.users.some() && m.users.within(m.exceptUsers) ||
		m.groups.some() && m.groups.within(m.exceptGroups) ||
		m.authorities.some() && m.authorities.within(m.exceptAuthorities) ||
		len(m.roles) > 0 && subset(m.roles, m.exceptRoles) ||
		slices.Contains(m.exceptRoles, RoleUser) ||
		slices.Contains(m.exceptUsers.globs, "*")
}
