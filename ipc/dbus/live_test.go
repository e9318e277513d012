//go:build linux

package dbus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/soft"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

const (
	passphrase = "correct horse battery"
	uri        = "otpauth://totp/Example:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example"

	managerName = dbus.Name + ".Manager"
	accountName = dbus.Name + ".Account"
	vaultName   = dbus.Name + ".Vault"
	tokenName   = dbus.Name + ".Token"
	properties  = "org.freedesktop.DBus.Properties"
	manager     = "org.freedesktop.DBus.ObjectManager"
)

// stage is a real daemon with the software token, served on a private bus.
type stage struct {
	t      *testing.T
	bus    *busrig.Bus
	daemon *daemon.Daemon
	server *dbus.Server
	me     ipc.Principal
	conn   *godbus.Conn
	stop   func()
}

// newStage starts them for the user who runs the test. change may alter what is
// served.
func newStage(t *testing.T, change func(*dbus.Config)) *stage {
	t.Helper()
	uid := strconv.Itoa(os.Geteuid())
	d, err := daemon.New(daemon.Config{
		StateDir: filepath.Join(t.TempDir(), "state"), Owner: uid, Version: "test",
		Drivers:    map[tokens.Kind]tokens.Driver{tokens.KindSoft: soft.New(rand.Reader, soft.Cost{Memory: 8 << 10, Passes: 1, Lanes: 1})},
		ScryptLogN: 10, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, bus: busrig.Start(t, busrig.Options{}), daemon: d, me: ipc.Principal{UID: uid, Admin: true}}
	cfg := dbus.Config{Backend: d, Address: s.bus.Address, Identify: d.Identify, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&cfg)
	}
	s.server = dbus.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.server.Run(ctx) }()
	s.stop = func() { cancel(); <-done }
	t.Cleanup(func() {
		s.stop()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	s.await("the name", func() bool { return s.server.State() == "ok" })
	s.conn = s.connect()
	return s
}

// connect is another connection to the bus.
func (s *stage) connect() *godbus.Conn {
	s.t.Helper()
	c, err := godbus.Connect(s.bus.Address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *stage) await(what string, is func() bool) {
	s.t.Helper()
	for begin := time.Now(); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			s.t.Fatalf("%s did not come about", what)
		}
	}
}

// vault makes a vault with an account, and returns that.
func (s *stage) vault() ipc.Account {
	s.t.Helper()
	_, err := s.daemon.Init(context.Background(), s.me, ipc.InitRequest{Enroll: &ipc.EnrollRequest{Kind: "soft", PIN: ipc.Secret(passphrase)}})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.add(uri)
}

func (s *stage) add(uri string) ipc.Account {
	s.t.Helper()
	list, err := s.daemon.AddAccounts(context.Background(), s.me, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: ipc.Secret(uri), Class: "session"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return list.Accounts[0]
}

func (s *stage) object(path godbus.ObjectPath) godbus.BusObject {
	return s.conn.Object(dbus.Name, path)
}

func account(id string) godbus.ObjectPath { return dbus.Root + "/account/" + godbus.ObjectPath(id) }

// call calls a method with a limit of time.
func call(o godbus.BusObject, method string, args ...any) *godbus.Call {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return o.CallWithContext(ctx, method, 0, args...)
}

// failure is the name and the message of an error.
func failure(t *testing.T, c *godbus.Call) (name, message string) {
	t.Helper()
	var e godbus.Error
	if !errors.As(c.Err, &e) {
		t.Fatalf("%s: %v is no error of D-Bus", c.Method, c.Err)
	}
	if len(e.Body) != 1 {
		t.Errorf("%s: an error with %d arguments, of which clients of GLib show none", c.Method, len(e.Body))
	}
	if len(e.Body) > 0 {
		message, _ = e.Body[0].(string)
	}
	return e.Name, message
}

type options = map[string]godbus.Variant

func with(pairs ...any) options {
	o := options{}
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i].(string)] = godbus.MakeVariant(pairs[i+1])
	}
	return o
}

