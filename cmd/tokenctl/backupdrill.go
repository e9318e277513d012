package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon/drill"
	"github.com/tokenbridge/tokend/ipc"
)

// drillDocument is the --json form of drill.
type drillDocument struct {
	ipc.DrillResult
	File string `json:"file"`
}

func (c *cli) backupDrillCommand() *cobra.Command {
	var f inspectFlags
	cmd := &cobra.Command{
		Use: "drill [FILE]", Short: "Rehearse a restore, in memory", Args: backupFiles(0),
		Long: `Rehearse the restore of one backup, in memory: open it with the recovery password,
the recovery key or a token, open every secret in it, and make a code of each. An
unlocked vault is compared with it. Nothing is written but that this backup is
proved, on which day and by what; "tokenctl backup list" shows that, and "tokenctl
backup status" says when the last was too long ago. Without FILE the newest that
is found is taken.

"tokenctl backup verify" checks any number of files in the same way, compares with
nothing and remembers nothing.

Without a daemon the drill is done here, with the recovery password or key; then
nothing can be remembered. A token (--token) that guards accounts by touch wants a
touch.`,
		Example: "  tokenctl backup drill\n  tokenctl backup drill backup.tokend --token any\n  tokenctl backup drill --recovery-password-file rp.txt",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return named(0, "FILE")(cmd, args)
			}
			return c.drill(cmd.Context(), &f, args)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) drill(ctx context.Context, f *inspectFlags, args []string) error {
	if err := checkSigner(f.signer); err != nil {
		return err
	}
	path, err := c.backupToDrill(ctx, args)
	if err != nil {
		return err
	}
	doing := "drill " + path
	b := c.lookAt(ctx, path)
	if b.problem != nil {
		return c.backupFailure(ctx, b, doing)
	}
	if f.signer != "" && !strings.EqualFold(f.signer, b.archive.Manifest.Signer) {
		return failWith(doing, &ipc.Error{Kind: ipc.VaultReplaced, Message: "it was signed by " + b.archive.Manifest.Signer}, adviceOtherSigner()...)
	}
	if !c.json {
		c.say("rehearsing a restore of %s", clean(path))
		c.sayBackupFound(b.archive)
	}
	doc := drillDocument{File: path}
	recorded := true
	if doc.DrillResult, err = c.drillByDaemon(ctx, f, b); isKind(err, ipc.Unreachable) && !f.byToken() {
		recorded = false
		doc.DrillResult, err = c.drillHere(ctx, f, b)
	}
	if err != nil {
		return drillFailure(c, doing, b, err)
	}
	if c.json {
		if err := c.printJSON(doc); err != nil {
			return err
		}
	} else {
		c.sayDrilled(doc.DrillResult, recorded)
	}
	var bad []ipc.Item
	for _, a := range doc.Accounts {
		if item, is := unprovedItem(a.Account, a.State, a.Problem); is {
			bad = append(bad, item)
		}
	}
	return unprovedFailure(doing, bad)
}

// drillFailure gives a failed drill the advice that fits it.
func drillFailure(c *cli, doing string, b *backupFile, err error) error {
	if isKind(err, ipc.WrongPassword) {
		if hints := adviceWrongHere(c, b.archive); hints != nil {
			return failWith(doing, asError(context.Background(), err), hints...)
		}
	}
	return fail(doing, err)
}

// drillByDaemon has the daemon do it. At a terminal, without a flag that says how
// it is opened, the recovery password is asked for where the backup has one: it is
// what is left when all else is lost.
func (c *cli) drillByDaemon(ctx context.Context, f *inspectFlags, b *backupFile) (ipc.DrillResult, error) {
	if _, err := c.daemon().Status(ctx); err != nil {
		return ipc.DrillResult{}, err
	}
	auth := f.auth
	if auth.token == anyToken {
		auth.token = ""
	}
	if f.auth.token == "" && !auth.given() && b.archive.HasRecovery() && c.canAsk() {
		auth.recovery = true
	}
	a, err := auth.load(ctx, c)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	defer wipeAuth(&a)
	var res ipc.DrillResult
	err = c.withPIN(ctx, &a, auth.attempt(), func(ctx context.Context, a ipc.Auth) (err error) {
		res, err = c.daemon().DrillBackup(ctx, ipc.DrillRequest{Auth: a, Data: b.data})
		return err
	})
	return res, err
}

// drillHere does it in this process.
func (c *cli) drillHere(ctx context.Context, f *inspectFlags, b *backupFile) (ipc.DrillResult, error) {
	if !b.archive.HasRecovery() {
		return ipc.DrillResult{}, failWith("open it", &ipc.Error{Kind: ipc.Unreachable, Message: "only a token opens it, and no daemon answers"}, adviceDrillByDaemon()...)
	}
	o := &opener{cli: c, f: f}
	defer o.wipe()
	contents, err := o.contents(ctx, b.archive)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	defer contents.Wipe()
	outcomes, err := proveHere(c, contents)
	if err != nil {
		return ipc.DrillResult{}, err
	}
	sum := sha256.Sum256(b.data)
	m := b.archive.Manifest
	res := ipc.DrillResult{Version: ipc.Version, VaultID: m.VaultID, Epoch: m.Epoch, Generation: m.Generation, Written: m.Time, Signer: m.Signer,
		SHA256: hex.EncodeToString(sum[:]), OpenedBy: either(len(o.auth.RecoveryKey) > 0, "recovery key", "recovery password"),
		Proved: true, At: c.now().UTC().Truncate(time.Second), Accounts: []ipc.DrillAccount{}, Missing: []ipc.Account{}}
	for i, x := range contents.Accounts {
		s := outcomes[i].State
		res.Proved = res.Proved && (s == drill.Proved || s == drill.Absent)
		res.Accounts = append(res.Accounts, ipc.DrillAccount{Account: wireAccount(x), State: string(s), Problem: outcomes[i].Problem})
	}
	return res, nil
}

// sayDrilled shows what a drill found.
func (c *cli) sayDrilled(r ipc.DrillResult, daemon bool) {
	t := &table{head: []string{"#", "ACCOUNT", "CLASS", "TYPE", "ID", "DRILL", "HERE"}, flexible: 1, below: []int{6, 5}}
	counts := map[string]int{}
	for i, a := range r.Accounts {
		counts[a.Live]++
		t.add(strconv.Itoa(i+1), accountName(a.Account.Issuer, a.Account.Name), a.Account.Class, typeText(a.Account), a.Account.ID,
			drillText(a.State), hereText(a.Live, a.Differs))
	}
	c.show(t)
	if r.Compared {
		c.sayCompared(counts, r.Missing)
	}
	if !r.Proved {
		return
	}
	if len(r.Accounts) == 0 {
		c.say("%s", adviceNoAccounts())
	}
	c.say("proved by %s: %s opened, and a code was made of each", clean(r.OpenedBy), plural(len(r.Accounts), "account"))
	switch {
	case r.Recorded:
		c.say("that is remembered, with today's date")
	case !daemon:
		c.say("no daemon answers: nothing could be recorded, nor compared with your vault")
	case !r.Own:
		c.say("it is of another vault than the one of this machine: nothing was recorded")
	default:
		c.say("it could not be recorded; the daemon's log says why")
	}
}

func drillText(state string) string {
	switch drill.State(state) {
	case drill.Proved:
		return "good"
	case drill.Sealed:
		return "not opened"
	case drill.Absent:
		return "to be reactivated"
	}
	return "cannot be used"
}
