//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// past is a vault with a history: copies of its state folder as it was.
type past struct {
	*Daemon
	t                    *testing.T
	one, two             string // passphrases, in files; one is revoked in the end
	oneID, twoID         string
	early, later, rotate string // the state folder: 1 account, 2 accounts, after the revoke with 3
	other                string // somebody else's
	backup               string // of the end
}

const pastAccounts = 3

func newPast(t *testing.T) *past {
	d := NewDaemon(t, programs(t), nil)
	p := &past{Daemon: d, t: t, one: File(t, "the passphrase of one"), two: File(t, "the passphrase of two")}
	p.backup = filepath.Join(t.TempDir(), "backup.tokend")
	accounts := samples(9)
	add := func(n int) {
		accounts[n].class = "session"
		d.OK(accounts[n].uri(), "account", "add", "--uri-file", "-", "--class", "session")
	}
	d.Start()
	d.OK("", "init", "--token", "soft", "--label", "other", "--pin-file", p.one, "--no-recovery-password")
	add(8)
	d.Stop()
	p.other = p.keep()
	if err := os.RemoveAll(d.State); err != nil {
		t.Fatal(err)
	}
	d.Start()
	d.OK("", "init", "--token", "soft", "--label", "one", "--pin-file", p.one, "--no-recovery-password")
	d.OK("", "token", "enroll", "--token", "soft", "--label", "two", "--pin-file", p.two, "--auth-token", "one", "--auth-pin-file", p.one)
	var list ipc.TokenList
	d.JSON(&list, "token", "list")
	for _, tok := range list.Tokens {
		switch tok.Label {
		case "one":
			p.oneID = tok.ID
		case "two":
			p.twoID = tok.ID
		}
	}
	add(0)
	p.early = p.keep()
	add(1)
	p.later = p.keep()
	d.OK("", "token", "revoke", "one", "--yes", "--auth-token", "two", "--pin-file", p.two)
	add(2)
	d.OK("", "backup", "create", p.backup)
	d.Stop()
	p.rotate = p.keep()
	return p
}

// keep copies the state folder.
func (p *past) keep() string {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "state")
	p.copy(p.State, dir)
	return dir
}

func (p *past) copy(from, to string) {
	p.t.Helper()
	if err := os.RemoveAll(to); err != nil {
		p.t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		p.t.Fatal(err)
	}
	if err := filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		} else if err == nil {
			err = os.Chmod(path, 0o600)
		}
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
}

