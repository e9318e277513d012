//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// The users of the devices in these tests; no system knows them.
const alice, mallet = 10021, 10022

// Seeds of alice's fobs.
const (
	buttonSeed = "3132333435363738393031323334353637383931" // 10001, by counter
	clockSeed  = "3132333435363738393031323334353637383932" // 10002, by time
	yubicoKey  = "000102030405060708090a0b0c0d0e0f"
	yubicoID   = "010203040506" // the private one
)

// Of alice's own account, which the authority must never hear of.
const (
	privateName   = "Thirdpartybank"
	privateSecret = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"
)

const alicesPassword = "correct horse battery staple"

// company is an authority on a computer of its own, its users' devices, and the wire
// between.
type company struct {
	*testing.T
	root   *testing.T // the whole story's, which its daemons live as long as
	office *Daemon
	wire   *wire
	laptop *computer // alice's first device
	// has is the computer whose codes count.
	has    *computer
	backup string // of alice's vault on the laptop
	dir    string // which everybody can write to
	next   int    // the counter of the fob with a button
	plugs  uint16 // how often the Yubico fob was plugged in
	asked  int
	seen   [][]byte // the requests that were carried as files
}

// computer is a device: a system's daemon with its own state folder.
type computer struct {
	*Daemon
	name string
}

