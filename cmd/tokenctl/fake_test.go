package main

import (
	"cmp"
	"context"
	"encoding/base32"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// fake is a daemon in memory, behind the real API on a real socket. It keeps
// the rules that tokenctl has to live with: locking, PIN tries, touches.
type fake struct {
	ipc.Managed  // none: what of it is called has a method below
	mu           sync.Mutex
	undos        []ipc.UndoStep // the newest first
	undid        string         // the step that was taken back last
	status       ipc.Status
	tokens       []ipc.Token
	accounts     []ipc.Account
	destinations []ipc.Destination
	secrets      map[string][]byte
	pin          string
	tries        int
	fido2PIN     string   // of its FIDO2 keys; empty for none
	spent        []string // what PINs were tried, to prove that none was tried twice
	password     string
	backup       []byte
	delay        time.Duration // before a touch is made
	enrollAt     string        // the locator of the last token that was enrolled
	wantAgreed   bool          // enrolling needs an enrolled token or the recovery password
	occupied     bool          // the card holds keys in 82 and 83
	enrolledIn   string        // the slots that were named
	failNext     *ipc.Error    // what the next call fails with
	subs         map[chan ipc.Event]bool
	waits        []ipc.Event   // what an event stream begins with
	touchPIN     bool          // a touch-class code takes the PIN, too
	stepWait     time.Duration // until the next time step, for who wants a fresh code
	step         time.Duration // how long a code is valid; 0 is 30 s
	touches      int           // how many a touch-class code takes; 0 is 1
	left         chan struct{} // closed when a client went away in mid-touch
	n            int
	socket       string // where it is served; empty before
	declined     bool   // the owner wants no recovery password
	backedAt     string // the path of a backup from which the vault could be restored
	backedSum    string
	grants       fakeGrants
}

const fakePIN = "123456"

func newFake() *fake {
	f := &fake{pin: fakePIN, tries: 3, password: "correct horse battery", subs: map[chan ipc.Event]bool{}, secrets: map[string][]byte{}, left: make(chan struct{})}
	f.status = ipc.Status{Version: 1, Daemon: ipc.Daemon{Version: "devel", Mode: "user", PID: 4711, Helper: "ok"}, Vault: ipc.Vault{State: ipc.VaultNone}, Warnings: []ipc.Warning{}, Grants: ipc.GrantState{Mode: ipc.GrantOff}}
	f.tokens = []ipc.Token{{ID: "piv-1", Kind: "piv", Label: "YubiKey", Present: true, Hardware: true, Classes: []string{}}}
	return f
}

// serve puts a fake on a socket and gives its path.
func serve(tb testing.TB, f *fake, dir string) string {
	tb.Helper()
	serveUntil(tb, f, dir)
	return f.socket
}

// serveUntil is serve until it is told to stop.
func serveUntil(tb testing.TB, f *fake, dir string) (stop func()) {
	tb.Helper()
	path := filepath.Join(dir, "s")
	l, err := local.Listen(path, local.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	f.socket, f.status.Daemon.Socket = path, path
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := httpapi.New(httpapi.Config{Backend: f})
	go func() { done <- s.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	tb.Cleanup(stop)
	return stop
}

// enrolled makes the fake's card open a vault in the given state.
func (f *fake) enrolled(state ipc.VaultState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enrol(state)
}

// enrol is enrolled for who holds the lock.
func (f *fake) enrol(state ipc.VaultState) {
	f.tokens[0].Enrolled = true
	f.tokens[0].ID, f.tokens[0].Classes = "slot1", []string{"session", "touch"}
	f.status.Vault = ipc.Vault{State: state, ID: "v1", Generation: 3, Signer: "ab12"}
}

func (f *fake) add(issuer, name, class, kind string) {
	f.n++
	id := fmt.Sprintf("id%d", f.n)
	a := ipc.Account{ID: id, Issuer: issuer, Name: name, Kind: "third-party", Class: class, Type: kind, Algorithm: "SHA1", Digits: 6, Period: 30}
	if kind == "hotp" {
		a.Period, a.Counter = 0, new(uint64)
	}
	f.accounts = append(f.accounts, a)
	f.secrets[id] = []byte("12345678901234567890")
}

func (f *fake) ref() *ipc.TokenRef {
	return &ipc.TokenRef{ID: f.tokens[0].ID, Label: f.tokens[0].Label, Kind: f.tokens[0].Kind}
}

// enter begins a call: the fault that was ordered, or the lock.
func (f *fake) enter(needOpen bool) error {
	if e := f.failNext; e != nil {
		f.failNext = nil
		return e
	}
	switch {
	case needOpen && f.status.Vault.State == ipc.VaultNone:
		return ipc.Errorf(ipc.NoVault, "there is no vault")
	case needOpen && f.status.Vault.State != ipc.VaultUnlocked:
		return ipc.Errorf(ipc.VaultLocked, "the vault is locked")
	}
	return nil
}

// usePIN keeps the rules of a card.
func (f *fake) usePIN(pin ipc.Secret, spend bool) error {
	e := &ipc.Error{Token: f.ref(), TriesLeft: new(int)}
	*e.TriesLeft = f.tries
	switch {
	case f.tries == 0:
		e.Kind, e.Message = ipc.PINBlocked, "the PIN is blocked"
		return e
	case len(pin) == 0:
		e.Kind, e.Message = ipc.PINRequired, "a PIN is required"
		return e
	case f.tries == 1 && !spend:
		e.Kind, e.Message = ipc.PINLastTry, "one try is left"
		return e
	}
	f.spent = append(f.spent, string(pin))
	if string(pin) != f.pin {
		f.tries--
		*e.TriesLeft = f.tries
		e.Kind, e.Message = ipc.PINInvalid, "the PIN is wrong"
		return e
	}
	f.tries = 3
	return nil
}

func (f *fake) openWith(a ipc.Auth) (string, error) {
	switch {
	case len(a.RecoveryPassword) > 0:
		if string(a.RecoveryPassword) != f.password {
			return "", ipc.Errorf(ipc.WrongPassword, "the recovery password is wrong")
		}
		return "recovery password", nil
	case f.status.Vault.State != ipc.VaultNone && !slices.ContainsFunc(f.tokens, isEnrolled):
		return "", ipc.Errorf(ipc.NoKeyslot, "no token opens accounts of class session")
	case !f.tokens[0].Present:
		return "", ipc.Errorf(ipc.TokenNotPresent, "no enrolled token is present")
	}
	return f.tokens[0].Label, f.usePIN(a.PIN, a.SpendLastTry)
}

func (f *fake) Status(context.Context, ipc.Principal) (ipc.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.status
	st.Tokens, st.Daemon.Time = slices.Clone(f.tokens), time.Now()
	st.Vault.Accounts = len(f.accounts)
	st.Vault.AskRecovery = st.Vault.State == ipc.VaultUnlocked && st.Vault.RecoverySet.IsZero() && len(f.accounts) > 0 && !f.declined
	st.Grants = ipc.GrantState{Mode: f.grants.modeOf(""), Accounts: len(f.grants.own), Grants: len(f.grants.given)}
	return st, f.enter(false)
}

func (f *fake) Events(ctx context.Context, _ ipc.Principal, send func(ipc.Event) error) error {
	ch := make(chan ipc.Event, 16)
	f.mu.Lock()
	v := f.status.Vault
	first := []ipc.Event{{Version: 1, Type: ipc.EventState, Time: time.Now(), Vault: &v}}
	first = append(first, f.waits...)
	f.subs[ch] = true
	f.mu.Unlock()
	defer func() { f.mu.Lock(); delete(f.subs, ch); f.mu.Unlock() }()
	for _, e := range first {
		if err := send(e); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-ch:
			if err := send(e); err != nil {
				return err
			}
		}
	}
}

func (f *fake) Doctor(context.Context, ipc.Principal) (ipc.Findings, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	level := levelOK
	if f.tries == 0 {
		level = levelError
	}
	return ipc.Findings{Version: 1, Findings: []ipc.Finding{{Code: "pin", Level: level, Message: "PIN tries", Fix: "tokenctl token pin --unblock"}}}, nil
}

func (f *fake) Audit(context.Context, ipc.Principal) (ipc.AuditLog, error) {
	return ipc.AuditLog{Version: 1, Entries: []ipc.AuditEntry{}, Intact: true}, nil
}

func (f *fake) AuditEntries(_ context.Context, _ ipc.Principal, q ipc.AuditQuery) (ipc.AuditPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := ipc.AuditPage{Version: 1, Intact: f.tries > 0, Problem: "entry 2 does not follow entry 1", Entries: []ipc.AuditEntry{}, More: q.After < 1}
	if q.After < 2 && !q.Failed { // two pages
		page.Entries = append(page.Entries, ipc.AuditEntry{Seq: q.After + 1, Time: time.Unix(1000, 0).UTC(), Action: "code", Object: "id1", OK: true, Hash: "00", From: "local uid=1000"})
	}
	return page, nil
}

func (f *fake) CheckpointAudit(context.Context, ipc.Principal) (ipc.AuditCheckpoint, error) {
	return ipc.AuditCheckpoint{Version: 1, Checkpoint: "tokend-checkpoint-1.held", Seq: 2}, nil
}

// VerifyAudit takes the end of a checkpoint for how the chain stands to it.
func (f *fake) VerifyAudit(_ context.Context, _ ipc.Principal, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := ipc.AuditVerdict{Version: 1, Intact: f.tries > 0, Problem: "entry 2 does not follow entry 1", Entries: 2, First: 1, Last: 2, Checkpoints: []ipc.CheckpointVerdict{}}
	for i, text := range r.Checkpoints {
		standing := ipc.CheckpointStanding(strings.TrimPrefix(text, "tokend-checkpoint-1."))
		v.Checkpoints = append(v.Checkpoints, ipc.CheckpointVerdict{Standing: standing, Seq: uint64(i + 1), Time: time.Unix(1000, 0).UTC()})
	}
	return v, nil
}

func (f *fake) Init(_ context.Context, _ ipc.Principal, r ipc.InitRequest) (ipc.InitResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(false); err != nil {
		return ipc.InitResult{}, err
	}
	if f.status.Vault.State != ipc.VaultNone {
		return ipc.InitResult{}, ipc.Errorf(ipc.AlreadyExists, "there is a vault already")
	}
	res := ipc.InitResult{Version: 1, Warnings: []ipc.Warning{}}
	if r.Enroll != nil {
		if err := f.enroll(*r.Enroll); err != nil {
			return res, err
		}
		made := f.tokens[0]
		res.Token = &made
	}
	f.status.Vault = ipc.Vault{State: ipc.VaultUnlocked, ID: "v1", Generation: 1, Signer: "ab12"}
	if len(r.RecoveryPassword) > 0 {
		f.password, f.status.Vault.RecoverySet = string(r.RecoveryPassword), time.Now()
	}
	res.Vault = f.status.Vault
	return res, nil
}

func (f *fake) enroll(r ipc.EnrollRequest) error {
	if f.occupied && r.SessionSlot == "" && len(r.Overwrite) == 0 {
		return ipc.Errorf(ipc.TokenOccupied, "cannot use token %q: slot 82 of the card is in use", "YubiKey")
	}
	f.enrolledIn = r.SessionSlot + r.TouchSlot + strings.Join(r.Overwrite, "")
	if r.Kind == "soft" {
		f.pin = string(r.PIN)
		f.tokens[0] = ipc.Token{ID: "slot1", Kind: "soft", Label: cmp.Or(r.Label, "software"), Present: true, Enrolled: true, Classes: []string{"session"}}
		return nil
	}
	if r.Kind == "fido2" {
		i := slices.IndexFunc(f.tokens, func(t ipc.Token) bool { return t.ID == r.Locator })
		if i < 0 || string(r.PIN) != f.fido2PIN {
			return ipc.Errorf(ipc.PINInvalid, "the PIN is wrong")
		}
		f.tokens = append([]ipc.Token{f.tokens[i]}, slices.Delete(f.tokens, i, i+1)...)
		f.pin = f.fido2PIN
	} else if err := f.usePIN(r.PIN, r.SpendLastTry); err != nil {
		return err
	}
	f.tokens[0].Enrolled, f.tokens[0].Classes = true, []string{"session", "touch"}
	return nil
}

func (f *fake) Unlock(_ context.Context, _ ipc.Principal, r ipc.UnlockRequest) (ipc.UnlockResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	res := ipc.UnlockResult{Version: 1, Notices: []ipc.Warning{}}
	if err := f.enter(false); err != nil {
		return res, err
	}
	if f.status.Vault.State == ipc.VaultNone {
		return res, ipc.Errorf(ipc.NoVault, "there is no vault")
	}
	by, err := f.openWith(r.Auth)
	if err != nil {
		return res, err
	}
	f.status.Vault.State, f.status.Vault.UnlockedBy = ipc.VaultUnlocked, by
	f.status.Vault.IdleLock = time.Now().Add(10 * time.Minute)
	res.Vault = f.status.Vault
	return res, nil
}

func (f *fake) Lock(context.Context, ipc.Principal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Vault.State = ipc.VaultIsLocked
	for ch := range f.subs {
		ch <- ipc.Event{Version: 1, Type: ipc.EventLocked, Time: time.Now(), Vault: &f.status.Vault, Detail: "on request"}
	}
	return nil
}

func (f *fake) RecoverVault(_ context.Context, _ ipc.Principal, r ipc.RecoverVaultRequest) (ipc.RecoverVaultResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.openWith(r.Auth); err != nil {
		return ipc.RecoverVaultResult{}, err
	}
	return ipc.RecoverVaultResult{Version: 1, Damaged: true, Problem: "its signature is wrong", Generation: 2,
		Accounts: slices.Clone(f.accounts), Lost: []string{"one change"}, Applied: r.Apply, Kept: "/state/damaged"}, nil
}

func (f *fake) Accounts(context.Context, ipc.Principal) (ipc.AccountList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ipc.AccountList{Version: 1, Accounts: slices.Clone(f.accounts)}, f.enter(true)
}

func (f *fake) find(ref string) (int, error) {
	e := &ipc.Error{Kind: ipc.Ambiguous, Message: "several accounts could be meant"}
	at := -1
	for i, a := range f.accounts {
		full := a.Issuer + ":" + a.Name
		if a.ID == ref {
			return i, nil
		}
		if strings.Contains(strings.ToLower(full), strings.ToLower(ref)) {
			at = i
			e.Items = append(e.Items, ipc.Item{ID: a.ID, Name: full})
		}
	}
	switch len(e.Items) {
	case 0:
		return 0, ipc.Errorf(ipc.NotFound, "no account matches")
	case 1:
		return at, nil
	}
	return 0, e
}

func (f *fake) Account(_ context.Context, _ ipc.Principal, id string) (ipc.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.Account{}, err
	}
	i, err := f.find(id)
	if err != nil {
		return ipc.Account{}, err
	}
	return f.accounts[i], nil
}

func (f *fake) AddAccounts(_ context.Context, _ ipc.Principal, r ipc.AddAccountsRequest) (ipc.AccountList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.AccountList{}, err
	}
	start := len(f.accounts)
	for _, n := range r.Accounts {
		secret := string(n.Secret)
		if len(n.URI) > 0 {
			key, err := otp.NewKeyFromURL(string(n.URI))
			if err != nil {
				return ipc.AccountList{}, ipc.Errorf(ipc.InvalidArgument, "cannot read the address")
			}
			n.Issuer, n.Name, n.Type, secret = key.Issuer(), key.AccountName(), key.Type(), key.Secret()
		}
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(secret))
		if err != nil {
			return ipc.AccountList{}, ipc.Errorf(ipc.InvalidArgument, "the secret is not base32")
		}
		for _, a := range f.accounts {
			if a.Issuer == n.Issuer && a.Name == n.Name && !r.AllowDuplicate {
				return ipc.AccountList{}, ipc.Errorf(ipc.AlreadyExists, "there is an account of this name")
			}
		}
		class, kind := n.Class, n.Type
		if class == "" {
			class = "session"
		}
		if kind == "" {
			kind = "totp"
		}
		f.add(n.Issuer, n.Name, class, kind)
		f.secrets[f.accounts[len(f.accounts)-1].ID] = raw
	}
	return ipc.AccountList{Version: 1, Accounts: slices.Clone(f.accounts[start:])}, nil
}

