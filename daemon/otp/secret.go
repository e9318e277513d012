package otp

import (
	"encoding/base32"
	"strconv"
)

const (
	// MaxSecret is the longest secret, in bytes. HMAC hashes what is longer than
	// its block, so nothing is gained beyond 128.
	MaxSecret = 1024
	// StrongSecret is the shortest secret that RFC 4226 allows (section 4,
	// requirement R6), in bytes: 128 bits. Shorter ones are in use.
	StrongSecret = 16
)

// Weak says that a secret is shorter than RFC 4226 allows. Codes can be made with
// it; a user may want to know.
func Weak(secret []byte) bool { return len(secret) < StrongSecret }

func checkSecret(secret []byte) error {
	switch {
	case len(secret) == 0:
		return fail("secret", "it is empty")
	case len(secret) > MaxSecret:
		return fail("secret", "it is longer than "+strconv.Itoa(MaxSecret)+" bytes")
	}
	return nil
}

// maxSecretText bounds what ParseSecret looks at: the longest secret, and as
// many separators again.
const maxSecretText = 2 * (MaxSecret*8/5 + 8)

// ParseSecret reads a base32 secret (RFC 4648, section 6) as it is found in the
// wild: upper or lower case, with or without padding, in groups separated by
// spaces, no-break spaces, tabs, line ends or dashes, and with anything in the
// bits that the last character has beyond the last byte. Refused are other
// characters (0, 1, 8 and 9 are not base32, and it is not guessed what they might
// stand for), lengths that no number of bytes encodes to, and empty secrets.
//
// Errors tell the position of a wrong character, and never the character.
func ParseSecret(s string) ([]byte, error) {
	if len(s) > maxSecretText {
		return nil, fail("secret", "it is longer than "+strconv.Itoa(MaxSecret)+" bytes")
	}
	text := make([]byte, 0, len(s))
	defer func() { clear(text[:cap(text)]) }()
	padding, position := 0, 0
	for _, r := range s {
		position++
		switch {
		case r == ' ' || r == '\u00a0' || r == '\t' || r == '\r' || r == '\n' || r == '-':
			continue
		case r == '=':
			padding++
			continue
		case r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		case r >= 'A' && r <= 'Z', r >= '2' && r <= '7':
		default:
			return nil, fail("secret", "character "+strconv.Itoa(position)+" is not base32 (A to Z and 2 to 7)")
		}
		if padding > 0 {
			return nil, fail("secret", "there is something after the padding, at character "+strconv.Itoa(position))
		}
		text = append(text, byte(r))
	}
	switch {
	case len(text) == 0:
		return nil, fail("secret", "it is empty")
	case padding > 6:
		return nil, fail("secret", "there are more than 6 padding characters")
	}
	switch len(text) % 8 {
	case 1, 3, 6:
		return nil, fail("secret", "it has a length that base32 cannot have: characters are missing or too many")
	}
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	out := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(out, text)
	if err != nil {
		clear(out)
		return nil, fail("secret", "it is not base32")
	}
	if err := checkSecret(out[:n]); err != nil {
		clear(out)
		return nil, err
	}
	return out[:n:n], nil
}

// FormatSecret writes a secret as upper-case base32 without padding, as otpauth
// URIs have it.
func FormatSecret(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}
