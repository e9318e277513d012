package main

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// sessionBus starts a bus of the test's own and answers with its address.
func sessionBus(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1", "--address=unix:path="+filepath.Join(dir, "bus"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = os.RemoveAll(dir) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// portal is a desktop's portal for screenshots, as its interface describes it.
type portal struct {
	t      *testing.T
	conn   *dbus.Conn
	called chan map[string]dbus.Variant

	mu sync.Mutex
	portalSays
}

// portalSays is how it answers.
type portalSays struct {
	code  uint32
	shot  string // the file that it makes
	early bool   // the answer comes before the call returns
}

func (p *portal) says(s portalSays) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.portalSays = s
}

func startPortal(t *testing.T, address string, p *portal) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.t, p.conn, p.called = t, conn, make(chan map[string]dbus.Variant, 1)
	if err := conn.Export(p, portalPath, "org.freedesktop.portal.Screenshot"); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.RequestName(portalName, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("%v, %v", r, err)
	}
}

// Screenshot is the portal's method.
func (p *portal) Screenshot(sender dbus.Sender, _ string, options map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	p.mu.Lock()
	says := p.portalSays
	p.mu.Unlock()
	p.called <- options
	token, _ := options["handle_token"].Value().(string)
	path := dbus.ObjectPath(portalPath + "/request/" + strings.ReplaceAll(strings.TrimPrefix(string(sender), ":"), ".", "_") + "/" + token)
	answer := func() {
		results := map[string]dbus.Variant{}
		if says.code == 0 {
			results["uri"] = dbus.MakeVariant((&url.URL{Scheme: "file", Path: says.shot}).String())
		}
		if err := p.conn.Emit(path, portalAnswer+".Response", says.code, results); err != nil {
			p.t.Error(err)
		}
	}
	if says.early {
		answer()
	} else {
		time.AfterFunc(50*time.Millisecond, answer)
	}
	return path, nil
}

// importScreen runs tokenctl on that desktop.
func importScreen(t *testing.T, f *fake, address string, args ...string) (string, int) {
	t.Helper()
	if f.socket == "" {
		dir, err := os.MkdirTemp("", "tctl")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		serve(t, f, dir)
	}
	cmd := exec.Command("tokenctl", append([]string{"import"}, args...)...)
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+f.socket, "DBUS_SESSION_BUS_ADDRESS="+address, "XDG_RUNTIME_DIR=/nonexistent", noRaceSleep)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func TestImportScreen(t *testing.T) {
	address := sessionBus(t)
	f := opened()
	if out, code := importScreen(t, f, address, "--screen"); code != 2 || !strings.Contains(out, "no portal for screenshots") || !strings.Contains(out, "--screen FILE") {
		t.Errorf("without a portal: %d\n%s", code, out)
	}
	if out, code := importScreen(t, f, "", "--screen"); code != 2 || !strings.Contains(out, "no desktop session") {
		t.Errorf("without a bus: %d\n%s", code, out)
	}
	var uris []string
	for _, r := range exportedRows() {
		uris = append(uris, r.Address())
	}
	shot := func() string { return userFile(t, "Bildschirmfoto 1 %.png", qrPicture(t, uris...)) }
	p := &portal{}
	startPortal(t, address, p)
	for _, early := range []bool{true, false} {
		file := shot()
		p.says(portalSays{early: early, shot: file})
		out, code := importScreen(t, f, address, "--screen", "--apply")
		if code != 0 || !strings.Contains(out, "read 2") {
			t.Fatalf("%d\n%s", code, out)
		}
		if o := <-p.called; o["interactive"].Value() != false {
			t.Errorf("the options were %v", o)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("the screenshot was left behind: %v", err)
		}
	}
	if len(f.accounts) != 2 {
		t.Errorf("%d accounts", len(f.accounts))
	}
	p.says(portalSays{code: 1})
	if out, code := importScreen(t, f, address, "--screen"); code != 15 || !strings.Contains(out, "declined") {
		t.Errorf("declined: %d\n%s", code, out)
	}
	<-p.called
	p.says(portalSays{shot: userFile(t, "empty desk.png", qrPicture(t))})
	if out, code := importScreen(t, f, address, "--screen"); code != 11 || !strings.Contains(out, "no QR code was found") {
		t.Errorf("a screen without codes: %d\n%s", code, out)
	}
	<-p.called
	// A screenshot that was taken otherwise is left where it is.
	file := shot()
	if out, code := importScreen(t, f, "", "--screen", file); code != 0 || !strings.Contains(out, "same 2") {
		t.Errorf("from a file: %d\n%s", code, out)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
