package authority

import (
	"fmt"

	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// MaxBurn is the largest margin: a resync finds no fob that is further behind.
const MaxBurn = 1000

// BurnFobs uses up passcodes that may have been accepted before the registry was
// set back by an old copy or a snapshot of the machine: of one fob, by serial
// number or id, or of all if serial is empty. For HOTP margin passcodes are
// skipped, for Yubico OTP as many times of being plugged in; TOTP fobs are raised
// to now, whatever the margin. A fob that had not been used meanwhile is refused
// until it has been pressed, or plugged in, as often.
//
// It returns how many fobs were raised, also with an error, which leaves the
// others as they were; it may be called again.
func (a *Authority) BurnFobs(by, serial string, margin uint64) (int, error) {
	if margin > MaxBurn {
		return 0, invalid("margin", fmt.Sprintf("it is more than %d", MaxBurn))
	}
	if serial != "" {
		_, err := a.changeFob("fob-burn", by, serial, func(_ *store.Tx, _ ID, r *fobRecord, _ *ID) error { return a.burn(r, margin) })
		if err != nil {
			return 0, err
		}
		return 1, nil
	}
	burnt, err := a.burnAll(margin)
	detail := Why(err)
	if err == nil {
		detail = fmt.Sprintf("raised=%d margin=%d", burnt, margin)
	}
	a.audit.Audit(Entry{Kind: "fob-burn", By: by, OK: err == nil, Detail: detail})
	return burnt, err
}

func (a *Authority) burn(r *fobRecord, margin uint64) error {
	m, err := r.fob().Burn(margin, a.now())
	if err == nil {
		r.moved(m)
	}
	return err
}

// burnAll goes through the fobs in pages, for passcodes are verified meanwhile.
func (a *Authority) burnAll(margin uint64) (int, error) {
	burnt := 0
	for next := []byte{}; next != nil; {
		var keys []ID
		var rest []byte
		err := a.store.Update(func(tx *store.Tx) (err error) {
			if keys, rest, err = keysFrom(tx, next); err != nil {
				return err
			}
			for _, id := range keys {
				if err := a.burnOne(tx, id, margin); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return burnt, err
		}
		burnt += len(keys)
		next = rest
	}
	return burnt, nil
}

func (a *Authority) burnOne(tx *store.Tx, id ID, margin uint64) error {
	var r fobRecord
	defer func() { r.wipe() }()
	if err := getFob(tx, id, &r); err != nil {
		return err
	}
	if err := a.burn(&r, margin); err != nil {
		return err
	}
	return tx.Put(fobsBucket, id[:], r)
}

// keysFrom are the next keys of fobs, and where to go on; nil at the end.
func keysFrom(tx *store.Tx, first []byte) (keys []ID, rest []byte, err error) {
	err = tx.Each(fobsBucket, first, func(key []byte, _ func(any) error) (bool, error) {
		if len(keys) == MaxPage {
			rest = append([]byte(nil), key...)
			return false, nil
		}
		keys = append(keys, ID(key))
		return true, nil
	})
	return keys, rest, err
}
