package authority

import (
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// MaxResyncs is how often a day a resync of a fob may be tried: as often again
// attended, so that nobody can use up the tries of those who help.
const MaxResyncs = 5

// Resync is what a fob is found by whose counter or clock went astray.
type Resync struct {
	By     string
	Serial string // or id
	// User must be one of the fob's users, by name or id, unless it is empty.
	User string
	// Passcodes follow one another on the fob, as they were typed, in one text:
	// two where Attended, else three. The caller's to wipe.
	Passcodes []byte
	// Attended says that somebody who knows the person answers for him.
	Attended bool
}

// ResyncFob finds where a fob is, by passcodes in a row within 1,000 steps, and
// uses them up. It may be tried MaxResyncs times a day, counted from the first.
// It fails with NotFound, Refused where the passcodes are not right or too few,
// TooMany, and Conflict for a lost fob. It also takes back the failures of the fob,
// and of its users or of User at every service, MaxLifts times a day.
func (a *Authority) ResyncFob(r Resync) (Fob, error) {
	p, err := readPasscodes(r.Passcodes)
	if err != nil {
		return Fob{}, err
	}
	defer p.Wipe()
	need := 3
	if r.Attended {
		need = 2
	}
	return a.changeFob("fob-resync", r.By, r.Serial, func(tx *store.Tx, _ ID, rec *fobRecord, who *ID) error {
		if r.User != "" {
			uid, u, err := a.findUser(tx, r.User)
			if err != nil {
				return err
			}
			if *who = uid; !slices.Contains(rec.Users, uid) {
				return failure(NotFound, "fob", "the fob %q is not %q's", rec.Serial, u.Name)
			}
		}
		if rec.State == fob.Lost {
			return failure(Conflict, "fob", "the fob %q is lost", rec.Serial)
		}
		if err := a.resync(rec, p, need); err != nil {
			return err
		}
		users := rec.Users
		if r.User != "" {
			users = []ID{*who}
		}
		_, err := lift(tx, rec, users, a.now())
		return err
	})
}

func readPasscodes(typed []byte) (p fob.Passcode, err error) {
	secret.Do(func() { p, err = fob.Read(typed) })
	if err != nil {
		return p, invalid("passcode", "it is neither digits nor a Yubico OTP")
	}
	return p, nil
}

func (a *Authority) resync(r *fobRecord, p fob.Passcode, need int) (err error) {
	now := a.now()
	if since := now.Sub(r.ResyncDay); since >= 24*time.Hour || since < -24*time.Hour {
		r.ResyncDay, r.Resyncs = now.UTC(), [2]int{}
	}
	tries := &r.Resyncs[0]
	if need == 2 {
		tries = &r.Resyncs[1]
	}
	if *tries >= MaxResyncs {
		return failure(TooMany, "fob", "a resync of the fob %q was tried %d times within a day", r.Serial, *tries)
	}
	var result fob.Result
	var m fob.Moving
	secret.Do(func() { result, m, err = r.fob().Resync(p, need, now) })
	switch {
	case err != nil:
		return asError(err)
	case result == fob.Unfit && r.Type == fob.Yubico:
		return failure(Conflict, "fob", "the fob %q needs no resync: its passcodes tell their counter", r.Serial)
	case result == fob.Unfit:
		return failure(Invalid, "passcode", "%d passcodes in a row, of %d digits each, are needed", need, r.Digits)
	}
	*tries++
	if result != fob.Accepted {
		return storedError{failure(Refused, "passcode", "the passcodes do not follow one another within %d steps", fob.ResyncSteps)}
	}
	r.moved(m)
	return nil
}
