package radius

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

const (
	accept    = 2
	reject    = 3
	challenge = 11
)

// forgery is what somebody sends who would like to be the server.
type forgery struct {
	name string
	make func(request []byte) []byte
	why  error
}

func forgeries() []forgery {
	re := func(b, request []byte) []byte { return responseAuthenticator(b, request, testSecret) }
	return []forgery{
		{"the wrong secret", func(r []byte) []byte {
			b := packet(r, accept, unsigned())
			return responseAuthenticator(messageAuthenticator(b, r, 20, "another secret"), r, "another secret")
		}, ErrNotAuthentic},
		{"no Message-Authenticator, the Response Authenticator right", func(r []byte) []byte { return re(packet(r, accept), r) }, ErrNoMessageAuthenticator},
		{"no Message-Authenticator, others attributes", func(r []byte) []byte { return re(packet(r, accept, avp(18, "hi"), avp(33, "proxied")), r) }, ErrNoMessageAuthenticator},
		{"a zero Message-Authenticator", func(r []byte) []byte { return re(packet(r, accept, unsigned()), r) }, ErrNotAuthentic},
		{"a wrong Message-Authenticator", func(r []byte) []byte {
			return re(messageAuthenticator(packet(r, accept, unsigned()), r, 20, "another secret"), r)
		}, ErrNotAuthentic},
		{"a Message-Authenticator for another request", func(r []byte) []byte {
			other := append([]byte(nil), r...)
			other[5] ^= 1
			return re(messageAuthenticator(packet(r, accept, unsigned()), other, 20, testSecret), r)
		}, ErrNotAuthentic},
		{"a Message-Authenticator over its own authenticator", func(r []byte) []byte {
			b := re(packet(r, accept, unsigned()), r)
			return messageAuthenticator(b, b, 20, testSecret)
		}, ErrNotAuthentic},
		{"a cut Message-Authenticator", func(r []byte) []byte { return re(packet(r, accept, avp(80, "123456789012345")), r) }, ErrMalformed},
		{"an empty Message-Authenticator", func(r []byte) []byte { return re(packet(r, accept, avp(80, "")), r) }, ErrMalformed},
		{"two Message-Authenticators", func(r []byte) []byte {
			return re(messageAuthenticator(packet(r, accept, unsigned(), unsigned()), r, 20, testSecret), r)
		}, ErrMalformed},
		{"one hidden in another attribute", func(r []byte) []byte {
			b := packet(r, accept, avp(18, string(unsigned())))
			return re(messageAuthenticator(b, r, 22, testSecret), r)
		}, ErrNoMessageAuthenticator},
		{"a wrong Response Authenticator", func(r []byte) []byte {
			b := right(r, accept)
			b[4] ^= 1
			return b
		}, ErrNotAuthentic},
		{"a reject that was made an accept", func(r []byte) []byte {
			b := right(r, reject)
			b[0] = accept
			return b
		}, ErrNotAuthentic},
		{"a reject that was made an accept, with a new Response Authenticator", func(r []byte) []byte {
			b := right(r, reject)
			b[0] = accept
			return re(b, r)
		}, ErrNotAuthentic},
		{"a challenge that was made an accept", func(r []byte) []byte {
			b := right(r, challenge, avp(24, "state"))
			b[0] = accept
			return b
		}, ErrNotAuthentic},
		{"an attribute more", func(r []byte) []byte {
			b := append(right(r, accept), avp(25, "class")...)
			b[3] += 7
			return re(b, r)
		}, ErrNotAuthentic},
		{"another identifier", func(r []byte) []byte {
			b := right(r, accept)
			b[1]++
			return b
		}, ErrIdentifier},
		{"right, for another identifier", func(r []byte) []byte {
			other := append([]byte(nil), r...)
			other[1]++
			return right(other, accept)
		}, ErrIdentifier},
		{"the request itself", func(r []byte) []byte { return r }, ErrNotAuthentic},
		{"the request with the accept's code", func(r []byte) []byte { return append([]byte{accept}, r[1:]...) }, ErrNotAuthentic},
		{"an accounting answer", func(r []byte) []byte { return right(r, 5) }, ErrCode},
		{"a request", func(r []byte) []byte { return right(r, 1) }, ErrCode},
		{"code 0", func(r []byte) []byte { return right(r, 0) }, ErrCode},
		{"two States", func(r []byte) []byte { return right(r, challenge, avp(24, "a"), avp(24, "b")) }, ErrMalformed},
		{"nothing", func([]byte) []byte { return nil }, ErrMalformed},
		{"half an answer", func(r []byte) []byte { return right(r, accept)[:19] }, ErrMalformed},
		{"less than its length", func(r []byte) []byte { return right(r, accept, avp(18, "hello"))[:40] }, ErrMalformed},
		{"a length of nothing", func(r []byte) []byte {
			b := right(r, accept)
			b[2], b[3] = 0, 0
			return b
		}, ErrMalformed},
		{"a length of everything", func(r []byte) []byte {
			b := right(r, accept)
			b[2], b[3] = 255, 255
			return b
		}, ErrMalformed},
		{"an attribute without length", func(r []byte) []byte { return re(packet(r, accept, []byte{18, 0}), r) }, ErrMalformed},
		{"an attribute that is too long", func(r []byte) []byte { return re(packet(r, accept, []byte{18, 200, 1}), r) }, ErrMalformed},
		{"5,000 bytes, all right", func(r []byte) []byte {
			return right(r, accept, bytes.Repeat(avp(18, strings.Repeat("x", 248)), 20))
		}, ErrMalformed},
		{"an answer and 60,000 bytes", func(r []byte) []byte { return append(right(r, accept), make([]byte, 60_000)...) }, ErrMalformed},
		{"random bytes", func([]byte) []byte {
			b := make([]byte, 64)
			_, _ = rand.Read(b[4:])
			return b
		}, ErrMalformed},
	}
}

