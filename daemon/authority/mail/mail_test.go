package mail_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/mail"
	"github.com/tokenbridge/tokend/tokens/tokentest/smtprig"
)

const link = "tokend-activate:" + "ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func serve(t *testing.T, o smtprig.Options) *smtprig.Server {
	t.Helper()
	s, err := smtprig.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func sender(t *testing.T, s *smtprig.Server, change func(*mail.Config)) *mail.Sender {
	t.Helper()
	c := mail.Config{Server: s.Addr, From: "Example Hilfe <hilfe@example.org>", Roots: s.Roots}
	if change != nil {
		change(&c)
	}
	out, err := mail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func letter() mail.Letter {
	return mail.Letter{To: "alice@example.org", Values: mail.Values{Name: "Alice Müller", User: "alice", Authority: "Beispiel für alle", Account: "vpn",
		Link: link, Expires: time.Now().Add(time.Hour), Contact: "IT, Zimmer 4.12"}}
}

// read is a letter as a mail program shows it.
func read(t *testing.T, l smtprig.Letter) (*netmail.Message, string) {
	t.Helper()
	for _, line := range strings.Split(string(l.Text), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line that mail must not have: %q", line)
		}
		for _, c := range []byte(line) {
			if c >= 0x80 {
				t.Errorf("a byte that needs 8BITMIME: %q", line)
			}
		}
	}
	m, err := netmail.ReadMessage(strings.NewReader(string(l.Text)))
	if err != nil {
		t.Fatal(err)
	}
	if ct := m.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" || m.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
		t.Errorf("it is %s", ct)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m, strings.ReplaceAll(string(body), "\r\n", "\n")
}

func TestLetterArrives(t *testing.T) {
	for name, implicit := range map[string]bool{"starttls": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, smtprig.Options{User: "tokend", Password: "swordfish", Implicit: implicit})
			password := []byte("swordfish")
			s := sender(t, srv, func(c *mail.Config) {
				c.Implicit, c.User, c.Password = implicit, "tokend", func() ([]byte, error) { return password, nil }
			})
			if err := s.Send(t.Context(), letter()); err != nil {
				t.Fatal(err)
			}
			if string(password) == "swordfish" {
				t.Error("the password is still there")
			}
			got := srv.Letters()
			if len(got) != 1 || !got[0].TLS || got[0].User != "tokend" || got[0].From != "hilfe@example.org" || got[0].To != "alice@example.org" {
				t.Fatalf("%+v", got)
			}
			m, body := read(t, got[0])
			to, err := m.Header.AddressList("To")
			if err != nil || len(to) != 1 || to[0].Address != "alice@example.org" || to[0].Name != "Alice Müller" {
				t.Errorf("to %v, %v", to, err)
			}
			if _, err := m.Header.Date(); err != nil || m.Header.Get("Message-ID") == "" {
				t.Errorf("%v, %v", m.Header, err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil || subject != "Beispiel für alle: your account vpn on a new device" {
				t.Errorf("%q, %v", subject, err)
			}
			for _, want := range []string{"Hello Alice Müller,", "\n" + link + "\n", "IT, Zimmer 4.12"} {
				if !strings.Contains(body, want) {
					t.Errorf("the letter does not say %q:\n%s", want, body)
				}
			}
			if strings.Contains(body, "second person") {
				t.Error("it speaks of a second person")
			}
		})
	}
}

