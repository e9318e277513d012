package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// merging is a backup on its way into a vault that is there.
type merging struct {
	c      *cli
	flags  *authFlags
	data   []byte
	signer string
	source string
	from   ipc.BackupFile
	// auth is what opened the backup; it is asked for once.
	auth ipc.Auth
	open bool
}

// mergeBackup brings the backup in path into the vault that is there.
func (c *cli) mergeBackup(ctx context.Context, path string, data []byte, a *archive.Archive, signer string, f *authFlags, pf *planFlags) error {
	doing := "restore " + path
	c.sayBackupFound(a)
	m := &merging{c: c, flags: f, data: data, signer: signer, source: sourceName(path), from: readFrom(path)}
	defer wipeAuth(&m.auth)
	_, err := c.runPlan(ctx, doing, "tokenctl backup restore "+quoted(path), pf, m.plan)
	if err == nil {
		return nil
	}
	var known *failure
	if errors.As(err, &known) {
		return err
	}
	return failWithOr(doing, err, adviceMerge(ipc.KindOf(err), path, a.Manifest.Signer))
}

// failWithOr is failWith where there are hints, else fail.
func failWithOr(doing string, err error, hints []string) error {
	if hints == nil {
		return fail(doing, err)
	}
	return failWith(doing, err, hints...)
}

// sourceName is what a plan calls a file: at most 256 bytes of plain text.
func sourceName(path string) string {
	name := clean(filepath.Base(path))
	for len(name) > 256 {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}

// plan is the planner of a backup.
func (m *merging) plan(ctx context.Context, d decisions) (ipc.Plan, error) {
	var p ipc.Plan
	call := func(ctx context.Context, a ipc.Auth) (err error) {
		p, err = m.c.daemon().MergeBackup(ctx, ipc.MergeBackupRequest{Auth: a, Data: m.data, Signer: m.signer, Source: m.source,
			From: m.from, Keep: d.keep, Resolve: d.resolve, Apply: d.apply})
		return err
	}
	if m.open { // it opened with this before
		return p, m.c.withPIN(ctx, &m.auth, m.flags.attempt(), call)
	}
	var err error
	if m.auth, err = m.flags.load(ctx, m.c); err != nil {
		return p, err
	}
	err = m.c.withPIN(ctx, &m.auth, m.flags.attempt(), call)
	if isLocked(err) && (m.flags.given() || m.c.canAsk()) {
		err = m.unlockAnd(ctx, call)
	}
	switch ipc.KindOf(err) {
	case ipc.TokenNotPresent, ipc.NoKeyslot:
		if m.flags.given() || !m.c.canAsk() || d.apply {
			return p, err
		}
		m.c.say("no token that is plugged in opens this backup")
		m.auth = ipc.Auth{}
		if m.auth.RecoveryPassword, err = m.c.askSecret(ctx, recoveryPrompt, "--recovery-password-file FILE"); err != nil {
			return p, err
		}
		err = m.c.withPIN(ctx, &m.auth, attempt{given: true, typed: true}, call)
	}
	m.open = err == nil
	return p, err
}

// unlockAnd unlocks the vault in passing and repeats call. A PIN that was typed
// for that goes no further than to the same token.
func (m *merging) unlockAnd(ctx context.Context, call func(context.Context, ipc.Auth) error) error {
	how := m.flags.attempt()
	if m.flags.given() {
		if err := m.c.unlockWith(ctx, &m.auth, how); err != nil {
			return err
		}
		return m.c.withPIN(ctx, &m.auth, how, call)
	}
	spare := ipc.Auth{}
	defer wipeAuth(&spare)
	if err := m.c.unlockWith(ctx, &spare, how); err != nil {
		return err
	}
	how.spare = &spare
	return m.c.withPIN(ctx, &m.auth, how, call)
}

func (c *cli) backupUndoCommand() *cobra.Command {
	var apply, list bool
	cmd := &cobra.Command{
		Use: "undo [ID]", Short: "Take back an import or a restore", Args: named(0, "ID"),
		Long: `Take back what an import or a restore into a vault did: what it added is removed,
what it replaced or called otherwise is put back. What was changed later stays. It
is shown first; --apply does it. Without ID the newest step is taken back that was
not yet. Steps are kept for 30 days, 20 at most, and end when a token is revoked or
the recovery key is rotated. HOTP counters never go back.`,
		Example: "  tokenctl backup undo --list\n  tokenctl backup undo\n  tokenctl backup undo 0123456789abcdef --apply",
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "do it, and ask nothing")
	cmd.Flags().BoolVar(&list, "list", false, "list what can be taken back")
	cmd.MarkFlagsMutuallyExclusive("apply", "list")
	var f authFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list {
			return c.listUndos(cmd.Context(), &f)
		}
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		return c.undo(cmd.Context(), id, apply, &f)
	}
	return cmd
}

