package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// inspectFlags are those of inspect, verify and drill.
type inspectFlags struct {
	auth   authFlags
	signer string
}

func (f *inspectFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.auth.token, "token", "", "open it with this `TOKEN` (label or id), or with any that is plugged in: any; needs the daemon")
	fl.StringVar(&f.signer, "signer", "", "fail unless it was signed by `FINGERPRINT`")
	f.auth.addWithoutToken(cmd)
}

// anyToken is the TOKEN that means whichever is plugged in.
const anyToken = "any"

// byToken says that a token opens it: one is named, or a PIN is given, which is a
// token's.
func (f *inspectFlags) byToken() bool { return f.auth.token != "" || f.auth.pinFile != "" }

// backupFiles takes at least need files.
func backupFiles(need int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if token := cmd.Flag("token").Value.String(); strings.HasPrefix(token, "-") || token != "" && isThere(token) {
			return usage("--token takes the name of a token, and was given "+clean(token), adviceAnyToken()...)
		}
		if len(args) < need {
			return named(need, "FILE")(cmd, args)
		}
		for _, a := range args {
			if strings.TrimSpace(a) == "" {
				return usage("FILE is empty", adviceHelp(cmd.CommandPath())...)
			}
		}
		return nil
	}
}

// inspectDocument is the --json form of inspect and verify, for one file.
type inspectDocument struct {
	Version     int           `json:"version"`
	File        string        `json:"file"`
	VaultID     string        `json:"vault_id,omitempty"`
	Epoch       uint64        `json:"epoch,omitempty"`
	Generation  uint64        `json:"generation,omitempty"`
	Written     time.Time     `json:"written,omitzero"`
	Signer      string        `json:"signer,omitempty"`
	RecoverySet time.Time     `json:"recovery_set,omitzero"`
	OpenedBy    []string      `json:"opened_by"`
	Bytes       int           `json:"bytes"`
	Opened      bool          `json:"opened"`
	Accounts    []ipc.Account `json:"accounts,omitempty"`
	// Verified says that every secret in it was opened and made a code.
	Verified bool `json:"verified,omitempty"`
	// Unproved are the accounts of which that cannot be said, with the reason.
	Unproved []ipc.Item `json:"unproved,omitempty"`
	// Beside is how it compares with the vault, where that is unlocked.
	Beside *besideDocument `json:"beside,omitempty"`
	// Cause and Error say why nothing more is known of a file among several.
	Cause fileCause  `json:"cause,omitempty"`
	Error *ipc.Error `json:"error,omitempty"`
}

// severalDocument is the --json form for several files.
type severalDocument struct {
	Version int               `json:"version"`
	Files   []inspectDocument `json:"files"`
}

const inspectHelp = `Say what a backup file is: its vault, when it was written, who signed it and what
opens it. Nothing is restored and no daemon is needed. Names of accounts are
sealed: they are listed after it is opened, with the recovery password of its
time (--recovery, --recovery-password-file, --recovery-key-file) or with a token
(--token). Where your vault is unlocked they are compared with it: what a restore
would add, what differs, and what is missing in the backup.

Several files can be given, or a folder; each is judged. The exit code is that of
the worst.`

func (c *cli) backupInspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use: "inspect FILE...", Short: "Say what is in a backup", Long: inspectHelp, Args: backupFiles(1),
		Example: "  tokenctl backup inspect backup.tokend\n  tokenctl backup inspect backup.tokend --recovery\n  tokenctl backup inspect ~/Backups",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspectFiles(cmd.Context(), &f, args, false)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) backupVerifyCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use: "verify FILE...", Short: "Prove that a backup can be restored", Args: backupFiles(1),
		Long: `Check that files are backups that can be restored: each is whole, opens, and every
secret in it makes a code, in memory. At a terminal the recovery password is asked
for, unless a token (--token) opens it. A backup that was never opened is a hope.
Nothing is restored, and no daemon is needed but for --token, so that it can be
done on any machine. Several files can be given, or a folder; each is judged. The
exit code is that of the worst.

"tokenctl backup drill" does the same with one backup, compares it with your vault
and remembers the day: "tokenctl backup status" asks for one now and then.`,
		Example: "  tokenctl backup verify backup.tokend\n  tokenctl backup verify backup.tokend --token any\n  tokenctl backup verify /media/usb",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspectFiles(cmd.Context(), &f, args, true)
		},
	}
	f.add(cmd)
	return cmd
}