// TestLetterIsNotSent: whatever is wrong, nothing is sent, the error says what, and
// holds neither the link nor an address nor the password.
func TestLetterIsNotSent(t *testing.T) {
	answer := func(at, text string) smtprig.Faults {
		return smtprig.Faults{Answers: map[string]string{at: text}}
	}
	right := func() ([]byte, error) { return []byte("swordfish"), nil }
	login := func(password func() ([]byte, error)) func(*mail.Config) {
		return func(c *mail.Config) { c.User, c.Password = "tokend", password }
	}
	for name, c := range map[string]struct {
		server  smtprig.Options
		faults  smtprig.Faults
		change  func(*mail.Config)
		problem mail.Problem
		code    int
	}{
		"no STARTTLS":           {faults: smtprig.Faults{NoSTARTTLS: true}, problem: mail.NoTLS},
		"STARTTLS is refused":   {faults: answer("STARTTLS", "454 not now"), problem: mail.NoTLS, code: 454},
		"STARTTLS is no TLS":    {faults: answer("STARTTLS", "220 go ahead\r\n250 fooled"), problem: mail.Broken},
		"unknown authority":     {change: func(c *mail.Config) { c.Roots = nil }, problem: mail.Untrusted},
		"unknown, TLS at once":  {server: smtprig.Options{Implicit: true}, change: func(c *mail.Config) { c.Roots, c.Implicit = nil, true }, problem: mail.Untrusted},
		"of another":            {server: smtprig.Options{Name: "other.example.org"}, problem: mail.Untrusted},
		"expired":               {server: smtprig.Options{Expired: true}, problem: mail.Untrusted},
		"TLS to a plain server": {change: func(c *mail.Config) { c.Implicit, c.Timeout = true, 300*time.Millisecond }, problem: mail.Broken},
		"wrong password":        {server: smtprig.Options{User: "tokend", Password: "other"}, change: login(right), problem: mail.NoLogin, code: 535},
		"no password":           {server: smtprig.Options{User: "tokend", Password: "other"}, change: login(func() ([]byte, error) { return nil, errors.New("gone") }), problem: mail.NoLogin},
		"no login there":        {change: login(right), problem: mail.NoLogin},
		"wants a login":         {server: smtprig.Options{User: "tokend", Password: "swordfish"}, problem: mail.Refused, code: 530},
		"no such user":          {faults: answer("RCPT", "550 5.1.1 <alice@example.org> unknown"), problem: mail.Refused, code: 550},
		"not from there":        {faults: answer("MAIL", "553 no"), problem: mail.Refused, code: 553},
		"no letters":            {faults: answer("DATA", "451 later"), problem: mail.Refused, code: 451},
		"not this one":          {faults: answer(".", "554 spam: "+link), problem: mail.Refused, code: 554},
		"mute":                  {faults: smtprig.Faults{Mute: []string{"EHLO"}}, change: func(c *mail.Config) { c.Timeout = 300 * time.Millisecond }, problem: mail.Broken},
		"cut at MAIL":           {faults: smtprig.Faults{Cut: []string{"MAIL"}}, problem: mail.Broken},
		"cut at RCPT":           {faults: smtprig.Faults{Cut: []string{"RCPT"}}, problem: mail.Broken},
		"cut in DATA":           {faults: smtprig.Faults{Cut: []string{"DATA"}}, problem: mail.Broken},
		"cut at the end":        {faults: smtprig.Faults{Cut: []string{"."}}, problem: mail.Broken},
		"mute at end":           {faults: smtprig.Faults{Mute: []string{"."}}, change: func(c *mail.Config) { c.Timeout = 500 * time.Millisecond }, problem: mail.Broken},
		"nonsense":              {faults: answer("EHLO", strings.Repeat("x", 10000)), problem: mail.Refused, code: 502},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, c.server)
			srv.Misbehave(c.faults)
			err := sender(t, srv, c.change).Send(t.Context(), letter())
			var e *mail.Error
			if !errors.As(err, &e) || e.Problem != c.problem || e.Code != c.code {
				t.Fatalf("%+v (%v)", e, errors.Unwrap(err))
			}
			if want := strings.HasSuffix(name, "at the end") || name == "mute at end"; e.Unsure != want {
				t.Errorf("unsure: %v", e.Unsure)
			}
			if len(srv.Letters()) != 0 {
				t.Error("the letter was taken")
			}
			for err := error(e); err != nil; err = errors.Unwrap(err) {
				for _, secret := range []string{link, "alice@", "swordfish"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error has %q: %v", secret, err)
					}
				}
			}
			for _, line := range srv.Commands() {
				if (c.problem == mail.NoTLS || c.problem == mail.Untrusted) && (strings.HasPrefix(line, "AUTH") || strings.HasPrefix(line, "MAIL")) {
					t.Errorf("it was told %q", line)
				}
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		srv := serve(t, smtprig.Options{})
		srv.Close()
		var e *mail.Error
		if err := sender(t, srv, nil).Send(t.Context(), letter()); !errors.As(err, &e) || e.Problem != mail.Unreachable {
			t.Errorf("%v", err)
		}
	})
	t.Run("the caller is gone", func(t *testing.T) {
		srv := serve(t, smtprig.Options{})
		srv.Misbehave(smtprig.Faults{Mute: []string{"RCPT"}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if err := sender(t, srv, nil).Send(ctx, letter()); err == nil {
			t.Error("it is sent")
		}
	})
	t.Run("words before TLS", func(t *testing.T) {
		// Whoever is in between says more before TLS begins: it is not heard.
		srv := serve(t, smtprig.Options{})
		srv.Misbehave(smtprig.Faults{Injected: "\r\n250-evil\r\n250 AUTH PLAIN"})
		err := sender(t, srv, func(c *mail.Config) {
			c.User, c.Password = "tokend", func() ([]byte, error) { return []byte("swordfish"), nil }
		}).Send(t.Context(), letter())
		var e *mail.Error
		if !errors.As(err, &e) || e.Problem != mail.NoLogin || slices.ContainsFunc(srv.Commands(), func(s string) bool { return strings.HasPrefix(s, "AUTH") }) {
			t.Errorf("%v, %q", err, srv.Commands())
		}
	})
	t.Run("a bad QUIT", func(t *testing.T) {
		srv := serve(t, smtprig.Options{})
		srv.Misbehave(smtprig.Faults{Cut: []string{"QUIT"}})
		if err := sender(t, srv, nil).Send(t.Context(), letter()); err != nil || len(srv.Letters()) != 1 {
			t.Errorf("a letter that was taken is not sent: %v", err)
		}
	})
}

// TestNothingIsInjected: no name and no address becomes another header, recipient
// or command.
func TestNothingIsInjected(t *testing.T) {
	srv := serve(t, smtprig.Options{})
	s := sender(t, srv, nil)
	for _, to := range []string{
		"", "alice", "@example.org", "alice@", "a@b@c.org", "alice@example.org,bob@example.org", "alice@example.org bob@example.org",
		"alice@example.org\r\nRCPT TO:<bob@example.org>", "alice@example.org\nBcc: bob@example.org", "alice@example.org>\r\nDATA", "<alice@example.org>",
		"Alice <alice@example.org>", `"a b"@example.org`, `"a\"@example.org`, "alice@[127.0.0.1]", "alice@exa\x00mple.org", "älice@example.org", "alice@exämple.org",
		"-oQ/tmp@example.org", "alice@-example.org", "a..b@example.org", "alice@example..org", "alice@example.org.", strings.Repeat("a", 65) + "@example.org",
		"a@" + strings.Repeat("b.", 130) + "org", "alice@example.org SIZE=1", "alice%0d%0a@example.org ",
	} {
		l := letter()
		l.To = to
		var e *mail.Error
		if err := s.Send(t.Context(), l); !errors.As(err, &e) || e.Problem != mail.BadAddress {
			t.Errorf("%q: %v", to, err)
		}
	}
	if got := srv.Commands(); len(got) != 0 {
		t.Fatalf("the server was told %q", got)
	}
	evil := []string{"Eve\r\nBcc: bob@example.org", "Eve\nSubject: x\n\nbody", "Eve\r\n.\r\nMAIL FROM:<x@y.org>", `Eve" <bob@example.org>, "x`, "Eve <bob@example.org>",
		"Eve\u2028Bcc: bob", "Eve\u202e gro", "=?utf-8?q?=0D=0ABcc:_bob@example.org?=", "{{.Link}}", "Eve\x00\x1b[2J", strings.Repeat("lang ", 50), "\xff\xfe", "."}
	for _, name := range evil {
		before := len(srv.Letters())
		l := letter()
		l.Name, l.User, l.Contact = name, name, name
		if l.Account = name; len(name) > 100 {
			l.Account = "vpn"
		}
		if err := s.Send(t.Context(), l); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		got := srv.Letters()[before:]
		if len(got) != 1 || got[0].To != "alice@example.org" || got[0].From != "hilfe@example.org" {
			t.Fatalf("%q: %+v", name, got)
		}
		m, body := read(t, got[0])
		to, err := m.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "alice@example.org" {
			t.Errorf("%q: to %v, %v", name, to, err)
		}
		var headers []string
		for h := range m.Header {
			headers = append(headers, h)
		}
		slices.Sort(headers)
		if !slices.Equal(headers, []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}) {
			t.Errorf("%q: headers %q", name, headers)
		}
		if strings.Count(body, link) != 1 || strings.ContainsAny(body, "\x00\x1b\r\u202e") || strings.Contains(m.Header.Get("Subject"), link) {
			t.Errorf("%q: %q", name, body)
		}
	}
	for _, c := range srv.Commands() {
		if strings.Contains(c, "bob") || strings.Contains(c, "x@y.org") {
			t.Errorf("the server was told %q", c)
		}
	}
}

