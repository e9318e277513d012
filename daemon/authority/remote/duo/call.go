package duo

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	duoapi "github.com/duosecurity/duo_api_golang"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// The bounds of an answer, in bytes.
const (
	maxHeader = 64 << 10
	maxAnswer = 256 << 10
)

// What comes of a request that is no answer.
var (
	errBusy  = errors.New("there are too many requests, and it wants no more for now")
	errSlow  = errors.New("no answer in time")
	errMoved = errors.New("it sends elsewhere, which is not followed")
	errNoTLS = errors.New("it does not speak TLS")
)

// exchange is one request: it binds to a context what Duo's library sends without
// one, bounds the answer, and keeps what is needed of it beside the body.
type exchange struct {
	ctx  context.Context
	net  http.RoundTripper
	date string    // the answer's header
	at   time.Time // when the answer came
}

// RoundTrip sends the request. Duo's library would repeat what is answered with too
// many requests, so that is no answer but an error here.
func (e *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.net.RoundTrip(r.WithContext(e.ctx))
	if noTLS := (tls.RecordHeaderError{}); errors.As(err, &noTLS) {
		return nil, errNoTLS
	}
	if err != nil {
		return nil, err
	}
	e.at, e.date = time.Now(), resp.Header.Get("Date")
	if resp.StatusCode == http.StatusTooManyRequests {
		resp.Body.Close()
		return nil, errBusy
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// answered takes apart what Duo's library returns, which has closed the body.
func answered(resp *http.Response, body []byte, err error) (int, []byte, error) {
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, body, nil
}

// signed sends a signed request.
func (v *Verifier) signed(ctx context.Context, method, path string, params url.Values) (json.RawMessage, error) {
	return v.call(ctx, func(api *duoapi.DuoApi) (int, []byte, error) {
		return answered(api.SignedCall(method, path, params)) //nolint:bodyclose // the library has closed it
	})
}

// call sends one request by send and returns what a good answer holds.
func (v *Verifier) call(ctx context.Context, send func(*duoapi.DuoApi) (int, []byte, error)) (json.RawMessage, error) {
	mine, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	e := &exchange{ctx: mine, net: v.net}
	api := *v.api
	api.SetCustomHTTPClient(&http.Client{Transport: e, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}})
	status, body, err := send(&api)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, v.unavailable(ctx.Err())
	case mine.Err() != nil:
		return nil, v.unavailable(errSlow)
	default:
		return nil, v.unavailable(err)
	}
	raw, err := readAnswer(status, body)
	if err == nil {
		return raw, nil
	}
	if ctx.Err() != nil {
		// Whoever gives a question up may have cut its answer off.
		return nil, v.unavailable(ctx.Err())
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.Code == codeTimestamp {
		return nil, v.skewed(ctx, e, refused)
	}
	return nil, v.unavailable(err)
}

// skewed says by how much the clock here is off, where that is why Duo refuses.
func (v *Verifier) skewed(ctx context.Context, e *exchange, refused *refusal) error {
	theirs, err := http.ParseTime(e.date)
	here := e.at
	if err != nil {
		if theirs, err = v.ping(ctx); err != nil {
			return v.unavailable(refused)
		}
		here = time.Now()
	}
	u := v.unavailable(refused)
	u.Problem = "the clock here is " + apart(here.Sub(theirs)) + " Duo's, and Duo refuses what is signed so far off"
	return u
}

// apart words how far a clock that is d ahead is from another.
func apart(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " behind"
	}
	return d.Round(time.Second).String() + " ahead of"
}

// unavailable makes the error of a request that has no answer which counts. An
// address of a request is not kept, for it can hold a transaction.
func (v *Verifier) unavailable(err error) *remote.Unavailable {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return &remote.Unavailable{Verifier: Name, Server: v.host, Problem: problem(err), Err: err}
}

// problem words why there is no answer. What a stranger may have written is not
// quoted.
func problem(err error) string {
	var (
		refused *refusal
		tooLong *http.MaxBytesError
		cert    *tls.CertificateVerificationError
		dns     *net.DNSError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.Is(err, errBusy), errors.Is(err, errSlow), errors.Is(err, errMoved), errors.Is(err, errNoTLS),
		errors.Is(err, errNotDuo), errors.Is(err, errUnproven), errors.Is(err, errOther), errors.Is(err, errToken):
		return err.Error()
	case errors.As(err, &tooLong):
		return fmt.Sprintf("its answer has more than %d bytes", tooLong.Limit)
	case errors.As(err, &cert):
		return "its TLS certificate is not from whom Duo's are"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "the time to wait for it was over"
	case errors.As(err, &dns):
		return "its name cannot be found"
	case errors.As(err, &op) && op.Op != "read" && op.Op != "write":
		return fmt.Sprintf("cannot be reached: %v", op.Err)
	}
	return "the connection broke before the answer was whole"
}
