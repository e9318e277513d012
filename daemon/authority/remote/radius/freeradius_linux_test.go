package radius

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// longPassword needs all of a User-Password.
var longPassword = strings.Repeat("0123456789abcdef", 8)

// freeRADIUS is the configuration of a FreeRADIUS with the folder, the port, the
// secret, and whether it answers a Status-Server. Users differ by their names; the
// passcode of most is "correct". Versions before 3.2.5 sign answers only where they
// are told to.
const freeRADIUS = `
prefix = /usr
libdir = %[5]s
raddbdir = %[1]s
run_dir = %[1]s
logdir = %[1]s
name = freeradius
hostname_lookups = no
security {
	status_server = %[4]s
	reject_delay = 0
}
thread pool {
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
}
client tests {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
	require_message_authenticator = yes
}
modules {
	pap {
	}
	always handled {
		rcode = handled
	}
	always reject {
		rcode = reject
	}
	always ok {
		rcode = ok
	}
	exec hold {
		wait = yes
		program = "/bin/sleep 1"
		timeout = 30
	}
	linelog asked {
		filename = %[1]s/asked
		format = "%%{User-Name} %%{Service-Type} %%{NAS-Identifier}"
	}
}
server tests {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[2]d
	}
	authorize {
		Autz-Type Status-Server {
			update reply {
				Message-Authenticator := 0x00
			}
			ok
		}
		asked
		if (&User-Name == "mute") {
			update control {
				Response-Packet-Type := Do-Not-Respond
			}
			handled
		}
		if (&User-Name == "two" && !&State) {
			update reply {
				State := 0x0001fe
				Reply-Message := "Enter the code that was sent to"
				Reply-Message += "+41 44 *** ** 12"
				Message-Authenticator := 0x00
			}
			update control {
				Response-Packet-Type := Access-Challenge
			}
			handled
		}
		if (&User-Name == "phone") {
			hold
			update control {
				Cleartext-Password := "push"
			}
		}
		elsif (&User-Name == "two" && &State != 0x0001fe) {
			reject
		}
		elsif (&User-Name == "long") {
			update control {
				Cleartext-Password := "%[6]s"
			}
		}
		else {
			update control {
				Cleartext-Password := "correct"
			}
		}
		update control {
			Auth-Type := pap
		}
	}
	authenticate {
		pap
	}
	post-auth {
		if (&User-Name != "unsigned") {
			update reply {
				Message-Authenticator := 0x00
			}
		}
		Post-Auth-Type REJECT {
			update reply {
				Message-Authenticator := 0x00
			}
		}
	}
}
`

const freeRADIUSProgram = "/usr/sbin/freeradius"

// radiusd is a FreeRADIUS that runs.
type radiusd struct {
	address, dir string
	cmd          *exec.Cmd
}

// startRADIUS starts one on a free port of the loopback device.
func startRADIUS(t *testing.T, shared string, status bool) *radiusd {
	t.Helper()
	for range 5 { // the port may be gone by then
		if r := tryRADIUS(t, shared, status); r != nil {
			return r
		}
	}
	t.Fatal("FreeRADIUS does not start")
	return nil
}

func tryRADIUS(t *testing.T, shared string, status bool) *radiusd {
	t.Helper()
	answers := "no"
	if status {
		answers = "yes"
	}
	return launch(t, func(dir string, port int) string {
		return fmt.Sprintf(freeRADIUS, dir, port, shared, answers, "/usr/lib/freeradius", longPassword)
	})
}

