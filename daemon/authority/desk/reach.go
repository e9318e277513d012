package desk

import (
	"errors"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// A role is good at the authority of its user and at those beneath it. What is of
// nobody, and of all, is the root authority's: the policy, the verifiers, the key,
// groups, and fobs that nobody has.

// belonging is something that a call is about: whose it is, and of which authority.
type belonging struct{ user, fob, authority string }

// subject is what a call is about. Every call says it where it asks whether the
// caller may (require), so that none is made beyond his reach. It fails with
// authority.NotFound for what there is not: that the call itself then says.
type subject func(c *caller) ([]belonging, error)

// ofAll is what belongs to the whole registry.
func ofAll(c *caller) ([]belonging, error) {
	return []belonging{{authority: c.tree.Root()}}, nil
}

// ofReach is for calls that leave out by themselves what the caller does not reach,
// or tell only what concerns everybody.
func ofReach(*caller) ([]belonging, error) { return nil, nil }

func ofUser(ref string) subject {
	return func(c *caller) ([]belonging, error) {
		id, home, err := c.authority.Home(ref)
		return []belonging{{user: id, authority: home}}, err
	}
}

// ofFob is a fob that is to be changed: it is all its users', or the root
// authority's.
func ofFob(ref string) subject {
	return func(c *caller) ([]belonging, error) {
		f, err := c.authority.Fob(ref)
		if err != nil {
			return nil, err
		}
		var out []belonging
		for _, u := range f.Users {
			out = append(out, belonging{u.ID, f.ID, u.Authority})
		}
		if out == nil {
			out = []belonging{{fob: f.ID, authority: c.tree.Root()}}
		}
		return out, nil
	}
}

// ofFobToSee is a fob that is looked at: one user within reach will do.
func ofFobToSee(ref string) subject {
	return func(c *caller) ([]belonging, error) {
		out, err := ofFob(ref)(c)
		if slices.ContainsFunc(out, func(b belonging) bool { return c.reaches(b.authority) }) {
			return nil, nil
		}
		return out, err
	}
}

// ofSeen is a user whose things are listed; those of all whom the caller reaches if
// empty.
func ofSeen(user string) subject {
	if user == "" {
		return ofReach
	}
	return ofUser(user)
}

// ofHolder is a fob that is taken from one of its users, or from all.
func ofHolder(fob, user string) subject {
	if user != "" {
		return ofUser(user)
	}
	return ofFob(fob)
}

// ofOwn is what an activation, a bypass code or a device is: its user's. find is who
// that is.
func ofOwn(find func(c *caller) (user string, err error)) subject {
	return func(c *caller) ([]belonging, error) {
		user, err := find(c)
		if err != nil {
			return nil, err
		}
		return ofUser(user)(c)
	}
}

func ofActivation(id string) subject {
	return ofOwn(func(c *caller) (string, error) { a, err := c.issuer.Activation(id); return a.User, err })
}

func ofBypass(id string) subject {
	return ofOwn(func(c *caller) (string, error) { b, err := c.issuer.BypassCode(id); return b.User, err })
}

func ofDevice(id string) subject {
	return ofOwn(func(c *caller) (string, error) { x, err := c.issuer.Device(id); return x.User, err })
}

// ofAuthority is an authority itself, by name or id; the caller's own if empty.
func ofAuthority(ref string) subject {
	return func(c *caller) ([]belonging, error) {
		id, _ := c.tree.Find(c.orOwn(ref))
		if id == "" {
			return nil, nil
		}
		return []belonging{{authority: id}}, nil
	}
}

// ofParent is what an authority lies beneath: who is in it does not remove it.
func ofParent(ref string) subject {
	return func(c *caller) ([]belonging, error) {
		id, _ := c.tree.Find(ref)
		x, found := c.tree.Child(id)
		if !found {
			return nil, nil
		}
		return []belonging{{authority: x.Parent}}, nil
	}
}

// all is several subjects at once.
func all(list ...subject) subject {
	return func(c *caller) (out []belonging, err error) {
		for _, s := range list {
			more, err := s(c)
			var missing *authority.Error
			if err != nil && !(errors.As(err, &missing) && missing.Kind == authority.NotFound) {
				return nil, err
			}
			if err == nil {
				out = append(out, more...)
			}
		}
		return out, nil
	}
}

// reaches says whether the caller's roles are good at an authority.
func (c *caller) reaches(authority string) bool {
	return c.root || c.tree.Reaches(c.user.Authority, authority)
}

// reachesAll says whether they are good at the root authority, and so at all.
func (c *caller) reachesAll() bool { return c.root || c.reaches(c.tree.Root()) }

// nameOf is the name of who did something, whom the audit has by his id; empty where
// he is no user any more, or is beyond the caller's reach.
func (c *caller) nameOf(by string) string {
	who, err := c.authority.User(by)
	if err != nil || who.ID != by || by != c.by && !c.reaches(who.Authority) {
		return ""
	}
	return who.Name
}

// child is the name of the child authority where the caller's roles end; empty where
// they are good for all.
func (c *caller) child() string {
	if c.reachesAll() {
		return ""
	}
	return c.tree.Name(c.user.Authority)
}

// within is reaches for lists; nil where nothing is left out.
func (c *caller) within() func(authority string) bool {
	if c.reachesAll() {
		return nil
	}
	return c.reaches
}

// orOwn is the id of an authority that is named, or else the caller's own; what was
// named where there is none.
func (c *caller) orOwn(ref string) string {
	if ref == "" && c.user.Authority != "" && !c.root {
		return c.user.Authority
	}
	if id, found := c.tree.Find(ref); found {
		return id
	}
	return ref
}

// mayReach notes what lies beyond the caller's reach, and says so.
func (c *caller) mayReach(action string, of subject) error {
	list, err := all(of)(c)
	if err != nil {
		return err
	}
	for _, b := range list {
		if !c.reaches(b.authority) {
			return c.beyond(action, b)
		}
	}
	return nil
}

func (c *caller) beyond(action string, b belonging) error {
	c.chain.Audit(authority.Entry{Kind: action, By: c.by, User: b.user, Fob: b.fob, Detail: string(ipc.NotAuthorized)})
	message := "your roles end at your own authority and those beneath it, and this is the root authority's"
	if b.authority != c.tree.Root() || b.user != "" {
		message = "your roles end at your own authority and those beneath it, and this is of another"
	}
	return ipc.Errorf(ipc.NotAuthorized, "%s", message)
}

// visible says which entries of the audit the caller may read: those by whom he
// reaches, and those about them. nil stands for all.
func (c *caller) visible() func(e *audit.Entry) bool {
	if c.reachesAll() {
		return nil
	}
	known := map[string]bool{}
	reached := func(id string) bool {
		is, found := known[id]
		if !found && isID(id) {
			_, home, err := c.authority.Home(id)
			is = err == nil && c.reaches(home)
			known[id] = is
		}
		return is
	}
	return func(e *audit.Entry) bool {
		if reached(e.By) || reached(e.Object) {
			return true
		}
		return slices.ContainsFunc(strings.Fields(e.Detail), func(word string) bool {
			id, user := strings.CutPrefix(word, "user=")
			return user && reached(id)
		})
	}
}
