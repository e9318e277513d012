package authority

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// ImportFobs adds fobs, at most MaxPage at once, unassigned. It returns what
// became of each row, in their order; a row that is refused hinders no other.
// What is known already is left as it is. The page is stored as a whole or, with
// an error, not at all.
func (a *Authority) ImportFobs(by string, page []Seed) ([]Row, error) {
	rows, err := a.importPage(page, true)
	a.serials.changed()
	if err != nil {
		a.told("fob-import", by, err)
		return nil, err
	}
	count := map[RowOutcome]int{}
	for _, r := range rows {
		count[r.Outcome]++
	}
	a.audit.Audit(Entry{Kind: "fob-import", By: by, OK: true, Detail: fmt.Sprintf("added=%d same=%d conflict=%d refused=%d",
		count[RowAdded], count[RowSame], count[RowConflict], count[RowRefused])})
	return rows, nil
}

// PlanFobs says what ImportFobs would make of a page, and stores nothing.
func (a *Authority) PlanFobs(page []Seed) ([]Row, error) { return a.importPage(page, false) }

// errPlanned keeps what was only planned from being stored.
var errPlanned = errors.New("this was only planned")

func (a *Authority) importPage(page []Seed, keep bool) ([]Row, error) {
	if len(page) > MaxPage {
		return nil, failure(TooMany, "fob", "%d fobs are imported at once, at most", MaxPage)
	}
	var rows []Row
	err := a.store.Update(func(tx *store.Tx) error {
		rows = make([]Row, len(page))
		for i := range page {
			row, err := a.importOne(tx, &page[i])
			if err != nil {
				return err
			}
			rows[i] = row
		}
		if !keep {
			return errPlanned
		}
		return nil
	})
	if errors.Is(err, errPlanned) {
		err = nil
	}
	return rows, err
}

func (a *Authority) importOne(tx *store.Tx, s *Seed) (Row, error) {
	row := Row{Serial: s.Serial}
	r := s.record()
	if err := s.validate(&r); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return row, err
		}
		row.Outcome, row.Field, row.Problem = RowRefused, e.Field, e.Problem
		return row, nil
	}
	id, err := a.fobID(s.Serial)
	if err != nil {
		return row, err
	}
	var old fobRecord
	switch found, err := tx.Get(fobsBucket, id[:], &old); {
	case err != nil:
		return row, err
	case found:
		defer old.wipe()
		row.Outcome = RowSame
		if field := differs(&old, &r); field != "" {
			row.Outcome, row.Field, row.Problem = RowConflict, field, "the fob is known with another "+field
		}
		return row, nil
	}
	if taken, err := a.takePublicID(tx, id, r.PublicID); err != nil || taken {
		row.Outcome, row.Field, row.Problem = RowConflict, "public-id", "another fob has the same public id"
		return row, err
	}
	r.Added = a.now().UTC()
	row.Outcome = RowAdded
	return row, tx.Put(fobsBucket, id[:], r)
}

// record is the fob as it will be stored. The secret is the seed's own.
func (s *Seed) record() fobRecord {
	r := fobRecord{
		Serial: s.Serial, Type: s.Type, State: fob.Unassigned, Secret: s.Secret, Algorithm: s.Algorithm, Digits: s.Digits, Period: s.Period,
		PublicID: s.PublicID, PrivateID: s.PrivateID, Start: s.Start, Expiry: s.Expiry, Counter: s.Counter, Drift: s.Drift, Synced: s.Drift,
		Maker: s.Maker, Model: s.Model,
	}
	if s.Type == fob.Yubico {
		r.Algorithm, r.Digits, r.Period = "", 0, 0
		return r
	}
	if r.Algorithm == "" {
		r.Algorithm = otp.SHA1
	}
	if r.Digits == 0 {
		r.Digits = otp.DefaultDigits
	}
	if s.Type != fob.TOTP {
		r.Period = 0
	} else if r.Period == 0 {
		r.Period = otp.DefaultPeriod
	}
	return r
}

func (s *Seed) validate(r *fobRecord) error {
	if err := r.fob().Validate(); err != nil {
		return asError(err)
	}
	if s.Type == fob.TOTP && s.Counter != 0 {
		return invalid("counter", "a totp fob has a clock and no counter")
	}
	if _, isID := parseID(s.Serial); isID {
		return invalid("serial", "it looks like an id")
	}
	return errors.Join(checkText("maker", s.Maker), checkText("model", s.Model))
}

// differs names what two records of one serial number disagree in, or is empty.
// Counters move with use, and names of makers are as one writes them.
func differs(old, next *fobRecord) string {
	switch {
	case old.Type != next.Type:
		return "type"
	case subtle.ConstantTimeCompare(old.Secret, next.Secret) != 1:
		return "secret"
	case old.Algorithm != next.Algorithm:
		return "algorithm"
	case old.Digits != next.Digits:
		return "digits"
	case old.Period != next.Period:
		return "period"
	case !bytes.Equal(old.PublicID, next.PublicID):
		return "public-id"
	case subtle.ConstantTimeCompare(old.PrivateID, next.PrivateID) != 1:
		return "private-id"
	}
	return ""
}

func (a *Authority) takePublicID(tx *store.Tx, id ID, public []byte) (taken bool, err error) {
	if len(public) == 0 {
		return false, nil
	}
	if _, taken, err = a.named(tx, publicBucket, string(public)); err != nil || taken {
		return taken, err
	}
	key, err := a.store.Key(publicBucket, string(public))
	if err != nil {
		return false, err
	}
	return false, tx.Put(publicBucket, key[:], idRecord{id})
}
