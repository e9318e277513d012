package message

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Request is what a device asks of an authority.
type Request struct {
	// Account is the account's id, for begin, factor and proof. The others have
	// none: the conversation says it, or the activation.
	Account string
	// Conversation, Step and After place the request; see the package's comment.
	Conversation ID
	Step         int
	After        Hash
	Nonce        ID
	Issued       time.Time
	Expires      time.Time
	// Files says that the request is carried by hand, and so may be good for
	// MaxFiles.
	Files bool
	Body  RequestBody
}

// Kind is the kind of the request's body.
func (r *Request) Kind() Kind { return r.Body.kind() }

// wireRequest is what is signed.
type wireRequest struct {
	Version      int             `cbor:"1,keyasint"`
	Highest      int             `cbor:"2,keyasint"`
	Kind         Kind            `cbor:"3,keyasint"`
	Authority    Hash            `cbor:"4,keyasint"`
	Sign         [32]byte        `cbor:"5,keyasint"`
	Seal         [32]byte        `cbor:"6,keyasint"`
	Account      string          `cbor:"7,keyasint,omitempty"`
	Conversation ID              `cbor:"8,keyasint"`
	Step         int             `cbor:"9,keyasint"`
	After        Hash            `cbor:"10,keyasint,omitzero"`
	Nonce        ID              `cbor:"11,keyasint"`
	Issued       int64           `cbor:"12,keyasint"`
	Expires      int64           `cbor:"13,keyasint"`
	Files        bool            `cbor:"14,keyasint,omitempty"`
	Body         cbor.RawMessage `cbor:"15,keyasint"`
}

// sealedRequest is what a carrier sees.
type sealedRequest struct {
	Version int     `cbor:"1,keyasint"`
	To      [8]byte `cbor:"2,keyasint"` // the first bytes of the authority's KeysHash
	Enc     []byte  `cbor:"3,keyasint"`
	Sealed  []byte  `cbor:"4,keyasint"`
}

// Pending is a request that waits for its answer: what the device keeps beside
// the sealed bytes, on disk too.
type Pending struct {
	Request      Hash
	Kind         Kind
	Conversation ID
	Step         int
	Authority    Hash
	AnswerKey    [32]byte // by which the authority signs
	Expires      time.Time
}

// NewRequest is the first request of a conversation, or, with the pending of the
// request before and the hash of its answer, the next. It is good for life, at
// most MaxInteractive, or MaxFiles where files is set.
func NewRequest(b RequestBody, account string, before *Pending, answer Hash, now time.Time, life time.Duration, files bool, random io.Reader) (*Request, error) {
	r := &Request{Account: account, Step: 1, Issued: now, Expires: now.Add(life), Files: files, Body: b}
	var err error
	if r.Nonce, err = NewID(random); err != nil {
		return nil, err
	}
	if before != nil {
		r.Conversation, r.Step, r.After = before.Conversation, before.Step+1, answer
		return r, nil
	}
	r.Conversation, err = NewID(random)
	return r, err
}

func (w *wireRequest) check(b RequestBody) error {
	most := MaxInteractive
	if w.Files {
		most = MaxFiles
	}
	span := time.Duration(0)
	if w.Expires > w.Issued && w.Expires-w.Issued < 1<<32 {
		span = time.Duration(w.Expires-w.Issued) * time.Second
	}
	switch {
	case w.Step < 1 || w.Step > 1000, (w.Step == 1) != (w.After == Hash{}):
		return because(ErrMalformed, "step")
	case w.Kind.byAccount() != (w.Account != ""):
		return because(ErrMalformed, "account")
	case span <= 0 || span > most:
		return because(ErrMalformed, "good for longer than %s, or not at all", most)
	}
	return first(accountID(w.Account, true), b.check())
}

// Seal signs the request, with the account's reactivation key too where its kind
// asks for that, and seals it to the authority.
func (r *Request) Seal(k Keys, account ed25519.PrivateKey, to *Descriptor) ([]byte, *Pending, error) {
	sealed, p, err := r.seal(k, account, to)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the request: %w", err)
	}
	return sealed, p, nil
}

func (r *Request) seal(k Keys, account ed25519.PrivateKey, to *Descriptor) ([]byte, *Pending, error) {
	raw, err := encode(r.Body)
	if err != nil {
		return nil, nil, err
	}
	defer clear(raw)
	public, hash := k.Public(), to.KeysHash()
	w := wireRequest{Version: highest, Highest: highest, Kind: r.Kind(), Authority: hash, Sign: public.Sign, Seal: public.Seal, Account: r.Account,
		Conversation: r.Conversation, Step: r.Step, After: r.After, Nonce: r.Nonce,
		Issued: r.Issued.Unix(), Expires: r.Expires.Unix(), Files: r.Files, Body: raw}
	if err := w.check(r.Body); err != nil {
		return nil, nil, err
	}
	if (account != nil) != w.Kind.byAccount() {
		return nil, nil, because(ErrForged, "the reactivation key signs begin, factor and proof, and nothing else")
	}
	sealed, err := w.seal(k, account, to)
	if err != nil {
		return nil, nil, err
	}
	return sealed, &Pending{Request: RequestHash(sealed), Kind: w.Kind, Conversation: r.Conversation, Step: r.Step,
		Authority: hash, AnswerKey: to.Keys.Sign, Expires: r.Expires}, nil
}

