package duo_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/remote/duo"
	"github.com/tokenbridge/tokend/tokens/tokentest/duorig"
)

const secretPasscode = "sesame-123456"

// TestMain names a proxy in the environment at which nobody listens: whoever asks it
// reaches no server but those on this machine.
func TestMain(m *testing.M) {
	if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:9"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// unavailable holds an error against what is promised of it: it is of the right type,
// beside no answer, and says nothing that is to be kept from others.
func unavailable(t *testing.T, got string, err error) *remote.Unavailable {
	t.Helper()
	var u *remote.Unavailable
	if got != "" || !errors.As(err, &u) || u.Verifier != duo.Name || u.Server == "" || u.Problem == "" {
		t.Fatalf("%q, %#v", got, err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := fmt.Sprintf("%v %+v", e, e)
		for _, secret := range []string{duorig.SecretKey, secretPasscode, "45f7c92b", "Refused"} {
			if strings.Contains(text, secret) {
				t.Errorf("says %q", text)
			}
		}
		if len(text) > 1000 || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("says %q", text)
		}
	}
	return u
}

// stage is a place at which an answer can be bad.
type stage struct {
	name, path, factor string
}

func stages() []stage {
	return []stage{
		{"ping", "/auth/v2/ping", ""}, {"check", "/auth/v2/check", ""},
		{"preauth", "/auth/v2/preauth", "fob"},
		{"passcode", "/auth/v2/auth", "fob"}, {"push", "/auth/v2/auth", "push"}, {"call", "/auth/v2/auth", "phone_call"}, {"sms", "/auth/v2/auth", "sms"},
		{"status", "/auth/v2/auth_status", "push"},
	}
}

// run goes through a stage.
func (g stage) run(t *testing.T, v *duo.Verifier) (string, error) {
	t.Helper()
	if g.factor == "" {
		return "", v.Check(t.Context())
	}
	return outcome(t, v, question("anna", g.factor, secretPasscode), secretPasscode)
}

// at answers by h at the path of a stage alone.
func (g stage) at(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != g.path {
			return false
		}
		h(w, r)
		return true
	}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// raw answers by bytes that need be no HTTP.
func raw(t *testing.T, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, text)
	}
}

const allowed = `{"stat":"OK","response":{"result":"allow","status":"allow"}}`

// badAnswers are answers that must count as none, at any stage.
func badAnswers(t *testing.T) map[string]http.HandlerFunc {
	bad := map[string]http.HandlerFunc{
		"a page":             says(200, "<html>Welcome to the hotel</html>"),
		"a page of an error": says(503, "<html>"),
		"an allow, created":  says(201, allowed), "an allow, gone": says(410, allowed), "an allow, unauthorised": says(401, allowed),
		"an allow, forbidden": says(403, allowed), "an allow, too many": says(429, allowed), "an allow, broken": says(500, allowed),
		"an allow, not changed": says(304, ""), "an allow, elsewhere": says(300, allowed),
		"an allow and more": says(200, allowed+allowed), "half an allow": says(200, allowed[:len(allowed)-1]),
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b\x08\x00")
		},
		"moved": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/auth/v2/elsewhere")
			w.WriteHeader(302)
		},
		"moved, to be sent again": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/auth/v2/elsewhere")
			w.WriteHeader(307)
		},
		"without an end": func(w http.ResponseWriter, _ *http.Request) {
			for chunk := strings.Repeat(" ", 1<<16); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		},
		"cut after an allow": raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"+allowed),
		"cut in a chunk":     raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3c\r\n"+allowed),
		"cut in the header":  raw(t, "HTTP/1.1 200 OK\r\nContent-Le"),
		"cut at once":        raw(t, ""),
		"no HTTP":            raw(t, "220 mail.example.org ESMTP\r\n"),
		"a long header":      raw(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<17)+"\r\n\r\n"+allowed),
		"deep":               says(200, strings.Repeat("[", 100_000)),
		"a bad code":         says(401, `{"stat":"FAIL","code":"`+duorig.SecretKey+`"}`),
		"no code":            says(400, `{"stat":"FAIL","message":"Refused"}`),
	}
	for _, body := range []string{
		"", "null", "[]", "{}", "0", `"allow"`, "\xff\xfe", `{"stat":"OK"}`, `{"stat":"OK","response":null}`, `{"stat":"OK","response":{}}`, `{"stat":"OK","response":[]}`,
		`{"stat":"OK","response":"allow"}`, `{"stat":"OK","response":true}`, `{"stat":"OK","response":{"result":["allow"],"status":"allow"}}`,
		`{"stat":"OK","response":{"result":"ALLOW","status":"ALLOW"}}`, `{"stat":"OK","response":{"result":"allow"}}`,
		`{"stat":"OK","response":{"result":"allow","status":"deny"}}`, `{"stat":"OK","response":{"result":"","status":"allow"}}`,
		`{"stat":"OK","response":{"status":"allow"}}`, `{"stat":"FAIL","response":{"result":"allow","status":"allow"}}`,
		`{"stat":"ok","response":{"result":"allow","status":"allow"}}`, `{"response":{"result":"allow","status":"allow"}}`,
		`{"result":"allow","status":"allow"}`, `{"stat":"OK","response":{"result":"allow","status":"allow","time":-1,"txid":7}}`,
		`{"stat":"OK","response":{"time":99999999999999,"result":"pending"}}`,
	} {
		bad["200 "+body] = says(200, body)
	}
	return bad
}