func TestCode(t *testing.T) {
	s := newStage(t, nil)
	a := s.vault()
	for _, c := range []struct {
		object godbus.ObjectPath
		method string
		args   []any
	}{
		{account(a.ID), accountName + ".GenerateCode", []any{options{}}},
		{account(a.ID), accountName + ".GenerateCode", []any{with("min_remaining", byte(1), "passive", true, "interaction", "none", "request", "Mine-1")}},
		{dbus.Root, managerName + ".GenerateCode", []any{"alice", options{}}},
		{dbus.Root, managerName + ".GenerateCode", []any{a.ID, with("min_remaining", int64(2))}},
	} {
		var code string
		var from, until int64
		var details options
		if err := call(s.object(c.object), c.method, c.args...).Store(&code, &from, &until, &details); err != nil {
			t.Errorf("%s: %v", c.method, err)
			continue
		}
		now := time.Now().Unix()
		if len(code) != 6 || until-from != 30 || from > now || until < now-1 || details["Account"].Value() != account(a.ID) ||
			details["Name"].Value() != "alice" || details["Issuer"].Value() != "Example" || details["Period"].Value() != uint32(30) {
			t.Errorf("%s: %s, %d to %d, %v", c.method, code, from, until, details)
		}
	}
	counted := s.add("otpauth://hotp/bob?secret=JBSWY3DPEHPK3PXP&counter=7")
	var code string
	var from, until int64
	var details options
	if err := call(s.object(account(counted.ID)), accountName+".GenerateCode", options{}).Store(&code, &from, &until, &details); err != nil {
		t.Fatal(err)
	}
	if from != 0 || until != 0 || details["Counter"].Value() != uint64(7) {
		t.Errorf("a counted code: %s, %d to %d, %v", code, from, until, details)
	}
}

