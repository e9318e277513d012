package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func readRules(t *table) []rule {
	const key = "rule"
	if !t.has(key) {
		return nil
	}
	all, ok := t.values[key].([]map[string]any)
	if !ok {
		t.wrong(key, fmt.Sprintf("is %s, not rules", kind(t.values[key])), "begin each rule with [[rule]] on a line of its own")
		return nil
	}
	if len(all) > MaxRules {
		t.wrong(key, fmt.Sprintf("there are %d rules; %d are the most", len(all), MaxRules), "join rules that say the same of different users")
		return nil
	}
	var out []rule
	lines := map[string]int{}
	for i, values := range all {
		sub := &table{r: t.r, o: t.o, path: fmt.Sprintf("%s[%d]", key, i), values: values, read: map[string]bool{}, entries: t.entries, globs: t.globs}
		sub.rule = fmt.Sprintf("rule %d", i+1)
		r := readRule(sub)
		if r.name != "" {
			if line, twice := lines[fold(r.name)]; twice {
				sub.wrong("name", fmt.Sprintf("there is another rule of this name (line %d)", line), "give each rule a name of its own")
			}
			lines[fold(r.name)] = r.line
		}
		out = append(out, r)
	}
	return out
}

func readRule(t *table) rule {
	const example = "no-calls"
	name := t.text("name", maxName, example)
	switch {
	case name != "" && fold(name) == Base:
		t.wrong("name", fmt.Sprintf("%q is the name of the table", Base), "give the rule another name")
	case name != "":
		t.rule = name
	case !t.has("name"):
		t.wrong("name", "the rule has no name", fmt.Sprintf("write name = %q", example))
	}
	r := rule{settings: readSettings(t)}
	r.name = name
	r.deny = t.factors("deny")
	r.match = readMatch(t)
	if r.restore != "" || r.oldDevice != "" || r.factors != 0 || len(r.allow)+len(r.deny)+len(r.ladder) > 0 {
		t.both(r)
	} else if !t.says() {
		t.wrong("", "the rule says nothing", "write allow, deny, ladder, factors, after_restore or old_device, or remove the rule")
	}
	t.done()
	return r
}

// says that a key is there that would say something, right or wrong.
func (t *table) says() bool {
	return slices.ContainsFunc([]string{"allow", "deny", "ladder", "factors", "after_restore", "old_device"}, t.has)
}

// both reports factors that one rule allows and denies.
func (t *table) both(r rule) {
	for _, f := range r.allow {
		if slices.Contains(r.deny, f) {
			t.wrong("allow", fmt.Sprintf("allows %s, which the same rule denies", f), "decide for one of them")
		}
	}
}

func readMatch(t *table) match {
	m := match{
		everybody: t.flag("everybody"),
		users:     t.names("users", "alice"), groups: t.names("groups", "contractors"), authorities: t.names("authorities", "west"),
		accounts: t.names("accounts", "vpn"), devices: t.names("devices", "kiosk-*"),
		exceptUsers: t.names("except_users", "bob"), exceptGroups: t.names("except_groups", "staff"),
		exceptAuthorities: t.names("except_authorities", "west"),
		roles:             t.roles("roles", Roles()), exceptRoles: t.roles("except_roles", Roles()),
	}
	some := t.has("users") || t.has("groups") || t.has("authorities") || t.has("roles")
	switch {
	case m.everybody && some:
		t.wrong("everybody", "the rule is for everybody and for some", "leave everybody out, or users, groups, authorities and roles")
	case !m.everybody && !some:
		t.wrong("everybody", "the rule does not say whom it is for", "write users, groups, authorities or roles, or everybody = true")
	case !Failed(t.r.all) && m.never():
		t.wrong("", "the rule matches nobody: its exceptions leave none of those it names", "take names out of the exceptions, or remove the rule")
	}
	return m
}

func (t *table) names(key, example string) names {
	list := t.list(key, example)
	for i, s := range list {
		if strings.Contains(s, "*") {
			if *t.globs--; *t.globs == -1 { // said once
				t.element(key, i, fmt.Sprintf("there are more than %d patterns in all rules together", maxGlobs), "name groups, or write patterns that take in more")
			}
		}
		if utf8.RuneCountInString(s) > 2*maxName {
			t.element(key, i, fmt.Sprintf("entry %d has more than %d characters", i+1, 2*maxName), "write a shorter pattern, with * for the rest")
		}
	}
	return newNames(list)
}

func (t *table) roles(key string, allowed []Role) []Role {
	var out []Role
	for i, s := range t.list(key, string(allowed[0])) {
		r := Role(s)
		switch {
		case !slices.Contains(Roles(), r):
			words := make([]string, 0, len(allowed))
			for _, w := range allowed {
				words = append(words, string(w))
			}
			t.element(key, i, fmt.Sprintf("there is no role %q", s), meant(s, words))
		case !slices.Contains(allowed, r):
			t.element(key, i, fmt.Sprintf("the role %s cannot stand here", r), "name one of "+joined(allowed, ", "))
		case slices.Contains(out, r):
			t.element(key, i, fmt.Sprintf("names %s twice", r), "name it once")
		default:
			out = append(out, r)
		}
	}
	return out
}

// helpers are who can help a person of a role at all: one above the other, and
// for an administrator an owner only.
func helpers(of Role) []Role {
	switch of {
	case RoleUser, RoleVerifier, RoleHelpdesk:
		return []Role{RoleHelpdesk, RoleAdmin, RoleOwner}
	case RoleAdmin, RoleOwner:
		return []Role{RoleOwner}
	}
	return nil
}

func readHelp(t *table) help {
	h := help{line: t.line(""), by: map[Role][]Role{}, lines: map[Role]int{}}
	for _, r := range Roles() {
		key := "for_" + string(r)
		allowed := helpers(r)
		if r == RoleHelpdesk {
			allowed = allowed[1:]
		}
		if h.by[r] = t.roles(key, allowed); len(h.by[r]) > 0 {
			h.lines[r] = t.line(key)
		}
	}
	const key = "second_approver_for"
	h.second = t.roles(key, Roles())
	for _, r := range h.second {
		if len(h.by[r]) == 0 && !Failed(t.r.all) {
			t.add(Warning, key, fmt.Sprintf("names %s, whom nobody may help", r), fmt.Sprintf("write for_%s, or leave %s out", r, r))
		}
	}
	t.done()
	return h
}
