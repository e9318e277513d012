//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/duorig"
)

const duoPolicy = `version = 1
[contact]
name = "IT, room 4.12"
[reactivation]
allow = ["fob", "push", "sms"%s]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["owner"]
[verifiers]
fob = ["local", "duo"]
push = ["duo"]
sms = ["duo"]
phone_call = ["duo"]
`

// duoCase is an office with an authority that asks Duo, and alice's laptop, which
// has her account.
type duoCase struct {
	*testing.T
	office, laptop *Daemon
	duo            *duorig.Server
	dir            string // with duo.toml
}

func newDuoCase(t *testing.T) *duoCase {
	t.Helper()
	d := &duoCase{T: t, office: NewDaemon(t, programs(t), nil), laptop: NewDaemon(t, programs(t), nil), duo: duorig.Start(t), dir: t.TempDir()}
	d.office.Start()
	d.laptop.Start()
	d.office.OK("", "admin", "authority", "create", "Example Ltd", "--contact", "IT, room 4.12")
	d.office.OK("", "admin", "user", "add", "alice")
	d.laptop.OK("alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	link := d.office.OK("", "admin", "activation", "create", "alice", "--account", "vpn").Stdout
	d.laptop.OK(link, "activate", "--link-file", "-", "--name", "laptop")
	d.office.OK("", "admin", "policy", "set", File(t, fmt.Sprintf(duoPolicy, `, "phone_call"`)))
	for name, text := range map[string]string{
		"duo.toml": fmt.Sprintf("host = %q\nintegration_key = %q\nsecret_key_file = \"duo.secret\"\nca_file = \"duo-ca.pem\"\n",
			d.duo.Host(), duorig.IntegrationKey),
		"duo.secret": duorig.SecretKey + "\n", "duo-ca.pem": string(d.duo.CA()),
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// setUp has the authority ask the server.
func (d *duoCase) setUp() {
	d.Helper()
	d.says(d.office.Ctl("", "admin", "verifier", "set", "duo", filepath.Join(d.dir, "duo.toml")), 0, "duo is set up, and asked for: fob, push, sms, phone_call")
}

// says checks how a command ended and what it said.
func (d *duoCase) says(r Result, exit int, words ...string) {
	d.Helper()
	if r.Exit != exit {
		d.Errorf("exit code %d, not %d: %s", r.Exit, exit, r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stdout+r.Stderr, w) {
			d.Errorf("it does not say %q: %s", w, r)
		}
	}
}

// reactivates tries a factor at a user whom Duo has as who is.
func (d *duoCase) reactivates(who duorig.Person, factor, typed string, exit int, words ...string) {
	d.Helper()
	d.duo.Set("alice", who)
	args := []string{"reactivate", "vpn", "--factor", factor}
	if typed != "" {
		args = append(args, "--passcode-file", "-")
	}
	d.says(d.laptop.Ctl(typed, args...), exit, words...)
}

// TestDuo brings an account back by the word of a Duo that checks who signs: by
// each factor, and not where the user says no, or nothing, or where Duo itself
// proves nothing, is another, is away or has another time.
func TestDuo(t *testing.T) {
	t.Parallel()
	d := newDuoCase(t)
	// Without the certificates the server is nobody whom Duo's library would believe.
	plain := fmt.Sprintf("host = %q\nintegration_key = %q\nsecret_key_file = %q\n", d.duo.Host(), duorig.IntegrationKey, filepath.Join(d.dir, "duo.secret"))
	d.says(d.office.Ctl("", "admin", "verifier", "set", "duo", File(t, plain)), 0)
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 23, "its TLS certificate is not from whom Duo's are")
	d.says(d.office.Ctl("", "admin", "verifier", "set", "duo", File(t, plain+"ca_file = "+fmt.Sprintf("%q", filepath.Join(d.dir, "duo.secret"))+"\n")), 2, "there is no certificate among those")
	d.setUp()
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 0, "duo\t"+d.duo.Host()+"\tyes")
	if shown := d.office.OK("", "--json", "admin", "verifier", "show"); strings.Contains(shown.Stdout, duorig.SecretKey) {
		t.Errorf("the secret key is shown: %s", shown)
	}

	all := duorig.WithDevices(duorig.HardToken(), duorig.Phone())
	async := func(s ...duorig.Fields) duorig.Person { return duorig.Person{Preauth: all, Statuses: s} }
	const works = "works on this device"
	d.reactivates(duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "000000", 16, "(asserted by Duo)", "this passcode is not good")
	time.Sleep(1100 * time.Millisecond) // the throttle's first second
	d.reactivates(duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "123456", 0, works)
	d.reactivates(async(duorig.Status("waiting", "pushed"), duorig.Status("deny", "deny")), "push", "", 15, "confirm on your phone", "said no")
	d.reactivates(async(duorig.Status("waiting", "pushed"), duorig.Status("deny", "timeout")), "push", "", 15, "nobody answered Duo in time")
	d.reactivates(async(duorig.Status("waiting", "pushed"), duorig.Status("waiting", "pushed"), duorig.Status("allow", "allow")), "push", "", 0, works)
	if shown := d.duo.Params("/auth/v2/auth")["pushinfo"]; !strings.Contains(shown, "Device=") || !strings.Contains(shown, "Reference=") {
		t.Errorf("on the phone stands %s", shown)
	}
	d.reactivates(async(duorig.Status("waiting", "pushed"), duorig.Status("deny", "fraud")), "push", "", 15, "the user reported that it was not he who asked", "change the recovery password")
	d.reactivates(duorig.Person{Preauth: all, Passcode: "7654321"}, "sms", "7654321", 0, works)
	d.reactivates(async(duorig.Status("waiting", "calling"), duorig.Status("allow", "allow")), "phone_call", "", 0, "your phone is called", works)
	d.reactivates(duorig.Person{Preauth: all, Passcode: "1", Deny: "locked_out"}, "fob", "000000", 17, "Duo has locked you out")

	// What Duo's own policy lets in was not asked.
	const nothing = "Duo gave no answer that counts: nothing was verified, and nothing is counted against you"
	d.reactivates(duorig.Person{Preauth: duorig.Fields{"result": "allow", "status_msg": "bypass"}, Passcode: "123456"}, "fob", "123456", 23, nothing, "other factors: push, sms, phone call")
	d.says(d.office.Ctl("", "admin", "verifier", "show"), 0, "so nothing was verified")
	d.reactivates(async(duorig.Status("allow", "bypass")), "push", "", 23, nothing)

	// A clock that is off is told to who runs the authority.
	d.duo.SetClock(time.Hour, false)
	d.reactivates(duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "123456", 23, nothing, "try again in a while")
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 23, "the clock here is ", "behind Duo's")
	d.says(d.office.Ctl("", "admin", "verifier", "show"), 0, "behind Duo's")
	d.duo.SetClock(0, false)

	d.says(d.office.Ctl("", "admin", "policy", "set", File(t, fmt.Sprintf(duoPolicy, ""))), 0)
	d.reactivates(async(duorig.Status("allow", "allow")), "phone_call", "", 19, "phone call: not allowed")

	// Somebody else in Duo's place, and nobody.
	d.duo.AnswerWith(func(w http.ResponseWriter, _ *http.Request) bool {
		duorig.Fail(w, http.StatusUnauthorized, 40103)
		return true
	})
	d.reactivates(duorig.Person{Preauth: all, Passcode: "123456"}, "fob", "123456", 23, nothing)
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 23, "the signature is refused")
	d.duo.Close()
	d.says(d.laptop.Ctl("123456", "reactivate", "vpn", "--factor", "fob", "--passcode-file", "-"), 23, nothing)
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 23, "cannot be reached")
	// Nothing of all that took the account away.
	code := strings.TrimSpace(d.laptop.OK("", "code", "vpn").Stdout)
	d.says(d.office.Ctl(code, "admin", "verify", "alice", "--account", "vpn", "--passcode-file", "-"), 0, "accepted")
	d.audited("verifier-set", "verifier-ask", "duo fob rejected wrong", "duo fob accepted", "duo push rejected denied", "duo push rejected timed-out", "duo push accepted",
		"duo push rejected fraud", "duo sms challenged", "duo sms accepted", "duo phone_call accepted", "duo fob rejected locked-out", "duo fob unavailable", "duo push unavailable")
}

// audited holds the audit against what it is to have, and what never.
func (d *duoCase) audited(want ...string) {
	d.Helper()
	audit := d.office.OK("", "admin", "audit", "list").Stdout
	for _, w := range want {
		if !strings.Contains(audit, w) {
			d.Errorf("the audit has no %q:\n%s", w, audit)
		}
	}
	for _, secret := range []string{duorig.SecretKey, "123456", "7654321", "8LIRa5danrICkhHtkLxi"} {
		if strings.Contains(audit+d.office.Log(), secret) {
			d.Errorf("%q is told", secret)
		}
	}
}
