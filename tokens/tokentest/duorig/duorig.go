// Package duorig is Duo for tests: it does what Duo's documentation says of the Auth
// API, checks who signs as it is documented, and answers as it is told to.
package duorig

import (
	"crypto/hmac"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The keys of Duo's documentation.
const (
	IntegrationKey = "DIWJ8X6AEYOR5OMC6TQ1"
	SecretKey      = "Zh5eGmUq9zpfQnyUIu5OL9iWoMMv5ZNmk3zLJ4Ep"
)

// Fields are what an answer holds.
type Fields map[string]any

// Person is a user as the server has him. A factor of nil is one he has not got.
type Person struct {
	Preauth  Fields
	Passcode string   // the good one
	Deny     string   // the status of passcodes that are not; "deny" if empty
	Text     Fields   // what is answered to sms; if nil: denied, and sent
	Begun    Fields   // what is answered to push and phone; if nil: a transaction
	Statuses []Fields // what auth_status says, one after the other; the last one stays if Stays
	Stays    bool
}

// Server is Duo, as far as its documentation says what the Auth API does. It answers
// nothing to who has not signed.
type Server struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	off    time.Duration // how far its clock is ahead
	noDate bool
	people map[string]Person
	asked  []string // the paths, in order
	last   map[string]map[string]string
	// before, where set, may answer in its place; it then returns true.
	before func(w http.ResponseWriter, r *http.Request) bool
}

