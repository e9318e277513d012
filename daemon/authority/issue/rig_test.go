package issue

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// journal is an Auditor that keeps what it is told.
type journal struct {
	mu      sync.Mutex
	entries []authority.Entry
}

func (j *journal) Audit(e authority.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

func (j *journal) all(kind string) (out []authority.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

// clock is a wall clock that stands still, and notes how long somebody waited.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) Wait(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	return nil
}

func (c *clock) waits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waited)
}

type rig struct {
	testing.TB
	*Issuer
	reg   *authority.Authority
	o     authority.Options
	clock *clock
	told  *journal
	rules *policy.Policy
	// elsewhere are the remote verifiers, patience how long a request waits for them.
	elsewhere map[policy.Verifier]remote.Verifier
	patience  time.Duration
	d         *message.Descriptor
	count     uint64 // of the next passcode of each fob
	alice     authority.User
}

const contact = "[contact]\nname = \"IT helpdesk\"\nphone = \"+41 44 000 00 00\"\nportal = \"https://help.example.org\"\n"

const usual = "version = 1\n" + contact + `
[reactivation]
allow = ["fob", "security_key", "other_device", "bypass_code", "sms"]
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

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	keyFile := store.KeyFile(filepath.Join(dir, "key"))
	if err := keyFile.Create(); err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, clock: &clock{now: time.Date(2026, 11, 28, 12, 0, 10, 0, time.UTC)}, told: &journal{}}
	r.policyIs(usual)
	r.o = authority.Options{Dir: filepath.Join(dir, "authority"), Key: keyFile, Audit: r.told, Now: r.clock.Now, Wait: r.clock.Wait}
	var err error
	if r.reg, err = authority.Create("owner", r.o, authority.Profile{Name: "Example", Contact: "help@example.org", Portal: "https://example.org/2fa"}); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() { r.Issuer.Close(); _ = r.reg.Close() })
	r.alice = r.user("alice", "F1")
	return r
}

func (r *rig) policyIs(text string) {
	r.Helper()
	p, findings := policy.Parse([]byte(text))
	if policy.Failed(findings) {
		r.Fatalf("%+v", findings)
	}
	r.rules = p
}

func (r *rig) start() {
	r.Helper()
	var err error
	r.Issuer, err = New(Options{Registry: r.reg, Audit: r.told, Policy: func() *policy.Policy { return r.rules }, Now: r.clock.Now,
		Remote: func(v policy.Verifier) remote.Verifier { return r.elsewhere[v] }, Patience: r.patience})
	if err != nil {
		r.Fatal(err)
	}
	if r.d, _, err = r.Descriptor(nil); err != nil {
		r.Fatal(err)
	}
}

// reopen is what a crash leaves: the file.
func (r *rig) reopen() {
	r.Helper()
	r.Issuer.Close()
	if err := r.reg.Close(); err != nil {
		r.Fatal(err)
	}
	var err error
	if r.reg, err = authority.Open(r.o); err != nil {
		r.Fatal(err)
	}
	r.start()
}

func seedOf(serial string) authority.Seed {
	return authority.Seed{Serial: serial, Type: fob.HOTP, Secret: []byte(fmt.Sprintf("%-20.20s", "secret of "+serial))}
}

func (r *rig) user(name string, serials ...string) authority.User {
	r.Helper()
	u, err := r.reg.AddUser("owner", authority.User{Name: name})
	if err != nil {
		r.Fatal(err)
	}
	for _, s := range serials {
		if _, err := r.reg.ImportFobs("owner", []authority.Seed{seedOf(s)}); err != nil {
			r.Fatal(err)
		}
		if _, err := r.reg.AssignFob("owner", s, name); err != nil {
			r.Fatal(err)
		}
	}
	return u
}

func hotp(serial string, counter uint64) string {
	v, err := otp.HOTP(seedOf(serial).Secret, otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: 6}, counter)
	if err != nil {
		panic(err)
	}
	return v.String()
}

// passcode is the next one of a fob.
func (r *rig) passcode(serial string) message.Secret {
	r.count++
	return message.Secret(hotp(serial, r.count-1))
}

// device is the other side.
type device struct {
	r       *rig
	name    string
	keys    message.Keys
	account string
	back    ed25519.PrivateKey // the reactivation key
	secret  *message.NewSecret

	before *message.Pending
	after  message.Hash
	sealed []byte // the last request
	answer []byte
	files  bool
}

func (r *rig) device(name string) *device {
	r.Helper()
	k, err := message.NewKeys(rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	_, back, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	return &device{r: r, name: name, keys: k, back: back}
}

// restored is another device with the backup of this one.
func (d *device) restored(name string) *device {
	d.r.Helper()
	n := d.r.device(name)
	n.account, n.back = d.account, d.back
	return n
}

func (d *device) id() string { return d.keys.Public().DeviceID().String() }

// seal makes the next request, or with first one that begins a conversation.
func (d *device) seal(b message.RequestBody, first bool) {
	d.r.Helper()
	if first {
		d.before, d.after = nil, message.Hash{}
	}
	var signer ed25519.PrivateKey
	account := ""
	switch b.(type) {
	case *message.Begin, *message.Factor, *message.Proof:
		signer, account = d.back, d.account
	}
	life := message.MaxInteractive
	if d.files {
		life = message.MaxFiles
	}
	q, err := message.NewRequest(b, account, d.before, d.after, d.r.clock.Now(), life, d.files, rand.Reader)
	if err != nil {
		d.r.Fatal(err)
	}
	if d.sealed, d.before, err = q.Seal(d.keys, signer, d.r.d); err != nil {
		d.r.Fatal(err)
	}
}

// open opens the answer to the last request.
func (d *device) open(answer []byte) message.Result {
	d.r.Helper()
	res, err := d.before.Open(answer, d.keys, d.r.clock.Now())
	if err != nil {
		d.r.Fatal(err)
	}
	d.answer, d.after = answer, message.AnswerHash(answer)
	if s, ok := res.(*message.NewSecret); ok {
		d.secret, d.account = s, s.Account
	}
	return res
}

func (d *device) say(b message.RequestBody, first bool) message.Result {
	d.r.Helper()
	d.seal(b, first)
	answer, err := d.r.Serve(d.r.Context(), d.sealed)
	if err != nil {
		d.r.Fatal(err)
	}
	return d.open(answer)
}

// expect is say where one kind of answer is wanted.
func expect[T message.Result](d *device, b message.RequestBody, first bool) T {
	d.r.Helper()
	res := d.say(b, first)
	got, ok := res.(T)
	if !ok {
		d.r.Fatalf("%T: %+v", res, res)
	}
	return got
}

func (d *device) refused(b message.RequestBody, first bool, code string) *message.Refused {
	d.r.Helper()
	before := d.r.clock.waits()
	res := expect[*message.Refused](d, b, first)
	if res.Code != code {
		d.r.Fatalf("%+v, not %s", res, code)
	}
	if d.r.clock.waits() == before {
		d.r.Error("answered before the deadline")
	}
	return res
}

func (d *device) begin(restored bool) message.RequestBody {
	return &message.Begin{DeviceName: d.name, Restored: restored}
}

func activation(d *device, l message.Link) *message.Activate {
	return &message.Activate{Activation: l.Activation, Secret: slices.Clone(l.Secret), DeviceName: d.name, Reactivation: [32]byte(d.back.Public().(ed25519.PublicKey))}
}

func factor(f string, passcode message.Secret) message.RequestBody {
	return &message.Factor{Factor: f, Passcode: passcode}
}

// code is what the device's secret makes now.
func (d *device) code() message.Secret {
	d.r.Helper()
	c, err := otp.TOTP(d.secret.Secret, otp.Params{Type: otp.TypeTOTP, Algorithm: otp.Algorithm(d.secret.Algorithm), Digits: d.secret.Digits, Period: d.secret.Period}, d.r.clock.Now())
	if err != nil {
		d.r.Fatal(err)
	}
	return message.Secret(c.Value.String())
}

func (d *device) proof() message.RequestBody { return &message.Proof{Code: d.code()} }

func (r *rig) link(user, account string) message.Link {
	r.Helper()
	_, l, err := r.CreateActivation("owner", NewActivation{User: user, Account: account, Endpoint: message.Endpoint{Socket: "/run/tokend/tokend.sock"}})
	if err != nil {
		r.Fatal(err)
	}
	return l
}

// active is a device with an account that works.
func (r *rig) active(name, user, account string) *device {
	r.Helper()
	d := r.device(name)
	expect[*message.NewSecret](d, activation(d, r.link(user, account)), true)
	expect[*message.Done](d, d.proof(), false)
	r.clock.pass(time.Minute)
	return d
}

// logsIn says whether the device's codes are good for logging in, and waits until
// the next can be.
func (d *device) logsIn() bool {
	d.r.Helper()
	d.r.clock.pass(time.Minute)
	v, err := d.r.VerifyManaged(d.r.Context(), Login{Service: "vpn", User: "alice", Account: d.account, Code: d.code()})
	if err != nil {
		d.r.Fatal(err)
	}
	if v.Accepted && v.Device != d.id() {
		d.r.Fatalf("%+v", v)
	}
	if !v.Accepted {
		d.r.clock.pass(20 * time.Minute) // the throttle
	}
	return v.Accepted
}

// talksOf is how many conversations are remembered of a user.
func (r *rig) talksOf(user string) (n int, err error) {
	err = r.store.View(func(tx *store.Tx) error {
		p, err := portfolioOf(tx, user)
		n = len(p.Talks)
		stored := 0
		err = errors.Join(err, tx.Each(conversationsBucket, nil, func([]byte, func(any) error) (bool, error) { stored++; return true, nil }))
		if stored != n {
			return fmt.Errorf("%d conversations are stored and %d known", stored, n)
		}
		return err
	})
	return n, err
}
