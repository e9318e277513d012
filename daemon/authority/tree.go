package authority

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Bounds of the authorities that have parents.
const (
	// MaxDepth is how many authorities may lie one beneath the other, without the root
	// one.
	MaxDepth = 8
	// MaxChildren is how many there may be, on all levels together.
	MaxChildren = 256
)

// Child is an authority that has a parent: a part of the registry's users, whose
// roles end there.
type Child struct {
	ID      string
	Parent  string // an id: the root authority's, or another child's
	Name    string // 1 to 256 characters; found in capitals and small letters alike
	Display string // up to 256 characters
	// Depth is 1 where the parent is the root authority.
	Depth   int
	Created time.Time
}

// Tree is the authorities of a registry as they are at one time. Its zero value
// has none.
type Tree struct {
	root, name string
	children   map[string]Child
}

// Root is the id of the authority that the registry was made for.
func (t Tree) Root() string { return t.root }

// Name is the name of an authority; empty where there is none of this id.
func (t Tree) Name(id string) string {
	if id == t.root {
		return t.name
	}
	return t.children[id].Name
}

// Find is the id of an authority, by name or id; empty stands for the root one.
func (t Tree) Find(ref string) (id string, found bool) {
	if ref == "" || ref == t.root || fold(ref) == fold(t.name) {
		return t.root, t.root != ""
	}
	if _, found = t.children[ref]; found {
		return ref, true
	}
	for id, c := range t.children {
		if fold(c.Name) == fold(ref) {
			return id, true
		}
	}
	return "", false
}

// Child is an authority that has a parent.
func (t Tree) Child(id string) (c Child, found bool) {
	c, found = t.children[id]
	return c, found
}

// Children are the authorities that have parents, by name.
func (t Tree) Children() []Child {
	out := make([]Child, 0, len(t.children))
	for _, c := range t.children {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Child) int { return strings.Compare(fold(a.Name), fold(b.Name)) })
	return out
}

// Up is an authority and those above it, the root one last; nil where there is none
// of this id, or something above it is missing.
func (t Tree) Up(id string) []string {
	var out []string
	for len(out) <= MaxDepth {
		switch c, found := t.children[id]; {
		case id == "":
			return nil
		case id == t.root:
			return append(out, id)
		case !found:
			return nil
		default:
			out, id = append(out, id), c.Parent
		}
	}
	return nil
}

// Reaches says whether an authority is another one or lies above it. What there is
// not reaches nothing, and nothing reaches it.
func (t Tree) Reaches(from, to string) bool { return slices.Contains(t.Up(to), from) }

type childRecord struct {
	Parent  string    `cbor:"1,keyasint"`
	Name    string    `cbor:"2,keyasint"`
	Display string    `cbor:"3,keyasint,omitempty"`
	Created time.Time `cbor:"4,keyasint"`
}

// Tree are the authorities of the registry.
func (a *Authority) Tree() (Tree, error) {
	return a.trees.get(func() (t Tree, err error) {
		err = a.store.View(func(tx *store.Tx) error {
			t, err = a.tree(tx)
			return err
		})
		return t, err
	})
}

func (a *Authority) tree(tx *store.Tx) (Tree, error) {
	p, err := a.profile(tx)
	if err != nil {
		return Tree{}, err
	}
	t := Tree{root: p.ID, name: p.Name, children: map[string]Child{}}
	err = tx.Each(authoritiesBucket, nil, func(key []byte, decode func(any) error) (bool, error) {
		var r childRecord
		err := decode(&r)
		id := ID(key).String()
		t.children[id] = Child{ID: id, Parent: r.Parent, Name: r.Name, Display: r.Display, Created: r.Created.UTC()}
		return err == nil, err
	})
	for id, c := range t.children {
		c.Depth = len(t.Up(id)) - 1
		t.children[id] = c
	}
	return t, err
}

