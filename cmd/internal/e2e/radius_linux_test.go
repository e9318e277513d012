package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freeRADIUS is the configuration of a FreeRADIUS with the folder, the port and the
// secret. "correct" is everybody's passcode; to "two" it asks for a code, 4711.
const freeRADIUS = `
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = %[1]s
run_dir = %[1]s
logdir = %[1]s
name = freeradius
hostname_lookups = no
security {
	status_server = yes
	reject_delay = 0
}
client tests {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
	require_message_authenticator = yes
}
modules {
	always handled {
		rcode = handled
	}
	always reject {
		rcode = reject
	}
	always ok {
		rcode = ok
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
		if (&User-Name != "alice") {
			reject
		}
		elsif (!&State && &User-Password == "two") {
			update reply {
				State := 0x0001fe
				Reply-Message := "Enter the code that was sent"
				Message-Authenticator := 0x00
			}
			update control {
				Response-Packet-Type := Access-Challenge
			}
			handled
		}
		elsif ((!&State && &User-Password == "correct") || (&State == 0x0001fe && &User-Password == "4711")) {
			update control {
				Auth-Type := Accept
			}
		}
		else {
			reject
		}
	}
	post-auth {
		update reply {
			Message-Authenticator := 0x00
		}
		Post-Auth-Type REJECT {
			update reply {
				Message-Authenticator := 0x00
			}
		}
	}
}
`

// startRADIUS starts a FreeRADIUS on a free port of the loopback device, and returns
// its address and what ends it.
func startRADIUS(t *testing.T, conf, shared string) (address string, end func()) {
	t.Helper()
	for range 5 { // the port may be gone by then
		free, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = free.LocalAddr().String()
		_ = free.Close()
		if end = tryRADIUS(t, conf, address, shared); end != nil {
			return address, end
		}
	}
	t.Fatal("FreeRADIUS does not start")
	return "", nil
}

