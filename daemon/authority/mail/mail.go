// Package mail sends activation links to users through one mail server: over TLS
// whose certificate was checked, or not at all. A letter is one text part, made
// from a template, for one recipient.
//
// Nothing that is put into a letter can become a header, another recipient or
// another command: addresses are parsed and hold printable ASCII alone, names are
// encoded, the text is quoted-printable, and control characters are taken out of
// values before.
//
// No error holds the link, an address or a password: what the server answered is
// told by its code.
package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// DefaultTimeout is how long sending a letter may take.
const DefaultTimeout = 45 * time.Second

// maxSending is how many letters are sent at once.
const maxSending = 4

// Config says which server sends, and as whom.
type Config struct {
	// Server is its host:port. Host is the name that its certificate must have.
	Server string
	// From is the sender: an address, or a name and an address in angle brackets.
	From string
	// User is whom the server knows; empty for a server that asks for none. Password
	// reads his password, which the caller may wipe afterwards; it is called for
	// each letter.
	User     string
	Password func() ([]byte, error)
	// Implicit says that TLS begins with the connection; otherwise it begins with
	// STARTTLS, without which nothing is sent.
	Implicit bool
	// Roots are the certificate authorities that are believed; the system's if nil.
	Roots *x509.CertPool
	// Template is what a letter says; nil stands for the one that comes with the
	// package.
	Template *Template
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Timeout is how long sending a letter may take; DefaultTimeout if 0.
	Timeout time.Duration
}

// Sender sends letters. Its methods are safe for concurrent use.
type Sender struct {
	cfg     Config
	host    string
	from    netmail.Address
	sending chan struct{}
}

// Letter is what is sent.
type Letter struct {
	// To is the address of the recipient.
	To string
	Values
}

// Problem is why a letter was not sent.
type Problem string

// The problems.
const (
	BadAddress  Problem = "address"     // the recipient's is none that can be used
	Unreachable Problem = "unreachable" // nobody answers there
	NoTLS       Problem = "no-tls"      // the server offers no STARTTLS
	Untrusted   Problem = "certificate" // its certificate is not believed, or of another
	NoLogin     Problem = "login"       // it does not take the user and the password
	Refused     Problem = "refused"     // it does not take the letter
	Broken      Problem = "broken"      // the connection ended, or was too slow
	Unwritten   Problem = "template"    // the letter could not be made
)

// Error is why a letter was not sent.
type Error struct {
	Problem Problem
	// Code is what the server answered, and 0 if it answered nothing.
	Code int
	// Unsure says that the server had the whole letter before that: it may have sent
	// it all the same.
	Unsure bool
	Err    error
}

