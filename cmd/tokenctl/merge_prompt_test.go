//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// aBackup is a backup in a folder of its own.
func aBackup(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.tokend")
	if err := os.WriteFile(path, sampleBackup(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// At a terminal each conflict is asked about, the plan is shown, and it is done
// only after a word. The PIN is typed once for all of it.
func TestRestoreAsksAboutConflicts(t *testing.T) {
	f := opened("Example from the backup session totp")
	f.accounts[0].Name = "from the backup"
	f.status.Vault.State = ipc.VaultIsLocked
	path := aBackup(t)
	x := at(t, f, "backup", "restore", path)
	x.sees(`PIN for YubiKey`).types(fakePIN + "\n")
	x.sees(`ITEM +ACTION +ACCOUNT +WHY`).sees(`1 +conflict +Example:from the backup +another secret is there`).sees(`1 conflict\r`)
	x.sees(`item 1, Example:from the backup: another secret is there`)
	x.sees(`keep, replace, rename, leave or all \[keep\]: `).types("burn\n").sees("please type one of the words")
	x.sees(`\[keep\]: `).types("rename\n").sees("New name: ").types("\n").sees("nothing is decided yet")
	x.sees(`\[keep\]: `).types("rename\n").sees("New name: ").types("second\n")
	x.sees(`1 +rename +Example:second`).sees(`Apply this\? \(yes/no\) \[yes\]: `).types("no\n")
	x.sees("nothing was changed; do it:").sees(`--rename .?1=Example:second.? --apply`).ends(0)
	if len(f.accounts) != 1 {
		t.Fatalf("%+v", f.accounts)
	}
	if n := strings.Count(f.tried(), fakePIN); n > 3 {
		t.Errorf("the PIN was tried as %q", f.tried())
	}
	x = at(t, f, "backup", "restore", path)
	x.sees(`PIN for YubiKey`).types(fakePIN + "\n")
	x.sees(`\[keep\]: `).types("rename\n").sees("New name: ").types("Work:third\n")
	x.sees(`Apply this\?`).types("\n").sees("done: 1 renamed").sees("tokenctl backup undo undo1").ends(0)
	if len(f.accounts) != 2 || f.accounts[1].Issuer != "Work" || f.accounts[1].Name != "third" {
		t.Fatalf("%+v", f.accounts)
	}
	// What is kept is nothing to do.
	x = at(t, f, "backup", "restore", path)
	x.sees(`PIN for YubiKey`).types(fakePIN + "\n")
	x.sees(`\[keep\]: `).types("\n").sees("there is nothing to do").ends(0)
	for _, word := range []string{"leave", "all"} {
		x = at(t, f, "backup", "restore", path)
		x.sees(`PIN for YubiKey`).types(fakePIN + "\n")
		x.sees(`\[keep\]: `).types(word + "\n").sees("there is nothing to do").ends(0)
	}
}

// What was shown is taken back, also where another program imported something before
// the answer came.
func TestUndoTakesBackWhatWasShown(t *testing.T) {
	f := opened("Example me session totp")
	f.undos = []ipc.UndoStep{{ID: "00000000000000a1", Source: "mine", Added: 1}}
	x := at(t, f, "backup", "undo")
	x.sees(`1 +remove +of 00000000000000a1`).sees(`Apply this\?`)
	f.mu.Lock()
	f.undos = append([]ipc.UndoStep{{ID: "00000000000000b2", Source: "another's", Added: 1}}, f.undos...)
	f.mu.Unlock()
	x.types("\n").sees("done: 1 removed").ends(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.undid != "00000000000000a1" {
		t.Errorf("%q was taken back", f.undid)
	}
}

// Long plans fit the terminal: what needs no word is counted.
func TestPlanFitsTheTerminal(t *testing.T) {
	p := ipc.Plan{Same: 40, Added: 1, Conflicts: 1}
	long := strings.Repeat("a very long name of an account ", 8)
	for range 40 {
		p.Items = append(p.Items, ipc.PlanItem{Item: "1", Action: "same", Account: ipc.Account{Name: "x"}})
	}
	p.Items = append(p.Items, ipc.PlanItem{Item: "41", Action: "add", Account: ipc.Account{Issuer: long, Name: long}, Reason: long},
		ipc.PlanItem{Item: "42", Action: "conflict", Account: ipc.Account{Issuer: "a\x1b[2Jb", Name: "x", Digits: 8},
			Existing: &ipc.Account{Name: "y", Digits: 6}, Differs: []string{"digits"}, Reason: "the secret is the same"})
	var out, said strings.Builder
	c := &cli{out: &out, err: &said, outTTY: true, outWidth: func() int { return 80 }}
	c.showPlan(p)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if !strings.Contains(said.String(), "and 40 accounts that are there already") {
		t.Fatalf("%q\n%q", lines, said.String())
	}
	for _, l := range lines {
		if columns(l) > 80 || strings.Contains(l, "\x1b") {
			t.Errorf("%q", l)
		}
	}
	if !strings.Contains(out.String(), "the secret is the same, and not the rest: 8 digits, 6 there") {
		t.Errorf("%q", lines)
	}
	out.Reset()
	c.outTTY = false
	c.showPlan(p)
	if n := strings.Count(out.String(), "\n"); n != 42 {
		t.Errorf("%d lines in a pipe", n)
	}
}

func TestNamesOfItems(t *testing.T) {
	items := []ipc.PlanItem{
		{Item: "1", Account: ipc.Account{Issuer: "GitHub", Name: "me"}}, {Item: "2", Account: ipc.Account{Issuer: "GitLab", Name: "me"}},
		{Item: "3", Account: ipc.Account{Name: "a=b"}}, {Item: "4", Account: ipc.Account{Issuer: "github", Name: "other"}},
	}
	for ref, want := range map[string]string{"2": "2", "GitHub:me": "1", "gitlab": "2", "A=B": "3", "other": "4", "GitHub": "1",
		"me": "", "5": "", "0": "", "-1": "", "": "", "nobody": ""} {
		got, err := findItem(items, "--leave", ref)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is item %q, %v", ref, got, err)
		}
	}
	for s, want := range map[string]ipc.Resolution{
		"1=x":           {Item: "1", Action: "rename", Issuer: "GitHub", Name: "x"},
		"a=b=c=d":       {Item: "3", Action: "rename", Name: "c=d"},
		"gitlab=New: y": {Item: "2", Action: "rename", Issuer: "New", Name: "y"},
	} {
		got, err := (&planFlags{rename: []string{s}}).resolve(items)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"1=", "=x", "nobody=x", "1", "me=x"} {
		if _, err := (&planFlags{rename: []string{s}}).resolve(items); err == nil {
			t.Errorf("%s: no failure", s)
		}
	}
}

// What a type of account has not is no difference of it.
func TestPlanWhy(t *testing.T) {
	it := ipc.PlanItem{Action: ipc.PlanConflict, Account: ipc.Account{Name: "a", Type: "totp", Period: 30}, Existing: &ipc.Account{Name: "a", Type: "hotp"},
		Differs: []string{"type", "period"}}
	if got := planWhy(&it); got != "type totp, hotp there" {
		t.Errorf("%q", got)
	}
}
