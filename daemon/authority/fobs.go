package authority

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// Seed is a fob to import. Missing values are not guessed here, but for these:
// Algorithm is SHA1, Digits 6 and Period 30 where they are zero and the type has
// them.
type Seed struct {
	Serial    string   // 1 to 64 characters; found in capitals and small letters alike
	Type      fob.Type // hotp, totp or yubico
	Secret    []byte   // hotp and totp 10 to 64 bytes, yubico 16; wiped by nobody but the caller
	Algorithm otp.Algorithm
	Digits    int
	Period    int // seconds
	// Counter is the first counter that may be accepted; of yubico fobs
	// session*256 + use; 0 for totp.
	Counter   uint64
	PublicID  []byte // yubico: 6 bytes
	PrivateID []byte // yubico: 6 bytes
	Maker     string // up to 256 characters
	Model     string // up to 256 characters
	Start     time.Time
	Expiry    time.Time
	Drift     int // totp: time steps that the fob is ahead, up to 1,000 either way
}

// RowOutcome is what became of a row of an import.
type RowOutcome string

// The outcomes of a row.
const (
	RowAdded    RowOutcome = "added"
	RowSame     RowOutcome = "same"     // known, and nothing was changed: not even the counter
	RowConflict RowOutcome = "conflict" // known, with another secret or other settings
	RowRefused  RowOutcome = "refused"  // no fob that passcodes can be verified of
)

// Row is what became of a row of an import.
type Row struct {
	Serial  string
	Outcome RowOutcome
	Field   string // what a conflict or a refusal is about
	Problem string // and why: lower case, no full stop, no secret
}

// Fob is a fob, without its seed.
type Fob struct {
	ID        string
	Serial    string
	Type      fob.Type
	State     fob.State
	Algorithm otp.Algorithm
	Digits    int
	Period    int    // seconds
	PublicID  string // modhex
	Maker     string
	Model     string
	Start     time.Time
	Expiry    time.Time
	Counter   uint64 // the lowest counter, step, or session*256+use that may be accepted
	Drift     int    // time steps
	Users     []FobUser
	Added     time.Time
	Used      time.Time // when a passcode was last accepted; zero if never
	// Throttled is until when single passcodes are refused; zero if they are not.
	Throttled time.Time
}

// FobUser is a user of a fob. Authority is the id of the one he belongs to.
type FobUser struct{ ID, Name, Authority string }

// FobQuery says which fobs to list, in the order of their serial numbers. All
// that is set must hold.
type FobQuery struct {
	Prefix string    // of the serial number
	User   string    // name or id
	State  fob.State // "" is any
	Maker  string    // as imported, in capitals or small letters; "" is any
	After  string    // Next of the page before
	Limit  int       // 1 to MaxPage; MaxPage if 0
	// Within leaves out fobs none of whose users is of such an authority; nil leaves
	// out none.
	Within func(authority string) bool
}

// FobPage is a page of fobs.
type FobPage struct {
	Fobs []Fob
	// Next is where the next page begins; empty on the last.
	Next string
}
