package authority

import (
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// AddUser adds a user. ID, Created and Fobs are made; without roles he has
// RoleUser, and Authority may be a name. It fails with Exists where the name or a
// login is taken, with NotFound for another authority than there are, and with
// Invalid.
func (a *Authority) AddUser(by string, u User) (User, error) {
	id := newID()
	r := userRecord{
		Name: u.Name, Display: u.Display, Email: u.Email, Logins: slices.Clone(u.Logins), Roles: withUser(u.Roles),
		Disabled: u.Disabled, Created: a.now().UTC(),
	}
	if err := r.validate(); err != nil {
		return User{}, err
	}
	err := a.store.Update(func(tx *store.Tx) (err error) {
		if r.Authority, err = a.settled(tx, u.Authority); err != nil {
			return err
		}
		if err := a.takeNames(tx, id, userRecord{}, r); err != nil {
			return err
		}
		return tx.Put(usersBucket, id[:], r)
	})
	a.names.changed()
	a.audit.Audit(Entry{Kind: "user-add", By: by, User: id.String(), OK: err == nil, Detail: Why(err)})
	if err != nil {
		return User{}, err
	}
	return a.User(id.String())
}

// EditUser changes a user, who is named by name or id. It fails with NotFound,
// Exists, Invalid, and with Conflict where it would leave the authority without
// an active owner.
func (a *Authority) EditUser(by, ref string, e UserEdit) (User, error) {
	var id ID
	err := a.store.Update(func(tx *store.Tx) (err error) {
		var old userRecord
		if id, old, err = a.findUser(tx, ref); err != nil {
			return err
		}
		r := old
		e.apply(&r)
		if e.Authority != nil {
			if r.Authority, err = a.settled(tx, *e.Authority); err != nil {
				return err
			}
		}
		if err := r.validate(); err != nil {
			return err
		}
		if a.owns(old) && !a.owns(r) {
			if err := a.otherOwner(tx, id); err != nil {
				return err
			}
		}
		if err := a.takeNames(tx, id, old, r); err != nil {
			return err
		}
		return tx.Put(usersBucket, id[:], r)
	})
	a.names.changed()
	detail := e.fields()
	if err != nil {
		detail = Why(err)
	}
	a.audit.Audit(Entry{Kind: "user-edit", By: by, User: known(id), OK: err == nil, Detail: detail})
	if err != nil {
		return User{}, err
	}
	return a.User(id.String())
}

// RemoveUser removes a user and takes his fobs from him. It fails with NotFound,
// and with Conflict for the last active owner.
func (a *Authority) RemoveUser(by, ref string) error {
	var id ID
	err := a.store.Update(func(tx *store.Tx) (err error) {
		var r userRecord
		if id, r, err = a.findUser(tx, ref); err != nil {
			return err
		}
		if a.owns(r) {
			if err := a.otherOwner(tx, id); err != nil {
				return err
			}
		}
		for _, f := range r.Fobs {
			if err := a.release(tx, f, id); err != nil {
				return err
			}
		}
		if err := a.takeNames(tx, id, r, userRecord{}); err != nil {
			return err
		}
		return tx.Delete(usersBucket, id[:])
	})
	a.names.changed()
	a.audit.Audit(Entry{Kind: "user-remove", By: by, User: known(id), OK: err == nil, Detail: Why(err)})
	return err
}

// known is an id for the audit, if there is one.
func known(id ID) string {
	if id == (ID{}) {
		return ""
	}
	return id.String()
}

// User returns a user by name or id, or fails with NotFound.
func (a *Authority) User(ref string) (User, error) {
	var u User
	err := a.store.View(func(tx *store.Tx) error {
		id, r, err := a.findUser(tx, ref)
		if err != nil {
			return err
		}
		u, err = a.user(tx, id, r)
		return err
	})
	return u, err
}

// Home is the id of a user, by name or id, and that of the authority he belongs to;
// it fails with NotFound. Nobody else is asked.
func (a *Authority) Home(ref string) (user, authority string, err error) {
	err = a.store.View(func(tx *store.Tx) error {
		id, r, err := a.findUser(tx, ref)
		if err == nil {
			user, authority = id.String(), a.home(r)
		}
		return err
	})
	return user, authority, err
}

// UserByLogin returns the user who has a login on the authority's own host, or
// fails with NotFound.
func (a *Authority) UserByLogin(login string) (User, error) {
	var u User
	err := a.store.View(func(tx *store.Tx) error {
		id, found, err := a.named(tx, loginsBucket, login)
		if err != nil {
			return err
		}
		if !found {
			return failure(NotFound, "login", "no user has the login %q", login)
		}
		_, r, err := a.findUser(tx, id.String())
		if err != nil {
			return err
		}
		u, err = a.user(tx, id, r)
		return err
	})
	return u, err
}

// Users lists users. While names change, a page may lack some that are new.
func (a *Authority) Users(q UserQuery) (UserPage, error) {
	entries, err := a.names.all(a.store, usersBucket, func(decode func(any) error) (string, error) {
		var r userRecord
		err := decode(&r)
		return r.Name, err
	})
	if err != nil {
		return UserPage{}, err
	}
	prefix := fold(q.Prefix)
	var p UserPage
	err = a.store.View(func(tx *store.Tx) error {
		p = UserPage{}
		p.Next, err = page(from(entries, prefix, q.After), prefix, q.Limit, func(id ID) (bool, error) {
			var r userRecord
			found, err := tx.Get(usersBucket, id[:], &r)
			if err != nil || !found || q.Within != nil && !q.Within(a.home(r)) {
				return false, err
			}
			u, err := a.user(tx, id, r)
			if err != nil || q.Role != "" && !slices.Contains(u.Roles, q.Role) {
				return false, err
			}
			p.Users = append(p.Users, u)
			return true, err
		})
		return err
	})
	return p, err
}

// user is what the outside sees of a record.
func (a *Authority) user(tx *store.Tx, id ID, r userRecord) (User, error) {
	u := User{
		ID: id.String(), Authority: a.home(r), Name: r.Name, Display: r.Display, Email: r.Email, Logins: r.Logins, Roles: r.Roles,
		Disabled: r.Disabled, Created: r.Created.UTC(),
	}
	var err error
	if u.Authorities, err = a.children(tx, u.Authority); err != nil {
		return User{}, err
	}
	groups, roles, err := a.byGroups(tx, r.Logins)
	if err != nil {
		return User{}, err
	}
	u.Groups = groups
	u.ByGroup = slices.DeleteFunc(roles, func(x Role) bool { return slices.Contains(r.Roles, x) })
	u.Roles = withUser(slices.Concat(r.Roles, u.ByGroup))
	for _, f := range r.Fobs {
		var fr fobRecord
		if err := getFob(tx, f, &fr); err != nil {
			return User{}, err
		}
		fr.wipe()
		u.Fobs = append(u.Fobs, UserFob{
			ID: f.String(), Serial: fr.Serial, Type: fr.Type, State: fr.State, Start: fr.Start.UTC(), Expiry: fr.Expiry.UTC(),
		})
	}
	return u, nil
}
