// Package transfer reads the files that other authenticators and password
// managers export, and makes accounts of them: bytes in, rows out; and writes some
// of those files. It opens no file, asks nobody but through Options, and speaks to
// no daemon.
//
// A format is one file with one type that implements Format, and a line in
// formats; its tests are one file too (docs/development.md, "A new import format").
// What a file is, its content decides, not its name. The order of formats decides
// nothing either: a test sees to it that no two take one file for theirs.
//
// Nothing is lost in silence: whatever in a file looks like an account becomes a
// Row, perhaps with warnings, or a Skip with its reason. A file that cannot be
// read as a whole is an *Error with a Kind. No row, skip, note, warning or error
// repeats a secret.
//
// Decoding JSON and XML leaves copies of secrets in memory that cannot be wiped;
// the program that imports this package is expected to end soon.
package transfer

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// MaxFile is the largest file that Read takes, in bytes. Exports with the icons
// of some hundred accounts have a few megabytes.
const MaxFile = 64 << 20

// maxCommas bounds the members of JSON and CSV, each of which takes memory far
// beyond its length. Icons, which make files large, have no commas.
const maxCommas = 4 << 20

// Secret is the key of an account, as bytes. It prints as [secret].
type Secret []byte

// Format hides the secret from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalJSON refuses: a row is shown without its secret, or sent with NewAccount.
func (s Secret) MarshalJSON() ([]byte, error) {
	return nil, errors.New("cannot encode a secret")
}

// Wipe overwrites the secret with zeros.
func (s Secret) Wipe() { clear(s) }

// Row is an account of a file. The daemon takes every Row: what it would refuse
// was skipped, and names it could not show were cleaned, with a warning.
type Row struct {
	// Where it stands in the file, such as "line 3" or "entry 12".
	Where  string
	Issuer string
	Name   string // never empty
	Note   string
	Group  string
	Tags   []string
	// Type is "totp", "hotp" or "steam".
	Type string
	// Algorithm is "SHA1", "SHA256" or "SHA512".
	Algorithm string
	Digits    int
	Period    int // seconds; 0 for hotp
	// Counter is the next counter, for hotp.
	Counter   uint64
	Secret    Secret
	Favourite bool
	// Order is the place that the file gives the row, where it gives one; else
	// the rows are in the order of the file.
	Order int
	// Warnings are for people: what is odd about the row, and was done about it.
	Warnings []string

	part string // of a Google export, as joinParts knows it again
}

// NewAccount is the row as the daemon takes it, in the class that the daemon
// chooses.
func (r Row) NewAccount() ipc.NewAccount {
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	secret := make(ipc.Secret, enc.EncodedLen(len(r.Secret)))
	enc.Encode(secret, r.Secret)
	a := ipc.NewAccount{
		Issuer: r.Issuer, Name: r.Name, Note: r.Note, Secret: secret,
		Type: r.Type, Algorithm: r.Algorithm, Digits: r.Digits, Period: r.Period,
	}
	if r.Type == typeHOTP {
		counter := r.Counter
		a.Counter = &counter
	}
	return a
}

// Skip is an account that could not be read, or a part of the file that is
// missing.
type Skip struct {
	Where  string
	Issuer string // where known
	Name   string // where known
	Reason string

	part string // as in Row
}

// Result is what a file holds.
type Result struct {
	// Format names the product and kind of file.
	Format  string
	Rows    []Row
	Skipped []Skip
	// Notes are facts about the file that make no account: what is in its trash,
	// what the product leaves out.
	Notes []string

	parts *migrationParts // of Google's exports, not yet looked at as a whole
}

// Wipe overwrites the secrets of all rows.
func (r *Result) Wipe() {
	for i := range r.Rows {
		r.Rows[i].Secret.Wipe()
	}
}

// Question says what a password is asked for.
type Question struct {
	// Format is the product and kind of file.
	Format string
	// What is the word that the product uses: "password", "backup password", …
	What string
	// Unsure says that the file does not tell which product encrypted it, and
	// Format is a guess.
	Unsure bool
}

// Work announces a slow step.
type Work struct {
	Format string
	// Memory is what it needs, in bytes.
	Memory uint64
}

