// Package drill uses every account of an opened container once, in memory: it
// opens each secret and makes a code of it. What passes that can be restored;
// nothing less shows it.
//
// Codes and secrets do not leave the package. Callers that mind copies in memory
// call it inside secret.Do of daemon/secret.
package drill

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// State is what became of one account.
type State string

// The states of an account.
const (
	Proved State = "proved" // its secret was opened, and a code was made of it
	Sealed State = "sealed" // of the touch class, and the touch key was not there
	Absent State = "absent" // a managed account: its secret is in no backup
	Broken State = "broken" // it does not open, or no code can be made of it
)

// Outcome is what became of one account.
type Outcome struct {
	State State
	// Problem says why an account is Broken; it quotes nothing.
	Problem string
}

// Visit is called with each secret while it is open, by the account's place in
// the container. It must not keep the secret.
type Visit func(i int, secret []byte)

// Prove uses every account of c as at would, in the container's order. touchKey
// opens those of the touch class and may be nil; visit may be nil.
func Prove(c *archive.Contents, touchKey []byte, at time.Time, visit Visit) []Outcome {
	records := c.Session().Records
	out := make([]Outcome, len(records))
	for i := range records {
		out[i] = prove(&records[i], touchKey, at, func(secret []byte) {
			if visit != nil {
				visit(i, secret)
			}
		})
	}
	return out
}

func prove(r *archive.Record, touchKey []byte, at time.Time, visit func([]byte)) Outcome {
	secret := r.Secret
	switch {
	case r.Inactive:
		return Outcome{State: Absent}
	case r.Touch != nil && touchKey == nil:
		return Outcome{State: Sealed}
	case r.Touch != nil:
		var err error
		if secret, err = archive.Decrypt(r.Touch, touchKey); err != nil {
			return Outcome{Broken, "its secret does not open"}
		}
		defer clear(secret)
	}
	if err := code(r, secret, at); err != nil {
		return Outcome{Broken, "no code can be made of it: " + err.Error()}
	}
	visit(secret)
	return Outcome{State: Proved}
}

// code makes a code and forgets it.
func code(r *archive.Record, secret []byte, at time.Time) error {
	p := otp.Params{Type: otp.Type(r.Type), Algorithm: otp.Algorithm(r.Algorithm), Digits: r.Digits, Period: r.Period, Counter: r.Counter}
	var err error
	if p.Type == otp.TypeHOTP {
		_, err = otp.HOTP(secret, p, r.Counter)
	} else {
		_, err = otp.TOTP(secret, p, at)
	}
	return err
}

// Count is how many outcomes have a state.
func Count(list []Outcome, s State) (n int) {
	for _, o := range list {
		if o.State == s {
			n++
		}
	}
	return n
}
