package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) backupCommand() *cobra.Command {
	return group("backup", "Make, check and restore backups",
		c.backupCreateCommand(), c.backupFindCommand(), c.backupInspectCommand(), c.backupVerifyCommand(),
		c.backupDrillCommand(), c.backupRestoreCommand(), c.backupUndoCommand(),
		c.backupRunCommand(), c.backupListCommand(), c.backupStatusCommand(), c.backupDestinationCommand(), c.backupScheduleCommand())
}

// createDocument is the --json form of backup create: the daemon's document
// without the bytes, which are in the file.
type createDocument struct {
	Version    int    `json:"version"`
	File       string `json:"file"`
	VaultID    string `json:"vault_id"`
	Generation uint64 `json:"generation"`
	SHA256     string `json:"sha256"`
	Bytes      int    `json:"bytes"`
	// Accounts is left out while the vault is locked: nobody can count them then.
	Accounts *int `json:"accounts,omitempty"`
	// Managed is how many of them an authority has issued: their secrets are in no
	// backup. It is left out where there are none, or nobody can count them.
	Managed  int      `json:"managed,omitempty"`
	OpenedBy []string `json:"opened_by"`
	// Checkpoint is the file beside it with a checkpoint of the audit log; left out
	// where there is none.
	Checkpoint string `json:"checkpoint,omitempty"`
}

func (c *cli) backupCreateCommand() *cobra.Command {
	var list bool
	var f authFlags
	cmd := &cobra.Command{
		Use: "create FILE", Short: "Write a backup to a new file", Args: named(1, "FILE (a new file, or a folder that is there)"),
		Long: `Write a backup of the vault to a new file, or into a folder under a name of its
own. It needs no token and works while the vault is locked. A file that is there
is never overwritten. What opens the backup is what opens the vault now.

Where the vault is open, a checkpoint of the audit log is written beside it, as
FILE.checkpoint: tokenctl audit verify --checkpoint FILE.checkpoint. Nothing needs it
for a restore.

With --json the number of accounts is left out while the vault is locked.

With --list-only it is no backup but a list of the accounts, without any secret and
without notes: for the papers that tell which services to visit when everything
else is lost. That one needs the vault open.`,
		Example: "  tokenctl backup create ~/vault-backup.tokend\n  tokenctl backup create /media/usb",
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return c.createList(cmd.Context(), &f, args[0])
			}
			doc, err := c.createBackup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(doc)
			}
			c.print("%s  %s", doc.SHA256, clean(doc.File))
			c.sayBackup(doc)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&list, "list-only", false, "write a list of the accounts, without secrets: nothing can be restored from it")
	fl.StringVar(&f.pinFile, "pin-file", "", "with --list-only, where the vault is locked: read the PIN from `FILE`")
	return cmd
}

func (c *cli) sayBackup(doc createDocument) {
	accounts := ""
	if doc.Accounts != nil {
		accounts = ", " + plural(*doc.Accounts, "account")
	}
	c.say("wrote and read back %s%s: state %d of vault %s", plural(doc.Bytes, "byte"), accounts, doc.Generation, clean(doc.VaultID))
	c.say("it opens with: %s", clean(orDash(strings.Join(doc.OpenedBy, ", "))))
	if doc.Managed > 0 {
		for _, line := range adviceManagedInBackup(doc.Managed) {
			c.say("%s", line)
		}
	}
	c.say("keep a copy on another machine or stick; try this one: tokenctl backup verify %s", clean(quoted(doc.File)))
}

