package daemon_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

func TestHOTPCodesAndCounters(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	a := add(t, d, p, "otpauth://hotp/counter?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=7")
	const clients, each = 8, 10
	var mu sync.Mutex
	seen := map[uint64]string{}
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				c, err := d.Code(t.Context(), p, a.ID, ipc.CodeRequest{})
				if err != nil || c.Counter == nil {
					t.Errorf("code %+v: %v", c, err)
					return
				}
				mu.Lock()
				if other, ok := seen[*c.Counter]; ok {
					t.Errorf("counter %d was handed out twice: %s, %s", *c.Counter, other, c.Code)
				}
				seen[*c.Counter] = c.Code
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	lines := strings.Split(oathtool(t, "--hotp", "-b", "-c", "7", "-w", fmt.Sprint(clients*each-1), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "\n")
	for i, want := range lines {
		if got := seen[7+uint64(i)]; got != want {
			t.Errorf("counter %d: %q, oathtool says %q", 7+i, got, want)
		}
	}
	now, err := d.Account(t.Context(), p, a.ID)
	if err != nil || now.Counter == nil || *now.Counter != 7+clients*each {
		t.Errorf("the next counter is told as %+v, %v", now.Counter, err)
	}
	for _, r := range []ipc.CodeRequest{{Fresh: true}, {MinRemaining: 5}, {Passive: true}} {
		_, err := d.Code(t.Context(), p, a.ID, r)
		wantKind(t, err, ipc.InvalidArgument)
	}
	if after, _ := d.Account(t.Context(), p, a.ID); *after.Counter != *now.Counter {
		t.Error("a refused request moved the counter")
	}
}

func TestFreshAcrossLockAndUnlock(t *testing.T) {
	k := newClock()
	d := start(t, func(c *daemon.Config) { c.Clock = k.clock() })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	k.pass(time.Minute)
	first, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
		t.Fatal(err)
	}
	again, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{})
	if err != nil || again.Code != first.Code {
		t.Errorf("a plain code of the same step: %v, %v", again, err)
	}
	type result struct {
		code ipc.Code
		err  error
	}
	got := make(chan result, 1)
	go func() {
		c, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{Fresh: true})
		got <- result{c, err}
	}()
	select {
	case r := <-got:
		t.Fatalf("the same step was fresh twice: %+v, %v", r.code, r.err)
	case <-time.After(100 * time.Millisecond):
	}
	k.pass(30 * time.Second)
	r := <-got
	if r.err != nil || r.code.ValidFrom != first.ValidUntil {
		t.Errorf("the fresh code is of %v, %v; want the step from %v", r.code.ValidFrom, r.err, first.ValidUntil)
	}
}

func TestMinRemaining(t *testing.T) {
	k := newClock() // 10 s into a step
	d := start(t, func(c *daemon.Config) { c.Clock = k.clock() })
	p := caller("1000")
	initSoft(t, d, p)
	add(t, d, p, aliceURI)
	c, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{MinRemaining: 20})
	if err != nil || c.ValidFrom.Second() != 0 {
		t.Errorf("with 20 s left: %+v, %v", c, err)
	}
	for _, n := range []int{-1, 31} {
		_, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{MinRemaining: n})
		wantKind(t, err, ipc.InvalidArgument)
	}
	// A lock while it waits ends the wait.
	done := make(chan error, 1)
	go func() {
		_, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{MinRemaining: 25})
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := d.Lock(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-done, ipc.VaultLocked)
}

