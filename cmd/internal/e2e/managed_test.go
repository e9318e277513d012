//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

// TestManagedAccounts is the story of alice, who has an account of her company's on
// a laptop, loses it, and brings the account back from her backup on new devices,
// with whatever factor the policy leaves her; on the built programs, over TLS and
// by files, with the laptop kept running to see when its codes stop to count. Each
// part stands alone: go test -run 'ManagedAccounts/fob_with_a_button'.
func TestManagedAccounts(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	c := newCompany(t)
	c.accepted(c.laptop)
	for _, part := range []struct {
		name string
		run  func(c *company)
	}{
		{"fob with a button", (*company).fobWithButton},
		{"fob with a clock", func(c *company) { c.byPasscode("phone", c.clock()) }},
		{"fob that types", func(c *company) { c.byPasscode("notebook", c.yubico()+"\n") }},
		{"by files", (*company).byFiles},
		{"interrupted", (*company).interrupted},
		{"another device", (*company).anotherDevice},
		{"own devices", (*company).ownDevices},
		{"bypass code", (*company).bypassCode},
		{"nothing left", (*company).nothingLeft},
		{"other users", (*company).otherUsers},
		{"nothing of other accounts", (*company).nothingOfOthers},
	} {
		ok := t.Run(part.name, func(t *testing.T) {
			own := *c
			own.T = t
			part.run(&own)
			// What they share goes on.
			c.has, c.next, c.plugs, c.asked, c.seen = own.has, own.next, own.plugs, own.asked, own.seen
		})
		if !ok {
			return
		}
	}
}

// fobWithButton: what is offered and what not is told; a wrong passcode and a run
// without any leave the laptop as it was; the right one moves the account.
func (c *company) fobWithButton() {
	c.fobs(true)
	m := c.lost("tablet")
	if r := m.as(alice, "", "code", "vpn"); r.Exit != 11 || !strings.Contains(r.Stderr, "tokenctl reactivate vpn") {
		c.Errorf("a code of an inactive account: %s", r)
	}
	if r := m.okAs(c.T, alice, "", "status"); !strings.Contains(r.Stdout, "1 inactive: tokenctl reactivate") {
		c.Errorf("status: %s", r)
	}
	if r := m.okAs(c.T, alice, "", "reactivate"); r.Stdout != "Example Ltd:vpn\tinactive\t-\ttokenctl reactivate 'Example Ltd:vpn'\n" {
		c.Errorf("the list: %s", r)
	}
	if r := m.as(alice, "", "reactivate", privateName); r.Exit != 2 || !strings.Contains(r.Stderr, "no authority has issued it") {
		c.Errorf("her own account: %s", r)
	}
	r := m.as(alice, "", "reactivate", "vpn", "--name", m.name)
	for _, want := range []string{"1  fob: a passcode of your fob", "text message: not allowed by rule \"no-sms-no-calls\"", "phone call: not allowed by rule",
		"numbers can be taken over", "another device: only for who has no working fob", "once this device has proved its secret, the account works on no other device",
		"cannot ask for the passcode", "--passcode-file FILE"} {
		if r.Exit != 2 || !strings.Contains(r.Stderr, want) {
			c.Errorf("it does not say %q: %s", want, r)
		}
	}
	if r := m.as(alice, "", "reactivate", "vpn", "--factor", "sms"); r.Exit != 19 || !strings.Contains(r.Stderr, "text message: not allowed by rule") {
		c.Errorf("by text message: %s", r)
	}
	if r := m.as(alice, "000000", "reactivate", "vpn", "--passcode-file", "-"); r.Exit != 16 || !strings.Contains(r.Stderr, "this passcode is not good") {
		c.Errorf("a wrong passcode: %s", r)
	}
	if !c.counts(c.has) {
		c.Errorf("codes of the %s do not count any more, and nothing was proved", c.has.name)
	}
	used := c.button()
	r = c.patient(m, used, "reactivate", "vpn", "--passcode-file", "-", "--factor", "fob")
	c.moved(m, r.Stderr)
	if r := c.patient(m, used, "reactivate", "vpn", "--passcode-file", "-"); r.Exit != 16 || !strings.Contains(r.Stderr, "it stays until a new one is proved") {
		c.Errorf("the same passcode again, for an account that works: %s", r)
	}
	if !c.counts(m) {
		c.Error("that took the account away")
	}
}

func (c *company) byPasscode(name, passcode string) {
	c.fobs(true)
	m := c.lost(name)
	r := c.patient(m, passcode, "--json", "reactivate", "vpn", "--name", name, "--passcode-file", "-")
	if !strings.Contains(r.Stdout, `"phase":"done"`) || !strings.Contains(r.Stdout, `"revoked":["`+c.has.name+`"]`) {
		c.Errorf("%s", r)
	}
	c.moved(m, "Example Ltd:vpn works on this device, revoked, so that none of its codes is accepted any more: "+c.has.name)
}

