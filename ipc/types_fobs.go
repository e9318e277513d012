package ipc

// FobType says how a fob makes its passcodes.
type FobType string

// The types of fobs.
const (
	FobHOTP   FobType = "hotp"   // RFC 4226: by a counter
	FobTOTP   FobType = "totp"   // RFC 6238: by the time
	FobYubico FobType = "yubico" // Yubico OTP: modhex, as a keyboard
)

// FobState says whether passcodes of a fob are good for anything.
type FobState string

// The states of a fob.
const (
	FobUnassigned FobState = "unassigned" // nobody's
	FobActive     FobState = "active"
	FobDisabled   FobState = "disabled" // for a while
	FobLost       FobState = "lost"
)

// Fob is a hardware OTP token, as an authority knows it, without its seed.
type Fob struct {
	ID     string   `json:"id"`
	Serial string   `json:"serial"`
	Type   FobType  `json:"type"`
	State  FobState `json:"state"`
	// Algorithm is "SHA1", "SHA256" or "SHA512"; empty of Yubico OTP fobs.
	Algorithm string `json:"algorithm,omitempty"`
	Digits    int    `json:"digits,omitempty"`
	Period    int    `json:"period,omitempty"`    // seconds; totp
	PublicID  string `json:"public_id,omitempty"` // modhex; yubico
	Maker     string `json:"maker,omitempty"`
	Model     string `json:"model,omitempty"`
	Start     Time   `json:"start,omitzero"`  // from when passcodes are accepted
	Expiry    Time   `json:"expiry,omitzero"` // until when
	// Counter is the lowest that may be accepted: of totp the time step, of yubico
	// 256 times the session, and the use.
	Counter uint64    `json:"counter"`
	Drift   int       `json:"drift,omitempty"` // time steps that it is ahead; totp
	Users   []FobUser `json:"users"`
	Added   Time      `json:"added"`
	// Used is when a passcode was last accepted; absent if never.
	Used Time `json:"used,omitzero"`
	// Throttled is until when single passcodes are refused; absent if they are not.
	Throttled Time `json:"throttled,omitzero"`
}

// FobUser is a user of a fob.
type FobUser struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// FobQuery says which fobs to list, in the order of their serial numbers. All
// that is set must hold.
type FobQuery struct {
	Prefix string   `json:"prefix,omitempty"` // of the serial number
	User   string   `json:"user,omitempty"`   // name or id
	State  FobState `json:"state,omitempty"`
	Maker  string   `json:"maker,omitempty"`
	After  string   `json:"after,omitempty"` // Next of the page before
	Limit  int      `json:"limit,omitempty"` // 1 to 1,000; 1,000 when 0
}

// FobPage is a page of fobs.
type FobPage struct {
	Version int   `json:"version"`
	Fobs    []Fob `json:"fobs"`
	// Next is where the next page begins; empty on the last.
	Next string `json:"next,omitempty"`
}

// MaxFobRows is how many fobs an ImportFobsRequest may have.
const MaxFobRows = 1000

// NewFob is a fob to be imported.
type NewFob struct {
	Serial string  `json:"serial"` // 1 to 64 characters; found in capitals and small letters alike
	Type   FobType `json:"type"`
	// Secret is the key in base64 (RFC 4648, section 4, with padding): 10 to 64
	// bytes, the AES key of a Yubico OTP fob 16.
	Secret    Secret `json:"secret"`
	Algorithm string `json:"algorithm,omitempty"` // SHA1 when empty
	Digits    int    `json:"digits,omitempty"`    // 6 when 0
	Period    int    `json:"period,omitempty"`    // seconds; 30 when 0
	// Counter is the first that may be accepted; of yubico fobs 256 times the
	// session, and the use; 0 of totp.
	Counter   uint64 `json:"counter,omitempty"`
	PublicID  string `json:"public_id,omitempty"`  // yubico: 12 letters of modhex
	PrivateID Secret `json:"private_id,omitempty"` // yubico: 6 bytes in base64
	Maker     string `json:"maker,omitempty"`
	Model     string `json:"model,omitempty"`
	Start     Time   `json:"start,omitzero"`
	Expiry    Time   `json:"expiry,omitzero"`
	Drift     int    `json:"drift,omitempty"` // totp: time steps that it is ahead
}

// ImportFobsRequest brings in a page of at most MaxFobRows fobs, unassigned. A row
// that is refused hinders no other.
type ImportFobsRequest struct {
	Fobs []NewFob `json:"fobs"`
	// Apply stores the fobs; without it the answer is what that would do.
	Apply bool `json:"apply,omitempty"`
}

// FobOutcome is what becomes of a row of an import.
type FobOutcome string

// The outcomes of a row.
const (
	FobAdded    FobOutcome = "added"
	FobSame     FobOutcome = "same"     // known, and nothing is changed: not even the counter
	FobConflict FobOutcome = "conflict" // known, with another secret or other settings
	FobRefused  FobOutcome = "refused"  // no fob that passcodes can be verified of
)

// FobRow is what becomes of a row of an import.
type FobRow struct {
	Serial  string     `json:"serial"`
	Outcome FobOutcome `json:"outcome"`
	Field   string     `json:"field,omitempty"`   // what a conflict or a refusal is about
	Problem string     `json:"problem,omitempty"` // and why
}

// ImportFobsResult is what becomes of the rows, in their order.
type ImportFobsResult struct {
	Version int      `json:"version"`
	Rows    []FobRow `json:"rows"`
	Applied bool     `json:"applied"`
}

// AssignFobRequest gives a fob to a user. It may have other users already.
type AssignFobRequest struct {
	User string `json:"user"` // name or id
}

// UnassignFobRequest takes a fob from a user, or from all its users.
type UnassignFobRequest struct {
	User string `json:"user,omitempty"` // name or id; all when empty
}

// ReplaceFobRequest names the fob that comes in place of another.
type ReplaceFobRequest struct {
	With string `json:"with"` // serial number or id; nobody's, and not lost
}

// ResyncFobRequest has passcodes that follow one another on the fob.
type ResyncFobRequest struct {
	// User must be one of the fob's users, by name or id, unless it is empty.
	User string `json:"user,omitempty"`
	// Passcodes are as they were typed, in one text.
	Passcodes Secret `json:"passcodes"`
}

// BurnFobsRequest uses up passcodes that may have been accepted before the
// registry was set back by an old copy or a snapshot of the machine.
type BurnFobsRequest struct {
	Serial string `json:"serial,omitempty"` // or id; all fobs when empty
	// Margin is how many passcodes, of yubico fobs how many times of being plugged
	// in, are skipped, up to 1,000; totp fobs are raised to now.
	Margin uint64 `json:"margin"`
}

// BurnFobsResult says how many fobs were raised.
type BurnFobsResult struct {
	Version int `json:"version"`
	Raised  int `json:"raised"`
}
