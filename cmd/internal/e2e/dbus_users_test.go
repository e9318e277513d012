//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// Two users that every system has: dbus-daemon lets in nobody whom the system does
// not know.
const zoey, bob = 1, 2

const busPolicy = "../../../packaging/dbus/io.github.tokenbridge.Tokend1.conf"

// newSystemBench is a system daemon on a private system bus with the policy that is
// installed, where zoey has a vault with an account of the session class.
func newSystemBench(t *testing.T, include ...string) (d *Daemon, bus *busBench, account string) {
	t.Helper()
	bus = newBusBench(t, busrig.Options{System: true, Include: append([]string{busPolicy}, include...)})
	d = NewDaemon(t, programs(t), bus.Env, "--bus", "system")
	d.System = true
	for _, dir := range []string{filepath.Dir(d.Socket), d.Programs.Dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	bus.served(zoey)
	d.okAs(t, zoey, "zoey's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--label", "Zoeystoken", "--no-recovery-password")
	return d, bus, d.addAs(t, zoey, "Zoeysbank")
}

func (d *Daemon) okAs(t *testing.T, uid int, stdin string, args ...string) Result {
	t.Helper()
	r := d.as(uid, stdin, args...)
	if r.Exit != 0 {
		t.Fatalf("%s", r)
	}
	return r
}

// addAs adds an account and returns its id.
func (d *Daemon) addAs(t *testing.T, uid int, issuer string) string {
	t.Helper()
	uri := "otpauth://totp/" + issuer + ":me?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=" + issuer
	d.okAs(t, uid, uri, "account", "add", "--uri-file", "-", "--class", "session")
	var list ipc.AccountList
	if err := json.Unmarshal([]byte(d.okAs(t, uid, "", "--json", "account", "list").Stdout), &list); err != nil {
		t.Fatal(err)
	}
	return list.Accounts[len(list.Accounts)-1].ID
}

// answers is what the script tells of calls that fail.
type answers map[string]struct {
	Answers []string  `json:"answers"`
	Seconds []float64 `json:"seconds"`
}

// errors makes calls of uid's at paths, each n times.
func (b *busBench) errors(uid, n int, paths []string, calls ...busCall) []answers {
	b.t.Helper()
	list, err := json.Marshal(paths)
	if err != nil {
		b.t.Fatal(err)
	}
	argv := []string{python, b.script, "errors", strconv.Itoa(n), string(list)}
	for _, c := range calls {
		one, err := json.Marshal(busClients(b.script)[2].argv(b.Address, c)[4:])
		if err != nil {
			b.t.Fatal(err)
		}
		argv = append(argv, string(one))
	}
	out, errOut, ok := b.run(uid, argv...)
	var told []answers
	if err := json.Unmarshal([]byte(out), &told); err != nil || !ok || len(told) != len(calls) {
		b.t.Fatalf("%v: %v\n%s%s", argv, err, out, errOut)
	}
	return told
}

// TestDBusUsersLearnNothing: on a system bus, what one user has is to another as if
// it were not there, in objects, properties, signals, introspection, errors and time.
func TestDBusUsersLearnNothing(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	d, bus, account := newSystemBench(t)
	var tokens ipc.TokenList
	if err := json.Unmarshal([]byte(d.okAs(t, zoey, "", "--json", "token", "list").Stdout), &tokens); err != nil {
		t.Fatal(err)
	}
	token := tokens.Tokens[0].ID
	words := []string{"oey", account, token}

	look := func(state string) {
		t.Helper()
		const nobodys = "00000000000000ff"
		for kind, c := range map[string]struct {
			own   string
			iface string
			calls []busCall
		}{
			"account": {account, accountIface, []busCall{
				{"", accountIface, "GenerateCode", []any{[]opt{}}}, {"", accountIface, "Edit", []any{[]opt{{"name", "x"}}}},
				{"", accountIface, "Move", []any{uint32(0)}}, {"", accountIface, "Remove", []any{account}}, {"", accountIface, "Nothing", nil},
			}},
			"token": {token, tokenIface, []busCall{{"", tokenIface, "Rename", []any{"x"}}, {"", tokenIface, "Test", []any{[]opt{}}}, {"", tokenIface, "Nothing", nil}}},
		} {
			dir := root + "/" + kind + "/"
			paths := []string{dir + c.own, dir + nobodys, dir + "_", dir + "a_b", dir + c.own + "/x", dir + strings.Repeat("a", 900)}
			calls := append(c.calls, busCall{"", propertyIface, "GetAll", []any{c.iface}},
				busCall{"", propertyIface, "Get", []any{c.iface, "Id"}}, busCall{"", introspectable, "Introspect", nil})
			for i, told := range bus.errors(bob, 1, paths, calls...) {
				call := calls[i]
				for _, path := range paths {
					if a, b := told[path].Answers, told[dir+nobodys].Answers; len(a) != 1 || !slices.Equal(a, b) || a[0] == "no error" {
						t.Errorf("bob %s: %s.%s at %s: %q, of what is not there %q", state, call.iface, call.method, path, a, b)
					}
				}
			}
		}
		for _, argv := range [][]string{
			{"busctl", "--address=" + bus.Address, "tree"}, {"busctl", "--address=" + bus.Address, "call", busName, root, objectsIface, "GetManagedObjects"},
			{"gdbus", "introspect", "--address", bus.Address, "-d", busName, "-o", root, "--recurse"},
			{"busctl", "--address=" + bus.Address, "introspect", busName, root + "/vault"},
			busctlArgs(bus.Address, busCall{root, managerIface, "Status", nil}), busctlArgs(bus.Address, busCall{root, managerIface, "Doctor", nil}),
		} {
			if argv[2] == "tree" {
				argv = append(argv, busName)
			}
			out, errOut, ok := bus.run(bob, argv...)
			if !ok {
				t.Errorf("bob %s: %v fails: %s", state, argv, errOut)
			}
			for _, w := range words {
				if strings.Contains(out+errOut, w) {
					t.Errorf("bob %s reads %q: %v: %s", state, w, argv, out)
				}
			}
		}
	}
	look("without a vault")
	d.okAs(t, bob, "bob's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	d.addAs(t, bob, "Bobsbank")
	look("with a vault")
	compareTimes(t, bus, root+"/account/", account)
	compareTimes(t, bus, root+"/token/", token)
	d.okAs(t, bob, "", "lock")
	look("with a locked vault")

	bobSees(t, d, bus, words)
}

const busName = "io.github.tokenbridge.Tokend1"

// compareTimes compares how long bob waits for the answer about another's object, a
// missing one and one that can be none. Each is called by turns, so that whatever
// else the machine does slows all of them.
func compareTimes(t *testing.T, bus *busBench, dir, own string) {
	t.Helper()
	const n = 1000
	paths := []string{dir + own, dir + "00000000000000ff", dir + "a_b"}
	told := bus.errors(bob, n, paths, busCall{"", propertyIface, "GetAll", []any{""}})[0]
	base := told[paths[1]].Seconds
	for _, path := range []string{paths[0], paths[2]} {
		less := 0
		for i, s := range told[path].Seconds {
			if s < base[i] {
				less++
			}
		}
		// Of 1,000 pairs 500 are quicker by chance alone, give or take 16.
		t.Logf("%s: median %v, of what is not there %v; quicker in %d of %d", path, median(told[path].Seconds), median(base), less, n)
		if ratio := float64(median(told[path].Seconds)) / float64(median(base)); (less < n/2-200 || less > n/2+200) && (ratio < 0.8 || ratio > 1.25) {
			t.Errorf("%s can be told by its time from what is not there: quicker in %d of %d, median %v against %v", path, less, n,
				median(told[path].Seconds), median(base))
		}
	}
}

func median(seconds []float64) time.Duration {
	s := slices.Sorted(slices.Values(seconds))
	return time.Duration(s[len(s)/2] * float64(time.Second))
}

// bobSees has bob listen to all that a bus lets him, while zoey works.
func bobSees(t *testing.T, d *Daemon, bus *busBench, words []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listen := func(uid int, argv ...string) (*Buffer, func()) {
		t.Helper()
		out, pipe := new(Buffer), bus.command(ctx, uid, argv...)
		stdout, err := pipe.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := pipe.Start(); err != nil {
			t.Fatal(err)
		}
		ready := make(chan struct{})
		go func() {
			var once sync.Once
			for lines := bufio.NewScanner(stdout); lines.Scan(); {
				_, _ = out.Write(append(bytes.Clone(lines.Bytes()), '\n'))
				once.Do(func() { close(ready) })
			}
		}()
		select {
		case <-ready:
		case <-time.After(time.Minute):
			t.Fatalf("%v says nothing", argv)
		}
		return out, func() { _ = pipe.Process.Kill(); _ = pipe.Wait() }
	}
	bobs, endBob := listen(bob, python, bus.script, "listen")
	defer endBob()
	monitor, endMonitor := listen(bob, "dbus-monitor", "--address", bus.Address)
	defer endMonitor()
	zoeys, endZoey := listen(zoey, python, bus.script, "listen")
	defer endZoey()
	Eventually(t, time.Minute, func() error {
		if !strings.Contains(bobs.String(), "listening") || !strings.Contains(zoeys.String(), "listening") {
			return fmt.Errorf("not yet: %s %s", bobs, zoeys)
		}
		return nil
	})
	id := d.addAs(t, zoey, "Zoeysother")
	d.okAs(t, zoey, "", "lock")
	// Bob's own come to him, so that his silence about the rest means something.
	d.okAs(t, bob, "bob's long passphrase", "unlock", "--pin-file", "-")
	Eventually(t, time.Minute, func() error {
		if !strings.Contains(zoeys.String(), "InterfacesAdded") || !strings.Contains(zoeys.String(), "Locked") || !strings.Contains(bobs.String(), "Unlocked") {
			return fmt.Errorf("not yet: %s %s", bobs, zoeys)
		}
		return nil
	})
	if !strings.Contains(zoeys.String(), id) || !strings.Contains(zoeys.String(), "Zoeysother") {
		t.Errorf("zoey is not told of her account: %s", zoeys)
	}
	for name, out := range map[string]string{"his subscription": bobs.String(), "dbus-monitor": monitor.String()} {
		for _, w := range append([]string{id}, words...) {
			if strings.Contains(out, w) {
				t.Errorf("bob hears %q by %s: %s", w, name, out)
			}
		}
	}
	t.Logf("bob hears by dbus-monitor %d bytes", len(monitor.String()))
}
