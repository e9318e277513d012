package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// sampleURI is the account of RFC 6238's test vectors: everybody knows its
// secret, so nobody can take it for one to rely on.
const sampleURI = "otpauth://totp/Example:sample@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example"

// sampleLabel is what the sample's software token is called.
const sampleLabel = "sample"

// samplePassword is a random password for a vault that guards nothing.
func samplePassword() string {
	t := strings.ToLower(rand.Text())
	return strings.Join([]string{t[:5], t[5:10], t[10:15], t[15:20]}, "-")
}

// account adds a first account where there is none.
func (q *quickstart) account(ctx context.Context) error {
	list, err := q.daemon().Accounts(ctx)
	if err != nil {
		return fail("list the accounts", err)
	}
	if n := len(list.Accounts); n > 0 {
		q.say("%s in the vault", plural(n, "account"))
		return nil
	}
	q.heading("The first accounts")
	f := &addFlags{}
	var accounts []ipc.NewAccount
	for accounts == nil {
		if accounts, err = q.askAccount(ctx, f); err == nil && accounts == nil {
			return nil // declined, or brought in
		}
		var e *ipc.Error
		if err != nil && (q.f.sample || !errors.As(err, &e) || e.Kind == ipc.Cancelled) {
			return err
		}
		if err != nil {
			q.explain(err, e)
		}
	}
	var res ipc.AccountList
	err = q.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
		res, err = q.daemon().AddAccounts(ctx, ipc.AddAccountsRequest{Accounts: accounts})
		return err
	})
	if err != nil {
		return fail("add the account", err)
	}
	for _, a := range res.Accounts {
		q.say("added %s, class %s", accountName(a.Issuer, a.Name), classText(a.Class))
	}
	return nil
}

// askAccount asks where the first account comes from; nil means none.
func (q *quickstart) askAccount(ctx context.Context, f *addFlags) ([]ipc.NewAccount, error) {
	from := "sample"
	if !q.f.sample {
		q.say("From another app come all its accounts at once, by its export. For a new account the service shows a QR code or a secret as text when two-factor login is set up there.")
		var err error
		if from, err = q.ask(ctx, "Type import, qr, uri, secret, sample, or skip", "sample", "--sample"); err != nil {
			return nil, err
		}
	}
	switch strings.ToLower(from) {
	case "import":
		return nil, q.importStep(ctx)
	case "sample":
		// Session class, so that its code shows without a touch.
		return []ipc.NewAccount{{URI: ipc.Secret(sampleURI), Class: "session"}}, nil
	case "qr":
		path, err := q.ask(ctx, "Picture of the QR code (PNG or JPEG)", "", "tokenctl account add --qr FILE")
		if err != nil {
			return nil, err
		}
		one := &addFlags{qr: expandHome(path)}
		return q.newAccounts(ctx, one)
	case "uri":
		uri, err := q.askSecret(ctx, "otpauth:// address (not shown)", "tokenctl account add --uri-file FILE")
		if err != nil {
			return nil, err
		}
		return f.fromURIs([]string{string(uri)})
	case "secret":
		return q.newAccounts(ctx, &addFlags{})
	case "skip":
		return nil, nil
	}
	return nil, usage("please type one of the words")
}

// importStep brings in the accounts of another app. What it could not read is
// said, and ends nothing.
func (q *quickstart) importStep(ctx context.Context) error {
	q.say("Give the files of the export: what the app wrote, or pictures of all its QR codes.")
	answer, err := q.ask(ctx, "Files (with spaces between, * is any)", "", "tokenctl import FILE...")
	if err != nil {
		return err
	}
	err = q.importFiles(ctx, &importFlags{}, filesIn(answer))
	var s silent
	if errors.As(err, &s) {
		q.say("the rest can be brought in later: tokenctl import FILE...")
		return nil
	}
	return err
}

// filesIn are the files that a line names: one whose name has spaces, or several,
// with * and the like as a shell has them. What fits nothing is left as it is, for
// the failure to name.
func filesIn(line string) []string {
	whole := expandHome(strings.Trim(line, "\"'"))
	if isThere(whole) || line == "" {
		return []string{whole}
	}
	var files []string
	for _, word := range strings.Fields(line) {
		word = expandHome(strings.Trim(word, "\"'"))
		if found, err := filepath.Glob(word); err == nil && len(found) > 0 {
			files = append(files, found...)
		} else {
			files = append(files, word)
		}
	}
	return files
}

