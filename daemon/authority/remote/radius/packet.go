package radius

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RADIUS has no other
	"errors"
	"fmt"
	"io"

	"github.com/tokenbridge/tokend/daemon/secret"
	wire "layeh.com/radius"
)

// The attributes that are sent or looked at (RFC 2865, section 5; RFC 3579, section 3.2).
const (
	attrUserName             wire.Type = 1
	attrUserPassword         wire.Type = 2
	attrServiceType          wire.Type = 6
	attrReplyMessage         wire.Type = 18
	attrState                wire.Type = 24
	attrNASIdentifier        wire.Type = 32
	attrMessageAuthenticator wire.Type = 80
)

const authenticateOnly = 8 // Service-Type: no authorisation is asked for

const (
	maxValue    = 253 // bytes of an attribute
	maxPassword = 128 // bytes of a User-Password
	headerSize  = 20
)

// Why what came was dropped, for errors.Is.
var (
	// ErrAddress: it came from another address than it was asked of.
	ErrAddress = errors.New("an answer from another address came")
	// ErrMalformed: it is cut, too long or no RADIUS at all.
	ErrMalformed = errors.New("bytes that are no RADIUS answer came")
	// ErrIdentifier: it answers another question.
	ErrIdentifier = errors.New("an answer to another question came")
	// ErrNoMessageAuthenticator: anybody on the way could have made it. A server that
	// is older than 2024 has to be told to send one.
	ErrNoMessageAuthenticator = errors.New("an answer without Message-Authenticator came")
	// ErrNotAuthentic: whoever made it does not have the shared secret, or made it for
	// another question.
	ErrNotAuthentic = errors.New("an answer that was not made for this question with the shared secret came")
	// ErrCode: it is the server's, and neither yes nor no nor a challenge.
	ErrCode = errors.New("an answer that is neither accept, reject nor challenge came")
)

// question is what one request asks.
type question struct {
	status   bool // for the server's status, and nothing else
	user     string
	password []byte
	word     bool   // the password is a word, and the answer may take long
	state    []byte // of the challenge that is answered
	rounds   int    // how many challenges came before
}

// encode makes the packet of a question, with an authenticator of its own. The
// caller wipes it.
func encode(q question, nas string, shared []byte, random io.Reader) ([]byte, error) {
	p := wire.Packet{Code: wire.CodeAccessRequest, Secret: shared}
	if q.status {
		p.Code = wire.CodeStatusServer
	}
	var fresh [17]byte
	if _, err := io.ReadFull(random, fresh[:]); err != nil {
		return nil, fmt.Errorf("cannot get random bytes: %w", err)
	}
	p.Identifier = fresh[0]
	p.Authenticator = [16]byte(fresh[1:])

	// The first, so that nothing an attacker chooses is before it.
	p.Add(attrMessageAuthenticator, make([]byte, md5.Size))
	if !q.status {
		hidden, err := wire.NewUserPassword(q.password, shared, p.Authenticator[:])
		if err != nil {
			return nil, fmt.Errorf("cannot encode the password: %w", err)
		}
		defer clear(hidden)
		p.Add(attrUserName, wire.Attribute(q.user))
		p.Add(attrUserPassword, hidden)
		p.Add(attrServiceType, wire.NewInteger(authenticateOnly))
	}
	p.Add(attrNASIdentifier, wire.Attribute(nas))
	if len(q.state) > 0 {
		p.Add(attrState, q.state)
	}
	b, err := p.Encode()
	if err != nil {
		return nil, fmt.Errorf("cannot encode the request: %w", err)
	}
	copy(b[headerSize+2:], sign(b, shared))
	return b, nil
}

// sign is the Message-Authenticator of a packet in which it is zero.
func sign(packet, shared []byte) []byte {
	var sum []byte
	secret.Do(func() {
		h := hmac.New(md5.New, shared)
		h.Write(packet)
		sum = h.Sum(nil)
	})
	return sum
}

// reply is what a server has answered.
type reply struct {
	code     wire.Code
	state    []byte
	messages [][]byte
}

// parse reads what came in answer to a request. Its errors are those above.
func parse(b, request, shared []byte) (reply, error) {
	if len(b) > wire.MaxPacketLength {
		return reply{}, ErrMalformed
	}
	p, err := wire.Parse(b, shared)
	if err != nil {
		return reply{}, ErrMalformed
	}
	if p.Identifier != request[1] {
		return reply{}, ErrIdentifier
	}
	if err := checkSignature(p, request, shared); err != nil {
		return reply{}, err
	}
	// What is beyond the length in the header is padding (RFC 2865, section 3).
	length := int(b[2])<<8 | int(b[3])
	if !wire.IsAuthenticResponse(b[:length], request, shared) {
		return reply{}, ErrNotAuthentic
	}
	return read(p, wire.Code(request[0]))
}

// checkSignature checks the Message-Authenticator, of which there has to be one: it is
// over the packet with the request's authenticator in the place of its own.
func checkSignature(p *wire.Packet, request, shared []byte) error {
	var signature *wire.AVP
	for _, a := range p.Attributes {
		if a.Type != attrMessageAuthenticator {
			continue
		}
		if signature != nil || len(a.Attribute) != md5.Size {
			return ErrMalformed
		}
		signature = a
	}
	if signature == nil {
		return ErrNoMessageAuthenticator
	}
	signed := *p
	signed.Authenticator = [16]byte(request[4:headerSize])
	got := signature.Attribute
	signature.Attribute = make([]byte, md5.Size)
	packet, err := signed.MarshalBinary()
	signature.Attribute = got
	if err != nil {
		return ErrMalformed
	}
	if !hmac.Equal(got, sign(packet, shared)) {
		return ErrNotAuthentic
	}
	return nil
}

// read takes from an answer that is the server's what is looked at.
func read(p *wire.Packet, asked wire.Code) (reply, error) {
	r := reply{code: p.Code}
	switch {
	case asked == wire.CodeStatusServer && p.Code == wire.CodeAccessAccept:
	case asked == wire.CodeAccessRequest && (p.Code == wire.CodeAccessAccept || p.Code == wire.CodeAccessReject || p.Code == wire.CodeAccessChallenge):
	default:
		return reply{}, ErrCode
	}
	for _, a := range p.Attributes {
		switch a.Type {
		case attrReplyMessage:
			r.messages = append(r.messages, a.Attribute)
		case attrState:
			if r.state != nil {
				return reply{}, ErrMalformed
			}
			r.state = append([]byte{}, a.Attribute...)
		}
	}
	return r, nil
}
