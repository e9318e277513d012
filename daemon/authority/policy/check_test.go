package policy

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
)

func check(t *testing.T, text string, all Population) []string {
	t.Helper()
	findings, err := Check(mustParse(t, text), all)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range findings {
		if f.Remedy == "" {
			t.Errorf("no remedy: %s", f)
		}
		out = append(out, f.String())
	}
	return out
}

func member(id string, factors map[Factor]Holding, roles ...Role) Member {
	return Member{Person: Person{ID: id, Name: id, Roles: roles}, Accounts: []string{"vpn"}, Has: factors, Devices: 1}
}

func TestCheckWaysBack(t *testing.T) {
	others := strings.Replace(base, `"bypass_code"]`, `"bypass_code", "other_device"]`, 1)
	admin, owner := member("adam", has(Fob), RoleAdmin), member("olga", has(Fob), RoleOwner)
	two := member("ann", nil)
	two.Devices = 2
	for _, c := range []struct {
		name, text string
		all        people
		want       []string
	}{
		{"all well", base, people{member("ann", has(Fob)), admin}, nil},
		{"helped", base, people{member("ann", nil), admin},
			[]string{"line 6: note: reactivation: ann (account vpn) could come back only with another person's help: fob: none assigned, bypass_code: none assigned"}},
		{"nobody to help", base, people{member("ann", nil)},
			[]string{"line 6: warning: reactivation: ann (account vpn) would have no way back, and no other user could help: fob: none assigned, bypass_code: none assigned"}},
		{"one admin, who cannot help himself", base, people{member("adam", nil, RoleAdmin)}, []string{"adam (account vpn) would have no way back"}},
		{"an admin and an owner", base, people{member("adam", nil, RoleAdmin), owner}, []string{"adam (account vpn) could come back only with"}},
		{"an owner, one other, no second approver", base, people{member("oskar", nil, RoleOwner), owner}, []string{"oskar (account vpn) would have no way back"}},
		{"an owner and two others", base, people{member("oskar", nil, RoleOwner), owner, member("otto", has(Fob), RoleOwner)}, []string{"oskar (account vpn) could come back"}},
		{"the only device is the lost one", others, people{member("ann", nil)}, []string{"ann (account vpn) would have no way back"}},
		{"a second device", others, people{two}, nil},
		{"a lost fob", base, people{member("ann", map[Factor]Holding{Fob: {Broken: 1}})}, []string{"fob: none working"}},
		{"only what is denied", with(noCalls), people{member("ann", has(SMS))}, []string{"ann (account vpn) would have no way back"}},
		{"restore forbidden", strings.Replace(base, `"allowed"`, "\"forbidden\"\nforbidden_by = \"Eve\"", 1), people{member("ann", has(Fob)), admin},
			[]string{"ann (account vpn) could come back only with another person's help: reactivation of a restored account is forbidden by [reactivation] (line 6)", "adam"}},
		{"a rule for nobody there", with("[[rule]]\nname='a'\nusers=['zoe']\ndeny=['fob']\n"), people{member("ann", has(Fob))}, []string{"line 15: note: a: matches none of the users"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check(t, c.text, c.all)
			if len(got) != len(c.want) {
				t.Fatalf("%q", got)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("%s\nwant %s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestCheckCounts(t *testing.T) {
	var all people
	for i := range 3 * maxNamed {
		all = append(all, member(fmt.Sprint("u", i), nil))
	}
	got := check(t, base, all)
	if len(got) != maxNamed+1 || !strings.Contains(got[maxNamed], "100 more users would have no way back") {
		t.Fatalf("%d: %s", len(got), got[len(got)-1])
	}
}

func TestCheckVerifiers(t *testing.T) {
	text, err := Preset("fob-only", Contact{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := check(t, text, nil); len(got) != 0 {
		t.Fatalf("%q", got)
	}
	for verifier, want := range map[string]string{"radius": "says accept and not by which factor", "duo": "word is all there is"} {
		got := check(t, strings.Replace(text, `"local"`, `"local", "`+verifier+`"`, 1), nil)
		if len(got) != 1 || !strings.Contains(got[0], "warning: verifiers, fob: only fobs are allowed, and that cannot be enforced") || !strings.Contains(got[0], want) {
			t.Errorf("%q", got)
		}
	}
}

type broken struct{}

func (broken) Members() iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) { yield(Member{}, errors.New("the disk is gone")) }
}

func (broken) Ready(Verifier) bool { return true }

func TestCheckFails(t *testing.T) {
	if f, err := Check(mustParse(t, base), broken{}); err == nil || f != nil {
		t.Fatalf("%v %v", f, err)
	}
}

func TestCovers(t *testing.T) {
	m := func(users ...string) match { return match{users: newNames(users)} }
	for _, c := range []struct {
		outer, inner match
		want         bool
	}{
		{match{everybody: true}, m("a"), true},
		{m("a"), match{everybody: true}, false},
		{m("a", "b"), m("A"), true},
		{m("a*"), m("ab*", "a"), true},
		{m("a*c"), m("a*bc"), true},
		{m("a*bc"), m("a*c"), false},
		{match{everybody: true, exceptUsers: newNames([]string{"x"})}, m("a"), false},
		{match{everybody: true, roles: []Role{RoleUser}}, m("a"), true},
		{match{roles: []Role{RoleAdmin}}, match{roles: []Role{RoleAdmin, RoleOwner}}, false},
		{match{everybody: true, accounts: newNames([]string{"v*"})}, match{everybody: true, accounts: newNames([]string{"vpn"})}, true},
	} {
		if got := c.outer.covers(c.inner); got != c.want {
			t.Errorf("%+v covers %+v: %v", c.outer, c.inner, got)
		}
	}
}