func (c *cli) undo(ctx context.Context, id string, apply bool, f *authFlags) error {
	doing := "take it back"
	if id == "" && !apply {
		var err error
		if id, err = c.newestUndo(ctx, f); err != nil {
			return fail(doing, err)
		}
	}
	again := strings.TrimSpace("tokenctl backup undo " + id)
	_, err := c.runPlan(ctx, doing, again, &planFlags{apply: apply}, func(ctx context.Context, d decisions) (p ipc.Plan, err error) {
		err = c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) error {
			p, err = c.daemon().Undo(ctx, ipc.UndoRequest{ID: id, Apply: d.apply})
			return err
		})
		return p, err
	})
	if ipc.KindOf(err) == ipc.NotFound {
		return failWith(doing, err, adviceUndo()...)
	}
	return fail(doing, err)
}

// newestUndo is the step that is meant where none is named: what is shown is what is
// done, whatever another program does before the answer. Empty where there is none.
func (c *cli) newestUndo(ctx context.Context, f *authFlags) (id string, err error) {
	var res ipc.UndoList
	err = c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		res, err = c.daemon().Undos(ctx)
		return err
	})
	for _, u := range res.Undos {
		if !u.Undone && u.Undoes == "" {
			return u.ID, err
		}
	}
	return "", err
}

func (c *cli) listUndos(ctx context.Context, f *authFlags) error {
	var res ipc.UndoList
	err := c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
		res, err = c.daemon().Undos(ctx)
		return err
	})
	if err != nil {
		return fail("list what can be taken back", err)
	}
	if c.json {
		return c.printJSON(res)
	}
	t := &table{head: []string{"ID", "TIME", "DID", "FROM"}, flexible: 3}
	for _, u := range res.Undos {
		what := u.Source
		if u.Undoes != "" {
			what = "undo of " + u.Undoes
		}
		if u.Undone {
			what += " (taken back)"
		}
		did := planCounts(ipc.Plan{Added: u.Added, Replaced: u.Replaced, Renamed: u.Renamed, Removed: u.Removed}, true)
		t.add(u.ID, u.Time.Local().Format("2006-01-02 15:04"), did, what)
	}
	c.show(t)
	if len(res.Undos) == 0 {
		c.say("there is nothing to take back")
	}
	return nil
}

// vaultIsThere says whether there is a vault that a backup is merged into: one that
// can be used.
func (c *cli) vaultIsThere(ctx context.Context) (bool, error) {
	st, err := c.daemon().Status(ctx)
	if err != nil {
		return false, err
	}
	return st.Vault.State != ipc.VaultNone && !isDamaged(st), nil
}

// mustBeUnset refuses flags that decide a plan where there is no vault to compare
// with.
func (f *planFlags) mustBeUnset() error {
	if f.keep || f.names() {
		return usage("there is no vault to compare with: --keep, --replace, --rename and --leave have nothing to decide")
	}
	return nil
}
