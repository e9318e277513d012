package otp

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest issuer or account name, in Unicode code points.
const MaxName = 256

// CheckName says whether an issuer or account name can be shown without harm;
// field is "issuer" or "name" and goes into the error. Refused are: more than
// MaxName code points; invalid UTF-8; control characters, NUL and line
// separators, which could forge lines or drive a terminal; bidirectional
// controls and other invisible format characters, which could make a name look
// like another. The joiners that emoji, Indic scripts and Persian are written
// with pass. So does the empty string, which is no name: Key.Validate says where
// one is needed. Names do not begin or end with white space.
func CheckName(field, s string) error {
	if !utf8.ValidString(s) {
		return fail(field, "it is not valid UTF-8")
	}
	if utf8.RuneCountInString(s) > MaxName {
		return fail(field, "it is longer than "+strconv.Itoa(MaxName)+" characters")
	}
	if s == "" {
		return nil
	}
	for _, r := range s {
		if !showable(r) {
			return fail(field, "it holds a control or invisible character")
		}
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return fail(field, "it begins or ends with white space")
	}
	return nil
}

func showable(r rune) bool {
	const (
		zwnj, zwj        = '\u200c', '\u200d'
		tagFirst, tagEnd = '\U000e0020', '\U000e007f' // flags of regions
	)
	switch {
	case r == zwnj, r == zwj, r >= tagFirst && r <= tagEnd:
		return true
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
		return false
	case unicode.Is(unicode.Noncharacter_Code_Point, r):
		return false
	}
	return true
}
