//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// failing are the settings by which something could not be started.
func (d *Daemon) failing() (list []string) {
	d.tb.Helper()
	for _, f := range d.status().Daemon.Config.Failing {
		list = append(list, f.Setting)
	}
	return list
}

// fails waits until the settings are those by which something could not be started.
func (d *Daemon) fails(within time.Duration, want string) {
	d.tb.Helper()
	Eventually(d.tb, within, func() error {
		if got := strings.Join(d.failing(), " "); got != want {
			return fmt.Errorf("failing are %q, not %q", got, want)
		}
		return nil
	})
}

// TestWhatCouldNotBeStartedIsTold: a port that is taken, before there is an authority,
// and a textfile without its folder. Status, doctor and figures tell; the listener is
// opened when the authority is made, at a reload, and by itself.
func TestWhatCouldNotBeStartedIsTold(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	textfile := filepath.Join(t.TempDir(), "figures", "t.prom")
	config := File(t, fmt.Sprintf("[authority]\nlisten = %q\n[metrics]\ntextfile = %q\ninterval = \"5s\"\n", address, textfile))
	d := NewDaemon(t, programs(t), nil, "--config", config)
	d.Start()
	d.fails(patience, "authority.listen metrics.textfile")
	said := d.Ctl("", "status").Stderr
	for _, want := range []string{"cannot be reached from other machines: cannot listen: ", "address already in use", "the figures are not written to metrics.textfile: ", "mkdir -p " + filepath.Dir(textfile)} {
		if !strings.Contains(said, want) {
			t.Errorf("status does not say %q:\n%s", want, said)
		}
	}
	found := d.Ctl("", "doctor")
	if found.Exit != 1 || !strings.Contains(found.Stdout, "address already in use; it is tried again each 30 s, without a restart - mend it: "+sudo()+"ss -ltnp 'sport = :"+port+"'") {
		t.Errorf("the doctor: %s", found)
	}
	if err := os.Mkdir(filepath.Dir(textfile), 0o700); err != nil { // as is advised
		t.Fatal(err)
	}
	d.fails(patience, "authority.listen")
	figures := func() string { // of the next time
		b, _ := os.ReadFile(textfile)
		return string(b)
	}
	Eventually(t, patience, func() error {
		if !strings.Contains(figures(), "\ntokend_config_failing_settings 1\n") {
			return fmt.Errorf("the figures have %s", figures())
		}
		return nil
	})

	release := func() {
		t.Helper()
		if err := taken.Close(); err != nil {
			t.Fatal(err)
		}
	}
	release()
	d.OK("", "admin", "authority", "create", "Example Ltd")
	d.fails(0, "") // no waiting: it is open when the answer is there
	connects(t, address)

	again := func(port string) {
		t.Helper()
		d.Stop()
		if taken, err = net.Listen("tcp", port); err != nil {
			t.Fatal(err)
		}
		d.Start()
		d.fails(patience, "authority.listen")
		if n := strings.Count(d.Ctl("", "doctor").Stdout, "cannot be reached from other machines"); n != 1 {
			t.Errorf("the doctor tells it %d times", n)
		}
		release()
	}
	again(address)
	if err := syscall.Kill(d.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.fails(5*time.Second, "")
	connects(t, address)
	again(address)
	d.fails(time.Minute, "")
	connects(t, address)
}

// TestMailThatCannotBeSentIsTold: also where there is no authority yet, and once where
// there is one.
func TestMailThatCannotBeSentIsTold(t *testing.T) {
	t.Parallel()
	secret := File(t, "a word for the mail server\n")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	config := File(t, fmt.Sprintf("[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\nuser = \"it\"\npassword_file = %q\n", secret))
	d := NewDaemon(t, programs(t), nil, "--config", config)
	d.Start()
	d.fails(0, "mail")
	check := exec.Command(d.Programs.Path("tokend"), "config", "check", "--user", config)
	if out, err := check.CombinedOutput(); err != nil || !strings.Contains(string(out), ":5: warning: the authority cannot send links by e-mail: ") || !strings.Contains(string(out), "chmod 600 "+secret) {
		t.Errorf("the check: %v: %s", err, out)
	}
	told := func() {
		t.Helper()
		found := d.Ctl("", "doctor")
		if !strings.Contains(found.Stdout, " - mend it: chmod 600 "+secret+" && tokend config check "+config+" && kill ") {
			t.Errorf("the doctor: %s", found)
		}
		if n := strings.Count(found.Stdout, "the authority cannot send links by e-mail"); n != 1 || found.Exit != 1 {
			t.Errorf("the doctor tells it %d times: %s", n, found)
		}
	}
	told()
	d.OK("", "admin", "authority", "create", "Example Ltd")
	told()
	if err := os.Chmod(secret, 0o600); err != nil { // as the check advises
		t.Fatal(err)
	}
	if said := d.Ctl("", "status").Stderr; !strings.Contains(said, "what was wrong at the start is mended") || !strings.Contains(said, "  mend it: tokend config check "+config+" && kill ") {
		t.Errorf("what waits for a restart is told as %s", said)
	}
	d.Stop()
	d.Start()
	d.fails(0, "")
}

// sudo is what stands before a command of root's in advice: nothing where root reads it
// and there is none.
func sudo() string {
	if _, err := exec.LookPath("sudo"); err != nil && os.Geteuid() == 0 {
		return ""
	}
	return "sudo "
}

// connects fails where nobody listens.
func connects(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestBrokenConfigurationIsWhy: where no daemon answers, the doctor looks at the file that
// one would read, and says that it is why; what is advised ends before anything is
// started.
func TestBrokenConfigurationIsWhy(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	d := NewDaemon(t, programs(t), []string{"HOME=" + home, "XDG_CONFIG_HOME="})
	path := filepath.Join(home, ".config", "tokend", "tokend.toml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	doctor := func(text, level, message, fix string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := d.Ctl("", "--json", "doctor")
		var found ipc.Findings
		if err := json.Unmarshal([]byte(r.Stdout), &found); err != nil || r.Exit != 21 {
			t.Fatalf("%v: %s", err, r)
		}
		config, start := false, false
		for _, f := range found.Findings {
			if f.Code == "socket" && f.Fix != fix {
				t.Errorf("of the socket: %+v", f)
			}
			config = config || f.Code == "config" && f.Level == level && strings.Contains(f.Message, message) && (level == "ok" || f.Fix == "tokend config check "+path)
			start = start || f.Code == "daemon-unreachable" && f.Fix == fix && strings.Contains(f.Message, "cannot start with its configuration "+path) == (level != "ok")
		}
		if !config || !start {
			t.Errorf("%q: %s", text, r.Stdout)
		}
	}
	start := "tokend serve --user --socket " + d.Socket
	check := "tokend config check " + path
	status := func(next string, first bool) {
		t.Helper()
		r := d.Ctl("", "status")
		if at := strings.Index(r.Stderr, check); r.Exit != 21 || (at >= 0) != first || at > strings.Index(r.Stderr, start) {
			t.Errorf("%s", r)
		}
		if r := d.Ctl("", "service", "status", "--user"); r.Exit != 0 || !strings.Contains(r.Stdout, next+"\n") {
			t.Errorf("%q: %s", next, r)
		}
	}
	doctor("log_level = \"info\"\n\n[sessions]\n", "error", "line 3: there is no table [sessions]", check+" && "+start)
	status(check+" && tokend serve --user", true)
	doctor("log_level = \"info\"\n", "ok", "can be used", start)
	status("\ttokend serve --user", false)
}

// TestABrokenFileIsNotRestartedWith: once the file is broken, whatever is advised about it
// checks it first, whether the daemon was told to read it or not.
func TestABrokenFileIsNotRestartedWith(t *testing.T) {
	t.Parallel()
	config := File(t, "log_format = \"text\"\n")
	d := NewDaemon(t, programs(t), nil, "--config", config)
	d.Start()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	advised := func(about string) {
		t.Helper()
		Eventually(t, patience, func() error {
			for _, w := range d.status().Warnings {
				if w.Code == "config" && strings.Contains(w.Message, about) && strings.HasPrefix(w.Fix, "tokend config check "+config+" && kill ") {
					return nil
				}
			}
			return fmt.Errorf("of %q: %+v", about, d.status().Warnings)
		})
	}
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(d.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("log_format = \"json\"\n")
	advised("changed since it was read")
	hangup()
	advised("restart for log_format")
	write("log_format = \"json\"\nlog_level = 4\n")
	advised("changed since it was read, and tokend would not start with it: ")
	advised("restart for log_format")
	hangup()
	advised("line 2: log_level takes a text")
	advised("restart for log_format")
	if log := d.Log(); !strings.Contains(log, "check=\"tokend config check "+config) {
		t.Errorf("the log does not say what to type:\n%s", log)
	}
}
