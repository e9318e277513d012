//go:build linux

package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// history is a long day of a vault.
func (b *bench) history() {
	b.t.Helper()
	_, err := b.c.Init(b.ctx, ipc.InitRequest{RecoveryPassword: ipc.Secret(b.pw),
		Enroll: &ipc.EnrollRequest{Kind: "piv", PIN: ipc.Secret(b.pins[0]), Label: "first"}})
	b.must(err)
	b.slots[0] = b.slot("first")
	b.addAll()
	b.learn()
	b.use()
	b.insert(1)
	e2e.Eventually(b.t, 10*time.Second, func() error {
		_, err := b.c.EnrollToken(b.ctx, ipc.EnrollRequest{Auth: b.auth(0), Kind: "piv", Locator: fmt.Sprint(12345679),
			PIN: ipc.Secret(b.pins[1]), Label: "second"})
		return err
	})
	b.slots[1] = b.slot("second")
	b.learn()
	b.change()
	b.recover()
}

func (b *bench) slot(label string) string {
	b.t.Helper()
	list, err := b.c.Tokens(b.ctx)
	b.must(err)
	for _, t := range list.Tokens {
		if t.Label == label {
			return t.ID
		}
	}
	b.t.Fatalf("no token %q", label)
	return ""
}

// addAll adds the accounts in every way that there is.
func (b *bench) addAll() {
	b.t.Helper()
	for _, class := range []string{"session", "touch"} {
		var batch []ipc.NewAccount
		for range perClass - 40 {
			a := b.newAccount(class)
			batch = append(batch, ipc.NewAccount{URI: ipc.Secret(a.uri()), Class: class})
		}
		_, err := b.c.AddAccounts(b.ctx, ipc.AddAccountsRequest{Accounts: batch})
		b.must(err)
		for range 20 {
			a := b.newAccount(class)
			_, err := b.c.AddAccounts(b.ctx, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{
				{Secret: ipc.Secret(a.base32()), Name: a.name, Class: class}}})
			b.must(err)
		}
		for range 10 {
			a := b.newAccount(class)
			b.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", class)
		}
		for i := range 10 {
			a := b.newAccount(class)
			text := a.base32() // a letter escaped, as JSON allows
			text = fmt.Sprintf(`%s\u%04x%s`, text[:9], text[9], text[10:])
			head := "POST /v1/accounts HTTP/1.1\r\n"
			if i%2 == 0 {
				head += "Connection: close\r\n"
			}
			b.raw(head, fmt.Sprintf(`{"accounts":[{"secret":"%s","name":"%s","class":"%s"}]}`, text, a.name, class))
		}
	}
	list, err := b.c.Accounts(b.ctx)
	b.must(err)
	ids := map[string]string{}
	for _, a := range list.Accounts {
		ids[a.Name] = a.ID
	}
	for _, a := range b.list {
		if a.id = ids[a.name]; a.id == "" {
			b.t.Fatalf("account %s was not added", a.name)
		}
	}
}