// TestWrongCalls has each way to call wrongly, and the named error of each.
func TestWrongCalls(t *testing.T) {
	s := newStage(t, nil)
	a := s.vault()
	unnamed := dbus.Name + ".Error."
	long := strings.Repeat("x", 70<<10)
	var deep any = "bottom"
	for range 60 {
		deep = godbus.MakeVariant(deep)
	}
	for _, c := range []struct {
		what   string
		object godbus.ObjectPath
		method string
		args   []any
		want   string
	}{
		{"no argument", account(a.ID), accountName + ".GenerateCode", nil, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"another type", account(a.ID), accountName + ".GenerateCode", []any{"x"}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"one more", account(a.ID), accountName + ".GenerateCode", []any{options{}, "x"}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"an odd type", account(a.ID), accountName + ".Move", []any{[]byte{1}}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"a struct", account(a.ID), accountName + ".Move", []any{struct{ A, B string }{"a", "b"}}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"a long string", dbus.Root, managerName + ".Cancel", []any{long}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"variants in variants", account(a.ID), accountName + ".GenerateCode", []any{with("fresh", deep)}, "org.freedesktop.DBus.Error.InvalidArgs"},
		{"an option of another type", account(a.ID), accountName + ".GenerateCode", []any{with("fresh", "yes")}, unnamed + "InvalidArgument"},
		{"an unknown option", account(a.ID), accountName + ".GenerateCode", []any{with("fresher", true)}, unnamed + "InvalidArgument"},
		{"a request that is no name", account(a.ID), accountName + ".GenerateCode", []any{with("request", "a b")}, unnamed + "InvalidArgument"},
		{"an interaction that is none", account(a.ID), accountName + ".GenerateCode", []any{with("interaction", "psychic")}, unnamed + "InvalidArgument"},
		{"a number that is none", account(a.ID), accountName + ".GenerateCode", []any{with("min_remaining", 1.5)}, unnamed + "InvalidArgument"},
		{"a negative number", account(a.ID), accountName + ".GenerateCode", []any{with("min_remaining", int32(-1))}, unnamed + "InvalidArgument"},
		{"an unknown method", account(a.ID), accountName + ".Explode", nil, "org.freedesktop.DBus.Error.UnknownMethod"},
		{"an unknown interface", account(a.ID), "com.example.Explode", nil, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"another object's interface", account(a.ID), managerName + ".Status", nil, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"an object manager that is none", account(a.ID), manager + ".GetManagedObjects", nil, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"no such account", account("0000000000000001"), accountName + ".GenerateCode", []any{options{}}, "org.freedesktop.DBus.Error.UnknownObject"},
		{"an account by its name", account("alice"), accountName + ".GenerateCode", []any{options{}}, "org.freedesktop.DBus.Error.UnknownObject"},
		{"no account", account("_"), accountName + ".GenerateCode", []any{options{}}, "org.freedesktop.DBus.Error.UnknownObject"},
		{"no such token", dbus.Root + "/token/x", tokenName + ".Rename", []any{"x"}, "org.freedesktop.DBus.Error.UnknownObject"},
		{"no such path", "/com/example", "com.example.Explode", nil, "org.freedesktop.DBus.Error.UnknownObject"},
		{"below an object", dbus.Root + "/vault/x", vaultName + ".Lock", nil, "org.freedesktop.DBus.Error.UnknownObject"},
		{"the folder of accounts", dbus.Root + "/account", accountName + ".GenerateCode", []any{options{}}, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"no such name", dbus.Root, managerName + ".GenerateCode", []any{"nobody", options{}}, unnamed + "NotFound"},
		{"no such call", dbus.Root, managerName + ".Cancel", []any{"nothing"}, unnamed + "NotFound"},
		{"no such property", account(a.ID), properties + ".Get", []any{accountName, "Secret"}, "org.freedesktop.DBus.Error.UnknownProperty"},
		{"no such interface", account(a.ID), properties + ".GetAll", []any{"com.example"}, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"another's property", account(a.ID), properties + ".Get", []any{vaultName, "State"}, "org.freedesktop.DBus.Error.UnknownInterface"},
		{"a property to be set", account(a.ID), properties + ".Set", []any{accountName, "Name", godbus.MakeVariant("x")}, "org.freedesktop.DBus.Error.PropertyReadOnly"},
		{"a removal that is not meant", account(a.ID), accountName + ".Remove", []any{"yes"}, unnamed + "InvalidArgument"},
	} {
		name, message := failure(t, call(s.object(c.object), c.method, c.args...))
		if name != c.want || message == "" {
			t.Errorf("%s: %s %q, want %s", c.what, name, message, c.want)
		}
	}
	// A head that is too long is not answered, and harms nobody.
	s.conn.Object(dbus.Name, godbus.ObjectPath("/"+strings.Repeat("a/", 10<<10)+"a")).Go("com.example.X", godbus.FlagNoReplyExpected, nil)
	if err := call(s.object(account(a.ID)), accountName+".GenerateCode", options{}).Err; err != nil {
		t.Errorf("after all that: %v", err)
	}
	if s.server.State() != "ok" {
		t.Errorf("state: %s", s.server.State())
	}
}

// TestLockedVaultTellsNothing: while it is locked, an account that is there, one
// that is not, and what can be none answer the same.
func TestLockedVaultTellsNothing(t *testing.T) {
	s := newStage(t, nil)
	a := s.vault()
	if err := call(s.object(dbus.Root+"/vault"), vaultName+".Lock").Err; err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		method string
		args   []any
	}{
		{accountName + ".GenerateCode", []any{options{}}}, {accountName + ".Remove", []any{a.ID}}, {accountName + ".Nothing", nil},
		{properties + ".GetAll", []any{accountName}}, {"org.freedesktop.DBus.Introspectable.Introspect", nil},
	} {
		for _, path := range []godbus.ObjectPath{account(a.ID), account("0000000000000001"), account("_"), account("a_b"), account("alice")} {
			if name, message := failure(t, call(s.object(path), m.method, m.args...)); name != dbus.Name+".Error.VaultLocked" || message != "the vault is locked" {
				t.Errorf("%s at %s: %s %q", m.method, path, name, message)
			}
		}
	}
	var all map[godbus.ObjectPath]map[string]options
	if err := call(s.object(dbus.Root), manager+".GetManagedObjects").Store(&all); err != nil {
		t.Fatal(err)
	}
	for path := range all {
		if strings.Contains(string(path), "/account/") {
			t.Errorf("a locked vault shows %s", path)
		}
	}
	if state := all[dbus.Root+"/vault"][vaultName]["State"].Value(); state != "locked" {
		t.Errorf("state: %v", state)
	}
	// The software token wants its passphrase, which is not typed here.
	c := call(s.object(dbus.Root+"/vault"), vaultName+".Unlock", options{})
	if name, message := failure(t, c); name != dbus.Name+".Error.TokenPINRequired" || !strings.Contains(message, "software token") {
		t.Errorf("unlock: %v", c.Err)
	}
}

