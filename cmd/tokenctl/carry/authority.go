package carry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

// MaxLink is how many bytes an activation link has at most.
const MaxLink = message.MaxLink

// Authority is an authority as its descriptor names it.
type Authority struct {
	Name        string
	ID          string
	Fingerprint string // of its keys, for people to compare
	endpoints   []message.Endpoint
}

// Parse reads a descriptor. That it can be read says that it is whole, and not
// whose it is.
func Parse(descriptor []byte) (*Authority, error) {
	d, err := parse(descriptor)
	if err != nil {
		return nil, err
	}
	return authorityOf(d), nil
}

func parse(descriptor []byte) (*message.Descriptor, error) {
	d, err := message.ParseDescriptor(descriptor)
	switch {
	case errors.Is(err, message.ErrNewer):
		return nil, &ipc.Error{Kind: ipc.NewerVersion, Message: "a newer version of tokend made the descriptor of the authority", Err: err}
	case err != nil:
		return nil, &ipc.Error{Kind: ipc.InvalidArgument, Message: "this is no descriptor of an authority, or it was changed", Err: err}
	}
	return d, nil
}

// authorityOf puts what is on another machine first: the path of a socket may be
// that of another daemon here.
func authorityOf(d *message.Descriptor) *Authority {
	a := &Authority{Name: d.Name, ID: d.ID.String(), Fingerprint: d.Fingerprint(), endpoints: slices.Clone(d.Endpoints)}
	slices.SortStableFunc(a.endpoints, func(x, y message.Endpoint) int { return len(x.Socket) - len(y.Socket) })
	return a
}

// Carry takes a sealed request to the authority, by the first of its endpoints that
// answers, and returns its sealed answer. It fails as the function Carry does; of
// several failures it tells the one that says most.
func (a *Authority) Carry(ctx context.Context, sealed []byte) ([]byte, error) {
	worst := error(&ipc.Error{Kind: ipc.VerifierDown, Message: "the authority can be reached by files alone, by what it says of itself", Err: ErrUnreachable})
	for n, e := range a.endpoints {
		answer, err := Carry(ctx, e, sealed)
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil:
			return nil, err
		}
		switch ipc.KindOf(err) {
		case ipc.VerifierDown, ipc.InvalidArgument: // perhaps it is another's
			if n == 0 || errors.Is(worst, ErrUnreachable) && !errors.Is(err, ErrUnreachable) {
				worst = err
			}
			continue
		}
		return nil, err
	}
	return nil, worst
}

// Link is an activation link.
type Link struct{ l *message.Link }

// IsLink says whether a text is meant as an activation link.
func IsLink(text string) bool {
	return strings.HasPrefix(strings.ToLower(text), message.LinkScheme)
}

// ParseLink reads an activation link; errors quote nothing of it.
func ParseLink(text string) (*Link, error) {
	l, err := message.ParseLink(text)
	e := &ipc.Error{Kind: ipc.InvalidArgument, Err: err}
	switch {
	case err == nil:
		return &Link{l}, nil
	case errors.Is(err, message.ErrNewer):
		e.Kind, e.Message = ipc.NewerVersion, "a newer version of tokend made the activation link"
	case errors.Is(err, message.ErrDamaged):
		e.Message = "the activation link was cut or mistyped"
	default:
		e.Message = "this is no activation link: one begins with " + message.LinkScheme
	}
	return nil, e
}

// Where is where the link leads.
func (l *Link) Where() string { return l.l.Endpoint.String() }

// Fetch asks where the link leads for the descriptor, and checks it as Check does.
func (l *Link) Fetch(ctx context.Context, now time.Time) ([]byte, *Authority, error) {
	// An old link need not be carried anywhere.
	if !now.Before(l.l.Expires) {
		return nil, nil, tooOld()
	}
	raw, err := Descriptor(ctx, l.l.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	a, err := l.Check(raw, now)
	return raw, a, err
}

// Check says whether the link is good for the authority that a descriptor is of,
// and still.
func (l *Link) Check(descriptor []byte, now time.Time) (*Authority, error) {
	d, err := parse(descriptor)
	if err != nil {
		return nil, err
	}
	switch err := l.l.Check(d, now); {
	case err == nil:
		return authorityOf(d), nil
	case errors.Is(err, message.ErrExpired):
		return nil, tooOld()
	default:
		return nil, &ipc.Error{Kind: ipc.InvalidArgument, Err: errors.Join(ErrWrongKey, err),
			Message: "the activation link is of another authority than " + d.Name + ", fingerprint " + d.Fingerprint()}
	}
}

func tooOld() *ipc.Error {
	return &ipc.Error{Kind: ipc.ActivationBad, Message: "the activation link has expired", Err: message.ErrExpired}
}

// Wipe forgets the secret of the link.
func (l *Link) Wipe() { l.l.Secret.Wipe() }
