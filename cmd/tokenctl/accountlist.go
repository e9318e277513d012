package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// listDocument is the --json form of backup create --list-only.
type listDocument struct {
	Version  int    `json:"version"`
	File     string `json:"file"`
	VaultID  string `json:"vault_id"`
	Accounts int    `json:"accounts"`
	// ListOnly is always true: nothing can be restored from the file.
	ListOnly bool `json:"list_only"`
}

// createList writes the list of accounts, without their secrets, to a new file.
func (c *cli) createList(ctx context.Context, f *authFlags, path string) error {
	doing := "write the list " + path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokend-accounts-"+c.now().Format("2006-01-02")+".json")
	}
	if _, err := os.Lstat(path); err == nil {
		return writeFailure(doing, fs.ErrExist)
	}
	var list ipc.AccountList
	err := c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		list, err = c.daemon().Accounts(ctx)
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return fail(doing, err)
	}
	l := archive.List{VaultID: st.Vault.ID, Generation: st.Vault.Generation, Time: c.now()}
	for _, a := range list.Accounts {
		l.Accounts = append(l.Accounts, archive.ListedAccount{ID: a.ID, Issuer: a.Issuer, Name: a.Name, Kind: a.Kind, Class: a.Class,
			Type: a.Type, Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period})
	}
	data, err := archive.EncodeList(l)
	if err != nil {
		return problem(ipc.Internal, doing, err)
	}
	if err := writeNew(path, data); err != nil {
		return writeFailure(doing, err)
	}
	if c.json {
		return c.printJSON(listDocument{Version: ipc.Version, File: path, VaultID: l.VaultID, Accounts: len(l.Accounts), ListOnly: true})
	}
	c.print("%s", clean(path))
	c.say("wrote the names of %s, without secrets and notes: it is no backup, and no code can be made from it", plural(len(l.Accounts), "account"))
	c.say("it tells which services you have to visit when everything else is lost; print it, or keep it with your papers")
	return nil
}

// inspectList shows an account list, and says what it is and is not.
func (c *cli) inspectList(b *backupFile, doc *inspectDocument) error {
	l, err := archive.ParseList(b.data)
	if errors.Is(err, archive.ErrNotArchive) {
		return b.failure("inspect " + b.path) // a listing of another make
	}
	if err != nil {
		return archiveFailure("inspect "+b.path, err)
	}
	doc.VaultID, doc.Generation, doc.Written, doc.Accounts = l.VaultID, l.Generation, l.Time, []ipc.Account{}
	for _, a := range l.Accounts {
		doc.Accounts = append(doc.Accounts, ipc.Account{ID: a.ID, Issuer: a.Issuer, Name: a.Name, Kind: a.Kind, Class: a.Class,
			Type: a.Type, Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period})
	}
	if c.json {
		return nil
	}
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("vault", doc.VaultID)
	t.add("written", ago(c.now(), doc.Written))
	c.showPairs(t)
	c.show(accountTable(doc.Accounts))
	c.say("%s: %s. It cannot be restored.", b.problem.message, plural(len(l.Accounts), "account"))
	for _, h := range adviceCause(b) {
		c.say("  %s", h)
	}
	return nil
}
