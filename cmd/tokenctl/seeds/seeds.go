// Package seeds reads the files in which makers of hardware OTP tokens, fobs, hand
// out their seeds, and in which other servers keep them: bytes and perhaps a key in,
// rows and skips out. It opens no file, asks nobody but through Options, and speaks
// to no daemon.
//
// A format is one file with one type that implements format, and a line in formats;
// its tests are one file too. What a file is, its content decides, not its name.
//
// Nothing is lost in silence: whatever in a file looks like a fob becomes a Fob,
// perhaps with warnings, or a Skip with its reason. Rows are handed out while the
// file is read, so that a long one needs little memory; an error can therefore come
// after rows, and says that the file as a whole is not to be trusted: read it once
// to look (with an empty Sink), and again to take. No row, skip, note, warning or
// error repeats a secret.
//
// Decoding XML and CSV leaves copies of secrets in memory that cannot be wiped; the
// program that imports this package is expected to end soon.
package seeds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds on a file. PSKC takes some 900 bytes a fob, and twice that encrypted.
const (
	// MaxFile is the largest file that Read takes, in bytes.
	MaxFile = 256 << 20
	// MaxRows is how many rows and skips Read makes of one file.
	MaxRows = 1_000_000
)

// DefaultMinSecret is how many bytes the seed of a HOTP or TOTP fob needs, unless
// Options say otherwise. RFC 4226 asks for 16; the first fobs had less.
const DefaultMinSecret = 10

// The types of fobs.
const (
	TypeHOTP   = "hotp"
	TypeTOTP   = "totp"
	TypeYubico = "yubico"
)

// Secret is the key of a fob, as bytes. It prints as [secret].
type Secret []byte

// Format hides the secret from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalJSON refuses: a row is shown without its secret.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errors.New("cannot encode a secret") }

// Wipe overwrites the secret with zeros.
func (s Secret) Wipe() { clear(s) }

// Fob is a row of a file.
type Fob struct {
	// Where it stands in the file, such as "line 3".
	Where string
	// Serial is 1 to 64 printable characters.
	Serial string
	// Type is "hotp", "totp" or "yubico".
	Type string
	// Secret is the seed, 10 to 64 bytes; or the AES key of Yubico OTP, 16 bytes.
	Secret Secret
	// Algorithm is "SHA1", "SHA256" or "SHA512"; empty for yubico.
	Algorithm string
	// Digits is 6, 7 or 8; 0 for yubico.
	Digits int
	// Period is 1 to 300 seconds for totp, else 0.
	Period int
	// Counter is the next counter of hotp.
	Counter uint64
	// Drift is how many steps the clock of a totp fob is ahead of Unix time divided
	// by Period. It is beyond any drift where a fob counts from another day than
	// 1970-01-01; see SafeWord.
	Drift int64
	// PublicID and PrivateID are those of Yubico OTP, 6 bytes each.
	PublicID  []byte
	PrivateID Secret
	// Maker and Model are empty where the file does not tell.
	Maker, Model string
	// Start and Expiry bound the time in which the fob may be used; zero where the
	// file sets no bound.
	Start, Expiry time.Time
	// Users are the names that the file gives as the fob's, as they stand there.
	Users []string
	// Warnings are for people: what is odd about the row, and what was done about it.
	Warnings []string
}

// Wipe overwrites the secrets of the row.
func (f *Fob) Wipe() {
	f.Secret.Wipe()
	f.PrivateID.Wipe()
}

// Skip is a fob that could not be read, or must not be used.
type Skip struct {
	Where  string
	Serial string // where known
	// Field is the column or element that is at fault; empty where it is all of it.
	Field string
	// Reason is lower case, without full stop.
	Reason string
}

// Sink takes what is read, in the order of the file but for skips of encrypted
// values, which may come late. What is nil is counted and dropped. An error ends the
// reading, and is returned by it.
type Sink struct {
	// Fob may keep the row; whoever keeps it wipes it.
	Fob  func(Fob) error
	Skip func(Skip) error
}

// Summary is what is known of a file when it was read.
type Summary struct {
	// Format names the kind of file.
	Format string
	Fobs   int
	Skips  int
	// Untold says that a row did not tell its type, and Options.Type neither: it was
	// taken for hotp.
	Untold bool
	// Notes are facts about the file as a whole, such as a signature that was not
	// checked.
	Notes []string
}

// Question says what key is asked for.
type Question struct {
	// Format is the kind of file.
	Format string
	// Passphrase says that the key is derived of a passphrase; else it is a
	// pre-shared key: its bytes, or hexadecimal or base64 of them.
	Passphrase bool
	// Name is how the file calls the key, or empty.
	Name string
}

// Options are what reading may need from the caller. The zero value is fit for use.
type Options struct {
	// Key is asked at most once for a file, when the first encrypted value is met;
	// what it returns is wiped. Where it is nil, an encrypted file is a KeyNeeded.
	Key func(context.Context, Question) ([]byte, error)
	// Type is what a row is that does not tell: TypeHOTP or TypeTOTP. Where it is
	// empty, such a row is hotp, as OATH's CSV has it, and the notes say so.
	Type string
	// Encoding is how tables write their seeds: "hex", "base32" or "base64". Where it
	// is empty, hex and base32 are told apart by the table as a whole.
	Encoding string
	// Algorithm, Digits and Period are what a row has that does not tell; where they
	// are empty, SHA1 (in lists, the hash that fits the length of the seed), 6 and 30.
	Algorithm string
	Digits    int
	Period    int
	// MinSecret is the shortest seed of hotp and totp that is taken, in bytes;
	// DefaultMinSecret where it is 0.
	MinSecret int

	maxRounds int // of PBKDF2, for tests; the constant where it is 0
}