func (f *fake) EditAccount(_ context.Context, _ ipc.Principal, id string, r ipc.EditAccountRequest) (ipc.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(id)
	if err != nil {
		return ipc.Account{}, err
	}
	a := &f.accounts[i]
	for _, p := range []struct{ to, from *string }{{&a.Issuer, r.Issuer}, {&a.Name, r.Name}, {&a.Note, r.Note}, {&a.Class, r.Class}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	return *a, nil
}

func (f *fake) MoveAccount(_ context.Context, _ ipc.Principal, id string, r ipc.MoveAccountRequest) (ipc.AccountList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(id)
	if err != nil {
		return ipc.AccountList{}, err
	}
	a := f.accounts[i]
	f.accounts = slices.Insert(slices.Delete(f.accounts, i, i+1), r.Position, a)
	return ipc.AccountList{Version: 1, Accounts: slices.Clone(f.accounts)}, nil
}

func (f *fake) RemoveAccount(_ context.Context, _ ipc.Principal, id string, r ipc.RemoveAccountRequest) (ipc.RemoveAccountResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(id)
	if err != nil || r.Confirm != f.accounts[i].ID {
		return ipc.RemoveAccountResult{}, ipc.Errorf(ipc.InvalidArgument, "not confirmed")
	}
	a := f.accounts[i]
	f.accounts = slices.Delete(f.accounts, i, i+1)
	return ipc.RemoveAccountResult{Version: 1, Removed: a, InBackups: []string{"stick of Monday"}}, nil
}

func (f *fake) RevealAccount(_ context.Context, _ ipc.Principal, id string, _ ipc.RevealRequest) (ipc.Reveal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.Reveal{}, err
	}
	i, err := f.find(id)
	if err != nil {
		return ipc.Reveal{}, err
	}
	a := f.accounts[i]
	if err := f.grants.consent(ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}, ipc.GrantReveal); err != nil {
		return ipc.Reveal{}, err
	}
	uri := "otpauth://totp/" + a.Issuer + ":" + a.Name + "?secret=" + base32.StdEncoding.EncodeToString(f.secrets[a.ID])
	return ipc.Reveal{Version: 1, Account: a, URI: ipc.Secret(uri)}, nil
}

