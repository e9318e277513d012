// Package soft is the software stand-in for a token: an X25519 key in a file,
// sealed by a passphrase. It guards against a stolen disk as well as the
// passphrase does, and against nothing else: not hardware, and no touch.
//
// The key file travels as bytes: whoever enrols keeps it, and hands it in for
// every operation.
package soft

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"io"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/tokens"
)

// Locator is the locator and id of the one software token there is.
const Locator = "soft"

// The bounds of a passphrase, in Unicode code points after normalisation (NFC).
const (
	MinPassphrase = 10
	MaxPassphrase = 128
)

// Driver is the tokens.Driver of software tokens.
type Driver struct {
	rand io.Reader
	cost Cost
}

var (
	_ tokens.Driver     = (*Driver)(nil)
	_ tokens.Inspector  = (*Driver)(nil)
	_ tokens.PINChanger = (*Driver)(nil)
	_ tokens.Wiper      = (*Driver)(nil)
	_ tokens.Watcher    = (*Driver)(nil)
)

// New returns a Driver that makes keys from rand and seals new files at cost.
func New(rand io.Reader, cost Cost) *Driver { return &Driver{rand: rand, cost: cost} }

func token() tokens.Token {
	return tokens.Token{ID: Locator, Kind: tokens.KindSoft, Locator: Locator, Model: "software token, not hardware"}
}

// List names the one software token, which is always there. It shows no keys:
// they are in files that the driver is not told of.
func (d *Driver) List(ctx context.Context) ([]tokens.Token, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	return []tokens.Token{token()}, nil
}

// Enroll makes a key and the file that holds it. Only the session class can be
// had; where the touch class is asked for beside it, a warning says so.
func (d *Driver) Enroll(ctx context.Context, r tokens.EnrollRequest) (tokens.Enrollment, error) {
	if err := alive(ctx); err != nil {
		return tokens.Enrollment{}, err
	}
	switch {
	case r.Locator != "" && r.Locator != Locator:
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeNotPresent, "there is no such software token")
	case r.UseExisting || len(r.Slots) > 0 || len(r.Overwrite) > 0:
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeInvalid, "a software token has no slots")
	case r.Algorithm != "" && r.Algorithm != tokens.X25519:
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeUnsupported, "a software token has X25519 keys only")
	case len(r.Classes) == 0:
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeInvalid, "no class of key was asked for")
	case !slices.Contains(r.Classes, tokens.ClassSession):
		return tokens.Enrollment{}, tokens.Errorf(tokens.CodeUnsupported, "a software token cannot ask for a touch")
	}
	out := tokens.Enrollment{Token: token(), Warnings: []tokens.Warning{tokens.WarnNotHardware}}
	if slices.Contains(r.Classes, tokens.ClassTouch) {
		out.Warnings = append(out.Warnings, tokens.WarnNoTouch)
	}
	pass, err := newPassphrase(r.PIN)
	if err != nil {
		return tokens.Enrollment{}, err
	}
	defer clear(pass)
	seed := make([]byte, seedSize)
	defer clear(seed)
	if _, err := io.ReadFull(d.rand, seed); err != nil {
		return tokens.Enrollment{}, failure("cannot make a key", err)
	}
	f, err := seal(d.rand, d.cost, seed, pass)
	if err != nil {
		return tokens.Enrollment{}, failure("cannot seal the key", err)
	}
	out.Keys = []tokens.Key{{Kind: tokens.KindSoft, Class: tokens.ClassSession, Algorithm: tokens.X25519, Public: f.Public}}
	out.KeyFile, err = f.encode()
	if err != nil {
		return tokens.Enrollment{}, failure("cannot write the key file", err)
	}
	return out, nil
}

