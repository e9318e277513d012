// Package smtprig is a mail server for tests: it takes letters, over TLS with a
// certificate of its own authority, and behaves as badly as it is told to.
package smtprig

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults are what a server does wrong.
type Faults struct {
	NoSTARTTLS bool
	// Injected is sent in the same packet as the answer to STARTTLS, before TLS.
	Injected string
	// Answers are sent in place of the usual ones, by the command: "EHLO", "STARTTLS",
	// "AUTH", "MAIL", "RCPT", "DATA", "." (the end of a letter), "QUIT".
	Answers map[string]string
	// Cut are the commands at which the connection ends, before an answer.
	Cut []string
	// Mute are the commands that are never answered.
	Mute []string
}

// Letter is what was taken.
type Letter struct {
	From, To string // of the envelope
	Text     []byte // header and body, as they travelled
	TLS      bool
	User     string // who logged in
}

// Server is a mail server on 127.0.0.1.
type Server struct {
	// Addr is its host:port.
	Addr string
	// Roots believes its certificate, CA is that as PEM.
	Roots *x509.CertPool
	CA    []byte

	user, password string
	implicit       bool
	cert           tls.Certificate
	l              net.Listener

	mu       sync.Mutex
	faults   Faults
	letters  []Letter
	commands []string
	conns    map[net.Conn]bool
}

// Options say how a server is.
type Options struct {
	User, Password string // who may send; anybody if empty
	Implicit       bool   // TLS from the beginning
	Name           string // in the certificate; 127.0.0.1 if empty
	Expired        bool
}

// Start starts a server; Close ends it.
func Start(o Options) (*Server, error) {
	s := &Server{user: o.User, password: o.Password, implicit: o.Implicit, conns: map[net.Conn]bool{}}
	if err := s.certify(o); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if s.l, s.Addr = l, l.Addr().String(); o.Implicit {
		s.l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{s.cert}, MinVersion: tls.VersionTLS12})
	}
	go s.accept()
	return s, nil
}

// certify makes an authority, and a certificate by it.
func (s *Server) certify(o Options) error {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail test"}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &ca.PublicKey, ca)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if o.Expired {
		leaf.NotAfter = now.Add(-time.Hour)
	}
	if o.Name != "" {
		leaf.DNSNames = []string{o.Name}
	} else {
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, ca)
	if err != nil {
		return err
	}
	s.cert = tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
	s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	s.Roots = x509.NewCertPool()
	s.Roots.AppendCertsFromPEM(s.CA)
	return nil
}

// Misbehave sets what it does wrong from now on.
func (s *Server) Misbehave(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Letters are those that it has taken.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.letters)
}

// Commands are all lines that it was sent outside letters.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Close ends it, with what it is doing.
func (s *Server) Close() {
	_ = s.l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		go func() {
			defer func() { _ = c.Close() }()
			(&talk{s: s, conn: c, r: bufio.NewReader(c), letter: Letter{TLS: s.implicit}}).serve()
		}()
	}
}

// talk is one connection.
type talk struct {
	s      *Server
	conn   net.Conn
	r      *bufio.Reader
	letter Letter
}

func (t *talk) serve() {
	t.say("220 mail.example.org ESMTP")
	for {
		line, err := t.r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		t.s.mu.Lock()
		t.s.commands = append(t.s.commands, line)
		t.s.mu.Unlock()
		word, rest, _ := strings.Cut(line, " ")
		if !t.answer(strings.ToUpper(word), rest) {
			return
		}
	}
}

func (t *talk) say(line string) { _, _ = t.conn.Write([]byte(line + "\r\n")) }

// spoilt does what the faults want at a command; it says whether to go on, and
// whether that was the answer.
func (t *talk) spoilt(word string) (goOn, answered bool) {
	t.s.mu.Lock()
	f := t.s.faults
	t.s.mu.Unlock()
	switch {
	case slices.Contains(f.Cut, word):
		return false, true
	case slices.Contains(f.Mute, word):
		_, _ = t.r.ReadByte() // until the other side is gone
		return false, true
	}
	if a, ok := f.Answers[word]; ok {
		t.say(a)
		return true, true
	}
	return true, false
}

func (t *talk) answer(word, rest string) bool {
	if goOn, answered := t.spoilt(word); answered {
		return goOn
	}
	switch word {
	case "EHLO":
		t.hello()
	case "STARTTLS":
		return t.startTLS()
	case "AUTH":
		t.login(rest)
	case "MAIL":
		t.letter.From = between(rest)
		t.say("250 ok")
	case "RCPT":
		if t.s.user != "" && t.letter.User == "" {
			t.say("530 log in first")
			return true
		}
		t.letter.To = between(rest)
		t.say("250 ok")
	case "DATA":
		return t.data()
	case "QUIT":
		t.say("221 bye")
		return false
	default:
		t.say("502 not here")
	}
	return true
}

func (t *talk) hello() {
	t.s.mu.Lock()
	f := t.s.faults
	t.s.mu.Unlock()
	t.say("250-mail.example.org")
	if !t.letter.TLS && !f.NoSTARTTLS {
		t.say("250-STARTTLS")
	}
	if t.s.user != "" {
		t.say("250-AUTH LOGIN PLAIN")
	}
	t.say("250 8BITMIME")
}

func (t *talk) startTLS() bool {
	t.s.mu.Lock()
	injected := t.s.faults.Injected
	t.s.mu.Unlock()
	t.say("220 go ahead" + injected)
	c := tls.Server(t.conn, &tls.Config{Certificates: []tls.Certificate{t.s.cert}, MinVersion: tls.VersionTLS12})
	if err := c.Handshake(); err != nil {
		return false
	}
	t.conn, t.r = c, bufio.NewReader(c)
	t.letter = Letter{TLS: true}
	return true
}

func (t *talk) login(rest string) {
	_, text, _ := strings.Cut(rest, " ")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || string(raw) != "\x00"+t.s.user+"\x00"+t.s.password {
		t.say("535 no such user and password")
		return
	}
	t.letter.User = t.s.user
	t.say("235 welcome")
}

func (t *talk) data() bool {
	t.say("354 go ahead")
	var text []byte
	for {
		line, err := t.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		text = append(text, strings.TrimPrefix(line, ".")...)
	}
	if goOn, answered := t.spoilt("."); answered {
		return goOn
	}
	t.letter.Text = text
	t.s.mu.Lock()
	t.s.letters = append(t.s.letters, t.letter)
	n := len(t.s.letters)
	t.s.mu.Unlock()
	t.say(fmt.Sprintf("250 taken as %d", n))
	return true
}

// between is what stands in the angle brackets.
func between(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}
