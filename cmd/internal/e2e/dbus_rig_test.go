//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// python is Debian's own, for which it has the bindings of D-Bus.
const python = "/usr/bin/python3"

// opt is an option in a dictionary of D-Bus; its value is a string, a bool or an
// int.
type opt struct {
	key   string
	value any
}

// busCall is a method call; each of args is a string, an uint32 or []opt.
type busCall struct {
	path, iface, method string
	args                []any
}

// signature is of the arguments.
func (c busCall) signature() string {
	var b strings.Builder
	for _, a := range c.args {
		b.WriteString(map[string]string{"string": "s", "uint32": "u", "[]e2e.opt": "a{sv}"}[fmt.Sprintf("%T", a)])
	}
	return b.String()
}

// busClient is a program that calls methods on a bus.
type busClient struct {
	name string
	argv func(address string, c busCall) []string
	// names says whether it shows the names of errors, not their messages alone.
	names bool
}

// busClients are those of systemd, of GLib, and Python's.
func busClients(script string) []busClient {
	return []busClient{
		{"busctl", busctlArgs, false},
		{"gdbus", gdbusArgs, true},
		{"python", func(_ string, c busCall) []string {
			list := []any{}
			for _, a := range c.args {
				if options, ok := a.([]opt); ok {
					d := map[string]any{}
					for _, o := range options {
						d[o.key] = o.value
					}
					a = d
				}
				list = append(list, a)
			}
			text, err := json.Marshal(list)
			if err != nil {
				panic(err)
			}
			return []string{python, script, "call", c.path, c.iface, c.method, c.signature(), string(text)}
		}, true},
	}
}

func busctlArgs(address string, c busCall) []string {
	argv := []string{"busctl", "--address=" + address, "--timeout=120", "call", dbus.Name, c.path, c.iface, c.method}
	if len(c.args) > 0 {
		argv = append(argv, c.signature())
	}
	for _, a := range c.args {
		options, ok := a.([]opt)
		if !ok {
			argv = append(argv, fmt.Sprint(a))
			continue
		}
		argv = append(argv, strconv.Itoa(len(options)))
		for _, o := range options {
			kind := map[string]string{"string": "s", "bool": "b", "int": "i"}[fmt.Sprintf("%T", o.value)]
			argv = append(argv, o.key, kind, fmt.Sprint(o.value))
		}
	}
	return argv
}

func gdbusArgs(address string, c busCall) []string {
	argv := []string{"gdbus", "call", "--address", address, "--timeout", "120", "-d", dbus.Name, "-o", c.path, "-m", c.iface + "." + c.method}
	for _, a := range c.args {
		switch a := a.(type) {
		case []opt:
			var pairs []string
			for _, o := range a {
				text := fmt.Sprint(o.value)
				if s, ok := o.value.(string); ok {
					text = strconv.Quote(s)
				}
				pairs = append(pairs, fmt.Sprintf("%q: <%s>", o.key, text))
			}
			argv = append(argv, "@a{sv} {"+strings.Join(pairs, ", ")+"}")
		case uint32:
			argv = append(argv, fmt.Sprintf("uint32 %d", a))
		default:
			argv = append(argv, strconv.Quote(fmt.Sprint(a)))
		}
	}
	return argv
}

// busBench is a bus, and the script of the client in Python where every user can
// read it.
type busBench struct {
	*busrig.Bus
	t      *testing.T
	script string
}

func newBusBench(t *testing.T, o busrig.Options) *busBench {
	t.Helper()
	dir, err := os.MkdirTemp("", "tokend-py-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/dbus/client.py")
	if err != nil {
		t.Fatal(err)
	}
	b := &busBench{Bus: busrig.Start(t, o), t: t, script: filepath.Join(dir, "client.py")}
	if err := os.WriteFile(b.script, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// command is argv with the bus in its environment, as another user where uid is
// not negative.
func (b *busBench) command(ctx context.Context, uid int, argv ...string) *exec.Cmd {
	if uid >= 0 {
		u := strconv.Itoa(uid)
		argv = append([]string{"setpriv", "--reuid=" + u, "--regid=" + u, "--clear-groups"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DBUS_ADDRESS="+b.Address, "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8", "HOME=/nonexistent")
	cmd.Env = append(cmd.Env, b.Env...)
	return cmd
}

// run runs argv and returns what it printed, and whether it succeeded.
func (b *busBench) run(uid int, argv ...string) (stdout, stderr string, ok bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := b.command(ctx, uid, argv...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if ctx.Err() != nil {
		b.t.Fatalf("%v hangs", argv)
	}
	return out.String(), errOut.String(), err == nil
}

// python calls by way of the script and decodes the answer into v.
func (b *busBench) python(uid int, v any, c busCall) error {
	b.t.Helper()
	out, errOut, ok := b.run(uid, busClients(b.script)[2].argv(b.Address, c)...)
	if !ok {
		return fmt.Errorf("%s", strings.TrimSpace(errOut))
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal([]byte(out), v)
}

// served waits until the daemon answers on the bus.
func (b *busBench) served(uid int) {
	b.t.Helper()
	Eventually(b.t, time.Minute, func() error {
		return b.python(uid, nil, busCall{root, managerIface, "Status", nil})
	})
}

const (
	root           = string(dbus.Root)
	managerIface   = dbus.Name + ".Manager"
	vaultIface     = dbus.Name + ".Vault"
	tokenIface     = dbus.Name + ".Token"
	accountIface   = dbus.Name + ".Account"
	propertyIface  = "org.freedesktop.DBus.Properties"
	objectsIface   = "org.freedesktop.DBus.ObjectManager"
	introspectable = "org.freedesktop.DBus.Introspectable"
	standardError  = "org.freedesktop.DBus.Error."
	ownError       = dbus.Name + ".Error."
)
