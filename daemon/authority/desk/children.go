package desk

import (
	"context"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls what is refused here; done, it has the registry's words.
const (
	actChildAdd = "authority-child-create"
	actChildOff = "authority-child-remove"
)

// ChildAuthorities implements [ipc.ChildAuthorities].
func (d *Desk) ChildAuthorities(ctx context.Context, p ipc.Principal) (ipc.ChildAuthorityList, error) {
	c, err := d.require(ctx, p, actLook, ofReach, helpers()...)
	if err != nil {
		return ipc.ChildAuthorityList{}, err
	}
	out := ipc.ChildAuthorityList{Version: ipc.Version, Authorities: []ipc.ChildAuthority{}}
	for _, x := range c.tree.Children() {
		if c.reaches(x.ID) {
			out.Authorities = append(out.Authorities, wireChild(c.tree, x))
		}
	}
	return out, nil
}

// AddChildAuthority implements [ipc.ChildAuthorities].
func (d *Desk) AddChildAuthority(ctx context.Context, p ipc.Principal, r ipc.NewChildAuthority) (ipc.ChildAuthority, error) {
	c, err := d.require(ctx, p, actChildAdd, ofAuthority(r.Parent), admins()...)
	if err != nil {
		return ipc.ChildAuthority{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	x, err := c.authority.AddChild(c.by, authority.Child{Name: r.Name, Display: r.Display, Parent: c.orOwn(r.Parent)})
	return d.child(c, x, err)
}

// RemoveChildAuthority implements [ipc.ChildAuthorities].
func (d *Desk) RemoveChildAuthority(ctx context.Context, p ipc.Principal, r ipc.ChildAuthorityRef) (ipc.ChildAuthority, error) {
	c, err := d.require(ctx, p, actChildOff, ofParent(r.Authority), admins()...)
	if err != nil {
		return ipc.ChildAuthority{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	x, err := c.authority.RemoveChild(c.by, r.Authority)
	return d.child(c, x, err)
}

// child is an authority, or what went wrong, as it is answered.
func (d *Desk) child(c *caller, x authority.Child, err error) (ipc.ChildAuthority, error) {
	if err != nil {
		return ipc.ChildAuthority{}, d.failed(err)
	}
	return wireChild(c.tree, x), nil
}

func wireChild(t authority.Tree, x authority.Child) ipc.ChildAuthority {
	return ipc.ChildAuthority{ID: x.ID, Name: x.Name, Display: x.Display, ParentID: x.Parent, Parent: t.Name(x.Parent), Depth: x.Depth, Created: wireTime(x.Created)}
}
