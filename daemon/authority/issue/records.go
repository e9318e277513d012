package issue

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// The buckets. Ids are random or hashes of keys, and so are no names.
const (
	issuerBucket        = "issuer"        // one record under keysKey
	devicesBucket       = "devices"       // by device id
	accountsBucket      = "accounts"      // by id
	activationsBucket   = "activations"   // by id
	bypassBucket        = "bypass-codes"  // by id
	conversationsBucket = "conversations" // by id
	portfoliosBucket    = "portfolios"    // by the user's id: what there is of him
	securityKeysBucket  = "security-keys" // by a hash of the credential's id
	keysKey             = "keys"
)

func buckets() []string {
	return []string{issuerBucket, devicesBucket, accountsBucket, activationsBucket, bypassBucket, conversationsBucket, portfoliosBucket, securityKeysBucket}
}

// Bounds, of one user.
const (
	// MaxAccounts is how many managed accounts a user may have.
	MaxAccounts = 32
	// MaxDevices is how many devices, revoked ones too; the oldest of these go.
	MaxDevices = 32
	// MaxActivations is how many activations are kept, used ones too.
	MaxActivations = 32
	// MaxBypassCodes is how many bypass codes may be open at once.
	MaxBypassCodes = 8
	// MaxSecurityKeys is how many security keys a user may have: all of them fit one
	// message.
	MaxSecurityKeys = 8
	maxTalks        = 64
	maxHolders      = 48 // of one account, in any state
	maxKeys         = 8  // reactivation keys of one account
)

// The records. Numbers are never used again for other things.

type keysRecord struct {
	Seed []byte `cbor:"1,keyasint"`
	MAC  []byte `cbor:"2,keyasint"`
}

// State is the state of a device, an account, or of an account on a device.
type State string

// The states.
const (
	Pending State = "pending" // has a secret that was not proved
	Active  State = "active"
	Revoked State = "revoked"
)

type deviceRecord struct {
	Sign  [32]byte  `cbor:"1,keyasint"`
	Seal  [32]byte  `cbor:"2,keyasint"`
	User  string    `cbor:"3,keyasint"`
	Name  string    `cbor:"4,keyasint"`
	State State     `cbor:"5,keyasint"`
	First time.Time `cbor:"6,keyasint"`
	Last  time.Time `cbor:"7,keyasint"`
}

type accountRecord struct {
	User      string        `cbor:"1,keyasint"`
	Issuer    string        `cbor:"2,keyasint,omitempty"`
	Label     string        `cbor:"3,keyasint"`
	Algorithm otp.Algorithm `cbor:"4,keyasint"`
	Digits    int           `cbor:"5,keyasint"`
	Period    int           `cbor:"6,keyasint"`
	State     State         `cbor:"7,keyasint"`
	Created   time.Time     `cbor:"8,keyasint"`
	Keys      [][32]byte    `cbor:"9,keyasint,omitempty"` // reactivation keys
	Holders   []holder      `cbor:"10,keyasint,omitempty"`
}

// holder is an account on a device.
type holder struct {
	Device       message.ID `cbor:"1,keyasint"`
	Name         string     `cbor:"2,keyasint"` // the device's
	State        State      `cbor:"3,keyasint"`
	Secret       []byte     `cbor:"4,keyasint,omitempty"`
	Since        time.Time  `cbor:"5,keyasint"` // it is in this state
	Counter      uint64     `cbor:"6,keyasint"` // the lowest step that is accepted
	Drift        int        `cbor:"7,keyasint,omitempty"`
	Reactivation [32]byte   `cbor:"8,keyasint"`
	// Of a pending one:
	Until        time.Time  `cbor:"9,keyasint"`
	Conversation message.ID `cbor:"10,keyasint,omitzero"`
	OldDevice    string     `cbor:"11,keyasint,omitempty"`
	Tries        int        `cbor:"12,keyasint,omitempty"`
	Activation   message.ID `cbor:"13,keyasint,omitzero"`
	// Of a revoked one, until the device says that it forgot the secret:
	By string `cbor:"14,keyasint,omitempty"`
}

type activationRecord struct {
	Sum     [macSize]byte `cbor:"1,keyasint"`
	User    string        `cbor:"2,keyasint"`
	Account message.ID    `cbor:"3,keyasint"`
	By      string        `cbor:"4,keyasint"`
	Created time.Time     `cbor:"5,keyasint"`
	Expires time.Time     `cbor:"6,keyasint"`
	Device  message.ID    `cbor:"7,keyasint,omitzero"` // the first that used it
	State   CodeState     `cbor:"8,keyasint"`
}

