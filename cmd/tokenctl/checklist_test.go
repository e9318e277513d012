package main

import (
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

func TestNamesIn(t *testing.T) {
	for line, want := range map[string]checkItem{
		"GitHub":                 {Issuer: "GitHub"},
		"GitHub: anna":           {Issuer: "GitHub", Name: "anna"},
		"GitHub\tanna":           {Issuer: "GitHub", Name: "anna"},
		" - [ ]  My Bank:7 ":     {Issuer: "My Bank", Name: "7"},
		"anna@example.org":       {Name: "anna@example.org"},
		"* A:b:c":                {Issuer: "A", Name: "b:c"},
		"\x1b[2Jx\u202ey":        {Issuer: "[2Jxy"},
		"Cafe\u0301":             {Issuer: "Caf\u00e9"},
		":only a name":           {Name: "only a name"},
		strings.Repeat("ä", 200): {Issuer: strings.Repeat("ä", 128)},
	} {
		if got, ok := nameIn(line); !ok || got != want {
			t.Errorf("%q is %+v", line, got)
		}
	}
	for _, bad := range []string{"", "# nothing", "- \n[ ]", "{}", `{"accounts":[]}`, "[1]: \xff", "otpauth://totp/x?secret=AAAA"} {
		if items, err := namesIn([]byte(bad)); err == nil {
			t.Errorf("%q has %+v", bad, items)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("a secret in %v", err)
		}
	}
}

// TestTickOff: an account ticks one item, by its whole name before its service,
// and an item is open again when its account is gone.
func TestTickOff(t *testing.T) {
	now := ipc.Time{}.AddDate(2026, 0, 0)
	l := &checklist{}
	for _, s := range []string{"GitLab", "GitLab: anna", "Mail", "bo@example.org", "Managed"} {
		i, _ := nameIn(s)
		if l.add(i, now) != 1 || l.add(i, now) != 0 {
			t.Errorf("%s is not added once", s)
		}
	}
	check := func(want string, accounts ...ipc.Account) {
		t.Helper()
		l.tickOff(accounts, now)
		var done []string
		for _, i := range l.items() {
			if !i.Done.IsZero() {
				done = append(done, i.label())
			}
		}
		if got := strings.Join(done, ", "); got != want {
			t.Errorf("done: %q, not %q", got, want)
		}
	}
	anna := ipc.Account{ID: "1", Issuer: "gitlab", Name: "Anna"}
	check("GitLab: anna", anna)
	check("GitLab, GitLab: anna", anna, ipc.Account{ID: "2", Issuer: "GitLab", Name: "work"})
	check("Mail", ipc.Account{ID: "3", Name: "mail"})
	check("bo@example.org", ipc.Account{ID: "4", Issuer: "Any", Name: "bo@example.org"})
	check("", ipc.Account{ID: "5", Issuer: "Managed", Name: "x", Inactive: true})
	if err := l.change("mail", func(i *checkItem) { i.Done, i.By = now, byPerson }); err != nil {
		t.Fatal(err)
	}
	check("Mail")
	if err := l.change("gitlab", func(*checkItem) {}); ipc.KindOf(err) != ipc.Ambiguous {
		t.Errorf("%v", err)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"GitHub: anna\nMail\n", "- [x] a\tb\r\n# c\n", `{"version":1,"accounts":[{"issuer":"a","name":"b"}]}`, "\xef\xbb\xbfx", "a\u202eb:c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		items, err := namesIn(data)
		if err == nil && len(items) == 0 {
			t.Fatal("neither names nor an error")
		}
		for _, i := range items {
			if i.label() == "" || needsCleaning(i.label()) || len(i.Issuer) > longestListed || len(i.Name) > longestListed {
				t.Fatalf("%q", i.label())
			}
		}
	})
}
