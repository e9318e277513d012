package authority

import (
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

func (e UserEdit) apply(r *userRecord) {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&r.Name, e.Name)
	set(&r.Display, e.Display)
	set(&r.Email, e.Email)
	if e.Logins != nil {
		r.Logins = slices.Clone(*e.Logins)
	}
	if e.Roles != nil {
		r.Roles = withUser(*e.Roles)
	}
	if e.Disabled != nil {
		r.Disabled = *e.Disabled
	}
}

// fields names what is changed, for the audit.
func (e UserEdit) fields() string {
	var out []string
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"name", e.Name != nil}, {"display", e.Display != nil}, {"email", e.Email != nil}, {"logins", e.Logins != nil},
		{"roles", e.Roles != nil}, {"disabled", e.Disabled != nil}, {"authority", e.Authority != nil},
	} {
		if f.changed {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, ",")
}

// withUser: everybody is a user.
func withUser(roles []Role) []Role {
	out := append([]Role{RoleUser}, roles...)
	slices.Sort(out)
	return slices.Compact(out)
}

// owns says that a user is an owner who can do everything: one of a child authority
// cannot.
func (a *Authority) owns(r userRecord) bool {
	return !r.Disabled && slices.Contains(r.Roles, RoleOwner) && a.home(r) == a.root
}

// home is the authority that a user belongs to.
func (a *Authority) home(r userRecord) string {
	if r.Authority == "" {
		return a.root
	}
	return r.Authority
}

func (r *userRecord) validate() error {
	if r.Name == "" {
		return invalid("name", "there is none")
	}
	if _, isID := parseID(r.Name); isID {
		return invalid("name", "it looks like an id")
	}
	for field, text := range map[string]string{"name": r.Name, "display name": r.Display, "e-mail": r.Email} {
		if err := checkText(field, text); err != nil {
			return err
		}
	}
	if len(r.Logins) > MaxLogins {
		return failure(TooMany, "login", "a user has at most %d logins", MaxLogins)
	}
	for i, l := range r.Logins {
		if l == "" || slices.Contains(r.Logins[:i], l) {
			return invalid("login", "it is empty or given twice")
		}
		if err := checkText("login", l); err != nil {
			return err
		}
	}
	return checkRoles(r.Roles)
}

func checkRoles(roles []Role) error {
	for _, role := range roles {
		switch role {
		case RoleUser, RoleHelpdesk, RoleVerifier, RoleAdmin, RoleOwner:
		default:
			return invalid("role", `it is not "user", "helpdesk", "verifier", "admin" or "owner"`)
		}
	}
	return nil
}

// idRecord leads from a name to a user.
type idRecord struct {
	ID ID `cbor:"1,keyasint"`
}

func (a *Authority) named(tx *store.Tx, bucket, name string) (ID, bool, error) {
	key, err := a.store.Key(bucket, name)
	if err != nil {
		return ID{}, false, err
	}
	var r idRecord
	found, err := tx.Get(bucket, key[:], &r)
	return r.ID, found, err
}

// findUser finds a user by name or id; it fails with NotFound.
func (a *Authority) findUser(tx *store.Tx, ref string) (id ID, r userRecord, err error) {
	id, found := parseID(ref)
	if !found {
		if id, found, err = a.named(tx, namesBucket, fold(ref)); err != nil {
			return ID{}, r, err
		}
	}
	if found {
		if found, err = tx.Get(usersBucket, id[:], &r); err != nil {
			return ID{}, r, err
		}
	}
	if !found {
		return ID{}, r, failure(NotFound, "user", "there is no user %q", ref)
	}
	return id, r, nil
}

// takeNames moves the ways to a user from the old record to the new. It fails
// with Exists.
func (a *Authority) takeNames(tx *store.Tx, id ID, old, next userRecord) error {
	olds, nexts := []string{fold(old.Name)}, []string{fold(next.Name)}
	if err := a.take(tx, namesBucket, "name", id, olds, nexts); err != nil {
		return err
	}
	return a.take(tx, loginsBucket, "login", id, old.Logins, next.Logins)
}

func (a *Authority) take(tx *store.Tx, bucket, field string, id ID, olds, nexts []string) error {
	for _, name := range olds {
		if name == "" || slices.Contains(nexts, name) {
			continue
		}
		key, err := a.store.Key(bucket, name)
		if err != nil {
			return err
		}
		if err := tx.Delete(bucket, key[:]); err != nil {
			return err
		}
	}
	for _, name := range nexts {
		if name == "" || slices.Contains(olds, name) {
			continue
		}
		_, found, err := a.named(tx, bucket, name)
		if err != nil {
			return err
		}
		if found {
			return failure(Exists, field, "the %s %q is another user's", field, name)
		}
		key, err := a.store.Key(bucket, name)
		if err != nil {
			return err
		}
		if err := tx.Put(bucket, key[:], idRecord{id}); err != nil {
			return err
		}
	}
	return nil
}

// otherOwner fails with Conflict where nobody but this user is an active owner.
func (a *Authority) otherOwner(tx *store.Tx, but ID) error {
	found := false
	err := tx.Each(usersBucket, nil, func(key []byte, decode func(any) error) (bool, error) {
		if ID(key) == but {
			return true, nil
		}
		var r userRecord
		err := decode(&r)
		found = err == nil && a.owns(r)
		return !found, err
	})
	if err == nil && !found {
		return failure(Conflict, "role", "the authority has no other active owner")
	}
	return err
}