func TestBadAnswers(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	for name, h := range badAnswers(t) {
		for _, g := range stages() {
			t.Run(name+"/"+g.name, func(t *testing.T) {
				s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Passcode: secretPasscode, Statuses: []duorig.Fields{duorig.Status("allow", "allow")}})
				s.AnswerWith(g.at(h))
				s.Requests()
				got, err := g.run(t, v)
				unavailable(t, got, err)
				if asked := s.Requests(); len(asked) == 0 || slices.Index(asked, g.path) != len(asked)-1 {
					t.Errorf("went on after the bad answer: %v", asked)
				}
			})
		}
	}
}

// TestTransactions: what is asked later is what was begun.
func TestTransactions(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	for _, begun := range []duorig.Fields{{"txid": ""}, {"txid": "a b"}, {"txid": "a\n"}, {"txid": strings.Repeat("x", 2000)},
		{"txid": "x", "result": "allow", "status": "allow"}, duorig.Status("allow", "allow"), duorig.Status("waiting", "pushed"), {}} {
		s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Begun: begun})
		a, err := v.Begin(t.Context(), question("anna", "push", ""))
		unavailable(t, string(a.State), err)
	}
	s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Statuses: []duorig.Fields{{"result": "allow", "status": "allow", "txid": "45f7c92b-berta"}, {"result": "allow", "status": "allow", "txid": "45f7c92b-anna"}}})
	a, err := v.Begin(t.Context(), question("anna", "push", ""))
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Continue(t.Context(), a.Token, nil)
	if u := unavailable(t, string(again.State), err); !strings.Contains(u.Problem, "another question") {
		t.Error(err)
	}
	if again, err = v.Continue(t.Context(), a.Token, nil); err != nil || again.State != remote.Accepted {
		t.Errorf("%+v, %v", again, err)
	}
	again, err = v.Continue(t.Context(), a.Token, nil)
	unavailable(t, string(again.State), err)
	for _, token := range []string{"", "waiting:", "waiting:a b", "challenged:", "challenged:\x00", "anna", "challenged:" + strings.Repeat("a", 2000)} {
		a, err := v.Continue(t.Context(), []byte(token), []byte("1"))
		unavailable(t, string(a.State), err)
	}
}

