//go:build linux

package memory

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// Forms are the needles of a secret of 16 bytes or more: as it is, and as
// programs write such a thing.
func Forms(kind string, raw []byte) []Needle {
	b32 := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	h := hex.EncodeToString(raw)
	list := []Needle{
		{kind, "raw", raw},
		{kind, "base32", []byte(b32)}, {kind, "base32", []byte(strings.ToLower(b32))},
		{kind, "hex", []byte(h)}, {kind, "hex", []byte(strings.ToUpper(h))},
	}
	return append(list, inBase64(kind, raw)...)
}

// inBase64 is a text within base64 of a longer one, which can begin at any of
// three places.
func inBase64(kind string, raw []byte) []Needle {
	var list []Needle
	for shift := range 3 {
		b := append(make([]byte, shift), raw...)
		b = b[:len(b)/3*3]
		text := base64.StdEncoding.EncodeToString(b)
		if shift > 0 {
			text = text[4:]
		}
		list = append(list, Needle{kind, "base64", []byte(text)})
		if url := strings.NewReplacer("+", "-", "/", "_").Replace(text); url != text {
			list = append(list, Needle{kind, "base64", []byte(url)})
		}
	}
	return list
}

// Text are the needles of a PIN, password or other text.
func Text(kind, text string) []Needle {
	list := []Needle{{kind, "text", []byte(text)}, {kind, "hex", []byte(hex.EncodeToString([]byte(text)))}}
	for _, n := range inBase64(kind, []byte(text)) {
		if len(n.Bytes) >= shortest {
			list = append(list, n)
		}
	}
	return list
}

// OTP are the needles of an account's secret: those of Forms, and what HMAC
// makes of it, which is as good as the secret itself.
func OTP(kind string, secret []byte) []Needle {
	list := Forms(kind, secret)
	for pad, form := range map[byte]string{0x36: "HMAC, inner", 0x5c: "HMAC, outer"} {
		block := bytes.Repeat([]byte{pad}, 64)
		for i, c := range secret {
			block[i] ^= c
		}
		list = append(list, Needle{kind, form + " block", block[:len(secret)]})
		state := sha1State(block)
		words := make([]byte, len(state))
		for i := 0; i < len(state); i += 4 {
			binary.LittleEndian.PutUint32(words[i:], binary.BigEndian.Uint32(state[i:]))
		}
		list = append(list, Needle{kind, form + " state", state}, Needle{kind, form + " state", words})
	}
	return list
}

// sha1State is the chaining value of SHA-1 after one block.
func sha1State(block []byte) []byte {
	h := sha1.New()
	h.Write(block)
	m, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err)
	}
	return m[4:24]
}

// Identity are the needles of an age identity, AGE-SECRET-KEY-1….
func Identity(kind string, identity []byte) ([]Needle, error) {
	const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	text, ok := strings.CutPrefix(strings.ToLower(string(identity)), "age-secret-key-1")
	if !ok || len(text) != 58 {
		return nil, fmt.Errorf("%s: not an age identity", kind)
	}
	digits := make([]byte, 52) // of the key; six more are the checksum
	var raw []byte
	bits, have := 0, 0
	for i := range digits {
		v := strings.IndexByte(charset, text[i])
		if v < 0 {
			return nil, fmt.Errorf("%s: not in bech32", kind)
		}
		digits[i] = byte(v)
		bits, have = bits<<5|v, have+5
		if have >= 8 {
			have -= 8
			raw = append(raw, byte(bits>>have))
			bits &= 1<<have - 1
		}
	}
	clamped := bytes.Clone(raw)
	clamped[0] &= 248
	clamped[31] = clamped[31]&127 | 64
	list := append(Forms(kind, raw), Needle{kind, "bech32", []byte(text)}, Needle{kind, "bech32", []byte(strings.ToUpper(text))},
		Needle{kind, "bech32 digits", digits})
	list = append(list, inBase64(kind, identity)...)
	if !bytes.Equal(clamped, raw) {
		list = append(list, Needle{kind, "clamped", clamped})
	}
	return list, nil
}

// spy is an identity that keeps the file key it finds.
type spy struct {
	age.Identity
	fileKey []byte
}

func (s *spy) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := s.Identity.Unwrap(stanzas)
	s.fileKey = bytes.Clone(key)
	return key, err
}

// AgeFile are the needles of the keys by which an age file opens without its
// identity: the file key and the key of the payload. plain is what the file holds.
func AgeFile(kind string, file []byte, id age.Identity) (list []Needle, plain []byte, err error) {
	s := &spy{Identity: id}
	r, err := age.Decrypt(bytes.NewReader(file), s)
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", kind, err)
	}
	// The header's last line is "--- " and the MAC; the payload begins with a
	// nonce of 16 bytes.
	_, rest, _ := bytes.Cut(file, []byte("\n--- "))
	_, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(rest) < 16 {
		return nil, nil, fmt.Errorf("%s: %w", kind, io.ErrUnexpectedEOF)
	}
	payload, err := hkdf.Key(sha256.New, s.fileKey, rest[:16], "payload", 32)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", kind, err)
	}
	return []Needle{{kind, "age file key", s.fileKey}, {kind, "age payload key", payload}}, plain, nil
}
