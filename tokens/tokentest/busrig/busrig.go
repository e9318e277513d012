//go:build linux

package busrig

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Options say what bus it is.
type Options struct {
	// System makes it a bus of the system's type, with the rules that the system's
	// bus has: nothing is allowed that no file in Include allows. Else it is a
	// session's.
	System bool
	// Include are further files of configuration.
	Include []string
	// Limits are limits of dbus-daemon by their names.
	Limits map[string]int
}

// Bus is a running bus.
type Bus struct {
	// Address is what programs find it by; Env sets it in their environment.
	Address string
	Env     []string

	dir  string
	conf string
	cmd  *exec.Cmd
}

// system is what Debian's system.conf says of policy.
const system = `
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
`

// session is what session.conf says of it.
const session = `
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
`

// Start runs a bus until the test ends.
func Start(tb testing.TB, o Options) *Bus {
	tb.Helper()
	dir, err := os.MkdirTemp("", "tokend-bus-")
	if err != nil {
		tb.Fatal(err)
	}
	b, err := New(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		b.Stop()
		_ = os.RemoveAll(dir)
	})
	return b
}

// New runs a bus with its files in dir, which is made readable for everybody. The
// caller stops it.
func New(dir string, o Options) (*Bus, error) {
	b := &Bus{dir: dir, conf: filepath.Join(dir, "bus.conf"), Address: "unix:path=" + filepath.Join(dir, "bus")}
	kind, policy, variable := "session", session, "DBUS_SESSION_BUS_ADDRESS"
	if o.System {
		kind, policy, variable = "system", system, "DBUS_SYSTEM_BUS_ADDRESS"
	}
	b.Env = []string{variable + "=" + b.Address}
	var rest strings.Builder
	for _, file := range o.Include {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&rest, "  <include>%s</include>\n", path)
	}
	for name, n := range o.Limits {
		fmt.Fprintf(&rest, "  <limit name=%q>%d</limit>\n", name, n)
	}
	conf := fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>%s</type>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>%s%s</busconfig>
`, kind, b.Address, policy, rest.String())
	if err := os.WriteFile(b.conf, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	return b, b.Run()
}

// Run starts the bus, again after Stop: nobody is connected then, and no name is
// taken.
func (b *Bus) Run() error {
	cmd := exec.Command("dbus-daemon", "--config-file="+b.conf, "--nofork", "--nopidfile", "--nosyslog", "--print-address=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start dbus-daemon: %w", err)
	}
	b.cmd = cmd
	line := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(out).ReadString('\n')
		line <- err
	}()
	select {
	case err = <-line:
	case <-time.After(time.Minute):
		err = errors.New("it says nothing")
	}
	if err != nil {
		b.Stop()
		return fmt.Errorf("dbus-daemon does not listen: %w", err)
	}
	return nil
}

// Stop ends the bus at once, as a crash would.
func (b *Bus) Stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.cmd = nil
	_ = os.Remove(filepath.Join(b.dir, "bus"))
}
