package radius

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	wire "layeh.com/radius"
)

func TestConfigurations(t *testing.T) {
	good := func() Config {
		return Config{NASIdentifier: "n", Servers: []Server{{Address: "radius.example.org:1812", Secret: []byte("12345678")}}}
	}
	if c, err := New(good()); err != nil || c.timeout != DefaultTimeout || c.tries != DefaultTries || c.wait != DefaultWait {
		t.Errorf("%+v, %v", c, err)
	}
	for name, change := range map[string]func(*Config){
		"no server":      func(c *Config) { c.Servers = nil },
		"nine servers":   func(c *Config) { c.Servers = make([]Server, 9) },
		"no name":        func(c *Config) { c.NASIdentifier = "" },
		"control":        func(c *Config) { c.NASIdentifier = "a\nb" },
		"long name":      func(c *Config) { c.NASIdentifier = strings.Repeat("a", 254) },
		"no port":        func(c *Config) { c.Servers[0].Address = "radius" },
		"port 0":         func(c *Config) { c.Servers[0].Address = "radius:0" },
		"port x":         func(c *Config) { c.Servers[0].Address = "radius:radius" },
		"no host":        func(c *Config) { c.Servers[0].Address = ":1812" },
		"short secret":   func(c *Config) { c.Servers[0].Secret = []byte("1234567") },
		"long secret":    func(c *Config) { c.Servers[0].Secret = make([]byte, 129) },
		"twice":          func(c *Config) { c.Servers = append(c.Servers, Server{"Radius.example.org:1812", []byte("12345678")}) },
		"timeout":        func(c *Config) { c.Timeout = 61 * time.Second },
		"timeout before": func(c *Config) { c.Timeout = -1 },
		"tries":          func(c *Config) { c.Tries = 11 },
		"wait":           func(c *Config) { c.Wait = 121 * time.Second },
		"short wait":     func(c *Config) { c.Wait = time.Second },
		"empty word":     func(c *Config) { c.Words = map[string]string{"push": ""} },
		"long word":      func(c *Config) { c.Words = map[string]string{"push": strings.Repeat("p", 129)} },
	} {
		c := good()
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "1234567") {
			t.Errorf("%s: the secret is told: %v", name, err)
		}
	}
}

func TestSecretsOfTheConfigurationAreTheCallers(t *testing.T) {
	shared := []byte(testSecret)
	p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, accept), from) })
	c, err := New(Config{NASIdentifier: "n", Servers: []Server{{Address: p.address(), Secret: shared}}, Timeout: 30 * time.Second, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	clear(shared)
	if a, err := c.Begin(t.Context(), fobOf("anna", "1")); err != nil || a.State != remote.Accepted {
		t.Errorf("%+v, %v", a, err)
	}
	c.Close()
	asked := len(p.requests())
	if a, err := c.Begin(t.Context(), fobOf("anna", "1")); err == nil {
		t.Errorf("closed: %+v", a)
	}
	if len(p.requests()) != asked {
		t.Error("asked after Close")
	}
}

// TestRequests reads what is sent as a server does.
func TestRequests(t *testing.T) {
	p := newPeer(t, nil)
	c := quick(t, func(c *Config) { c.Tries = 3 }, p.address())
	for _, passcode := range []string{"1", "123456", "0123456789abcdef", "0123456789abcdefg", strings.Repeat("p", 127) + "q"} {
		before := len(p.requests())
		if a, err := c.Begin(t.Context(), fobOf("änne", passcode)); err == nil {
			t.Fatalf("%+v", a)
		}
		sent := p.requests()[before:]
		if len(sent) == 0 || len(sent) > 3 {
			t.Fatalf("sent %d times", len(sent))
		}
		for _, again := range sent[1:] {
			if !bytes.Equal(again, sent[0]) {
				t.Error("what is sent again is another packet")
			}
		}
		b := sent[0]
		if b[20] != 80 || b[21] != 18 {
			t.Errorf("the first attribute is %d of %d bytes", b[20], b[21])
		}
		signature := append([]byte(nil), b[22:38]...)
		clear(b[22:38])
		if want := messageAuthenticator(append([]byte(nil), b...), b, 20, testSecret)[22:38]; !bytes.Equal(signature, want) {
			t.Error("the Message-Authenticator is wrong")
		}
		got, err := wire.Parse(b, []byte(testSecret))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := wire.UserPassword(got.Get(attrUserPassword), []byte(testSecret), got.Authenticator[:])
		if err != nil || string(plain) != passcode {
			t.Errorf("password %q, %v", plain, err)
		}
		if string(got.Get(attrUserName)) != "änne" || string(got.Get(attrNASIdentifier)) != "tokend-test" || got.Code != wire.CodeAccessRequest {
			t.Errorf("request %+v", got)
		}
	}
	fresh := map[string]bool{}
	for _, r := range p.requests() {
		fresh[string(r[4:20])] = true
	}
	if len(fresh) != 5 {
		t.Errorf("%d authenticators of 5 questions", len(fresh))
	}
}

func TestNothingIsAskedOfWhatCannotBe(t *testing.T) {
	p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, accept), from) })
	c := quick(t, func(c *Config) { patient(c); c.Words = map[string]string{"push": "Frag ihn"} }, p.address())
	for _, q := range []struct {
		user, passcode string
		want           remote.Reason
	}{
		{"", "123456", remote.Unknown},
		{"a\x00", "123456", remote.Unknown},
		{"a\xff", "123456", remote.Unknown},
		{strings.Repeat("a", 254), "123456", remote.Unknown},
		{"anna", strings.Repeat("1", 129), remote.Wrong},
		{"anna", "123456\x00", remote.Wrong},
		{"anna", "push", remote.Wrong},
		{"anna", "PUSH2 ", remote.Wrong},
		{"anna", "123456,phone1", remote.Wrong},
		{"anna", "123456sms", remote.Wrong},
		{"anna", "123456€auto", remote.Wrong},
		{"anna", "frag ihn", remote.Wrong},
	} {
		if a, err := c.Begin(t.Context(), fobOf(q.user, q.passcode)); err != nil || a.State != remote.Rejected || a.Reason != q.want {
			t.Errorf("%q, %q: %+v, %v", q.user, q.passcode, a, err)
		}
	}
	if a, err := c.Begin(t.Context(), remote.Question{User: "anna", Factor: "sms"}); err == nil {
		t.Errorf("no passcode and no word: %+v", a)
	}
	if n := len(p.requests()); n > 0 {
		t.Errorf("asked %d times", n)
	}
	for _, good := range []string{"123456", "ccccccbchvthlivuitriujjifivbvtrjkjfirllluurj", "1234 567890", "pushy"} {
		if a, err := c.Begin(t.Context(), fobOf("anna", good)); err != nil || a.State != remote.Accepted {
			t.Errorf("%q: %+v, %v", good, a, err)
		}
	}
}

