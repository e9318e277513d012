package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// inspectFlags are those of inspect and verify.
type inspectFlags struct {
	auth   authFlags
	signer string
}

func (f *inspectFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.auth.token, "token", "", "open it with this `TOKEN`, or with any when no name is given; needs the daemon")
	fl.Lookup("token").NoOptDefVal = anyToken
	fl.StringVar(&f.signer, "signer", "", "fail unless it was signed by `FINGERPRINT`")
	f.auth.addWithoutToken(cmd)
}

// oneFile takes one argument; a second one is what follows --token after a
// space, which has to be written with "=" because the name can be left out.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) == 2 && cmd.Flags().Changed("token") {
		return usage("write a token's name after an equals sign: --token=NAME")
	}
	return named(1, "FILE")(cmd, args)
}

// anyToken is --token without a name.
const anyToken = "any"

// inspectDocument is the --json form of inspect and verify.
type inspectDocument struct {
	Version     int           `json:"version"`
	File        string        `json:"file"`
	VaultID     string        `json:"vault_id"`
	Epoch       uint64        `json:"epoch"`
	Generation  uint64        `json:"generation"`
	Written     time.Time     `json:"written"`
	Signer      string        `json:"signer"`
	RecoverySet time.Time     `json:"recovery_set,omitzero"`
	OpenedBy    []string      `json:"opened_by"`
	Bytes       int           `json:"bytes"`
	Opened      bool          `json:"opened"`
	Accounts    []ipc.Account `json:"accounts,omitempty"`
}

const inspectHelp = `Say what a backup file is: its vault, when it was written, who signed it and what
opens it. Nothing is restored and no daemon is needed. Names of accounts are
sealed: they are listed after it is opened, with the recovery password of its
time (--recovery, --recovery-password-file, --recovery-key-file) or with a token
(--token).`

func (c *cli) backupInspectCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use: "inspect FILE", Short: "Say what is in a backup", Long: inspectHelp, Args: oneFile,
		Example: "  tokenctl backup inspect backup.tokend\n  tokenctl backup inspect backup.tokend --recovery",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspect(cmd.Context(), &f, args[0], false)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) backupVerifyCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Prove that a backup can be restored", Args: oneFile,
		Long: `Check that a backup is whole, then open it and every secret in it: at a terminal
the recovery password is asked for, unless a token (--token) opens it. A backup
that was never opened is a hope. Nothing is restored.`,
		Example: "  tokenctl backup verify backup.tokend\n  tokenctl backup verify backup.tokend --token",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspect(cmd.Context(), &f, args[0], true)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) inspect(ctx context.Context, f *inspectFlags, path string, verify bool) error {
	doing := either(verify, "verify ", "inspect ") + path
	data, a, err := c.parseBackup(path)
	if err != nil {
		return fail(doing, err)
	}
	doc := describe(path, data, a)
	if err := checkSigner(f.signer); err != nil {
		return err
	}
	if f.signer != "" && !strings.EqualFold(f.signer, doc.Signer) {
		return failWith(doing, &ipc.Error{Kind: ipc.VaultReplaced, Message: "it was signed by " + doc.Signer}, adviceOtherSigner()...)
	}
	if !c.json {
		c.showPairs(c.inspectTable(doc))
	}
	switch {
	case f.auth.token != "":
		err = c.inspectByToken(ctx, f, data, &doc)
	case f.auth.given(), verify && a.HasRecovery():
		err = c.inspectByRecovery(ctx, f, a, &doc)
	case verify:
		err = failWith(doing, &ipc.Error{Kind: ipc.InvalidArgument, Message: "only a token opens it"}, adviceVerifyByToken()...)
	}
	if err != nil {
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(doc)
	}
	if doc.Opened {
		c.show(accountTable(doc.Accounts))
		c.say("it is whole and was opened: %s", plural(len(doc.Accounts), "account"))
		return nil
	}
	c.say("it is whole; it was not opened, so nothing is said of its accounts")
	return nil
}

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
	for _, o := range doc.OpenedBy {
		if o == "recovery password" && !doc.RecoverySet.IsZero() {
			o += ", set " + ago(c.now(), doc.RecoverySet)
		}
		t.add("opens with", o)
	}
	return t
}

// inspectByRecovery opens the backup here, without the daemon.
func (c *cli) inspectByRecovery(ctx context.Context, f *inspectFlags, a *archive.Archive, doc *inspectDocument) error {
	if !f.auth.given() {
		f.auth.recovery = true
	}
	auth, err := f.auth.load(ctx, c)
	if err != nil {
		return err
	}
	defer wipeAuth(&auth)
	if len(auth.PIN) > 0 {
		return usage("a PIN is for a token: add --token")
	}
	var contents *archive.Contents
	if len(auth.RecoveryKey) > 0 {
		contents, err = a.OpenRecoveryKey(auth.RecoveryKey)
	} else {
		stop := c.sayIfSlow("working: deriving a key from the password takes a moment …")
		contents, err = a.OpenPassword(auth.RecoveryPassword)
		stop()
	}
	if err != nil {
		return archiveFailure("open it", err)
	}
	defer contents.Wipe()
	if err := contents.CheckTouch(); err != nil {
		return archiveFailure("open its touch-class secrets", err)
	}
	doc.Opened = true
	doc.Accounts = []ipc.Account{}
	for _, x := range contents.Accounts {
		doc.Accounts = append(doc.Accounts, wireAccount(x))
	}
	return nil
}

func wireAccount(x archive.Account) ipc.Account {
	a := ipc.Account{ID: x.ID, Issuer: x.Issuer, Name: x.Name, Note: x.Note, Kind: x.Kind, Class: x.Class, Type: x.Type,
		Algorithm: x.Algorithm, Digits: x.Digits, Period: x.Period, Created: x.Created}
	if x.Type == "hotp" {
		a.Counter = &x.Counter
	}
	return a
}

// inspectByToken lets the daemon open it with a token.
func (c *cli) inspectByToken(ctx context.Context, f *inspectFlags, data []byte, doc *inspectDocument) error {
	if f.auth.token == anyToken {
		f.auth.token = ""
	}
	auth, err := f.auth.load(ctx, c)
	if err != nil {
		return err
	}
	defer wipeAuth(&auth)
	return c.withPIN(ctx, &auth, f.auth.attempt(), func(ctx context.Context, a ipc.Auth) error {
		res, err := c.daemon().InspectBackup(ctx, ipc.InspectBackupRequest{Auth: a, Data: data})
		if err == nil {
			doc.Opened, doc.Accounts, doc.OpenedBy = true, res.Accounts, res.OpenedBy
		}
		return err
	})
}