// TestForgeriesAreNoAnswers: they are dropped, told for what they are, and the
// answer that comes after them counts.
func TestForgeriesAreNoAnswers(t *testing.T) {
	for _, f := range forgeries() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			alone := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(f.make(r), from) })
			err := unanswered(t, f.why, alone.address())
			if strings.Contains(err.Error(), "123456") || strings.Contains(err.Error(), testSecret) {
				t.Errorf("a secret is told: %v", err)
			}

			before := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
				p.send(f.make(r), from)
				p.send(right(r, reject), from)
			})
			if a, err := quick(t, patient, before.address()).Begin(t.Context(), fobOf("anna", "123456")); err != nil || a.State != remote.Rejected {
				t.Errorf("then a reject: %+v, %v", a, err)
			}
			before = newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
				p.send(f.make(r), from)
				p.send(right(r, accept), from)
			})
			if a, err := quick(t, patient, before.address()).Begin(t.Context(), fobOf("anna", "123456")); err != nil || a.State != remote.Accepted {
				t.Errorf("then an accept: %+v, %v", a, err)
			}
		})
	}
}

// unanswered asks, and fails unless there is no answer for that reason. On a machine
// that is so busy that nothing comes in time it asks with more of it.
func unanswered(t *testing.T, why error, address string) error {
	t.Helper()
	var err error
	for _, each := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		var a remote.Answer
		a, err = quick(t, func(c *Config) { c.Timeout = each }, address).Begin(t.Context(), fobOf("anna", "123456"))
		if a.State != "" || a.Token != nil || err == nil {
			t.Fatalf("answer %+v, %v", a, err)
		}
		if _, ok := errors.AsType[*remote.Unavailable](err); ok && errors.Is(err, why) && strings.Contains(err.Error(), why.Error()) {
			return err
		}
	}
	t.Fatalf("error %v, want one of %q", err, why)
	return nil
}

