package duo_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/remote/duo"
)

// The keys of Duo's documentation.
const (
	ikey = "DIWJ8X6AEYOR5OMC6TQ1"
	skey = "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep"
)

// fields are what an answer holds.
type fields map[string]any

// person is a user as the server has him. A factor of nil is one he has not got.
type person struct {
	preauth  fields
	passcode string   // the good one
	deny     string   // the status of passcodes that are not; "deny" if empty
	text     fields   // what is answered to sms; if nil: denied, and sent
	begun    fields   // what is answered to push and phone; if nil: a transaction
	statuses []fields // what auth_status says, one after the other
}

// server is Duo, as far as its documentation says what the Auth API does. It answers
// nothing to who has not signed.
type server struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	off    time.Duration // how far its clock is ahead
	noDate bool
	people map[string]person
	asked  []string // the paths, in order
	last   map[string]map[string]string
	// before, where set, may answer in its place; it then returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t testing.TB) *server {
	s := &server{t: t, people: map[string]person{}, last: map[string]map[string]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "https://") }

func (s *server) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func (s *server) config() duo.Config {
	return duo.Config{IntegrationKey: ikey, SecretKey: skey, Host: s.host(), Roots: s.roots(), Timeout: time.Minute}
}

func (s *server) verifier() *duo.Verifier { return verifier(s.t, s.config()) }

func verifier(t testing.TB, c duo.Config) *duo.Verifier {
	t.Helper()
	v, err := duo.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *server) set(name string, p person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[name] = p
}

func (s *server) answerWith(before func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// requests returns what was asked since the last time.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// params returns the parameters of the last request to a path.
func (s *server) params(path string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[path]
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("%s: %v", r.URL.Path, err)
	}
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	before, off := s.before, s.off
	now := time.Now().Add(off)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if s.noDate {
		w.Header()["Date"] = nil
	}
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if r.URL.Path == "/auth/v2/ping" {
		if r.Header.Get("Authorization") != "" {
			s.t.Error("ping is signed")
		}
		ok(w, fields{"time": now.Unix()})
		return
	}
	params, code := s.admit(r, string(body), now)
	if code != 0 {
		fail(w, code/100, code)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[r.URL.Path] = params
	s.route(w, r.Method+" "+r.URL.Path, params, now)
}

func (s *server) route(w http.ResponseWriter, what string, params map[string]string, now time.Time) {
	switch what {
	case "GET /auth/v2/check":
		ok(w, fields{"time": now.Unix()})
	case "POST /auth/v2/preauth":
		if p, known := s.people[params["username"]]; known {
			ok(w, p.preauth)
			return
		}
		ok(w, fields{"result": "enroll", "status_msg": "Enroll an authentication device", "enroll_portal_url": "https://api-3945ef22.duosecurity.com/portal?48bac5d9393fb2c2"})
	case "POST /auth/v2/auth":
		s.auth(w, params)
	case "GET /auth/v2/auth_status":
		name, found := strings.CutPrefix(params["txid"], "45f7c92b-")
		p := s.people[name]
		if !found || len(p.statuses) == 0 {
			fail(w, 400, 40002)
			return
		}
		ok(w, p.statuses[0])
		p.statuses = p.statuses[1:]
		s.people[name] = p
	case "POST /auth/v2/enroll":
		if _, known := s.people[params["username"]]; known {
			fail(w, 400, 40002)
			return
		}
		ok(w, fields{
			"activation_barcode": "https://api-eval.duosecurity.com/frame/qr?value=8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA",
			"activation_code":    "duo://8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA",
			"activation_url":     "https://m-eval.duosecurity.com/android/8LIRa5danrICkhHtkLxi",
			"expiration":         1796000000, "user_id": "DU94SWSN4ADHHJHF2HXT", "username": params["username"],
		})
	case "POST /auth/v2/enroll_status":
		state := "invalid"
		if params["user_id"] == "DU94SWSN4ADHHJHF2HXT" && strings.HasPrefix(params["activation_code"], "duo://8LIR") {
			state = "success"
		}
		ok(w, state)
	default:
		fail(w, 404, 40401)
	}
}

func (s *server) auth(w http.ResponseWriter, params map[string]string) {
	p, known := s.people[params["username"]]
	if !known {
		fail(w, 400, 40002)
		return
	}
	result := func(result, status string) fields {
		return fields{"result": result, "status": status, "status_msg": "for people: " + status}
	}
	switch {
	case params["factor"] == "passcode" && params["passcode"] == p.passcode:
		ok(w, result("allow", "allow"))
	case params["factor"] == "passcode" && p.deny != "":
		ok(w, result("deny", p.deny))
	case params["factor"] == "passcode":
		ok(w, result("deny", "deny"))
	case params["factor"] == "sms" && p.text != nil:
		ok(w, p.text)
	case params["factor"] == "sms":
		ok(w, result("deny", "sent"))
	case params["async"] == "1" && p.begun != nil:
		ok(w, p.begun)
	case params["async"] == "1":
		ok(w, fields{"txid": "45f7c92b-" + params["username"]})
	default:
		fail(w, 400, 40002)
	}
}

func ok(w http.ResponseWriter, response any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(fields{"stat": "OK", "response": response})
}

func fail(w http.ResponseWriter, status, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields{"stat": "FAIL", "code": code, "message": "Refused\x1b[31m", "message_detail": skey})
}

