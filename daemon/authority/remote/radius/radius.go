// Package radius asks a RADIUS server (RFC 2865) whether a passcode is a user's, or
// has it ask him on his phone.
//
// RADIUS over UDP is protected by MD5 and a shared secret, and the Response
// Authenticator alone can be forged by who is on the way (Blast-RADIUS,
// CVE-2024-3596). So every request has a Message-Authenticator (RFC 3579, section
// 3.2) as its first attribute, and an answer without a good one is no answer, as
// draft-ietf-radext-deprecating-radius has it. It is an HMAC over the whole answer
// and the random bytes of the request: it is checked before anything else is made
// of what came. Where in an answer it is does not matter for that, and is not
// looked at: servers from before 2024 put it last.
//
// What is not the answer is dropped, and waiting goes on (RFC 2865, section 3; RFC
// 5080, section 2.2): whoever can send to this host could else end a question. What
// was dropped is told if no answer comes.
//
// The passcode crosses the network under that MD5, and the user's name in clear:
// the way to the server is to be the organisation's own.
package radius

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// The bounds of a configuration.
const (
	MaxServers = 8
	MinSecret  = 8   // bytes; shorter ones are refused
	GoodSecret = 16  // bytes; who accepts shorter ones warns (RFC 2865, section 3)
	MaxSecret  = 128 // bytes
	MaxTries   = 10
	MaxTimeout = 60 * time.Second
	MaxWait    = 120 * time.Second
)

// What a zero in a configuration stands for.
const (
	DefaultTimeout = 5 * time.Second
	DefaultTries   = 3
	DefaultWait    = 60 * time.Second
)

// avoid is how long a server that did not answer is asked after the others.
const avoid = 30 * time.Second

// Config is what is known of an organisation's RADIUS servers.
type Config struct {
	// Servers are asked in this order, the next one where one does not answer.
	Servers []Server
	// NASIdentifier is by what name the servers know this authority, 1 to 253 bytes.
	NASIdentifier string
	// Timeout is how long each try waits, to MaxTimeout; DefaultTimeout if zero.
	Timeout time.Duration
	// Tries is how often the same packet is sent to one server, to MaxTries;
	// DefaultTries if zero.
	Tries int
	// Words are sent as the password where nothing is typed, by the factor's name:
	// "push" to "push" and "phone_call" to "phone" for Duo's proxy. There are none
	// that hold everywhere. A factor without a word needs a passcode.
	Words map[string]string
	// Wait is how long a server that was sent a word may hold its answer back, from
	// Timeout to MaxWait; DefaultWait, or Timeout if that is longer, if zero.
	Wait time.Duration
	// Now is the clock by which servers are avoided; time.Now if nil.
	Now func() time.Time
	// Random is where identifiers and authenticators come from; crypto/rand if nil.
	Random io.Reader
}

// Server is one RADIUS server.
type Server struct {
	// Address is host:port. Of a name's addresses the first is used.
	Address string
	// Secret is shared with it, MinSecret to MaxSecret bytes. New takes a copy.
	Secret []byte
}

// Client is a remote.Verifier. Close it to have its secrets wiped.
type Client struct {
	servers []*server
	nas     string
	timeout time.Duration
	tries   int
	words   map[string]string
	wait    time.Duration
	now     func() time.Time
	random  io.Reader

	mu sync.Mutex // guards server.failed, and random
}

type server struct {
	address string
	id      serverID
	secret  *secret.Buffer
	failed  time.Time // when it last did not answer; zero since it did
}

// serverID finds a server again, wherever in the configuration it is by then.
type serverID [8]byte

func idOf(address string) serverID {
	sum := sha256.Sum256([]byte(address))
	return serverID(sum[:8])
}

// New returns a client of these servers. It asks them nothing. Its errors say what
// is wrong with the configuration.
func New(c Config) (*Client, error) {
	c = c.filled()
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &Client{nas: c.NASIdentifier, timeout: c.Timeout, tries: c.Tries, words: maps.Clone(c.Words), wait: c.Wait, now: c.Now, random: c.Random}
	for _, s := range c.Servers {
		copied := append([]byte(nil), s.Secret...)
		r.servers = append(r.servers, &server{address: s.Address, id: idOf(s.Address), secret: secret.From(copied)})
	}
	return r, nil
}

// Close wipes the shared secrets. Questions fail from then on.
func (c *Client) Close() {
	for _, s := range c.servers {
		s.secret.Wipe()
	}
}

func (c Config) filled() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Tries == 0 {
		c.Tries = DefaultTries
	}
	if c.Wait == 0 {
		c.Wait = max(DefaultWait, c.Timeout)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return c
}

func (c Config) check() error {
	switch {
	case len(c.Servers) == 0:
		return errors.New("no RADIUS server is named")
	case len(c.Servers) > MaxServers:
		return fmt.Errorf("there are %d RADIUS servers, and at most %d are possible", len(c.Servers), MaxServers)
	case !isText(c.NASIdentifier):
		return fmt.Errorf("the NAS-Identifier is not 1 to %d bytes of text", maxValue)
	case c.Timeout < 0 || c.Timeout > MaxTimeout:
		return fmt.Errorf("a timeout of %v is not within %v", c.Timeout, MaxTimeout)
	case c.Tries < 0 || c.Tries > MaxTries:
		return fmt.Errorf("%d tries are not 1 to %d", c.Tries, MaxTries)
	case c.Wait < c.Timeout || c.Wait > MaxWait:
		return fmt.Errorf("a wait of %v is not from the timeout, %v, to %v", c.Wait, c.Timeout, MaxWait)
	}
	for factor, word := range c.Words {
		if !isText(word) || len(word) > maxPassword {
			return fmt.Errorf("the word for %q is not 1 to %d bytes of text", factor, maxPassword)
		}
	}
	seen := map[string]bool{}
	for _, s := range c.Servers {
		if err := s.check(); err != nil {
			return err
		}
		key := strings.ToLower(s.Address)
		if seen[key] {
			return fmt.Errorf("%s is named twice", s.Address)
		}
		seen[key] = true
	}
	return nil
}

func (s Server) check() error {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", s.Address, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isText(host) {
		return fmt.Errorf("%q is not host:port", s.Address)
	}
	if len(s.Secret) < MinSecret || len(s.Secret) > MaxSecret {
		return fmt.Errorf("the shared secret of %s is not %d to %d bytes long", s.Address, MinSecret, MaxSecret)
	}
	return nil
}
