package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"
)

// maxAddress is how long an address may be, in bytes (RFC 5321).
const maxAddress = 254

var errAddress = errors.New("it is not one address such as name@example.org")

// address reads the address of a recipient: one, of printable ASCII, without a
// name. What servers differ about is refused: quoted local parts, addresses of
// hosts in brackets, other scripts.
func address(s string) (netmail.Address, error) {
	if err := CheckAddress(s); err != nil {
		return netmail.Address{}, err
	}
	return netmail.Address{Address: s}, nil
}

// CheckAddress says whether letters can be sent to an address.
func CheckAddress(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxAddress || len(local) > 64 || !dotted(local, "!#$%&'*+-/=?^_`{|}~") || !dotted(domain, "-") {
		return errAddress
	}
	return nil
}

// dotted says that s is words of letters, digits and these others, with single
// dots between. A domain's word neither begins nor ends with a hyphen, and no word
// of any kind begins with one: a program behind the server could take it for a
// flag.
func dotted(s, others string) bool {
	for _, word := range strings.Split(s, ".") {
		if word == "" || word[0] == '-' {
			return false
		}
		for _, c := range []byte(word) {
			switch {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			case strings.IndexByte(others, c) < 0:
				return false
			}
		}
	}
	return true
}

// sender reads who letters are from.
func sender(s string) (netmail.Address, error) {
	a, err := netmail.ParseAddress(s)
	if err == nil {
		err = CheckAddress(a.Address)
	}
	if err != nil || line(a.Name) != a.Name {
		return netmail.Address{}, fmt.Errorf("the sender must be an address, or NAME <ADDRESS>, not %q", s)
	}
	return *a, nil
}

// line is s on one line, without what is no character to read.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
