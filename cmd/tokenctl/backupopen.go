package main

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/drill"
	"github.com/tokenbridge/tokend/ipc"
)

// opener opens backups in the way that the flags say. What a person types is
// asked for once, for however many files.
type opener struct {
	*cli
	f    *inspectFlags
	auth *ipc.Auth
}

func (o *opener) wipe() {
	if o.auth != nil {
		wipeAuth(o.auth)
	}
}

// open opens a backup and fills in what is learned; verify uses every secret.
func (o *opener) open(ctx context.Context, b *backupFile, doc *inspectDocument, verify bool) error {
	switch {
	case o.f.byToken():
		return o.byToken(ctx, b.data, doc, verify)
	case o.f.auth.given(), verify && b.archive.HasRecovery():
		return o.here(ctx, b.archive, doc, verify)
	case verify:
		return failWith("open it", &ipc.Error{Kind: ipc.InvalidArgument, Message: "only a token opens it"}, adviceVerifyByToken()...)
	}
	return nil
}

// load reads or asks for what opens, the first time.
func (o *opener) load(ctx context.Context) error {
	if o.auth != nil {
		return nil
	}
	if !o.f.auth.given() {
		o.f.auth.recovery = true
	}
	auth, err := o.f.auth.load(ctx, o.cli)
	if err != nil {
		return err
	}
	o.auth = &auth
	return nil
}

// here opens the backup in this process, without the daemon.
func (o *opener) here(ctx context.Context, a *archive.Archive, doc *inspectDocument, verify bool) error {
	contents, err := o.contents(ctx, a)
	if err != nil {
		return err
	}
	defer contents.Wipe()
	doc.Opened, doc.Accounts = true, []ipc.Account{}
	for _, x := range contents.Accounts {
		doc.Accounts = append(doc.Accounts, wireAccount(x))
	}
	if !verify {
		return nil
	}
	outcomes, err := proveHere(o.cli, contents)
	if err != nil {
		return err
	}
	doc.Unproved = unproved(doc.Accounts, outcomes)
	doc.Verified = len(doc.Unproved) == 0
	return nil
}

// contents opens the backup by recovery password or key. A password that was
// typed is asked for again when it is wrong.
func (o *opener) contents(ctx context.Context, a *archive.Archive) (*archive.Contents, error) {
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	for asked := 1; ; asked++ {
		contents, err := o.tryRecovery(a)
		if err == nil {
			return contents, nil
		}
		if !errors.Is(err, archive.ErrWrongPassword) || !o.f.auth.recovery || !o.canAsk() || asked >= maxPINs {
			return nil, recoveryFailure(o.cli, a, err)
		}
		if err := o.askPasswordAgain(ctx, o.auth); err != nil {
			return nil, err
		}
	}
}

func (o *opener) tryRecovery(a *archive.Archive) (*archive.Contents, error) {
	if len(o.auth.RecoveryKey) > 0 {
		return a.OpenRecoveryKey(o.auth.RecoveryKey)
	}
	stop := o.sayIfSlow("working: deriving a key from the password takes a moment …")
	defer stop()
	return a.OpenPassword(o.auth.RecoveryPassword)
}

// recoveryFailure is archiveFailure, with what else opens a backup whose password
// is not known.
func recoveryFailure(c *cli, a *archive.Archive, err error) error {
	if !errors.Is(err, archive.ErrWrongPassword) || errors.Is(err, archive.ErrKeyTyped) {
		return archiveFailure("open it", err)
	}
	return failWith("open it", &ipc.Error{Kind: ipc.WrongPassword, Message: err.Error()}, adviceWrongHere(c, a)...)
}

// adviceWrongHere is adviceLostPassword for a backup.
func adviceWrongHere(c *cli, a *archive.Archive) []string {
	var tokens []string
	for _, k := range a.Header.Keyslots {
		tokens = append(tokens, keyslotText(k))
	}
	return adviceLostPassword(ago(c.now(), a.Header.RecoverySet), tokens)
}

// withLostPassword gives a restore that failed by its password the advice that
// names which password is meant, and what else opens the backup.
func (c *cli) withLostPassword(doing string, a *archive.Archive, err error) error {
	if !isKind(err, ipc.WrongPassword) {
		return err
	}
	return failWith(doing, err, append([]string{unchanged}, adviceWrongHere(c, a)...)...)
}

// proveHere uses every account of an opened backup once.
func proveHere(c *cli, contents *archive.Contents) ([]drill.Outcome, error) {
	var key []byte
	for _, x := range contents.Accounts {
		if x.Class == archive.ClassTouch && !x.Inactive {
			var err error
			if key, err = contents.TouchKey(); err != nil {
				return nil, archiveFailure("open its touch-class secrets", err)
			}
			break
		}
	}
	defer clear(key)
	return drill.Prove(contents, key, c.now(), nil), nil
}

// unproved names the accounts that could not be used, though they should.
func unproved(accounts []ipc.Account, outcomes []drill.Outcome) []ipc.Item {
	var list []ipc.Item
	for i, o := range outcomes {
		if item, bad := unprovedItem(accounts[i], string(o.State), o.Problem); bad {
			list = append(list, item)
		}
	}
	return list
}

func unprovedItem(a ipc.Account, state, problem string) (ipc.Item, bool) {
	item := ipc.Item{ID: a.ID, Name: accountName(a.Issuer, a.Name)}
	switch drill.State(state) {
	case drill.Sealed:
		item.Reason = sealedReason
	case drill.Broken:
		item.Reason = problem
	default:
		return item, false
	}
	return item, true
}

// byToken lets the daemon open it with a token.
func (o *opener) byToken(ctx context.Context, data []byte, doc *inspectDocument, verify bool) error {
	if o.auth == nil {
		f := o.f.auth
		if f.token == anyToken {
			f.token = ""
		}
		auth, err := f.load(ctx, o.cli)
		if err != nil {
			return err
		}
		o.auth = &auth
	}
	return o.withPIN(ctx, o.auth, o.f.auth.attempt(), func(ctx context.Context, a ipc.Auth) error {
		if verify {
			res, err := o.daemon().DrillBackup(ctx, ipc.DrillRequest{Auth: a, Data: data})
			if err == nil {
				doc.drilled(res)
			}
			return err
		}
		res, err := o.daemon().InspectBackup(ctx, ipc.InspectBackupRequest{Auth: a, Data: data})
		if err == nil {
			doc.Opened, doc.Accounts, doc.OpenedBy = true, res.Accounts, res.OpenedBy
		}
		return err
	})
}

// drilled fills in what the daemon's drill told.
func (doc *inspectDocument) drilled(res ipc.DrillResult) {
	doc.Opened, doc.Accounts, doc.Verified = true, []ipc.Account{}, res.Proved
	for _, a := range res.Accounts {
		doc.Accounts = append(doc.Accounts, a.Account)
		if item, bad := unprovedItem(a.Account, a.State, a.Problem); bad {
			doc.Unproved = append(doc.Unproved, item)
		}
	}
}
