package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

const exportHelp = `Hand out accounts, all or those that are named, for another product to read:

  --format aegis      Aegis' vault, sealed with a password that you choose
  --format google     Google Authenticator's QR codes: PNG files in a folder, or
                      in the terminal
  --format qr         a QR code for each account: PNG files in a folder, or in
                      the terminal
  --format otpauth    otpauth:// addresses, one a line
  --format bitwarden  Bitwarden's JSON

All but aegis are in the clear: whoever reads them can make the codes for ever.
Files are new, readable by you alone, and read back. It is no backup: a backup is
sealed, has everything, and comes back without loss (tokenctl backup create).

Managed accounts and those marked as not to be exported stay; each is named, and
the exit code is 20 then. So are accounts that a format cannot express.`

const exportExamples = `  tokenctl export --format aegis --output phone.json
  tokenctl export github gitlab --format google
  tokenctl export --format otpauth --output - | age -r … > codes.age`

type exportFlags struct {
	auth         authFlags
	format       string
	output       string
	passwordFile string
	yes          bool
}

func (c *cli) exportCommand() *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use: "export [ACCOUNT]...", Short: "Hand out accounts for another product", Long: exportHelp, Example: exportExamples,
		ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return fail("export", c.export(cmd.Context(), f, args))
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "", "`FORMAT`: aegis, google, qr, otpauth or bitwarden")
	fl.StringVar(&f.output, "output", "", "write to this new `FILE` (- is standard output), or into this FOLDER for pictures")
	fl.StringVar(&f.passwordFile, "password-file", "", "read the password of --format aegis from `FILE` (- is standard input)")
	fl.BoolVar(&f.yes, "yes", false, "do not ask for confirmation")
	f.auth.add(cmd)
	return cmd
}

// exportDocument is the --json form of export: what left, and where to.
type exportDocument struct {
	Version  int        `json:"version"`
	Format   string     `json:"format"`
	Sealed   bool       `json:"sealed"`
	Files    []string   `json:"files"`
	Exported []ipc.Item `json:"exported"`
	Refused  []ipc.Item `json:"refused"`
	rows     []transfer.Row
	// What was refused: by the format, and because it is managed.
	inexpressible, managed bool
}

// exporter is a format that accounts leave in.
type exporter struct {
	name string
	// sealed says that a password protects it.
	sealed bool
	// pictures says that it is QR codes: files in a folder, or the terminal.
	pictures bool
	// make gives the content of the file, or the texts of the codes and the rows
	// that are in each.
	file  func(rows []transfer.Row, password []byte) ([]byte, []transfer.Skip, error)
	codes func(rows []transfer.Row, limit int) ([]drawn, []transfer.Skip, error)
}

// drawn is a QR code to be drawn.
type drawn struct {
	text  string
	title string // for the terminal
	file  string // its name without ending
}

func (c *cli) export(ctx context.Context, f *exportFlags, args []string) error {
	e, err := c.checkExport(f)
	if err != nil {
		return err
	}
	accounts, err := c.exportAccounts(ctx, f, args)
	if err != nil {
		return err
	}
	if err := c.agreeToExport(ctx, f, e, accounts); err != nil {
		return err
	}
	password, err := c.exportPassword(ctx, f, e)
	if err != nil {
		return err
	}
	defer password.Wipe()
	doc, err := c.takeOut(ctx, f, e, accounts)
	if err != nil {
		return err
	}
	defer func() {
		for _, r := range doc.rows {
			r.Secret.Wipe()
		}
	}()
	if err := c.writeExport(ctx, f, e, doc, password); err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(doc); err != nil {
			return err
		}
	} else {
		c.sayExported(e, doc)
	}
	if len(doc.Refused) > 0 {
		return silent{ipc.RowsSkipped.Info().Exit}
	}
	return nil
}

