package authority

import (
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Fob returns a fob by serial number or id, or fails with NotFound.
func (a *Authority) Fob(ref string) (Fob, error) {
	var f Fob
	err := a.store.View(func(tx *store.Tx) error {
		id, r, err := a.findFob(tx, ref)
		if err != nil {
			return err
		}
		f, err = a.fob(tx, id, &r)
		return err
	})
	return f, err
}

// Fobs lists fobs, without their seeds. While fobs are imported, a page may lack
// some that are new. It fails with NotFound for a user who does not exist.
func (a *Authority) Fobs(q FobQuery) (FobPage, error) {
	entries, err := a.fobsOf(q.User)
	if err != nil {
		return FobPage{}, err
	}
	prefix := fold(q.Prefix)
	var p FobPage
	err = a.store.View(func(tx *store.Tx) error {
		p = FobPage{}
		p.Next, err = page(from(entries, prefix, q.After), prefix, q.Limit, func(id ID) (bool, error) {
			var r fobRecord
			found, err := tx.Get(fobsBucket, id[:], &r)
			defer r.wipe()
			if err != nil || !found || q.State != "" && r.State != q.State || q.Maker != "" && fold(r.Maker) != fold(q.Maker) {
				return false, err
			}
			f, err := a.fob(tx, id, &r)
			if err != nil || q.Within != nil && !slices.ContainsFunc(f.Users, func(u FobUser) bool { return q.Within(u.Authority) }) {
				return false, err
			}
			p.Fobs = append(p.Fobs, f)
			return true, nil
		})
		return err
	})
	return p, err
}

// fobsOf are the fobs of a user, or all if user is empty, in order.
func (a *Authority) fobsOf(user string) ([]catalogEntry, error) {
	if user == "" {
		return a.serials.all(a.store, fobsBucket, func(decode func(any) error) (string, error) {
			var r struct { // nothing more is decoded
				Serial string `cbor:"1,keyasint"`
			}
			err := decode(&r)
			return r.Serial, err
		})
	}
	u, err := a.User(user)
	if err != nil {
		return nil, err
	}
	var entries []catalogEntry
	for _, f := range u.Fobs {
		id, _ := parseID(f.ID)
		entries = append(entries, catalogEntry{fold(f.Serial), id})
	}
	slices.SortFunc(entries, func(a, b catalogEntry) int { return strings.Compare(a.folded, b.folded) })
	return entries, nil
}

// fob is what the outside sees of a record. It wipes the record's secrets.
func (a *Authority) fob(tx *store.Tx, id ID, r *fobRecord) (Fob, error) {
	r.wipe()
	f := Fob{
		ID: id.String(), Serial: r.Serial, Type: r.Type, State: r.State, Algorithm: r.Algorithm, Digits: r.Digits, Period: r.Period,
		PublicID: fob.Modhex(r.PublicID), Maker: r.Maker, Model: r.Model, Start: r.Start.UTC(), Expiry: r.Expiry.UTC(),
		Counter: r.Counter, Drift: r.Drift, Added: r.Added.UTC(), Used: r.Used.UTC(),
	}
	if now := a.now(); r.Failures.waits(now) > 0 {
		f.Throttled = now.Add(r.Failures.waits(now)).UTC()
	}
	for _, uid := range r.Users {
		_, u, err := a.findUser(tx, uid.String())
		if err != nil {
			return Fob{}, err
		}
		f.Users = append(f.Users, FobUser{ID: uid.String(), Name: u.Name, Authority: a.home(u)})
	}
	return f, nil
}
