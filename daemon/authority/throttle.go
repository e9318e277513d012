package authority

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// The throttle. After n failures in close succession no single passcode is looked
// at for 2^(n-1) seconds, and never for more than 15 minutes; for each 15 minutes
// since the last failure one is forgotten. So there are, of one user at one
// service and of one fob at all of them, at most
//
//	11 + T/15min
//
// tries within any time T: whoever never pauses has 105 in a day that begins
// quietly, and 96 in each further one. A single passcode of the user's that is
// accepted takes no failure back, so that nobody guesses faster because somebody
// else logs in. Passcodes in a row and a resync, which are not guessed, do (see
// lift): each time costs 11 more tries of that fob, and there are at most MaxLifts
// in a day. No failure of a stranger keeps the user out for good: 15 minutes after
// the last one single passcodes are looked at again, and at any time passcodes in a
// row (see pairs).
//
// The chance of a guess is the number of passcodes that would be accepted, over
// the number of passcodes: with 6 digits, for HOTP (1+fob.LookAhead)/10^6, for
// TOTP (1+2*fob.Window)/10^6. Against one fob, in a day of 96 tries:
//
//	         6 digits        7 digits        8 digits
//	HOTP   1.06 in 1000    1.06 in 10^4    1.06 in 10^5
//	TOTP   2.88 in 10^4    2.88 in 10^5    2.88 in 10^6
//
// A guess is tried against every active fob of the user: with n fobs of one kind
// the chance is n times that. What holds against guessing is the fob's own throttle,
// which knows of all services; that of a user at a service also holds where there is
// no fob.
const (
	firstDelay = time.Second
	longest    = 15 * time.Minute
	// mostFailures is the first count with the longest delay.
	mostFailures = 11
	// maxTries bounds how many pairs of service and user failures are kept of.
	maxTries = 1 << 16
	// pruned is how many old entries may go with each failure.
	pruned = 4
	// strangers is among how many rows the failures of names that no user has are
	// spread.
	strangers = 1 << 12
)

// throttle counts failures.
type throttle struct {
	Count int   `cbor:"1,keyasint,omitempty"`
	Last  int64 `cbor:"2,keyasint,omitempty"` // milliseconds since 1970
	// Lifts is how often the user's failures had been lifted when this one came.
	Lifts uint64 `cbor:"3,keyasint,omitempty"`
}

// after is t for a user whose failures were lifted so often: what came before the
// last time is forgotten.
func (t throttle) after(lifts uint64) throttle {
	if t.Lifts != lifts {
		return throttle{Lifts: lifts}
	}
	return t
}

// waits is how long it is until the next try. A clock that was set back by more
// than the longest delay keeps nobody waiting.
func (t throttle) waits(now time.Time) time.Duration {
	if t.Count <= 0 {
		return 0
	}
	since := now.Sub(time.UnixMilli(t.Last))
	if since < -longest {
		return 0
	}
	return max(0, delay(t.Count)-since)
}

func delay(failures int) time.Duration {
	if failures >= mostFailures {
		return longest
	}
	return firstDelay << (failures - 1)
}

// failed is t after one more failure.
func (t throttle) failed(now time.Time) throttle {
	return throttle{Count: min(t.standing(now)+1, mostFailures), Last: now.UnixMilli(), Lifts: t.Lifts}
}

// standing is how many failures are not forgotten.
func (t throttle) standing(now time.Time) int {
	forgotten := max(0, now.Sub(time.UnixMilli(t.Last))/longest)
	return max(0, t.Count-int(min(forgotten, mostFailures)))
}

// forgotten says whether it makes no difference any more.
func forgotten(last, now time.Time) bool { return now.Sub(last) >= mostFailures*longest }

// countRecord is how many entries triesBucket has.
type countRecord struct {
	Count int `cbor:"1,keyasint"`
}

// Stranger is by what failures of a name are counted that no user has: one of few, so
// that nobody makes up names until those of a user are forgotten. What it is names no
// user, and for one name it is always the same.
func (a *Authority) Stranger(name string) (string, error) {
	key, err := a.store.Key(triesBucket, "stranger\x00"+fold(name))
	return fmt.Sprintf("stranger %d", binary.BigEndian.Uint64(key[:])%strangers), err
}

// noteFailure counts a failure of a user, known or not, at a service, whose failures
// were lifted so often. The number of entries is bounded: those whose last failure
// is the oldest go.
func (a *Authority) noteFailure(tx *store.Tx, key store.Key, lifts uint64, now time.Time) error {
	var t throttle
	known, err := tx.Get(triesBucket, key[:], &t)
	if err != nil {
		return err
	}
	var n countRecord
	if _, err := tx.Get(selfBucket, []byte(triesCountKey), &n); err != nil {
		return err
	}
	before := n.Count
	if known {
		if err := tx.Delete(triesByAge, ageKey(t.Last, key)); err != nil {
			return err
		}
	} else {
		n.Count++
	}
	t = t.after(lifts).failed(now)
	if err := tx.Put(triesBucket, key[:], t); err != nil {
		return err
	}
	if err := tx.Put(triesByAge, ageKey(t.Last, key), struct{}{}); err != nil {
		return err
	}
	if n.Count, err = prune(tx, n.Count, now); err != nil || n.Count == before {
		return err
	}
	return tx.Put(selfBucket, []byte(triesCountKey), n)
}

func prune(tx *store.Tx, count int, now time.Time) (int, error) {
	for range pruned {
		oldest, err := tx.First(triesByAge)
		if err != nil || len(oldest) != ageLength {
			return count, err
		}
		last := time.UnixMilli(int64(binary.BigEndian.Uint64(oldest)))
		if count <= maxTries && !forgotten(last, now) {
			return count, nil
		}
		if err := tx.Delete(triesByAge, oldest); err != nil {
			return count, err
		}
		if err := tx.Delete(triesBucket, oldest[8:]); err != nil {
			return count, err
		}
		count--
	}
	return count, nil
}

const ageLength = 8 + len(store.Key{})

// ageKey sorts entries by the time of the last failure.
func ageKey(last int64, key store.Key) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, ageLength), uint64(max(0, last))), key[:]...)
}
