package message

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The bounds of a descriptor.
const (
	maxEndpoints = 8
	maxName      = 64  // bytes
	maxShown     = 400 // bytes of contact, portal and other texts
	maxAddress   = 100 // bytes of a host or path: a link must fit a QR code
)

// Endpoint is where an authority answers: a TLS listener whose key is pinned, or
// a socket on the same machine.
type Endpoint struct {
	Host string `cbor:"1,keyasint,omitempty"` // a name or an address, without brackets
	Port uint16 `cbor:"2,keyasint,omitempty"`
	// Pin is the SHA-256 of the listener's SubjectPublicKeyInfo.
	Pin    Hash   `cbor:"3,keyasint,omitzero"`
	Socket string `cbor:"4,keyasint,omitempty"` // an absolute path
}

// PinOf is the pin of a certificate's RawSubjectPublicKeyInfo.
func PinOf(spki []byte) Hash { return sha256.Sum256(spki) }

// String is host:port, or the path.
func (e Endpoint) String() string {
	if e.Socket != "" {
		return e.Socket
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// Check says whether links and descriptors can name the endpoint.
func (e Endpoint) Check() error { return e.check() }

func (e Endpoint) check() error {
	tls := e.Host != "" && e.Port != 0 && e.Pin != Hash{} && e.Socket == ""
	local := e.Socket != "" && strings.HasPrefix(e.Socket, "/") && e.Host == "" && e.Port == 0 && e.Pin == Hash{}
	if !tls && !local {
		return because(ErrMalformed, "an endpoint is host, port and pin, or a path")
	}
	s := e.Host + e.Socket
	if len(s) > maxAddress || strings.HasPrefix(s, "-") {
		return because(ErrMalformed, "the address of an endpoint")
	}
	for _, c := range []byte(s) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-'
		if !plain && (tls && c != ':' || local && c != '/' && c != '_') {
			return because(ErrMalformed, "the address of an endpoint")
		}
	}
	if strings.Contains(e.Host, ":") && net.ParseIP(e.Host) == nil {
		return because(ErrMalformed, "the address of an endpoint")
	}
	return nil
}

// Descriptor is what devices are told of an authority.
type Descriptor struct {
	Name      string
	ID        ID
	Keys      PublicKeys
	Endpoints []Endpoint
	Contact   string
	Portal    string // an https address, or empty
	// Issued is when it was made: a newer one replaces an older one of the same
	// keys, never the other way round.
	Issued time.Time
}

// wireDescriptor is what is signed.
type wireDescriptor struct {
	Version   int        `cbor:"1,keyasint"`
	Name      string     `cbor:"2,keyasint"`
	ID        ID         `cbor:"3,keyasint"`
	Sign      [32]byte   `cbor:"4,keyasint"`
	Seal      [32]byte   `cbor:"5,keyasint"`
	Endpoints []Endpoint `cbor:"6,keyasint,omitempty"`
	Contact   string     `cbor:"7,keyasint,omitempty"`
	Portal    string     `cbor:"8,keyasint,omitempty"`
	Issued    int64      `cbor:"9,keyasint"`
}

// signedBytes is signed bytes with their signature.
type signedBytes struct {
	Version   int    `cbor:"1,keyasint"`
	Body      []byte `cbor:"2,keyasint"`
	Signature []byte `cbor:"3,keyasint"`
	Account   []byte `cbor:"4,keyasint,omitempty"` // a second one, by the reactivation key
}

// KeysHash is what names an authority's keys in links and requests.
func (d *Descriptor) KeysHash() Hash {
	return digest(wordKeys, d.ID[:], d.Keys.Sign[:], d.Keys.Seal[:])
}

// Fingerprint is the first 120 bits of KeysHash for people to compare, as
// "ABCD-EFGH-IJKL-MNOP-QRST-UVWX".
func (d *Descriptor) Fingerprint() string {
	h := d.KeysHash()
	s := base32.StdEncoding.EncodeToString(h[:15])
	var groups []string
	for ; s != ""; s = s[4:] {
		groups = append(groups, s[:4])
	}
	return strings.Join(groups, "-")
}

func (d *Descriptor) check() error {
	if err := first(text("name", d.Name, 1, maxName), text("contact", d.Contact, 0, maxShown), text("portal", d.Portal, 0, maxShown)); err != nil {
		return err
	}
	if u, err := url.Parse(d.Portal); d.Portal != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return because(ErrMalformed, "the portal is no https address")
	}
	if len(d.Endpoints) > maxEndpoints {
		return because(ErrTooLarge, "%d endpoints", len(d.Endpoints))
	}
	for _, e := range d.Endpoints {
		if err := e.check(); err != nil {
			return err
		}
	}
	if s := d.Issued.Unix(); s <= 0 || s > 1<<40 {
		return because(ErrMalformed, "times")
	}
	return nil
}

// Encode signs the descriptor with the keys that it names.
func (d *Descriptor) Encode(k Keys) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("cannot write the descriptor: %w", err)
	}
	if k.Public() != d.Keys {
		return nil, fmt.Errorf("cannot sign the descriptor: %w", ErrWrongAuthority)
	}
	body, err := encode(wireDescriptor{highest, d.Name, d.ID, d.Keys.Sign, d.Keys.Seal, d.Endpoints, d.Contact, d.Portal, d.Issued.Unix()})
	if err != nil {
		return nil, err
	}
	return encode(signedBytes{Version: highest, Body: body, Signature: sign(k.Sign, wordDescriptor, body)})
}

// ParseDescriptor reads what Encode wrote. That it is signed by its own key says
// that it is whole, and not whose it is.
func ParseDescriptor(raw []byte) (*Descriptor, error) {
	d, err := parseDescriptor(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the descriptor: %w", err)
	}
	return d, nil
}

func parseDescriptor(raw []byte) (*Descriptor, error) {
	version, err := versionOf(raw)
	if err != nil {
		return nil, err
	}
	var outer signedBytes
	var w wireDescriptor
	if err := decode(raw, &outer); err != nil {
		return nil, err
	}
	if err := decode(outer.Body, &w); err != nil {
		return nil, err
	}
	if err := verify(w.Sign[:], wordDescriptor, outer.Body, outer.Signature); err != nil || len(outer.Account) > 0 {
		return nil, ErrForged
	}
	if w.Version != version {
		return nil, ErrDowngraded
	}
	d := &Descriptor{Name: w.Name, ID: w.ID, Keys: PublicKeys{w.Sign, w.Seal}, Endpoints: w.Endpoints,
		Contact: w.Contact, Portal: w.Portal, Issued: time.Unix(w.Issued, 0).UTC()}
	return d, d.check()
}

// Text is the encoded descriptor for a file.
func (d *Descriptor) Text(k Keys) (string, error) {
	raw, err := d.Encode(k)
	if err != nil {
		return "", err
	}
	return FileText(PartsDescriptor, raw)
}
