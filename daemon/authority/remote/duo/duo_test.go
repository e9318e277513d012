package duo_test

import (
	"context"
	"errors"
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
	"github.com/tokenbridge/tokend/tokens/tokentest/duorig"
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
	s := duorig.Start(t)
	v := verifier(t, config(s))
	all := duorig.WithDevices(duorig.HardToken(), duorig.Phone())
	async := func(statuses ...duorig.Fields) duorig.Person { return duorig.Person{Preauth: all, Statuses: statuses} }
	for name, c := range map[string]struct {
		who    duorig.Person
		factor string
		typed  string
		want   string
	}{
		"a fob's passcode":         {duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "123456", "accepted"},
		"of who has a token alone": {duorig.Person{Preauth: duorig.WithDevices(duorig.HardToken()), Passcode: "123456"}, "fob", "123456", "accepted"},
		"with signs":               {duorig.Person{Preauth: all, Passcode: "a+b&c=d%41~*"}, "fob", "a+b&c=d%41~*", "accepted"},
		"a wrong one":              {duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "123457", "rejected wrong"},
		"one too many":             {duorig.Person{Preauth: all, Passcode: "1", Deny: "locked_out"}, "fob", "2", "rejected locked-out"},
		"denied for what is new":   {duorig.Person{Preauth: all, Passcode: "1", Deny: "moon_phase"}, "fob", "2", "rejected denied"},
		"a passcode with a line":   {duorig.Person{Preauth: all, Passcode: "1\n"}, "fob", "1\n", "rejected wrong"},
		"no passcode":              {duorig.Person{Preauth: all}, "fob", "", "rejected wrong"},

		"a push that is approved": {async(duorig.Status("waiting", "pushed"), duorig.Status("waiting", "pushed"), duorig.Status("allow", "allow")), "push", "", "accepted"},
		"one that did not arrive": {async(duorig.Status("waiting", "push_failed"), duorig.Status("allow", "allow")), "push", "", "accepted"},
		"one that is denied":      {async(duorig.Status("waiting", "pushed"), duorig.Status("deny", "deny")), "push", "", "rejected denied"},
		"one that is reported":    {async(duorig.Status("deny", "fraud")), "push", "", "rejected fraud"},
		"one without an answer":   {async(duorig.Status("waiting", "pushed"), duorig.Status("deny", "timeout")), "push", "", "rejected timed-out"},
		"as it is documented":     {async(duorig.Status("waiting", "timeout")), "push", "", "rejected timed-out"},
		"of who is locked out":    {async(duorig.Status("deny", "locked_out")), "push", "", "rejected locked-out"},
		"a new kind of no":        {async(duorig.Status("deny", "moon_phase")), "push", "", "rejected denied"},
		"no before it began":      {duorig.Person{Preauth: all, Begun: duorig.Status("deny", "locked_out")}, "push", "", "rejected locked-out"},

		"a call that is answered":    {async(duorig.Status("waiting", "calling"), duorig.Status("waiting", "answered"), duorig.Status("allow", "allow")), "phone_call", "", "accepted"},
		"one that is not":            {async(duorig.Status("waiting", "calling"), duorig.Status("deny", "timeout")), "phone_call", "", "rejected timed-out"},
		"one that is reported too":   {async(duorig.Status("waiting", "answered"), duorig.Status("deny", "fraud")), "phone_call", "", "rejected fraud"},
		"a text message":             {duorig.Person{Preauth: all, Passcode: "7654321"}, "sms", "7654321", "accepted"},
		"typed wrong":                {duorig.Person{Preauth: all, Passcode: "7654321"}, "sms", "7654322", "rejected wrong"},
		"not typed":                  {duorig.Person{Preauth: all, Passcode: "7654321"}, "sms", "", "rejected wrong"},
		"typed wrong once too often": {duorig.Person{Preauth: all, Passcode: "1", Deny: "locked_out"}, "sms", "2", "rejected locked-out"},
		"not sent":                   {duorig.Person{Preauth: all, Text: duorig.Status("deny", "locked_out")}, "sms", "1", "rejected locked-out"},
		"not sent to who is denied":  {duorig.Person{Preauth: all, Text: duorig.Status("deny", "deny")}, "sms", "1", "rejected denied"},
		"a factor that is not Duo's": {duorig.Person{Preauth: all}, "security_key", "", "rejected unknown"},
		"no factor":                  {duorig.Person{Preauth: all}, "", "", "rejected unknown"},
		"push without a phone":       {duorig.Person{Preauth: duorig.WithDevices(duorig.HardToken())}, "push", "", "rejected unknown"},
		"sms without a phone":        {duorig.Person{Preauth: duorig.WithDevices(duorig.HardToken())}, "sms", "", "rejected unknown"},
		"a call without a phone":     {duorig.Person{Preauth: duorig.WithDevices(duorig.HardToken())}, "phone_call", "", "rejected unknown"},
		"a push without devices":     {duorig.Person{Preauth: duorig.Fields{"result": "auth"}}, "push", "", "rejected unknown"},
		"a device that cannot":       {duorig.Person{Preauth: duorig.WithDevices(duorig.Fields{"device": "D1", "capabilities": []string{"sms"}})}, "push", "", "rejected unknown"},
		"a device without a name":    {duorig.Person{Preauth: duorig.WithDevices(duorig.Fields{"device": "", "capabilities": []string{"push"}})}, "push", "", "rejected unknown"},
		"who is denied before":       {duorig.Person{Preauth: duorig.Fields{"result": "deny", "status_msg": "disabled"}, Passcode: "1"}, "fob", "1", "rejected denied"},
		"who is to enrol":            {duorig.Person{Preauth: duorig.Fields{"result": "enroll"}, Passcode: "1"}, "fob", "1", "rejected unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Set("anna", c.who)
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
	s := duorig.Start(t)
	v := verifier(t, config(s))
	all := duorig.WithDevices(duorig.Phone())
	for name, c := range map[string]struct {
		who    duorig.Person
		factor string
	}{
		"preauth, a passcode": {duorig.Person{Preauth: duorig.Fields{"result": "allow", "status_msg": "bypass"}, Passcode: "1"}, "fob"},
		"preauth, push":       {duorig.Person{Preauth: duorig.Fields{"result": "allow", "devices": []duorig.Fields{duorig.Phone()}}, Statuses: []duorig.Fields{duorig.Status("allow", "allow")}}, "push"},
		"push, bypass":        {duorig.Person{Preauth: all, Statuses: []duorig.Fields{duorig.Status("allow", "bypass")}}, "push"},
		"sms, bypass":         {duorig.Person{Preauth: all, Text: duorig.Status("allow", "bypass")}, "sms"},
		"sms, allow":          {duorig.Person{Preauth: all, Text: duorig.Status("allow", "allow")}, "sms"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Set("anna", c.who)
			got, err := outcome(t, v, question("anna", c.factor, "1"), "1")
			if u := unavailable(t, got, err); !strings.Contains(u.Problem, "nothing was verified") {
				t.Fatalf("%v", err)
			}
		})
	}
	if slices.Contains(s.Requests(), "/auth/v2/auth_status") == false {
		t.Fatal("the push was not looked at")
	}
}

func TestWhatIsAsked(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	s.Set("anna", duorig.Person{Preauth: duorig.WithDevices(duorig.HardToken(), duorig.Fields{"device": "D2", "number": "XXX\x1b[1m-0102", "capabilities": []string{"sms"}}, duorig.Phone()),
		Statuses: []duorig.Fields{duorig.Status("waiting", "pushed"), duorig.Status("allow", "allow")}})
	q := question("anna", "push", "")
	q.Device = "lap\ntop & \u202ex" + strings.Repeat("é", 200)
	a, err := v.Begin(t.Context(), q)
	if err != nil || a.State != remote.Waiting || string(a.Token) != "waiting:45f7c92b-anna" {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := s.Params("/auth/v2/preauth"); len(got) != 1 || got["username"] != "anna" {
		t.Errorf("preauth of %v", got)
	}
	got := s.Params("/auth/v2/auth")
	info := duorig.DecodeForm(t, got["pushinfo"])
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
	if got := s.Params("/auth/v2/auth"); len(got) != 3 || got["device"] != "D2" {
		t.Errorf("asked %v", got)
	}
	s.Requests()
	for _, user := range []string{"", "an\x00na", "an\nna", "\xff", strings.Repeat("a", 257)} {
		if a, err := v.Begin(t.Context(), question(user, "fob", "1")); err != nil || a.State != remote.Rejected || a.Reason != remote.Unknown {
			t.Errorf("%q: %+v, %v", user, a, err)
		}
	}
	if asked := s.Requests(); len(asked) > 0 {
		t.Errorf("asked %v of what are no names", asked)
	}
}

func TestEnrolmentLink(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	const good = "https://api-3945ef22.duosecurity.com/portal?48bac5d9393fb2c2"
	for portal, want := range map[string]string{
		good: good,
		"http://api-3945ef22.duosecurity.com/portal": "", "javascript:alert(1)": "", "https://": "", "https:///x": "", "//example.org/": "",
		"https://duo.com@example.org/": "", "https://example.org/\x1b[2J": "", "https://example.org/ x": "", "https://examplé.org/": "",
		"https://example.org/" + strings.Repeat("x", remote.MaxPrompt): "", "": "",
	} {
		s.Set("new", duorig.Person{Preauth: duorig.Fields{"result": "enroll", "enroll_portal_url": portal}})
		a, err := v.Begin(t.Context(), question("new", "push", ""))
		if err != nil || a.State != remote.Rejected || a.Reason != remote.Unknown || a.Enrolment != want {
			t.Errorf("%q: %+v, %v", portal, a, err)
		}
	}
}

func TestEnroll(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	e, err := v.Enroll(t.Context(), "berta")
	if err != nil || !strings.HasPrefix(e.Code, "duo://8LIR") || e.Link != "https://m-eval.duosecurity.com/android/8LIRa5danrICkhHtkLxi" ||
		e.Until.Unix() != 1796000000 {
		t.Fatalf("%q %q %v, %v", e.Link, e.Code, e.Until, err)
	}
	if p := s.Params("/auth/v2/enroll"); p["username"] != "berta" || p["valid_secs"] != "86400" {
		t.Errorf("asked %v", p)
	}
	for _, text := range []string{fmt.Sprint(e), fmt.Sprintf("%+v", &e), fmt.Sprintf("%#v", e)} {
		if strings.Contains(text, "8LIR") {
			t.Errorf("printed as %s", text)
		}
	}
	s.Set("berta", duorig.Person{})
	if _, err := v.Enroll(t.Context(), "berta"); !errors.Is(err, remote.ErrEnrolled) {
		t.Errorf("enrolled twice: %v", err)
	}
	s.AnswerWith(func(w http.ResponseWriter, _ *http.Request) bool {
		duorig.OK(w, duorig.Fields{"activation_code": "https://example.org", "expiration": 1796000000, "user_id": "U"})
		return true
	})
	if _, err := v.Enroll(t.Context(), "carl"); err == nil {
		t.Error("took a code that Duo Mobile does not read")
	}
}

func TestCheck(t *testing.T) {
	s := duorig.Start(t)
	if err := verifier(t, config(s)).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked := s.Requests(); !slices.Equal(asked, []string{"/auth/v2/ping", "/auth/v2/check"}) {
		t.Errorf("asked %v", asked)
	}
}

func TestConfig(t *testing.T) {
	good := duo.Config{IntegrationKey: duorig.IntegrationKey, SecretKey: duorig.SecretKey, Host: "api-XXXXXXXX.duosecurity.com"}
	verifier(t, good)
	if text := fmt.Sprintf("%v %+v %#v", good, &good, good); strings.Contains(text, duorig.SecretKey) {
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
		} else if strings.Contains(err.Error(), duorig.SecretKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyAtOnce: each question gets its own answer.
func TestManyAtOnce(t *testing.T) {
	s := duorig.Start(t)
	v := verifier(t, config(s))
	var wg sync.WaitGroup
	for i := range 24 {
		name := fmt.Sprintf("user%d", i)
		s.Set(name, duorig.Person{Preauth: duorig.WithDevices(duorig.Phone()), Passcode: name, Statuses: []duorig.Fields{duorig.Status("waiting", "pushed"), duorig.Status("deny", "fraud")}})
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
	s := duorig.Start(t)
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
	c := config(s)
	c.Proxy = u
	if err := verifier(t, c).Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "CONNECT " + s.Host(); !slices.Equal(seen, []string{want, want}) {
		t.Errorf("the proxy saw %v", seen)
	}
}
