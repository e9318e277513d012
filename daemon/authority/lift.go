package authority

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// MaxLifts is how often a day the failures of a fob are lifted that guesses may be
// among: each time somebody who guesses has as many tries again as at the beginning.
const MaxLifts = 5

// lift takes back the failures of a fob that was proved by what is not guessed, and
// those of these users with passcodes, at every service. It says whether it did:
// where a fob was lifted too often within a day, counted from the first time, all
// stay as they were. The fob's record is the caller's to store.
//
// Users' failures are taken back without a limit where the fob has none: whatever was
// tried since was counted of the fob, and other fobs of the user have their own.
func lift(tx *store.Tx, r *fobRecord, users []ID, now time.Time) (bool, error) {
	if r.Failures.standing(now) > 0 {
		if since := now.Sub(r.LiftDay); since >= 24*time.Hour || since < -24*time.Hour {
			r.LiftDay, r.Lifts = now.UTC(), 0
		}
		if r.Lifts >= MaxLifts {
			return false, nil
		}
		r.Lifts++
	}
	r.Failures = throttle{}
	for _, id := range users {
		var u userRecord
		found, err := tx.Get(usersBucket, id[:], &u)
		if err != nil {
			return false, err
		}
		if !found {
			continue
		}
		u.Lifts++
		if err := tx.Put(usersBucket, id[:], u); err != nil {
			return false, err
		}
	}
	return true, nil
}