func TestTemplates(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"none":          {"", "does not begin"},
		"no subject":    {"Hello\n\n{{.Link}}", "does not begin"},
		"two headers":   {"Subject: x\nBcc: bob@example.org\n\n{{.Link}}", "does not begin"},
		"no link":       {"Subject: x\n\nHello {{.Name}}", "does not have the link"},
		"only waiting":  {"Subject: x\n\n{{if .Waiting}}{{.Link}}{{end}}", "does not have the link"},
		"in subject":    {"Subject: {{.Link}}\n\n{{.Link}}", "into the subject"},
		"unknown field": {"Subject: x\n\n{{.Link}} {{.Password}}", "cannot be filled in"},
		"no template":   {"Subject: x\n\n{{.Link", "is no template"},
		"too large":     {"Subject: x\n\n{{.Link}}" + strings.Repeat("x", mail.MaxTemplate), "larger than"},
		"grows":         {"Subject: x\n\n{{.Link}}{{range 100000000}}xxxxxxxxxxxxxxxx{{end}}", "larger than"},
		"no text":       {"Subject: x\n\n{{.Link}}\xff", "not UTF-8"},
		"empty subject": {"Subject: \n\n{{.Link}}", "subject"},
		"a long one":    {"Subject: " + strings.Repeat("x", 201) + "\n\n{{.Link}}", "subject"},
	} {
		if _, err := mail.ParseTemplate(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own, err := mail.ParseTemplate("Subject: Für {{.Name}}\r\n\r\nHier: {{.Link}}{{if .Waiting}} (wartet){{end}}, bis {{.Expires}}\r\n.\r\nEnde\r\n")
	if err != nil {
		t.Fatal(err)
	}
	srv := serve(t, smtprig.Options{})
	l := letter()
	l.Waiting = true
	if err := sender(t, srv, func(c *mail.Config) { c.Template = own }).Send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, body := read(t, srv.Letters()[0]); !strings.HasPrefix(body, "Hier: "+link+" (wartet), bis 2") || !strings.HasSuffix(body, "\n.\nEnde\n") {
		t.Errorf("%q", body)
	}
}

func TestConfigs(t *testing.T) {
	for name, c := range map[string]mail.Config{
		"no port":      {Server: "mail.example.org", From: "a@example.org"},
		"no host":      {Server: ":25", From: "a@example.org"},
		"no sender":    {Server: "mail.example.org:587"},
		"two senders":  {Server: "mail.example.org:587", From: "a@example.org, b@example.org"},
		"a header":     {Server: "mail.example.org:587", From: "a@example.org\r\nBcc: b@example.org"},
		"an odd one":   {Server: "mail.example.org:587", From: "a@[127.0.0.1]"},
		"control name": {Server: "mail.example.org:587", From: "=?utf-8?q?a=0D=0Ab?= <a@example.org>"},
	} {
		if _, err := mail.New(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzAddress: what is taken for an address is one to the standard library as
// well, and is one word.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"alice@example.org", "a.b+c@ex-ample.org", "alice@example.org\r\nRCPT TO:<b@c.org>", "@", "a@b", "ä@b.org", `"a"@b.org`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if mail.CheckAddress(s) != nil {
			return
		}
		a, err := netmail.ParseAddress(s)
		if err != nil || a.Address != s || strings.ContainsAny(s, "\r\n <>,;:\"") {
			t.Errorf("%q: %v, %v", s, a, err)
		}
	})
}
