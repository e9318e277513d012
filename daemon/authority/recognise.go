package authority

import (
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Recognises says whether a passcode is, or was, of one of the user's fobs, also of
// one that is lost, disabled or expired. It changes nothing and counts nothing: it is
// for who would have somebody else verify the passcode, and is no verification.
func (a *Authority) Recognises(tx *store.Tx, user string, passcode []byte) (known bool, err error) {
	q := question{user: user, now: a.now()}
	secret.Do(func() { q.passcode, err = fob.Read(passcode) })
	if err != nil {
		return false, nil // what no fob makes
	}
	defer q.passcode.Wipe()
	id, record, err := a.findUser(tx, user)
	var missing *Error
	if errors.As(err, &missing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	fobs, err := a.candidates(tx, &q, record)
	defer func() {
		for i := range fobs {
			fobs[i].wipe()
		}
	}()
	if err != nil {
		return false, err
	}
	for i := range fobs {
		c := &fobs[i]
		c.Failures = throttle{} // nothing is learnt by guessing here
		if err := c.try(&q, id, 0); err != nil {
			return false, err
		}
		known = known || c.right()
	}
	return known, nil
}
