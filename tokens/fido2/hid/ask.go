//go:build cgo && linux && !nofido2

package hid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Info asks what the key can do.
func (p *Port) Info(ctx context.Context, limit time.Time) (*Info, error) {
	b, err := p.CBOR(ctx, commandInfo, nil, limit)
	if err != nil {
		return nil, err
	}
	return parseInfo(b)
}

// Retries asks how many tries are left, of the PIN where one is set and of the
// fingers where one is enrolled. No try is spent.
func (p *Port) Retries(ctx context.Context, i *Info, limit time.Time) (Retries, error) {
	out := Retries{PIN: -1, UV: -1}
	if i.Has("clientPin") {
		r, err := p.ask(ctx, i, pinRetries, limit)
		if err != nil {
			return out, err
		}
		out.PIN, out.Paused = r.PIN, r.Paused
	}
	if i.Has("uv") && i.Has("pinUvAuthToken") {
		r, err := p.ask(ctx, i, uvRetries, limit)
		var refused Refusal
		if err != nil && !errors.As(err, &refused) {
			return out, err
		}
		if err == nil {
			out.UV = r.UV
		}
	}
	return out, nil
}

func (p *Port) ask(ctx context.Context, i *Info, sub uint, limit time.Time) (Retries, error) {
	protocol := uint(1)
	if len(i.Protocols) > 0 && !slices.Contains(i.Protocols, protocol) {
		protocol = i.Protocols[0]
	}
	request, err := cbor.Marshal(map[uint]uint{1: protocol, 2: sub})
	if err != nil {
		return Retries{}, fmt.Errorf("cannot encode a request: %w", err)
	}
	b, err := p.CBOR(ctx, commandPIN, request, limit)
	if err != nil {
		return Retries{}, err
	}
	return parseRetries(b)
}
