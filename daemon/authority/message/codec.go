package message

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The words that begin what is hashed, signed and bound by HPKE.
const (
	wordDescriptor = "tokend authority descriptor v1\n"
	wordKeys       = "tokend authority keys v1\n"
	wordDevice     = "tokend authority device v1\n"
	wordRequest    = "tokend authority request v1\n"
	wordAccount    = "tokend authority request v1 by account\n"
	wordAnswer     = "tokend authority answer v1\n"
	wordRequestSum = "tokend authority request hash v1\n"
	wordAnswerSum  = "tokend authority answer hash v1\n"
	wordFor        = "tokend authority answer for v1\n"
	wordLink       = "tokend activation link v1\n"
	wordPart       = "tokend message part v1\n"
	wordSet        = "tokend message parts v1\n"
)

// digest hashes words and what follows. All but the last piece have a fixed
// length, so that no two lists of pieces run together alike.
func digest(word string, pieces ...[]byte) Hash {
	h := sha256.New()
	_, _ = h.Write([]byte(word))
	for _, p := range pieces {
		_, _ = h.Write(p)
	}
	return Hash(h.Sum(nil))
}

// encode writes v in CBOR's core deterministic encoding (RFC 8949, section
// 4.2.1).
func encode(v any) ([]byte, error) {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("cannot encode: %w", err)
	}
	raw, err := m.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot encode: %w", err)
	}
	return raw, nil
}

// decode reads what encode would have written, byte for byte, and nothing else.
// Its errors quote nothing.
func decode(raw []byte, v any) error {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 32,
	}.DecMode()
	if err != nil {
		return fmt.Errorf("cannot decode: %w", err)
	}
	if m.Unmarshal(raw, v) != nil {
		return ErrMalformed
	}
	again, err := encode(v)
	if err != nil || !bytes.Equal(raw, again) {
		return because(ErrMalformed, "not in the one encoding")
	}
	return nil
}

// versionOf reads the version of a message before anything else of it, since all
// else may be different in another version.
func versionOf(raw []byte) (int, error) {
	if len(raw) > MaxSize {
		return 0, because(ErrTooLarge, "%d bytes", len(raw))
	}
	m, err := cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, MaxNestedLevels: 8,
		MaxArrayElements: 64, MaxMapPairs: 32}.DecMode()
	if err != nil {
		return 0, fmt.Errorf("cannot decode: %w", err)
	}
	var head struct {
		Version *int `cbor:"1,keyasint"`
	}
	if m.Unmarshal(raw, &head) != nil || head.Version == nil {
		return 0, ErrMalformed
	}
	return *head.Version, supported(*head.Version)
}

func supported(version int) error {
	switch {
	case version > highest:
		return because(ErrNewer, "version %d", version)
	case version < lowest:
		return because(ErrDowngraded, "version %d", version)
	}
	return nil
}

// agreed says whether version is the highest that both sides know.
func agreed(version, outer, mine, theirs int) error {
	if version != outer || version < min(mine, theirs) || theirs < version {
		return because(ErrDowngraded, "version %d", version)
	}
	return nil
}

// classes are the sizes that messages are padded to, in bytes before sealing.
func classes() []int { return []int{512, 1024, 2048, 4096, 16384} }

// pad appends 0x80 and zeros up to the next class (ISO/IEC 7816-4).
func pad(raw []byte) ([]byte, error) {
	for _, size := range classes() {
		if len(raw) < size {
			out := make([]byte, size)
			copy(out, raw)
			out[len(raw)] = 0x80
			return out, nil
		}
	}
	return nil, because(ErrTooLarge, "%d bytes", len(raw))
}

func unpad(padded []byte) ([]byte, error) {
	raw := bytes.TrimRight(padded, "\x00")
	if len(raw) == 0 || raw[len(raw)-1] != 0x80 {
		return nil, because(ErrMalformed, "padding")
	}
	raw = raw[:len(raw)-1]
	for _, size := range classes() {
		if len(raw) < size {
			if len(padded) != size {
				break
			}
			return raw, nil
		}
	}
	return nil, because(ErrMalformed, "padding")
}

// timely checks when a message was made and until when it is good.
func timely(issued, expires int64, most time.Duration, now time.Time) error {
	// Far from where seconds overflow, and later than this was written.
	const latest = 1 << 40
	if issued <= 0 || issued > latest || expires <= issued || expires > latest {
		return because(ErrMalformed, "times")
	}
	switch from, until := time.Unix(issued, 0), time.Unix(expires, 0); {
	case until.Sub(from) > most:
		return because(ErrMalformed, "good for longer than %s", most)
	case now.Add(Skew).Before(from):
		return ErrTooEarly
	case !now.Before(until):
		return ErrExpired
	}
	return nil
}

// text checks a text of at most limit bytes that people will see.
func text(what, s string, least, limit int) error {
	if len(s) < least || len(s) > limit || !utf8.ValidString(s) {
		return because(ErrMalformed, "%s", what)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return because(ErrMalformed, "%s", what)
		}
	}
	return nil
}

// first is the first of some errors.
func first(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
