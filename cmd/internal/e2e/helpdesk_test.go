//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/smtprig"
)

// desk is the help desk of docs/helpdesk.md: its machines, and what the people on
// the telephone have.
type desk struct {
	*testing.T
	authority, tablet, phone *Daemon
	mail                     *smtprig.Server
	dir                      string
	counter                  map[string]int // of fobs
	said                     string
}

func deskSeed(serial string) string {
	return "31323334353637383930313233343536373839" + serial[len(serial)-2:]
}

// passcodes are the next of a fob, in a row.
func (d *desk) passcodes(serial string, n int) string {
	d.Helper()
	var all []string
	for range n {
		all = append(all, hotp(d.T, deskSeed(serial), d.counter[serial]))
		d.counter[serial]++
	}
	return strings.Join(all, " ")
}

const deskPassword = "correct horse battery staple"

func newDesk(t *testing.T) *desk {
	t.Helper()
	srv, err := smtprig.Start(smtprig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	config := File(t, fmt.Sprintf("[mail]\nserver = %q\nfrom = \"help@example.org\"\nca_file = %q\n", srv.Addr, File(t, string(srv.CA))))
	d := &desk{T: t, mail: srv, dir: t.TempDir(), counter: map[string]int{}}
	d.authority = NewDaemon(t, programs(t), nil, "--config", config)
	d.tablet, d.phone = NewDaemon(t, programs(t), nil), NewDaemon(t, programs(t), nil)
	laptop := NewDaemon(t, programs(t), nil)
	for _, m := range []*Daemon{d.authority, d.tablet, d.phone, laptop} {
		m.Start()
	}
	csv := "serial number,secret,type,digits,time interval,user\n"
	for serial, user := range map[string]string{"10001": "alice", "10002": "bob", "10003": ""} {
		csv += fmt.Sprintf("%s,%s,hotp,6,,%s\n", serial, deskSeed(serial), user)
	}
	d.authority.OK("", "admin", "authority", "create", "Example Ltd")
	d.authority.OK("", "admin", "fob", "import", File(t, csv), "--assign-by-file", "--add-users", "--apply")
	d.authority.OK("", "admin", "user", "edit", "alice", "--email", "alice@example.org")
	d.authority.OK("", "admin", "user", "add", "carol", "--role", "admin")
	password, backup := File(t, deskPassword), filepath.Join(d.dir, "alice.tokend")
	laptop.OK("alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--recovery-password-file", password)
	d.phone.OK("another long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	d.authority.OK("", "admin", "activation", "create", "alice", "--account", "vpn", "--mail")
	laptop.OK("", "activate", "--link-file", File(t, mailedLink(t, srv)), "--name", "laptop")
	laptop.OK("", "backup", "create", backup)
	d.tablet.OK("", "backup", "restore", backup, "--recovery-password-file", password)
	return d
}

// typed is what a person types and answers: the handbook's line, with what he would
// read off a list in place of ID, and what he is asked for on standard input.
func (d *desk) typed(line string) (command, stdin string) {
	d.Helper()
	for thing, state := range map[string]string{"device": "active", "activation": "open"} {
		if strings.Contains(line, thing+" revoke ID") {
			line = strings.Replace(line, "ID", fmt.Sprintf("$(tokenctl admin %s list alice | grep %s | tail -n 1 | cut -f 1)", thing, state), 1)
		}
	}
	if strings.Contains(line, "device revoke") || strings.HasSuffix(line, "remove bob") {
		line += " --yes" // there is no terminal to be asked at
	}
	switch line {
	case "tokenctl reactivate vpn":
		return line + " --name tablet --passcode-file -", d.passcodes("10001", 1)
	case "tokenctl activate":
		return line + " --name phone --link-file -", mailedLink(d.T, d.mail)
	case "tokenctl admin fob resync 10001":
		d.counter["10001"] += 300 // in the pocket
		return line + " --passcode-file -", d.passcodes("10001", 2)
	case "tokenctl admin verify alice":
		if strings.Contains(d.said, "replace 10001 10003") {
			return line + " --passcode-file -", d.passcodes("10003", 2) // she may have to wait still
		}
		return line + " --passcode-file -", d.passcodes("10001", 2)
	}
	return line, ""
}

func (d *desk) runs(m *Daemon, line string) {
	d.Helper()
	command, stdin := d.typed(line)
	cmd := exec.Command("sh", "-euc", command)
	cmd.Dir, cmd.Stdin = d.dir, strings.NewReader(stdin+"\n")
	cmd.Env = append(os.Environ(), m.Programs.Env()...)
	cmd.Env = append(cmd.Env, "TOKEND_SOCKET="+m.Socket, "PATH="+m.Programs.Dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	d.said += "$ " + line + "\n" + string(out)
	if err != nil {
		d.Fatalf("%v\n%s", err, d.said)
	}
}

// guess has wrong passcodes of alice's looked at, which takes longer each time.
func (d *desk) guess(times int) {
	d.Helper()
	for n := 0; n < times; n++ {
		Eventually(d.T, time.Minute, func() error {
			if r := d.authority.Ctl("000000\n", "admin", "verify", "alice", "--passcode-file", "-"); r.Exit != 16 {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
	}
}

// TestHelpdeskHandbook types what docs/helpdesk.md says, call by call.
func TestHelpdeskHandbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/helpdesk.md")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	machines := map[string]*Daemon{"sh": d.authority, "sh-tablet": d.tablet, "sh-phone": d.phone}
	calls := regexp.MustCompile(`(?m)^## \d+\. `).Split(string(text), -1)
	if len(calls) != 11 {
		t.Fatalf("%d calls", len(calls)-1)
	}
	for n, call := range calls {
		if n == 4 { // somebody guesses
			d.guess(6)
		}
		blocks := regexp.MustCompile("(?s)```([a-z-]+)\n(.*?)```").FindAllStringSubmatch(call, -1)
		if len(blocks) == 0 {
			t.Errorf("call %d has nothing to type", n)
		}
		for _, b := range blocks {
			if machines[b[1]] == nil {
				t.Fatalf("a block of kind %q", b[1])
			}
			for _, line := range strings.Split(strings.TrimSpace(b[2]), "\n") {
				if n == 7 && strings.HasSuffix(line, "activation list alice") {
					d.authority.OK("", "admin", "activation", "create", "alice", "--account", "vpn", "--mail")
				}
				d.runs(machines[b[1]], line)
			}
		}
		if n == 4 { // what was proved at the desk counts where she logs in
			d.authority.OK(d.passcodes("10001", 1), "admin", "verify", "alice", "--quiet", "--service", "vpn", "--passcode-file", "-")
		}
	}
	for _, want := range []string{
		"Example Ltd:vpn works on this device", "sent to that address", "Example Ltd:vpn is on this device now", "throttled", "two in a row prove the fob", "counts no more, at any service",
		"as things are, alice is not asked for it", "accepted: fob 10001", "accepted: fob 10003", "carol.png", "removed bob",
	} {
		if !strings.Contains(d.said, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if list := d.authority.OK("", "admin", "device", "list", "alice").Stdout; strings.Contains(list, "active") {
		t.Errorf("a device of hers works at the end: %s", list)
	}
	if t.Failed() {
		t.Logf("%s", d.said)
	}
}
