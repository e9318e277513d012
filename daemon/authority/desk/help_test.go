package desk_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/softkey"
)

// laptop is a device that speaks to a desk.
type laptop struct {
	*testing.T
	b      *bench
	keys   message.Keys
	back   ed25519.PrivateKey // the account's reactivation key
	d      *message.Descriptor
	before *message.Pending
	after  message.Hash
	from   ipc.Principal
}

func newLaptop(t *testing.T, b *bench, from ipc.Principal) *laptop {
	t.Helper()
	l := &laptop{T: t, b: b, from: from}
	var err error
	if l.keys, err = message.NewKeys(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, l.back, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	told, err := b.AuthorityDescriptor(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if l.d, err = message.ParseDescriptor(told.Descriptor); err != nil || l.d.Fingerprint() != told.Fingerprint {
		t.Fatal(told, err)
	}
	return l
}

// code is what the device shows for a secret that it was given.
func (l *laptop) code(s *message.NewSecret) string {
	l.Helper()
	c, err := otp.TOTP(s.Secret, otp.Params{Type: otp.TypeTOTP, Algorithm: otp.Algorithm(s.Algorithm), Digits: s.Digits, Period: s.Period}, l.b.clock.Now())
	if err != nil {
		l.Fatal(err)
	}
	return c.Value.String()
}

func (l *laptop) say(body message.RequestBody, account string) message.Result {
	l.Helper()
	var signer ed25519.PrivateKey
	if account != "" {
		signer = l.back
	}
	q, err := message.NewRequest(body, account, l.before, l.after, l.b.clock.Now(), message.MaxInteractive, false, rand.Reader)
	if err != nil {
		l.Fatal(err)
	}
	sealed, pending, err := q.Seal(l.keys, signer, l.d)
	if err != nil {
		l.Fatal(err)
	}
	a, err := l.b.AuthorityMessage(l.Context(), l.from, ipc.AuthorityMessage{Message: sealed})
	if err != nil {
		l.Fatal(err)
	}
	res, err := pending.Open(a.Message, l.keys, l.b.clock.Now())
	if err != nil {
		l.Fatal(err)
	}
	l.before, l.after = pending, message.AnswerHash(a.Message)
	return res
}

// activate uses a link.
func (l *laptop) activate(uri ipc.Secret) *message.NewSecret {
	l.Helper()
	link, err := message.ParseLink(string(uri))
	if err != nil {
		l.Fatal(err)
	}
	if err := link.Check(l.d, l.b.clock.Now()); err != nil {
		l.Fatal(err)
	}
	res := l.say(&message.Activate{Activation: link.Activation, Secret: slices.Clone(link.Secret), DeviceName: "laptop",
		Reactivation: [32]byte(l.back.Public().(ed25519.PublicKey))}, "")
	s, ok := res.(*message.NewSecret)
	if !ok {
		l.Fatalf("%T %+v", res, res)
	}
	if res, ok := l.say(&message.Proof{Code: message.Secret(l.code(s))}, s.Account).(*message.Done); !ok {
		l.Fatalf("%T %+v", res, res)
	}
	return s
}

// TestManagedAccount: the helpdesk makes a link, a stranger's process carries the
// messages, and what came of it is in the lists, the explanation and the audit.
func TestManagedAccount(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	made, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	if made.Activation.By != b.ids["helpdesk"] || made.Activation.State != ipc.CodeOpen || made.Endpoint != "help.example.org:7443" {
		t.Errorf("%+v", made)
	}
	laptop := newLaptop(t, b, as("stranger"))
	b.verifiesManaged(laptop, laptop.activate(made.Link))
	here, err := b.CreateActivation(ctx, as("admin"), ipc.NewActivation{User: "bob", Account: "vpn", Local: true, ValidSeconds: 60})
	if err != nil || here.Endpoint != "/run/tokend/tokend.sock" || here.Activation.AccountID != made.Activation.AccountID {
		t.Errorf("%+v, %v", here, err)
	}
	if got := here.Activation.Expires.Sub(here.Activation.Created); got != time.Minute {
		t.Errorf("good for %v", got)
	}
	if a, err := b.RevokeActivation(ctx, as("helpdesk"), here.Activation.ID); err != nil || a.State != ipc.CodeRevoked {
		t.Errorf("%+v, %v", a, err)
	}
	list, err := b.Activations(ctx, as("helpdesk"), ipc.UserRef{User: "bob"})
	if err != nil || len(list.Activations) != 2 || list.Activations[0].State != ipc.CodeUsed {
		t.Errorf("%+v, %v", list, err)
	}
	devices, err := b.UserDevices(ctx, as("helpdesk"), ipc.UserRef{User: "bob"})
	if err != nil || len(devices.Devices) != 1 || devices.Devices[0].State != ipc.DeviceActive || devices.Devices[0].Accounts[0].Name != "vpn" {
		t.Fatalf("%+v, %v", devices, err)
	}
	if _, err := b.CreateBypassCode(ctx, as("helpdesk"), ipc.NewBypassCode{User: "bob"}); err != nil {
		t.Fatal(err)
	}
	e, err := b.ExplainPolicy(ctx, as("helpdesk"), ipc.ExplainPolicyRequest{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range e.Has {
		if (h.Factor == "other_device" || h.Factor == "bypass_code") && h.Working != 1 {
			t.Errorf("%+v", h)
		}
	}
	if d, err := b.UserDevice(ctx, as("helpdesk"), devices.Devices[0].ID); err != nil || d.User != "bob" || d.Name != "laptop" || len(d.Accounts) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := b.RevokeUserDevice(ctx, as("helpdesk"), devices.Devices[0].ID); err != nil || d.State != ipc.DeviceRevoked || len(d.Accounts) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	// Only once he is forgotten is he removed.
	if _, err := b.RemoveUser(ctx, as("admin"), "bob", ipc.RemoveUserRequest{Confirm: b.ids["bob"]}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RevokeUserDevice(ctx, as("admin"), devices.Devices[0].ID); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("a device of nobody's: %v", err)
	}
	page, err := b.AuthorityAudit(ctx, root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, x := range page.Entries {
		if strings.Contains(x.Detail, "vpn") || strings.Contains(x.Detail, "laptop") {
			t.Errorf("the audit has a name: %+v", x)
		}
		if x.OK {
			seen[x.Action] = x.Object + " " + x.Detail
		}
	}
	for _, action := range []string{"activation-create", "activate", "secret-issue", "secret-prove", "bypass-create", "device-revoke", "user-forget", "user-remove"} {
		if !strings.Contains(seen[action], b.ids["bob"]) {
			t.Errorf("%s: %q in the audit", action, seen[action])
		}
	}
	if d := seen["secret-prove"]; !strings.Contains(d, "device="+devices.Devices[0].ID) || !strings.Contains(d, "account="+made.Activation.AccountID) {
		t.Errorf("secret-prove: %q", d)
	}
}

// verifiesManaged: a service is told yes or no of a code, and a helper why not; a
// code is no passcode of a fob, and the other way round.
func (b *bench) verifiesManaged(l *laptop, s *message.NewSecret) {
	l.Helper()
	ctx := l.Context()
	ask := func(r ipc.VerifyRequest) (ipc.Kind, string, ipc.AttendedVerdict) {
		r.User = "bob"
		v, err := b.VerifyAttended(ctx, as("helpdesk"), r)
		var e *ipc.Error
		if errors.As(err, &e) {
			return e.Kind, e.Items[0].Reason, v
		}
		return "", "", v
	}
	b.pass(time.Minute)
	code := l.code(s)
	for _, c := range []struct {
		r      ipc.VerifyRequest
		kind   ipc.Kind
		reason string
	}{
		{ipc.VerifyRequest{Managed: true, Account: "mail", Passcode: ipc.Secret(code)}, ipc.PasscodeInvalid, "no-account"},
		{ipc.VerifyRequest{Managed: true, Passcode: ipc.Secret("12345678")}, ipc.PasscodeInvalid, "unfit"},
		{ipc.VerifyRequest{Managed: true, Passcode: ipc.Secret(passcode(l.T, "bob-fob", 0))}, ipc.PasscodeInvalid, "wrong"},
		{ipc.VerifyRequest{Passcode: ipc.Secret(code)}, ipc.PasscodeInvalid, "wrong"},
		{ipc.VerifyRequest{Account: "vpn", Passcode: ipc.Secret(code + "\r\n")}, "", ""},
		{ipc.VerifyRequest{Managed: true, Passcode: ipc.Secret(code)}, ipc.PasscodeReused, "reused"},
	} {
		kind, reason, v := ask(c.r)
		if kind != c.kind || reason != c.reason {
			l.Errorf("%+v: %s, %q", c.r, kind, reason)
		}
		if ok := v.Accepted && v.DeviceID != "" && v.AccountID == s.Account && v.Serial == ""; ok != (c.kind == "") {
			l.Errorf("%+v: %+v", c.r, v)
		}
		b.pass(time.Second)
	}
	b.pass(time.Minute)
	service := ipc.VerifyRequest{User: "bob", Service: "gate", Account: "vpn", Passcode: ipc.Secret(l.code(s))}
	if v, err := b.Verify(ctx, as("verifier"), service); err != nil || !v.Accepted {
		l.Errorf("%+v, %v", v, err)
	}
	if _, err := b.Verify(ctx, as("verifier"), service); ipc.KindOf(err) != ipc.PasscodeInvalid {
		l.Errorf("the same code again: %v", err)
	}
	if _, err := b.Verify(ctx, as("bob"), service); ipc.KindOf(err) != ipc.NotAuthorized {
		l.Errorf("as who is no verifier: %v", err)
	}
}

// TestNobodyHelpsHimself, and none helps those above him.
func TestNobodyHelpsHimself(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	for _, c := range []struct {
		who, whom string
		kind      ipc.Kind
	}{
		{"helpdesk", "helpdesk", ipc.PolicyDenied}, {"helpdesk", "helpdesk2", ipc.NotAuthorized}, {"helpdesk", "admin", ipc.NotAuthorized},
		{"admin", "admin", ipc.PolicyDenied}, {"admin", "admin2", ipc.NotAuthorized}, {"admin", "owner", ipc.NotAuthorized},
		{"owner", "owner", ipc.PolicyDenied}, {"helpdesk", "verifier", ipc.PolicyDenied},
		{"helpdesk", "bob", ""}, {"admin", "helpdesk", ""}, {"owner", "admin", ""}, {"root", "owner", ""},
	} {
		_, err := b.CreateActivation(ctx, as(c.who), ipc.NewActivation{User: c.whom, Account: "vpn"})
		_, bypass := b.CreateBypassCode(ctx, as(c.who), ipc.NewBypassCode{User: c.whom})
		for _, err := range []error{err, bypass} {
			if c.kind == "" && err != nil || c.kind != "" && (err == nil || ipc.KindOf(err) != c.kind) {
				t.Errorf("%s helps %s: %v", c.who, c.whom, err)
			}
		}
	}
}

// TestSecondApprover: another person, who is known as one, and no bypass code.
func TestSecondApprover(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	b.asksForSecond(t)
	if _, err := b.CreateBypassCode(ctx, as("helpdesk"), ipc.NewBypassCode{User: "bob"}); ipc.KindOf(err) != ipc.PolicyDenied {
		t.Errorf("a bypass code: %v", err)
	}
	made, err := b.CreateActivation(ctx, as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil || made.Activation.State != ipc.CodeWaiting {
		t.Fatalf("%+v, %v", made.Activation, err)
	}
	for who, kind := range map[string]ipc.Kind{"helpdesk": ipc.PolicyDenied, "bob": ipc.NotAuthorized, "root": ipc.NotAuthorized} {
		if _, err := b.ApproveActivation(ctx, as(who), made.Activation.ID); err == nil || ipc.KindOf(err) != kind {
			t.Errorf("%s approves: %v", who, err)
		}
	}
	if a, err := b.ApproveActivation(ctx, as("helpdesk2"), made.Activation.ID); err != nil || a.State != ipc.CodeOpen {
		t.Fatalf("%+v, %v", a, err)
	}
	// What waits for nobody is told as that, to whomever.
	for _, who := range []string{"helpdesk", "helpdesk2", "root"} {
		if _, err := b.ApproveActivation(ctx, as(who), made.Activation.ID); ipc.KindOf(err) != ipc.Conflict || !strings.Contains(err.Error(), "waits for nobody") {
			t.Errorf("%s approves once more: %v", who, err)
		}
	}
	newLaptop(t, b, as("bob")).activate(made.Link)
}

// TestMessages: what is no message is refused, and so is who sends too many, which
// holds up nobody else.
func TestMessages(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	for _, raw := range [][]byte{nil, []byte("nonsense"), make([]byte, message.MaxSize+1)} {
		if _, err := b.AuthorityMessage(ctx, as("stranger"), ipc.AuthorityMessage{Message: raw}); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
	}
	n := 0
	var err error
	for ; n < 100; n++ {
		if _, err = b.AuthorityMessage(ctx, as("stranger"), ipc.AuthorityMessage{Message: []byte("nonsense")}); ipc.KindOf(err) == ipc.Throttled {
			break
		}
	}
	if e := (*ipc.Error)(nil); n != 27 || !errors.As(err, &e) || e.RetryAfter != 1 {
		t.Errorf("after %d: %v", n, err)
	}
	if _, err := b.AuthorityDescriptor(ctx, as("bob")); err != nil {
		t.Errorf("another: %v", err)
	}
	b.pass(2 * time.Second)
	for i := range 3 {
		_, err := b.AuthorityMessage(ctx, as("stranger"), ipc.AuthorityMessage{Message: []byte("nonsense")})
		if throttled := ipc.KindOf(err) == ipc.Throttled; throttled != (i == 2) {
			t.Errorf("the %d. afterwards: %v", i, err)
		}
	}
	none := empty(t, t.TempDir())
	if _, err := none.AuthorityMessage(ctx, as("bob"), ipc.AuthorityMessage{Message: []byte("nonsense")}); ipc.KindOf(err) != ipc.NotFound {
		t.Errorf("where none is: %v", err)
	}
}

// TestSecurityKeys: who may register users' keys, and what the policy then counts.
func TestSecurityKeys(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	key := softkey.New(t)
	add := func(who ipc.Principal, user string, k *softkey.Key) error {
		_, err := b.AddSecurityKey(ctx, who, ipc.NewSecurityKey{User: user, Name: "YubiKey", Statement: k.New(b.ids[user])})
		return err
	}
	for _, c := range []struct {
		who  ipc.Principal
		user string
		want ipc.Kind
	}{
		{as("stranger"), "bob", ipc.NotFound},
		{as("bob"), "bob", ipc.NotAuthorized},
		{as("admin"), "admin", ipc.NotAuthorized},
		{as("helpdesk"), "admin", ipc.NotAuthorized},
		{as("admin"), "bob", ""},
		{as("admin"), "bob", ipc.AlreadyExists},
	} {
		if err := add(c.who, c.user, key); ipc.KindOf(err) != c.want && (err != nil || c.want != "") {
			t.Errorf("%s of %s: %v, want %s", c.who.UID, c.user, err, c.want)
		}
	}
	list, err := b.SecurityKeys(ctx, as("helpdesk"), ipc.UserRef{User: "bob"})
	if err != nil || len(list.Keys) != 1 || list.Keys[0].By != b.ids["admin"] || !list.Keys[0].PIN {
		t.Fatalf("%+v, %v", list, err)
	}
	e, err := b.ExplainPolicy(ctx, as("helpdesk"), ipc.ExplainPolicyRequest{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range e.Has {
		if h.Factor == ipc.FactorSecurityKey && h.Working != 1 {
			t.Errorf("%+v", h)
		}
	}
	if _, err := b.RemoveSecurityKey(ctx, as("bob"), ipc.SecurityKeyRef{User: "bob", Key: "YubiKey"}); ipc.KindOf(err) != ipc.NotAuthorized {
		t.Error(err)
	}
	if k, err := b.RemoveSecurityKey(ctx, as("helpdesk"), ipc.SecurityKeyRef{User: "bob", Key: "yubikey"}); err != nil || k.ID != list.Keys[0].ID {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestReferenceIsInTheAudit: what a user is told to say over the phone is found,
// however soon he tried again.
func TestReferenceIsInTheAudit(t *testing.T) {
	b := furnished(t)
	made, err := b.CreateActivation(t.Context(), as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn"})
	if err != nil {
		t.Fatal(err)
	}
	l := newLaptop(t, b, as("stranger"))
	s := l.activate(made.Link)
	deny := "version = 1\n[reactivation]\nallow = [\"sms\"]\nafter_restore = \"allowed\"\nold_device = \"revoke\"\n[contact]\nname = \"IT\"\n"
	if _, err := b.SetPolicy(t.Context(), root, ipc.SetPolicyRequest{Text: deny}); err != nil {
		t.Fatal(err)
	}
	var told []string
	for range 3 {
		l.before, l.after = nil, message.Hash{}
		no, ok := l.say(&message.Begin{DeviceName: "laptop"}, s.Account).(*message.Refused)
		if !ok || no.Reference == "" {
			t.Fatalf("%+v", no)
		}
		told = append(told, no.Reference)
	}
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range told {
		if !slices.ContainsFunc(page.Entries, func(e ipc.AuditEntry) bool { return strings.Contains(e.Detail, "reference="+reference) }) {
			t.Errorf("%s is not in the audit", reference)
		}
	}
}

// TestListsNameWhoMadeIt: by his name while he is a user, and the caller reaches him.
func TestListsNameWhoMadeIt(t *testing.T) {
	b := furnished(t)
	ctx := t.Context()
	for _, who := range []ipc.Principal{root, as("admin")} {
		if _, err := b.CreateActivation(ctx, who, ipc.NewActivation{User: "bob", Account: "vpn"}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.CreateBypassCode(ctx, who, ipc.NewBypassCode{User: "bob"}); err != nil {
			t.Fatal(err)
		}
	}
	// Nobody is taken for root by his name.
	if _, err := b.AddUser(ctx, root, ipc.NewUser{Name: "uid 0"}); err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		activations, err := b.Activations(ctx, as("helpdesk"), ipc.UserRef{User: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		codes, err := b.BypassCodes(ctx, as("helpdesk"), ipc.UserRef{User: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]string{"uid 0": "", b.ids["admin"]: want}
		for _, a := range activations.Activations {
			if name, known := names[a.By]; !known || a.ByName != name {
				t.Errorf("an activation by %q, %q", a.By, a.ByName)
			}
		}
		for _, a := range codes.Codes {
			if name, known := names[a.By]; !known || a.ByName != name {
				t.Errorf("a code by %q, %q", a.By, a.ByName)
			}
		}
		if len(activations.Activations) != 2 || len(codes.Codes) != 2 {
			t.Errorf("%d activations, %d codes", len(activations.Activations), len(codes.Codes))
		}
	}
	look("admin")
	if _, err := b.RemoveUser(ctx, root, "admin", ipc.RemoveUserRequest{Confirm: b.ids["admin"]}); err != nil {
		t.Fatal(err)
	}
	look("")
}
