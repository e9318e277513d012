package carry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/remote"
)

// listen is the real listener on loopback.
func listen(t *testing.T) (message.Endpoint, tls.Certificate) {
	t.Helper()
	key, err := remote.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, spki, err := remote.Certificate(key, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = remote.Serve(ctx, l, remote.Config{
			Certificate: cert,
			Message: func(_ context.Context, _ string, sealed []byte) ([]byte, error) {
				if string(sealed) == "refuse" {
					return nil, &ipc.Error{Kind: ipc.Throttled, Message: "too many messages", RetryAfter: 9}
				}
				return append([]byte("answer to "), sealed...), nil
			},
			Descriptor: func(string) ([]byte, error) { return nil, ipc.ErrNoAuthority() },
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	at := netip.MustParseAddrPort(l.Addr().String())
	return message.Endpoint{Host: at.Addr().String(), Port: at.Port(), Pin: message.PinOf(spki)}, cert
}

// TestCarry goes through the real listener, and tells apart why not.
func TestCarry(t *testing.T) {
	e, cert := listen(t)
	big := bytes.Repeat([]byte("x"), message.MaxSize-100)
	for _, sealed := range [][]byte{[]byte("hello"), big} {
		if got, err := carry.Carry(t.Context(), e, sealed); err != nil || string(got) != "answer to "+string(sealed) {
			t.Errorf("%.40q, %v", got, err)
		}
	}
	wrong := e
	wrong.Pin[0] ^= 1
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := e
	nobody.Port = netip.MustParseAddrPort(gone.Addr().String()).Port()
	gone.Close()
	socket := message.Endpoint{Socket: filepath.Join("/tmp", "no-such-socket")}
	for name, c := range map[string]struct {
		e      message.Endpoint
		sealed string
		kind   ipc.Kind
		is     error
	}{
		"refused":       {e, "refuse", ipc.Throttled, nil},
		"another key":   {wrong, "hello", ipc.VerifierDown, carry.ErrWrongKey},
		"nobody":        {nobody, "hello", ipc.VerifierDown, carry.ErrUnreachable},
		"no socket":     {socket, "hello", ipc.VerifierDown, carry.ErrUnreachable},
		"nothing":       {e, "", ipc.InvalidArgument, nil},
		"nowhere":       {message.Endpoint{}, "hello", ipc.InvalidArgument, nil},
		"too large":     {e, strings.Repeat("x", message.MaxSize+1), ipc.InvalidArgument, nil},
		"no TLS":        {answering(t, nil, "HTTP/1.1 200 OK\r\n\r\n"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"no HTTP":       {answering(t, &cert, "SSH-2.0-OpenSSH\r\n"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"no length":     {answering(t, &cert, "HTTP/1.1 200 OK\r\n\r\nhello"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"a web page":    {answering(t, &cert, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"another error": {answering(t, &cert, "HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nhi"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"too long":      {answering(t, &cert, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"a long line":   {answering(t, &cert, "HTTP/1.1 200 "+strings.Repeat("x", 20000)), "hello", ipc.VerifierDown, carry.ErrNonsense},
		"cut":           {answering(t, &cert, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), "hello", ipc.VerifierDown, carry.ErrUnreachable},
	} {
		_, err := carry.Carry(t.Context(), c.e, []byte(c.sealed))
		if ipc.KindOf(err) != c.kind || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var told *ipc.Error
	if _, err := carry.Carry(t.Context(), e, []byte("refuse")); !errors.As(err, &told) || told.RetryAfter != 9 || told.Message != "too many messages" {
		t.Errorf("%v", err)
	}
	if _, err := carry.Descriptor(t.Context(), e); ipc.KindOf(err) != ipc.VerifierDown {
		t.Errorf("where no authority is: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := carry.Carry(ctx, e, []byte("hello")); ipc.KindOf(err) != ipc.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}

// answering is something else that listens, with the listener's key or without
// TLS.
func answering(t *testing.T, cert *tls.Certificate, text string) message.Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := message.Endpoint{Host: "127.0.0.1", Port: netip.MustParseAddrPort(l.Addr().String()).Port(), Pin: message.Hash{1}}
	if cert != nil {
		e.Pin = message.PinOf(cert.Leaf.RawSubjectPublicKeyInfo)
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}})
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					_, _ = io.WriteString(c, text)
				}
			}()
		}
	}()
	return e
}

// TestTexts: a message goes through a file and through QR codes, and is not taken
// for one of another kind.
func TestTexts(t *testing.T) {
	raw := bytes.Repeat([]byte("sealed"), 500)
	file, err := carry.File(carry.Requests, raw)
	if err != nil {
		t.Fatal(err)
	}
	codes, err := carry.Codes(carry.Requests, raw)
	if err != nil || len(codes) < 2 {
		t.Fatal(len(codes), err)
	}
	for name, text := range map[string]string{"file": "# for the authority\r\n" + file, "codes": strings.Join(codes, "\n")} {
		if got, err := carry.Read(carry.Requests, text); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := carry.Read(carry.Answers, text); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%s for another kind: %v", name, err)
		}
	}
	if _, err := carry.Read(carry.Requests, strings.Join(codes[1:], "\n")); ipc.KindOf(err) != ipc.InvalidArgument {
		t.Errorf("a part is missing: %v", err)
	}
}