// Start starts one on 127.0.0.1, for as long as the test runs.
func Start(t testing.TB) *Server {
	s := &Server{t: t, people: map[string]Person{}, last: map[string]map[string]string{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// Host is where it is reached, with the port.
func (s *Server) Host() string { return strings.TrimPrefix(s.URL, "https://") }

// Roots believes its certificate.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// CA is what believes its certificate, as PEM.
func (s *Server) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Set makes a user, or another of one that there is.
func (s *Server) Set(name string, p Person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[name] = p
}

// SetClock has its clock be ahead, and its answers tell no time.
func (s *Server) SetClock(ahead time.Duration, noDate bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off, s.noDate = ahead, noDate
}

// AnswerWith lets before answer in its place, where that returns true.
func (s *Server) AnswerWith(before func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// Requests are the paths that were asked since the last time.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Params are the parameters of the last request to a path.
func (s *Server) Params(path string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[path]
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
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
		OK(w, Fields{"time": now.Unix()})
		return
	}
	params, code := s.admit(r, string(body), now)
	if code != 0 {
		Fail(w, code/100, code)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[r.URL.Path] = params
	s.route(w, r.Method+" "+r.URL.Path, params, now)
}

func (s *Server) route(w http.ResponseWriter, what string, params map[string]string, now time.Time) {
	switch what {
	case "GET /auth/v2/check":
		OK(w, Fields{"time": now.Unix()})
	case "POST /auth/v2/preauth":
		if p, known := s.people[params["username"]]; known {
			OK(w, p.Preauth)
			return
		}
		OK(w, Fields{"result": "enroll", "status_msg": "Enroll an authentication device", "enroll_portal_url": "https://api-3945ef22.duosecurity.com/portal?48bac5d9393fb2c2"})
	case "POST /auth/v2/auth":
		s.auth(w, params)
	case "GET /auth/v2/auth_status":
		name, found := strings.CutPrefix(params["txid"], "45f7c92b-")
		p := s.people[name]
		if !found || len(p.Statuses) == 0 {
			Fail(w, 400, 40002)
			return
		}
		OK(w, p.Statuses[0])
		if !p.Stays || len(p.Statuses) > 1 {
			p.Statuses = p.Statuses[1:]
		}
		s.people[name] = p
	case "POST /auth/v2/enroll":
		if _, known := s.people[params["username"]]; known {
			Fail(w, 400, 40002)
			return
		}
		OK(w, Fields{
			"activation_barcode": "https://api-eval.duosecurity.com/frame/qr?value=8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA",
			"activation_code":    "duo://8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA",
			"activation_url":     "https://m-eval.duosecurity.com/android/8LIRa5danrICkhHtkLxi",
			"expiration":         1796000000, "user_id": "DU94SWSN4ADHHJHF2HXT", "username": params["username"],
		})
	default:
		Fail(w, 404, 40401)
	}
}

func (s *Server) auth(w http.ResponseWriter, params map[string]string) {
	p, known := s.people[params["username"]]
	if !known {
		Fail(w, 400, 40002)
		return
	}
	result := func(result, status string) Fields {
		return Fields{"result": result, "status": status, "status_msg": "for people: " + status}
	}
	switch {
	case params["factor"] == "passcode" && params["passcode"] == p.Passcode:
		OK(w, result("allow", "allow"))
	case params["factor"] == "passcode" && p.Deny != "":
		OK(w, result("deny", p.Deny))
	case params["factor"] == "passcode":
		OK(w, result("deny", "deny"))
	case params["factor"] == "sms" && p.Text != nil:
		OK(w, p.Text)
	case params["factor"] == "sms":
		OK(w, result("deny", "sent"))
	case params["async"] == "1" && p.Begun != nil:
		OK(w, p.Begun)
	case params["async"] == "1":
		OK(w, Fields{"txid": "45f7c92b-" + params["username"]})
	default:
		Fail(w, 400, 40002)
	}
}

// OK answers what was asked.
func OK(w http.ResponseWriter, response any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Fields{"stat": "OK", "response": response})
}

// Fail refuses, with a code of Duo's.
func Fail(w http.ResponseWriter, status, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Fields{"stat": "FAIL", "code": code, "message": "Refused\x1b[31m", "message_detail": SecretKey})
}

// admit checks the signature of a request as Duo's documentation has it, and returns
// its parameters, or the code of the refusal.
func (s *Server) admit(r *http.Request, body string, now time.Time) (map[string]string, int) {
	query := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || query != "" {
			s.t.Errorf("%s: not a form", r.URL.Path)
		}
		query = body
	} else if body != "" {
		s.t.Errorf("%s: a body", r.URL.Path)
	}
	params := DecodeForm(s.t, query)
	user, sig, basic := r.BasicAuth()
	date, err := mail.ParseDate(r.Header.Get("Date"))
	switch {
	case !basic:
		return nil, 40101
	case user != IntegrationKey:
		return nil, 40102
	case err != nil:
		return nil, 40104
	case now.Sub(date).Abs() > 5*time.Minute:
		return nil, 40105
	case !hmac.Equal([]byte(sig), []byte(Sign(sha512.New, r.Header.Get("Date"), r.Method, r.Host, r.URL.Path, params))):
		return nil, 40103
	}
	return params, 0
}

// DecodeForm reads a form by hand, so that nothing of the code under test or of what
// it is made of says what was sent.
func DecodeForm(t testing.TB, s string) map[string]string {
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

// Sign is the signature that Duo's documentation describes: an HMAC, in hexadecimal,
// of date, method, host, path and parameters, a line each.
func Sign(h func() hash.Hash, date, method, host, path string, params map[string]string) string {
	var pairs []string
	for name, value := range params {
		pairs = append(pairs, escape(name)+"="+escape(value))
	}
	slices.Sort(pairs)
	mac := hmac.New(h, []byte(SecretKey))
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

// Phone is a device that can do everything.
func Phone() Fields {
	return Fields{"device": "DPFZRS9FB0D46QFTM891", "type": "phone", "name": "", "number": "XXX-XXX-0100",
		"capabilities": []string{"auto", "push", "sms", "phone", "mobile_otp"}}
}

// HardToken is a device that makes passcodes alone.
func HardToken() Fields {
	return Fields{"device": "DHEKH0JJIYC1LX3AZWO4", "type": "token", "name": "0"}
}

// WithDevices is what preauth says of a user who has some.
func WithDevices(d ...Fields) Fields {
	return Fields{"result": "auth", "status_msg": "Account is active", "devices": d}
}

// Status is what is said of a factor.
func Status(result, status string) Fields {
	return Fields{"result": result, "status": status, "status_msg": "for people"}
}
