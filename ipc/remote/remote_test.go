package remote_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/remote"
)

// door is a listener on loopback that answers with what it was asked.
type door struct {
	addr string
	pin  [32]byte
	stop func() error
}

func open(t *testing.T, c remote.Config) *door {
	t.Helper()
	key, err := remote.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, spki, err := remote.Certificate(key, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, again, err := remote.Certificate(key, rand.Reader, time.Now().Add(time.Hour))
	if err != nil || !bytes.Equal(spki, again) {
		t.Fatal("a key has two pins", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Certificate = cert
	if c.Message == nil {
		c.Message = func(_ context.Context, from string, sealed []byte) ([]byte, error) {
			if bytes.Equal(sealed, []byte("refuse")) {
				return nil, &ipc.Error{Kind: ipc.Throttled, Message: "too many", RetryAfter: 7, Err: io.EOF}
			}
			return append([]byte(from+" "), sealed...), nil
		}
	}
	c.Descriptor = func(string) ([]byte, error) { return []byte("descriptor"), nil }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- remote.Serve(ctx, l, c) }()
	d := &door{addr: l.Addr().String(), pin: sha256.Sum256(spki)}
	d.stop = func() error {
		cancel()
		err, open := <-done
		if open {
			close(done)
		}
		return err
	}
	t.Cleanup(func() { _ = d.stop() })
	return d
}

// dial connects with TLS and says whether the key is the one that was pinned.
func (d *door) dial(most uint16) (*tls.Conn, error) {
	return tls.Dial("tcp", d.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: most, VerifyConnection: func(s tls.ConnectionState) error {
		if sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo) != d.pin {
			return fmt.Errorf("another key")
		}
		return nil
	}})
}

// ask sends a request as it is and reads the answer.
func (d *door) ask(t *testing.T, raw string) (int, string) {
	t.Helper()
	c, err := d.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func post(path, contentType, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, contentType, len(body), body)
}

// TestRemote: two paths, and nothing else.
func TestRemote(t *testing.T) {
	d := open(t, remote.Config{})
	const octets = remote.ContentType
	for name, c := range map[string]struct {
		raw, want string
		status    int
	}{
		"a message":       {post("/v1/message", octets, "hello"), "127.0.0.1 hello", 200},
		"the descriptor":  {"GET /v1/descriptor HTTP/1.1\r\nHost: x\r\n\r\n", "descriptor", 200},
		"refused":         {post("/v1/message", octets, "refuse"), `{"version":1,"error":{"kind":"throttled","message":"too many","retry_after":7}}`, 429},
		"as large as may": {post("/v1/message", octets, strings.Repeat("x", remote.MaxMessage)), "127.0.0.1 xxx", 200},
		"too large":       {post("/v1/message", octets, strings.Repeat("x", remote.MaxMessage+1)), `"invalid-argument"`, 413},
		"the local API":   {"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", `"not-found"`, 404},
		"admin":           {post("/v1/admin/users/list", "application/json", "{}"), `"not-found"`, 404},
		"another method":  {"GET /v1/message HTTP/1.1\r\nHost: x\r\n\r\n", `"unsupported"`, 405},
		"a query":         {post("/v1/message?x=y", octets, "hello"), `"not-found"`, 404},
		"JSON":            {post("/v1/message", "application/json", "{}"), `"invalid-argument"`, 415},
		"a web page":      {"GET /v1/descriptor HTTP/1.1\r\nHost: x\r\nOrigin: https://example.org\r\n\r\n", `"not-authorized"`, 403},
		"a dotted path":   {post("/v1/x/../message", octets, "hello"), `"not-found"`, 404},
	} {
		status, body := d.ask(t, c.raw)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %.200s", name, status, body)
		}
	}
	if status, _ := d.ask(t, "GET /v1/descriptor HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 9000)+"\r\n\r\n"); status != 431 {
		t.Errorf("a large head: %d", status)
	}
}

// TestOnlyTLS13: nothing is said to who speaks an older TLS, or none.
func TestOnlyTLS13(t *testing.T) {
	asked := make(chan struct{}, 1)
	d := open(t, remote.Config{Message: func(context.Context, string, []byte) ([]byte, error) {
		asked <- struct{}{}
		return nil, nil
	}})
	if c, err := d.dial(tls.VersionTLS12); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, post("/v1/message", remote.ContentType, "hello")); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(c)
	if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") {
		t.Errorf("plain HTTP is answered: %q", answer)
	}
	d.pin[0] ^= 1
	if c, err := d.dial(0); err == nil {
		c.Close()
		t.Error("another key is taken for the pinned one")
	}
	select {
	case <-asked:
		t.Error("somebody got through")
	default:
	}
}

// TestSlow: who says nothing, or too little, is put out.
func TestSlow(t *testing.T) {
	d := open(t, remote.Config{HeaderTime: 100 * time.Millisecond, BodyTime: 200 * time.Millisecond})
	silent, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if b, err := io.ReadAll(silent); err != nil || len(b) > 0 {
		t.Errorf("silent: %q, %v", b, err)
	}
	for name, raw := range map[string]string{
		"no head":   "",
		"half head": "POST /v1/message HTTP/1.1\r\nHost:",
		"half body": "POST /v1/message HTTP/1.1\r\nHost: x\r\nContent-Type: " + remote.ContentType + "\r\nContent-Length: 10\r\n\r\nhalf",
	} {
		c, err := d.dial(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(c) // ends: the listener closes it
		if strings.Contains(string(b), " 200 ") {
			t.Errorf("%s: %q", name, b)
		}
		c.Close()
	}
}

// TestFlood: one address takes up so many connections and no more, and what it
// gives up it can have again.
func TestFlood(t *testing.T) {
	d := open(t, remote.Config{ConnectionsEach: 3})
	var held []*tls.Conn
	for range 3 {
		c, err := d.dial(0)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for range 50 {
		if c, err := d.dial(0); err == nil {
			c.Close()
			t.Fatal("a fourth connection is served")
		}
	}
	if _, err := io.WriteString(held[0], post("/v1/message", remote.ContentType, "hello")); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(held[0]), nil); err != nil || resp.StatusCode != 200 {
		t.Error("who is connected is not served any more", err)
	}
	for _, c := range held {
		c.Close()
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := d.dial(0)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("what was given up is not to be had again")
		}
	}
}

// TestStop: it ends when it is told to, though somebody is connected.
func TestStop(t *testing.T) {
	d := open(t, remote.Config{StopTime: 50 * time.Millisecond})
	c, err := d.dial(0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", d.addr); err == nil {
		c.Close()
		t.Error("it listens still")
	}
}

// TestKeys: what is no key of ours is refused.
func TestKeys(t *testing.T) {
	key, err := remote.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "words": []byte("key"), "cut": key[:len(key)/2], "two": append(bytes.Clone(key), key...),
		"no key":  []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"another": bytes.ReplaceAll(key, []byte("PRIVATE"), []byte("PUBLIC")),
	} {
		if _, _, err := remote.Certificate(text, rand.Reader, time.Now()); err == nil {
			t.Errorf("%s: taken for a key", name)
		}
	}
}