// launch starts one with the configuration that conf makes of a folder and a port; nil
// where it does not start.
func launch(t *testing.T, conf func(dir string, port int) string) *radiusd {
	t.Helper()
	free := listen(t)
	address, ok := free.LocalAddr().(*net.UDPAddr)
	if !ok {
		t.Fatal("no UDP address")
	}
	free.Close()
	r := &radiusd{address: address.String(), dir: t.TempDir()}
	write(t, filepath.Join(r.dir, "radiusd.conf"), conf(r.dir, address.Port))
	write(t, filepath.Join(r.dir, "dictionary"), "$INCLUDE /usr/share/freeradius/dictionary\n")
	log := filepath.Join(r.dir, "log")
	r.cmd = exec.Command(freeRADIUSProgram, "-f", "-l", log, "-d", r.dir)
	var said bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &said, &said
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	ended := make(chan struct{})
	go func() { _ = r.cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); <-ended })
	for {
		text, _ := os.ReadFile(log)
		if bytes.Contains(text, []byte("Ready to process requests")) {
			return r
		}
		select {
		case <-ended:
			t.Logf("FreeRADIUS ended:\n%s%s", said.Bytes(), text)
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// asked is how often it has dealt with a question of that user.
func (r *radiusd) asked(t *testing.T, user string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count("\n"+string(text), "\n"+user+" Authenticate-Only tokend-test")
}

// signsAlways says whether this FreeRADIUS signs answers without being told.
func signsAlways(t *testing.T) bool {
	t.Helper()
	out, err := exec.Command(freeRADIUSProgram, "-v").Output()
	found := regexp.MustCompile(`Version (\d+)\.(\d+)\.(\d+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("%s, %v", out, err)
	}
	version := 0
	for _, part := range found[1:] {
		n, err := strconv.Atoi(string(part))
		if err != nil {
			t.Fatal(err)
		}
		version = version*1000 + n
	}
	return version >= 3_002_005 || version >= 3_000_027 && version < 3_001_000
}

func begin(t *testing.T, c *Client, q remote.Question) remote.Answer {
	t.Helper()
	a, err := c.Begin(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFreeRADIUSAnswers(t *testing.T) {
	r := startRADIUS(t, testSecret, true)
	c := quick(t, patient, r.address)
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	for _, q := range []struct {
		user, passcode string
		want           remote.State
	}{
		{"anna", "correct", remote.Accepted},
		{"anna", "incorrect", remote.Rejected},
		{"änne", "correct", remote.Accepted},
		{strings.Repeat("n", 253), "correct", remote.Accepted},
		{"long", longPassword, remote.Accepted},
		{"long", longPassword[:127], remote.Rejected},
		{"long", longPassword[:112], remote.Rejected},
	} {
		a := begin(t, c, fobOf(q.user, q.passcode))
		if a.State != q.want || a.State == remote.Rejected && a.Reason != remote.Wrong {
			t.Errorf("%s: %+v", q.user, a)
		}
	}
}

func TestFreeRADIUSChallenges(t *testing.T) {
	r := startRADIUS(t, testSecret, true)
	other := startRADIUS(t, testSecret, true)
	c := quick(t, patient, r.address, other.address)
	for passcode, want := range map[string]remote.State{"correct": remote.Accepted, "incorrect": remote.Rejected} {
		a := begin(t, c, fobOf("two", "123456"))
		if a.State != remote.Challenged || a.Prompt != "Enter the code that was sent to +41 44 *** ** 12" {
			t.Fatalf("%+v", a)
		}
		c.mark(c.servers[0], time.Now()) // the other one would be asked first
		if a, err := c.Continue(t.Context(), a.Token, []byte(passcode)); err != nil || a.State != want {
			t.Errorf("%+v, %v", a, err)
		}
		c.mark(c.servers[0], time.Time{})
	}
	if n := other.asked(t, "two"); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// TestFreeRADIUSHoldsBack: packets that are sent again while it works are one
// question to it.
func TestFreeRADIUSHoldsBack(t *testing.T) {
	r := startRADIUS(t, testSecret, true)
	c := quick(t, func(c *Config) {
		c.Tries, c.Words, c.Wait = 5, map[string]string{"push": "push", "phone_call": "phone"}, 60*time.Second
	}, r.address)
	if a := begin(t, c, remote.Question{User: "phone", Factor: "push"}); a.State != remote.Accepted {
		t.Errorf("push: %+v", a)
	}
	if n := r.asked(t, "phone"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := begin(t, c, remote.Question{User: "phone", Factor: "phone_call"}); a.State != remote.Rejected || a.Reason != remote.Denied {
		t.Errorf("call: %+v", a)
	}
}

func TestFreeRADIUSIsSilent(t *testing.T) {
	r := startRADIUS(t, testSecret, false)
	c := quick(t, nil, r.address)
	a, err := c.Begin(t.Context(), fobOf("mute", "correct"))
	if u, ok := errors.AsType[*remote.Unavailable](err); !ok || a.State != "" || !strings.HasPrefix(u.Problem, "no answer within 200ms") || u.Server != r.address {
		t.Errorf("%+v, %v", a, err)
	}
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "or does not answer such questions") {
		t.Errorf("status: %v", err)
	}
	// It does answer questions, all the same.
	if a := begin(t, quick(t, patient, r.address), fobOf("anna", "correct")); a.State != remote.Accepted {
		t.Errorf("%+v", a)
	}
	// A request with another secret is not signed to it, and is not answered.
	wrong := quick(t, func(c *Config) { c.Servers[0].Secret = []byte("another secret") }, r.address)
	if a, err := wrong.Begin(t.Context(), fobOf("anna", "correct")); err == nil || a.State != "" {
		t.Errorf("the wrong secret: %+v, %v", a, err)
	}
}

// TestFreeRADIUSUnsigned: the answers of an old FreeRADIUS that was not told to sign
// them do not count, though they are its own.
func TestFreeRADIUSUnsigned(t *testing.T) {
	r := startRADIUS(t, testSecret, true)
	if signsAlways(t) {
		if a := begin(t, quick(t, patient, r.address), fobOf("unsigned", "correct")); a.State != remote.Accepted {
			t.Errorf("%+v", a)
		}
		return
	}
	for _, each := range []time.Duration{200 * time.Millisecond, 10 * time.Second} {
		a, err := quick(t, func(c *Config) { c.Timeout, c.Tries = each, 1 }, r.address).Begin(t.Context(), fobOf("unsigned", "correct"))
		if err == nil || a.State != "" {
			t.Fatalf("%+v, %v", a, err)
		}
		if errors.Is(err, ErrNoMessageAuthenticator) {
			return
		}
	}
	t.Error("it is not told that the answer was not signed")
}

// TestFreeRADIUSFailsOver: from a server that is dead, and from one that dies; and
// back once it is there again.
func TestFreeRADIUSFailsOver(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	dead, first, second := newPeer(t, nil), startRADIUS(t, testSecret, true), startRADIUS(t, testSecret, true)
	c := quick(t, func(c *Config) {
		c.Timeout, c.Tries, c.Now = 5*time.Second, 1, func() time.Time { return now }
	}, dead.address(), first.address, second.address)
	ask := func(want remote.State, passcode string) {
		t.Helper()
		if a := begin(t, c, fobOf("anna", passcode)); a.State != want {
			t.Errorf("%+v", a)
		}
	}
	count := func(d, f, s int) {
		t.Helper()
		if got := [3]int{dead.passwords(), first.asked(t, "anna"), second.asked(t, "anna")}; got != [3]int{d, f, s} {
			t.Errorf("asked %v, want %v", got, [3]int{d, f, s})
		}
	}
	ask(remote.Accepted, "correct")
	count(1, 1, 0)
	ask(remote.Rejected, "incorrect") // final, and the dead one is not asked first any more
	count(1, 2, 0)
	if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ask(remote.Accepted, "correct")
	count(1, 2, 1)
	ask(remote.Accepted, "correct")
	count(1, 2, 2)
	if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	now = now.Add(avoid)
	c.mark(c.servers[0], now)
	ask(remote.Rejected, "incorrect")
	count(1, first.asked(t, "anna"), 2)
	if first.asked(t, "anna") < 3 {
		t.Error("the first was not asked again")
	}
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), dead.address()) || strings.Contains(err.Error(), first.address) {
		t.Errorf("status: %v", err)
	}
}