// inspectFiles judges each file; a folder stands for the backups in it.
func (c *cli) inspectFiles(ctx context.Context, f *inspectFlags, args []string, verify bool) error {
	if err := checkSigner(f.signer); err != nil {
		return err
	}
	o := &opener{cli: c, f: f}
	defer o.wipe()
	paths, several := backupsIn(args)
	if !several {
		return c.inspect(ctx, o, paths[0], verify)
	}
	if len(paths) == 0 {
		return fail("read "+args[0], (&backupFile{path: args[0], problem: problemOf(causeFolder, "no backup is in this folder")}).failure("read "+args[0]))
	}
	all := severalDocument{Version: ipc.Version, Files: []inspectDocument{}}
	worst := 0
	for i, path := range paths {
		if i > 0 && !c.json {
			c.say("")
		}
		if !c.json {
			c.print("%s", clean(path))
		}
		doc, err := c.inspectOne(ctx, o, path, verify)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			e := asError(ctx, err)
			doc.Error = e
			worst = max(worst, e.Kind.Info().Exit)
			c.explain(err, e)
		}
		all.Files = append(all.Files, doc)
	}
	if c.json {
		if err := c.printJSON(all); err != nil {
			return err
		}
	}
	if worst != 0 {
		return silent{worst}
	}
	return nil
}

// backupsIn expands folders. several says that more than one file was meant.
func backupsIn(args []string) (paths []string, several bool) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil || !info.IsDir() {
			paths = append(paths, arg)
			continue
		}
		several = true
		entries, _ := os.ReadDir(arg) // what cannot be listed has nothing in it
		for _, e := range entries {
			if name, ok := backupNamed(e.Name()); ok && !e.IsDir() {
				paths = append(paths, filepath.Join(arg, name))
			}
		}
	}
	return slices.Compact(paths), several || len(args) > 1
}

// inspect is inspectFiles for the one file that was named.
func (c *cli) inspect(ctx context.Context, o *opener, path string, verify bool) error {
	doc, err := c.inspectOne(ctx, o, path, verify)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(doc)
	}
	return nil
}

// inspectOne looks at one file, opens it where it is asked to, and tells a person
// of it.
func (c *cli) inspectOne(ctx context.Context, o *opener, path string, verify bool) (inspectDocument, error) {
	doing := either(verify, "verify ", "inspect ") + path
	b := c.lookAt(ctx, path)
	if b.problem != nil {
		doc := inspectDocument{Version: ipc.Version, File: path, OpenedBy: []string{}, Bytes: len(b.data), Cause: b.problem.cause}
		if b.problem.cause == causeListOnly && !verify {
			return doc, c.inspectList(b, &doc)
		}
		return doc, c.backupFailure(ctx, b, doing)
	}
	doc := describe(path, b.data, b.archive)
	if f := o.f; f.signer != "" && !strings.EqualFold(f.signer, doc.Signer) {
		return doc, failWith(doing, &ipc.Error{Kind: ipc.VaultReplaced, Message: "it was signed by " + doc.Signer}, adviceOtherSigner()...)
	}
	if !c.json {
		c.showPairs(c.inspectTable(doc))
	}
	if err := o.open(ctx, b, &doc, verify); err != nil {
		return doc, fail(doing, err)
	}
	if !doc.Opened {
		c.sayUnlessJSON("it is whole; it was not opened, so nothing is said of its accounts")
		return doc, nil
	}
	doc.Beside = c.beside(ctx, doc.VaultID, doc.Accounts)
	if !c.json {
		c.show(besideTable(doc.Accounts, doc.Beside))
		c.sayOpened(doc)
	}
	return doc, unprovedFailure(doing, doc.Unproved)
}