// check refuses options that no file could satisfy.
func (o Options) check() error {
	switch {
	case o.Type != "" && o.Type != TypeHOTP && o.Type != TypeTOTP:
		return errors.New("the type of rows that do not tell must be hotp or totp")
	case o.Encoding != "" && o.Encoding != encodingHex && o.Encoding != encodingBase32 && o.Encoding != encodingBase64:
		return errors.New("the encoding of seeds must be hex, base32 or base64")
	case o.Algorithm != "" && hashName(o.Algorithm) == "":
		return errors.New("the hash must be SHA1, SHA256 or SHA512")
	case o.Digits != 0 && (o.Digits < minDigits || o.Digits > maxDigits):
		return fmt.Errorf("the digits must be %d to %d", minDigits, maxDigits)
	case o.Period < 0 || o.Period > maxPeriod:
		return fmt.Errorf("the period must be 1 to %d seconds", maxPeriod)
	case o.MinSecret < 0 || o.MinSecret > maxSecret:
		return fmt.Errorf("the shortest seed must be 1 to %d bytes", maxSecret)
	}
	return nil
}

// confidence is how sure a format is that a file is its own.
type confidence int

const (
	no     confidence = iota
	maybe             // nothing speaks against it
	likely            // it has the shape
	sure              // it has names that no other file has
)

// format reads one kind of file.
type format interface {
	// Name is the kind of file.
	Name() string
	// Detect looks at the content alone.
	Detect(f *file) confidence
	// Read hands what it finds to c. Its errors are *Error, or of the context, the
	// sink, or Options.Key.
	Read(ctx context.Context, f *file, c *collector) error
}

// formats is every format.
func formats() []format {
	return []format{pskc{}, safeNet{}, safeWord{}, yubicoLog{}, yubicoCSV{}, table{}, list{}}
}

// Formats names every format.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.Name())
	}
	return names
}

// Read finds out what a file is and hands its rows to the sink. A file of which
// every row is skipped is no error; one in which nothing looks like a fob is an
// *Error. What data holds is neither changed nor kept.
func Read(ctx context.Context, data []byte, o Options, to Sink) (Summary, error) {
	if err := o.check(); err != nil {
		return Summary{}, err
	}
	if len(data) > MaxFile {
		return Summary{}, problem(TooLarge, "", "the file has more than %d MiB", MaxFile>>20)
	}
	if err := odd(data); err != nil {
		return Summary{}, err
	}
	f, err := open(data)
	if err != nil {
		return Summary{}, err
	}
	best, level := format(nil), no
	for _, known := range formats() {
		if l := known.Detect(f); l > level {
			best, level = known, l
		}
	}
	if best == nil {
		return Summary{}, unknown(f)
	}
	c := collect(best.Name(), o, to)
	if f.old {
		c.note("the file is not in UTF-8; it was read as Windows-1252: look at names with letters beyond A to Z")
	}
	if err := best.Read(ctx, f, c); err != nil {
		return c.summary(), err
	}
	if c.fobs+c.skips == 0 {
		return c.summary(), problem(NoFobs, best.Name(), "there are no fobs in the file")
	}
	return c.summary(), nil
}

// odd tells files apart that have to be opened by something else first.
func odd(data []byte) error {
	begins := func(magic string) bool { return bytes.HasPrefix(data, []byte(magic)) }
	switch {
	case len(bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))) == 0, len(bytes.Trim(data, "\x00")) == 0:
		return problem(Empty, "", "there is nothing in the file")
	case begins("PK\x03\x04"):
		return problem(Packed, "", "the file is a ZIP archive or a spreadsheet, and has to be unpacked, or saved as CSV, first")
	case begins("\x1f\x8b"), begins("7z\xbc\xaf\x27\x1c"), begins("Rar!"), begins("BZh"), begins("\xfd7zXZ"):
		return problem(Packed, "", "the file is a packed archive, and has to be unpacked first")
	case begins("\xd0\xcf\x11\xe0"):
		return problem(Packed, "", "the file is a spreadsheet or document, and has to be saved as CSV first")
	case begins("-----BEGIN PGP MESSAGE"), begins("\x85\x01\x0c\x03"), begins("\x85\x02\x0c\x03"), begins("\x84\x5e\x03"), begins("\xc1\xc0\x4c\x03"):
		return problem(Packed, "", "the file is encrypted with OpenPGP, and has to be decrypted first")
	case begins("age-encryption.org/"), begins("-----BEGIN AGE ENCRYPTED FILE"):
		return problem(Packed, "", "the file is encrypted with age, and has to be decrypted first")
	case begins("Salted__"), begins("-----BEGIN PKCS7"), begins("-----BEGIN CMS"):
		return problem(Packed, "", "the file is encrypted with OpenSSL, and has to be decrypted first")
	case begins("%PDF"):
		return problem(Packed, "", "the file is a PDF")
	}
	return nil
}