func TestRefusals(t *testing.T) {
	s := duorig.Start(t)
	for name, c := range map[string]struct {
		spoil func(*duo.Config)
		want  string
	}{
		"another secret":      {func(c *duo.Config) { c.SecretKey = strings.ToLower(duorig.SecretKey) }, "the signature is refused"},
		"another integration": {func(c *duo.Config) { c.IntegrationKey = "DIXXXXXXXXXXXXXXXXXX" }, "integration key is not known"},
	} {
		cfg := config(s)
		c.spoil(&cfg)
		if u := unavailable(t, "", verifier(t, cfg).Check(t.Context())); !strings.Contains(u.Problem, c.want) {
			t.Errorf("%s: %v", name, u)
		}
	}
	for name, c := range map[string]struct {
		status, code int
		want         string
	}{
		"kind of application": {403, 40301, "may not use the Auth API"},
		"parameters":          {400, 40002, "error 40002"},
		"rate":                {429, 42901, "too many requests"},
		"fault":               {500, 50000, "HTTP status 500"},
		"other":               {404, 40401, "error 40401"},
	} {
		s.AnswerWith(func(w http.ResponseWriter, _ *http.Request) bool {
			duorig.Fail(w, c.status, c.code)
			return true
		})
		s.Requests()
		if u := unavailable(t, "", verifier(t, config(s)).Check(t.Context())); !strings.Contains(u.Problem, c.want) {
			t.Errorf("%s: %v", name, u)
		}
		if asked := s.Requests(); len(asked) != 1 {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
}

// TestClock: a clock that is off too far is told, with by how much; it is not set
// right in passing.
func TestClock(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	for _, c := range []struct {
		theirs time.Duration
		noDate bool
		want   string
	}{
		{4 * time.Minute, false, ""}, {-4 * time.Minute, false, ""},
		{time.Hour, false, "behind Duo's"}, {-time.Hour, false, "ahead of Duo's"}, {-50 * time.Hour, true, "ahead of Duo's"},
	} {
		s.SetClock(c.theirs, c.noDate)
		s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Passcode: secretPasscode})
		got, err := outcome(t, v, question("anna", "fob", secretPasscode), "")
		if c.want == "" {
			if got != "accepted" || err != nil {
				t.Errorf("%v: %s, %v", c.theirs, got, err)
			}
			continue
		}
		u := unavailable(t, got, err)
		if _, rest, _ := strings.Cut(u.Problem, "the clock here is "); !strings.Contains(rest, c.want) {
			t.Fatalf("%v: %v", c.theirs, err)
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(u.Problem, "the clock here is "), " ")
		if d, err := time.ParseDuration(text); err != nil || (d-c.theirs.Abs()).Abs() > time.Hour/2 {
			t.Errorf("%v: said to be %s", c.theirs, text)
		}
		if err := v.Check(t.Context()); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.theirs, err)
		}
	}
	// Where not even ping answers, the refusal is told without.
	s.AnswerWith(stage{path: "/auth/v2/ping"}.at(says(500, "")))
	a, err := v.Begin(t.Context(), question("anna", "fob", secretPasscode))
	if u := unavailable(t, string(a.State), err); !strings.Contains(u.Problem, "time of the request is refused") {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	s := duorig.Start(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	plain := httptest.NewServer(says(200, allowed))
	defer plain.Close()
	for name, c := range map[string]struct {
		spoil func(*duo.Config)
		want  string
	}{
		"nobody listens":   {func(c *duo.Config) { c.Host = strings.TrimPrefix(closed.URL, "http://") }, "cannot be reached"},
		"no such name":     {func(c *duo.Config) { c.Host = "api-xxxxxxxx.duosecurity.invalid" }, "name cannot be found"},
		"no TLS":           {func(c *duo.Config) { c.Host = strings.TrimPrefix(plain.URL, "http://") }, "does not speak TLS"},
		"another's roots":  {func(c *duo.Config) { c.Roots = x509.NewCertPool() }, "certificate is not from whom"},
		"the pinned roots": {func(c *duo.Config) { c.Roots = nil }, "certificate is not from whom"},
		"another's name":   {func(c *duo.Config) { c.Host = strings.Replace(c.Host, "127.0.0.1", "localhost", 1) }, "certificate is not from whom"},
	} {
		cfg := config(s)
		c.spoil(&cfg)
		v := verifier(t, cfg)
		if u := unavailable(t, "", v.Check(t.Context())); !strings.Contains(u.Problem, c.want) {
			t.Errorf("%s: %v (%v)", name, u, u.Err)
		}
		a, err := v.Begin(t.Context(), question("anna", "fob", secretPasscode))
		unavailable(t, string(a.State), err)
	}
	if asked := s.Requests(); len(asked) > 0 {
		t.Errorf("asked %v by who must not trust the certificate", asked)
	}
}

// TestOldTLS: what Duo does not speak any more is not spoken.
func TestOldTLS(t *testing.T) {
	s := duorig.Start(t)
	old := httptest.NewUnstartedServer(says(200, allowed))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = s.Config.ErrorLog
	old.StartTLS()
	defer old.Close()
	c := config(s)
	c.Host = strings.TrimPrefix(old.URL, "https://")
	if u := unavailable(t, "", verifier(t, c).Check(t.Context())); !strings.Contains(u.Problem, "protocol version") {
		t.Error(u)
	}
}

// hang answers nothing until the request or the test is over.
func hang(t *testing.T) http.HandlerFunc {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}
}

