package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/tokenbridge/tokend/ipc"
)

// markOwn says of each backup that was found whether it is of the vault here.
func (c *cli) markOwn(ctx context.Context, doc *findDocument) {
	st, err := c.daemon().Status(ctx)
	if err != nil || st.Vault.ID == "" {
		return
	}
	for i := range doc.Files {
		doc.Files[i].Own = doc.Files[i].VaultID == st.Vault.ID
	}
}

// foundTable lists what a search found.
func (c *cli) foundTable(files []foundBackup) *table {
	t := &table{head: []string{"#", "FILE", "WRITTEN", "VAULT", "DEVICE", "SIZE", "STATE"}, flexible: 6, below: []int{1, 6, 4}}
	for i, f := range files {
		state := string(f.State)
		if f.State != causeWhole && f.Problem != "" {
			state = f.Problem
		}
		vault := ""
		if f.VaultID != "" {
			vault = f.VaultID[:8] + either(f.Own, " (yours)", "")
		}
		when := ""
		if !f.when().IsZero() {
			when = f.when().Local().Format("2006-01-02 15:04")
		}
		t.add(strconv.Itoa(i+1), f.File, when, orDash(vault), orDash(f.Device), sizeText(f.Bytes), state)
	}
	return t
}

// sizeText says a number of bytes.
func sizeText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// sayFound says what a person has to mind in a list of backups.
func (c *cli) sayFound(doc findDocument) {
	vaults, devices, whole := map[string]bool{}, map[string]bool{}, 0
	for _, f := range doc.Files {
		if f.State != causeWhole {
			continue
		}
		whole++
		vaults[f.VaultID] = true
		if f.Device != "" {
			devices[f.Device] = true
		}
	}
	if len(vaults) > 1 {
		c.say("they are of %d different vaults, each with accounts of its own: first find yours by its id, then the newest of it", len(vaults))
	}
	if len(devices) > 1 {
		c.say("they are of %d devices: the same vault can have gone on differently on each", len(devices))
	}
	if whole < len(doc.Files) {
		c.say("%d of %d cannot be used as they are: `tokenctl backup inspect FILE` says why, and what to do", len(doc.Files)-whole, len(doc.Files))
	}
	if !doc.Complete {
		c.say("not everything was looked through: name a folder to search it, `tokenctl backup find DIR`")
	}
}

// newestWhole is the newest backup of a vault, or of any where vault is empty.
func newestWhole(doc findDocument, vault string) (foundBackup, bool) {
	for _, f := range doc.Files {
		if f.State == causeWhole && (vault == "" || f.VaultID == vault) {
			return f, true
		}
	}
	return foundBackup{}, false
}

// backupToDrill is the file that was named, or the newest that is found of the
// vault here.
func (c *cli) backupToDrill(ctx context.Context, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	vault := ""
	if st, err := c.daemon().Status(ctx); err == nil {
		vault = st.Vault.ID
		if path := c.newestKnown(ctx); path != "" {
			return path, nil
		}
	}
	f, ok := newestWhole(c.findUsual(ctx), vault)
	if !ok {
		e := &ipc.Error{Kind: ipc.NotFound, Message: "no backup of this vault is in the usual places"}
		return "", failWith("drill a backup", e, adviceWhichBackup()...)
	}
	return f.File, nil
}

// newestKnown is the newest copy of a backup that the daemon knows of and that is
// there; empty where there is none.
func (c *cli) newestKnown(ctx context.Context) string {
	list, err := c.daemon().BackupList(ctx)
	if err != nil {
		return ""
	}
	for _, b := range list.Backups {
		for _, copied := range b.Copies {
			if _, problem := statBackup(copied.Path); copied.Lost == "" && problem == nil {
				return copied.Path
			}
		}
	}
	return ""
}

// backupFailure is how a command fails on a file, with what the daemon knows of
// one that is gone.
func (c *cli) backupFailure(ctx context.Context, b *backupFile, doing string) error {
	if b.problem == nil || b.problem.cause != causeMissing {
		return b.failure(doing)
	}
	path, err := filepath.Abs(b.path)
	if err != nil {
		return b.failure(doing)
	}
	list, err := c.daemon().BackupList(ctx)
	if err != nil {
		return b.failure(doing)
	}
	for _, known := range list.Backups {
		for _, copied := range known.Copies {
			if copied.Path == path {
				b.problem.message = "there is no such file any more: it was written " + ago(c.now(), copied.Written) + ", and deleted or moved since"
				return b.failure(doing)
			}
		}
	}
	return b.failure(doing)
}