func TestChangingAccounts(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	list, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{
		{URI: secretOf(aliceURI)},
		{Issuer: "B", Name: "bob", Secret: secretOf("gezd gnbv-gy3t qojq"), Algorithm: "sha256", Digits: 8, Period: 60, Note: "two\nlines"},
		{Name: "steam", Secret: secretOf("GEZDGNBVGY3TQOJQ"), Type: "steam"},
	}})
	if err != nil || len(list.Accounts) != 3 {
		t.Fatalf("add: %+v, %v", list, err)
	}
	bob := list.Accounts[1]
	if bob.Algorithm != "SHA256" || bob.Digits != 8 || bob.Period != 60 || bob.Counter != nil {
		t.Errorf("bob is %+v", bob)
	}

	// All or nothing, and no second account of a name unless meant.
	again := func(dup bool) error {
		_, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{AllowDuplicate: dup, Accounts: []ipc.NewAccount{
			{Name: "new", Secret: secretOf("GEZDGNBVGY3TQOJQ")}, {URI: secretOf(aliceURI)},
		}})
		return err
	}
	if e := wantKind(t, again(false), ipc.AlreadyExists); len(e.Items) != 1 || e.Items[0].ID != list.Accounts[0].ID {
		t.Errorf("the account in the way is told as %+v", e.Items)
	}
	if all, _ := d.Accounts(t.Context(), p); len(all.Accounts) != 3 {
		t.Errorf("a refused request added %d accounts", len(all.Accounts)-3)
	}
	if err := again(true); err != nil {
		t.Errorf("a duplicate that is meant: %v", err)
	}
	e := wantKind(t, func() error { _, err := d.Code(t.Context(), p, "alice", ipc.CodeRequest{}); return err }(), ipc.Ambiguous)
	if len(e.Items) != 2 {
		t.Errorf("an ambiguous name lists %+v", e.Items)
	}
	for _, item := range e.Items {
		if _, err := d.Code(t.Context(), p, item.ID, ipc.CodeRequest{}); err != nil {
			t.Errorf("by the id %s listed: %v", item.ID, err)
		}
	}

	edited, err := d.EditAccount(t.Context(), p, "bob", ipc.EditAccountRequest{Issuer: new("C"), Digits: new(6)})
	if err != nil || edited.Issuer != "C" || edited.Digits != 6 || edited.Name != "bob" {
		t.Errorf("edited: %+v, %v", edited, err)
	}
	for name, r := range map[string]ipc.EditAccountRequest{
		"class":   {Class: new("paper")},
		"digits":  {Digits: new(11)},
		"period":  {Period: new(0)},
		"counter": {Counter: new(uint64(1))},
		"name":    {Name: new("a\x00b")},
	} {
		if _, err := d.EditAccount(t.Context(), p, "bob", r); ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("edit %s: %v", name, err)
		}
	}
	_, err = d.EditAccount(t.Context(), p, "bob", ipc.EditAccountRequest{Class: new("touch")})
	wantKind(t, err, ipc.NoKeyslot)
	_, err = d.EditAccount(t.Context(), p, "bob", ipc.EditAccountRequest{Issuer: new("Example"), Name: new("alice")})
	wantKind(t, err, ipc.AlreadyExists)

	moved, err := d.MoveAccount(t.Context(), p, "steam", ipc.MoveAccountRequest{Position: 0})
	if err != nil || moved.Accounts[0].Name != "steam" {
		t.Errorf("moved: %+v, %v", moved, err)
	}
	_, err = d.MoveAccount(t.Context(), p, "steam", ipc.MoveAccountRequest{Position: 5})
	wantKind(t, err, ipc.InvalidArgument)

	backup(t, d, p, "/stick/a.tokend")
	_, err = d.RemoveAccount(t.Context(), p, "bob", ipc.RemoveAccountRequest{Confirm: "bob"})
	wantKind(t, err, ipc.InvalidArgument)
	gone, err := d.RemoveAccount(t.Context(), p, "bob", ipc.RemoveAccountRequest{Confirm: bob.ID})
	if err != nil || gone.Removed.ID != bob.ID || len(gone.InBackups) != 1 {
		t.Errorf("removed: %+v, %v", gone, err)
	}
	_, err = d.Account(t.Context(), p, bob.ID)
	wantKind(t, err, ipc.NotFound)
}