// admit checks the signature of a request as Duo's documentation has it, and returns
// its parameters, or the code of the refusal.
func (s *server) admit(r *http.Request, body string, now time.Time) (map[string]string, int) {
	query := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || query != "" {
			s.t.Errorf("%s: not a form", r.URL.Path)
		}
		query = body
	} else if body != "" {
		s.t.Errorf("%s: a body", r.URL.Path)
	}
	params := decodeForm(s.t, query)
	user, sig, basic := r.BasicAuth()
	date, err := mail.ParseDate(r.Header.Get("Date"))
	switch {
	case !basic:
		return nil, 40101
	case user != ikey:
		return nil, 40102
	case err != nil:
		return nil, 40104
	case now.Sub(date).Abs() > 5*time.Minute:
		return nil, 40105
	case !hmac.Equal([]byte(sig), []byte(sign(sha512.New, r.Header.Get("Date"), r.Method, r.Host, r.URL.Path, params))):
		return nil, 40103
	}
	return params, 0
}

// decodeForm reads a form by hand, so that nothing of the code under test or of what
// it is made of says what was sent.
func decodeForm(t testing.TB, s string) map[string]string {
	params := map[string]string{}
	for _, pair := range strings.FieldsFunc(s, func(r rune) bool { return r == '&' }) {
		name, value, _ := strings.Cut(pair, "=")
		for _, v := range []*string{&name, &value} {
			var out []byte
			for i := 0; i < len(*v); i++ {
				switch c := (*v)[i]; {
				case c == '+':
					out = append(out, ' ')
				case c == '%' && i+2 < len(*v):
					b, err := hex.DecodeString((*v)[i+1 : i+3])
					if err != nil {
						t.Errorf("a form that is none: %v", err)
						return nil
					}
					out, i = append(out, b...), i+2
				default:
					out = append(out, c)
				}
			}
			*v = string(out)
		}
		if _, twice := params[name]; twice {
			t.Errorf("%s twice", name)
		}
		params[name] = value
	}
	return params
}

// sign is the signature that Duo's documentation describes: an HMAC, in hexadecimal,
// of date, method, host, path and parameters, a line each.
func sign(h func() hash.Hash, date, method, host, path string, params map[string]string) string {
	var pairs []string
	for name, value := range params {
		pairs = append(pairs, escape(name)+"="+escape(value))
	}
	slices.Sort(pairs)
	mac := hmac.New(h, []byte(skey))
	fmt.Fprint(mac, strings.Join([]string{date, strings.ToUpper(method), strings.ToLower(host), path, strings.Join(pairs, "&")}, "\n"))
	return hex.EncodeToString(mac.Sum(nil))
}

// escape leaves the unreserved characters of RFC 3986 as they are.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// TestSignIsDuos holds the server's signature against the example of Duo's
// documentation, as it was with SHA-1 and as it is with SHA-512.
func TestSignIsDuos(t *testing.T) {
	params := map[string]string{"realname": "First Last", "username": "root"}
	for _, c := range []struct {
		hash func() hash.Hash
		want string
	}{
		{sha1.New, "RElXSjhYNkFFWU9SNU9NQzZUUTE6MmQ5N2Q2MTY2MzE5NzgxYjVhM2EwN2FmMzlkMzY2ZjQ5MTIzNGVkYw=="},
		{sha512.New, "RElXSjhYNkFFWU9SNU9NQzZUUTE6MWJmZmI4OTI0MzQ4ZjdkYjdkYTllN2Q3ZDc0OWRlZDkzYWFmZDAyZDhlOTA0OTYwZGE3Yjk2YzU3NTEwMjIwMTg1YTY0YTI4MjdlZThmMjRhYzVkMzA4MDJhOWVlOTdlNTlkZTQ0YjMwNGIxODI0MmYwZDU5NmQxNWE4MTIyYWY="},
	} {
		got := sign(c.hash, "Tue, 21 Aug 2012 17:29:18 -0000", "post", "api-XXXXXXXX.duosecurity.com", "/accounts/v1/account/list", params)
		if got := base64.StdEncoding.EncodeToString([]byte(ikey + ":" + got)); got != c.want {
			t.Errorf("signed %s, not %s", got, c.want)
		}
	}
}

// phone is a device that can do everything.
func phone() fields {
	return fields{"device": "DPFZRS9FB0D46QFTM891", "type": "phone", "name": "", "number": "XXX-XXX-0100",
		"capabilities": []string{"auto", "push", "sms", "phone", "mobile_otp"}}
}

func hardToken() fields {
	return fields{"device": "DHEKH0JJIYC1LX3AZWO4", "type": "token", "name": "0"}
}

func withDevices(d ...fields) fields {
	return fields{"result": "auth", "status_msg": "Account is active", "devices": d}
}

func status(result, status string) fields {
	return fields{"result": result, "status": status, "status_msg": "for people"}
}

func question(user, factor, passcode string) remote.Question {
	q := remote.Question{User: user, Factor: factor, Device: "anna's laptop", Account: "vpn", Reference: "R-17"}
	if passcode != "" {
		q.Passcode = []byte(passcode)
	}
	return q
}