func (c *cli) sayUnlessJSON(text string) {
	if !c.json {
		c.say("%s", text)
	}
}

func (c *cli) sayOpened(doc inspectDocument) {
	if len(doc.Accounts) == 0 {
		c.say("%s", adviceNoAccounts())
		return
	}
	done := "it is whole and was opened: "
	if doc.Verified {
		done = "it is whole, every secret in it was opened and made a code: "
	}
	c.say("%s%s", done, plural(len(doc.Accounts), "account"))
	c.sayBeside(doc.Beside)
}

// unprovedFailure is how a backup fails of which not every account could be used.
func unprovedFailure(doing string, list []ipc.Item) error {
	if len(list) == 0 {
		return nil
	}
	kind, hints, what := ipc.NoKeyslot, adviceSealed(), "could not be opened by it"
	if slices.ContainsFunc(list, func(i ipc.Item) bool { return i.Reason != sealedReason }) {
		kind, hints, what = ipc.BackupDamaged, adviceBroken(), "cannot be used"
	}
	e := &ipc.Error{Kind: kind, Message: "the file is whole, and " + plural(len(list), "account") + " in it " + what, Items: list}
	return failWith(doing, e, hints...)
}

// sealedReason is why an account that needs a touch was not used.
const sealedReason = "it needs a touch"

func describe(path string, data []byte, a *archive.Archive) inspectDocument {
	m := a.Manifest
	doc := inspectDocument{Version: ipc.Version, File: path, VaultID: m.VaultID, Epoch: m.Epoch, Generation: m.Generation,
		Written: m.Time, Signer: m.Signer, RecoverySet: a.Header.RecoverySet, Bytes: len(data), OpenedBy: []string{}}
	for _, k := range a.Header.Keyslots {
		doc.OpenedBy = append(doc.OpenedBy, keyslotText(k))
	}
	if a.HasRecovery() {
		doc.OpenedBy = append(doc.OpenedBy, "recovery password")
	}
	return doc
}

// keyslotText says which token a keyslot is for.
func keyslotText(k archive.Keyslot) string {
	s := k.Label
	if s == "" {
		s = k.Kind
	}
	if k.Kind == "soft" {
		// Its key file is never in a backup.
		s += " (where its key file still is)"
	}
	return s
}

func (c *cli) inspectTable(doc inspectDocument) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("vault", doc.VaultID)
	t.add("state", strconv.FormatUint(doc.Generation, 10)+", epoch "+strconv.FormatUint(doc.Epoch, 10))
	t.add("written", ago(c.now(), doc.Written))
	t.add("signed by", doc.Signer)
	if device := deviceOf(doc.File); device != "" {
		t.add("device", device)
	}
	for _, o := range doc.OpenedBy {
		if o == "recovery password" && !doc.RecoverySet.IsZero() {
			o += ", set " + ago(c.now(), doc.RecoverySet)
		}
		t.add("opens with", o)
	}
	return t
}

func wireAccount(x archive.Account) ipc.Account {
	a := ipc.Account{ID: x.ID, Issuer: x.Issuer, Name: x.Name, Note: x.Note, Kind: x.Kind, Class: x.Class, Type: x.Type,
		Algorithm: x.Algorithm, Digits: x.Digits, Period: x.Period, Created: x.Created}
	if x.Type == "hotp" {
		a.Counter = &x.Counter
	}
	return a
}

// isKind says whether an error is of a kind.
func isKind(err error, kind ipc.Kind) bool {
	var e *ipc.Error
	return errors.As(err, &e) && e.Kind == kind
}
