package seeds

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// How tables write seeds.
const (
	encodingHex    = "hex"
	encodingBase32 = "base32"
	encodingBase64 = "base64"
)

// maxSeedText bounds what is looked at: the longest seed in hexadecimal, and as many
// separators.
const maxSeedText = 4 * maxSecret

// spelling is what the seeds of a table can be. One seed of forty digits is
// hexadecimal and base32 at once in one of 100,000 cases; so the table is judged as a
// whole.
type spelling struct {
	hex, base32 int // seeds that can be that alone
	either      int
	fixed       string // what it is, where it is known
	lengths     map[int]int
}

// see counts a seed.
func (s *spelling) see(seed string) {
	if s.lengths == nil {
		s.lengths = map[int]int{}
	}
	s.lengths[len(seed)]++
	switch isHex, isBase32 := couldBe(seed); {
	case isHex && isBase32:
		s.either++
	case isHex:
		s.hex++
	case isBase32:
		s.base32++
	}
}

// cut refuses the last row of a file that ends within it, where its seed is longer or
// shorter than all others: what was cut off cannot be known.
func (s *spelling) cut(seed string) *fault {
	if len(s.lengths) > 1 && s.lengths[len(seed)] == 1 {
		return faulty("secret", "the file ends in it without a line end, and its seed has another length than all others: it may be cut short")
	}
	return nil
}

// couldBe says what a seed can be by its letters and its length.
func couldBe(seed string) (isHex, isBase32 bool) {
	text := strip(seed)
	defer clear(text)
	isHex, isBase32 = len(text) > 0 && len(text)%2 == 0, len(text) > 0
	for _, c := range text {
		isHex = isHex && hexDigit(c)
		isBase32 = isBase32 && base32Digit(c)
	}
	switch len(text) % 8 {
	case 1, 3, 6:
		isBase32 = false
	}
	if strings.HasSuffix(strings.TrimSpace(seed), "=") {
		isHex = false
	}
	return isHex, isBase32
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func base32Digit(c byte) bool {
	return c >= '2' && c <= '7' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// strip is a seed without what only makes it readable. The caller wipes it.
func strip(seed string) []byte {
	seed = strings.TrimSpace(seed)
	if len(seed) > 2 && (seed[:2] == "0x" || seed[:2] == "0X") {
		seed = seed[2:]
	}
	text := make([]byte, 0, len(seed))
	for i := range len(seed) {
		switch seed[i] {
		case ' ', '-', ':', '=', '\t':
		default:
			text = append(text, seed[i])
		}
	}
	return text
}

// decode is the bytes of a seed, or why it has none; it never repeats the seed.
func (s *spelling) decode(seed string) ([]byte, *fault) {
	seed = strings.TrimSpace(seed)
	switch {
	case seed == "":
		return nil, faulty("secret", "it has no seed")
	case len(seed) > maxSeedText:
		return nil, faulty("secret", "its seed is longer than %d bytes", maxSecret)
	case rounded(seed):
		return nil, faulty("secret", "its seed was rounded by a spreadsheet; the maker's own file has it whole")
	}
	isHex, isBase32 := couldBe(seed)
	switch kind := s.fixed; {
	case kind == encodingBase64:
		return fromBase64(seed)
	case kind == encodingHex, kind == "" && isHex && !isBase32:
		return fromHex(seed)
	case kind == encodingBase32, kind == "" && isBase32 && !isHex:
		return fromBase32(seed)
	case !isHex && !isBase32:
		return s.neither(seed)
	case s.hex > 0 && s.base32 == 0:
		return fromHex(seed)
	case s.base32 > 0 && s.hex == 0:
		return fromBase32(seed)
	}
	return nil, faulty("secret", "its seed can be hex or base32, and nothing in the file tells which; the encoding has to be named")
}

// neither says what is wrong with a seed, in the terms of its neighbours.
func (s *spelling) neither(seed string) ([]byte, *fault) {
	switch {
	case s.hex > s.base32:
		return fromHex(seed)
	case s.base32 > s.hex:
		return fromBase32(seed)
	}
	return nil, faulty("secret", "its seed is neither hex nor base32; if it is base64, that has to be named")
}

func fromHex(seed string) ([]byte, *fault) {
	text := strip(seed)
	defer clear(text)
	for i, c := range text {
		if !hexDigit(c) {
			return nil, faulty("secret", "character %d of its seed is not hex (0 to 9 and A to F)", i+1)
		}
	}
	out := make([]byte, len(text)/2)
	if _, err := hex.Decode(out, text); err != nil {
		clear(out)
		return nil, faulty("secret", "its seed has an odd number of hex digits")
	}
	return out, nil
}

func fromBase32(seed string) ([]byte, *fault) {
	text := strip(seed)
	defer clear(text)
	for i, c := range text {
		if !base32Digit(c) {
			return nil, faulty("secret", "character %d of its seed is not base32 (A to Z and 2 to 7)", i+1)
		}
		if c >= 'a' {
			text[i] = c - 'a' + 'A'
		}
	}
	out := make([]byte, len(text)*5/8)
	if _, err := base32.StdEncoding.WithPadding(base32.NoPadding).Decode(out, text); err != nil {
		clear(out)
		return nil, faulty("secret", "its seed has a length that base32 cannot have; it may be cut short")
	}
	return out, nil
}

func fromBase64(seed string) ([]byte, *fault) {
	out, err := decodeBase64(seed)
	if err != nil {
		return nil, faulty("secret", "its seed is not base64")
	}
	return out, nil
}

// decodeBase64 takes base64 with white space in it, and without its padding.
func decodeBase64(s string) ([]byte, error) {
	text := make([]byte, 0, len(s))
	defer func() { clear(text) }()
	for i := range len(s) {
		switch c := s[i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			text = append(text, c)
		}
	}
	for len(text) > 0 && text[len(text)-1] == '=' {
		text = text[:len(text)-1]
	}
	enc := base64.StdEncoding.WithPadding(base64.NoPadding)
	out := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(out, text)
	if err != nil {
		clear(out)
		return nil, err
	}
	return out[:n], nil
}

func isBase64(s string) bool {
	b, err := decodeBase64(s)
	clear(b)
	return err == nil
}

// modhex is Yubico's alphabet of sixteen letters that most keyboards have in one
// place.
const modhex = "cbdefghijklnrtuv"

// fromModhex is the bytes of modhex.
func fromModhex(s string) ([]byte, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || len(s)%2 != 0 {
		return nil, false
	}
	out := make([]byte, len(s)/2)
	for i := range len(s) {
		v := strings.IndexByte(modhex, s[i])
		if v < 0 {
			return nil, false
		}
		out[i/2] = out[i/2]<<4 | byte(v)
	}
	return out, true
}
