package archive

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// The values of an account's fields.
const (
	ThirdParty = "third-party"
	Managed    = "managed"
)

// Account is an account without its secret, all fields set.
type Account struct {
	ID        string // 16 hexadecimal digits
	Issuer    string
	Name      string
	Note      string
	Kind      string // ThirdParty or Managed
	Class     string // ClassSession or ClassTouch
	Type      string // "totp", "hotp", "steam"
	Algorithm string // "SHA1", "SHA256", "SHA512"
	Digits    int
	Period    int    // seconds; 0 for hotp
	Counter   uint64 // the next one; hotp only
	Created   time.Time
	// NoExport says that the secret is not to be exported.
	NoExport bool
	// Inactive says that the secret is not in the container: a managed
	// account's in a backup.
	Inactive bool
}

// Record is an account with what stands for its secret: Secret for the session
// class, Touch (an age file to the touch key) for the touch class, neither when
// it is inactive. Tag (see Tagger) goes with Touch, and may be missing. Issued is
// nil for what no authority has issued.
type Record struct {
	Account
	Secret []byte
	Touch  []byte
	Tag    string
	Issued *Issued
}

// Issued is what a managed account's backups have instead of its secret.
type Issued struct {
	// Authority is the descriptor of who issued it, up to MaxDescriptor bytes.
	Authority []byte
	// Account is the authority's id of the account, 1 to 64 of a-z, 0-9 and -.
	Account string
	// Key is the seed of the account's reactivation key, 32 bytes. It is secret.
	Key []byte
}

// Check says what of it is outside the format's bounds.
func (i *Issued) Check() error {
	switch {
	case len(i.Authority) < 1 || len(i.Authority) > MaxDescriptor:
		return fmt.Errorf("account: an authority's descriptor has 1 to %d bytes", MaxDescriptor)
	case !ValidSlotID(i.Account):
		return fmt.Errorf("account: no id of the authority's")
	case len(i.Key) != issuedKey:
		return fmt.Errorf("account: a reactivation key has %d bytes", issuedKey)
	}
	return nil
}

func (r *Record) checkIssued() error {
	switch {
	case r.Issued == nil:
		return nil
	case r.Kind != Managed:
		return fmt.Errorf("account: issued, and not managed")
	}
	return r.Issued.Check()
}

// Wipe overwrites the record's secrets.
func (r *Record) Wipe() {
	clear(r.Secret)
	if r.Issued != nil {
		clear(r.Issued.Key)
	}
}

// Defaults fills in what is zero.
func (a *Account) Defaults() {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&a.Kind, ThirdParty)
	def(&a.Class, ClassSession)
	def(&a.Type, "totp")
	def(&a.Algorithm, "SHA1")
	if a.Digits == 0 {
		a.Digits = 6
		if a.Type == "steam" {
			a.Digits = 5
		}
	}
	if a.Period == 0 && a.Type != "hotp" {
		a.Period = 30
	}
}

// Check says what of an account is outside the format's bounds. The message
// quotes no secret and no name.
func (a *Account) Check() error {
	switch {
	case !isHex(a.ID, 8):
		return fmt.Errorf("account: no id")
	case a.Name == "" || !text(a.Name):
		return fmt.Errorf("account: a name has 1 to %d bytes of plain text", MaxName)
	case !text(a.Issuer):
		return fmt.Errorf("account: an issuer has at most %d bytes of plain text", MaxName)
	case !note(a.Note):
		return fmt.Errorf("account: a note has at most %d bytes of text", MaxNote)
	case a.Kind != ThirdParty && a.Kind != Managed:
		return fmt.Errorf("account: unknown kind")
	case a.Class != ClassSession && a.Class != ClassTouch:
		return fmt.Errorf("account: unknown class")
	case a.Created.Unix() < 0:
		return fmt.Errorf("account: no time of creation")
	}
	return a.checkParams()
}

func (a *Account) checkParams() error {
	switch {
	case a.Algorithm != "SHA1" && a.Algorithm != "SHA256" && a.Algorithm != "SHA512":
		return fmt.Errorf("account: unknown algorithm")
	case a.Digits < 5 || a.Digits > 10:
		return fmt.Errorf("account: %d digits, not 5 to 10", a.Digits)
	}
	switch a.Type {
	case "totp", "steam":
		if a.Period < 1 || a.Period > 86_400 || a.Counter != 0 {
			return fmt.Errorf("account: a period of %d s, or a counter that it cannot have", a.Period)
		}
	case "hotp":
		if a.Period != 0 {
			return fmt.Errorf("account: a period that hotp does not have")
		}
	default:
		return fmt.Errorf("account: unknown type")
	}
	return nil
}

// text says that s is valid UTF-8 of at most MaxName bytes without control
// characters.
func text(s string) bool {
	if len(s) > MaxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// note is text in which lines and tabs are allowed.
func note(s string) bool {
	if len(s) > MaxNote || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return true
}

// Label is text that may be empty: what the user calls a token.
func Label(s string) bool { return text(s) }