func tryRADIUS(t *testing.T, conf, address, shared string) (end func()) {
	t.Helper()
	dir := t.TempDir()
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"radiusd.conf": fmt.Sprintf(conf, dir, at.Port, shared), "dictionary": "$INCLUDE /usr/share/freeradius/dictionary\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := filepath.Join(dir, "log")
	cmd := exec.Command("/usr/sbin/freeradius", "-f", "-l", log, "-d", dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	end = func() { _ = cmd.Process.Kill(); <-ended }
	t.Cleanup(end)
	for {
		text, _ := os.ReadFile(log)
		if bytes.Contains(text, []byte("Ready to process requests")) {
			return end
		}
		select {
		case <-ended:
			t.Logf("FreeRADIUS ended:\n%s%s", said.Bytes(), text)
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const radiusPolicy = `version = 1
[contact]
name = "IT, room 4.12"
[reactivation]
allow = ["fob", "bypass_code"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["owner"]
[verifiers]
fob = ["local", "radius"]
`

// TestRADIUS brings an account back by the word of a real FreeRADIUS, which accepts,
// rejects, asks for more, and dies.
func TestRADIUS(t *testing.T) {
	t.Parallel()
	const shared = "sixteen bytes or more of them"
	office, laptop := NewDaemon(t, programs(t), nil), NewDaemon(t, programs(t), nil)
	office.Start()
	laptop.Start()
	office.OK("", "admin", "authority", "create", "Example Ltd", "--contact", "IT, room 4.12")
	office.OK("", "admin", "user", "add", "alice")
	laptop.OK("alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	link := office.OK("", "admin", "activation", "create", "alice", "--account", "vpn").Stdout
	laptop.OK(link, "activate", "--link-file", "-", "--name", "laptop")
	policy := File(t, radiusPolicy)
	if r := office.OK("", "admin", "policy", "set", policy); !strings.Contains(r.Stdout, "fob is to be verified by radius, which is not set up") {
		t.Errorf("%s", r)
	}
	says := func(r Result, exit int, words ...string) {
		t.Helper()
		if r.Exit != exit {
			t.Errorf("%s", r)
		}
		for _, w := range words {
			if !strings.Contains(r.Stdout+r.Stderr, w) {
				t.Errorf("it does not say %q: %s", w, r)
			}
		}
	}
	says(laptop.Ctl("", "reactivate", "vpn", "--passcode-file", "-"), 19, "fob: ")

	address, end := startRADIUS(t, freeRADIUS, shared)
	dir := t.TempDir()
	settings := filepath.Join(dir, "radius.toml")
	for path, text := range map[string]string{
		settings:                            fmt.Sprintf("timeout = \"1s\"\ntries = 2\n[[server]]\naddress = %q\nsecret_file = \"radius.secret\"\n", address),
		filepath.Join(dir, "radius.secret"): shared + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	says(office.Ctl("", "admin", "verifier", "set", "radius", settings), 0, "radius is set up, and asked for: fob", "tokenctl admin verifier check radius")
	says(office.Ctl("", "admin", "verifier", "check"), 0, "radius\t"+address+"\tyes")
	shown := office.OK("", "--json", "admin", "verifier", "show")
	if says(shown, 0, address, `"factors":["fob"]`); strings.Contains(shown.Stdout, "sixteen") {
		t.Errorf("the secret is shown: %s", shown)
	}
	says(office.Ctl("", "admin", "policy", "explain", "alice"), 0, "fob", "is the word of radius alone")

	says(laptop.Ctl("not-this", "reactivate", "vpn", "--passcode-file", "-"), 16, "fob: a passcode of your fob or of another hardware token (asserted by RADIUS)", "this passcode is not good")
	time.Sleep(1100 * time.Millisecond) // the throttle's first second
	says(laptop.Ctl("correct", "reactivate", "vpn", "--passcode-file", "-"), 0, "works on this device")
	// What more is asked for comes from the next file.
	two, code := File(t, "two"), File(t, "4711")
	office.Stop() // a restart finds it set up
	office.Start()
	says(laptop.Ctl("", "reactivate", "vpn", "--passcode-file", two), 2, "cannot ask for what is asked for", "--passcode-file FILE")
	says(laptop.Ctl("", "reactivate"), 0, "something more is asked for")
	says(laptop.Ctl("", "reactivate", "vpn", "--passcode-file", code), 0, "what was begun before goes on", "works on this device")

	atTerminal := &person{t: t, d: laptop, home: t.TempDir()}
	atTerminal.runs("tokenctl reactivate vpn").sees(`Press or touch your fob`).types("two").sees(`Enter the code that was sent \(not shown\): `).types("4711").
		sees(`works on this device`).ends(0)
	// A helper asks there as well, and so does a service.
	atTerminal = &person{t: t, d: office, home: t.TempDir()}
	atTerminal.runs("tokenctl admin verify alice").sees(`Passcode of alice: `).types("two").sees(`Enter the code that was sent \(not shown\): `).types("4711").
		sees(`accepted, by the word of RADIUS`).ends(0)
	says(office.Ctl("correct\n", "admin", "verify", "alice", "--quiet", "--service", "door", "--passcode-file", "-"), 0, "accepted")
	says(office.Ctl("two\n", "admin", "verify", "alice", "--quiet", "--service", "door", "--passcode-file", "-"), 20, "RADIUS asks for something more", "at a terminal it is asked for")
	says(office.Ctl("not-this\n", "admin", "verify", "alice", "--passcode-file", "-"), 16, "RADIUS does not accept it")
	says(office.Ctl("correct\n", "admin", "verify", "alice", "--passcode-file", "-"), 17)
	time.Sleep(2200 * time.Millisecond) // the throttle: of the challenge that nobody answered, and of the guess

	end()
	says(office.Ctl("correct\n", "admin", "verify", "alice", "--quiet", "--service", "door", "--passcode-file", "-"), 23, "RADIUS gave no answer that counts: nothing was accepted")
	says(laptop.Ctl("correct", "reactivate", "vpn", "--passcode-file", "-"), 23, "RADIUS gave no answer that counts: nothing was verified, and nothing is counted against you", "try again in a while")
	says(office.Ctl("", "admin", "verifier", "check", "radius"), 23, "radius\t"+address+"\tno", "a server is silent to whom it does not know")
	unsigned := strings.ReplaceAll(freeRADIUS, "Message-Authenticator := 0x00", `Class := "unsigned"`)
	address, _ = startRADIUS(t, unsigned, shared)
	settings = File(t, fmt.Sprintf("timeout = \"1s\"\n[[server]]\naddress = %q\nsecret_file = %q\n", address, filepath.Join(dir, "radius.secret")))
	office.OK("", "admin", "verifier", "set", "radius", settings)
	if r := office.Ctl("", "admin", "verifier", "check"); r.Exit != 0 { // from 3.2.5 on it signs by itself
		says(r, 23, "without Message-Authenticator", "does not sign its answers: FreeRADIUS before 3.2.5", `docs/radius.md, "FreeRADIUS"`)
	}
	says(office.Ctl("", "admin", "verifier", "remove", "radius", "--yes"), 0, "it is asked no more")
	says(laptop.Ctl("correct", "reactivate", "vpn", "--passcode-file", "-"), 19, "the policy allowed, when the authority answered last:", "(asserted by RADIUS then)")
	audit := office.OK("", "admin", "audit", "list").Stdout
	for _, want := range []string{"verifier-set", "verifier-ask", "radius fob accepted", "radius fob rejected wrong", "radius fob challenged", "radius fob unavailable", "verifier-remove",
		"service=door radius", "service=door radius challenged", "service=attended radius wrong", "service=door radius unavailable"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit has no %q:\n%s", want, audit)
		}
	}
	for _, secret := range []string{shared, "correct", "4711"} {
		if strings.Contains(audit+shown.Stdout, secret) {
			t.Errorf("%q is told", secret)
		}
	}
}
