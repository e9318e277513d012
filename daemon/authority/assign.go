package authority

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// fobID is where the record of a fob lies.
func (a *Authority) fobID(serial string) (ID, error) {
	key, err := a.store.Key(fobsBucket, fold(serial))
	return ID(key), err
}

func getFob(tx *store.Tx, id ID, r *fobRecord) error {
	found, err := tx.Get(fobsBucket, id[:], r)
	if err == nil && !found {
		err = fmt.Errorf("%w: the record of an assigned fob is missing", store.ErrDamaged)
	}
	return err
}

// findFob finds a fob by serial number or id; it fails with NotFound.
func (a *Authority) findFob(tx *store.Tx, ref string) (id ID, r fobRecord, err error) {
	id, isID := parseID(ref)
	if !isID {
		if id, err = a.fobID(ref); err != nil {
			return ID{}, r, err
		}
	}
	found, err := tx.Get(fobsBucket, id[:], &r)
	if err == nil && !found {
		err = failure(NotFound, "fob", "there is no fob %q", ref)
	}
	if err != nil {
		return ID{}, r, err
	}
	return id, r, nil
}

// changeFob changes one fob, and audits it. change sets user where one is
// concerned. What it changed is stored although it failed, if it fails with a
// storedError.
func (a *Authority) changeFob(kind, by, ref string, change func(tx *store.Tx, id ID, r *fobRecord, user *ID) error) (Fob, error) {
	var id, user ID
	var holders []ID
	var out Fob
	var stored storedError
	err := a.store.Update(func(tx *store.Tx) (err error) {
		var r fobRecord
		defer r.wipe()
		user, stored = ID{}, storedError{}
		if id, r, err = a.findFob(tx, ref); err != nil {
			return err
		}
		holders = slices.Clone(r.Users)
		if err := change(tx, id, &r, &user); err != nil && !errors.As(err, &stored) {
			return err
		}
		if err := tx.Put(fobsBucket, id[:], r); err != nil {
			return err
		}
		if len(holders) == 0 {
			holders = slices.Clone(r.Users) // it was given to them
		}
		out, err = a.fob(tx, id, &r)
		return err
	})
	if err == nil && stored.because != nil {
		out, err = Fob{}, stored.because
	}
	e := Entry{Kind: kind, By: by, User: known(user), Fob: known(id), OK: err == nil, Detail: Why(err)}
	if e.User == "" {
		for _, u := range holders {
			e.Holders = append(e.Holders, u.String())
		}
	}
	a.audit.Audit(e)
	return out, err
}

// storedError is a failure that is to be remembered.
type storedError struct{ because error }

func (e storedError) Error() string { return e.because.Error() }

// AssignFob gives a fob, by serial number or id, to a user, by name or id. It may
// have other users already: they share one counter. It fails with NotFound,
// Exists where it is his, Conflict where it is lost, and TooMany.
func (a *Authority) AssignFob(by, serial, user string) (Fob, error) {
	return a.changeFob("fob-assign", by, serial, func(tx *store.Tx, id ID, r *fobRecord, who *ID) error {
		uid, u, err := a.findUser(tx, user)
		if err != nil {
			return err
		}
		*who = uid
		if r.State == fob.Lost {
			return failure(Conflict, "fob", "the fob %q is lost", r.Serial)
		}
		return a.give(tx, id, r, uid, u)
	})
}

// give writes the user's record, and leaves the fob's to the caller.
func (a *Authority) give(tx *store.Tx, id ID, r *fobRecord, uid ID, u userRecord) error {
	switch {
	case slices.Contains(r.Users, uid):
		return failure(Exists, "fob", "the fob %q is %q's already", r.Serial, u.Name)
	case len(r.Users) >= MaxSharers:
		return failure(TooMany, "fob", "%d users share the fob %q, and no more can", len(r.Users), r.Serial)
	case len(u.Fobs) >= MaxFobs:
		return failure(TooMany, "user", "%q has %d fobs, and no more are tried", u.Name, len(u.Fobs))
	}
	r.Users, u.Fobs = append(r.Users, uid), append(u.Fobs, id)
	if r.State == fob.Unassigned {
		r.State = fob.Active
	}
	return tx.Put(usersBucket, uid[:], u)
}