// Agree opens the key file and does one X25519.
func (d *Driver) Agree(ctx context.Context, r tokens.AgreeRequest) ([]byte, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if r.Key.Algorithm != tokens.X25519 || r.Key.Kind != tokens.KindSoft || r.Key.Class != tokens.ClassSession {
		return nil, tokens.Errorf(tokens.CodeInvalid, "not a key of a software token")
	}
	peer, err := ecdh.X25519().NewPublicKey(r.Peer)
	if err != nil {
		return nil, tokens.Errorf(tokens.CodeInvalid, "the peer's key is not one of X25519")
	}
	f, err := parse(r.KeyFile)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(f.Public, r.Key.Public) {
		return nil, tokens.Errorf(tokens.CodeWrongToken, "the key file holds another key")
	}
	seed, err := f.openWith(r.PIN)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	private, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, failure("cannot use the key", err)
	}
	// Fails where the peer's key has a small order (RFC 7748, section 6.1).
	shared, err := private.ECDH(peer)
	if err != nil {
		return nil, tokens.Errorf(tokens.CodeInvalid, "the peer's key is of small order")
	}
	return shared, nil
}

// Inspect says what List says: nobody counts tries on a file.
func (d *Driver) Inspect(ctx context.Context, locator string) (tokens.Details, error) {
	if err := alive(ctx); err != nil {
		return tokens.Details{}, err
	}
	if locator != "" && locator != Locator {
		return tokens.Details{}, tokens.Errorf(tokens.CodeNotPresent, "there is no such software token")
	}
	return tokens.Details{Token: token(), PINTries: -1, PUKTries: -1}, nil
}

// ChangePIN seals the key by a new passphrase, at the driver's present cost,
// and returns the new key file. The old file still opens with the old one.
func (d *Driver) ChangePIN(ctx context.Context, r tokens.PINRequest) ([]byte, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if r.Which != "pin" {
		return nil, tokens.Errorf(tokens.CodeUnsupported, "a software token has a passphrase only")
	}
	f, err := parse(r.KeyFile)
	if err != nil {
		return nil, err
	}
	pass, err := newPassphrase(r.New)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	seed, err := f.openWith(r.Old)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	changed, err := seal(d.rand, d.cost, seed, pass)
	if err != nil {
		return nil, failure("cannot seal the key", err)
	}
	return changed.encode()
}

// Wipe has nothing to clear: the caller holds the key file.
func (d *Driver) Wipe(ctx context.Context, r tokens.WipeRequest) ([]string, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	for _, k := range r.Keys {
		if k.Kind != tokens.KindSoft {
			return nil, tokens.Errorf(tokens.CodeInvalid, "not a key of a software token")
		}
	}
	return nil, nil
}

// Watch reports the software token, and then nothing more.
func (d *Driver) Watch(ctx context.Context, report func(tokens.Event)) error {
	if err := alive(ctx); err != nil {
		return err
	}
	report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindSoft, Token: token()})
	report(tokens.Event{Type: tokens.EventReady, Kind: tokens.KindSoft})
	<-ctx.Done()
	return ctx.Err()
}

func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &tokens.Error{Code: tokens.CodeCancelled, Tries: -1, Detail: "the operation was cancelled", Err: err}
	}
	return nil
}

func failure(what string, err error) error {
	return &tokens.Error{Code: tokens.CodeProtocol, Tries: -1, Detail: what, Err: err}
}

// newPassphrase checks a passphrase that is being set and normalises it.
func newPassphrase(pin []byte) ([]byte, error) {
	if pin == nil {
		return nil, tokens.Errorf(tokens.CodePINRequired, "the software token needs a passphrase")
	}
	pass, ok := normalise(pin)
	if !ok {
		return nil, tokens.Errorf(tokens.CodeInvalid, "a passphrase has %d to %d characters", MinPassphrase, MaxPassphrase)
	}
	return pass, nil
}

// normalise returns the passphrase in NFC, in memory of its own, and whether it
// is one: valid UTF-8 of a permitted length.
func normalise(pin []byte) ([]byte, bool) {
	// NFC at most triples the length; this spares the work on nonsense.
	if len(pin) > 16*MaxPassphrase || !utf8.Valid(pin) {
		return nil, false
	}
	pass := norm.NFC.Append(make([]byte, 0, 3*len(pin)), pin...)
	if n := utf8.RuneCount(pass); n < MinPassphrase || n > MaxPassphrase {
		clear(pass)
		return nil, false
	}
	return pass, true
}
