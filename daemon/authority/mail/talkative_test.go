package mail_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/mail"
)

// TestTalkativeServer has a server say more than any does, each time before TLS has
// begun: so whoever is on the way can say it as well. What it says must not be kept.
func TestTalkativeServer(t *testing.T) {
	const tooMuch = 64 << 20
	for name, piece := range map[string]string{
		"a line without an end":      strings.Repeat("2", 64<<10),
		"an answer of endless lines": strings.Repeat("220-mail.example.org\r\n", 4<<10),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			said := make(chan int, 1)
			go func() {
				n := 0
				defer func() { said <- n }()
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				for n < tooMuch {
					m, err := c.Write([]byte(piece))
					if n += m; err != nil {
						return
					}
				}
			}()
			s, err := mail.New(mail.Config{Server: l.Addr().String(), From: "hilfe@example.org", Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			var e *mail.Error
			if err := s.Send(context.Background(), letter()); !errors.As(err, &e) || e.Problem != mail.Broken {
				t.Errorf("it ends with %v", err)
			}
			if n := <-said; n >= tooMuch {
				t.Errorf("all of %d bytes were taken", n)
			}
		})
	}
}