type bypassRecord struct {
	Sum     [macSize]byte `cbor:"1,keyasint"`
	User    string        `cbor:"2,keyasint"`
	By      string        `cbor:"3,keyasint"`
	Created time.Time     `cbor:"4,keyasint"`
	Expires time.Time     `cbor:"5,keyasint"`
	State   CodeState     `cbor:"6,keyasint"`
}

// portfolio is what there is of a user.
type portfolio struct {
	Devices     []message.ID `cbor:"1,keyasint,omitempty"`
	Accounts    []message.ID `cbor:"2,keyasint,omitempty"`
	Activations []message.ID `cbor:"3,keyasint,omitempty"`
	Bypass      []message.ID `cbor:"4,keyasint,omitempty"`
	Talks       []talk       `cbor:"5,keyasint,omitempty"`
	Keys        []message.ID `cbor:"6,keyasint,omitempty"` // security keys
	// When remote verifiers were asked lately, in seconds since 1970: what disturbs
	// the user, and passcodes.
	Disturbed []int64 `cbor:"7,keyasint,omitempty"`
	Guessed   []int64 `cbor:"8,keyasint,omitempty"`
}

// talk is a conversation that is remembered.
type talk struct {
	ID   message.ID `cbor:"1,keyasint"`
	Keep time.Time  `cbor:"2,keyasint"` // as long as one of its requests may come again
	Rank int        `cbor:"3,keyasint"` // the lowest goes first
}

// get reads a record by its id.
func get[T any](tx *store.Tx, bucket string, id message.ID) (r T, found bool, err error) {
	found, err = tx.Get(bucket, id[:], &r)
	return r, found, err
}

func put(tx *store.Tx, bucket string, id message.ID, r any) error { return tx.Put(bucket, id[:], r) }

func parseID(s string) (id message.ID, ok bool) {
	b, err := hex.DecodeString(s)
	return id, err == nil && len(b) == len(id) && copy(id[:], b) == len(id)
}

// portfolioOf reads what there is of a user; of an id that is none, nothing.
func portfolioOf(tx *store.Tx, user string) (portfolio, error) {
	id, ok := parseID(user)
	if !ok {
		return portfolio{}, nil
	}
	p, _, err := get[portfolio](tx, portfoliosBucket, id)
	return p, err
}

// ofUser lists what show makes of the records of a user that ids picks from his
// portfolio, in that order. It fails with NotFound where there is no such user.
func ofUser[R, T any](i *Issuer, user, bucket string, ids func(portfolio) []message.ID, show func(*store.Tx, message.ID, R) (T, error)) ([]T, error) {
	var out []T
	err := i.store.View(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, user)
		if err != nil {
			return err
		}
		p, err := portfolioOf(tx, u.ID)
		if err != nil {
			return err
		}
		for _, id := range ids(p) {
			r, found, err := get[R](tx, bucket, id)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			shown, err := show(tx, id, r)
			if err != nil {
				return err
			}
			out = append(out, shown)
		}
		return nil
	})
	return out, err
}

func (p portfolio) put(tx *store.Tx, user string) error {
	id, ok := parseID(user)
	if !ok {
		return store.ErrDamaged
	}
	return put(tx, portfoliosBucket, id, p)
}

func (r *accountRecord) wipe() {
	for i := range r.Holders {
		clear(r.Holders[i].Secret)
	}
}

// find is the account on a device in a state; nil if it is not.
func (r *accountRecord) find(device message.ID, s State) *holder {
	for i := range r.Holders {
		if h := &r.Holders[i]; h.Device == device && h.State == s {
			return h
		}
	}
	return nil
}

// drop removes the account on a device in a state.
func (r *accountRecord) drop(device message.ID, s State) {
	r.Holders = slices.DeleteFunc(r.Holders, func(h holder) bool {
		gone := h.Device == device && h.State == s
		if gone {
			clear(h.Secret)
		}
		return gone
	})
}

// tidy removes secrets that were not proved in time.
func (r *accountRecord) tidy(now time.Time) {
	r.Holders = slices.DeleteFunc(r.Holders, func(h holder) bool { return h.State == Pending && !now.Before(h.Until) })
}

// revoke takes the account from a device, which is told when it asks.
func (h *holder) revoke(by string, now time.Time) {
	clear(h.Secret)
	*h = holder{Device: h.Device, Name: h.Name, State: Revoked, Since: now, By: shown(by, 128)}
}