func TestPrompts(t *testing.T) {
	for in, want := range map[string]string{
		"":                                    "",
		"Enter the code":                      "Enter the code",
		" Enter\r\n\tthe   code\x00\x1b[31m ": "Enter the code[31m",
		"a\xffb":                              "a b",
		"a\u202eb\u200b":                      "ab",
		"Größe\u00a0ß":                        "Größe ß",
		strings.Repeat("ä", 300):              strings.Repeat("ä", remote.MaxPrompt),
	} {
		if got := prompt([][]byte{[]byte(in)}); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := prompt([][]byte{[]byte("one"), []byte("two")}); got != "one two" {
		t.Errorf("two messages: %q", got)
	}
}

// TestChallengesGoOn: to the server that challenged, whoever would be asked first,
// with its State and the user's name, and not for ever.
func TestChallengesGoOn(t *testing.T) {
	t.Parallel()
	state := "\x00state"
	challenging := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
		if r[0] == 1 {
			p.send(right(r, challenge, avp(18, "Next"), avp(24, state), avp(18, "code")), from)
		}
	})
	first := newPeer(t, nil)
	c := quick(t, func(c *Config) { c.Timeout = 5 * time.Second; c.Tries = 1 }, first.address(), challenging.address())
	a, err := c.Begin(t.Context(), fobOf("anna", "123456"))
	if err != nil || a.State != remote.Challenged || a.Prompt != "Next code" || len(a.Token) > remote.MaxToken {
		t.Fatalf("%+v, %v", a, err)
	}
	c.mark(c.servers[0], time.Time{})
	asked := len(first.requests())
	for range maxRounds - 1 {
		if a, err = c.Continue(t.Context(), a.Token, []byte("654321")); err != nil || a.State != remote.Challenged {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if b, err := c.Continue(t.Context(), a.Token, nil); err == nil {
		t.Errorf("it goes on: %+v", b)
	}
	if len(first.requests()) != asked {
		t.Error("another server was asked")
	}
	last, err := wire.Parse(challenging.requests()[maxRounds], []byte(testSecret))
	if err != nil || string(last.Get(attrState)) != state || string(last.Get(attrUserName)) != "anna" {
		t.Errorf("%+v, %v", last, err)
	}
	for _, passcode := range []string{"push", "1\x00"} {
		if b, err := c.Continue(t.Context(), a.Token, []byte(passcode)); err != nil || b.State != remote.Rejected {
			t.Errorf("%q: %+v, %v", passcode, b, err)
		}
	}
	other := quick(t, nil, first.address())
	for _, token := range [][]byte{a.Token, nil, []byte("x"), append(a.Token, 0)} {
		if b, err := other.Continue(t.Context(), token, []byte("654321")); err == nil {
			t.Errorf("%x: %+v", token, b)
		}
	}
}

// TestWhoIsAskedFirst: who did not answer is asked last, for half a minute.
func TestWhoIsAskedFirst(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := quick(t, func(c *Config) { c.Now = func() time.Time { return now } }, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
	order := func() string {
		var s []string
		for _, o := range c.order() {
			s = append(s, o.address[len(o.address)-1:])
		}
		return strings.Join(s, "")
	}
	is := func(want string) {
		t.Helper()
		if got := order(); got != want {
			t.Errorf("order %s, want %s", got, want)
		}
	}
	is("123")
	c.mark(c.servers[0], now)
	is("231")
	now = now.Add(avoid - 1)
	is("231")
	c.mark(c.servers[1], now)
	is("312")
	now = now.Add(1)
	is("132")
	c.mark(c.servers[1], time.Time{})
	is("123")
	c.mark(c.servers[0], now)
	now = now.Add(-time.Hour) // the clock was set
	is("123")
}

// TestRejectionsAreFinal: the next server is asked where one is silent, not where it
// says no.
func TestRejectionsAreFinal(t *testing.T) {
	yes := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, accept), from) })
	no := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, reject), from) })
	c := quick(t, patient, no.address(), yes.address())
	if a, err := c.Begin(t.Context(), fobOf("anna", "123456")); err != nil || a.State != remote.Rejected || a.Reason != remote.Wrong {
		t.Errorf("%+v, %v", a, err)
	}
	if n := len(yes.requests()); n != 0 {
		t.Errorf("the next was asked %d times", n)
	}
}