// byFiles carries every message by hand, with the network cut.
func (c *company) byFiles() {
	c.fobs(true)
	c.cut(true)
	defer c.cut(false)
	m := c.lost("cellar")
	if r := m.as(alice, "", "device", "check"); r.Exit == 0 || !strings.Contains(r.Stderr, "cannot reach the authority at "+c.wire.address) {
		c.Errorf("the network is cut: %s", r)
	}
	path := func(n int, what string) string { return filepath.Join(c.dir, fmt.Sprint(what, n)) }
	said := m.okAs(c.T, alice, "", "reactivate", "vpn", "--name", m.name, "--to-file", path(1, "request")).Stderr
	for n := 1; n <= 3; n++ {
		text, err := os.ReadFile(path(n, "request"))
		if err != nil {
			c.Fatalf("%v: %s", err, said)
		}
		raw, err := carry.Read(carry.Requests, string(text))
		if err != nil {
			c.Fatal(err)
		}
		c.seen = append(c.seen, raw)
		if c.has != nil && !c.counts(c.has) {
			c.Errorf("before message %d arrived, codes of the %s do not count any more", n, c.has.name)
		}
		answer := c.office.OK(string(text), "admin", "message", "-")
		if again := c.office.OK(string(text), "admin", "message", "-"); again.Stdout != answer.Stdout {
			c.Errorf("message %d has two answers", n)
		}
		file := c.private(fmt.Sprint("answer", n), answer.Stdout)
		args := []string{"reactivate", "vpn", "--from-file", file, "--to-file", path(n+1, "request")}
		if n == 1 {
			args = append(args, "--passcode-file", "-")
		}
		said = m.okAs(c.T, alice, c.button(), args...).Stderr
		if r := m.as(alice, "", "reactivate", "vpn", "--from-file", path(n, "request")); r.Exit != 2 || !strings.Contains(r.Stderr, "a request to an authority, and not") {
			c.Errorf("a request for an answer: %s", r)
		}
	}
	c.cut(false)
	c.moved(m, said)
}

// interrupted: what is under way outlives a network that is away, the daemon and
// the program, and what was given is not asked for again.
func (c *company) interrupted() {
	c.fobs(true)
	m := c.lost("desk")
	c.cut(true)
	r := m.as(alice, c.button(), "reactivate", "vpn", "--name", m.name, "--passcode-file", "-")
	for _, want := range []string{"cannot reach the authority", "it goes on with `tokenctl reactivate 'Example Ltd:vpn'`", "--to-file FILE"} {
		if r.Exit != 23 || !strings.Contains(r.Stderr, want) {
			c.Errorf("it does not say %q: %s", want, r)
		}
	}
	if !c.counts(c.has) {
		c.Errorf("codes of the %s do not count any more", c.has.name)
	}
	m.Kill()
	m.Start()
	m.okAs(c.T, alice, alicesPassword, "unlock", "--recovery-password-file", "-")
	if r := m.okAs(c.T, alice, "", "reactivate"); !strings.Contains(r.Stdout, "the authority has not answered, until") {
		c.Errorf("the list: %s", r)
	}
	c.cut(false)
	r = c.patient(m, c.button(), "reactivate", "vpn", "--passcode-file", "-")
	c.moved(m, r.Stderr)
}

// anotherDevice: without a fob, a device that has the account agrees, with the
// number that stands on the new one. A wrong number does not do.
func (c *company) anotherDevice() {
	c.fobs(false)
	m := c.lost("television")
	if r := c.has.okAs(c.T, alice, "", "device", "approve"); !strings.Contains(r.Stderr, "no device of yours asks for anything") {
		c.Errorf("%s", r)
	}
	ask := func() (*running, int) {
		c.Helper()
		for {
			run := m.begins(c.T, "reactivate", "vpn", "--name", m.name)
			said := run.sees(c.T, `(?:it asks for this number: (\d\d)|too many failures)`)
			if said == "" { // after a no the next question has to wait
				run.ends(c.T, 17)
				continue
			}
			number, err := strconv.Atoi(said)
			if err != nil {
				c.Fatal(err)
			}
			return run, number
		}
	}
	run, number := ask()
	wrong := 10 + (number-10+1)%90
	if r := c.has.as(alice, "", "device", "approve"); r.Exit != 2 || !strings.Contains(r.Stderr, "television, for Example Ltd: vpn") || strings.Contains(r.Stderr, fmt.Sprint(number)) {
		c.Errorf("without a terminal: %s", r)
	}
	if r := c.has.as(alice, "", "device", "approve", "--number", fmt.Sprint(wrong)); r.Exit != 15 || !strings.Contains(r.Stderr, "not the number") {
		c.Errorf("a wrong number: %s", r)
	}
	if said := run.ends(c.T, 15); !strings.Contains(said, "the other device did not approve") {
		c.Errorf("the new device: %s", said)
	}
	run, _ = ask()
	if r := c.has.okAs(c.T, alice, "", "device", "approve", "--deny"); !strings.Contains(r.Stderr, "said no to television") {
		c.Errorf("no: %s", r)
	}
	run.ends(c.T, 15)
	if !c.counts(c.has) {
		c.Errorf("codes of the %s do not count any more", c.has.name)
	}
	// At a terminal.
	run, number = ask()
	p := &person{t: c.T, d: c.has.Daemon, home: c.dir}
	p.runs(fmt.Sprintf("setpriv --reuid=%d --regid=%d --clear-groups tokenctl device approve", alice, alice)).
		sees(`television asks for Example Ltd: vpn`).sees(`Did you begin this yourself`).sees(`Number, or no: `).types("soon").
		sees(`two digits`).sees(`Number, or no: `).types(fmt.Sprint(number)).sees(`television gets Example Ltd: vpn`).ends(0)
	c.moved(m, run.ends(c.T, 0))
}

