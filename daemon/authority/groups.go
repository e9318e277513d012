package authority

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// MaxGroups is how many groups of the operating system may give roles.
const MaxGroups = 256

// Group is a group of the authority's own host whose members have roles: users of
// the authority, by their logins. Whoever else is in it is nobody here.
type Group struct {
	ID    string // for the audit
	Name  string // exactly as the host has it
	Roles []Role // one at least, and never RoleUser alone
	Added time.Time
}

type groupRecord struct {
	Name  string    `cbor:"1,keyasint"`
	Roles []Role    `cbor:"2,keyasint"`
	Added time.Time `cbor:"3,keyasint"`
}

func (r groupRecord) group(key []byte) Group {
	return Group{ID: hex.EncodeToString(key), Name: r.Name, Roles: r.Roles, Added: r.Added.UTC()}
}

// AddGroup gives the members of a group roles. It fails with Exists, TooMany and
// Invalid.
func (a *Authority) AddGroup(by, name string, roles []Role) (Group, error) {
	r := groupRecord{Name: name, Roles: slices.Compact(slices.Sorted(slices.Values(roles))), Added: a.now().UTC()}
	key, err := a.groupKey(name)
	if err == nil {
		err = r.validate()
	}
	if err != nil {
		return Group{}, err
	}
	err = a.store.Update(func(tx *store.Tx) error {
		var old groupRecord
		if found, err := tx.Get(groupsBucket, key[:], &old); err != nil || found {
			if err == nil {
				err = failure(Exists, "group", "the group %q has roles already", name)
			}
			return err
		}
		all, err := groupsIn(tx)
		if err != nil {
			return err
		}
		if len(all) >= MaxGroups {
			return failure(TooMany, "group", "at most %d groups have roles", MaxGroups)
		}
		return tx.Put(groupsBucket, key[:], r)
	})
	g := r.group(key[:])
	a.toldGroup("group-add", by, g, err)
	return g, err
}

func (r groupRecord) validate() error {
	if r.Name == "" {
		return invalid("group", "its name is empty")
	}
	if err := checkText("group", r.Name); err != nil {
		return err
	}
	if len(r.Roles) == 0 || slices.Contains(r.Roles, RoleUser) {
		return invalid("role", `there is none, or it is "user", which everybody has`)
	}
	return checkRoles(r.Roles)
}

// RemoveGroup takes the roles from a group's members. It fails with NotFound.
func (a *Authority) RemoveGroup(by, name string) (Group, error) {
	key, err := a.groupKey(name)
	if err != nil {
		return Group{}, err
	}
	g := Group{}
	err = a.store.Update(func(tx *store.Tx) error {
		var r groupRecord
		found, err := tx.Get(groupsBucket, key[:], &r)
		if err == nil && !found {
			err = failure(NotFound, "group", "no group %q has roles", name)
		}
		if err != nil {
			return err
		}
		g = r.group(key[:])
		return tx.Delete(groupsBucket, key[:])
	})
	a.toldGroup("group-remove", by, g, err)
	return g, err
}

func (a *Authority) toldGroup(kind, by string, g Group, err error) {
	detail := Why(err)
	if err == nil {
		roles := make([]string, len(g.Roles))
		for i, r := range g.Roles {
			roles[i] = string(r)
		}
		detail = fmt.Sprintf("group=%s roles=%s", g.ID, strings.Join(roles, ","))
	}
	a.audit.Audit(Entry{Kind: kind, By: by, OK: err == nil, Detail: detail})
}

// Groups lists the groups that have roles, by name.
func (a *Authority) Groups() ([]Group, error) {
	var out []Group
	err := a.store.View(func(tx *store.Tx) (err error) {
		out, err = groupsIn(tx)
		return err
	})
	slices.SortFunc(out, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

func groupsIn(tx *store.Tx) ([]Group, error) {
	var out []Group
	err := tx.Each(groupsBucket, nil, func(key []byte, decode func(any) error) (bool, error) {
		var r groupRecord
		err := decode(&r)
		out = append(out, r.group(key))
		return err == nil, err
	})
	return out, err
}

func (a *Authority) groupKey(name string) (store.Key, error) { return a.store.Key(groupsBucket, name) }

// RolesOfLogins are the roles that logins have by their groups, as those are now.
func (a *Authority) RolesOfLogins(logins []string) ([]Role, error) {
	var roles []Role
	err := a.store.View(func(tx *store.Tx) (err error) {
		_, roles, err = a.byGroups(tx, logins)
		return err
	})
	return roles, err
}

// byGroups are the groups that logins are in on the host, and the roles that these
// give. The host is asked each time, so that who leaves a group has its roles no
// longer; where it cannot say, that is an error, for a missing role could as well
// be one that protects somebody.
func (a *Authority) byGroups(tx *store.Tx, logins []string) (names []string, roles []Role, err error) {
	if a.groupsOf == nil {
		return nil, nil, nil
	}
	for _, login := range logins {
		in, err := a.groupsOf(login)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot tell the groups of a user's login: %w", err)
		}
		for _, name := range in {
			if slices.Contains(names, name) {
				continue
			}
			names = append(names, name)
			key, err := a.groupKey(name)
			if err != nil {
				return nil, nil, err
			}
			var r groupRecord
			if _, err := tx.Get(groupsBucket, key[:], &r); err != nil {
				return nil, nil, err
			}
			roles = append(roles, r.Roles...)
		}
	}
	slices.Sort(roles)
	return names, slices.Compact(roles), nil
}
