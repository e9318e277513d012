package duo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/remote/duo"
)

// outcome runs a question to its end: what is typed when challenged, and as many
// looks as it takes.
func outcome(t *testing.T, v *duo.Verifier, q remote.Question, typed string) (string, error) {
	t.Helper()
	a, err := v.Begin(t.Context(), q)
	for looks := 0; err == nil; looks++ {
		if len(a.Token) > remote.MaxToken || len([]rune(a.Prompt)) > remote.MaxPrompt {
			t.Fatalf("an answer that is too long: %+v", a)
		}
		switch a.State {
		case remote.Waiting:
			if a.RetryAfter <= 0 || looks > 10 {
				t.Fatalf("%d looks, %+v", looks, a)
			}
			a, err = v.Continue(t.Context(), a.Token, nil)
		case remote.Challenged:
			a, err = v.Continue(t.Context(), a.Token, []byte(typed))
		case remote.Accepted:
			if a.Reason != "" || a.Token != nil {
				t.Fatalf("an accept with more: %+v", a)
			}
			return "accepted", nil
		default:
			return string(a.State) + " " + string(a.Reason), nil
		}
	}
	return "", err
}

func TestFactors(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	all := withDevices(hardToken(), phone())
	async := func(statuses ...fields) person { return person{preauth: all, statuses: statuses} }
	for name, c := range map[string]struct {
		who    person
		factor string
		typed  string
		want   string
	}{
		"a fob's passcode":         {person{preauth: all, passcode: "123456"}, "fob", "123456", "accepted"},
		"of who has a token alone": {person{preauth: withDevices(hardToken()), passcode: "123456"}, "fob", "123456", "accepted"},
		"with signs":               {person{preauth: all, passcode: "a+b&c=d%41~*"}, "fob", "a+b&c=d%41~*", "accepted"},
		"a wrong one":              {person{preauth: all, passcode: "123456"}, "fob", "123457", "rejected wrong"},
		"one too many":             {person{preauth: all, passcode: "1", deny: "locked_out"}, "fob", "2", "rejected locked-out"},
		"denied for what is new":   {person{preauth: all, passcode: "1", deny: "moon_phase"}, "fob", "2", "rejected denied"},
		"a passcode with a line":   {person{preauth: all, passcode: "1\n"}, "fob", "1\n", "rejected wrong"},
		"no passcode":              {person{preauth: all}, "fob", "", "rejected wrong"},

		"a push that is approved": {async(status("waiting", "pushed"), status("waiting", "pushed"), status("allow", "allow")), "push", "", "accepted"},
		"one that did not arrive": {async(status("waiting", "push_failed"), status("allow", "allow")), "push", "", "accepted"},
		"one that is denied":      {async(status("waiting", "pushed"), status("deny", "deny")), "push", "", "rejected denied"},
		"one that is reported":    {async(status("deny", "fraud")), "push", "", "rejected fraud"},
		"one without an answer":   {async(status("waiting", "pushed"), status("deny", "timeout")), "push", "", "rejected timed-out"},
		"as it is documented":     {async(status("waiting", "timeout")), "push", "", "rejected timed-out"},
		"of who is locked out":    {async(status("deny", "locked_out")), "push", "", "rejected locked-out"},
		"a new kind of no":        {async(status("deny", "moon_phase")), "push", "", "rejected denied"},
		"no before it began":      {person{preauth: all, begun: status("deny", "locked_out")}, "push", "", "rejected locked-out"},

		"a call that is answered":    {async(status("waiting", "calling"), status("waiting", "answered"), status("allow", "allow")), "phone_call", "", "accepted"},
		"one that is not":            {async(status("waiting", "calling"), status("deny", "timeout")), "phone_call", "", "rejected timed-out"},
		"one that is reported too":   {async(status("waiting", "answered"), status("deny", "fraud")), "phone_call", "", "rejected fraud"},
		"a text message":             {person{preauth: all, passcode: "7654321"}, "sms", "7654321", "accepted"},
		"typed wrong":                {person{preauth: all, passcode: "7654321"}, "sms", "7654322", "rejected wrong"},
		"not typed":                  {person{preauth: all, passcode: "7654321"}, "sms", "", "rejected wrong"},
		"typed wrong once too often": {person{preauth: all, passcode: "1", deny: "locked_out"}, "sms", "2", "rejected locked-out"},
		"not sent":                   {person{preauth: all, text: status("deny", "locked_out")}, "sms", "1", "rejected locked-out"},
		"not sent to who is denied":  {person{preauth: all, text: status("deny", "deny")}, "sms", "1", "rejected denied"},
		"a factor that is not Duo's": {person{preauth: all}, "security_key", "", "rejected unknown"},
		"no factor":                  {person{preauth: all}, "", "", "rejected unknown"},
		"push without a phone":       {person{preauth: withDevices(hardToken())}, "push", "", "rejected unknown"},
		"sms without a phone":        {person{preauth: withDevices(hardToken())}, "sms", "", "rejected unknown"},
		"a call without a phone":     {person{preauth: withDevices(hardToken())}, "phone_call", "", "rejected unknown"},
		"a push without devices":     {person{preauth: fields{"result": "auth"}}, "push", "", "rejected unknown"},
		"a device that cannot":       {person{preauth: withDevices(fields{"device": "D1", "capabilities": []string{"sms"}})}, "push", "", "rejected unknown"},
		"a device without a name":    {person{preauth: withDevices(fields{"device": "", "capabilities": []string{"push"}})}, "push", "", "rejected unknown"},
		"who is denied before":       {person{preauth: fields{"result": "deny", "status_msg": "disabled"}, passcode: "1"}, "fob", "1", "rejected denied"},
		"who is to enrol":            {person{preauth: fields{"result": "enroll"}, passcode: "1"}, "fob", "1", "rejected unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			s.set("anna", c.who)
			q := question("anna", c.factor, "")
			if c.factor == "fob" {
				q = question("anna", c.factor, c.typed)
			}
			if got, err := outcome(t, v, q, c.typed); got != c.want || err != nil {
				t.Fatalf("%s, %v; not %s", got, err, c.want)
			}
		})
	}
}

