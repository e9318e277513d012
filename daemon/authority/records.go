package authority

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// ID names a user or a fob in the audit and elsewhere outside the registry. A
// user's is random; a fob's is where its record lies, and the same as long as the
// authority key is.
type ID store.Key

// String is 32 digits, base 16.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

func newID() (id ID) {
	_, _ = rand.Read(id[:]) // it never fails (Go 1.24)
	return id
}

func parseID(s string) (id ID, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, false
	}
	copy(id[:], b)
	return id, true
}

// fold makes equal what people take for the same name or serial number.
func fold(s string) string { return strings.ToLower(norm.NFC.String(s)) }

// The records as they are stored. Numbers are never used again for other things.

type profileRecord struct {
	ID      string    `cbor:"1,keyasint"`
	Name    string    `cbor:"2,keyasint"`
	Contact string    `cbor:"3,keyasint,omitempty"`
	Portal  string    `cbor:"4,keyasint,omitempty"`
	Created time.Time `cbor:"5,keyasint"`
}

func recordOf(p Profile) profileRecord { return profileRecord(p) }

func (r profileRecord) profile() Profile {
	p := Profile(r)
	p.Created = p.Created.UTC()
	return p
}

type keyslotsRecord struct {
	File []byte `cbor:"1,keyasint"`
}

type userRecord struct {
	Authority string    `cbor:"1,keyasint"`
	Name      string    `cbor:"2,keyasint"`
	Display   string    `cbor:"3,keyasint,omitempty"`
	Email     string    `cbor:"4,keyasint,omitempty"`
	Logins    []string  `cbor:"5,keyasint,omitempty"`
	Roles     []Role    `cbor:"6,keyasint,omitempty"`
	Disabled  bool      `cbor:"7,keyasint,omitempty"`
	Fobs      []ID      `cbor:"8,keyasint,omitempty"`
	Created   time.Time `cbor:"9,keyasint"`
	Lifts     uint64    `cbor:"10,keyasint,omitempty"` // how often his failures with passcodes were lifted
}

type fobRecord struct {
	Serial    string        `cbor:"1,keyasint"`
	Type      fob.Type      `cbor:"2,keyasint"`
	State     fob.State     `cbor:"3,keyasint"`
	Secret    []byte        `cbor:"4,keyasint"`
	Algorithm otp.Algorithm `cbor:"5,keyasint,omitempty"`
	Digits    int           `cbor:"6,keyasint,omitempty"`
	Period    int           `cbor:"7,keyasint,omitempty"`
	PublicID  []byte        `cbor:"8,keyasint,omitempty"`
	PrivateID []byte        `cbor:"9,keyasint,omitempty"`
	Start     time.Time     `cbor:"10,keyasint"`
	Expiry    time.Time     `cbor:"11,keyasint"`
	Counter   uint64        `cbor:"12,keyasint"`
	Drift     int           `cbor:"13,keyasint,omitempty"`
	Synced    int           `cbor:"14,keyasint,omitempty"`
	Maker     string        `cbor:"15,keyasint,omitempty"`
	Model     string        `cbor:"16,keyasint,omitempty"`
	Users     []ID          `cbor:"17,keyasint,omitempty"`
	Added     time.Time     `cbor:"18,keyasint"`
	Used      time.Time     `cbor:"19,keyasint"`
	Failures  throttle      `cbor:"20,keyasint"`
	Resyncs   [2]int        `cbor:"21,keyasint"` // since ResyncDay: self-service, attended
	ResyncDay time.Time     `cbor:"22,keyasint"`
	Lifts     int           `cbor:"23,keyasint,omitempty"` // of failures, since LiftDay
	LiftDay   time.Time     `cbor:"24,keyasint"`
}

func (r *fobRecord) fob() *fob.Fob {
	return &fob.Fob{
		Serial: r.Serial, Type: r.Type, State: r.State, Secret: r.Secret, Algorithm: r.Algorithm, Digits: r.Digits, Period: r.Period,
		PublicID: r.PublicID, PrivateID: r.PrivateID, Start: r.Start, Expiry: r.Expiry,
		Moving: fob.Moving{Counter: r.Counter, Drift: r.Drift, Synced: r.Synced},
	}
}

func (r *fobRecord) moved(m fob.Moving) { r.Counter, r.Drift, r.Synced = m.Counter, m.Drift, m.Synced }

func (r *fobRecord) wipe() {
	clear(r.Secret)
	clear(r.PrivateID)
}