// from puts a part of a kept state folder in the place of what is there.
func (p *past) from(kept string, parts ...string) {
	p.t.Helper()
	user := filepath.Join("users", "0")
	if matches, err := filepath.Glob(filepath.Join(kept, "users", "*")); err == nil && len(matches) == 1 {
		user = filepath.Join("users", filepath.Base(matches[0]))
	}
	for _, part := range parts {
		if part == "users" {
			p.copy(filepath.Join(kept, part), filepath.Join(p.State, part))
			continue
		}
		from, to := filepath.Join(kept, user, part), filepath.Join(p.State, user, part)
		if info, err := os.Stat(from); err == nil && info.IsDir() {
			p.copy(from, to)
			continue
		}
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestRollbackAndReplacement puts old and foreign files where the vault's are,
// while the daemon is stopped and while it runs. They are refused with what
// happened and what to do, a revoked token opens nothing, and what is advised
// brings the vault back.
func TestRollbackAndReplacement(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	const nothing = "nothing in it was used or changed"
	for _, c := range []struct {
		name  string
		base  string   // the state folder before
		kept  string   // where the parts come from that are put in place
		parts []string // of it
		words []string
		// accounts that "vault recover --apply" brings back; below zero where
		// there is nothing for it to go back to, and a backup is the way.
		recovers int
	}{
		{"the file of an earlier generation", p.later, p.early, []string{"vault.tokend"},
			[]string{"older than the newest", nothing, "older copy", "tokenctl vault recover"}, 1},
		{"the folder of an earlier day", p.later, p.early, []string{"users"},
			[]string{"older than the newest", nothing, "older copy", "tokenctl vault recover"}, 1},
		{"the file from before a revoke", p.rotate, p.later, []string{"vault.tokend"},
			[]string{"older than the newest", "is over", nothing, "a token revoked since would open it", "tokenctl vault recover", "backup restore"}, 2},
		{"the folder from before a revoke", p.rotate, p.later, []string{"users"},
			[]string{"older than the newest", "is over", nothing, "a token revoked since would open it", "backup restore"}, -1},
		{"the file and the generations from before a revoke", p.rotate, p.later, []string{"vault.tokend", "generations", "soft"},
			[]string{"older than the newest", "is over", nothing, "a token revoked since would open it", "backup restore"}, -1},
		{"somebody else's file", p.rotate, p.other, []string{"vault.tokend"},
			[]string{"not the one this daemon knows", nothing, "somebody put another in its place", "tokenctl vault recover", "backup restore"}, 2},
		{"somebody else's folder", p.rotate, p.other, []string{"users"},
			[]string{"not the one this daemon knows", nothing, "somebody put another in its place", "backup restore"}, -1},
	} {
		for _, running := range []bool{false, true} {
			if running && c.parts[0] == "users" {
				continue // the daemon holds that folder
			}
			name := c.name + ", stopped"
			if running {
				name = c.name + ", running"
			}
			t.Run(name, func(t *testing.T) {
				p.t, p.tb = t, t
				p.copy(c.base, p.State)
				if running {
					p.Start()
					p.from(c.kept, c.parts...)
				} else {
					p.from(c.kept, c.parts...)
					p.Start()
				}
				defer p.Stop()
				p.refused(c.words)
				if c.recovers >= 0 {
					p.recovers(c.recovers)
				} else {
					p.restores()
				}
			})
		}
	}
}

// refused checks that nothing opens what is there, and what is said.
func (p *past) refused(words []string) {
	p.t.Helper()
	for _, args := range [][]string{
		{"unlock", "--pin-file", p.two}, {"unlock", "--token", p.oneID, "--pin-file", p.one},
		{"code", "user00"}, {"account", "list"}, {"backup", "create", filepath.Join(p.t.TempDir(), "b")},
	} {
		p.Fails(18, "", args, words...)
	}
	if r := p.OK("", "status"); !contains(r.Stdout+r.Stderr, words) {
		p.t.Errorf("status: %s", r)
	}
	if r := p.Ctl("", "doctor"); r.Exit != 1 || !contains(r.Stdout, words[:2]) {
		p.t.Errorf("doctor: %s", r)
	}
}

func contains(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// recovers follows the advice to recover what is left.
func (p *past) recovers(accounts int) {
	p.t.Helper()
	tokens := []string{"--pin-file", p.two}
	if accounts == 1 { // of a time with two tokens
		tokens = append(tokens, "--token", p.twoID)
	}
	p.OK("", append([]string{"vault", "recover"}, tokens...)...)
	p.Fails(18, "", []string{"account", "list"}) // nothing was changed by looking
	p.OK("", append([]string{"vault", "recover", "--apply"}, tokens...)...)
	var list ipc.AccountList
	p.JSON(&list, "account", "list")
	if len(list.Accounts) != accounts {
		p.t.Errorf("%d accounts after it was recovered, want %d", len(list.Accounts), accounts)
	}
}

// restores follows the advice to bring a backup back. The software token's own
// file is in no backup: it has to be there still.
func (p *past) restores() {
	p.t.Helper()
	p.Fails(18, "", []string{"vault", "recover", "--pin-file", p.two}, "backup restore")
	p.from(p.rotate, "soft")
	r := p.OK("", "backup", "restore", p.backup, "--pin-file", p.two)
	if !contains(r.Stdout+r.Stderr, []string{"could not be used", "were kept in"}) {
		p.t.Errorf("what was put aside is not said: %s", r)
	}
	var list ipc.AccountList
	p.JSON(&list, "account", "list")
	if len(list.Accounts) != pastAccounts {
		p.t.Errorf("%d accounts after it was restored", len(list.Accounts))
	}
	p.OK("", "lock")
	if r := p.Ctl("", "unlock", "--token", p.oneID, "--pin-file", p.one); r.Exit == 0 {
		p.t.Errorf("the revoked token opens what was restored: %s", r)
	}
}
