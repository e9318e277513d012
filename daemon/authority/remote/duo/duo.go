// Package duo asks Duo, by its Auth API, whether a factor is the user's.
//
// Duo's own library signs the requests and has the roots that Duo's certificates
// come from. What it leaves open is closed here: it knows no context, waits for
// minutes where Duo says that there are too many requests and then sends an empty
// body, reads answers of any size, follows redirects, and asks the environment for
// a proxy. It keeps the secret key, and each request, in strings, which nobody can
// wipe.
//
// Duo's word is all there is: a passcode may be of a hardware token, of Duo Mobile,
// of a text message, or a bypass code that Duo's administrator has issued.
package duo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	duoapi "github.com/duosecurity/duo_api_golang"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// Name is what errors of this verifier call it.
const Name = "duo"

// DefaultTimeout is how long one request to Duo may take where nothing else is said.
const DefaultTimeout = 15 * time.Second

// Config says how Duo is asked.
type Config struct {
	// IntegrationKey, SecretKey and Host are those of an application of the type
	// Auth API. A port may follow the host.
	IntegrationKey string
	SecretKey      string
	Host           string
	// Timeout is how long one request may take; zero is DefaultTimeout. Begin may
	// send two.
	Timeout time.Duration
	// Roots are whom Duo's certificate must come from; nil are those that Duo's
	// library has.
	Roots *x509.CertPool
	// Proxy is an HTTP proxy to go through; nil is none. The environment is not asked.
	Proxy *url.URL
}

// String hides the secret key.
func (c Config) String() string { return Name + " at " + c.Host }

// GoString hides the secret key.
func (c Config) GoString() string { return c.String() }

func (c Config) check() error {
	switch {
	case !plain(c.IntegrationKey, 64) || strings.Contains(c.IntegrationKey, ":"):
		return errors.New("the integration key is not one")
	case !plain(c.SecretKey, 128):
		return errors.New("the secret key is not one")
	case !goodHost(c.Host):
		return errors.New("the API host is not a host's name")
	case c.Timeout < 0:
		return errors.New("the timeout is below zero")
	}
	return nil
}

// plain reports whether s is some ASCII that prints, without blanks.
func plain(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// goodHost reports whether s is a name or an IPv4 address, and maybe a port.
func goodHost(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return host != "" && len(host) <= 253 && strings.Trim(host, ".-") == host && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// Verifier asks Duo; see [remote.Verifier].
type Verifier struct {
	host    string
	timeout time.Duration
	api     *duoapi.DuoApi
	net     http.RoundTripper
}

var _ remote.Verifier = (*Verifier)(nil)

// New makes a verifier. It sends nothing.
func New(c Config) (*Verifier, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cannot use Duo: %w", err)
	}
	v := &Verifier{host: strings.ToLower(c.Host), timeout: c.Timeout}
	if v.timeout == 0 {
		v.timeout = DefaultTimeout
	}
	v.api = duoapi.NewDuoApi(c.IntegrationKey, c.SecretKey, v.host, "tokend", duoapi.SetTransport(func(t *http.Transport) {
		t.Proxy = nil
		if c.Proxy != nil {
			t.Proxy = http.ProxyURL(c.Proxy)
		}
		if c.Roots != nil {
			t.TLSClientConfig.RootCAs = c.Roots
		}
		t.TLSClientConfig.MinVersion = tls.VersionTLS12
		t.MaxResponseHeaderBytes = maxHeader
		t.DisableCompression = true
		// A question that was lost on an old connection cannot be sent again: Duo might
		// have it, and a passcode is good for once.
		t.DisableKeepAlives = true
		v.net = t
	}))
	return v, nil
}

// Check says whether Duo answers and knows this application.
func (v *Verifier) Check(ctx context.Context) error {
	if _, err := v.ping(ctx); err != nil {
		return err
	}
	raw, err := v.signed(ctx, http.MethodGet, "/auth/v2/check", nil)
	if err != nil {
		return err
	}
	if _, err := readTime(raw); err != nil {
		return v.unavailable(err)
	}
	return nil
}

// ping asks for Duo's time, by a request that is not signed.
func (v *Verifier) ping(ctx context.Context) (time.Time, error) {
	raw, err := v.call(ctx, func(api *duoapi.DuoApi) (int, []byte, error) {
		return answered(api.Call(http.MethodGet, "/auth/v2/ping", nil)) //nolint:bodyclose // the library has closed it
	})
	if err != nil {
		return time.Time{}, err
	}
	now, err := readTime(raw)
	if err != nil {
		return time.Time{}, v.unavailable(err)
	}
	return now, nil
}