// ownDevices: alice sees her devices and takes the account from one of them.
func (c *company) ownDevices() {
	c.fobs(true)
	m := c.lost("watch")
	c.moved(m, c.patient(m, c.button(), "reactivate", "vpn", "--name", m.name, "--passcode-file", "-").Stderr)
	r := m.okAs(c.T, alice, "", "device", "list")
	if !strings.Contains(r.Stdout, "watch (this one)\tactive\t") {
		c.Errorf("%s", r)
	}
	if r := m.as(alice, "", "device", "revoke", "watch", "--yes"); r.Exit != 2 || !strings.Contains(r.Stderr, "is this device itself") {
		c.Errorf("%s", r)
	}
	if r := m.as(alice, "", "device", "revoke", "toaster", "--yes"); r.Exit != 11 {
		c.Errorf("%s", r)
	}
	if r := m.as(alice, "", "device", "revoke", "--this"); r.Exit != 2 || !strings.Contains(r.Stderr, "--yes") {
		c.Errorf("%s", r)
	}
	if r := m.as(alice, "", "device", "revoke", "--this", "--yes"); r.Exit != 20 || !strings.Contains(r.Stderr, "--last") {
		c.Errorf("the last one: %s", r)
	}
	if !c.counts(m) {
		c.Error("that took the account away")
	}
	code := strings.TrimSpace(m.okAs(c.T, alice, "", "code", "vpn").Stdout)
	m.okAs(c.T, alice, "", "device", "revoke", "--this", "--yes", "--last")
	if why := c.verdict(code); !strings.Contains(why, "no such account that works") && !strings.Contains(why, "none of the devices") {
		c.Errorf("a code of a revoked device: %q", why)
	}
	// It has forgotten the secret without being asked to.
	if r := m.as(alice, "", "code", "vpn"); r.Exit != 11 || !strings.Contains(r.Stderr, "tokenctl reactivate vpn") {
		c.Errorf("a code on the revoked device: %s", r)
	}
	c.has = nil
}

// bypassCode: without fobs and devices, a code of the helpdesk's.
func (c *company) bypassCode() {
	c.alone()
	m := c.lost("replacement")
	code := strings.TrimSpace(c.office.OK("", "admin", "bypass", "create", "alice").Stdout)
	if r := m.as(alice, "0000-0000-0000-0000", "reactivate", "vpn", "--name", m.name, "--passcode-file", "-"); r.Exit != 16 {
		c.Errorf("a wrong code: %s", r)
	}
	r := c.patient(m, strings.ToLower(code), "reactivate", "vpn", "--passcode-file", "-")
	c.moved(m, r.Stderr)
}

// alone leaves alice neither a fob nor a device.
func (c *company) alone() {
	c.Helper()
	c.fobs(false)
	for _, line := range strings.Split(strings.TrimSpace(c.office.OK("", "admin", "device", "list", "alice").Stdout), "\n") {
		if f := strings.Split(line, "\t"); len(f) > 2 && f[2] == "active" {
			c.office.OK("", "admin", "device", "revoke", f[0], "--yes")
		}
	}
	if c.has != nil {
		c.has.Stop()
		c.has = nil
	}
}