// TestChanges drives what changes accounts and tokens.
func TestChanges(t *testing.T) {
	s := newStage(t, nil)
	a := s.vault()
	b := s.add("otpauth://totp/bob?secret=JBSWY3DPEHPK3PXP")
	ok := func(path godbus.ObjectPath, method string, args ...any) *godbus.Call {
		t.Helper()
		c := call(s.object(path), method, args...)
		if c.Err != nil {
			t.Fatalf("%s: %v", method, c.Err)
		}
		return c
	}
	get := func(path godbus.ObjectPath, iface, name string) any {
		t.Helper()
		var v godbus.Variant
		if err := ok(path, properties+".Get", iface, name).Store(&v); err != nil {
			t.Fatal(err)
		}
		return v.Value()
	}
	ok(account(a.ID), accountName+".Edit", with("name", "carol", "note", "line\nline", "digits", uint16(8)))
	if name, digits := get(account(a.ID), accountName, "Name"), get(account(a.ID), "", "Digits"); name != "carol" || digits != uint32(8) {
		t.Errorf("edited: %v, %v", name, digits)
	}
	ok(account(b.ID), accountName+".Move", uint32(0))
	if order, _ := get(dbus.Root+"/vault", vaultName, "AccountOrder").([]godbus.ObjectPath); len(order) != 2 || order[0] != account(b.ID) {
		t.Errorf("order: %v", order)
	}
	var backups []string
	if err := ok(account(b.ID), accountName+".Remove", b.ID).Store(&backups); err != nil || len(backups) != 0 {
		t.Errorf("removed: %v, %v", backups, err)
	}
	if name, _ := failure(t, call(s.object(account(b.ID)), accountName+".GenerateCode", options{})); name != "org.freedesktop.DBus.Error.UnknownObject" {
		t.Errorf("a removed account: %s", name)
	}
	list, err := s.daemon.Tokens(context.Background(), s.me)
	if err != nil {
		t.Fatal(err)
	}
	token := dbus.Root + "/token/" + godbus.ObjectPath(list.Tokens[0].ID)
	ok(token, tokenName+".Rename", "my own")
	if label := get(token, tokenName, "Label"); label != "my own" {
		t.Errorf("label: %v", label)
	}
	if name, _ := failure(t, call(s.object(token), tokenName+".Test", options{})); name != dbus.Name+".Error.TokenPINRequired" {
		t.Errorf("test of a token with a passphrase: %s", name)
	}
	var status options
	var warnings []struct{ Code, Message, Fix string }
	if err := ok(dbus.Root, managerName+".Status").Store(&status, &warnings); err != nil || status["VaultState"].Value() != "unlocked" || len(warnings) == 0 {
		t.Errorf("status: %v %v %v", status, warnings, err)
	}
	var findings []struct{ Code, Level, Message, Fix string }
	if err := ok(dbus.Root, managerName+".Doctor").Store(&findings); err != nil || len(findings) == 0 {
		t.Errorf("doctor: %v %v", findings, err)
	}
}

// run runs a server until the test ends.
func run(t *testing.T, s *dbus.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// newServer serves the daemon of a stage once more.
func newServer(t *testing.T, s *stage) *dbus.Server {
	server := dbus.New(dbus.Config{Backend: s.daemon, Address: s.bus.Address, Identify: s.daemon.Identify})
	run(t, server)
	return server
}
