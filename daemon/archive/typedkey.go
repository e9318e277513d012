package archive

import (
	"bytes"
	"errors"
	"fmt"

	"filippo.io/age"
)

// ErrKeyTyped says that what was typed for a recovery key cannot be one; a letter is
// missing or wrong. It says nothing of any container.
var ErrKeyTyped = errors.New("not a recovery key as it was printed")

// keyPrefix begins every recovery key, keyLength is how many characters it has.
const (
	keyPrefix = "AGE-SECRET-KEY-1"
	keyLength = 74
)

// TypedKey is a recovery key in the form in which it opens things, from one that
// a person typed or scanned: with spaces, dashes, line ends and small letters,
// with or without its fixed beginning, and with O, I and B for the digits and
// letters that the alphabet of keys has in their place. ErrKeyTyped where the
// checksum in it is wrong: that is told apart from a key that is another's.
func TypedKey(typed []byte) ([]byte, error) {
	bare := make([]byte, 0, keyLength)
	for _, c := range bytes.ToUpper(keyLine(typed)) {
		switch c {
		case ' ', '\t', '\r', '\n', '-', '_':
		default:
			if len(bare) == 4*keyLength {
				clear(bare)
				return nil, fmt.Errorf("%w: it is too long", ErrKeyTyped)
			}
			bare = append(bare, c)
		}
	}
	defer clear(bare)
	rest := bytes.TrimPrefix(bare, []byte("AGESECRETKEY"))
	if len(rest) < len(bare) && len(rest) > 0 {
		rest = rest[1:] // the separator, whatever it was read as
	}
	key := append(make([]byte, 0, len(keyPrefix)+len(rest)), keyPrefix...)
	for _, c := range rest {
		switch c { // not in the alphabet, and easily misread
		case 'O':
			c = '0'
		case 'I', '1':
			c = 'L'
		case 'B':
			c = '8'
		}
		key = append(key, c)
	}
	if len(key) != keyLength {
		n := len(key)
		clear(key)
		return nil, fmt.Errorf("%w: it has %d characters, not %d", ErrKeyTyped, n, keyLength)
	}
	if _, err := age.ParseX25519Identity(string(key)); err != nil {
		clear(key)
		return nil, fmt.Errorf("%w: a character in it is wrong", ErrKeyTyped) // age's error quotes it
	}
	return key, nil
}

// keyLine is the line with the key of a file that age understands, in which
// comments can stand before it; all of what was given where it is none.
func keyLine(typed []byte) []byte {
	var lines [][]byte
	for line := range bytes.Lines(typed) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) == 1 {
		return lines[0]
	}
	return bytes.Join(lines, []byte(" "))
}

// LooksLikeKey says that somebody meant to type a recovery key, right or wrong.
func LooksLikeKey(typed []byte) bool {
	bare := make([]byte, 0, 16)
	for _, c := range bytes.ToUpper(keyLine(typed)) {
		if c >= 'A' && c <= 'Z' {
			bare = append(bare, c)
		}
		if len(bare) == 12 {
			break
		}
	}
	defer clear(bare)
	return string(bare) == "AGESECRETKEY"
}

// GroupedKey is a recovery key for paper: its fixed beginning, and the rest in
// groups that can be typed one by one.
func GroupedKey(key []byte) []byte {
	rest, ok := bytes.CutPrefix(key, []byte(keyPrefix))
	if !ok {
		return bytes.Clone(key)
	}
	out := append(make([]byte, 0, 2*len(key)), keyPrefix...)
	for i, c := range rest {
		if i%4 == 0 {
			out = append(out, ' ')
		}
		out = append(out, c)
	}
	return out
}
