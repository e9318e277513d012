//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// newDBusBench is a bench whose daemon serves on a session bus, with a vault.
func newDBusBench(t *testing.T) (*bench, *busBench) {
	t.Helper()
	bus := newBusBench(t, busrig.Options{})
	b := newBench(t, yubikey())
	b.Stop()
	b.Env, b.Args = append(b.Env, bus.Env...), append(b.Args, "--bus", "session")
	b.Start()
	b.init()
	bus.served(-1)
	return b, bus
}

// TestForeignDBusClients drives every method with busctl, gdbus and Python.
func TestForeignDBusClients(t *testing.T) {
	t.Parallel()
	b, bus := newDBusBench(t)
	touch := samples(2)[1]
	touch.name = "by touch"
	b.add(touch)
	var list ipc.AccountList
	b.JSON(&list, "account", "list")
	touchPath := root + "/account/" + list.Accounts[0].ID
	var tokens ipc.TokenList
	b.JSON(&tokens, "token", "list")
	token := root + "/token/" + tokens.Tokens[0].ID
	driven := map[string]bool{}
	for _, client := range busClients(bus.script) {
		t.Run(client.name, func(t *testing.T) {
			mine := samples(1)[0]
			mine.name = "of " + client.name
			b.add(mine)
			b.JSON(&list, "account", "list")
			id := list.Accounts[len(list.Accounts)-1].ID
			account := root + "/account/" + id
			code := `\b\d{6,8}\b`
			for _, c := range []struct {
				call busCall
				want string // a pattern of what is printed; with fails, of the message
				fail string // the error's name
			}{
				{busCall{root, managerIface, "Status", nil}, `unlocked`, ""},
				{busCall{root, managerIface, "Doctor", nil}, `the daemon serves on D-Bus`, ""},
				{busCall{root, managerIface, "Subscribe", nil}, ``, ""},
				{busCall{root, managerIface, "Unsubscribe", nil}, ``, ""},
				{busCall{root, managerIface, "GenerateCode", []any{mine.name, []opt{}}}, code, ""},
				{busCall{root, managerIface, "GenerateCode", []any{"nobody", []opt{}}}, `there is no such account`, ownError + "NotFound"},
				{busCall{root, managerIface, "Cancel", []any{"nothing"}}, `no call of that name`, ownError + "NotFound"},
				{busCall{account, accountIface, "GenerateCode", []any{[]opt{{"min_remaining", 1}, {"passive", true}, {"interaction", "none"}}}}, code, ""},
				{busCall{account, accountIface, "GenerateCode", []any{[]opt{{"fresh", "yes"}}}}, `fresh must be a boolean`, ownError + "InvalidArgument"},
				{busCall{account, accountIface, "GenerateCode", []any{uint32(1)}}, `takes arguments of type`, standardError + "InvalidArgs"},
				{busCall{touchPath, accountIface, "GenerateCode", []any{[]opt{{"no_touch_wait", true}}}}, ``, ownError + "TokenTouchTimeout"},
				{busCall{touchPath, accountIface, "GenerateCode", []any{[]opt{}}}, code, ""},
				{busCall{account, accountIface, "Edit", []any{[]opt{{"note", "by " + client.name}}}}, ``, ""},
				{busCall{account, accountIface, "Move", []any{uint32(0)}}, ``, ""},
				{busCall{account, propertyIface, "Get", []any{accountIface, "Note"}}, "by " + client.name, ""},
				{busCall{account, propertyIface, "GetAll", []any{accountIface}}, "by " + client.name, ""},
				{busCall{root + "/vault", propertyIface, "Get", []any{vaultIface, "AccountOrder"}}, account + `\b.*` + touchPath, ""},
				{busCall{account, propertyIface, "Get", []any{accountIface, "Secret"}}, `no such property`, standardError + "UnknownProperty"},
				{busCall{account, introspectable, "Introspect", nil}, `GenerateCode`, ""},
				{busCall{root, objectsIface, "GetManagedObjects", nil}, account, ""},
				{busCall{token, tokenIface, "Rename", []any{"renamed by " + client.name}}, ``, ""},
				{busCall{token, propertyIface, "Get", []any{tokenIface, "Label"}}, "renamed by " + client.name, ""},
				{busCall{token, tokenIface, "Test", []any{[]opt{}}}, ``, ownError + "TokenPINRequired"},
				{busCall{root + "/token/none", tokenIface, "Test", []any{[]opt{}}}, `there is no such object`, standardError + "UnknownObject"},
				{busCall{account, accountIface, "Remove", []any{"yes"}}, ``, ownError + "InvalidArgument"},
				// No authority has issued these accounts; ipc/dbus has one that has.
				{busCall{root + "/vault", vaultIface, "Conversations", nil}, `steps`, ""},
				{busCall{root + "/vault", vaultIface, "TakeAnswer", []any{"nonsense!"}}, `not base64`, ownError + "InvalidArgument"},
				{busCall{root + "/vault", vaultIface, "PollConversation", []any{"none"}}, ``, ownError + "NotFound"},
				{busCall{root + "/vault", vaultIface, "ProveAgain", []any{"none"}}, ``, ownError + "NotFound"},
				{busCall{root + "/vault", vaultIface, "AnswerQuestion", []any{"none", []opt{{"yes", true}}}}, ``, ownError + "NotFound"},
				{busCall{root + "/vault", vaultIface, "RevokeDevice", []any{"none", []opt{{"last", "yes"}}}}, `last must be a boolean`, ownError + "InvalidArgument"},
				{busCall{account, accountIface, "Reactivate", []any{"desk", []opt{}}}, `no authority that is known here has issued`, ownError + "InvalidArgument"},
				{busCall{account, accountIface, "AskQuestions", nil}, `no authority that is known here has issued`, ownError + "InvalidArgument"},
				{busCall{account, accountIface, "AskNotices", nil}, `no authority that is known here has issued`, ownError + "InvalidArgument"},
				{busCall{account, accountIface, "AskDevices", nil}, `no authority that is known here has issued`, ownError + "InvalidArgument"},
				{busCall{root + "/vault", vaultIface, "Lock", nil}, ``, ""},
				{busCall{account, accountIface, "GenerateCode", []any{[]opt{}}}, `locked`, ownError + "VaultLocked"},
				{busCall{root + "/vault", vaultIface, "Unlock", []any{[]opt{}}}, ``, ownError + "TokenPINRequired"},
				{busCall{root + "/vault", vaultIface, "Unlock", []any{[]opt{{"interaction", "agent"}}}}, ``, ownError + "TokenPINRequired"},
			} {
				drive(t, bus, client, c.call, c.want, c.fail)
				driven[c.call.iface+"."+c.call.method] = true
			}
			b.OK("", "unlock", "--pin-file", b.pin)
			drive(t, bus, client, busCall{account, accountIface, "Remove", []any{id}}, ``, "")
			driven[accountIface+".Remove"] = true
			drive(t, bus, client, busCall{account, accountIface, "Remove", []any{id}}, ``, standardError+"UnknownObject")
		})
	}
	for name, doc := range dbus.Interfaces() {
		for _, m := range regexp.MustCompile(`<method name="(\w+)"`).FindAllStringSubmatch(doc, -1) {
			if !driven[name+"."+m[1]] {
				t.Errorf("%s.%s was not driven", name, m[1])
			}
		}
	}
	// The audit says of each code that it was asked for over the bus, and by which process.
	var log ipc.AuditLog
	b.JSON(&log, "audit", "list")
	overBus := regexp.MustCompile(fmt.Sprintf(`^bus uid=%d pid=[1-9]\d*$`, os.Getuid()))
	if !slices.ContainsFunc(log.Entries, func(e ipc.AuditEntry) bool { return e.Action == "code" && e.OK && overBus.MatchString(e.From) }) {
		t.Errorf("the audit does not say that codes were asked for over the bus: %+v", log.Entries)
	}
	// Each of them can read the whole tree.
	for _, argv := range [][]string{
		{"busctl", "--address=" + bus.Address, "tree", dbus.Name},
		{"busctl", "--address=" + bus.Address, "introspect", dbus.Name, touchPath},
		{"gdbus", "introspect", "--address", bus.Address, "-d", dbus.Name, "-o", root, "--recurse"},
	} {
		if out, errOut, ok := bus.run(-1, argv...); !ok || !strings.Contains(out, path.Base(touchPath)) && argv[1] != "introspect" && argv[2] != "introspect" {
			t.Errorf("%v: %s%s", argv, out, errOut)
		}
	}
}

