package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

const testSecret = "a shared secret of the tests"

// peer is a server of the tests' own, which does what no server should.
type peer struct {
	t       *testing.T
	conn    *net.UDPConn
	mu      sync.Mutex
	packets [][]byte
	done    sync.WaitGroup
}

// newPeer serves each request with answer, which may send whatever it likes.
func newPeer(t *testing.T, answer func(p *peer, request []byte, from *net.UDPAddr)) *peer {
	t.Helper()
	p := &peer{t: t, conn: listen(t)}
	p.done.Go(func() {
		buf := make([]byte, 8192)
		for {
			n, from, err := p.conn.ReadFromUDP(buf)
			if err != nil {
				return
			}
			request := append([]byte(nil), buf[:n]...)
			p.mu.Lock()
			p.packets = append(p.packets, request)
			p.mu.Unlock()
			if answer != nil {
				answer(p, request, from)
			}
		}
	})
	t.Cleanup(func() { p.conn.Close(); p.done.Wait() })
	return p
}

func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (p *peer) address() string { return p.conn.LocalAddr().String() }

func (p *peer) send(b []byte, to *net.UDPAddr) { _, _ = p.conn.WriteToUDP(b, to) }

func (p *peer) requests() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([][]byte(nil), p.packets...)
}

// passwords is how many different questions with a password have come.
func (p *peer) passwords() int {
	seen := map[string]bool{}
	for _, r := range p.requests() {
		if r[0] == 1 {
			seen[string(r)] = true
		}
	}
	return len(seen)
}

// avp is an attribute.
func avp(kind byte, value string) []byte {
	return append([]byte{kind, byte(2 + len(value))}, value...)
}

// packet is an answer without any signature.
func packet(request []byte, code byte, attributes ...[]byte) []byte {
	b := append([]byte{code, request[1], 0, 0}, make([]byte, 16)...)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// unsigned is the place of the Message-Authenticator.
func unsigned() []byte { return avp(80, string(make([]byte, 16))) }

// messageAuthenticator fills the first Message-Authenticator at that offset.
func messageAuthenticator(b, request []byte, at int, shared string) []byte {
	copy(b[4:20], request[4:20])
	h := hmac.New(md5.New, []byte(shared))
	h.Write(b)
	copy(b[at+2:], h.Sum(nil))
	return b
}

func responseAuthenticator(b, request []byte, shared string) []byte {
	h := md5.New()
	h.Write(b[:4])
	h.Write(request[4:20])
	h.Write(b[20:])
	h.Write([]byte(shared))
	copy(b[4:20], h.Sum(nil))
	return b
}

// right is an answer that is right in everything.
func right(request []byte, code byte, attributes ...[]byte) []byte {
	b := packet(request, code, append([][]byte{unsigned()}, attributes...)...)
	return responseAuthenticator(messageAuthenticator(b, request, 20, testSecret), request, testSecret)
}

// quick is a client of these addresses that does not wait long.
func quick(t *testing.T, change func(*Config), addresses ...string) *Client {
	t.Helper()
	c := Config{NASIdentifier: "tokend-test", Timeout: 100 * time.Millisecond, Tries: 2}
	for _, a := range addresses {
		c.Servers = append(c.Servers, Server{Address: a, Secret: []byte(testSecret)})
	}
	if change != nil {
		change(&c)
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// patient gives answers that do come all the time that a busy machine may take.
func patient(c *Config) { c.Timeout, c.Tries = 30*time.Second, 1 }

func fobOf(user, passcode string) remote.Question {
	return remote.Question{User: user, Factor: "fob", Passcode: []byte(passcode)}
}