// code shows a live code of the first account that makes one.
func (q *quickstart) code(ctx context.Context) error {
	list, err := q.daemon().Accounts(ctx)
	if err != nil {
		return fail("list the accounts", err)
	}
	// One without a touch first, one that counts last: its code would be spent.
	rank := func(a ipc.Account) int {
		switch {
		case a.Type == "hotp":
			return 2
		case a.Class == "touch":
			return 1
		}
		return 0
	}
	accounts := slices.Clone(list.Accounts)
	slices.SortStableFunc(accounts, func(a, b ipc.Account) int { return rank(a) - rank(b) })
	if len(accounts) == 0 || rank(accounts[0]) == 2 || q.f.sample && rank(accounts[0]) > 0 {
		return nil
	}
	a := accounts[0]
	if rank(a) == 1 && !q.canTouch(ctx) {
		return nil // what to do is said at the end
	}
	q.heading("Its code")
	var code ipc.Code
	err = q.open(ctx, &authFlags{}, func(ctx context.Context, auth ipc.Auth) (err error) {
		code, err = q.daemon().Code(ctx, a.ID, ipc.CodeRequest{Auth: auth})
		return err
	})
	if err != nil {
		return fail("make a code for "+accountName(a.Issuer, a.Name), err)
	}
	q.say("%s, valid for %s:", accountName(a.Issuer, a.Name), validFor(code.ValidUntil.Sub(q.now())))
	q.print("%s", clean(code.Code))
	return nil
}

// canTouch says whether a token is plugged in that opens the touch class.
func (q *quickstart) canTouch(ctx context.Context) bool {
	list, err := q.daemon().Tokens(ctx)
	return err == nil && slices.ContainsFunc(list.Tokens, func(t ipc.Token) bool {
		return t.Enrolled && t.Present && slices.Contains(t.Classes, "touch")
	})
}

// backupStep writes a first backup.
func (q *quickstart) backupStep(ctx context.Context) error {
	st, err := q.daemon().Status(ctx)
	if err != nil {
		return err
	}
	if !st.Vault.LastBackup.IsZero() && q.f.backup == "" {
		q.say("a backup was last copied out of the daemon's folder %s", ago(q.now(), st.Vault.LastBackup))
		return q.offerCopies(ctx)
	}
	q.heading("A backup")
	if !q.f.sample && q.f.backup == "" {
		if err := q.offerDestination(ctx); err != nil {
			return err
		}
		if list, err := q.daemon().Destinations(ctx); err != nil || len(list.Destinations) > 0 {
			return err
		}
	}
	for {
		path, err := q.backupPath(ctx)
		if err != nil || path == "" {
			return err
		}
		doc, err := q.createBackup(ctx, path)
		if err == nil {
			q.print("%s  %s", doc.SHA256, clean(doc.File))
			q.sayBackup(doc)
			return nil
		}
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind == ipc.Cancelled || q.f.sample || q.f.backup != "" {
			return err
		}
		q.explain(err, e)
	}
}

// offerCopies asks for a folder where nothing copies backups by itself yet: the one
// copy that there is may be that which was restored.
func (q *quickstart) offerCopies(ctx context.Context) error {
	if q.f.sample || !q.canAsk() {
		return nil
	}
	list, err := q.daemon().Destinations(ctx)
	if err != nil || len(list.Destinations) > 0 {
		return err
	}
	q.heading("Copies of backups")
	return q.offerDestination(ctx)
}

// backupPath is where the backup goes; empty when the user wants none.
func (q *quickstart) backupPath(ctx context.Context) (string, error) {
	switch {
	case q.f.backup != "":
		return expandHome(q.f.backup), nil
	case q.f.sample:
		dir, err := os.MkdirTemp("", "tokend-sample-")
		if err != nil {
			return "", writeFailure("make a folder for the sample's backup", err)
		}
		return filepath.Join(dir, "vault"+backupName), nil
	}
	q.say("Best on another disk, a stick, or a folder that is copied to another machine.")
	path, err := q.ask(ctx, "New file (or skip)", q.proposal(), "--backup FILE")
	if err != nil || saysSkip(path) {
		if err == nil {
			q.say("Later: tokenctl backup create FILE")
		}
		return "", err
	}
	return expandHome(path), nil
}

// whichBackup asks which backup is restored: one of those that are found, by its
// number, or the path of another.
func (q *quickstart) whichBackup(ctx context.Context) (string, error) {
	q.say("looking through the usual places (home, clouds, sticks) …")
	doc := q.findUsual(ctx)
	if len(doc.Files) == 0 {
		q.say("none was found")
		for _, h := range adviceNoneFound(doc.Complete) {
			q.say("  %s", h)
		}
		return q.ask(ctx, "Path of the backup", "", "tokenctl backup restore FILE")
	}
	q.say("found, newest first:")
	const most = 12
	for _, line := range q.foundTable(doc.Files[:min(most, len(doc.Files))]).lines(q.errWidth()) {
		q.say("  %s", line)
	}
	if len(doc.Files) > most {
		q.say("  and %s: tokenctl backup find", plural(len(doc.Files)-most, "older one"))
	}
	q.sayFound(doc)
	def := ""
	for i, f := range doc.Files {
		if f.State == causeWhole {
			def = strconv.Itoa(i + 1)
			break
		}
	}
	answer, err := q.ask(ctx, "Number, or path of another backup", def, "tokenctl backup restore FILE")
	if err != nil {
		return "", err
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(doc.Files) {
		return doc.Files[n-1].File, nil
	}
	return answer, nil
}
