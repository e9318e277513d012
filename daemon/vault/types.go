package vault

import (
	"context"
	"io"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// Options says where a vault lives and what it is given from outside.
type Options struct {
	// Dir is the vault's own folder; it is made, mode 0700, when missing.
	Dir string
	// PinFile is the file that says which vault is the right one. It lies
	// outside Dir; its folder is made when missing.
	PinFile string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Rand gives ids, signing and journal keys; crypto/rand when nil. age and
	// HPKE draw from crypto/rand by themselves.
	Rand io.Reader
	// KeepGenerations is how many earlier generations of the same epoch are
	// kept; 8 when 0.
	KeepGenerations int
	// ScryptLogN is the work factor of new recovery passwords; 18 when 0.
	ScryptLogN int
	// FS is the file system; the real one when nil.
	FS FS
	// OnWrite, where set, is told of every generation that was written. It must
	// neither wait nor call the vault.
	OnWrite func(Write)
}

// Exchange does one Diffie-Hellman between the token's private key for k and
// peer, in the encodings of tokens.Driver.Agree. Its errors come back wrapped.
type Exchange func(ctx context.Context, k tokens.Key, peer []byte) ([]byte, error)

// Way is one way to open a class: a keyslot with an Exchange, or the recovery
// password, or the recovery key (AGE-SECRET-KEY-1…). Exactly one must be set;
// the vault neither keeps nor wipes what is in it.
type Way struct {
	SlotID      string
	Exchange    Exchange
	Password    []byte
	RecoveryKey []byte
}

// IsZero says that no way is given.
func (w Way) IsZero() bool {
	return w.SlotID == "" && w.Exchange == nil && w.Password == nil && w.RecoveryKey == nil
}

// NewSlot is a keyslot to be made. Exchange is used once for each of the
// enrolment's classes, to see that the slot opens before it is committed.
type NewSlot struct {
	// ID is 1 to 64 of a-z, 0-9 and '-'; made up when empty.
	ID string
	// Label is what the user calls the token; it is sealed with the accounts.
	Label      string
	Enrollment tokens.Enrollment
	Exchange   Exchange
}

// Slot is a keyslot.
type Slot struct {
	ID   string
	Kind tokens.Kind
	// Label is what the user calls the token; in a Head, where nothing is
	// open yet, it is the same as Description.
	Label string
	// Description is model and serial, readable without any key.
	Description string
	Model       string
	Serial      string
	Added       time.Time
	Keys        []tokens.Key
	// KeyFile is the sealed key file of a software token; nil for hardware, and
	// where the vault came from a backup.
	KeyFile []byte
}

// Key returns the slot's key for a class.
func (s Slot) Key(c tokens.Class) (tokens.Key, bool) {
	for _, k := range s.Keys {
		if k.Class == c {
			return k, true
		}
	}
	return tokens.Key{}, false
}

// Head is what can be read of a vault without any key. Nothing of it has been
// authenticated: it serves for finding a keyslot and for nothing else.
type Head struct {
	VaultID    string
	Epoch      uint64
	Generation uint64
	Written    time.Time
	// Signer is the Ed25519 public key, hexadecimal, that the file names.
	Signer string
	// Signed are the signers before it, as far back as the file tells.
	Signed []string
	Slots  []Slot
	// RecoverySet is when the recovery password was set; zero if never.
	RecoverySet time.Time
	// Problem is what is wrong with the newest generation; the rest is then of
	// the one before. Nil when all is well.
	Problem error
}

// The kinds of account.
const (
	ThirdParty = "third-party" // the user's own at some service
	Managed    = "managed"     // issued by an authority; its secret is in no backup
)

// Account is an account without its secret.
type Account struct {
	ID     string // random and stable: 16 hexadecimal digits
	Issuer string // at most 256 bytes
	Name   string // 1 to 256 bytes
	Note   string // at most 2,048 bytes
	Kind   string // ThirdParty (the same as empty) or Managed
	Class  tokens.Class
	// Type is "totp", "hotp" or "steam"; totp when empty.
	Type string
	// Algorithm is "SHA1", "SHA256" or "SHA512"; SHA1 when empty.
	Algorithm string
	Digits    int // 5 to 10; 6 when 0
	// Period is in seconds, 1 to 86,400, for totp and steam; 30 when 0.
	Period int
	// Counter is the next HOTP counter, hotp only.
	Counter uint64
	Created time.Time // whole seconds
	// NoExport says that the secret is not to be exported.
	NoExport bool
	// Inactive says that the secret is not on this device.
	Inactive bool
}

// NewAccount is an account to be added. ID, Created and Inactive are ignored,
// zero values become the defaults; Secret has 1 to 512 bytes and is copied.
type NewAccount struct {
	Account
	Secret []byte
}

// BackupInfo says what a backup is.
type BackupInfo struct {
	VaultID    string
	Epoch      uint64
	Generation uint64
	Written    time.Time
	Signer     string
	SHA256     string // of the bytes, hexadecimal
	// Slots are the keyslots that open it, RecoverySet tells whether a recovery
	// password does.
	Slots       []Slot
	RecoverySet time.Time
}

// Contents is what a backup holds.
type Contents struct {
	BackupInfo
	Accounts []Account
	// SignerProved says that the way it was opened vouches for the signer: the
	// recovery password does, a token alone cannot.
	SignerProved bool
}

// Recovery says what is damaged and what the last good generation has.
type Recovery struct {
	Damaged bool
	// Problem is nil when nothing is wrong.
	Problem    error
	Generation uint64 // of the last good one
	Written    time.Time
	Signer     string
	Accounts   []Account
	// Lost says what is known of the changes after that generation, for people.
	Lost    []string
	Applied bool
	// Kept is where the damaged file was put, when it was.
	Kept string
}

// RevokeInfo says what revoking a keyslot left.
type RevokeInfo struct {
	Revoked Slot
	Epoch   uint64
	// RecoveryOnly names the classes that only the recovery password opens now.
	RecoveryOnly []tokens.Class
}
