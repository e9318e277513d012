package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

const importHelp = `Bring in the accounts of another authenticator or password manager: its export or
backup file, lines with otpauth:// addresses, or pictures of QR codes. What a file
is, its content decides; the password of an encrypted one is asked for.

First a plan is shown: what is new, what is there already, and what is there
under the same name with another secret. Nothing is changed before you agree, or
say --apply. It is one step, and "tokenctl backup undo" takes it back. Accounts
that could not be read are named with the reason, and the exit code is 20 then,
also when all others were imported.

Several files are one import; the QR pictures of one Google export belong
together, and parts that are missing are named.

--checklist keeps a list of accounts that have to be set up anew, for products
without an export. --screen reads the QR codes that are on the screen now.`

const importExamples = `  tokenctl import aegis-export.json
  tokenctl import google-1.png google-2.png --apply
  tokenctl import --screen
  tokenctl import --checklist duo`

type importFlags struct {
	auth         authFlags
	plan         planFlags
	passwordFile string
	class        string
	screen       bool
	list         checklistFlags
}

func (c *cli) importCommand() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use: "import FILE...", SuggestFor: []string{"migrate", "scan"}, Short: "Bring in accounts from another product", Long: importHelp, Example: importExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list.wanted(cmd) {
				return c.checklist(cmd.Context(), f, args)
			}
			return c.importFiles(cmd.Context(), f, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.passwordFile, "password-file", "", "read the password of an encrypted export from `FILE` (- is standard input)")
	fl.StringVar(&f.class, "class", "", "`CLASS` of the new accounts: session or touch (touch where a token can)")
	fl.BoolVar(&f.screen, "screen", false, "read the QR codes on the screen, or in the screenshots that are named")
	f.plan.add(cmd)
	f.list.add(cmd)
	f.auth.add(cmd)
	return cmd
}

// maxImportFile is the largest export that is read, in bytes.
const maxImportFile = transfer.MaxFile

// importDocument is the --json form of import.
type importDocument struct {
	Version int `json:"version"`
	// Read is how many rows looked like accounts: those of the plan, and Skipped.
	Read    int          `json:"read"`
	Skipped []skippedRow `json:"skipped"`
	// Warnings are what is odd about rows that can be imported.
	Warnings []skippedRow  `json:"warnings"`
	Files    []importedOne `json:"files"`
	// Plan is the daemon's document; without any row there is none.
	Plan *ipc.Plan `json:"plan,omitempty"`
}

type skippedRow struct {
	Where  string `json:"where"`
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name,omitempty"`
	Reason string `json:"reason"`
}

type importedOne struct {
	File      string   `json:"file"`
	Format    string   `json:"format,omitempty"`
	Encrypted bool     `json:"encrypted"`
	Notes     []string `json:"notes,omitempty"`

	path string // empty for what is no file of the user's
}

// gathered is what was read of all files.
type gathered struct {
	res   transfer.Result
	files []importedOne
}

func (c *cli) importFiles(ctx context.Context, f *importFlags, args []string) error {
	if f.class != "" && f.class != "session" && f.class != "touch" {
		return usage(fmt.Sprintf("there is no class %q; it is session or touch", f.class), adviceHelp("tokenctl import")...)
	}
	g, err := c.gather(ctx, f, args)
	if err != nil {
		return err
	}
	defer g.res.Wipe()
	doc := importDocument{Version: ipc.Version, Read: len(g.res.Rows) + len(g.res.Skipped), Skipped: []skippedRow{}, Warnings: []skippedRow{}, Files: g.files}
	for _, r := range g.res.Rows {
		for _, w := range r.Warnings {
			doc.Warnings = append(doc.Warnings, skippedRow{r.Where, r.Issuer, r.Name, w})
		}
	}
	for _, s := range g.res.Skipped {
		doc.Skipped = append(doc.Skipped, skippedRow{s.Where, s.Issuer, s.Name, s.Reason})
	}
	if !c.json {
		c.sayRead(g)
	}
	if len(g.res.Rows) > 0 {
		plan, err := c.importRows(ctx, f, g)
		if err != nil {
			return fail("import", err)
		}
		doc.Plan = &plan
	}
	if c.json {
		if err := c.printJSON(doc); err != nil {
			return err
		}
	} else {
		c.sayImported(ctx, g, doc)
	}
	if len(doc.Skipped) > 0 {
		return silent{ipc.RowsSkipped.Info().Exit}
	}
	return nil
}