// UnassignFob takes a fob from a user, or from all its users if user is empty. An
// active fob that is nobody's is unassigned; disabled and lost ones stay so. It
// fails with NotFound, also where the fob is not his.
func (a *Authority) UnassignFob(by, serial, user string) (Fob, error) {
	return a.changeFob("fob-unassign", by, serial, func(tx *store.Tx, id ID, r *fobRecord, who *ID) error {
		from := slices.Clone(r.Users)
		if user != "" {
			uid, u, err := a.findUser(tx, user)
			if err != nil {
				return err
			}
			*who = uid
			if !slices.Contains(r.Users, uid) {
				return failure(NotFound, "fob", "the fob %q is not %q's", r.Serial, u.Name)
			}
			from = []ID{uid}
		}
		for _, uid := range from {
			if err := a.takeFrom(tx, id, uid); err != nil {
				return err
			}
			r.without(uid)
		}
		return nil
	})
}

// takeFrom writes the user's record alone.
func (a *Authority) takeFrom(tx *store.Tx, id, uid ID) error {
	_, u, err := a.findUser(tx, uid.String())
	if err != nil {
		return err
	}
	u.Fobs = slices.DeleteFunc(u.Fobs, func(f ID) bool { return f == id })
	return tx.Put(usersBucket, uid[:], u)
}

// release writes the fob's record alone.
func (a *Authority) release(tx *store.Tx, id, uid ID) error {
	var r fobRecord
	defer func() { r.wipe() }()
	if err := getFob(tx, id, &r); err != nil {
		return err
	}
	r.without(uid)
	return tx.Put(fobsBucket, id[:], r)
}

func (r *fobRecord) without(uid ID) {
	r.Users = slices.DeleteFunc(r.Users, func(u ID) bool { return u == uid })
	if len(r.Users) == 0 && r.State == fob.Active {
		r.State = fob.Unassigned
	}
}

// EnableFob makes a disabled fob, or a lost one that was found, active again; or
// unassigned if it is nobody's.
func (a *Authority) EnableFob(by, serial string) (Fob, error) {
	return a.changeFob("fob-enable", by, serial, func(_ *store.Tx, _ ID, r *fobRecord, _ *ID) error {
		r.State = fob.Active
		if len(r.Users) == 0 {
			r.State = fob.Unassigned
		}
		return nil
	})
}

// DisableFob makes a fob's passcodes good for nothing for a while. A lost one
// stays lost: it fails with Conflict.
func (a *Authority) DisableFob(by, serial string) (Fob, error) {
	return a.changeFob("fob-disable", by, serial, func(_ *store.Tx, _ ID, r *fobRecord, _ *ID) error {
		if r.State == fob.Lost {
			return failure(Conflict, "fob", "the fob %q is lost", r.Serial)
		}
		r.State = fob.Disabled
		return nil
	})
}

// LoseFob notes that a fob is lost. It stays with its users, so that a passcode
// of it is told apart in the audit.
func (a *Authority) LoseFob(by, serial string) (Fob, error) {
	return a.changeFob("fob-lost", by, serial, func(_ *store.Tx, _ ID, r *fobRecord, _ *ID) error {
		r.State = fob.Lost
		return nil
	})
}

// taken says whose a fob is that was to be nobody's.
func (a *Authority) taken(tx *store.Tx, r *fobRecord) error {
	_, u, err := a.findUser(tx, r.Users[0].String())
	if err != nil {
		return err
	}
	others := ""
	if n := len(r.Users) - 1; n > 0 {
		others = fmt.Sprintf(" and of %d more", n)
	}
	return failure(Conflict, "fob", "the fob %q is %s, and a fob of %q%s", r.Serial, r.State, u.Name, others)
}

// ReplaceFob gives the users of one fob another in its place, which must be
// nobody's and not lost, and returns that. The old one is nobody's and, unless it
// is lost, disabled.
func (a *Authority) ReplaceFob(by, serial, with string) (Fob, error) {
	return a.changeFob("fob-replace", by, with, func(tx *store.Tx, id ID, r *fobRecord, _ *ID) error {
		oldID, old, err := a.findFob(tx, serial)
		defer old.wipe()
		switch {
		case err != nil:
			return err
		case oldID == id:
			return failure(Conflict, "fob", "the fob %q cannot replace itself", r.Serial)
		case len(r.Users) > 0:
			return a.taken(tx, r)
		case r.State != fob.Unassigned:
			return failure(Conflict, "fob", "the fob %q is %s", r.Serial, r.State)
		case len(old.Users) == 0:
			return failure(Conflict, "fob", "the fob %q has no users", old.Serial)
		}
		for _, uid := range old.Users {
			if err := a.takeFrom(tx, oldID, uid); err != nil {
				return err
			}
			_, u, err := a.findUser(tx, uid.String())
			if err != nil {
				return err
			}
			if err := a.give(tx, id, r, uid, u); err != nil {
				return err
			}
		}
		old.Users = nil
		if old.State != fob.Lost {
			old.State = fob.Disabled
		}
		return tx.Put(fobsBucket, oldID[:], old)
	})
}