func (f *fake) ExportAccounts(_ context.Context, _ ipc.Principal, r ipc.ExportRequest) (ipc.Export, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(true); err != nil {
		return ipc.Export{}, err
	}
	if err := f.mayExport(r.Accounts); err != nil {
		return ipc.Export{}, err
	}
	out := ipc.Export{Version: 1, Accounts: []ipc.Exported{}, Refused: []ipc.Item{}}
	for _, id := range r.Accounts {
		i, err := f.find(id)
		if err != nil {
			return ipc.Export{}, err
		}
		a := f.accounts[i]
		if a.Kind == "managed" {
			out.Refused = append(out.Refused, ipc.Item{ID: a.ID, Name: a.Issuer + " " + a.Name, Reason: "it is a managed account"})
			continue
		}
		uri := "otpauth://" + a.Type + "/" + a.Issuer + ":" + a.Name + "?secret=" + base32.StdEncoding.EncodeToString(f.secrets[a.ID]) + "&issuer=" + a.Issuer
		out.Accounts = append(out.Accounts, ipc.Exported{Account: a, URI: ipc.Secret(uri)})
	}
	return out, nil
}

func (f *fake) Code(ctx context.Context, _ ipc.Principal, ref string, r ipc.CodeRequest) (ipc.Code, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grants.asked = ref + " " + r.Interaction
	if err := f.enter(true); err != nil {
		return ipc.Code{}, err
	}
	i, err := f.find(ref)
	if err != nil {
		return ipc.Code{}, err
	}
	a := &f.accounts[i]
	if err := f.grants.consent(ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}, ipc.GrantCode); err != nil {
		return ipc.Code{}, err
	}
	if r.Fresh || r.MinRemaining > 0 {
		f.mu.Unlock()
		time.Sleep(f.stepWait)
		f.mu.Lock()
	}
	if a.Class == "touch" {
		if f.touchPIN {
			if err := f.usePIN(r.Auth.PIN, r.Auth.SpendLastTry); err != nil {
				return ipc.Code{}, err
			}
		}
		if err := f.touch(ctx, *a, r); err != nil {
			return ipc.Code{}, err
		}
	}
	code := ipc.Code{Version: 1, Account: ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}}
	secret := base32.StdEncoding.EncodeToString(f.secrets[a.ID])
	if a.Type == "hotp" {
		n := *a.Counter
		*a.Counter++
		code.Counter = &n
		code.Code, err = hotp.GenerateCode(secret, n)
		return code, err
	}
	now := time.Now()
	if f.step > 0 {
		code.Period, code.ValidFrom, code.ValidUntil = 1, now, now.Add(f.step)
		code.Code, err = hotp.GenerateCode(secret, uint64(now.UnixNano()/int64(f.step)))
		return code, err
	}
	code.Period, code.ValidFrom = 30, now.Truncate(30*time.Second)
	code.ValidUntil = code.ValidFrom.Add(30 * time.Second)
	code.Code, err = totp.GenerateCode(secret, now)
	return code, err
}

// touch waits as long as the person at the fake takes, with the lock released.
func (f *fake) touch(ctx context.Context, a ipc.Account, r ipc.CodeRequest) error {
	if r.NoTouchWait {
		return ipc.Errorf(ipc.TouchTimeout, "a touch is needed")
	}
	for n := range max(1, f.touches) {
		e := ipc.Event{Version: 1, Type: ipc.EventTouchWanted, Time: time.Now(), Token: f.ref(), Requester: "tokenctl (4712)",
			Operation: "op" + a.ID, Touch: n + 1, Request: ipc.RequestName(ctx),
			Account: &ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}}
		f.waits = append(f.waits, e)
		for ch := range f.subs {
			ch <- e
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			close(f.left)
			f.mu.Lock()
			return ipc.Errorf(ipc.Cancelled, "cancelled")
		case <-time.After(f.delay):
		}
		f.mu.Lock()
	}
	return nil
}
