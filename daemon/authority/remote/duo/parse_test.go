package duo

import (
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// FuzzAnswer goes to whatever Duo could answer to any request. Nothing is an accept
// that does not say so twice, and nothing that is passed on breaks a bound.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"stat":"OK","response":{"time":1357020061}}`,
		`{"stat":"OK","response":{"result":"auth","status_msg":"Account is active","devices":[{"device":"DPFZRS9FB0D46QFTM891","type":"phone","number":"XXX-XXX-0100","name":"","capabilities":["auto","push","sms","phone","mobile_otp"]},{"device":"DHEKH0JJIYC1LX3AZWO4","type":"token","name":"0"}]}}`,
		`{"stat":"OK","response":{"result":"enroll","status_msg":"Enroll an authentication device","enroll_portal_url":"https://api-3945ef22.duosecurity.com/portal?48bac5d9393fb2c2"}}`,
		`{"stat":"OK","response":{"result":"allow","status":"allow","status_msg":"Success. Logging you in..."}}`,
		`{"stat":"OK","response":{"result":"allow","status":"bypass"}}`,
		`{"stat":"OK","response":{"result":"deny","status":"fraud","status_msg":"Login request reported as fraudulent."}}`,
		`{"stat":"OK","response":{"result":"waiting","status":"pushed","status_msg":"Pushed a login request to your phone..."}}`,
		`{"stat":"OK","response":{"txid":"45f7c92b-f45f-4862-8545-e0f58e78075a"}}`,
		`{"stat":"OK","response":{"activation_code":"duo://8LIRa5danrICkhHtkLxi","activation_url":"https://m-eval.duosecurity.com/android/8LIR","expiration":1357020061,"user_id":"DU94SWSN4ADHHJHF2HXT","username":"49c6c3097adb386048c84354d82ea63d"}}`,
		`{"stat":"OK","response":"success"}`,
		`{"code":40105,"message":"Bad request timestamp","stat":"FAIL"}`,
		`{"code":"","message":"Refused","stat":"FAIL"}`,
		`<html>`, `null`,
	} {
		f.Add(200, []byte(s))
		f.Add(401, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		raw, err := readAnswer(status, body)
		if err != nil {
			if p := problem(err); p == "" || len(p) > 200 {
				t.Fatalf("worded as %q", p)
			}
			return
		}
		if status != 200 {
			t.Fatalf("took what has status %d", status)
		}
		fuzzVerdict(t, raw)
		if s, err := readStanding(raw); err == nil {
			if l := link(s.Portal); len(l) > remote.MaxPrompt || l != "" && !strings.HasPrefix(strings.ToLower(l), "https://") {
				t.Fatalf("passed on %q", l)
			}
			if d, ok := s.with("push"); ok && (!plain(d.ID, 128) || len(digits(d.Number)) > 32) {
				t.Fatalf("took %+v", d)
			}
		}
		if e, err := readEnrolment(raw); err == nil && (!goodCode(e.Code) || e.Until.IsZero() || len(e.Link) > remote.MaxPrompt) {
			t.Fatalf("took %q", e.Code)
		}
		if at, err := readTime(raw); err == nil && at.Unix() <= 0 {
			t.Fatalf("took %v", at)
		}
	})
}

func fuzzVerdict(t *testing.T, raw []byte) {
	v, err := readVerdict(raw)
	if err != nil {
		return
	}
	a, err := v.answer(remote.Wrong)
	if (a.State == remote.Accepted) != (err == nil && v.Result == "allow" && v.Status == "allow") {
		t.Fatalf("%+v of %+v, %v", a, v, err)
	}
	if (err != nil) != (a.State == "") || (a.State == remote.Rejected) != (a.Reason != "") || a.State == remote.Challenged {
		t.Fatalf("%+v, %v", a, err)
	}
}