// Error tells no more than the problem: what a server says may hold addresses.
func (e *Error) Error() string {
	s := map[Problem]string{
		BadAddress:  "the user's e-mail address cannot be used",
		Unreachable: "the mail server cannot be reached",
		NoTLS:       "the mail server offers no STARTTLS",
		Untrusted:   "the mail server's certificate is not believed",
		NoLogin:     "the mail server does not take the user and password",
		Refused:     "the mail server refuses the letter",
		Broken:      "the connection to the mail server ended too early",
		Unwritten:   "the letter cannot be made from its template",
	}[e.Problem]
	if e.Code != 0 {
		s += fmt.Sprintf(" (answer %d)", e.Code)
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// New returns a sender; it does not connect yet.
func New(c Config) (*Sender, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("the mail server must be host:port, not %q", c.Server)
	}
	s := &Sender{cfg: c, host: host, sending: make(chan struct{}, maxSending)}
	if s.from, err = sender(c.From); err != nil {
		return nil, err
	}
	if s.cfg.Template == nil {
		if s.cfg.Template, err = ParseTemplate(defaultTemplate); err != nil {
			return nil, err
		}
	}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	if s.cfg.Timeout <= 0 {
		s.cfg.Timeout = DefaultTimeout
	}
	return s, nil
}

// Send sends a letter, and returns when the server has taken it. It fails with an
// *Error.
func (s *Sender) Send(ctx context.Context, l Letter) error {
	to, err := address(l.To)
	if err != nil {
		return &Error{Problem: BadAddress, Err: err}
	}
	text, err := s.compose(to, l.Values)
	defer clear(text)
	if err != nil {
		return &Error{Problem: Unwritten, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	select {
	case s.sending <- struct{}{}:
		defer func() { <-s.sending }()
	case <-ctx.Done():
		return &Error{Problem: Broken, Err: context.Cause(ctx)}
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := s.login(c); err != nil {
		return err
	}
	return s.hand(c, to, text)
}

// connect is a connection over TLS. It is closed when ctx ends.
func (s *Sender) connect(ctx context.Context) (*smtp.Client, error) {
	conf := &tls.Config{ServerName: s.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.cfg.Server)
	if err != nil {
		return nil, &Error{Problem: Unreachable, Err: err}
	}
	conn = &terse{Conn: conn, left: maxSaid}
	raw := conn
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	if s.cfg.Implicit {
		secured := tls.Client(conn, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, handshake(err)
		}
		conn = secured
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		_ = conn.Close()
		return nil, answered(Unreachable, err)
	}
	if err := s.secure(c, conf); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// secure greets the server and begins TLS, if it has not begun. What the server
// said before is forgotten.
func (s *Sender) secure(c *smtp.Client, conf *tls.Config) error {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	if err := c.Hello(domain); err != nil {
		return answered(Refused, err)
	}
	if s.cfg.Implicit {
		return nil
	}
	if ok, _ := c.Extension("STARTTLS"); !ok {
		return &Error{Problem: NoTLS}
	}
	if err := c.StartTLS(conf); err != nil {
		var said *textproto.Error
		if errors.As(err, &said) {
			return answered(NoTLS, err)
		}
		return handshake(err)
	}
	if _, ok := c.TLSConnectionState(); !ok {
		return &Error{Problem: NoTLS}
	}
	return nil
}

func (s *Sender) login(c *smtp.Client) error {
	if s.cfg.User == "" {
		return nil
	}
	password, err := s.cfg.Password()
	defer clear(password)
	if err != nil {
		return &Error{Problem: NoLogin, Err: err}
	}
	if err := c.Auth(&plain{user: s.cfg.User, password: password}); err != nil {
		return answered(NoLogin, err)
	}
	return nil
}

// hand gives the server the letter. With its answer to the last line the letter
// is sent, whatever comes after.
func (s *Sender) hand(c *smtp.Client, to netmail.Address, text []byte) error {
	if err := c.Mail(s.from.Address); err != nil {
		return answered(Refused, err)
	}
	if err := c.Rcpt(to.Address); err != nil {
		return answered(Refused, err)
	}
	w, err := c.Data()
	if err != nil {
		return answered(Refused, err)
	}
	if _, err := w.Write(text); err != nil {
		return answered(Broken, err)
	}
	if err := w.Close(); err != nil {
		e := answered(Refused, err)
		e.Unsure = e.Code == 0
		return e
	}
	_ = c.Quit()
	return nil
}

// answered is an error of the conversation: with the server's code, or where there
// is none, of the connection.
func answered(p Problem, err error) *Error {
	var said *textproto.Error
	if errors.As(err, &said) {
		return &Error{Problem: p, Code: said.Code, Err: errors.New("the server's answer is left out")}
	}
	if p == NoLogin && errors.Is(err, errNoPlain) {
		return &Error{Problem: NoLogin, Err: err}
	}
	return &Error{Problem: Broken, Err: err}
}

func handshake(err error) *Error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return &Error{Problem: Untrusted, Err: err}
	}
	return &Error{Problem: Broken, Err: err}
}

var errNoPlain = errors.New("the server offers no login by password over TLS")

// plain is the mechanism PLAIN. net/smtp has one that would also speak without TLS
// to a server on this machine, and keeps the password as a string.
type plain struct {
	user     string
	password []byte
}

// Start implements smtp.Auth.
func (p *plain) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errNoPlain
	}
	for _, m := range s.Auth {
		if strings.EqualFold(m, "PLAIN") {
			return "PLAIN", append([]byte("\x00"+p.user+"\x00"), p.password...), nil
		}
	}
	return "", nil, errNoPlain
}

// Next implements smtp.Auth.
func (p *plain) Next(_ []byte, more bool) ([]byte, error) {
	if more {
		return nil, errors.New("the server asks for more than a password")
	}
	return nil, nil
}

// messageID is a fresh one.
func messageID(domain string) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(rand.Reader, id); err != nil {
		return "", err
	}
	return fmt.Sprintf("<%x@%s>", id, domain), nil
}