// TestUnproven: whoever Duo would let in without asking is not accepted, whatever he
// has typed.
func TestUnproven(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	all := withDevices(phone())
	for name, c := range map[string]struct {
		who    person
		factor string
	}{
		"preauth, a passcode": {person{preauth: fields{"result": "allow", "status_msg": "bypass"}, passcode: "1"}, "fob"},
		"preauth, push":       {person{preauth: fields{"result": "allow", "devices": []fields{phone()}}, statuses: []fields{status("allow", "allow")}}, "push"},
		"push, bypass":        {person{preauth: all, statuses: []fields{status("allow", "bypass")}}, "push"},
		"sms, bypass":         {person{preauth: all, text: status("allow", "bypass")}, "sms"},
		"sms, allow":          {person{preauth: all, text: status("allow", "allow")}, "sms"},
	} {
		t.Run(name, func(t *testing.T) {
			s.set("anna", c.who)
			got, err := outcome(t, v, question("anna", c.factor, "1"), "1")
			if u := unavailable(t, got, err); !strings.Contains(u.Problem, "nothing was verified") {
				t.Fatalf("%v", err)
			}
		})
	}
	if slices.Contains(s.requests(), "/auth/v2/auth_status") == false {
		t.Fatal("the push was not looked at")
	}
}

