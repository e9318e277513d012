package fob

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MaxTyped is the longest input that is looked at, in bytes: three Yubico
	// OTPs in letters of four bytes, with line ends.
	MaxTyped = 640
	// maxInRow is how many passcodes one input may hold.
	maxInRow = 3
	// otpLetters is the length of a Yubico OTP: public id and one AES block.
	otpLetters = 2 * (IDSize + 16)
)

// ErrUnreadable is returned by Read for what cannot be a passcode.
var ErrUnreadable = errors.New("this is neither digits nor a Yubico OTP")

// Passcode is what somebody typed: digits, or one or more Yubico OTPs in the
// readings they may have. Wipe it after use.
type Passcode struct {
	digits   []byte      // ASCII
	readings [][]yubiOTP // letters as modhex, and as modhex typed on a Dvorak keyboard
}

// Read takes a passcode as people and keyboards write it: full-width and other
// compatibility forms (NFKC), white space and hyphens between and around digits,
// line ends, modhex in capitals, and modhex as it comes out where the system has
// a Dvorak layout. Several passcodes may follow one another. It fails with
// ErrUnreadable; what was typed stays the caller's to wipe.
func Read(typed []byte) (Passcode, error) {
	if len(typed) == 0 || len(typed) > MaxTyped || !utf8.Valid(typed) {
		return Passcode{}, ErrUnreadable
	}
	// NFKC makes of one character as many as 18: Read is bounded all the same.
	text := norm.NFKC.Append(make([]byte, 0, 2*MaxTyped), typed...)
	defer clear(text[:cap(text)])
	kept := make([]rune, 0, otpLetters*maxInRow+1)
	defer func() { clear(kept[:cap(kept)]) }()
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		if unicode.IsSpace(r) || r == '-' || r == '\ufeff' {
			continue
		}
		if len(kept) == otpLetters*maxInRow {
			return Passcode{}, ErrUnreadable
		}
		kept = append(kept, r)
	}
	if p, ok := readDigits(kept); ok {
		return p, nil
	}
	return readOTPs(kept)
}

// readDigits: six to eight digits, once to three times; which it is depends on
// the fob.
func readDigits(text []rune) (Passcode, bool) {
	if len(text) < 6 || len(text) > 8*maxInRow {
		return Passcode{}, false
	}
	digits := make([]byte, len(text))
	for i, r := range text {
		if r < '0' || r > '9' {
			clear(digits)
			return Passcode{}, false
		}
		digits[i] = byte(r)
	}
	return Passcode{digits: digits}, true
}

func readOTPs(text []rune) (Passcode, error) {
	if len(text) == 0 || len(text)%otpLetters != 0 {
		return Passcode{}, ErrUnreadable
	}
	var p Passcode
	for _, layout := range layouts() {
		var row []yubiOTP
		for at := 0; at < len(text); at += otpLetters {
			o, ok := decodeLetters(text[at:at+otpLetters], layout)
			if !ok {
				row = nil
				break
			}
			row = append(row, o)
		}
		if row != nil {
			p.readings = append(p.readings, row)
		}
	}
	if len(p.readings) == 0 {
		return Passcode{}, ErrUnreadable
	}
	return p, nil
}

// Wipe overwrites the passcode.
func (p *Passcode) Wipe() {
	clear(p.digits)
	for _, row := range p.readings {
		clear(row)
	}
}

// PublicIDs returns the public ids of Yubico OTPs by which to look the fob up;
// there are two where letters can be read as typed on either keyboard. It returns
// none for digits.
func (p *Passcode) PublicIDs() [][]byte {
	var ids [][]byte
	for _, row := range p.readings {
		ids = append(ids, append([]byte(nil), row[0].public[:]...))
	}
	return ids
}

// Fits says whether a fob could have made p: the type is right and, for digits,
// their number.
func (p *Passcode) Fits(f *Fob) bool {
	if f.Type == Yubico {
		return len(p.readings) > 0
	}
	return p.inRow(f) > 0
}

// Strong says whether p, if f accepts it, proves so much that it may be tried
// while others may not: a Yubico OTP, or passcodes in a row.
func (p *Passcode) Strong(f *Fob) bool {
	return len(p.readings) > 0 || p.inRow(f) > 1
}

// inRow is how many passcodes of f the digits are; 0 if they cannot be f's. As 6,
// 7 and 8 have no multiple up to 24 in common but 24 itself, which is three times
// eight, there is no doubt.
func (p *Passcode) inRow(f *Fob) int {
	if len(p.digits) == 0 || f.Digits == 0 || len(p.digits)%f.Digits != 0 {
		return 0
	}
	if n := len(p.digits) / f.Digits; n <= maxInRow {
		return n
	}
	return 0
}

// Letters says whether p is one or more Yubico OTPs.
func (p *Passcode) Letters() bool { return len(p.readings) > 0 }

// Several says whether p may be more than one passcode of digits.
func (p *Passcode) Several() bool { return len(p.digits) > 8 }
