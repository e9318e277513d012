package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

// Reach is where the authority can be reached.
type Reach struct {
	// Endpoints are what the descriptor names, the one that links lead to first.
	Endpoints []message.Endpoint
	// Problem is why it cannot be reached as it was set up to be.
	Problem string
}

// local is the endpoint on this machine.
func (r Reach) local() (message.Endpoint, bool) {
	for _, e := range r.Endpoints {
		if e.Socket != "" {
			return e, true
		}
	}
	return message.Endpoint{}, false
}

// maxServed is how many messages are answered at one time.
const maxServed = 64

// AuthorityMessage implements [ipc.AuthorityMessages].
func (d *Desk) AuthorityMessage(ctx context.Context, p ipc.Principal, r ipc.AuthorityMessage) (ipc.AuthorityAnswer, error) {
	answer, err := d.carry(ctx, "uid "+p.UID, p.From(), r.Message)
	if err != nil {
		return ipc.AuthorityAnswer{}, err
	}
	return ipc.AuthorityAnswer{Version: ipc.Version, Message: answer}, nil
}

// Carry gives the authority a sealed message that came over the network, and
// returns its sealed answer. from is whose messages are counted together, an address
// or a network. It fails as ipc.AuthorityMessages says.
func (d *Desk) Carry(ctx context.Context, from string, sealed []byte) ([]byte, error) {
	return d.carry(ctx, from, "tls "+from, sealed)
}

// carry is Carry; whence is what the audit has of where the message came from.
func (d *Desk) carry(ctx context.Context, from, whence string, sealed []byte) ([]byte, error) {
	o, err := d.open()
	if err != nil {
		return nil, err
	}
	if wait := d.meter.wait(from, d.cfg.Now()); wait > 0 {
		return nil, &ipc.Error{Kind: ipc.Throttled, Message: "too many messages to the authority", RetryAfter: wait}
	}
	if len(sealed) == 0 || len(sealed) > message.MaxSize {
		return nil, ipc.Errorf(ipc.InvalidArgument, "a message has 1 to %d bytes", message.MaxSize)
	}
	select {
	case d.serving <- struct{}{}:
		defer func() { <-d.serving }()
	default:
		return nil, &ipc.Error{Kind: ipc.Busy, Message: "too many messages to the authority at one time", RetryAfter: 1}
	}
	_, issuer, _ := o.from(whence)
	answer, err := issuer.Serve(ctx, sealed)
	if err != nil {
		return nil, d.failed(notServed(err))
	}
	return answer, nil
}

// open is the office, for whoever asks.
func (d *Desk) open() (*office, error) {
	o, problem := d.current()
	switch {
	case o != nil:
		return o, nil
	case errors.Is(problem, errLocked()):
		return nil, &ipc.Error{Kind: ipc.VerifierDown, Message: "the authority is locked, and cannot be used now"}
	case problem != nil:
		return nil, &ipc.Error{Kind: ipc.VerifierDown, Message: "the authority cannot be used now", Err: problem}
	}
	return nil, ipc.ErrNoAuthority()
}

// AuthorityDescriptor implements [ipc.AuthorityMessages].
func (d *Desk) AuthorityDescriptor(_ context.Context, p ipc.Principal) (ipc.AuthorityDescriptor, error) {
	return d.Descriptor("uid " + p.UID)
}

// Descriptor is what devices are told; from is as with Carry.
func (d *Desk) Descriptor(from string) (ipc.AuthorityDescriptor, error) {
	o, err := d.open()
	if err != nil {
		return ipc.AuthorityDescriptor{}, err
	}
	if wait := d.meter.wait(from, d.cfg.Now()); wait > 0 {
		return ipc.AuthorityDescriptor{}, &ipc.Error{Kind: ipc.Throttled, Message: "too many messages to the authority", RetryAfter: wait}
	}
	self, raw, err := o.issuer.Descriptor(d.cfg.Reach().Endpoints)
	if err != nil {
		return ipc.AuthorityDescriptor{}, d.failed(err)
	}
	out := ipc.AuthorityDescriptor{
		Version: ipc.Version, Descriptor: raw, Name: self.Name, ID: self.ID.String(), Fingerprint: self.Fingerprint(), Endpoints: []string{},
	}
	for _, e := range self.Endpoints {
		out.Endpoints = append(out.Endpoints, e.String())
	}
	return out, nil
}

// notServed is why a message has no answer; other errors are as they are.
func notServed(err error) error {
	for _, k := range []struct {
		is   error
		kind ipc.Kind
		text string
	}{
		{message.ErrTooLarge, ipc.InvalidArgument, "the message is too large"},
		{message.ErrMalformed, ipc.InvalidArgument, "this is no message to an authority"},
		{message.ErrDamaged, ipc.InvalidArgument, "the message was changed on its way, or is for another authority"},
		{message.ErrWrongAuthority, ipc.InvalidArgument, "the message is for another authority"},
		{message.ErrNewer, ipc.NewerVersion, "a newer version of tokend made the message"},
		{message.ErrDowngraded, ipc.NewerVersion, "the message is of an older version than both sides know"},
		{message.ErrForged, ipc.NotAuthorized, "nobody whom the authority knows has signed the message"},
		{message.ErrOtherDevice, ipc.NotAuthorized, "another device began this conversation"},
		{message.ErrExpired, ipc.Conflict, "the message has expired"},
		{message.ErrTooEarly, ipc.Conflict, "the message was made in the future, by the authority's clock"},
		{message.ErrReplayed, ipc.Conflict, "the message came before"},
		{message.ErrReordered, ipc.Conflict, "the message is not the next of its conversation"},
		{message.ErrFull, ipc.Busy, "the authority cannot remember more conversations"},
	} {
		if errors.Is(err, k.is) {
			return ipc.Errorf(k.kind, "%s", k.text)
		}
	}
	return err
}