// TestSilence: without an answer a question is over when its time is. A look at what
// was begun is not: Duo keeps that back until something has happened.
func TestSilence(t *testing.T) {
	s := duorig.Start(t)
	s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Statuses: []duorig.Fields{duorig.Status("allow", "allow")}})
	begun, err := verifier(t, config(s)).Begin(t.Context(), question("anna", "push", ""))
	if err != nil {
		t.Fatal(err)
	}
	c := config(s)
	c.Timeout = 200 * time.Millisecond
	v := verifier(t, c)
	silent := hang(t)
	for _, path := range []string{"/auth/v2/preauth", "/auth/v2/auth"} {
		// The other requests of the question must be quick enough, or that is what fails.
		s.AnswerWith(stage{path: path}.at(silent))
		a, err := v.Begin(t.Context(), question("anna", "fob", secretPasscode))
		unavailable(t, string(a.State), err)
	}
	s.AnswerWith(stage{path: "/auth/v2/auth_status"}.at(silent))
	var a remote.Answer
	for patient := c; a.State == "" && patient.Timeout < time.Hour; patient.Timeout *= 2 {
		// However slow the machine, ping is answered in time at last.
		a, err = verifier(t, patient).Continue(t.Context(), begun.Token, nil)
	}
	if err != nil || a.State != remote.Waiting || string(a.Token) != string(begun.Token) || a.RetryAfter <= 0 {
		t.Errorf("%+v, %v", a, err)
	}
	s.AnswerWith(func(w http.ResponseWriter, r *http.Request) bool {
		silent(w, r)
		return true
	})
	a, err = v.Continue(t.Context(), begun.Token, nil)
	if u := unavailable(t, string(a.State), err); !strings.Contains(u.Problem, "no answer in time") {
		t.Error(err)
	}
}

// TestCancel: methods return when their context ends, whatever they wait for.
func TestCancel(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.Phone())})
	asked := make(chan struct{}, 1)
	silent := hang(t)
	for _, g := range stages() {
		if g.factor == "" {
			continue
		}
		s.AnswerWith(g.at(func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			silent(w, r)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		a, err := v.Begin(ctx, question("anna", g.factor, secretPasscode))
		for err == nil {
			a, err = v.Continue(ctx, a.Token, nil)
		}
		if u := unavailable(t, string(a.State), err); !errors.Is(u, context.Canceled) {
			t.Errorf("%s: %v", g.name, err)
		}
		cancel()
	}
}

// tunnel connects who asks a proxy for it.
func tunnel(t *testing.T, w http.ResponseWriter, r *http.Request) {
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		there.Close()
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connected\r\n\r\n")
	var wg sync.WaitGroup
	for _, pair := range [][2]net.Conn{{here, there}, {there, here}} {
		wg.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
		})
	}
	wg.Wait()
}