// gather reads the files, or the screen.
func (c *cli) gather(ctx context.Context, f *importFlags, args []string) (*gathered, error) {
	if f.screen && len(args) == 0 {
		data, err := c.screenshot(ctx)
		if err != nil {
			return nil, err
		}
		defer clear(data)
		return c.readAll(ctx, f, []importedOne{{File: "screen"}}, func(importedOne) ([]byte, error) { return data, nil })
	}
	if len(args) == 0 {
		return nil, usage("tokenctl import needs FILE", adviceImportWhat()...)
	}
	var files []importedOne
	for _, a := range args {
		if strings.TrimSpace(a) == "" {
			return nil, usage("FILE is empty", adviceImportWhat()...)
		}
		if looksLikeAddress(a) {
			// Not repeated: it is a secret, and by now in the shell's history.
			return nil, usage("an otpauth address was given on the command line, where every program can read it", adviceImportAddress()...)
		}
		one := importedOne{File: a, path: a}
		if a == "-" {
			one = importedOne{File: "standard input"}
		}
		files = append(files, one)
	}
	return c.readAll(ctx, f, files, func(one importedOne) ([]byte, error) {
		if one.path == "" {
			return c.readInput(ctx, "import -", "-", maxImportFile)
		}
		data, err := c.readFile(one.path, maxImportFile, false)
		return data, importFileFailure(one.path, err)
	})
}

func looksLikeAddress(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	return strings.HasPrefix(s, "otpauth:") || strings.HasPrefix(s, "otpauth-migration:") || strings.HasPrefix(s, "steam://")
}

// importFileFailure says of a folder how its files are given.
func importFileFailure(path string, err error) error {
	var f *failure
	if errors.As(err, &f) && strings.Contains(f.err.Error(), "it is a folder") {
		f.hints = adviceImportFolder(path)
	}
	return err
}

// readAll reads each file. One of several that cannot be read keeps no other
// back, and is named among what was skipped.
func (c *cli) readAll(ctx context.Context, f *importFlags, files []importedOne, open func(importedOne) ([]byte, error)) (*gathered, error) {
	p := &exportPassword{c: c, file: f.passwordFile}
	defer p.wipe()
	var results []transfer.Result
	var first error
	for i := range files {
		if len(files) > 1 && c.errTTY {
			c.say("reading %s (%d of %d) …", clean(files[i].File), i+1, len(files))
		}
		data, err := open(files[i])
		var res transfer.Result
		if err == nil {
			res, err = c.readOne(ctx, p, &files[i], data)
			clear(data)
		}
		switch {
		case err == nil:
		case len(files) == 1 || !oneFilesFault(err):
			wipeAll(results)
			return nil, err
		default:
			if first == nil {
				first = err
			}
			res.Skipped = append(res.Skipped, transfer.Skip{Where: "the file", Reason: reasonOf(err)})
		}
		if len(files) > 1 {
			inFile(&res, filepath.Base(files[i].File))
		}
		files[i].Format, files[i].Notes = res.Format, res.Notes
		results = append(results, res)
	}
	g := &gathered{res: transfer.Join(results...), files: files}
	if first != nil && len(g.res.Rows) == 0 {
		return nil, first
	}
	if byOrder := func(a, b transfer.Row) int { return a.Order - b.Order }; len(files) == 1 && !slices.IsSortedFunc(g.res.Rows, byOrder) {
		slices.SortStableFunc(g.res.Rows, byOrder)
	}
	return g, nil
}

