package message

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LinkScheme begins an activation link.
const LinkScheme = "tokend-activate:"

// MaxLink is how many characters a link has at most.
const MaxLink = 300

// Link is a permission to activate one account on one device, as it is handed to
// a user: a URI of fields between commas, none of which a shell or a mail program
// takes for something else.
//
//	tokend-activate:1,HOST,PORT,PIN,KEYS,ACTIVATION,SECRET,EXPIRES,SUM
//
// PIN, KEYS, ACTIVATION, SECRET and SUM are base64url without padding, EXPIRES is
// in seconds since 1970. HOST is a path, PORT 0 and PIN empty for a local socket.
// SUM is the first 4 bytes of a hash of all before it, so that a link that was cut
// or mistyped is told from one that is not good any more.
type Link struct {
	Endpoint   Endpoint
	Authority  Hash // KeysHash of the descriptor that the endpoint must hand out
	Activation ID
	Secret     Secret // 16 bytes
	Expires    time.Time
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func linkSum(s string) string {
	h := digest(wordLink, []byte(s))
	return b64(h[:4])
}

// String hides the secret; see URI.
func (l Link) String() string { return LinkScheme + l.Activation.String() }

// URI writes the link.
func (l Link) URI() (string, error) {
	if err := l.check(); err != nil {
		return "", fmt.Errorf("cannot write the link: %w", err)
	}
	host, pin := l.Endpoint.Socket, ""
	if host == "" {
		host, pin = l.Endpoint.Host, b64(l.Endpoint.Pin[:])
	}
	s := strings.Join([]string{LinkScheme + "1", host, strconv.Itoa(int(l.Endpoint.Port)), pin, b64(l.Authority[:]),
		b64(l.Activation[:]), b64(l.Secret), strconv.FormatInt(l.Expires.Unix(), 10), ""}, ",")
	if s += linkSum(s); len(s) >= MaxLink {
		return "", fmt.Errorf("cannot write the link: %w", because(ErrTooLarge, "%d characters", len(s)))
	}
	return s, nil
}

func (l Link) check() error {
	if err := l.Endpoint.check(); err != nil {
		return err
	}
	if len(l.Secret) != 16 {
		return because(ErrMalformed, "the secret has %d bytes", len(l.Secret))
	}
	if s := l.Expires.Unix(); s <= 0 || s > 1<<40 {
		return because(ErrMalformed, "times")
	}
	return nil
}

// ParseLink reads a link; blanks around it do not matter. It does not look at the
// clock: ErrExpired is Check's. Errors quote nothing of it.
func ParseLink(s string) (*Link, error) {
	l, err := parseLink(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("cannot read the activation link: %w", err)
	}
	return l, nil
}

func parseLink(s string) (*Link, error) {
	if len(s) >= MaxLink {
		return nil, because(ErrTooLarge, "%d characters", len(s))
	}
	rest, ok := strings.CutPrefix(s, LinkScheme)
	if !ok {
		return nil, because(ErrMalformed, "it does not begin with %s", LinkScheme)
	}
	fields := strings.Split(rest, ",")
	if v, err := strconv.ParseUint(fields[0], 10, 16); err == nil && v > 1 && strconv.FormatUint(v, 10) == fields[0] {
		return nil, because(ErrNewer, "version %d", v)
	}
	if fields[0] != "1" || len(fields) != 9 {
		return nil, because(ErrMalformed, "it has %d fields", len(fields))
	}
	if end := strings.LastIndexByte(s, ',') + 1; linkSum(s[:end]) != s[end:] {
		return nil, because(ErrDamaged, "it was cut or mistyped")
	}
	var l Link
	port, err := strconv.ParseUint(fields[2], 10, 16)
	if err != nil {
		return nil, because(ErrMalformed, "port")
	}
	if l.Endpoint.Port = uint16(port); port == 0 {
		l.Endpoint.Socket = fields[1]
	} else if l.Endpoint.Host = fields[1]; !fill(l.Endpoint.Pin[:], fields[3]) {
		return nil, because(ErrMalformed, "pin")
	}
	l.Secret = make(Secret, 16)
	if !fill(l.Authority[:], fields[4]) || !fill(l.Activation[:], fields[5]) || !fill(l.Secret, fields[6]) {
		return nil, because(ErrMalformed, "keys, activation or secret")
	}
	seconds, err := strconv.ParseInt(fields[7], 10, 64)
	if err != nil {
		return nil, because(ErrMalformed, "times")
	}
	l.Expires = time.Unix(seconds, 0).UTC()
	// One link has one spelling.
	if again, err := l.URI(); err != nil || again != s {
		return nil, because(ErrMalformed, "not in the one spelling")
	}
	return &l, nil
}

// fill decodes exactly as many bytes as there are.
func fill(into []byte, s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == len(into) && copy(into, raw) == len(into)
}

// Check says whether the link is good for the authority that its endpoint claims
// to be, and still.
func (l *Link) Check(d *Descriptor, now time.Time) error {
	if d.KeysHash() != l.Authority {
		return fmt.Errorf("cannot use the activation link: %w", ErrWrongAuthority)
	}
	if !now.Before(l.Expires) {
		return fmt.Errorf("cannot use the activation link: %w", ErrExpired)
	}
	return nil
}
