// Package carry takes sealed messages from a device to an authority, and the
// answers back: over the socket of this machine, over TLS with a pinned key, or as
// texts for files and QR codes. It reads nothing of them.
package carry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// The reasons why nothing could be carried, with errors.Is; the *ipc.Error around
// them is of the kind VerifierDown. An authority's own refusals are of other kinds,
// and have neither.
var (
	// ErrUnreachable: nothing answers at the endpoint.
	ErrUnreachable = errors.New("the authority was not reached")
	// ErrWrongKey: what answers has another key than the one that was pinned.
	ErrWrongKey = errors.New("the key is not the one that was pinned")
	// ErrNonsense: what answers is no authority.
	ErrNonsense = errors.New("what answers is no authority")
)

// Carry takes a sealed request to an authority, and returns its sealed answer.
// Every error is an *ipc.Error: the authority's own, or VerifierDown. After one the
// same request can be carried again.
func Carry(ctx context.Context, e message.Endpoint, sealed []byte) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "this is no address of an authority")
	}
	if len(sealed) == 0 || len(sealed) > message.MaxSize {
		return nil, ipc.Errorf(ipc.InvalidArgument, "a message has 1 to %d bytes", message.MaxSize)
	}
	if e.Socket == "" {
		return overTLS(ctx, e, "POST", "/v1/message", sealed)
	}
	c := client.New(e.Socket)
	defer c.Close()
	a, err := c.AuthorityMessage(ctx, ipc.AuthorityMessage{Message: sealed})
	return a.Message, local(e, err)
}

// Descriptor is what the authority at an endpoint says of itself. Whoever asks
// because of a link must check it: message.Link.Check.
func Descriptor(ctx context.Context, e message.Endpoint) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "this is no address of an authority")
	}
	if e.Socket == "" {
		return overTLS(ctx, e, "GET", "/v1/descriptor", nil)
	}
	c := client.New(e.Socket)
	defer c.Close()
	d, err := c.AuthorityDescriptor(ctx)
	return d.Descriptor, local(e, err)
}

// local is an error of the socket's: that nobody answers there is the authority's
// absence, and not that of the device's own daemon.
func local(e message.Endpoint, err error) error {
	var told *ipc.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &told):
		return unreachable(e, err)
	case told.Kind == ipc.Unreachable:
		return unreachable(e, err)
	case told.Kind == ipc.NotFound:
		return &ipc.Error{Kind: ipc.VerifierDown, Message: "no authority lives in the daemon at " + e.String(), Err: ErrUnreachable}
	}
	return told
}

func unreachable(e message.Endpoint, err error) *ipc.Error {
	return &ipc.Error{Kind: ipc.VerifierDown, Message: fmt.Sprintf("cannot reach the authority at %s: %s", e, reason(err)), Err: errors.Join(ErrUnreachable, err)}
}

// reason is why nothing was reached, in words that are the same on every system.
func reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, &dns):
		return "there is no host of this name"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	}
	return "the connection failed"
}