func wipeAll(results []transfer.Result) {
	for i := range results {
		results[i].Wipe()
	}
}

// inFile puts the file's name before the places in it.
func inFile(res *transfer.Result, name string) {
	for i := range res.Rows {
		res.Rows[i].Where = name + ", " + res.Rows[i].Where
	}
	for i := range res.Skipped {
		res.Skipped[i].Where = name + ", " + res.Skipped[i].Where
	}
}

// oneFilesFault says whether an error is about a file, not about the run.
func oneFilesFault(err error) bool {
	switch ipc.KindOf(err) {
	case ipc.Cancelled, ipc.Internal, ipc.WrongPassword:
		return false
	}
	return !errors.Is(err, context.Canceled) && transfer.KindOf(err) != transfer.PasswordNeeded
}

// reasonOf is an error's message, without what was being done.
func reasonOf(err error) string {
	var f *failure
	if errors.As(err, &f) && f.doing != "" {
		return "cannot " + f.doing + ": " + reason(f.err)
	}
	return reason(err)
}

// newAccounts makes the request's accounts of the rows.
func (g *gathered) newAccounts() []ipc.NewAccount {
	accounts := make([]ipc.NewAccount, len(g.res.Rows))
	for i, r := range g.res.Rows {
		accounts[i] = r.NewAccount()
	}
	return accounts
}

// source is what the plan and its undo call where the accounts come from.
func (g *gathered) source() string {
	s := g.res.Format
	if len(g.files) == 1 && g.files[0].path != "" {
		s += ", " + filepath.Base(g.files[0].path)
	} else if len(g.files) > 1 {
		s += fmt.Sprintf(", %d files", len(g.files))
	}
	const most = 200
	if s = clean(s); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// importRows plans, asks, and applies.
func (c *cli) importRows(ctx context.Context, f *importFlags, g *gathered) (ipc.Plan, error) {
	r := ipc.ImportRequest{Source: g.source(), Accounts: g.newAccounts(), Class: f.class}
	defer func() {
		for _, a := range r.Accounts {
			a.Secret.Wipe()
		}
	}()
	call := func(ctx context.Context, d decisions) (plan ipc.Plan, err error) {
		r.Keep, r.Resolve, r.Apply = d.keep, d.resolve, d.apply
		err = c.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
			plan, err = c.daemon().ImportAccounts(ctx, r)
			return err
		})
		return plan, err
	}
	var plan ipc.Plan
	var err error
	if c.json {
		plan, err = f.plan.carryOut(ctx, call)
	} else {
		plan, err = c.runPlan(ctx, "import", g.again(), &f.plan, call)
	}
	if ipc.KindOf(err) == ipc.Conflict {
		return plan, failWith("import", err, adviceImportConflict(g.again())...)
	}
	return plan, err
}

// carryOut is runPlan without a word: the plan becomes part of a document.
func (f *planFlags) carryOut(ctx context.Context, call planner) (ipc.Plan, error) {
	d := decisions{keep: f.keep}
	p, err := call(ctx, d)
	if err != nil {
		return p, err
	}
	if d.resolve, err = f.resolve(p.Items); err != nil {
		return p, err
	}
	if d.apply = f.apply; d.apply || len(d.resolve) > 0 {
		return call(ctx, d)
	}
	return p, nil
}

// given says that one of the flags of a plan was given.
func (f *planFlags) given() bool {
	return f.keep || f.apply || len(f.replace)+len(f.rename)+len(f.leave) > 0
}

// again is the command that reads the same files.
func (g *gathered) again() string {
	const named = 3
	if len(g.files) > named {
		return "tokenctl import FILE..."
	}
	command := "tokenctl import"
	for _, f := range g.files {
		switch {
		case f.path != "":
			command += " " + quoted(f.path)
		case f.File == "screen":
			command += " --screen"
		default:
			command += " -"
		}
	}
	return command
}