// checkExport finds what is wrong with the flags before anything is asked.
func (c *cli) checkExport(f *exportFlags) (exporter, error) {
	formats := exporters()
	at := slices.IndexFunc(formats, func(e exporter) bool { return e.name == f.format })
	if at < 0 {
		message := fmt.Sprintf("there is no format %q", f.format)
		if f.format == "" {
			message = "--format is missing"
		}
		return exporter{}, usage(message, adviceExportFormat()...)
	}
	e := formats[at]
	switch {
	case f.passwordFile != "" && !e.sealed:
		return e, usage("--password-file is for --format aegis: "+e.name+" is in the clear", adviceExportFormat()...)
	case f.output == "" && e.pictures && c.outTTY && !c.json:
	case f.output == "":
		return e, usage("--output is missing", adviceExportOutput(e.pictures)...)
	case f.output == "-" && e.pictures:
		return e, usage("pictures go into a folder, not to standard output", adviceExportOutput(true)...)
	case f.output == "-" && c.json:
		return e, usage("--json and the export cannot both go to standard output", adviceExportOutput(false)...)
	}
	if f.output != "" && f.output != "-" {
		return e, checkNewOutput(f.output, e.pictures)
	}
	return e, nil
}

// exportAccounts are the accounts that are meant: all where none is named.
func (c *cli) exportAccounts(ctx context.Context, f *exportFlags, args []string) ([]ipc.Account, error) {
	if len(args) == 0 {
		var list ipc.AccountList
		err := c.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
			list, err = c.daemon().Accounts(ctx)
			return err
		})
		if err == nil && len(list.Accounts) == 0 {
			err = ipc.Errorf(ipc.NotFound, "the vault has no accounts")
		}
		return list.Accounts, err
	}
	var accounts []ipc.Account
	for _, ref := range args {
		a, err := c.findAccount(ctx, &f.auth, ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(accounts, func(b ipc.Account) bool { return a.ID == b.ID }) {
			accounts = append(accounts, a)
		}
	}
	return accounts, nil
}

// agreeToExport says what is about to leave and how it is protected, and asks.
func (c *cli) agreeToExport(ctx context.Context, f *exportFlags, e exporter, accounts []ipc.Account) error {
	if f.yes {
		return nil
	}
	c.say("these accounts leave the vault:")
	for i, a := range accounts {
		if i == manyLines {
			c.say("  … and %d more", len(accounts)-i)
			break
		}
		c.say("  %s", accountName(a.Issuer, a.Name))
	}
	if e.sealed {
		c.say("They are sealed with a password that you choose now; whoever has the file and the password can make their codes for ever.")
	} else {
		c.say("They are in the clear: whoever sees them, also later, in a copy or on a photograph, can make their codes for ever.")
	}
	return c.confirm(ctx, "Export "+plural(len(accounts), "account")+"?", "--yes")
}

// exportPassword is the password that seals the export, by the rules of the
// vault's own recovery password.
func (c *cli) exportPassword(ctx context.Context, f *exportFlags, e exporter) (ipc.Secret, error) {
	if !e.sealed {
		return nil, nil
	}
	if f.passwordFile == "" {
		return c.askNewPassword(ctx, "password for the export", "--password-file FILE")
	}
	password, err := c.readSecret(ctx, "--password-file", f.passwordFile)
	if err != nil {
		return nil, err
	}
	if n := utf8.RuneCount(norm.NFC.Bytes(password)); n < minPassword || n > maxPassword {
		password.Wipe()
		return nil, usage(fmt.Sprintf("the password has %s; it must have %d to %d", plural(n, "character"), minPassword, maxPassword))
	}
	return password, nil
}

