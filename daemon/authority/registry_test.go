package authority

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

func TestProfile(t *testing.T) {
	r := newRig(t)
	p, err := r.Profile()
	if err != nil || p.Name != "Example" || p.Contact != "help@example.org" || len(p.ID) != 32 || !p.Created.Equal(r.clock.Now().Truncate(1e9)) {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := Create("owner", r.o, p); !errors.Is(err, store.ErrExists) {
		t.Error(err)
	}
	if _, err := Open(r.o); !errors.Is(err, store.ErrInUse) {
		t.Error(err)
	}
	changed, err := r.SetProfile("owner", Profile{Name: "New", ID: "mine"})
	if err != nil || changed.ID != p.ID {
		t.Error(changed, err)
	}
	r.reopen()
	if got, err := r.Profile(); err != nil || got != changed {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = r.SetProfile("owner", Profile{Name: "a\nb"})
	r.fails(err, Invalid)
	_, err = r.SetProfile("owner", Profile{})
	r.fails(err, Invalid)
	if r.KeySource() != "key-file" {
		t.Error(r.KeySource())
	}
}

func TestUsers(t *testing.T) {
	r := newRig(t)
	alice, err := r.AddUser("owner", User{Name: "Alice", Display: "Alice A.", Email: "a@example.org", Logins: []string{"alice", "root"}, Roles: []Role{RoleOwner}})
	if err != nil || !slices.Equal(alice.Roles, []Role{RoleOwner, RoleUser}) {
		t.Fatalf("%+v, %v", alice, err)
	}
	p, _ := r.Profile()
	if alice.Authority != p.ID {
		t.Error("she belongs to no authority")
	}
	for _, ref := range []string{"alice", "ALICE", alice.ID, strings.ToUpper(alice.ID)} {
		if u, err := r.User(ref); err != nil || !reflect.DeepEqual(u, alice) {
			t.Errorf("%s: %+v, %v", ref, u, err)
		}
	}
	if u, err := r.UserByLogin("root"); err != nil || u.ID != alice.ID {
		t.Error(u, err)
	}
	_, err = r.UserByLogin("Root")
	r.fails(err, NotFound)
	for _, bad := range []User{
		{}, {Name: "a\x00"}, {Name: strings.Repeat("x", 257)}, {Name: alice.ID}, {Name: "b", Display: "\u202e"}, {Name: "b", Logins: []string{""}},
		{Name: "b", Logins: []string{"x", "x"}}, {Name: "b", Roles: []Role{"root"}}, {Name: " b"},
	} {
		_, err = r.AddUser("owner", bad)
		r.fails(err, Invalid)
	}
	_, err = r.AddUser("owner", User{Name: "aLICE"})
	r.fails(err, Exists)
	_, err = r.AddUser("owner", User{Name: "bob", Logins: []string{"root"}})
	r.fails(err, Exists)
	if _, err = r.User("bob"); kind(err) != NotFound {
		t.Error("half of a user is stored:", err)
	}
	r.user("bob")
	name, logins := "Robert", []string{"bob"}
	bob, err := r.EditUser("owner", "bob", UserEdit{Name: &name, Logins: &logins})
	if err != nil || bob.Name != name {
		t.Fatal(bob, err)
	}
	_, err = r.User("bob")
	r.fails(err, NotFound)
	r.user("bob") // the name is free
	_, err = r.EditUser("owner", "bob", UserEdit{Name: &name})
	r.fails(err, Exists)
	// The last active owner stays.
	none, yes := []Role{}, true
	_, err = r.EditUser("owner", "alice", UserEdit{Roles: &none})
	r.fails(err, Conflict)
	_, err = r.EditUser("owner", "alice", UserEdit{Disabled: &yes})
	r.fails(err, Conflict)
	r.fails(r.RemoveUser("owner", "alice"), Conflict)
	owner := []Role{RoleOwner}
	if _, err = r.EditUser("owner", "robert", UserEdit{Roles: &owner}); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveUser("owner", "alice"); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"alice", alice.ID} {
		_, err = r.User(ref)
		r.fails(err, NotFound)
	}
	_, err = r.UserByLogin("root")
	r.fails(err, NotFound)
	r.reopen()
	if page, err := r.Users(UserQuery{}); err != nil || len(page.Users) != 2 || page.Users[0].Name != "bob" || page.Next != "" {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err := r.Users(UserQuery{Role: RoleOwner}); err != nil || len(page.Users) != 1 || page.Users[0].Name != "Robert" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestImport(t *testing.T) {
	r := newRig(t)
	h, y := seedOf("H-1", fob.HOTP), seedOf("Y-1", fob.Yubico)
	with := func(s Seed, change func(*Seed)) Seed { change(&s); return s }
	page := []Seed{
		h, seedOf("T-1", fob.TOTP), y, h,
		with(h, func(s *Seed) { s.Serial = "h-1"; s.Counter = 99 }),
		with(h, func(s *Seed) { s.Secret = []byte("another secret of it") }),
		with(h, func(s *Seed) { s.Digits = 8 }),
		with(h, func(s *Seed) { s.Type = fob.TOTP }),
		with(h, func(s *Seed) { s.Serial, s.Digits = "H-2", 9 }),
		with(h, func(s *Seed) { s.Serial, s.Secret = "H-3", []byte("short") }),
		with(h, func(s *Seed) { s.Serial = "" }),
		with(seedOf("T-2", fob.TOTP), func(s *Seed) { s.Counter = 1 }),
		with(y, func(s *Seed) { s.Serial = "Y-2" }),
		with(y, func(s *Seed) { s.PrivateID = []byte{1, 2, 3, 4, 5, 6} }),
		with(h, func(s *Seed) { s.Serial = strings.Repeat("ab", 16) }),
		with(h, func(s *Seed) { s.Serial, s.Maker = "H-4", "a\nb" }),
	}
	rows, err := r.ImportFobs("owner", page)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(`added: added: added: same: same: conflict:secret conflict:digits conflict:type refused:digits refused:secret refused:serial
		refused:counter conflict:public-id conflict:private-id refused:serial refused:maker`)
	for i, row := range rows {
		if got := string(row.Outcome) + ":" + row.Field; got != want[i] || (row.Field != "") != (row.Problem != "") || row.Serial != page[i].Serial {
			t.Errorf("row %d: %+v, not %s", i, row, want[i])
		}
		if strings.Contains(row.Problem, "secret of") {
			t.Errorf("row %d: the secret is in %q", i, row.Problem)
		}
	}
	if e := r.told.last(); e.Detail != "added=3 same=2 conflict=5 refused=6" || !e.OK {
		t.Errorf("%+v", e)
	}
	f, err := r.Fob("h-1")
	if err != nil || f.Counter != 0 || f.State != fob.Unassigned || f.Algorithm != otp.SHA1 || f.Digits != 6 || f.Period != 0 || f.Maker != "Example Fobs" {
		t.Errorf("%+v, %v", f, err)
	}
	if f, _ := r.Fob("T-1"); f.Period != 30 {
		t.Errorf("%+v", f)
	}
	if f, _ := r.Fob("Y-1"); f.Digits != 0 || len(f.PublicID) != 12 {
		t.Errorf("%+v", f)
	}
	_, err = r.ImportFobs("owner", make([]Seed, MaxPage+1))
	r.fails(err, TooMany)
	if string(page[0].Secret) != string(seedOf("H-1", fob.HOTP).Secret) {
		t.Error("the caller's secret was touched")
	}
}

func TestAssign(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "F1", "F2", "F3", "F4")
	r.user("alice", "F1")
	bob := r.user("bob", "F1")
	is := func(serial string, state fob.State, users ...string) {
		t.Helper()
		f, err := r.Fob(serial)
		var names []string
		for _, u := range f.Users {
			names = append(names, u.Name)
		}
		if err != nil || f.State != state || !slices.Equal(names, users) {
			t.Errorf("%s: %s, %v, %v", serial, f.State, names, err)
		}
		for _, n := range users {
			if u, _ := r.User(n); !slices.ContainsFunc(u.Fobs, func(uf UserFob) bool { return uf.Serial == f.Serial && uf.State == state }) {
				t.Errorf("%s has %+v", n, u.Fobs)
			}
		}
	}
	is("F1", fob.Active, "alice", "bob")
	_, err := r.AssignFob("owner", "F1", "alice")
	r.fails(err, Exists)
	_, err = r.AssignFob("owner", "F9", "alice")
	r.fails(err, NotFound)
	_, err = r.AssignFob("owner", "F2", "carol")
	r.fails(err, NotFound)
	_, err = r.UnassignFob("owner", "F2", "alice")
	r.fails(err, NotFound)
	must := func(f Fob, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.UnassignFob("owner", "F1", "alice"))
	is("F1", fob.Active, "bob")
	must(r.DisableFob("owner", "F1"))
	is("F1", fob.Disabled, "bob")
	must(r.UnassignFob("owner", "F1", ""))
	is("F1", fob.Disabled)
	must(r.EnableFob("owner", "F1"))
	is("F1", fob.Unassigned)
	must(r.AssignFob("owner", "F1", bob.ID))
	must(r.LoseFob("owner", "F1"))
	is("F1", fob.Lost, "bob")
	_, err = r.DisableFob("owner", "F1")
	r.fails(err, Conflict)
	_, err = r.AssignFob("owner", "F1", "alice")
	r.fails(err, Conflict)
	must(r.AssignFob("owner", "F2", "alice"))
	if _, err = r.ReplaceFob("owner", "F1", "F2"); err == nil || !strings.Contains(err.Error(), "and a fob of") {
		t.Errorf("whose it is: %v", err)
	}
	r.fails(err, Conflict)
	_, err = r.ReplaceFob("owner", "F1", "F1")
	r.fails(err, Conflict)
	_, err = r.ReplaceFob("owner", "F4", "F3")
	r.fails(err, Conflict)
	must(r.ReplaceFob("owner", "F1", "F3"))
	is("F1", fob.Lost)
	is("F3", fob.Active, "bob")
	must(r.ReplaceFob("owner", "F2", "F4"))
	is("F2", fob.Disabled)
	is("F4", fob.Active, "alice")
	must(r.EnableFob("owner", "F1"))
	is("F1", fob.Unassigned)
	if err := r.RemoveUser("owner", "bob"); err != nil {
		t.Fatal(err)
	}
	is("F3", fob.Unassigned)
	var many []string
	for i := range MaxFobs + 1 {
		many = append(many, fmt.Sprint("M", i))
	}
	r.fobs(fob.HOTP, many...)
	r.user("dave", many[:MaxFobs]...)
	_, err = r.AssignFob("owner", many[MaxFobs], "dave")
	r.fails(err, TooMany)
}

func TestListFobs(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		var page []Seed
		for j := range 700 {
			s := seedOf(fmt.Sprintf("A%d-%04d", i, j), fob.HOTP)
			s.Maker = []string{"Acme", "Feitian"}[j%2]
			page = append(page, s)
		}
		if _, err := r.ImportFobs("owner", page); err != nil {
			t.Fatal(err)
		}
	}
	r.user("alice", "A1-0005", "A0-0001")
	if _, err := r.LoseFob("owner", "A1-0005"); err != nil {
		t.Fatal(err)
	}
	list := func(q FobQuery) (serials []string) {
		t.Helper()
		for pages := 0; ; pages++ {
			p, err := r.Fobs(q)
			if err != nil || pages > 200 {
				t.Fatal(err, pages)
			}
			for _, f := range p.Fobs {
				serials = append(serials, f.Serial)
			}
			if q.After = p.Next; q.After == "" {
				return serials
			}
		}
	}
	for _, v := range []struct {
		q     FobQuery
		want  int
		first string
	}{
		{FobQuery{}, 2100, "A0-0000"}, {FobQuery{Limit: 100}, 2100, "A0-0000"}, {FobQuery{Prefix: "a1-"}, 700, "A1-0000"},
		{FobQuery{Prefix: "A1-0005"}, 1, "A1-0005"}, {FobQuery{Prefix: "B"}, 0, ""}, {FobQuery{Maker: "acme", Limit: 7}, 1050, "A0-0000"},
		{FobQuery{User: "alice"}, 2, "A0-0001"}, {FobQuery{User: "alice", Prefix: "A1"}, 1, "A1-0005"}, {FobQuery{State: fob.Lost}, 1, "A1-0005"},
		{FobQuery{State: fob.Active}, 1, "A0-0001"}, {FobQuery{State: fob.Unassigned, Maker: "Feitian", Prefix: "A2", Limit: 349}, 350, "A2-0001"},
	} {
		got := list(v.q)
		if len(got) != v.want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != v.want || v.want > 0 && got[0] != v.first {
			t.Errorf("%+v: %d, from %.1v", v.q, len(got), got)
		}
	}
	r.fobs(fob.HOTP, "A9")
	if got := list(FobQuery{Prefix: "A9"}); len(got) != 1 {
		t.Error("a new fob is not found:", got)
	}
	_, err := r.Fobs(FobQuery{User: "nobody"})
	r.fails(err, NotFound)
}

// TestFileSaysNothing: what is stored is searched for what must not be seen, and
// so is the audit.
func TestFileSaysNothing(t *testing.T) {
	r := newRig(t)
	r.fobs(fob.HOTP, "SERIAL-0001")
	r.fobs(fob.Yubico, "SERIAL-0002")
	if _, err := r.AddUser("owner", User{Name: "alice.smith", Display: "Alice Smith", Email: "alice@example.org", Logins: []string{"asmith"}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"SERIAL-0001", "SERIAL-0002"} {
		if _, err := r.AssignFob("owner", s, "alice.smith"); err != nil {
			t.Fatal(err)
		}
	}
	passcode := code("SERIAL-0001", 3)
	r.accepted("alice.smith", passcode)
	r.refused("alice.smith", "000000", ReasonWrong)
	r.refused("mallory.jones", "000000", ReasonUnknownUser)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(r.o.Dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	audit := fmt.Sprintf("%+v", r.told.entries)
	y := seedOf("SERIAL-0002", fob.Yubico)
	for _, s := range []string{"SERIAL", "serial-0", "alice", "Smith", "asmith", "mallory", "secret of", string(y.PublicID), string(y.PrivateID), passcode, "000000", "Example Fobs"} {
		if bytes.Contains(raw, []byte(s)) {
			t.Errorf("the file holds %q", s)
		}
		if strings.Contains(audit, s) {
			t.Errorf("the audit holds %q", s)
		}
	}
}

func TestWrongKeySource(t *testing.T) {
	r := newRig(t)
	_ = r.Close()
	other := store.KeyFile(filepath.Join(t.TempDir(), "other"))
	if err := other.Create(); err != nil {
		t.Fatal(err)
	}
	r.o.Key = other
	if _, err := Open(r.o); !errors.Is(err, store.ErrWrongKey) {
		t.Error(err)
	}
}
