package managed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/daemon/vault"
)

const rules = `version = 1
[contact]
name = "IT helpdesk"
phone = "+41 44 000 00 00"
portal = "https://help.example.org"
[reactivation]
allow = ["fob", "other_device", "bypass_code", "sms"]
after_restore = "allowed"
old_device = "revoke"
[help]
for_user = ["admin"]
[verifiers]
fob = ["local"]
[[rule]]
name = "no-sms-no-calls"
everybody = true
deny = ["sms", "phone_call"]
because = "numbers can be taken over"
`

const password = "a recovery password of this test"

type silent struct{}

func (silent) Audit(authority.Entry) {}

// site is an authority with one user, alice, and her fob F1.
type site struct {
	testing.TB
	*issue.Issuer
	reg   *authority.Authority
	now   time.Time
	desc  []byte
	count uint64
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	key := store.KeyFile(filepath.Join(dir, "key"))
	if err := key.Create(); err != nil {
		t.Fatal(err)
	}
	p, findings := policy.Parse([]byte(rules))
	if policy.Failed(findings) {
		t.Fatalf("%+v", findings)
	}
	s := &site{TB: t, now: time.Date(2026, 11, 28, 12, 0, 10, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	var err error
	s.reg, err = authority.Create("owner", authority.Options{Dir: filepath.Join(dir, "authority"), Key: key, Audit: silent{}, Now: clock,
		Wait: func(context.Context, time.Duration) error { return nil }}, authority.Profile{Name: "Example", Contact: "help@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Issuer, err = issue.New(issue.Options{Registry: s.reg, Audit: silent{}, Policy: func() *policy.Policy { return p }, Now: clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Issuer.Close(); _ = s.reg.Close() })
	if _, s.desc, err = s.Descriptor(nil); err != nil {
		t.Fatal(err)
	}
	_, err = s.reg.AddUser("owner", authority.User{Name: "alice"})
	if err == nil {
		_, err = s.reg.ImportFobs("owner", []authority.Seed{{Serial: "F1", Type: fob.HOTP, Secret: seed()}})
	}
	if err == nil {
		_, err = s.reg.AssignFob("owner", "F1", "alice")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seed() []byte { return []byte("12345678901234567890") }

func (s *site) passcode() []byte {
	s.Helper()
	v, err := otp.HOTP(seed(), otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: 6}, s.count)
	if err != nil {
		s.Fatal(err)
	}
	s.count++
	return []byte(v.String())
}

func (s *site) link(account string) *message.Link {
	s.Helper()
	_, l, err := s.CreateActivation("owner", issue.NewActivation{User: "alice", Account: account,
		Endpoint: message.Endpoint{Socket: "/run/tokend/tokend.sock"}})
	if err != nil {
		s.Fatal(err)
	}
	return &l
}

// machine is a device: a vault in a folder.
type machine struct {
	*site
	*Device
	name  string
	store *vault.Store
	opt   vault.Options
}

func (s *site) machine(name string) *machine {
	s.Helper()
	dir := s.TempDir()
	m := &machine{site: s, name: name, opt: vault.Options{Dir: filepath.Join(dir, "vault"), PinFile: filepath.Join(dir, "pins", "1.json"),
		Now: func() time.Time { return s.now }, ScryptLogN: 10}}
	m.open()
	s.Cleanup(func() { _ = m.store.Close() })
	return m
}

func (m *machine) open() {
	m.Helper()
	var err error
	if m.store, err = vault.OpenStore(m.opt); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) use(v *vault.Vault, err error) *machine {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
	m.Device = &Device{Vault: v, Now: func() time.Time { return m.site.now }}
	return m
}

func way() vault.Way { return vault.Way{Password: []byte(password)} }

func (m *machine) create() *machine {
	m.Helper()
	return m.use(m.store.Create(m.Context(), nil, []byte(password)))
}

// restored is another machine with the newest backup of this one.
func (m *machine) restored(name string) *machine {
	m.Helper()
	backup, info, err := m.store.Backup()
	if err != nil {
		m.Fatal(err)
	}
	n := m.site.machine(name)
	return n.use(n.store.Restore(m.Context(), backup, way(), info.Signer))
}

// killed is what a crash leaves: the files.
func (m *machine) killed() {
	m.Helper()
	m.Vault.Lock()
	if err := m.store.Close(); err != nil {
		m.Fatal(err)
	}
	m.open()
	m.use(m.store.Unlock(m.Context(), way()))
}

func (m *machine) asking() Asking { return Asking{Name: m.name} }

// carry takes a step's request to the authority, twice, and the answer back,
// twice, with a crash wherever there can be one.
func (m *machine) carry(s Step, err error) Step {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
	if s.Request == nil {
		m.Fatalf("nothing to carry: %+v", s)
	}
	m.killed()
	if again := m.step(s.Conversation); !bytes.Equal(again.Request, s.Request) {
		m.Fatal("the request is another one after a crash")
	}
	answer, err := m.Serve(m.Context(), s.Request)
	if err != nil {
		m.Fatal(err)
	}
	if again, err := m.Serve(m.Context(), s.Request); err != nil || s.Phase != Asked && !bytes.Equal(again, answer) {
		m.Fatal("another answer the second time: ", err)
	}
	out, err := m.Receive(m.Context(), answer)
	if err != nil {
		m.Fatal(err)
	}
	m.killed()
	generation := m.Vault.Generation()
	again, err := m.Receive(m.Context(), answer)
	if err != nil || again.Phase != out.Phase || !bytes.Equal(again.Request, out.Request) || m.Vault.Generation() != generation {
		m.Fatalf("the second time: %+v, %v", again, err)
	}
	return out
}

func (m *machine) step(conversation string) Step {
	m.Helper()
	list, err := m.List()
	if err != nil {
		m.Fatal(err)
	}
	at := slices.IndexFunc(list, func(s Step) bool { return s.Conversation == conversation })
	if at < 0 {
		m.Fatalf("no conversation %s", conversation)
	}
	return list[at]
}

func (m *machine) expect(p Phase, s Step) Step {
	m.Helper()
	if s.Phase != p {
		m.Fatalf("%s, not %s: %+v", s.Phase, p, s.Refused)
	}
	return s
}

// activated is a machine with an account that works.
func (s *site) activated(name, account string) *machine {
	s.Helper()
	m := s.machine(name).create()
	return m.activate(account)
}

func (m *machine) activate(account string) *machine {
	m.Helper()
	step := m.expect(Proving, m.carry(m.Activate(m.Context(), m.link(account), m.desc, m.asking())))
	if done := m.expect(Done, m.carry(step, nil)); done.Account == "" {
		m.Fatalf("%+v", done)
	}
	return m
}

func (m *machine) only() vault.Account {
	m.Helper()
	list := m.Vault.Accounts()
	if len(list) != 1 {
		m.Fatalf("%d accounts", len(list))
	}
	return list[0]
}

func (m *machine) code() (code string, err error) {
	a := m.only()
	err = m.Vault.Use(m.Context(), a.ID, vault.Way{}, func(key []byte) error {
		c, err := otp.TOTP(key, otp.Params{Type: otp.TypeTOTP, Algorithm: otp.Algorithm(a.Algorithm), Digits: a.Digits, Period: a.Period}, m.site.now)
		code = c.Value.String()
		return err
	})
	return code, err
}

// logsIn says whether the machine's code is good at the authority.
func (m *machine) logsIn() bool {
	m.Helper()
	m.site.now = m.site.now.Add(time.Minute)
	code, err := m.code()
	if errors.Is(err, vault.ErrNoSecret) {
		return false
	}
	if err != nil {
		m.Fatal(err)
	}
	v, err := m.VerifyManaged(m.Context(), issue.Login{Service: "vpn", User: "alice", Code: []byte(code)})
	if err != nil {
		m.Fatal(fmt.Errorf("verify: %w", err))
	}
	if !v.Accepted {
		m.site.now = m.site.now.Add(16 * time.Minute) // the throttle
	}
	return v.Accepted
}
