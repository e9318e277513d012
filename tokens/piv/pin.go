//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"errors"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
)

// The size of a new PIN or PUK, in bytes (SP 800-73-4 part 1, 2.4.3, and
// Yubico's extension to any character).
const (
	minPIN = 6
	maxPIN = 8
)

// ChangePIN implements tokens.PINChanger. The tries of a PUK are told by
// firmware 5.3 and later alone; elsewhere SpendLastTry has to be set.
func (d *Driver) ChangePIN(ctx context.Context, r tokens.PINRequest) (keyFile []byte, err error) {
	what := map[string]string{"pin": "PIN", "puk": "PUK", "unblock": "PUK"}[r.Which]
	switch {
	case what == "":
		return nil, tokens.Errorf(tokens.CodeInvalid, "a PIV card has a PIN and a PUK")
	case len(r.New) < minPIN || len(r.New) > maxPIN:
		return nil, tokens.Errorf(tokens.CodeInvalid, "a new PIN or PUK has %d to %d characters", minPIN, maxPIN)
	}
	for _, c := range r.New {
		if c < 0x20 || c > 0x7e {
			return nil, tokens.Errorf(tokens.CodeInvalid, "a new PIN or PUK has letters, digits and signs of ASCII alone")
		}
	}
	tries, err := d.tries(ctx, r.Locator, what == "PUK")
	if err != nil {
		return nil, err
	}
	if err := spend(r.Old, tries, r.SpendLastTry); err != nil {
		return nil, naming(what, err)
	}
	yk, err := d.open(ctx, r.Locator)
	if err != nil {
		return nil, err
	}
	if err := d.holdsOne(yk, r.Locator, r.Keys); err != nil {
		yk.Close()
		return nil, err
	}
	set := yk.Unblock
	switch r.Which {
	case "pin":
		set = yk.SetPIN
	case "puk":
		set = yk.SetPUK
	}
	err = calmly(func() error { return set(string(r.Old), string(r.New)) })
	yk.Close()
	if err != nil {
		err = d.refusedPIN(r.Locator, what, err)
	}
	if rerr := d.reset(ctx, r.Locator); rerr != nil && err == nil {
		err = rerr
	}
	return nil, err
}

// holdsOne fails with CodeWrongToken when keys are named and the card holds none of
// them.
func (d *Driver) holdsOne(yk *gopiv.YubiKey, reader string, keys []tokens.Key) error {
	var last error
	for _, k := range keys {
		if k.Kind != tokens.KindPIV {
			return tokens.Errorf(tokens.CodeInvalid, "not a key of a PIV card")
		}
		_, slot, err := parseParams(k.Params)
		if err != nil {
			return err
		}
		if last = d.holds(yk, reader, slot, k); last == nil {
			return nil
		}
	}
	return last
}

// tries counts what is left of the PIN or PUK; below zero where the card does
// not tell.
func (d *Driver) tries(ctx context.Context, reader string, puk bool) (n int, err error) {
	s, err := d.read(ctx, reader)
	if err != nil {
		return -1, err
	}
	defer func() {
		if cerr := s.close(); cerr != nil && err == nil {
			err = cerr
		}
	}()
	if !puk {
		return s.pinTries()
	}
	told := tokens.Details{PUKTries: -1}
	err = s.references(&told)
	return told.PUKTries, err
}

// naming makes what spend says of a PIN say it of a PUK.
func naming(what string, err error) error {
	var told *tokens.Error
	if !errors.As(err, &told) || what == "PIN" {
		return err
	}
	e := *told
	switch e.Code {
	case tokens.CodePINBlocked:
		e.Detail = "the card's PUK is blocked"
	case tokens.CodePINRequired:
		e.Detail = "the card needs its PUK"
	case tokens.CodeInvalid:
		e.Detail = "a PUK has up to 8 characters"
	case tokens.CodeLastTry:
		if e.Tries == 1 {
			e.Detail = "one try is left; the PUK was not shown to the card"
		} else {
			e.Detail = "the card does not tell how many tries of the PUK are left; it was not shown"
		}
	}
	return &e
}
