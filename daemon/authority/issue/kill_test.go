package issue

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

const killMark = "ISSUE_TEST_KILLED"

type silent struct{}

func (silent) Audit(authority.Entry) {}

// deviceLife is what the devices of TestKill keep on disk: it is written before a
// request leaves and after an answer came.
type deviceLife struct {
	Now     int64 // the clock of both sides, in seconds
	Back    []byte
	Account string
	Counter uint64 // the fob's next passcode
	// Devices are seeds of keys; the last one is reactivating.
	Seeds   [][]byte
	Secrets map[int][]byte // by device: the secret that the device has
	Step    string         // of the last: "begin", "factor", "proof"
	Sealed  []byte         // its request, sent or not
	Pending *message.Pending
	Answer  message.Hash
}

func (l *deviceLife) path(dir string) string { return filepath.Join(dir, "device.json") }

func (l *deviceLife) save(dir string) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.path(dir)+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(l.path(dir)+".new", l.path(dir))
}

func (l *deviceLife) load(dir string) error {
	raw, err := os.ReadFile(l.path(dir))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, l)
}

// killRig is one side's run of the other's life.
type killRig struct {
	dir  string
	life *deviceLife
	reg  *authority.Authority
	i    *Issuer
	d    *message.Descriptor
}

func openKill(dir string) (*killRig, error) {
	k := &killRig{dir: dir, life: &deviceLife{}}
	if err := k.life.load(dir); err != nil {
		return nil, err
	}
	p, findings := policy.Parse([]byte(usual))
	if policy.Failed(findings) {
		return nil, errors.New("the policy is wrong")
	}
	o := killOptions(dir)
	o.Now = k.now
	var err error
	if k.reg, err = authority.Open(o); err != nil {
		return nil, err
	}
	if k.i, err = New(Options{Registry: k.reg, Audit: silent{}, Policy: func() *policy.Policy { return p }, Now: k.now}); err != nil {
		return nil, err
	}
	k.d, _, err = k.i.Descriptor(nil)
	return k, err
}

func killOptions(dir string) authority.Options {
	return authority.Options{
		Dir: filepath.Join(dir, "authority"), Key: store.KeyFile(filepath.Join(dir, "key")), Audit: silent{},
		Wait: func(context.Context, time.Duration) error { return nil },
	}
}

func (k *killRig) now() time.Time { return time.Unix(k.life.Now, 0) }

func (k *killRig) keys() message.Keys {
	keys, err := message.KeysOf(k.life.Seeds[len(k.life.Seeds)-1])
	if err != nil {
		panic(err)
	}
	return keys
}

// prepare makes the next request and keeps it.
func (k *killRig) prepare(step string, b message.RequestBody, first bool) error {
	before, after := k.life.Pending, k.life.Answer
	if first {
		before, after = nil, message.Hash{}
	}
	q, err := message.NewRequest(b, k.life.Account, before, after, k.now(), message.MaxInteractive, false, rand.Reader)
	if err != nil {
		return err
	}
	if k.life.Sealed, k.life.Pending, err = q.Seal(k.keys(), ed25519.PrivateKey(k.life.Back), k.d); err != nil {
		return err
	}
	k.life.Step = step
	return k.life.save(k.dir)
}

// send sends the request that is kept, and keeps what came of it.
func (k *killRig) send() error {
	answer, err := k.i.Serve(context.Background(), k.life.Sealed)
	if err != nil {
		return err
	}
	r, err := k.life.Pending.Open(answer, k.keys(), k.now())
	if err != nil {
		return err
	}
	k.life.Answer = message.AnswerHash(answer)
	switch r := r.(type) {
	case *message.Offer:
		return k.prepare("factor", &message.Factor{Factor: "fob", Passcode: message.Secret(hotp("K", k.life.Counter))}, false)
	case *message.NewSecret:
		// One write of a short line is not torn.
		fmt.Fprintf(os.Stdout, "K %d %s\n", k.life.Counter, k.life.Pending.Conversation)
		k.life.Secrets[len(k.life.Seeds)-1] = r.Secret
		k.life.Counter++
		return k.prepare("proof", &message.Proof{Code: totpOf(r.Secret, k.now())}, false)
	case *message.Done:
		fmt.Fprintln(os.Stdout, "K done")
		return k.another()
	case *message.Refused:
		if r.Code == codeCode { // made before the kill
			return k.prepare("proof", &message.Proof{Code: totpOf(k.life.Secrets[len(k.life.Seeds)-1], k.now())}, false)
		}
		return fmt.Errorf("refused at %s: %+v", k.life.Step, r)
	}
	return fmt.Errorf("%T", r)
}

// another goes on with a new device that has the backup. Of those before, the last
// one has the account.
func (k *killRig) another() error {
	seed := make([]byte, 64)
	_, _ = rand.Read(seed)
	k.life.Seeds = append(k.life.Seeds, seed)
	k.life.Now += 60
	return k.prepare("begin", &message.Begin{DeviceName: "device", Restored: true}, true)
}