// AddChild adds an authority beneath another, which is named by name or id, the
// root one if empty. ID, Depth and Created are made. A parent is never changed, so
// that nothing lies beneath itself. It fails with NotFound, Exists, Invalid and
// TooMany.
func (a *Authority) AddChild(by string, c Child) (Child, error) {
	id := newID()
	err := a.store.Update(func(tx *store.Tx) error {
		t, err := a.tree(tx)
		if err != nil {
			return err
		}
		r := childRecord{Name: c.Name, Display: c.Display, Created: a.now().UTC()}
		if err := r.place(t, c.Parent); err != nil {
			return err
		}
		if err := tx.Put(authoritiesBucket, id[:], r); err != nil {
			return err
		}
		t, err = a.tree(tx)
		c = t.children[id.String()]
		return err
	})
	a.trees.changed()
	a.toldChild("authority-child-create", by, c, err)
	return c, err
}

// place checks a new authority, and puts it beneath its parent.
func (r *childRecord) place(t Tree, parent string) error {
	if r.Name == "" {
		return invalid("name", "there is none")
	}
	if _, isID := parseID(r.Name); isID {
		return invalid("name", "it looks like an id")
	}
	for field, text := range map[string]string{"name": r.Name, "display name": r.Display} {
		if err := checkText(field, text); err != nil {
			return err
		}
	}
	if _, taken := t.Find(r.Name); taken {
		return failure(Exists, "name", "there is an authority %q already", r.Name)
	}
	id, found := t.Find(parent)
	up := t.Up(id)
	switch {
	case !found || up == nil:
		return failure(NotFound, "authority", "there is no authority %q", parent)
	case len(up) > MaxDepth:
		return failure(TooMany, "authority", "%d authorities lie one beneath the other, and no more can", MaxDepth)
	case len(t.children) >= MaxChildren:
		return failure(TooMany, "authority", "there are %d child authorities, and no more can be", MaxChildren)
	}
	r.Parent = id
	return nil
}

// RemoveChild removes an authority, by name or id, that has neither users nor
// authorities beneath it. It fails with NotFound and Conflict.
func (a *Authority) RemoveChild(by, ref string) (Child, error) {
	var c Child
	err := a.store.Update(func(tx *store.Tx) error {
		t, err := a.tree(tx)
		if err != nil {
			return err
		}
		id, _ := t.Find(ref)
		var found bool
		if c, found = t.children[id]; !found {
			return failure(NotFound, "authority", "there is no child authority %q", ref)
		}
		for _, other := range t.children {
			if other.Parent == c.ID {
				return failure(Conflict, "authority", "there is another authority beneath %q", c.Name)
			}
		}
		if err := a.vacant(tx, c); err != nil {
			return err
		}
		key, _ := parseID(c.ID)
		return tx.Delete(authoritiesBucket, key[:])
	})
	a.trees.changed()
	a.toldChild("authority-child-remove", by, c, err)
	return c, err
}

// vacant fails with Conflict where an authority has users.
func (a *Authority) vacant(tx *store.Tx, c Child) error {
	return tx.Each(usersBucket, nil, func(_ []byte, decode func(any) error) (bool, error) {
		var r userRecord
		err := decode(&r)
		if err == nil && r.Authority == c.ID {
			err = failure(Conflict, "authority", "the authority %q has users", c.Name)
		}
		return err == nil, err
	})
}

func (a *Authority) toldChild(kind, by string, c Child, err error) {
	detail := Why(err)
	if err == nil {
		detail = "authority=" + c.ID + " parent=" + c.Parent
	}
	a.audit.Audit(Entry{Kind: kind, By: by, OK: err == nil, Detail: detail})
}

// children are the ids and names of a child authority and of those above it, without
// the root one.
func (a *Authority) children(tx *store.Tx, id string) (out []string, err error) {
	for range MaxDepth {
		if id == a.root {
			return out, nil
		}
		key, _ := parseID(id)
		var r childRecord
		found, err := tx.Get(authoritiesBucket, key[:], &r)
		if err == nil && !found {
			err = fmt.Errorf("%w: the record of a user's authority is missing", store.ErrDamaged)
		}
		if err != nil {
			return nil, err
		}
		out, id = append(out, id, r.Name), r.Parent
	}
	return out, nil
}

// settled is the authority that a user is put in, by name or id; empty stands for
// the root one.
func (a *Authority) settled(tx *store.Tx, ref string) (id string, err error) {
	t, err := a.tree(tx)
	if err != nil {
		return "", err
	}
	id, found := t.Find(ref)
	if !found {
		return "", failure(NotFound, "authority", "there is no authority %q", ref)
	}
	return id, nil
}