func TestWhatIsAsked(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	s.set("anna", person{preauth: withDevices(hardToken(), fields{"device": "D2", "number": "XXX\x1b[1m-0102", "capabilities": []string{"sms"}}, phone()),
		statuses: []fields{status("waiting", "pushed"), status("allow", "allow")}})
	q := question("anna", "push", "")
	q.Device = "lap\ntop & \u202ex" + strings.Repeat("é", 200)
	a, err := v.Begin(t.Context(), q)
	if err != nil || a.State != remote.Waiting || string(a.Token) != "waiting:45f7c92b-anna" {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := s.params("/auth/v2/preauth"); len(got) != 1 || got["username"] != "anna" {
		t.Errorf("preauth of %v", got)
	}
	got := s.params("/auth/v2/auth")
	info := decodeForm(t, got["pushinfo"])
	device := "lap?top & ?x" + strings.Repeat("é", 116)
	if len(got) != 6 || got["username"] != "anna" || got["factor"] != "push" || got["device"] != "DPFZRS9FB0D46QFTM891" || got["async"] != "1" ||
		got["type"] != "Reactivation" || strings.Contains(got["pushinfo"], "+") ||
		len(info) != 3 || info["Account"] != "vpn" || info["Device"] != device || info["Reference"] != "R-17" {
		t.Errorf("asked %v, shown %v", got, info)
	}
	if a, err = v.Continue(t.Context(), a.Token, nil); err != nil || string(a.Token) != "waiting:45f7c92b-anna" {
		t.Fatalf("%+v, %v", a, err)
	}
	a, err = v.Begin(t.Context(), question("anna", "sms", ""))
	if err != nil || a.State != remote.Challenged || a.Prompt != "Passcode of the text message to XXX1-0102" {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := s.params("/auth/v2/auth"); len(got) != 3 || got["device"] != "D2" {
		t.Errorf("asked %v", got)
	}
	s.requests()
	for _, user := range []string{"", "an\x00na", "an\nna", "\xff", strings.Repeat("a", 257)} {
		if a, err := v.Begin(t.Context(), question(user, "fob", "1")); err != nil || a.State != remote.Rejected || a.Reason != remote.Unknown {
			t.Errorf("%q: %+v, %v", user, a, err)
		}
	}
	if asked := s.requests(); len(asked) > 0 {
		t.Errorf("asked %v of what are no names", asked)
	}
}

func TestEnrolmentLink(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	const good = "https://api-3945ef22.duosecurity.com/portal?48bac5d9393fb2c2"
	for portal, want := range map[string]string{
		good: good,
		"http://api-3945ef22.duosecurity.com/portal": "", "javascript:alert(1)": "", "https://": "", "https:///x": "", "//example.org/": "",
		"https://duo.com@example.org/": "", "https://example.org/\x1b[2J": "", "https://example.org/ x": "", "https://examplé.org/": "",
		"https://example.org/" + strings.Repeat("x", remote.MaxPrompt): "", "": "",
	} {
		s.set("new", person{preauth: fields{"result": "enroll", "enroll_portal_url": portal}})
		a, err := v.Begin(t.Context(), question("new", "push", ""))
		if err != nil || a.State != remote.Rejected || a.Reason != remote.Unknown || a.Enrolment != want {
			t.Errorf("%q: %+v, %v", portal, a, err)
		}
	}
}

func TestEnroll(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	e, err := v.Enroll(t.Context(), "berta")
	if err != nil || !strings.HasPrefix(e.Code, "duo://8LIR") || e.Link != "https://m-eval.duosecurity.com/android/8LIRa5danrICkhHtkLxi" ||
		e.Until.Unix() != 1796000000 || e.User != "DU94SWSN4ADHHJHF2HXT" {
		t.Fatalf("%q %q %v %q, %v", e.Link, e.Code, e.Until, e.User, err)
	}
	if p := s.params("/auth/v2/enroll"); p["username"] != "berta" || p["valid_secs"] != "86400" {
		t.Errorf("asked %v", p)
	}
	for _, text := range []string{fmt.Sprint(e), fmt.Sprintf("%+v", &e), fmt.Sprintf("%#v", e)} {
		if strings.Contains(text, "8LIR") {
			t.Errorf("printed as %s", text)
		}
	}
	if st, err := v.EnrolStatus(t.Context(), e); st != duo.EnrolDone || err != nil {
		t.Errorf("%s, %v", st, err)
	}
	e.Code = "duo://other"
	if st, err := v.EnrolStatus(t.Context(), e); st != duo.EnrolInvalid || err != nil {
		t.Errorf("%s, %v", st, err)
	}
	s.set("berta", person{})
	if _, err := v.Enroll(t.Context(), "berta"); err == nil || !strings.Contains(err.Error(), "known there already") {
		t.Errorf("enrolled twice: %v", err)
	}
	s.answerWith(func(w http.ResponseWriter, _ *http.Request) bool {
		ok(w, fields{"activation_code": "https://example.org", "expiration": 1796000000, "user_id": "U"})
		return true
	})
	if _, err := v.Enroll(t.Context(), "carl"); err == nil {
		t.Error("took a code that Duo Mobile does not read")
	}
	if _, err := v.EnrolStatus(t.Context(), e); err == nil {
		t.Error("took a state that is none")
	}
}

func TestCheck(t *testing.T) {
	s := newServer(t)
	if err := s.verifier().Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked := s.requests(); !slices.Equal(asked, []string{"/auth/v2/ping", "/auth/v2/check"}) {
		t.Errorf("asked %v", asked)
	}
}

func TestConfig(t *testing.T) {
	good := duo.Config{IntegrationKey: ikey, SecretKey: skey, Host: "api-XXXXXXXX.duosecurity.com"}
	verifier(t, good)
	if text := fmt.Sprintf("%v %+v %#v", good, &good, good); strings.Contains(text, skey) {
		t.Errorf("printed as %s", text)
	}
	for name, spoil := range map[string]func(*duo.Config){
		"no integration key": func(c *duo.Config) { c.IntegrationKey = "" },
		"one with a colon":   func(c *duo.Config) { c.IntegrationKey = "DI:WJ" },
		"no secret key":      func(c *duo.Config) { c.SecretKey = "" },
		"one with a line":    func(c *duo.Config) { c.SecretKey += "\n" },
		"no host":            func(c *duo.Config) { c.Host = "" },
		"an address":         func(c *duo.Config) { c.Host = "https://api.example.org" },
		"a path":             func(c *duo.Config) { c.Host = "api.example.org/x" },
		"a user":             func(c *duo.Config) { c.Host = "u@api.example.org" },
		"a port that is not": func(c *duo.Config) { c.Host = "api.example.org:0" },
		"a name with a dot":  func(c *duo.Config) { c.Host = ".example.org" },
		"a negative timeout": func(c *duo.Config) { c.Timeout = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := duo.New(c); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), skey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyAtOnce: each question gets its own answer.
func TestManyAtOnce(t *testing.T) {
	s := newServer(t)
	v := s.verifier()
	var wg sync.WaitGroup
	for i := range 24 {
		name := fmt.Sprintf("user%d", i)
		s.set(name, person{preauth: withDevices(phone()), passcode: name, statuses: []fields{status("waiting", "pushed"), status("deny", "fraud")}})
		wg.Go(func() {
			if a, err := v.Begin(t.Context(), question(name, "fob", name)); err != nil || a.State != remote.Accepted {
				t.Errorf("%s: %+v, %v", name, a, err)
			}
			if got, err := outcome(t, v, question(name, "push", ""), ""); got != "rejected fraud" || err != nil {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		})
	}
	wg.Wait()
}

// TestProxy: the way is through the proxy that was named, and what goes through it
// is not readable to it.
func TestProxy(t *testing.T) {
	s := newServer(t)
	var mu sync.Mutex
	var seen []string
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.Host)
		mu.Unlock()
		tunnel(t, w, r)
	}))
	defer p.Close()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := s.config()
	c.Proxy = u
	if err := verifier(t, c).Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "CONNECT " + s.host(); !slices.Equal(seen, []string{want, want}) {
		t.Errorf("the proxy saw %v", seen)
	}
}