// open lets other users reach the daemon's socket.
func (d *Daemon) open(t *testing.T) *Daemon {
	t.Helper()
	d.System = true
	for _, dir := range []string{filepath.Dir(d.Socket), d.Programs.Dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func newCompany(t *testing.T) *company {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o1777); err != nil {
		t.Fatal(err)
	}
	c := &company{T: t, root: t, dir: dir}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := free.Addr().String()
	_ = free.Close()
	c.wire = newWire(t, listener)
	config := File(t, fmt.Sprintf("[authority]\nlisten = %q\naddress = %q\n", listener, c.wire.address))
	c.office = NewDaemon(t, programs(t), nil, "--config", config).open(t)
	c.office.Start()
	c.office.OK("", "admin", "authority", "create", "Example Ltd", "--contact", "IT, room 4.12", "--preset", "no-sms-no-calls")
	fobs := "serial number,secret,type,digits,time interval,user,public id,private id\n" +
		"10001," + buttonSeed + ",hotp,6,,alice,,\n" +
		"10002," + clockSeed + ",totp,6,30,alice,,\n" +
		"10003," + yubicoKey + ",yubico,,,alice,cccccccccdbe," + yubicoID + "\n"
	c.office.OK("", "admin", "fob", "import", File(t, fobs), "--apply", "--assign-by-file", "--add-users")
	c.office.OK("", "admin", "user", "add", "vpn", "--role", "verifier")
	c.furnish()
	return c
}

// furnish gives alice a laptop with an account of hers and the company's.
func (c *company) furnish() {
	c.Helper()
	c.laptop = c.computer("laptop")
	m := c.laptop
	password := c.private("password", alicesPassword)
	m.okAs(c.T, alice, "alice's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--recovery-password-file", password)
	m.okAs(c.T, alice, "otpauth://totp/"+privateName+":alice?secret="+privateSecret+"&issuer="+privateName, "account", "add", "--uri-file", "-", "--class", "session")
	link := strings.TrimSpace(c.office.OK("", "admin", "activation", "create", "alice", "--account", "vpn", "--period", "5").Stdout)
	if r := m.as(alice, "", "activate", link); r.Exit != 2 || !strings.Contains(r.Stderr, "other programs of this machine") || strings.Contains(r.Stderr, link) {
		c.Errorf("a link on the command line: %s", r)
	}
	fingerprint := between(c.office.OK("", "--json", "admin", "authority", "descriptor").Stdout, `"fingerprint":"`, `"`)
	r := m.okAs(c.T, alice, link+"\n", "activate", "--link-file", "-", "--name", m.name)
	for _, want := range []string{"authority Example Ltd, fingerprint " + fingerprint, "Example Ltd:vpn is on this device now", "tokenctl code 'Example Ltd:vpn'"} {
		if !strings.Contains(r.Stderr, want) {
			c.Errorf("it does not say %q: %s", want, r)
		}
	}
	c.has = m
	// Whoever else finds the link comes too late.
	if r := m.as(mallet, "", "--no-input", "activate"); r.Exit != 2 || !strings.Contains(r.Stderr, "--link-file") {
		c.Errorf("without a terminal: %s", r)
	}
	c.backup = filepath.Join(c.dir, "alice.tokend")
	m.okAs(c.T, alice, "", "backup", "create", c.backup)
	c.late(link)
}

// late has somebody else use a link that alice has used.
func (c *company) late(link string) {
	c.Helper()
	m := c.computer("mallet's")
	m.okAs(c.T, mallet, "mallet's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	r := m.as(mallet, link, "activate", "--link-file", "-")
	if r.Exit != 19 && r.Exit != 16 && r.Exit == 0 || !strings.Contains(r.Stderr, "the link was used, has expired, was revoked") {
		c.Errorf("a used link: %s", r)
	}
	if list := m.okAs(c.T, mallet, "", "account", "list"); list.Stdout != "" {
		c.Errorf("mallet has %s", list)
	}
	m.Stop()
}

// computer is a fresh device that runs.
func (c *company) computer(name string) *computer {
	c.Helper()
	m := &computer{NewDaemon(c.root, programs(c.T), []string{"PCSCLITE_CSOCK_NAME=/nonexistent"}).open(c.T), name}
	m.Start()
	return m
}

// lost is what alice has after the loss of all her devices: a new one, with her
// vault from the backup.
func (c *company) lost(name string) *computer {
	c.Helper()
	m := c.computer(name)
	r := m.okAs(c.T, alice, alicesPassword, "backup", "restore", c.backup, "--recovery-password-file", "-")
	if !strings.Contains(r.Stderr, "bring it back: tokenctl reactivate 'Example Ltd:vpn'") {
		c.Errorf("the restore does not say how the account comes back: %s", r)
	}
	return m
}

// private is a file that alice alone can read.
func (c *company) private(name, content string) string {
	c.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		c.Fatal(err)
	}
	if err := os.Chown(path, alice, alice); err != nil {
		c.Fatal(err)
	}
	return path
}

// verdict has the authority look at a code: empty where it is accepted, else why
// not. Each is asked by another service, so that failures hold nobody up.
func (c *company) verdict(code string) string {
	c.Helper()
	c.asked++
	r := c.office.Ctl(code+"\n", "admin", "verify", "alice", "--account", "vpn", "--service", fmt.Sprint("s", c.asked), "--passcode-file", "-")
	if r.Exit == 0 {
		return ""
	}
	if r.Exit != 16 {
		c.Fatalf("%s", r)
	}
	return r.Stderr
}

// counts says whether a computer's codes count: accepted, or used before, which only
// codes of devices are that have the account.
func (c *company) counts(m *computer) bool {
	c.Helper()
	code := strings.TrimSpace(m.okAs(c.T, alice, "", "code", "vpn").Stdout)
	why := c.verdict(code)
	return why == "" || strings.Contains(why, "it was used before")
}

// accepted waits until a code of a computer's is accepted: one that was not used.
func (c *company) accepted(m *computer) {
	c.Helper()
	Eventually(c.T, time.Minute, func() error {
		code := strings.TrimSpace(m.okAs(c.T, alice, "", "code", "vpn").Stdout)
		if why := c.verdict(code); why != "" {
			time.Sleep(500 * time.Millisecond) // a code is good for five seconds
			return fmt.Errorf("%s: %s", m.name, why)
		}
		return nil
	})
}

// moved checks what a reactivation on m has left: m's codes count, and those of the
// computer that had the account do not.
func (c *company) moved(m *computer, said string) {
	c.Helper()
	before := c.has
	c.has = m
	if !strings.Contains(said, "Example Ltd:vpn works on this device") {
		c.Errorf("it does not say that it is done: %s", said)
	}
	c.accepted(m)
	if before == nil || before == m {
		return
	}
	if c.counts(before) {
		c.Errorf("codes of the %s still count", before.name)
	}
	if !strings.Contains(said, "not accepted") && !strings.Contains(said, "revoked, so that none of its codes is accepted any more: "+before.name) {
		c.Errorf("it does not say that the %s was revoked: %s", before.name, said)
	}
	r := before.okAs(c.T, alice, "", "device", "check")
	if !strings.Contains(r.Stderr, "Example Ltd:vpn was taken from this device") || !strings.Contains(r.Stderr, "by "+m.name) {
		c.Errorf("the %s is not told: %s", before.name, r)
	}
	if r := before.as(alice, "", "code", "vpn"); r.Exit != 11 || !strings.Contains(r.Stderr, "tokenctl reactivate vpn") {
		c.Errorf("the %s still makes codes, or says nothing of use: %s", before.name, r)
	}
	own := before.okAs(c.T, alice, "", "code", privateName)
	if len(strings.TrimSpace(own.Stdout)) != 6 {
		c.Errorf("alice's own account on the %s: %s", before.name, own)
	}
	before.Stop()
}

// fobs makes alice's fobs work, or notes that all are lost.
func (c *company) fobs(work bool) {
	c.Helper()
	verb := "lost"
	if work {
		verb = "enable"
	}
	for _, serial := range []string{"10001", "10002", "10003"} {
		c.office.OK("", "admin", "fob", verb, serial)
	}
}

// button presses the fob with a button.
func (c *company) button() string {
	c.Helper()
	c.next++
	return hotp(c.T, buttonSeed, c.next-1)
}

// clock reads the fob with a clock.
func (c *company) clock() string {
	c.Helper()
	out, err := exec.Command("oathtool", "--totp", clockSeed).Output()
	if err != nil {
		c.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// yubico is what the third fob types when it is plugged in and touched.
func (c *company) yubico() string {
	c.Helper()
	key, err := hex.DecodeString(yubicoKey)
	if err != nil {
		c.Fatal(err)
	}
	private, err := hex.DecodeString(yubicoID)
	if err != nil {
		c.Fatal(err)
	}
	c.plugs++
	b := append(private, 0, 0, 1, 2, 3, 0, 7, 8, 0, 0)
	binary.LittleEndian.PutUint16(b[6:], c.plugs)
	sum := uint16(0xffff)
	for _, x := range b[:14] {
		sum ^= uint16(x)
		for range 8 {
			low := sum & 1
			if sum >>= 1; low != 0 {
				sum ^= 0x8408
			}
		}
	}
	binary.LittleEndian.PutUint16(b[14:], ^sum)
	block, err := aes.NewCipher(key)
	if err != nil {
		c.Fatal(err)
	}
	block.Encrypt(b, b)
	var s strings.Builder
	for _, x := range b {
		s.WriteByte("cbdefghijklnrtuv"[x>>4])
		s.WriteByte("cbdefghijklnrtuv"[x&15])
	}
	return "cccccccccdbe" + s.String()
}

// patient repeats a command of alice's while the authority holds her up after a
// wrong passcode: what was typed then was not looked at.
func (c *company) patient(m *computer, stdin string, args ...string) Result {
	c.Helper()
	var r Result
	Eventually(c.T, time.Minute, func() error {
		if r = m.as(alice, stdin, args...); r.Exit == 17 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	return r
}

// running is a command of alice's that goes on.
type running struct {
	said *Buffer
	done chan int
	cmd  *exec.Cmd
}

func (m *computer) begins(t *testing.T, args ...string) *running {
	t.Helper()
	u := fmt.Sprint(alice)
	r := &running{said: new(Buffer), done: make(chan int, 1)}
	r.cmd = exec.Command("setpriv", append([]string{"--reuid=" + u, "--regid=" + u, "--clear-groups", m.Programs.Path("tokenctl"), "--socket", m.Socket}, args...)...)
	r.cmd.Env = append(m.Programs.Env(), "PATH="+os.Getenv("PATH"), "HOME=/nonexistent")
	r.cmd.Stdout, r.cmd.Stderr = r.said, r.said
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	go func() {
		_ = r.cmd.Wait()
		r.done <- r.cmd.ProcessState.ExitCode()
	}()
	return r
}

// sees waits until it says what the pattern has, and gives its first group.
func (r *running) sees(t *testing.T, pattern string) string {
	t.Helper()
	re, got := regexp.MustCompile(pattern), ""
	Eventually(t, patience, func() error {
		m := re.FindStringSubmatch(r.said.String())
		if m == nil {
			return fmt.Errorf("no %q in %s", pattern, r.said)
		}
		got = m[len(m)-1]
		return nil
	})
	return got
}

func (r *running) ends(t *testing.T, code int) string {
	t.Helper()
	select {
	case got := <-r.done:
		if got != code {
			t.Fatalf("exit code %d, not %d: %s", got, code, r.said)
		}
	case <-time.After(patience):
		t.Fatalf("it does not end: %s", r.said)
	}
	return r.said.String()
}

// wire is what lies between the devices and the authority's listener: it keeps all
// that goes over it, and can be cut.
type wire struct {
	address string
	cut     atomic.Bool
	mu      sync.Mutex
	went    bytes.Buffer
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if w.cut.Load() {
				_ = in.Close()
				continue
			}
			out, err := new(net.Dialer).DialContext(ctx, "tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			stop := context.AfterFunc(ctx, func() { _ = in.Close(); _ = out.Close() })
			all.Go(func() { defer stop(); _, _ = io.Copy(out, io.TeeReader(in, w)); _ = out.Close() })
			all.Go(func() { _, _ = io.Copy(in, io.TeeReader(out, w)); _ = in.Close() })
		}
	})
	return w
}

// cut takes the ways to the authority away, or gives them back: the wire, and its
// socket, which here is on the same machine.
func (c *company) cut(away bool) {
	c.Helper()
	c.wire.cut.Store(away)
	mode := os.FileMode(0o755)
	if away {
		mode = 0o700
	}
	if err := os.Chmod(filepath.Dir(c.office.Socket), mode); err != nil {
		c.Fatal(err)
	}
}

// Write is io.Writer's.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.went.Write(p)
}

func (w *wire) all() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.went.Bytes())
}

// accountID is the id of an account on a computer.
func (c *company) accountID(m *computer, name string) string {
	c.Helper()
	var list ipc.AccountList
	if err := json.Unmarshal([]byte(m.okAs(c.T, alice, "", "--json", "account", "list").Stdout), &list); err != nil {
		c.Fatal(err)
	}
	for _, a := range list.Accounts {
		if a.Name == name {
			return a.ID
		}
	}
	c.Fatalf("no account %s: %+v", name, list)
	return ""
}