func TestAddRefuses(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	ok := func() ipc.NewAccount { return ipc.NewAccount{Name: "x", Secret: secretOf("GEZDGNBVGY3TQOJQ")} }
	for name, change := range map[string]func(*ipc.NewAccount){
		"no name":         func(a *ipc.NewAccount) { a.Name = "" },
		"no secret":       func(a *ipc.NewAccount) { a.Secret = nil },
		"bad secret":      func(a *ipc.NewAccount) { a.Secret = secretOf("not base32!") },
		"bad type":        func(a *ipc.NewAccount) { a.Type = "motp" },
		"bad algorithm":   func(a *ipc.NewAccount) { a.Algorithm = "MD5" },
		"bad digits":      func(a *ipc.NewAccount) { a.Digits = 11 },
		"bad period":      func(a *ipc.NewAccount) { a.Period = -1 },
		"bad class":       func(a *ipc.NewAccount) { a.Class = "on-token" },
		"long name":       func(a *ipc.NewAccount) { a.Name = strings.Repeat("x", 257) },
		"control":         func(a *ipc.NewAccount) { a.Name = "x\n" },
		"not UTF-8":       func(a *ipc.NewAccount) { a.Note = "\xff" },
		"URI and secret":  func(a *ipc.NewAccount) { a.URI = secretOf(aliceURI) },
		"nonsense in URI": func(a *ipc.NewAccount) { a.Secret, a.URI = nil, secretOf("otpauth://totp/x?secret=1!") },
	} {
		a := ok()
		change(&a)
		_, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{a}})
		if ipc.KindOf(err) != ipc.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := ok()
	a.Class = "touch"
	_, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{a}})
	wantKind(t, err, ipc.NoKeyslot)
	_, err = d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{})
	wantKind(t, err, ipc.InvalidArgument)
	if _, err := d.AddAccounts(t.Context(), p, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{ok()}}); err != nil {
		t.Errorf("the account that all others were made of: %v", err)
	}
}

func TestReveal(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	a := add(t, d, p, aliceURI)
	r, err := d.RevealAccount(t.Context(), p, a.ID, ipc.RevealRequest{})
	if err != nil || !strings.Contains(string(r.URI), "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") {
		t.Fatalf("reveal: %v, %v", r, err)
	}
	log, err := d.Audit(t.Context(), p)
	if err != nil || !log.Intact {
		t.Fatalf("audit: %+v, %v", log, err)
	}
	last := log.Entries[len(log.Entries)-1]
	if last.Action != "account-reveal" || last.Object != a.ID || !last.OK {
		t.Errorf("the newest entry is %+v", last)
	}
}

// TestCodesUnderLoad measures nothing; it lets codes, changes and locks meet.
func TestCodesUnderLoad(t *testing.T) {
	d := start(t, nil)
	p := caller("1000")
	initSoft(t, d, p)
	a := add(t, d, p, aliceURI)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := d.Code(t.Context(), p, a.ID, ipc.CodeRequest{}); err != nil && ipc.KindOf(err) != ipc.VaultLocked {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 10 {
		add(t, d, p, fmt.Sprintf("otpauth://totp/n%d?secret=GEZDGNBVGY3TQOJQ", i))
		if err := d.Lock(t.Context(), p); err != nil {
			t.Error(err)
		}
		if _, err := d.Unlock(t.Context(), p, ipc.UnlockRequest{Auth: ipc.Auth{PIN: secretOf(passphrase)}}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	list, err := d.Accounts(t.Context(), p)
	if err != nil || len(list.Accounts) != 11 {
		t.Errorf("%d accounts, %v", len(list.Accounts), err)
	}
}

func BenchmarkSessionCode(b *testing.B) {
	d, err := daemon.New(daemon.Config{StateDir: b.TempDir(), Owner: "1000", ScryptLogN: cheapLogN})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	p := caller("1000")
	if _, err := d.Init(b.Context(), p, ipc.InitRequest{RecoveryPassword: secretOf(recovery)}); err != nil {
		b.Fatal(err)
	}
	var r ipc.AddAccountsRequest
	for i := range 1000 {
		r.Accounts = append(r.Accounts, ipc.NewAccount{Name: fmt.Sprintf("account %d", i), Secret: secretOf("GEZDGNBVGY3TQOJQ")})
	}
	if _, err := d.AddAccounts(b.Context(), p, r); err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := d.Code(b.Context(), p, "account 500", ipc.CodeRequest{}); err != nil {
				b.Error(err)
			}
		}
	})
}
