package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// Some products let nothing out: what was in them has to be set up anew at each
// service. The checklist is what is still to be done, kept by tokenctl for its
// user; accounts in the vault tick it off by themselves.

type checklistFlags struct {
	on     bool
	file   string
	tick   []string
	forget []string
}

func (f *checklistFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.on, "checklist", false, "show or fill the list of accounts to set up anew; takes a PRODUCT, or a FILE with a name a line")
	fl.StringVar(&f.file, "checklist-file", "", "keep the checklist in `FILE` rather than in your configuration folder")
	fl.StringArrayVar(&f.tick, "tick", nil, "mark `NAME` of the checklist as done")
	fl.StringArrayVar(&f.forget, "forget", nil, "take `NAME` off the checklist")
}

// wanted says that the command is about the checklist: its own flags mean it too.
func (f *checklistFlags) wanted(*cobra.Command) bool {
	return f.on || f.file != "" || len(f.tick) > 0 || len(f.forget) > 0
}

// checklistDocument is the --json form of import --checklist.
type checklistDocument struct {
	Version int             `json:"version"`
	File    string          `json:"file"`
	Left    int             `json:"left"`
	Items   []checklistLine `json:"items"`
}

type checklistLine struct {
	checkItem
	// Open says that it is still to be done.
	Open bool `json:"open"`
	// Where is where in the service's settings it is set up.
	Where string `json:"where,omitempty"`
}

func (c *cli) checklist(ctx context.Context, f *importFlags, args []string) error {
	const doing = "keep the checklist"
	if f.screen || f.plan.given() || f.passwordFile != "" || f.class != "" {
		return usage("--checklist brings in nothing: of the other flags it takes those of the vault only", adviceHelp("tokenctl import")...)
	}
	if len(args) > 1 {
		return usage(fmt.Sprintf("--checklist takes one PRODUCT or FILE, and %d were given", len(args)), adviceHelp("tokenctl import")...)
	}
	list, err := c.openChecklist(f.list.file)
	if err != nil {
		return fail(doing, err)
	}
	if len(args) == 1 {
		if err := c.fillChecklist(ctx, list, args[0]); err != nil {
			return fail(doing, err)
		}
	}
	for _, change := range []struct {
		names []string
		do    func(*checkItem)
	}{{f.list.tick, func(i *checkItem) { i.Done, i.By = c.now().UTC(), byPerson }}, {f.list.forget, func(i *checkItem) { i.gone = true }}} {
		for _, name := range change.names {
			if err := list.change(name, change.do); err != nil {
				return err
			}
		}
	}
	if len(list.items()) == 0 && len(args) == 0 && len(f.list.forget) == 0 && !c.json {
		if err := c.typeChecklist(ctx, list, ""); err != nil {
			return fail(doing, err)
		}
	}
	accounts, asked, err := c.vaultAccounts(ctx, &f.auth)
	if err != nil {
		return fail(doing, err)
	}
	if asked {
		list.tickOff(accounts, c.now().UTC())
	}
	if err := list.save(); err != nil {
		return writeFailure("write "+list.path, err)
	}
	return c.showChecklist(list)
}

// vaultAccounts is what the vault has. asked is false where it cannot be asked, for
// who lost everything has a list and no vault: what is ticked off stays so then.
// Nobody is asked for a PIN for it.
func (c *cli) vaultAccounts(ctx context.Context, f *authFlags) (accounts []ipc.Account, asked bool, err error) {
	var list ipc.AccountList
	if f.given() {
		err = c.open(ctx, f, func(ctx context.Context, _ ipc.Auth) (err error) {
			list, err = c.daemon().Accounts(ctx)
			return err
		})
	} else {
		list, err = c.daemon().Accounts(ctx)
	}
	switch kind := ipc.KindOf(err); {
	case err == nil:
		return list.Accounts, true, nil
	case kind == ipc.NoVault:
		c.say("there is no vault yet, so nothing is ticked off; make one: tokenctl quickstart")
		return nil, true, nil
	case ctx.Err() != nil || f.given():
		return nil, false, err
	case kind == ipc.VaultLocked:
		c.say("the vault is locked, so nothing is ticked off by itself; to unlock it: tokenctl unlock")
	default:
		c.say("the vault cannot be asked, so nothing is ticked off by itself: %s", clean(asError(ctx, err).Message))
	}
	return nil, false, nil
}

