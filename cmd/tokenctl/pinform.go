package main

import (
	"context"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// The length of a PIV card's PIN and PUK in bytes (NIST SP 800-73-4, part 2,
// section 2.4.3; Yubico's PUK as well).
const (
	minPIN = 6
	maxPIN = 8
)

// The length of passwords, in Unicode code points after NFC.
const (
	minPassword = 10
	maxPassword = 128
)

// The length of a FIDO2 key's PIN: code points at the least, where the key does
// not want more, and bytes of UTF-8 at the most (CTAP 2.1, section 6.5.1).
const (
	minFIDO2PIN = 4
	maxFIDO2PIN = 63
)

// malformed says why no token of a kind can have this PIN or passphrase: such a
// one would only cost a try. It is empty where it may be right.
func malformed(kind, word string, pin []byte) string {
	n, least, most := len(pin), minPIN, maxPIN
	switch kind {
	case "piv":
	case kindFIDO2:
		if n = utf8.RuneCount(pin); n >= minFIDO2PIN && len(pin) > maxFIDO2PIN {
			return fmt.Sprintf("a %s has at most %d bytes, and that has %d", word, maxFIDO2PIN, len(pin))
		}
		least, most = minFIDO2PIN, maxFIDO2PIN
	case "soft":
		n, least, most = utf8.RuneCount(norm.NFC.Bytes(pin)), minPassword, maxPassword
	default:
		return ""
	}
	if least <= n && n <= most {
		return ""
	}
	return fmt.Sprintf("a %s has %d to %d characters, and that has %d", word, least, most, n)
}

// refuseMalformed is the failure of a PIN from a file that no token of the kind
// can have.
func refuseMalformed(kind, word string, pin []byte) error {
	if m := malformed(kind, word, pin); m != "" {
		return failWith("", &ipc.Error{Kind: ipc.PINInvalid, Message: m}, adviceMalformed()...)
	}
	return nil
}

// checkGivenPIN refuses a PIN from a file that the token it would go to cannot
// have. Which token that is the daemon knows; it is asked only where the length
// is not a card's.
func (c *cli) checkGivenPIN(ctx context.Context, token string, pin []byte) error {
	if malformed("piv", "PIN", pin) == "" {
		return nil
	}
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return nil //nolint:nilerr // the command itself will say it
	}
	var enrolled, present, fit []ipc.Token
	for _, t := range list.Tokens {
		switch {
		case token != "" && (t.ID == token || t.Label == token || t.Serial == token):
			fit = append(fit, t)
		case t.Present && t.Enrolled:
			enrolled = append(enrolled, t)
		case t.Present:
			present = append(present, t)
		}
	}
	if token == "" {
		if fit = enrolled; len(fit) == 0 {
			fit = present
		}
	}
	for _, t := range fit {
		if t.Kind != fit[0].Kind {
			return nil
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return refuseMalformed(fit[0].Kind, pinWord(&ipc.TokenRef{Kind: fit[0].Kind}), pin)
}

// askWellFormed asks for a PIN until it is one that a token of the kind can
// have.
func (c *cli) askWellFormed(ctx context.Context, kind, word, prompt, flag string) (ipc.Secret, error) {
	for {
		pin, err := c.askSecret(ctx, prompt, flag)
		if err != nil {
			return nil, err
		}
		m := malformed(kind, lowerFirst(word), pin)
		if m == "" {
			return pin, nil
		}
		pin.Wipe()
		c.say("%s; it was not used", m)
	}
}
