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

// patiently calls the laptop's tokenctl again where the authority has been sent too much
// in a short time: the tests are faster than people.
func (d *duoCase) patiently(stdin string, args ...string) Result {
	d.Helper()
	for range 60 {
		r := d.laptop.Ctl(stdin, args...)
		if !strings.Contains(r.Stderr, "too many messages to the authority") {
			return r
		}
		time.Sleep(8 * time.Second) // each try is some messages more
	}
	d.Fatal("the authority takes no messages any more")
	return Result{}
}

// reactivates tries a factor at a user whom Duo has as who is.
func (d *duoCase) reactivates(who duorig.Person, factor, typed string, exit int, words ...string) {
	d.Helper()
	d.duo.Set("alice", who)
	args := []string{"reactivate", "vpn", "--factor", factor}
	if typed != "" {
		args = append(args, "--passcode-file", "-")
	}
	d.says(d.patiently(typed, args...), exit, words...)
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

	d.unknown()
	// What Duo's own policy lets in was not asked.
	const nothing = "Duo gave no answer that counts: nothing was verified, and nothing is counted against you"
	d.reactivates(duorig.Person{Preauth: duorig.Fields{"result": "allow", "status_msg": "bypass"}, Passcode: "123456"}, "fob", "123456", 23, nothing, "other factors: push, sms, phone call")
	d.says(d.office.Ctl("123456", "admin", "verify", "alice", "--passcode-file", "-"), 23, "Duo gave no answer that counts: nothing was accepted")
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
	d.says(d.patiently("123456", "reactivate", "vpn", "--factor", "fob", "--passcode-file", "-"), 23, nothing)
	d.says(d.office.Ctl("", "admin", "verifier", "check", "duo"), 23, "cannot be reached")
	// Nothing of all that took the account away.
	code := strings.TrimSpace(d.laptop.OK("", "code", "vpn").Stdout)
	d.says(d.office.Ctl(code, "admin", "verify", "alice", "--account", "vpn", "--passcode-file", "-"), 0, "accepted")
	d.audited("verifier-set", "verifier-ask", "duo fob rejected wrong", "duo fob accepted", "duo push rejected denied", "duo push rejected timed-out", "duo push accepted",
		"duo push rejected fraud", "duo sms challenged", "duo sms accepted", "duo phone_call accepted", "duo fob rejected locked-out", "duo fob unavailable", "duo push unavailable",
		"service=attended duo not-enrolled", "service=door duo", "verifier-enroll", "duo already-exists")
}

// unknown: who is unknown to Duo is told so, and who helps him how he gets an account
// there; passcodes are asked of Duo for a helper and for a service as well.
func (d *duoCase) unknown() {
	d.Helper()
	all := duorig.WithDevices(duorig.HardToken())
	d.reactivates(duorig.Person{Preauth: duorig.Fields{"result": "enroll", "enroll_portal_url": "https://duo.example.org/portal?one"}}, "fob", "123456", 19,
		"Duo does not know you", "https://duo.example.org/portal?one", "then it goes on")
	d.office.OK("", "admin", "user", "add", "bob")
	d.says(d.office.Ctl("123456", "admin", "verify", "bob", "--passcode-file", "-"), 16, "Duo does not know the user", "tokenctl admin verifier enroll duo bob")
	picture := filepath.Join(d.dir, "bob.png")
	r := d.office.OK("", "admin", "verifier", "enroll", "duo", "bob", "--qr", picture)
	if r.Stdout != picture+"\n" || strings.Contains(r.Stderr, "8LIRa5danrICkhHtkLxi") {
		d.Errorf("with a picture it is shown, too: %s", r)
	}
	if p := d.duo.Params("/auth/v2/enroll"); p["username"] != "bob" {
		d.Errorf("enrolled %v", p)
	}
	d.duo.Requests()
	d.says(d.office.Ctl("", "admin", "verifier", "enroll", "duo", "bob", "--qr", picture), 11, "write "+picture)
	if asked := d.duo.Requests(); len(asked) > 0 {
		d.Errorf("an account was made that cannot be shown: %v", asked)
	}
	if r := d.office.OK("", "admin", "verifier", "enroll", "duo", "bob"); !strings.HasPrefix(r.Stdout, "https://m-eval.duosecurity.com/android/8LIRa5danrICkhHtkLxi\nduo://8LIR") {
		d.Errorf("%s", r)
	}
	d.duo.Set("bob", duorig.Person{Preauth: all, Passcode: "123456"})
	d.says(d.office.Ctl("", "admin", "verifier", "enroll", "duo", "bob"), 11, "duo knows bob already", "Add Phone")
	d.says(d.office.Ctl("123456\n", "admin", "verify", "bob", "--passcode-file", "-"), 0, "accepted, by the word of Duo")
	d.says(d.office.Ctl("123456\n", "admin", "verify", "bob", "--quiet", "--service", "door", "--passcode-file", "-"), 0, "accepted")
	d.says(d.office.Ctl("000000\n", "admin", "verify", "bob", "--quiet", "--service", "door", "--passcode-file", "-"), 16)
}