// nothingLeft: the policy leaves no factor, and says to whom alice can turn, with a
// reference that the authority's audit has.
func (c *company) nothingLeft() {
	c.alone()
	m := c.lost("spare")
	r := m.as(alice, "", "--json", "reactivate", "vpn", "--name", m.name)
	for _, want := range []string{"the policy leaves no factor", "fob: ", "bypass code: ", "ask: ", "IT, room 4.12", "the authority has it as R-"} {
		if r.Exit != 19 || !strings.Contains(r.Stderr, want) {
			c.Errorf("it does not say %q: %s", want, r)
		}
	}
	reference := between(r.Stdout, `"reference":"`, `"`)
	if reference == "" || !strings.Contains(r.Stdout, `"code":"policy-denied"`) {
		c.Errorf("%s", r)
	}
	if log := c.office.OK("", "admin", "audit", "list"); !strings.Contains(log.Stdout, reference) {
		c.Errorf("the audit does not have %q: %s", reference, log)
	}
	// What came to the listener is there with the network it came from.
	var page ipc.AuditPage
	c.office.JSON(&page, "admin", "audit", "list", "--reference", reference)
	if !slices.ContainsFunc(page.Entries, func(e ipc.AuditEntry) bool { return e.From == "tls 127.0.0.1" }) {
		c.Errorf("the audit does not say that it came over TLS: %+v", page.Entries)
	}
	m.Stop()
}

// otherUsers: who has a vault of his own on alice's computer can neither reactivate
// her account nor see that there is one; and with her passcode alone, nobody can.
func (c *company) otherUsers() {
	c.fobs(true)
	m := c.lost("shared")
	m.okAs(c.T, mallet, "mallet's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	passcode := c.button()
	for _, name := range []string{"vpn", "Example Ltd:vpn", c.accountID(m, "vpn")} {
		r, none := m.as(mallet, passcode, "reactivate", name, "--passcode-file", "-"), m.as(mallet, passcode, "reactivate", "nothing", "--passcode-file", "-")
		if r.Exit != 11 || strings.ReplaceAll(r.Stderr, name, "nothing") != none.Stderr {
			c.Errorf("%s\nand of none: %s", r, none)
		}
	}
	begin := func(uid int, account string) string {
		c.Helper()
		out, err := m.curlAs(context.Background(), uid, "-d", `{"device_name":"x"}`, "http://tokend/v1/accounts/"+account+"/reactivate").CombinedOutput()
		if err != nil {
			c.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	id := c.accountID(m, "vpn")
	if got, none := begin(mallet, id), begin(mallet, "0123456789abcdef"); got != none || !strings.Contains(got, "not-found") {
		c.Errorf("%s, and of none %s", got, none)
	}
	talk := between(begin(alice, id), `"conversation":"`, `"`)
	if talk == "" {
		c.Fatal("alice has begun nothing")
	}
	give := func(uid int, conversation string) string {
		out, err := m.curlAs(context.Background(), uid, "-d", `{"factor":"fob","passcode":"`+passcode+`"}`, "http://tokend/v1/managed/"+conversation+"/factor").CombinedOutput()
		if err != nil {
			c.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if got, none := give(mallet, talk), give(mallet, strings.Repeat("0", 32)); got != none || !strings.Contains(got, "not-found") {
		c.Errorf("in alice's conversation: %s, and in none %s", got, none)
	}
	if r := m.as(mallet, "", "device", "list"); r.Exit != 11 {
		c.Errorf("mallet's devices: %s", r)
	}
	m.Stop()
}

// nothingOfOthers searches what the authority has, what was carried and what went
// over the wire for alice's own account, and the wire for names.
func (c *company) nothingOfOthers() {
	if len(c.seen) == 0 {
		c.byFiles()
	}
	secret, err := base32.StdEncoding.DecodeString(privateSecret)
	if err != nil {
		c.Fatal(err)
	}
	forms := [][]byte{[]byte(privateName), []byte(privateSecret), []byte(strings.ToLower(privateSecret)), secret, []byte(hex.EncodeToString(secret)),
		[]byte(base64.StdEncoding.EncodeToString(secret)[:24])}
	search := func(where string, b []byte, more ...string) {
		for _, s := range more {
			forms := []byte(s)
			if bytes.Contains(b, forms) {
				c.Errorf("%s: it has %q", where, s)
			}
		}
		for _, f := range forms {
			if bytes.Contains(b, f) {
				c.Errorf("%s: it has %q of an account that is none of the authority's", where, f)
			}
		}
	}
	c.office.Stop() // so that all is in its files
	files := 0
	err = filepath.WalkDir(c.office.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		search(path, b)
		return err
	})
	if err != nil || files < 3 {
		c.Errorf("%d files, %v", files, err)
	}
	search("its log", []byte(c.office.Log()))
	for n, raw := range c.seen {
		search(fmt.Sprintf("message %d", n+1), raw, "alice", "vpn", "cellar")
	}
	went := c.wire.all()
	if len(went) < 10_000 {
		c.Errorf("%d bytes went over the wire", len(went))
	}
	search("the wire", went, "alice", "Example Ltd", "tablet", "/v1/message")
}
