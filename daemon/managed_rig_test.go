package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/ipc"
)

const officeRules = `version = 1
[contact]
name = "IT helpdesk"
portal = "https://help.example.org"
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

type noAudit struct{}

func (noAudit) Audit(authority.Entry) {}

// office is an authority with one user, alice, who has the fob F1.
type office struct {
	*testing.T
	*issue.Issuer
	*clock
	desc  []byte
	count uint64
	alice string // her id
	// account is the office's id of the one that the last link is for.
	account string
}

func newOffice(t *testing.T, c *clock) *office {
	t.Helper()
	dir := t.TempDir()
	key := store.KeyFile(filepath.Join(dir, "key"))
	if err := key.Create(); err != nil {
		t.Fatal(err)
	}
	p, findings := policy.Parse([]byte(officeRules))
	if policy.Failed(findings) {
		t.Fatalf("%+v", findings)
	}
	o := &office{T: t, clock: c}
	now := c.clock().Now
	reg, err := authority.Create("owner", authority.Options{Dir: filepath.Join(dir, "authority"), Key: key, Audit: noAudit{}, Now: now,
		Wait: func(context.Context, time.Duration) error { return nil }}, authority.Profile{Name: "Example", Contact: "help@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Issuer, err = issue.New(issue.Options{Registry: reg, Audit: noAudit{}, Policy: func() *policy.Policy { return p }, Now: now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Issuer.Close(); _ = reg.Close() })
	if _, o.desc, err = o.Descriptor(nil); err != nil {
		t.Fatal(err)
	}
	u, err := reg.AddUser("owner", authority.User{Name: "alice"})
	if o.alice = u.ID; err == nil {
		_, err = reg.ImportFobs("owner", []authority.Seed{{Serial: "F1", Type: fob.HOTP, Secret: fobSeed()}})
	}
	if err == nil {
		_, err = reg.AssignFob("owner", "F1", "alice")
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func fobSeed() []byte { return []byte("98765432109876543210") }

// passcode is the fob's next.
func (o *office) passcode() string {
	o.Helper()
	v, err := otp.HOTP(fobSeed(), otp.Params{Type: otp.TypeHOTP}.WithDefaults(), o.count)
	if err != nil {
		o.Fatal(err)
	}
	o.count++
	return v.String()
}

func (o *office) link(account string) string {
	o.Helper()
	a, l, err := o.CreateActivation("owner", issue.NewActivation{User: "alice", Account: account,
		Endpoint: message.Endpoint{Socket: "/run/tokend/tokend.sock"}})
	if err != nil {
		o.Fatal(err)
	}
	o.account = a.Account
	uri, err := l.URI()
	if err != nil {
		o.Fatal(err)
	}
	return uri
}

// device is a daemon with a vault, whose messages are carried to an office.
type device struct {
	*office
	*daemon.Daemon
	name  string
	state string
	who   ipc.Principal
	// kills says that the daemon is killed before and after each answer.
	kills bool
}

func (o *office) device(name string) *device {
	o.Helper()
	v := &device{office: o, name: name, state: filepath.Join(o.TempDir(), "state"), who: caller("1000")}
	v.run()
	return v
}

func (v *device) run() {
	v.Helper()
	v.Daemon = start(v.T, func(cfg *daemon.Config) { cfg.Clock, cfg.StateDir = v.clock.clock(), v.state })
}

func (v *device) perhapsKilled() {
	v.Helper()
	if v.kills {
		v.killed()
	}
}

// killed goes on with the files as they are now, as if the daemon had been killed.
func (v *device) killed() {
	v.Helper()
	before := v.state
	v.state = filepath.Join(v.TempDir(), "state")
	err := os.CopyFS(v.state, os.DirFS(before))
	for range 10 { // a file that was renamed meanwhile
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		v.state = filepath.Join(v.TempDir(), "state")
		err = os.CopyFS(v.state, os.DirFS(before))
	}
	if err != nil {
		v.Fatal(err)
	}
	err = filepath.WalkDir(v.state, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		v.Fatal(err)
	}
	if err := v.Daemon.Close(); err != nil {
		v.Fatal(err)
	}
	v.run()
	v.unlock()
}

func (v *device) unlock() {
	v.Helper()
	if _, err := v.Unlock(v.T.Context(), v.who, ipc.UnlockRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}}); err != nil {
		v.Fatal(err)
	}
}

func (v *device) create() *device {
	v.Helper()
	initSoft(v.T, v.Daemon, v.who)
	return v
}

// restored is another device with a backup of this one.
func (v *device) restored(name string) *device {
	v.Helper()
	b, err := v.CreateBackup(v.T.Context(), v.who)
	if err != nil {
		v.Fatal(err)
	}
	head, err := v.Status(v.T.Context(), v.who)
	if err != nil {
		v.Fatal(err)
	}
	n := v.office.device(name)
	n.kills = v.kills
	if _, err := n.RestoreBackup(v.T.Context(), n.who, ipc.RestoreBackupRequest{Auth: ipc.Auth{RecoveryPassword: secretOf(recovery)}, Data: b.Data, Signer: head.Vault.Signer}); err != nil {
		v.Fatal(err)
	}
	return n
}

func (v *device) activation(link string) ipc.ActivateRequest {
	return ipc.ActivateRequest{Link: secretOf(link), Descriptor: v.desc, DeviceName: v.name}
}

func (v *device) begin(account string) (ipc.ManagedStep, error) {
	return v.Reactivate(v.T.Context(), v.who, account, ipc.ReactivateRequest{DeviceName: v.name})
}

func (v *device) try(conversation, factor, passcode string) (ipc.ManagedStep, error) {
	return v.GiveFactor(v.T.Context(), v.who, conversation, ipc.GiveFactorRequest{Factor: factor, Passcode: secretOf(passcode)})
}

// carry takes a step's request to the office and the answer back, both twice.
func (v *device) carry(s ipc.ManagedStep, err error) ipc.ManagedStep {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
	if len(s.Request) == 0 {
		v.Fatalf("nothing to carry: %+v", s)
	}
	v.perhapsKilled()
	if again := v.step(s.Conversation); !bytes.Equal(again.Request, s.Request) {
		v.Fatal("the request is another one after a kill")
	}
	answer, err := v.Serve(v.T.Context(), s.Request)
	if err != nil {
		v.Fatal(err)
	}
	if _, err := v.Serve(v.T.Context(), s.Request); err != nil {
		v.Fatal("the same request again: ", err)
	}
	out, err := v.TakeAnswer(v.T.Context(), v.who, ipc.TakeAnswerRequest{Message: answer})
	if err != nil {
		v.Fatal(err)
	}
	v.perhapsKilled()
	generation, entries := state(v.T, v.Daemon, v.who).Generation, len(v.audited())
	again, err := v.TakeAnswer(v.T.Context(), v.who, ipc.TakeAnswerRequest{Message: answer})
	if err != nil || again.Phase != out.Phase || !bytes.Equal(again.Request, out.Request) || len(again.Changed) > 0 {
		v.Fatalf("the same answer again: %+v, %v", again, err)
	}
	if g := state(v.T, v.Daemon, v.who).Generation; g != generation || len(v.audited()) != entries {
		v.Fatal("an answer that came before has left something")
	}
	return out
}

// step is how far a conversation is.
func (v *device) step(conversation string) ipc.ManagedStep {
	v.Helper()
	list, err := v.Conversations(v.T.Context(), v.who)
	if err != nil {
		v.Fatal(err)
	}
	at := slices.IndexFunc(list.Steps, func(s ipc.ManagedStep) bool { return s.Conversation == conversation })
	if at < 0 {
		v.Fatalf("no conversation %s", conversation)
	}
	return list.Steps[at]
}

func (v *device) expect(p ipc.ManagedPhase, s ipc.ManagedStep) ipc.ManagedStep {
	v.Helper()
	if s.Phase != p {
		v.Fatalf("%s, not %s: %+v", s.Phase, p, s.Refused)
	}
	return s
}

// activate gives the device a managed account.
func (v *device) activate(account string) ipc.AccountRef {
	v.Helper()
	step := v.expect(ipc.PhaseProving, v.carry(v.Activate(v.T.Context(), v.who, v.activation(v.link(account)))))
	done := v.expect(ipc.PhaseDone, v.carry(step, nil))
	if done.Account == nil || len(done.Changed) != 1 || done.Changed[0] != *done.Account {
		v.Fatalf("%+v", done)
	}
	return *done.Account
}

// logsIn says whether the device's code is good at the office.
func (v *device) logsIn(account string) bool {
	v.Helper()
	v.pass(time.Minute)
	code, err := v.Code(v.T.Context(), v.who, account, ipc.CodeRequest{})
	if ipc.KindOf(err) == ipc.AccountInactive {
		return false
	}
	if err != nil {
		v.Fatal(err)
	}
	verdict, err := v.VerifyManaged(v.T.Context(), issue.Login{Service: "vpn", User: "alice", Code: []byte(code.Code)})
	if err != nil {
		v.Fatal(err)
	}
	if !verdict.Accepted {
		v.pass(5 * time.Minute) // the throttle
	}
	return verdict.Accepted
}

// audited are the entries of the audit, as "action object detail".
func (v *device) audited() (out []string) {
	v.Helper()
	log, err := v.Audit(v.T.Context(), v.who)
	if err != nil || !log.Intact {
		v.Fatalf("intact: %v, %v", log.Intact, err)
	}
	for _, e := range log.Entries {
		out = append(out, e.Action+" "+e.Object+" "+e.Detail)
	}
	return out
}