// Options are what reading may need from the caller.
type Options struct {
	// Password is asked at most once for each encrypted layer of a file; what it
	// returns is wiped. Where it is nil, an encrypted file is a PasswordNeeded.
	Password func(context.Context, Question) ([]byte, error)
	// Progress is told of each slow key derivation before it begins. It may be nil.
	Progress func(Work)
	// MaxMemory bounds what a key derivation may take, in bytes; 1 GiB where it
	// is 0, which is what Ente asks for.
	MaxMemory uint64

	maxRounds uint64 // of PBKDF2, for tests; the constant where it is 0
}

// Confidence is how sure a format is that a file is its own.
type Confidence int

// The steps of Confidence.
const (
	No     Confidence = iota
	Maybe             // nothing speaks against it
	Likely            // it has the shape
	Sure              // it has names or a magic that no other file has
)

// Format reads one kind of file.
type Format interface {
	// Name is the product and, where it has several, the kind of file.
	Name() string
	// Detect looks at the content alone.
	Detect(f *File) Confidence
	// Read is called where Detect is not No. Its errors are *Error, or of the
	// context, or what Options.Password returned.
	Read(ctx context.Context, f *File, o Options) (Result, error)
}

// formats is every format.
func formats() []Format {
	return []Format{
		migration{}, addresses{}, aegis{}, twofas{}, bitwarden{}, ente{}, andOTP{}, freeOTP1{}, freeOTPPlus{}, freeOTP2{},
		stratum{}, raivo{}, lastPass{}, duo{}, steamGuard{}, proton{}, authy{}, totpAuthenticator{}, battleNet{},
		tables{}, onePassword{}, protonPass{}, plainList{}, extension{}, twofAuth{}, archived{}, picture{}, database{}, page{},
	}
}

// Formats names every format.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.Name())
	}
	return names
}

// Read finds out what a file is and reads it. name is the file's name without
// its folder; it decides nothing and is only kept for formats that want it in
// words. A Result without rows is no error where the file says what it left out;
// a file in which nothing looks like an account is an *Error.
func Read(ctx context.Context, data []byte, name string, o Options) (Result, error) {
	res, err := read(ctx, &File{Data: data, Name: name}, o)
	if err != nil {
		return res, err
	}
	return Join(res), nil
}

// Part is Read for one file of several: parts of one Google export can be spread
// over many. Only Join of all says which parts are missing.
func Part(ctx context.Context, data []byte, name string, o Options) (Result, error) {
	return read(ctx, &File{Data: data, Name: name}, o)
}

// Join makes one result of those of several files, in their order.
func Join(results ...Result) Result {
	c := collect("")
	var names []string
	for _, r := range results {
		if !slices.Contains(names, r.Format) && r.Format != "" {
			names = append(names, r.Format)
		}
		c.join(r, "")
	}
	c.Format = strings.Join(names, ", ")
	if c.parts != nil {
		c.parts.finish(c)
		c.parts = nil
	}
	return c.Result
}

func read(ctx context.Context, f *File, o Options) (Result, error) {
	if len(f.Data) > MaxFile {
		return Result{}, problem(TooLarge, "", "the file has more than %d MiB", MaxFile>>20)
	}
	if bytes.Count(f.Data, []byte{','}) > maxCommas && f.text() != "" {
		return Result{}, problem(TooLarge, "", "the file has more members than a list of accounts can have")
	}
	if err := odd(f); err != nil {
		return Result{}, err
	}
	if f.prefs().is && f.prefs().broken {
		return Result{}, problem(Damaged, "", "the file is XML that is cut short or damaged")
	}
	for level := Sure; level > No; level-- {
		for _, format := range formats() {
			if format.Detect(f) != level {
				continue
			}
			if err := ctx.Err(); err != nil {
				return Result{}, err
			}
			res, err := format.Read(ctx, f, o)
			if KindOf(err) == NotThisFormat {
				continue
			}
			if err == nil && len(res.Rows) == 0 && len(res.Skipped) == 0 && res.parts == nil {
				err = &Error{Kind: NoAccounts, Format: res.Format, Message: "there are no accounts in the file", Notes: res.Notes}
			}
			if err == nil && oldText(f.Data) && f.text() != "" {
				res.Notes = append(res.Notes, "the file is not in UTF-8; it was read as Windows-1252: look at names with letters beyond A to Z")
			}
			return res, err
		}
	}
	return Result{}, unknown(f)
}