func totpOf(secret []byte, now time.Time) message.Secret {
	c, err := otp.TOTP(secret, otp.Params{Type: otp.TypeTOTP, Algorithm: otp.SHA1, Digits: 6, Period: 30}, now)
	if err != nil {
		panic(err)
	}
	return message.Secret(c.Value.String())
}

// somebody says whether one of the last devices logs in with what it has on disk.
func (k *killRig) somebody() error {
	k.life.Now += 60
	if err := k.life.save(k.dir); err != nil {
		return err
	}
	at := k.now()
	for n := len(k.life.Seeds) - 1; n >= max(0, len(k.life.Seeds)-3); n-- {
		secret := k.life.Secrets[n]
		if secret == nil {
			continue
		}
		v, err := k.i.VerifyManaged(context.Background(), Login{Service: fmt.Sprintf("s%d-%d", at.Unix(), n), User: "alice", Account: "vpn", Code: totpOf(secret, at)})
		if err != nil || v.Accepted {
			return err
		}
	}
	return errors.New("no device has a secret that works")
}

// TestKilledChild is the process that TestKill kills. It brings the account back
// on one device after the other, going on where the process before was killed.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killMark)
	if dir == "" {
		return // TestKill runs it
	}
	k, err := openKill(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.somebody(); err != nil {
		t.Fatal(err)
	}
	for {
		if err := k.send(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKill kills a process that reactivates, 200 times at any moment. The request
// that was on its way is sent again: no passcode is good for two conversations,
// no reactivation is lost, and at every start one of the devices has a secret that
// works.
func TestKill(t *testing.T) {
	const kills = 200
	dir := t.TempDir()
	startKill(t, dir)
	seen := map[string]string{}
	done := 0
	r := mrand.New(mrand.NewPCG(1, 9))
	for n := range kills {
		for _, line := range killOnce(t, dir, r) {
			words := strings.Fields(line)
			if len(words) == 2 {
				done++
				continue
			}
			if first, twice := seen[words[1]]; twice && first != words[2] {
				t.Fatalf("kill %d: passcode %s was good for two conversations", n, words[1])
			}
			seen[words[1]] = words[2]
		}
	}
	t.Logf("%d reactivations over %d kills", done, kills)
	if done < kills/8 {
		t.Errorf("only %d reactivations", done)
	}
	k, err := openKill(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { k.i.Close(); _ = k.reg.Close() }()
	if err := k.somebody(); err != nil {
		t.Fatal(err)
	}
	accounts, err := k.i.Accounts("alice")
	if err != nil || len(accounts) != 1 {
		t.Fatal(accounts, err)
	}
	active := 0
	for _, d := range accounts[0].Devices {
		if d.State == Active {
			active++
		}
	}
	if active != 1 {
		t.Errorf("%d devices are active", active)
	}
}

// startKill makes an authority and a device with an account.
func startKill(t *testing.T, dir string) {
	t.Helper()
	r := newRig(t)
	d := r.device("first")
	if err := store.KeyFile(filepath.Join(dir, "key")).Create(); err != nil {
		t.Fatal(err)
	}
	o := killOptions(dir)
	life := &deviceLife{Now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).Unix(), Secrets: map[int][]byte{}}
	o.Now = func() time.Time { return time.Unix(life.Now, 0) }
	reg, err := authority.Create("owner", o, authority.Profile{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	i, err := New(Options{Registry: reg, Audit: silent{}, Policy: func() *policy.Policy { return r.rules }, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	r.Issuer.Close()
	_ = r.reg.Close()
	r.Issuer, r.reg, r.clock.now = i, reg, o.Now()
	if r.d, _, err = i.Descriptor(nil); err != nil {
		t.Fatal(err)
	}
	seed := make([]byte, 64)
	_, _ = rand.Read(seed)
	if d.keys, err = message.KeysOf(seed); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.ImportFobs("owner", []authority.Seed{{Serial: "K", Type: fob.HOTP, Secret: seedOf("K").Secret}}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.AddUser("owner", authority.User{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.AssignFob("owner", "K", "alice"); err != nil {
		t.Fatal(err)
	}
	expect[*message.NewSecret](d, activation(d, r.link("alice", "vpn")), true)
	expect[*message.Done](d, d.proof(), false)
	life.Back, life.Account, life.Seeds, life.Secrets[0] = d.back, d.account, [][]byte{seed}, d.secret.Secret
	k := &killRig{dir: dir, life: life, reg: reg, i: i, d: r.d}
	if err := k.another(); err != nil {
		t.Fatal(err)
	}
	i.Close()
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
}

// killOnce runs the child until it has got some answers, and a moment longer.
func killOnce(t *testing.T, dir string, r *mrand.Rand) (said []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killMark+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	some := 1 + r.IntN(2)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "K") {
			t.Errorf("the process says %q", line)
			continue
		}
		said = append(said, line)
		if len(said) == some {
			moment := time.Duration(r.IntN(30000)) * time.Microsecond
			time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
		}
	}
	if len(said) < some {
		t.Fatalf("the process ended after %d", len(said))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return said
}