// drive makes one call with one client.
func drive(t *testing.T, bus *busBench, client busClient, c busCall, want, fail string) {
	t.Helper()
	out, errOut, ok := bus.run(-1, client.argv(bus.Address, c)...)
	text := out
	if fail != "" {
		text = errOut
	}
	if client.name == "gdbus" && fail == standardError+"InvalidArgs" && !ok {
		return // it looks at the types first
	}
	if ok != (fail == "") || !regexp.MustCompile(want).MatchString(text) || fail != "" && client.names && !strings.Contains(text, fail) {
		t.Errorf("%s %s.%s %v: %v\n%s%s", client.name, c.iface, c.method, c.args, ok, out, errOut)
	}
}

// TestDBusCallerVanishesMidTouch kills clients while the card waits for a touch: the
// daemon gives up at once, and the card is free as soon as it has stopped to blink.
func TestDBusCallerVanishesMidTouch(t *testing.T) {
	t.Parallel()
	b, bus := newDBusBench(t)
	session, touch := samples(2)[0], samples(2)[1]
	b.add(session)
	b.add(touch)
	resp, err := socketClient(b.Socket).Get("http://tokend/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	events := json.NewDecoder(resp.Body)
	next := func(kind string) ipc.Event {
		for {
			var e ipc.Event
			if err := events.Decode(&e); err != nil {
				t.Fatal(err)
			}
			if e.Type == kind {
				return e
			}
		}
	}
	for _, client := range busClients(bus.script) {
		gaveUp := make(chan struct{})
		b.card.SetTouch(func(ctx context.Context, _ byte) bool {
			select {
			case <-ctx.Done():
			case <-gaveUp:
			}
			return false
		})
		ctx, cancel := context.WithCancel(context.Background())
		cmd := bus.command(ctx, -1, client.argv(bus.Address, busCall{root, managerIface, "GenerateCode", []any{touch.name, []opt{}}})...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		next(ipc.EventTouchWanted)
		began := time.Now()
		cancel()
		_ = cmd.Wait()
		if e := next(ipc.EventTouchDone); e.OK == nil || *e.OK {
			t.Errorf("%s: the end of the touch: %+v", client.name, e)
		}
		took := time.Since(began)
		t.Logf("%s: the touch was given up %v after the client was killed", client.name, took.Round(time.Millisecond))
		if took > soon() {
			t.Errorf("%s: the touch was given up after %v", client.name, took)
		}
		if err := bus.python(-1, nil, busCall{root, managerIface, "GenerateCode", []any{session.name, []opt{}}}); err != nil {
			t.Errorf("%s: a code of the session: %v", client.name, err)
		}
		close(gaveUp)
		b.card.SetTouch(nil)
		if err := bus.python(-1, nil, busCall{root, managerIface, "GenerateCode", []any{touch.name, []opt{}}}); err != nil {
			t.Errorf("%s: the next code: %v", client.name, err)
		}
		next(ipc.EventTouchWanted)
		next(ipc.EventTouchDone)
	}
}

func socketClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

// TestDBusRestarted kills the bus under a daemon whose socket is in use: the
// socket never notices, and name and objects are back.
func TestDBusRestarted(t *testing.T) {
	t.Parallel()
	b, bus := newDBusBench(t)
	a := samples(1)[0]
	b.add(a)
	hc := socketClient(b.Socket)
	var calls, failed atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	events, err := hc.Get("http://tokend/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = events.Body.Close() }()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			resp, err := hc.Post("http://tokend/v1/codes?account="+a.name, "application/json", strings.NewReader("{}"))
			if err != nil || resp.StatusCode != 200 {
				failed.Add(1)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
			calls.Add(1)
		}
	}()
	for range 3 {
		bus.Stop()
		Eventually(t, soon(), func() error {
			var st ipc.Status
			b.JSON(&st, "status")
			if !strings.Contains(st.Daemon.Bus, "cannot be reached") {
				return fmt.Errorf("status says of the bus: %q", st.Daemon.Bus)
			}
			return nil
		})
		if err := bus.Run(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		Eventually(t, soon(), func() error {
			_, errOut, ok := bus.run(-1, busctlArgs(bus.Address, busCall{root, managerIface, "GenerateCode", []any{a.name, []opt{}}})...)
			if !ok {
				return fmt.Errorf("%s", errOut)
			}
			return nil
		})
		t.Logf("a code over D-Bus %v after the bus was started again", time.Since(began).Round(time.Millisecond))
	}
	cancel()
	<-done
	if failed.Load() > 0 || calls.Load() == 0 {
		t.Errorf("%d of %d calls at the socket failed", failed.Load(), calls.Load())
	}
	first, err := jsonLine(events)
	if err != nil || first.Type != ipc.EventState {
		t.Errorf("the stream of events: %+v, %v", first, err)
	}
	if r := b.OK("", "doctor"); !strings.Contains(r.Stdout, "the daemon serves on D-Bus") {
		t.Errorf("doctor: %s", r)
	}
}

func jsonLine(r *http.Response) (e ipc.Event, err error) {
	return e, json.NewDecoder(r.Body).Decode(&e)
}

// TestDBusUnlockWithoutPIN unlocks over the bus with a FIDO2 key that has no PIN.
func TestDBusUnlockWithoutPIN(t *testing.T) {
	t.Parallel()
	bus := newBusBench(t, busrig.Options{})
	k := newKeyring(t, nil)
	k.Stop()
	k.Env = append(k.Env, bus.Env...)
	k.Args = append(k.Args, "--bus", "session")
	k.Start()
	k.plug(k.bare)
	k.OK("", "init", "--token", "fido2", "--recovery-password-file", k.password)
	k.OK("", "lock")
	bus.served(-1)
	if err := bus.python(-1, nil, busCall{root + "/vault", vaultIface, "Unlock", []any{[]opt{}}}); err != nil {
		t.Fatalf("unlock: %v", err)
	}
	if err := k.wantVault(ipc.VaultUnlocked); err != nil {
		t.Error(err)
	}
	var tokens ipc.TokenList
	k.JSON(&tokens, "token", "list")
	var opened []string
	if err := bus.python(-1, &opened, busCall{root + "/token/" + tokens.Tokens[0].ID, tokenIface, "Test", []any{[]opt{}}}); err != nil || len(opened) == 0 {
		t.Errorf("test of the token: %v %v", opened, err)
	}
}