// TestDuoAtTerminal is alice, who is asked: what she types while she is held up does not
// show, Ctrl-C ends the waiting for her phone at once and leaves it to be gone on with;
// and who helps her, to whom QR codes are drawn.
func TestDuoAtTerminal(t *testing.T) {
	t.Parallel()
	d := newDuoCase(t)
	d.setUp()
	alice := &person{t: t, d: d.laptop, home: t.TempDir()}
	office := &person{t: t, d: d.office, home: t.TempDir()}
	all := duorig.WithDevices(duorig.Phone())
	d.duo.Set("alice", duorig.Person{Preauth: all, Passcode: "123456", Statuses: []duorig.Fields{duorig.Status("waiting", "pushed")}, Stays: true})

	s := alice.runs("tokenctl reactivate vpn --name laptop")
	for tries := 0; ; tries++ {
		s.sees(`Which one \(1 to 4\) \[1\]: `).types("").sees(`Press or touch your fob.*\(not shown\): `)
		before := len(s.text())
		if s.types("000000").sees(`this passcode is not good|what is typed until then is lost`); strings.Contains(s.text()[before:], "is lost") {
			break
		}
		if tries > 2 {
			t.Fatalf("the throttle holds nobody up:\n%s", s.text())
		}
	}
	s.types("typed too early")
	s.sees(`Which one`).types("").sees(`Press or touch`).types("123456").sees(`works on this device`)
	if text := s.ends(0); strings.Contains(text, "too early") {
		t.Errorf("what was typed while nothing was asked shows, or was an answer:\n%s", text)
	}

	s = alice.runs("exec tokenctl reactivate vpn").sees(`Which one`).types("2").sees(`confirm on your phone`)
	begun := time.Now()
	said := s.interrupts().ends(15)
	if took := time.Since(begun); took > soon() {
		t.Errorf("Ctrl-C took %v", took)
	}
	if !strings.Contains(said, "cancelled") || !strings.Contains(said, "goes on") {
		t.Errorf("it does not say what was kept:\n%s", said)
	}
	alice.runs("tokenctl reactivate").sees(`waiting for who verifies it`).ends(0)
	code := strings.TrimSpace(d.laptop.OK("", "code", "vpn").Stdout)
	d.says(d.office.Ctl(code, "admin", "verify", "alice", "--account", "vpn", "--passcode-file", "-"), 0, "accepted")
	s = alice.runs("tokenctl reactivate vpn").sees(`what was begun before goes on`).sees(`confirm on your phone`)
	d.duo.Set("alice", duorig.Person{Preauth: all, Statuses: []duorig.Fields{duorig.Status("allow", "allow")}})
	s.sees(`works on this device`).ends(0)
	d.says(d.laptop.Ctl("", "reactivate", "vpn", "--factor", "fobb"), 2, `there is no factor "fobb"`, "other_device")

	office.runs("tokenctl admin activation create alice --account vpn").sees(`▀`).sees(`tokend-activate:`).sees(`good until`).ends(0)
	office.rows = 24
	office.runs("tokenctl admin activation create alice --account vpn").sees(`▀`).sees(`the QR code needs \d+ columns and \d+ lines, and the terminal has 160 and 24`).sees(`--qr FILE`).sees(`tokend-activate:`).ends(0)
	office.runs("tokenctl admin user add bob").ends(0)
	office.runs("tokenctl admin verifier enroll duo bob").sees(`▀`).sees(`https://m-eval`).sees(`duo://8LIR`).sees(`bob has an account at Duo`).ends(0)
	// A backup says what it has not, and an office without a vault lacks nothing.
	d.says(d.laptop.OK("", "backup", "create", filepath.Join(d.dir, "alice.tokend")), 0, "1 account of an authority's is in it without the secret")
	if r := d.office.Ctl("", "doctor"); !strings.Contains(r.Stdout, "the authority needs none") || strings.Contains(r.Stdout, "quickstart") {
		t.Errorf("an office without a vault: %s", r)
	}
	// Who was revoked is told, and by whom, and comes back by a factor.
	id := between(d.office.OK("", "--json", "admin", "device", "list", "alice").Stdout, `"id":"`, `"`)
	d.office.OK("", "admin", "device", "revoke", id, "--yes")
	d.duo.Set("alice", duorig.Person{Preauth: all, Passcode: "123456"})
	d.says(d.laptop.Ctl("123456", "reactivate", "vpn", "--factor", "fob", "--passcode-file", "-"), 0, "this device was revoked: Example Ltd:vpn was taken from it", "the way back is", "works on this device")
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