// fillChecklist adds what a file names, or what is typed for a product.
func (c *cli) fillChecklist(ctx context.Context, list *checklist, arg string) error {
	if info, err := os.Stat(arg); arg == "-" || err == nil && !info.IsDir() {
		var data []byte
		var err error
		if arg == "-" {
			data, err = c.readInput(ctx, "--checklist -", arg, maxURIFile)
		} else {
			data, err = c.readFile(arg, maxURIFile, false)
		}
		if err != nil {
			return err
		}
		found, err := namesIn(data)
		if err != nil {
			return failWith("read "+arg, err, adviceChecklistFile()...)
		}
		added := 0
		for _, i := range found {
			added += list.add(i, c.now().UTC())
		}
		c.say("%s of %d are new on the checklist", plural(added, "name"), len(found))
		return nil
	}
	p, known := findProduct(arg)
	if !known {
		return failWith("", &ipc.Error{Kind: ipc.NotFound, Message: fmt.Sprintf("%q is neither a file nor a product that is known here", arg)}, adviceProducts()...)
	}
	for _, line := range p.how {
		c.say("%s: %s", p.name, line)
	}
	return c.typeChecklist(ctx, list, p.name)
}

// typeChecklist asks for names, where somebody can be asked.
func (c *cli) typeChecklist(ctx context.Context, list *checklist, product string) error {
	if !c.canAsk() {
		return nil
	}
	c.say("type what is in it, one at a time: the service, or the service, a colon and your name there; Enter ends")
	for {
		answer, err := c.ask(ctx, "Account", "", "--checklist FILE")
		if err != nil || answer == "" {
			return err
		}
		item, ok := nameIn(answer)
		if !ok {
			c.say("that is no name")
			continue
		}
		item.Product = product
		if list.add(item, c.now().UTC()) == 0 {
			c.say("it is on the list already")
		}
		if err := list.save(); err != nil { // Ctrl-C loses nothing
			return writeFailure("write "+list.path, err)
		}
	}
}

func (c *cli) showChecklist(list *checklist) error {
	doc := checklistDocument{Version: ipc.Version, File: list.path, Items: []checklistLine{}}
	for _, i := range list.items() {
		line := checklistLine{checkItem: i, Open: i.Done.IsZero()}
		if line.Open {
			doc.Left++
			line.Where = whereAt(i)
		}
		doc.Items = append(doc.Items, line)
	}
	switch {
	case c.json:
		if err := c.printJSON(doc); err != nil {
			return err
		}
	default:
		c.sayChecklist(doc)
	}
	if doc.Left > 0 {
		return silent{ipc.RowsSkipped.Info().Exit}
	}
	return nil
}

func (c *cli) sayChecklist(doc checklistDocument) {
	t := &table{head: []string{"STATE", "ACCOUNT", "FROM", "WHERE"}, flexible: 3}
	for _, open := range []bool{true, false} {
		for _, i := range doc.Items {
			if i.Open == open {
				t.add(either(open, "open", "done"), i.label(), i.Product, i.Where)
			}
		}
	}
	c.show(t)
	switch {
	case len(doc.Items) == 0:
		c.say("the checklist is empty; fill it: %s", adviceChecklistFill())
	case doc.Left == 0:
		c.say("all %d are done; the old app can go", len(doc.Items))
	default:
		c.say("%d of %d are left", doc.Left, len(doc.Items))
		for _, line := range adviceChecklist() {
			c.say("%s", line)
		}
	}
}

// tickOff compares the list with the vault: each account there ticks one item, the
// same name before the same service alone. An item that an account had ticked is
// open again when that is gone.
func (l *checklist) tickOff(accounts []ipc.Account, now ipc.Time) {
	used := make(map[string]bool, len(accounts))
	ticked := make(map[*checkItem]bool)
	for _, exact := range []bool{true, false} {
		for i := range l.doc.Items {
			item := &l.doc.Items[i]
			if item.By == byPerson || ticked[item] {
				continue
			}
			at := slices.IndexFunc(accounts, func(a ipc.Account) bool { return !used[a.ID] && !a.Inactive && item.fits(a, exact) })
			if at < 0 {
				continue
			}
			used[accounts[at].ID], ticked[item] = true, true
			if item.Done.IsZero() {
				item.Done, item.By = now, byVault
			}
		}
	}
	for i := range l.doc.Items {
		if item := &l.doc.Items[i]; item.By == byVault && !ticked[item] {
			item.Done, item.By = ipc.Time{}, ""
		}
	}
}

// fits says whether an account is the one that an item names.
func (i *checkItem) fits(a ipc.Account, exact bool) bool {
	same := func(x, y string) bool { return strings.EqualFold(strings.TrimSpace(x), strings.TrimSpace(y)) }
	switch {
	case i.Issuer != "" && i.Name != "":
		return same(i.Issuer, a.Issuer) && same(i.Name, a.Name)
	case exact:
		return false
	case i.Issuer != "":
		return same(i.Issuer, a.Issuer) || a.Issuer == "" && same(i.Issuer, a.Name)
	}
	return same(i.Name, a.Name)
}