// takeOut gets the accounts from the daemon.
func (c *cli) takeOut(ctx context.Context, f *exportFlags, e exporter, accounts []ipc.Account) (*exportDocument, error) {
	ids := make([]string, len(accounts))
	for i, a := range accounts {
		ids[i] = a.ID
	}
	var out ipc.Export
	err := c.open(ctx, &f.auth, func(ctx context.Context, auth ipc.Auth) (err error) {
		return c.withConsent(ctx, agreement{action: ipc.GrantReveal, agreed: !f.yes}, func() error {
			out, err = c.daemon().ExportAccounts(ctx, ipc.ExportRequest{Auth: auth, Accounts: ids})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	doc := &exportDocument{Version: ipc.Version, Format: e.name, Sealed: e.sealed, Files: []string{}, Exported: []ipc.Item{}, Refused: out.Refused}
	doc.managed = slices.ContainsFunc(accounts, func(a ipc.Account) bool { return a.Kind == "managed" })
	for _, x := range out.Accounts {
		row, err := transfer.FromAddress(x.URI, x.Account.Note)
		x.URI.Wipe()
		if err != nil {
			return nil, problem(ipc.Internal, "read what the daemon handed out", err)
		}
		row.Where = x.Account.ID
		doc.rows = append(doc.rows, row)
		doc.Exported = append(doc.Exported, ipc.Item{ID: x.Account.ID, Name: accountName(x.Account.Issuer, x.Account.Name)})
	}
	return doc, nil
}

// refuse moves what the format cannot express from the exported to the refused.
func (d *exportDocument) refuse(refused []transfer.Skip) {
	for _, s := range refused {
		at := slices.IndexFunc(d.rows, func(r transfer.Row) bool { return r.Where == s.Where })
		if at < 0 {
			continue
		}
		item := d.Exported[at]
		item.Reason = s.Reason
		d.inexpressible = true
		d.Refused = append(d.Refused, item)
		d.rows[at].Secret.Wipe()
		d.rows = slices.Delete(d.rows, at, at+1)
		d.Exported = slices.Delete(d.Exported, at, at+1)
	}
}

// nothingLeft is the error that no account could leave, if so.
func (d *exportDocument) nothingLeft() error {
	if len(d.rows) > 0 {
		return nil
	}
	return failWith("export", &ipc.Error{Kind: ipc.RowsSkipped, Message: "none of the accounts can leave in this format", Items: d.Refused},
		adviceExportRefused(d.inexpressible, d.managed)...)
}

func (c *cli) sayExported(e exporter, doc *exportDocument) {
	for _, i := range doc.Refused {
		c.say("not exported: %s: %s", clean(i.Name), clean(i.Reason))
	}
	c.say("exported %s%s", plural(len(doc.Exported), "account"), either(len(doc.Files) > 0, ", read back and compared", ""))
	switch n := len(doc.Files); {
	case n == 0:
	case e.pictures:
		c.say("%s in %s", plural(n, "picture"), clean(filepath.Dir(doc.Files[0])))
	default:
		c.say("written to %s", clean(doc.Files[0]))
	}
	counting := slices.ContainsFunc(doc.rows, func(r transfer.Row) bool { return r.Type == "hotp" })
	for _, line := range adviceExported(e.sealed, len(doc.Files) > 0, counting) {
		c.say("%s", line)
	}
	for _, line := range adviceExportRefused(doc.inexpressible, doc.managed) {
		c.say("%s", line)
	}
}

// exporters are the formats, the sealed one first.
func exporters() []exporter {
	return []exporter{
		{name: "aegis", sealed: true, file: exportAegis},
		{name: "google", pictures: true, codes: exportGoogle},
		{name: "qr", pictures: true, codes: exportQR},
		{name: "otpauth", file: func(rows []transfer.Row, _ []byte) ([]byte, []transfer.Skip, error) {
			return transfer.WriteAddresses(rows), nil, nil
		}},
		{name: "bitwarden", file: exportBitwarden},
	}
}

// exportFailure is a failure to make an export; none is about the user's flags.
func exportFailure(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	return problem(ipc.Internal, "make the export", errors.New(strings.TrimPrefix(err.Error(), "cannot make the export: ")))
}