func (w *wireRequest) seal(k Keys, account ed25519.PrivateKey, to *Descriptor) ([]byte, error) {
	raw, err := encode(w)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	inner := signedBytes{Version: highest, Body: raw, Signature: sign(k.Sign, wordRequest, raw)}
	if account != nil {
		inner.Account = sign(account, wordAccount, raw)
	}
	hash := to.KeysHash()
	enc, sealed, err := sealPadded(to.Keys.Seal, requestInfo(hash), inner)
	if err != nil {
		return nil, err
	}
	return encode(sealedRequest{highest, [8]byte(hash[:8]), enc, sealed})
}

func requestInfo(authority Hash) []byte { return append([]byte(wordRequest), authority[:]...) }

func sealPadded(to [32]byte, info []byte, v signedBytes) (enc, sealed []byte, err error) {
	raw, err := encode(v)
	if err != nil {
		return nil, nil, err
	}
	defer clear(raw)
	padded, err := pad(raw)
	if err != nil {
		return nil, nil, err
	}
	defer clear(padded)
	return seal(to, info, padded)
}

// RequestHash names a sealed request.
func RequestHash(sealed []byte) Hash { return digest(wordRequestSum, sealed) }

// Opened is a request that an authority has opened. Its signatures are right, its
// time has come and not passed; everything else is still to be decided.
type Opened struct {
	Request
	Device PublicKeys
	Hash   Hash
}

// OpenRequest opens a request to the authority of these keys. account gives the
// reactivation key of an account; its error comes back wrapped. It is asked for
// begin, factor and proof, which that key must have signed.
func OpenRequest(sealed []byte, k Keys, d *Descriptor, now time.Time, account func(id string) (ed25519.PublicKey, error)) (*Opened, error) {
	o, err := openRequest(sealed, k, d, now, account)
	if err != nil {
		return nil, fmt.Errorf("cannot open the request: %w", err)
	}
	return o, nil
}

func openRequest(sealed []byte, k Keys, d *Descriptor, now time.Time, account func(id string) (ed25519.PublicKey, error)) (*Opened, error) {
	version, err := versionOf(sealed)
	if err != nil {
		return nil, err
	}
	var outer sealedRequest
	if err := decode(sealed, &outer); err != nil {
		return nil, err
	}
	hash := d.KeysHash()
	if !bytes.Equal(outer.To[:], hash[:8]) {
		return nil, ErrWrongAuthority
	}
	padded, err := open(k.Seal, outer.Enc, requestInfo(hash), outer.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(padded)
	var inner signedBytes
	var w wireRequest
	if err := openPadded(padded, &inner, &w); err != nil {
		return nil, err
	}
	defer clear(inner.Body)
	defer clear(w.Body)
	if w.Authority != hash {
		return nil, ErrWrongAuthority
	}
	if err := w.signed(&inner, account); err != nil {
		return nil, err
	}
	if err := first(supported(w.Version), agreed(w.Version, version, highest, w.Highest)); err != nil {
		return nil, err
	}
	return w.opened(RequestHash(sealed), now)
}

// openPadded undoes sealPadded, and reads what is signed.
func openPadded(padded []byte, inner *signedBytes, w any) error {
	raw, err := unpad(padded)
	if err != nil {
		return err
	}
	if err := decode(raw, inner); err != nil {
		return err
	}
	return decode(inner.Body, w)
}

// signed checks the signatures.
func (w *wireRequest) signed(inner *signedBytes, account func(id string) (ed25519.PublicKey, error)) error {
	if err := verify(w.Sign[:], wordRequest, inner.Body, inner.Signature); err != nil {
		return err
	}
	if !w.Kind.byAccount() {
		if len(inner.Account) > 0 {
			return because(ErrMalformed, "a signature too many")
		}
		return nil
	}
	if accountID(w.Account, false) != nil {
		return because(ErrMalformed, "account")
	}
	key, err := account(w.Account)
	if err != nil {
		return fmt.Errorf("the account's reactivation key: %w", err)
	}
	return verify(key, wordAccount, inner.Body, inner.Account)
}

func (w *wireRequest) opened(hash Hash, now time.Time) (*Opened, error) {
	b := newRequestBody(w.Kind)
	if b == nil {
		return nil, unknownKind(string(w.Kind))
	}
	if err := body(w.Body, b); err != nil {
		return nil, err
	}
	if err := w.check(b); err != nil {
		return nil, err
	}
	if err := timely(w.Issued, w.Expires, MaxFiles, now); err != nil {
		return nil, err
	}
	return &Opened{Hash: hash, Device: PublicKeys{w.Sign, w.Seal}, Request: Request{Account: w.Account, Conversation: w.Conversation,
		Step: w.Step, After: w.After, Nonce: w.Nonce, Issued: time.Unix(w.Issued, 0).UTC(), Expires: time.Unix(w.Expires, 0).UTC(),
		Files: w.Files, Body: b}}, nil
}
