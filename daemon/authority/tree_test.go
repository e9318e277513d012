package authority

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

func (r *rig) child(name, parent string) Child {
	r.Helper()
	c, err := r.AddChild("owner", Child{Name: name, Parent: parent})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// TestTree: what lies beneath what, over a restart.
func TestTree(t *testing.T) {
	r := newRig(t)
	west, east := r.child("West", ""), r.child("east", "example")
	south := r.child("south", "WEST")
	r.reopen()
	tree, err := r.Tree()
	if err != nil {
		t.Fatal(err)
	}
	self, err := r.Profile()
	if err != nil || tree.Root() != self.ID || tree.Name(self.ID) != "Example" || south.Parent != west.ID || south.Depth != 2 || east.Depth != 1 {
		t.Errorf("%+v, %+v, %v", tree, south, err)
	}
	if up := tree.Up(south.ID); !slices.Equal(up, []string{south.ID, west.ID, self.ID}) {
		t.Errorf("%q", up)
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{self.ID, south.ID, true}, {west.ID, south.ID, true}, {south.ID, south.ID, true}, {self.ID, self.ID, true},
		{south.ID, west.ID, false}, {west.ID, self.ID, false}, {west.ID, east.ID, false}, {east.ID, south.ID, false},
		{"", "", false}, {"", self.ID, false}, {self.ID, "", false}, {strings.Repeat("0", 32), strings.Repeat("0", 32), false},
	} {
		if got := tree.Reaches(c.from, c.to); got != c.want || (Tree{}).Reaches(c.from, c.to) {
			t.Errorf("%+v", c)
		}
	}
	for ref, want := range map[string]string{"": self.ID, "EXAMPLE": self.ID, self.ID: self.ID, "west": west.ID, south.ID: south.ID, "nobody": ""} {
		if id, found := tree.Find(ref); id != want || found != (want != "") {
			t.Errorf("%q: %q", ref, id)
		}
	}
	u, err := r.AddUser("owner", User{Name: "sue", Authority: "South"})
	if err != nil || u.Authority != south.ID || !slices.Equal(u.Authorities, []string{south.ID, "south", west.ID, "West"}) {
		t.Errorf("%+v, %v", u, err)
	}
	if u := r.user("bob"); u.Authority != self.ID || u.Authorities != nil {
		t.Errorf("%+v", u)
	}
	for _, ref := range []string{"west", "south"} {
		_, err := r.RemoveChild("owner", ref)
		r.fails(err, Conflict)
	}
	up := "west"
	if u, err = r.EditUser("owner", "sue", UserEdit{Authority: &up}); err != nil || u.Authority != west.ID || r.told.last().Detail != "authority" {
		t.Errorf("%+v, %v, %+v", u, err, r.told.last())
	}
	if _, err := r.RemoveChild("owner", "south"); err != nil || r.told.last().Detail != "authority="+south.ID+" parent="+west.ID {
		t.Errorf("%v, %+v", err, r.told.last())
	}
	_, err = r.RemoveChild("owner", "south")
	r.fails(err, NotFound)
	_, err = r.RemoveChild("owner", "Example")
	r.fails(err, NotFound)
	_, err = r.AddUser("owner", User{Name: "late", Authority: "south"})
	r.fails(err, NotFound)
}

// TestTreeBounds: depth, number and names.
func TestTreeBounds(t *testing.T) {
	r := newRig(t)
	parent := ""
	for n := range MaxDepth {
		c := r.child(fmt.Sprint("level ", n), parent)
		if parent = c.ID; c.Depth != n+1 {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range []struct {
		child Child
		kind  ErrorKind
	}{
		{Child{Name: "one more", Parent: parent}, TooMany}, {Child{}, Invalid}, {Child{Name: strings.Repeat("0", 32)}, Invalid},
		{Child{Name: "LEVEL 3"}, Exists}, {Child{Name: "example"}, Exists}, {Child{Name: "x", Parent: "nowhere"}, NotFound},
		{Child{Name: "x", Display: strings.Repeat("x", 257)}, Invalid},
	} {
		_, err := r.AddChild("owner", c.child)
		r.fails(err, c.kind)
		if e := r.told.last(); e.OK || e.Kind != "authority-child-create" {
			t.Errorf("%+v", e)
		}
	}
	self, err := r.Profile()
	if err != nil {
		t.Fatal(err)
	}
	self.Name = "Level 5"
	_, err = r.SetProfile("owner", self)
	r.fails(err, Exists)
	for n := MaxDepth; n < MaxChildren; n++ {
		r.child(fmt.Sprint("child ", n), "")
	}
	_, err = r.AddChild("owner", Child{Name: "too many"})
	r.fails(err, TooMany)
}

// TestUsersOfOlderRegistries: a user of a registry from before there were child
// authorities is the root one's, and what is missing above somebody is damage, and
// reaches nobody.
func TestUsersOfOlderRegistries(t *testing.T) {
	r := newRig(t)
	bob, west := r.user("bob"), r.child("west", "")
	set := func(authority string) {
		t.Helper()
		id, _ := parseID(bob.ID)
		if err := r.store.Update(func(tx *store.Tx) error {
			var u userRecord
			if _, err := tx.Get(usersBucket, id[:], &u); err != nil {
				return err
			}
			u.Authority = authority
			return tx.Put(usersBucket, id[:], u)
		}); err != nil {
			t.Fatal(err)
		}
	}
	set("")
	tree, err := r.Tree()
	if err != nil {
		t.Fatal(err)
	}
	if _, home, err := r.Home("bob"); err != nil || home != tree.Root() {
		t.Errorf("%q, %v", home, err)
	}
	set(strings.Repeat("0", 32))
	if _, err := r.User("bob"); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("%v", err)
	}
	set(west.ID)
	if u, err := r.User("bob"); err != nil || u.Authority != west.ID {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestOwnersOfChildrenAreNotTheLast: the last owner of all is one of the root
// authority.
func TestOwnersOfChildrenAreNotTheLast(t *testing.T) {
	r := newRig(t)
	r.child("west", "")
	for name, home := range map[string]string{"olga": "", "wanda": "west"} {
		if _, err := r.AddUser("owner", User{Name: name, Roles: []Role{RoleOwner}, Authority: home}); err != nil {
			t.Fatal(err)
		}
	}
	west, yes := "west", true
	for _, e := range []UserEdit{{Authority: &west}, {Disabled: &yes}, {Roles: &[]Role{RoleUser}}} {
		_, err := r.EditUser("owner", "olga", e)
		r.fails(err, Conflict)
	}
	r.fails(r.RemoveUser("owner", "olga"), Conflict)
	if err := r.RemoveUser("owner", "wanda"); err != nil {
		t.Error(err)
	}
}
