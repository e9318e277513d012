package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// What a restore would do with an account of a backup, beside the vault.
const (
	besideSame    = "same"
	besideDiffers = "differs"
	besideAdded   = "added"
)

// besideDocument is how a backup compares with the unlocked vault. Accounts are
// compared by their ids, which mean the same secrets within one vault; those of
// another vault by their names, of which secrets are not compared.
type besideDocument struct {
	VaultID string `json:"vault_id"`
	// Own says that the backup is of this vault.
	Own      bool            `json:"own"`
	Accounts []besideAccount `json:"accounts"`
	Missing  []ipc.Account   `json:"missing"` // in the vault, and not in the backup
}

type besideAccount struct {
	ID      string   `json:"id"`
	Live    string   `json:"live"` // "same", "differs" or "added"
	Differs []string `json:"differs,omitempty"`
}

// beside compares accounts with the vault where one is unlocked; nil where
// nothing can be compared.
func (c *cli) beside(ctx context.Context, vaultID string, accounts []ipc.Account) *besideDocument {
	st, err := c.daemon().Status(ctx)
	if err != nil || st.Vault.State != ipc.VaultUnlocked && st.Vault.State != ipc.VaultReadOnly {
		return nil
	}
	live, err := c.daemon().Accounts(ctx)
	if err != nil {
		return nil
	}
	doc := &besideDocument{VaultID: st.Vault.ID, Own: st.Vault.ID == vaultID, Accounts: []besideAccount{}, Missing: []ipc.Account{}}
	key := func(a ipc.Account) string {
		if doc.Own {
			return a.ID
		}
		return strings.ToLower(a.Issuer) + "\x00" + strings.ToLower(a.Name)
	}
	there := map[string]ipc.Account{}
	for _, a := range live.Accounts {
		there[key(a)] = a
	}
	for _, a := range accounts {
		x := besideAccount{ID: a.ID, Live: besideAdded}
		if l, ok := there[key(a)]; ok {
			x.Live = besideSame
			if x.Differs = differences(a, l); x.Differs != nil {
				x.Live = besideDiffers
			}
			delete(there, key(a))
		}
		doc.Accounts = append(doc.Accounts, x)
	}
	for _, a := range live.Accounts {
		if l, ok := there[key(a)]; ok && l.ID == a.ID {
			doc.Missing = append(doc.Missing, a)
		}
	}
	return doc
}

// differences names the settings that differ; nil where none does.
func differences(a, b ipc.Account) []string {
	var list []string
	add := func(name string, other bool) {
		if other {
			list = append(list, name)
		}
	}
	count := func(a ipc.Account) uint64 {
		if a.Counter == nil {
			return 0
		}
		return *a.Counter
	}
	add("issuer", a.Issuer != b.Issuer)
	add("name", a.Name != b.Name)
	add("note", a.Note != b.Note)
	add("class", a.Class != b.Class)
	add("type", a.Type != b.Type)
	add("algorithm", a.Algorithm != b.Algorithm)
	add("digits", a.Digits != b.Digits)
	add("period", a.Period != b.Period)
	add("counter", count(a) != count(b))
	return list
}

// besideTable lists the accounts of a backup, with what a restore would do with
// them where that is known.
func besideTable(accounts []ipc.Account, beside *besideDocument) *table {
	if beside == nil {
		return accountTable(accounts)
	}
	t := &table{head: []string{"#", "ACCOUNT", "CLASS", "TYPE", "ID", "HERE"}, flexible: 1, below: []int{5}}
	for i, a := range accounts {
		t.add(strconv.Itoa(i+1), accountName(a.Issuer, a.Name), a.Class, typeText(a), a.ID,
			hereText(beside.Accounts[i].Live, beside.Accounts[i].Differs))
	}
	return t
}

// hereText says how an account of a backup stands to the vault.
func hereText(live string, differs []string) string {
	if live == besideDiffers {
		return live + ": " + strings.Join(differs, ", ")
	}
	return live
}

// sayBeside says what a restore would bring and what the backup has not.
func (c *cli) sayBeside(d *besideDocument) {
	if d == nil {
		return
	}
	counts := map[string]int{}
	for _, a := range d.Accounts {
		counts[a.Live]++
	}
	if !d.Own {
		c.say("it is of another vault than yours here (%s); accounts were compared by name", clean(d.VaultID))
	}
	c.sayCompared(counts, d.Missing)
}

func (c *cli) sayCompared(counts map[string]int, missing []ipc.Account) {
	c.say("beside your vault: %d the same, %d that differ, %d that a restore would add", counts[besideSame], counts[besideDiffers], counts[besideAdded])
	if len(missing) == 0 {
		return
	}
	c.say("%s of your vault not in this backup:", either(len(missing) == 1, "1 account", strconv.Itoa(len(missing))+" accounts"))
	const most = 20
	for _, a := range missing[:min(most, len(missing))] {
		c.say("  - %s", accountName(a.Issuer, a.Name))
	}
	if len(missing) > most {
		c.say("  and %d more", len(missing)-most)
	}
	c.say("a backup that has them: `tokenctl backup create FILE`")
}