// TestPhonesAreNotRungTwice: a server that lives and holds its answer back is not
// failed over from; one that is dead is.
func TestPhonesAreNotRungTwice(t *testing.T) {
	t.Parallel()
	words := func(c *Config) { c.Words, c.Wait = map[string]string{"push": "push"}, 300*time.Millisecond }
	ask := remote.Question{User: "anna", Factor: "push"}
	next := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, accept), from) })
	status := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
		if r[0] == 12 {
			p.send(right(r, accept), from)
		}
	})
	c := quick(t, func(c *Config) { words(c); c.Timeout, c.Wait = 3*time.Second, 3*time.Second }, status.address(), next.address())
	if a, err := c.Begin(t.Context(), ask); err != nil || a.State != remote.Rejected || a.Reason != remote.TimedOut {
		t.Errorf("%+v, %v", a, err)
	}
	if status.passwords() != 1 || next.passwords() != 0 {
		t.Errorf("asked %d and %d", status.passwords(), next.passwords())
	}
	dead := newPeer(t, nil)
	c = quick(t, func(c *Config) { words(c); c.Timeout, c.Wait = 3*time.Second, 3*time.Second }, dead.address(), next.address())
	if a, err := c.Begin(t.Context(), ask); err != nil || a.State != remote.Accepted {
		t.Errorf("%+v, %v", a, err)
	}
	no := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) { p.send(right(r, reject), from) })
	c = quick(t, func(c *Config) { patient(c); words(c); c.Wait = 30 * time.Second }, no.address())
	if a, err := c.Begin(t.Context(), ask); err != nil || a.Reason != remote.Denied {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestGivingUp(t *testing.T) {
	p := newPeer(t, nil)
	c := quick(t, patient, p.address(), p.address()[:len("127.0.0.1")]+":9")
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for len(p.requests()) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	a, err := c.Begin(ctx, fobOf("anna", "123456"))
	<-stop
	if u, ok := errors.AsType[*remote.Unavailable](err); !ok || !errors.Is(err, context.Canceled) || a.State != "" || u.Server != p.address() {
		t.Errorf("%+v, %v", a, err)
	}
	if order := c.order(); order[0] != c.servers[0] {
		t.Error("giving up counts against the server")
	}
	if a, err := c.Begin(ctx, fobOf("anna", "123456")); !errors.Is(err, context.Canceled) {
		t.Errorf("ended before: %+v, %v", a, err)
	}
}

func TestWithoutRandomnessNothingIsSent(t *testing.T) {
	p := newPeer(t, nil)
	c := quick(t, func(c *Config) { c.Random = strings.NewReader("few") }, p.address())
	if a, err := c.Begin(t.Context(), fobOf("anna", "123456")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v, %v", a, err)
	}
	if len(p.requests()) > 0 {
		t.Error("sent")
	}
}

// TestServersByName: a name is looked up; one that there is not fails.
func TestServersByName(t *testing.T) {
	c := quick(t, nil, "tokend-test.invalid:1812", "[::1]:9")
	a, err := c.Begin(t.Context(), fobOf("anna", "123456"))
	u, ok := errors.AsType[*remote.Unavailable](err)
	if !ok || a.State != "" || u.Server != "" || !strings.Contains(u.Problem, "tokend-test.invalid:1812: cannot find its address") || !strings.Contains(u.Problem, "[::1]:9: ") {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	p := newPeer(t, func(p *peer, r []byte, from *net.UDPAddr) {
		got, err := wire.Parse(r, []byte(testSecret))
		if err != nil {
			return
		}
		code := byte(reject)
		if strings.HasSuffix(string(got.Get(attrUserName)), "0") {
			code = accept
		}
		p.send(right(r, code), from)
	})
	c := quick(t, patient, p.address())
	results := make([]error, 100)
	done := make(chan struct{})
	for i := range results {
		go func() {
			defer func() { done <- struct{}{} }()
			a, err := c.Begin(t.Context(), fobOf(fmt.Sprint("user", i), "123456"))
			if err == nil && (a.State == remote.Accepted) != (i%10 == 0) {
				err = fmt.Errorf("%d: %+v", i, a)
			}
			results[i] = err
		}()
	}
	for range results {
		<-done
	}
	if err := errors.Join(results...); err != nil {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	long := token{rounds: maxRounds, server: idOf("a"), user: strings.Repeat("u", 253), state: bytes.Repeat([]byte{0}, 253)}
	for _, tok := range []token{{rounds: 1, server: idOf("a"), user: "u"}, long} {
		b := tok.encode()
		got, err := decodeToken(b)
		if err != nil || !bytes.Equal(got.encode(), b) || len(b) > remote.MaxToken {
			t.Errorf("%+v, %v", got, err)
		}
		for n := range b {
			if got, err := decodeToken(b[:n]); err == nil {
				t.Errorf("cut to %d: %+v", n, got)
			}
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(token{rounds: 1, server: idOf("a"), user: "anna", state: []byte("state")}.encode())
	f.Add(token{rounds: 10, server: idOf("b"), user: "änne"}.encode())
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := decodeToken(b)
		if err != nil {
			return
		}
		if !bytes.Equal(tok.encode(), b) {
			t.Errorf("%x is read as %+v", b, tok)
		}
	})
}

// FuzzAnswer: bytes as they come, and the same as the attributes of an answer that is
// signed, as a server would send them that is bad itself.
func FuzzAnswer(f *testing.F) {
	request, err := encode(question{user: "anna", password: []byte("123456")}, "tokend", []byte(testSecret), &counting{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(right(request, accept), byte(accept))
	f.Add(right(request, challenge, avp(24, "s"), avp(18, "Code?")), byte(challenge))
	for _, g := range forgeries() {
		if b := g.make(request); len(b) < 1000 {
			f.Add(b, byte(reject))
		}
	}
	f.Add(slices.Concat(avp(24, ""), avp(18, "\xff\x00\u202e")), byte(challenge))
	f.Fuzz(func(t *testing.T, b []byte, code byte) {
		if r, err := parse(b, request, []byte(testSecret)); err == nil && !signed(b, request) {
			t.Fatalf("%x is taken for %+v", b, r)
		}
		if len(b) > 4096-38 {
			return
		}
		r, err := parse(right(request, code, b), request, []byte(testSecret))
		if err != nil {
			return
		}
		if code != accept && code != reject && code != challenge || byte(r.code) != code {
			t.Errorf("code %d is taken for %+v", code, r)
		}
		if p := prompt(r.messages); len(r.state) > 253 || utf8.RuneCountInString(p) > remote.MaxPrompt || !utf8.ValidString(p) || strings.ContainsAny(p, "\n\r\x00\x1b") {
			t.Errorf("%+v, prompt %q", r, p)
		}
	})
}

// signed checks an answer by other means: by making it once more.
func signed(b, request []byte) bool {
	at := 20
	for at < len(b) && b[at] != 80 {
		at += int(b[at+1])
	}
	n := int(b[2])<<8 | int(b[3])
	again := append([]byte(nil), b[:n]...)
	clear(again[at+2 : at+18])
	return bytes.Equal(responseAuthenticator(messageAuthenticator(again, request, at, testSecret), request, testSecret), b[:n])
}
