//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/tokens"
)

// maxProbe is how many keys one request may ask for.
const maxProbe = 256

// Probe implements tokens.Prober. Keys of other kinds, or with parameters that
// are none of ours, are not held.
func (d *Driver) Probe(ctx context.Context, r tokens.ProbeRequest) ([]bool, error) {
	if len(r.Keys) > maxProbe {
		return nil, tokens.Errorf(tokens.CodeInvalid, "too many keys to ask for")
	}
	held := make([]bool, len(r.Keys))
	k, err := d.meet(ctx, r.Locator, false)
	if err != nil {
		return nil, err
	}
	if k.problem() != nil && k.problem().Code == tokens.CodeUnsupported {
		return held, nil
	}
	if k, err = d.open(ctx, r.Locator, false, nil); err != nil {
		return nil, err
	}
	defer k.close()
	var wanted []credential
	var place []int
	for i, key := range r.Keys {
		p, err := parseParams(key.Params)
		if key.Kind != tokens.KindFIDO2 || err != nil {
			continue
		}
		wanted, place = append(wanted, p.credential()), append(place, i)
	}
	found, err := k.probe(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for i, yes := range found {
		held[place[i]] = yes
	}
	return held, nil
}

// probe says which credentials the key holds.
func (k *key) probe(ctx context.Context, wanted []credential) ([]bool, error) {
	held := make([]bool, len(wanted))
	for start := 0; start < len(wanted); {
		n := k.batch(wanted[start:])
		if err := k.probeBatch(ctx, wanted[start:start+n], held[start:start+n]); err != nil {
			return nil, err
		}
		start += n
	}
	return held, nil
}

// Sizes in the request of a pre-flight, in bytes: all but the list, and what an
// entry takes beside its id.
const (
	requestSize = 160
	entrySize   = 36
	// defaultMessage is what every key takes (CTAP 2.1, section 6.4).
	defaultMessage = 1024
)

// batch says how many of the credentials fit into one request: as many as the
// key says it takes, and one where it says nothing.
func (k *key) batch(wanted []credential) int {
	room := max(k.info.MaxMessage, defaultMessage) - requestSize
	n := 0
	for n < len(wanted) && n < max(k.info.MaxList, 1) {
		room -= len(wanted[n].id) + entrySize
		if room < 0 {
			break
		}
		n++
	}
	return max(n, 1)
}

// probeBatch asks for several credentials at once. The key answers with one that
// it holds, which is then left out, until it holds none of the rest.
func (k *key) probeBatch(ctx context.Context, wanted []credential, held []bool) error {
	place := make([]int, len(wanted))
	for i := range place {
		place[i] = i
	}
	for len(place) > 0 {
		rest := make([]credential, len(place))
		for i, at := range place {
			rest[i] = wanted[at]
		}
		got, err := k.assert(ctx, ask{credentials: rest})
		code, refused := statusOf(err)
		switch {
		case err == nil:
			held[place[got.credential]] = true
			place = append(place[:got.credential], place[got.credential+1:]...)
			continue
		case refused && code == statusNoCredentials:
			return nil
		case len(rest) == 1 && (errors.Is(err, errLie) || refused && foreign(code)):
			return nil
		case !errors.Is(err, errLie) && !(refused && foreign(code)):
			return k.explain(ctx, err)
		}
		// It lied about one of them, or cannot take one of them: one by one.
		for _, at := range place {
			if err := k.probeBatch(ctx, wanted[at:at+1], held[at:at+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}
