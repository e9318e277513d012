package message

import (
	"bytes"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// wireAnswer is what is signed.
type wireAnswer struct {
	Version      int             `cbor:"1,keyasint"`
	Highest      int             `cbor:"2,keyasint"`
	Kind         ResultKind      `cbor:"3,keyasint"`
	Authority    Hash            `cbor:"4,keyasint"`
	Request      Hash            `cbor:"5,keyasint"`
	Device       ID              `cbor:"6,keyasint"`
	Conversation ID              `cbor:"7,keyasint"`
	Step         int             `cbor:"8,keyasint"`
	Issued       int64           `cbor:"9,keyasint"`
	Expires      int64           `cbor:"10,keyasint"`
	Body         cbor.RawMessage `cbor:"11,keyasint"`
}

// sealedAnswer is what a carrier sees.
type sealedAnswer struct {
	Version int  `cbor:"1,keyasint"`
	Request Hash `cbor:"2,keyasint"`
	// For lets a device see whether the answer is its own; it tells nothing to
	// who does not know the device's id.
	For    [8]byte `cbor:"3,keyasint"`
	Enc    []byte  `cbor:"4,keyasint"`
	Sealed []byte  `cbor:"5,keyasint"`
}

func answerFor(request Hash, device ID) [8]byte {
	h := digest(wordFor, request[:], device[:])
	return [8]byte(h[:8])
}

func answerInfo(request Hash, device ID) []byte {
	return append(append([]byte(wordAnswer), request[:]...), device[:]...)
}

// AnswerHash names a sealed answer.
func AnswerHash(sealed []byte) Hash { return digest(wordAnswerSum, sealed) }

// Answer signs and seals an answer to a request. It is good for as long as the
// request at least, so that one that came late can be sent again.
func (o *Opened) Answer(k Keys, d *Descriptor, r Result, now time.Time) ([]byte, error) {
	sealed, err := o.answer(k, d, r, now)
	if err != nil {
		return nil, fmt.Errorf("cannot make the answer: %w", err)
	}
	return sealed, nil
}

func (o *Opened) answer(k Keys, d *Descriptor, r Result, now time.Time) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if !r.result().fits(o.Kind()) {
		return nil, ErrUnexpected
	}
	body, err := encode(r)
	if err != nil {
		return nil, err
	}
	defer clear(body)
	life := MaxInteractive
	if o.Files {
		life = MaxFiles
	}
	device := o.Device.DeviceID()
	raw, err := encode(wireAnswer{Version: highest, Highest: highest, Kind: r.result(), Authority: d.KeysHash(), Request: o.Hash, Device: device,
		Conversation: o.Conversation, Step: o.Step, Issued: now.Unix(), Expires: now.Add(life).Unix(), Body: body})
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	enc, sealed, err := sealPadded(o.Device.Seal, answerInfo(o.Hash, device),
		signedBytes{Version: highest, Body: raw, Signature: sign(k.Sign, wordAnswer, raw)})
	if err != nil {
		return nil, err
	}
	return encode(sealedAnswer{highest, o.Hash, answerFor(o.Hash, device), enc, sealed})
}

// Open opens the answer to the request that p stands for.
func (p *Pending) Open(sealed []byte, k Keys, now time.Time) (Result, error) {
	r, err := p.open(sealed, k, now)
	if err != nil {
		return nil, fmt.Errorf("cannot open the answer: %w", err)
	}
	return r, nil
}

func (p *Pending) open(sealed []byte, k Keys, now time.Time) (Result, error) {
	version, err := versionOf(sealed)
	if err != nil {
		return nil, err
	}
	var outer sealedAnswer
	if err := decode(sealed, &outer); err != nil {
		return nil, err
	}
	device := k.Public().DeviceID()
	if mine := answerFor(outer.Request, device); !bytes.Equal(mine[:], outer.For[:]) {
		return nil, ErrOtherDevice
	}
	if outer.Request != p.Request {
		return nil, ErrOtherRequest
	}
	padded, err := open(k.Seal, outer.Enc, answerInfo(p.Request, device), outer.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(padded)
	var inner signedBytes
	var w wireAnswer
	if err := openPadded(padded, &inner, &w); err != nil {
		return nil, err
	}
	defer clear(inner.Body)
	defer clear(w.Body)
	if err := verify(p.AnswerKey[:], wordAnswer, inner.Body, inner.Signature); err != nil || len(inner.Account) > 0 {
		return nil, ErrForged
	}
	if err := first(supported(w.Version), agreed(w.Version, version, highest, w.Highest), p.mine(&w, device)); err != nil {
		return nil, err
	}
	return p.result(&w, now)
}

// mine says whether what is signed answers this request.
func (p *Pending) mine(w *wireAnswer, device ID) error {
	switch {
	case w.Authority != p.Authority:
		return ErrWrongAuthority
	case w.Device != device:
		return ErrOtherDevice
	case w.Request != p.Request:
		return ErrOtherRequest
	case w.Conversation != p.Conversation, w.Step != p.Step:
		return ErrReordered
	}
	return nil
}

func (p *Pending) result(w *wireAnswer, now time.Time) (Result, error) {
	if err := timely(w.Issued, w.Expires, MaxFiles, now); err != nil {
		return nil, err
	}
	r := newResult(w.Kind)
	if r == nil {
		return nil, unknownKind(string(w.Kind))
	}
	if !w.Kind.fits(p.Kind) {
		return nil, ErrUnexpected
	}
	return r, body(w.Body, r)
}