// busy asks for codes of session accounts all the time until stop is called, so
// that what a touch opens is computed among threads that others interrupt.
func (b *bench) busy() (stop func()) {
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			c := client.New(b.Socket)
			defer c.Close()
			for n := i; ctx.Err() == nil; n = (n + 2) % (perClass / 2) {
				if _, err := c.Code(ctx, b.list[n].id, ipc.CodeRequest{}); err != nil && ctx.Err() == nil {
					b.t.Errorf("a code while others are busy: %v", err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// use makes codes of all accounts and reveals some.
func (b *bench) use() {
	b.t.Helper()
	defer b.busy()()
	for i, a := range b.list {
		auth := ipc.Auth{}
		if a.class == "touch" {
			auth = b.auth(0)
		}
		_, err := b.c.Code(b.ctx, a.id, ipc.CodeRequest{Auth: auth})
		b.must(err)
		if i%20 == 7 {
			b.reveal(a)
		}
	}
	pin := e2e.File(b.t, b.pins[0])
	b.OK("", "code", b.list[0].name)
	b.OK("", "code", b.list[perClass].name, "--pin-file", pin)
}

func (b *bench) reveal(a *account) {
	b.t.Helper()
	auth := ipc.Auth{}
	if a.class == "touch" {
		auth = b.auth(0)
	}
	r, err := b.c.RevealAccount(b.ctx, a.id, ipc.RevealRequest{Auth: auth})
	b.must(err)
	if !strings.Contains(string(r.URI), a.base32()) {
		b.t.Fatalf("%s: another secret was revealed", a.name)
	}
	body, err := json.Marshal(map[string]any{"auth": map[string]string{"token": auth.Token, "pin": string(auth.PIN)}})
	b.must(err)
	if a.class == "session" {
		body = []byte("{}")
	}
	b.raw("POST /v1/accounts/"+a.id+"/reveal HTTP/1.1\r\nConnection: close\r\n", string(body))
}

// change edits, moves between the classes, removes, makes and reads a backup.
func (b *bench) change() {
	b.t.Helper()
	for i := range 5 {
		note := random(30)
		_, err := b.c.EditAccount(b.ctx, b.list[i].id, ipc.EditAccountRequest{Note: &note})
		b.must(err)
		for _, a := range []*account{b.list[10+i], b.list[perClass+10+i]} {
			to := map[string]string{"session": "touch", "touch": "session"}[a.class]
			_, err := b.c.EditAccount(b.ctx, a.id, ipc.EditAccountRequest{Auth: b.auth(i % 2), Class: &to})
			b.must(err)
			a.class = to
		}
		gone := b.list[perClass+20+i]
		_, err = b.c.RemoveAccount(b.ctx, gone.id, ipc.RemoveAccountRequest{Confirm: gone.id})
		b.must(err)
	}
	backup, err := b.c.CreateBackup(b.ctx)
	b.must(err)
	for _, auth := range []ipc.Auth{b.auth(0), b.auth(1), b.password()} {
		_, err = b.c.InspectBackup(b.ctx, ipc.InspectBackupRequest{Auth: auth, Data: backup.Data})
		b.must(err)
	}
	b.OK("", "backup", "create", filepath.Join(b.t.TempDir(), "backup.tokend"))
	b.learn()
}

// recover uses the recovery password in every way, and ends unlocked by PIN.
func (b *bench) recover() {
	b.t.Helper()
	_, err := b.c.CheckRecovery(b.ctx, ipc.CheckRecoveryRequest{Password: ipc.Secret(b.pw)})
	b.must(err)
	_, err = b.c.ShowRecoveryKey(b.ctx, ipc.ShowRecoveryKeyRequest{Password: ipc.Secret(b.pw)})
	b.must(err)
	b.must(b.c.Lock(b.ctx))
	_, err = b.c.Unlock(b.ctx, ipc.UnlockRequest{Auth: b.password()})
	b.must(err)
	_, err = b.c.Code(b.ctx, b.list[perClass].id, ipc.CodeRequest{Auth: b.password()})
	b.must(err)
	next := random(20)
	_, err = b.c.RotateRecovery(b.ctx, ipc.SetRecoveryRequest{Auth: b.password(), Password: ipc.Secret(next)})
	b.must(err)
	b.pw = next
	b.needles = append(b.needles, Text("recovery password", next)...)
	b.learn()
	b.must(b.c.Lock(b.ctx))
	_, err = b.c.Unlock(b.ctx, ipc.UnlockRequest{Auth: b.auth(0)})
	b.must(err)
	for i := range 20 {
		_, err = b.c.Code(b.ctx, b.list[perClass+30+i].id, ipc.CodeRequest{Auth: b.auth(i % 2)})
		b.must(err)
	}
	b.reveal(b.list[perClass+60])
	_, err = b.c.Code(b.ctx, b.list[perClass+61].id, ipc.CodeRequest{Auth: b.auth(0)})
	b.must(err)
}