// createBackup gets a backup and writes it as a new file of the user's.
func (c *cli) createBackup(ctx context.Context, path string) (createDocument, error) {
	doing := "write the backup " + path
	isFolder := func(p string) bool { info, err := os.Stat(p); return err == nil && info.IsDir() }
	if _, err := os.Lstat(path); err == nil && !isFolder(path) {
		// Before the daemon makes one in vain.
		return createDocument{}, writeFailure(doing, fs.ErrExist)
	}
	b, err := c.daemon().CreateBackup(ctx)
	if err != nil {
		return createDocument{}, fail(doing, err)
	}
	sum := sha256.Sum256(b.Data)
	if got := hex.EncodeToString(sum[:]); got != b.SHA256 {
		return createDocument{}, failWith(doing, &ipc.Error{Kind: ipc.BackupDamaged, Message: "it was damaged on its way from the daemon"}, adviceDamagedOnWay()...)
	}
	if isFolder(path) {
		path = filepath.Join(path, safeName(b.Name))
	}
	if err := writeNew(path, b.Data); err != nil {
		return createDocument{}, writeFailure(doing, err)
	}
	if err := c.readBack(path, b.SHA256); err != nil {
		return createDocument{}, err
	}
	c.confirmBackup(ctx, path, b.SHA256)
	doc := createDocument{Version: ipc.Version, File: path, VaultID: b.VaultID, Generation: b.Generation,
		SHA256: b.SHA256, Bytes: len(b.Data), OpenedBy: b.OpenedBy}
	if b.Accounts >= 0 {
		doc.Accounts, doc.Managed = &b.Accounts, c.countManaged(ctx)
	}
	doc.Checkpoint = c.checkpointBeside(ctx, path)
	return doc, nil
}

// countManaged is how many accounts an authority has issued; 0 where that cannot be
// told.
func (c *cli) countManaged(ctx context.Context) (n int) {
	list, err := c.daemon().Accounts(ctx)
	if err != nil {
		return 0
	}
	for _, a := range list.Accounts {
		if a.Kind == "managed" {
			n++
		}
	}
	return n
}

// checkpointBeside writes a checkpoint of the audit log beside a backup, whose own
// format has no room for it, and returns the file's name. A locked vault signs none,
// and the backup is as good without.
func (c *cli) checkpointBeside(ctx context.Context, path string) string {
	point, err := c.daemon().CheckpointAudit(ctx)
	if err != nil {
		return ""
	}
	path += copies.PointSuffix
	if err := writeNew(path, []byte(point.Checkpoint+"\n")); err != nil {
		c.say("the backup is written; a checkpoint of the audit log beside it could not be: %s", plain(err))
		return ""
	}
	return path
}

// confirmBackup tells the daemon that the file is there, whole. Without that the
// backup is as good; only status does not know of it.
func (c *cli) confirmBackup(ctx context.Context, path, sum string) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if _, err := c.daemon().ConfirmBackup(ctx, ipc.ConfirmBackupRequest{Name: path, SHA256: sum, Elsewhere: c.elsewhere(ctx, path)}); err != nil {
		c.say("the backup is written, but the daemon could not be told: `tokenctl status` does not count it")
	}
}