// TestEveryCutAnswerIsNone: no beginning of a right answer is one.
func TestEveryCutAnswerIsNone(t *testing.T) {
	request := aRequest(t)
	whole := right(request, accept, avp(18, "Welcome"), avp(25, "class"))
	for n := range whole {
		if r, err := parse(whole[:n], request, []byte(testSecret)); err == nil {
			t.Errorf("%d bytes of %d: %+v", n, len(whole), r)
		}
	}
	for bit := range len(whole) * 8 {
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		if r, err := parse(b, request, []byte(testSecret)); err == nil {
			t.Errorf("bit %d turned: %+v", bit, r)
		}
	}
	if r, err := parse(append(whole, "padding"...), request, []byte(testSecret)); err != nil || r.code != accept {
		t.Errorf("padded: %+v, %v", r, err)
	}
}

func aRequest(t testing.TB) []byte {
	t.Helper()
	b, err := encode(question{user: "anna", password: []byte("123456")}, "tokend", []byte(testSecret), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOldAnswersAreNone: an accept of one question is none of the next, even where
// its identifier is made to fit.
func TestOldAnswersAreNone(t *testing.T) {
	for why, fit := range map[error]bool{ErrIdentifier: false, ErrNotAuthentic: true} {
		var old []byte
		p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
			if old == nil {
				old = right(r, accept)
				p.send(old, from)
				return
			}
			again := append([]byte(nil), old...)
			if fit {
				again[1] = r[1]
			} else if again[1] == r[1] {
				return // by chance
			}
			p.send(again, from)
		})
		if a, err := quick(t, patient, p.address()).Begin(t.Context(), fobOf("anna", "123456")); err != nil || a.State != remote.Accepted {
			t.Fatalf("first: %+v, %v", a, err)
		}
		unanswered(t, why, p.address())
	}
}

// counting gives bytes that differ from those before.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	c.n++
	for i := range b {
		b[i] = c.n
	}
	return len(b), nil
}

// TestAnswersFromElsewhereAreNone: a right answer from another port or address.
func TestAnswersFromElsewhereAreNone(t *testing.T) {
	elsewhere := listen(t)
	another, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Logf("no second loopback address: %v", err)
		another = listen(t)
	}
	t.Cleanup(func() { another.Close() })
	for _, conn := range []*net.UDPConn{elsewhere, another} {
		p := newPeer(t, func(_ *peer, r []byte, from *net.UDPAddr) { _, _ = conn.WriteToUDP(right(r, accept), from) })
		unanswered(t, ErrAddress, p.address())
	}
}

// TestFloodsAreSatThrough: 20,000 pieces of rubbish, and then the answer.
func TestFloodsAreSatThrough(t *testing.T) {
	rubbish := forgeries()
	p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
		for i := range 20_000 {
			p.send(rubbish[i%(len(rubbish)-4)].make(r), from)
			if i%500 == 0 {
				time.Sleep(time.Millisecond) // the receiver's buffer is finite
			}
		}
		p.send(right(r, accept), from)
	})
	c := quick(t, func(c *Config) { c.Timeout, c.Tries = 5*time.Second, 10 }, p.address())
	if a, err := c.Begin(t.Context(), fobOf("anna", "123456")); err != nil || a.State != remote.Accepted {
		t.Errorf("%+v, %v", a, err)
	}

	endless := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
		for range 20_000 {
			p.send(rubbish[1].make(r), from)
		}
	})
	unanswered(t, ErrNoMessageAuthenticator, endless.address())
}

// TestForgedStatusAnswers: what is no answer to a question is none for the status.
func TestForgedStatusAnswers(t *testing.T) {
	for _, f := range forgeries() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(f.make(r), from) })
			if err := quick(t, nil, p.address()).Check(t.Context()); err == nil {
				t.Error("the server is said to be well")
			}
		})
	}
	p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, reject), from) })
	if err := quick(t, nil, p.address()).Check(t.Context()); !errors.Is(err, ErrCode) {
		t.Errorf("a reject of the status: %v", err)
	}
}