// safeName is a file name from the daemon that cannot lead out of the folder.
func safeName(name string) string {
	name = filepath.Base(filepath.Clean("/" + strings.ReplaceAll(name, `\`, "/")))
	if name == "/" || name == "." || name == string(filepath.Separator) {
		return "vault-backup.tokend"
	}
	return name
}

// writeNew writes a file that must not exist, so that it is either complete and
// on the disk, or not there.
func writeNew(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".tokenctl-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = (copies.OS{}).Place(tmp.Name(), path); err != nil {
		return err
	}
	return copies.OS{}.SyncDir(dir)
}

// mayWriteNew says whether writeNew could write to a path, and leaves nothing there: for
// what is made once and could not be shown again.
func mayWriteNew(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tokenctl-*")
	if err != nil {
		return err
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

// readBack compares what is in the file with what was to be written.
func (c *cli) readBack(path, want string) error {
	data, err := c.readFile(path, maxBackupFile, false)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != want {
		_ = os.Remove(path)
		return failWith("write the backup "+path, &ipc.Error{Kind: ipc.BackupDamaged, Message: "what was read back is not what was written"},
			adviceBadDisk()...)
	}
	return nil
}

func (c *cli) backupRestoreCommand() *cobra.Command {
	var f authFlags
	var pf planFlags
	var signer string
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make your vault from a backup, or bring its accounts into yours", Args: named(1, "FILE"),
		Long: `Make a vault from a backup, on this or any machine, with a token that was
enrolled when it was made, or with the recovery password of that time. A vault
that cannot be used (damaged, replaced, rolled back) gives way; its files are put
aside and you are told where.

Where there is a vault that can be used, the backup's accounts are compared with
its own, and the plan is shown: what is missing is added, what is there stays. In
a conflict, nothing is done until it is decided, by a flag or at the terminal.
NAME is the number of an item in the plan, issuer:name, or name. --apply does it;
tokenctl backup undo takes it back.`,
		Example: "  tokenctl backup restore backup.tokend\n  tokenctl backup restore backup.tokend --recovery\n" +
			"  tokenctl backup restore other.tokend --keep --replace GitHub:alice --apply",
	}
	pf.add(cmd)
	cmd.Flags().StringVar(&signer, "signer", "", "accept only a backup signed by `FINGERPRINT`")
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		doing := "restore " + args[0]
		if err := checkSigner(signer); err != nil {
			return err
		}
		data, a, err := c.parseBackup(ctx, args[0])
		if err != nil {
			return fail(doing, err)
		}
		if signer != "" && !strings.EqualFold(signer, a.Manifest.Signer) {
			return failWith(doing, &ipc.Error{Kind: ipc.VaultReplaced, Message: "it was signed by " + a.Manifest.Signer}, adviceOtherSigner()...)
		}
		merge, err := c.vaultIsThere(ctx)
		if err != nil {
			return fail(doing, err)
		}
		if merge {
			return c.mergeBackup(ctx, args[0], data, a, strings.ToLower(signer), &f, &pf)
		}
		if err := pf.mustBeUnset(); err != nil {
			return err
		}
		c.sayBackupFound(a)
		res, err := c.restore(ctx, &f, ipc.RestoreBackupRequest{Data: data, Signer: strings.ToLower(signer), From: readFrom(args[0])})
		if err != nil {
			return restoreFailure(doing, args[0], a.Manifest.Signer, c.withLostPassword(doing, a, err))
		}
		if c.json {
			return c.printJSON(res)
		}
		c.sayRestored(res, a, signer != "")
		c.sayGoOn(ctx)
		return nil
	}
	return cmd
}

// sayGoOn says what a vault that was just restored still needs.
func (c *cli) sayGoOn(ctx context.Context) {
	if st, err := c.daemon().Status(ctx); err == nil {
		c.sayAfterLoss(st)
	}
	if list, err := c.daemon().Destinations(ctx); err == nil && len(list.Destinations) == 0 {
		c.say("no backup knows where backups are copied to, nor when one was proved: %s", adviceDestination())
	}
}

// restore makes the vault. At a terminal, where no token opens the backup, the
// recovery password is asked for.
func (c *cli) restore(ctx context.Context, f *authFlags, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error) {
	var res ipc.RestoreResult
	call := func(ctx context.Context, a ipc.Auth) (err error) {
		r.Auth = a
		res, err = c.daemon().RestoreBackup(ctx, r)
		return err
	}
	auth, err := f.load(ctx, c)
	if err != nil {
		return res, err
	}
	defer wipeAuth(&auth)
	err = c.withPIN(ctx, &auth, f.attempt(), call)
	switch ipc.KindOf(err) {
	case ipc.TokenNotPresent, ipc.NoKeyslot:
		if f.given() || !c.canAsk() {
			return res, err
		}
		c.say("no token that is plugged in opens this backup")
		if err = c.askRecovery(ctx, &auth); err != nil {
			return res, err
		}
		err = c.withPIN(ctx, &auth, attempt{given: true, typed: true}, call)
	}
	return res, err
}

// readFrom is where a backup was read from, for the daemon to know it by; empty
// where the daemon could not note the path.
func readFrom(path string) ipc.BackupFile {
	abs, err := filepath.Abs(path)
	if err != nil || len(abs) > 4096 || clean(abs) != abs {
		return ipc.BackupFile{}
	}
	dir := filepath.Dir(abs)
	return ipc.BackupFile{Path: abs, Volume: copies.OS{}.Volume(dir), Synced: copies.Known(dir).Kind == copies.KindSync}
}

// checkSigner refuses what cannot be a fingerprint; empty is none.
func checkSigner(signer string) error {
	if b, err := hex.DecodeString(signer); signer != "" && (err != nil || len(b) != sha256.Size) {
		return usage(fmt.Sprintf("--signer takes a fingerprint, which has %d hexadecimal digits", 2*sha256.Size), adviceSigner()...)
	}
	return nil
}

// restoreFailure gives a failed restore the advice that fits it: that of the
// kinds speaks of a vault that is there.
func restoreFailure(doing, path, signer string, err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	if hints := adviceRestore(ipc.KindOf(err), path, signer); hints != nil {
		return failWith(doing, err, hints...)
	}
	return fail(doing, err)
}

func (c *cli) sayBackupFound(a *archive.Archive) {
	c.say("vault %s, state %d, written %s", clean(a.Manifest.VaultID), a.Manifest.Generation, ago(c.now(), a.Manifest.Time))
	c.say("signed by %s", clean(a.Manifest.Signer))
}

// sayRestored says what was restored. Only the recovery key proves who signed a
// backup, or a fingerprint that was demanded; a token opens what anybody sealed
// to it.
func (c *cli) sayRestored(res ipc.RestoreResult, a *archive.Archive, demanded bool) {
	c.show(accountTable(res.Accounts))
	c.say("restored %s; the vault is unlocked%s", plural(len(res.Accounts), "account"), by(res.Vault.UnlockedBy))
	if !demanded && res.Vault.UnlockedBy != "recovery password" && res.Vault.UnlockedBy != "recovery key" {
		c.say("compare the signer with the one that you noted when the vault was made, or when a token was last revoked: %s", clean(a.Manifest.Signer))
		c.say("  if it is another, somebody else made this backup: do not use the vault")
	}
	c.warn(res.Notices)
	for _, line := range adviceInactives(res.Accounts) {
		c.say("%s", line)
	}
}

// sayAfterLoss says how to go on where the recovery password opened the vault and
// none of its tokens is plugged in: they may be lost.
func (c *cli) sayAfterLoss(st ipc.Status) {
	if st.Vault.State != ipc.VaultUnlocked || st.Vault.UnlockedBy != "recovery password" && st.Vault.UnlockedBy != "recovery key" {
		return
	}
	var gone []ipc.Token
	for _, t := range st.Tokens {
		switch {
		case t.Enrolled && t.Present:
			return
		case t.Enrolled:
			gone = append(gone, t)
		}
	}
	for _, line := range adviceAfterLoss(gone) {
		c.say("%s", clean(line))
	}
}

// parseBackup reads a backup file and checks its structure and signature.
func (c *cli) parseBackup(ctx context.Context, path string) ([]byte, *archive.Archive, error) {
	b := c.lookAt(ctx, path)
	if b.problem != nil {
		return nil, nil, c.backupFailure(ctx, b, "read "+path)
	}
	return b.data, b.archive, nil
}

// archiveFailure gives an error of package archive its kind.
func archiveFailure(doing string, err error) error {
	e := &ipc.Error{Kind: ipc.Internal, Message: err.Error()}
	switch {
	case errors.Is(err, archive.ErrNotArchive):
		e.Kind = ipc.BackupDamaged
		return failWith(doing, e, adviceNotArchive()...)
	case errors.Is(err, archive.ErrNewer):
		e.Kind = ipc.NewerVersion
	case errors.Is(err, archive.ErrKeyTyped):
		e.Kind = ipc.InvalidArgument
		return failWith(doing, e, adviceKeyTyped()...)
	case errors.Is(err, archive.ErrWrongPassword):
		e.Kind = ipc.WrongPassword
		return failWith(doing, e, adviceWrongBackupPassword()...)
	case errors.Is(err, archive.ErrNoRecovery):
		e.Kind = ipc.WrongPassword
		return failWith(doing, e, adviceNoRecoveryInBackup()...)
	case errors.Is(err, archive.ErrDamaged), archive.IsDamage(err):
		e.Kind = ipc.BackupDamaged
	}
	return fail(doing, e)
}
