package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// chain is one of the two chains: of the caller's vault, or of the authority.
type chain struct {
	command string // what its commands begin with
	what    string // "the audit log"
	owner   string // "vault"
	others  string // what is not affected when it is broken
	damaged ipc.Kind

	page       func(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error)
	checkpoint func(ctx context.Context) (ipc.AuditCheckpoint, error)
	verify     func(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error)
	fail       func(doing string, err error) error
}

func (c *cli) ownChain() chain {
	return chain{command: "tokenctl audit", what: "the audit log", owner: "vault", others: "accounts and codes", damaged: ipc.VaultDamaged,
		page: func(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error) {
			return c.daemon().AuditEntries(ctx, q)
		},
		checkpoint: func(ctx context.Context) (ipc.AuditCheckpoint, error) { return c.daemon().CheckpointAudit(ctx) },
		verify: func(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
			return c.daemon().VerifyAudit(ctx, r)
		},
		fail: fail}
}

func (c *cli) authorityChain() chain {
	return chain{command: "tokenctl admin audit", what: "the authority's audit chain", owner: "authority", others: "users and fobs", damaged: ipc.AuthorityDamaged,
		page: func(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error) {
			return c.daemon().AuthorityAudit(ctx, q)
		},
		checkpoint: func(ctx context.Context) (ipc.AuditCheckpoint, error) {
			return c.daemon().CheckpointAuthorityAudit(ctx)
		},
		verify: func(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
			return c.daemon().VerifyAuthorityAudit(ctx, r)
		},
		fail: deskFail}
}

func (c *cli) auditCommand() *cobra.Command {
	var f auditFlags
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show what was done with your vault, by whom, and from where", Args: noArgs,
		Long: `Show your audit log, oldest first: what was done, to which account or token (by
its id), by whom, and from where. In a pipe the fields are: number, time, action,
object, by, done, detail, from.`,
		Example: "  tokenctl audit list --last 20\n  tokenctl audit list --failed --since 7d\n  tokenctl audit list --kind code --account github",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.account != "" && !isAccountID(f.account) {
				a, err := c.daemon().Account(cmd.Context(), f.account)
				if err != nil {
					return fail("find the account "+f.account, err)
				}
				f.account = a.ID
			}
			return c.listAudit(cmd.Context(), c.ownChain(), &f)
		},
	}
	f.add(list, "an `ID` of a vault's user")
	list.Flags().StringVar(&f.account, "account", "", "only what was done to this `ACCOUNT`, a name or an id")
	return group("audit", "Show and check the log of what was done", list, c.verifyAuditCommand(c.ownChain), c.checkpointCommand(c.ownChain))
}

// isAccountID says that a text is an account's id, which needs no open vault.
func isAccountID(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }

func (c *cli) adminAuditCommand() *cobra.Command {
	var f auditFlags
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show what was done at the authority, by whom, and from where", Args: noArgs,
		Long: `Show the authority's audit chain, oldest first: users and fobs by their ids,
no passcodes and no names. In a pipe the fields are: number, time, action,
object, by, done, detail, from.

Whose an id is, "tokenctl admin user show ID" tells while he is a user. Of who was
removed no name is left: his id is the object of his entry of the kind user-remove.`,
		Example: "  tokenctl admin audit list --user alice --since 7d\n  tokenctl admin audit list --by bob --kind activation\n" +
			"  tokenctl admin audit list --reference 4711-0815",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.listAudit(cmd.Context(), c.authorityChain(), &f)
		},
	}
	f.add(list, "this user, by `USER` name or id, or \"uid 0\"")
	fl := list.Flags()
	fl.Uint64Var(&f.after, "after", 0, "only the entries after this `NUMBER`")
	fl.StringVar(&f.user, "user", "", "only what concerns this `USER`, a name or an id")
	fl.StringVar(&f.account, "account", "", "only what concerns the managed account with this `ID`")
	return group("audit", "Show and check what was done at the authority", list, c.verifyAuditCommand(c.authorityChain), c.checkpointCommand(c.authorityChain))
}

// auditFlags say which entries to show.
type auditFlags struct {
	since, until, kind, by, user, account, device, reference string
	failed                                                   bool
	last                                                     int
	after                                                    uint64

	given func(flag string) bool
}

func (f *auditFlags) add(cmd *cobra.Command, by string) {
	fl := cmd.Flags()
	f.given = fl.Changed
	fl.StringVar(&f.since, "since", "", "only what was done at this `TIME` or later (2026-11-29, \"2026-11-29 14:30\", 36h, 7d)")
	fl.StringVar(&f.until, "until", "", "only what was done up to this `TIME`")
	fl.StringVar(&f.kind, "kind", "", "only this `ACTION`, or all that begin with it and \"-\"")
	fl.StringVar(&f.by, "by", "", "only what was done by "+by)
	fl.StringVar(&f.device, "device", "", "only what concerns the device with this `ID`")
	fl.StringVar(&f.reference, "reference", "", "only what has this `REFERENCE`, which a user was told to name")
	fl.BoolVar(&f.failed, "failed", false, "only what failed or was refused")
	fl.IntVar(&f.last, "last", 0, "only the last `N` of these, up to 1000")
}

// query is what the flags ask for.
func (f *auditFlags) query(now time.Time) (ipc.AuditQuery, error) {
	q := ipc.AuditQuery{After: f.after, Last: f.last, Kind: f.kind, By: f.by, User: f.user, Account: f.account, Device: f.device,
		Reference: f.reference, Failed: f.failed}
	if f.last < 0 || f.last > 1000 || f.last == 0 && f.given("last") {
		return q, usage("--last takes a number from 1 to 1000")
	}
	var err error
	if q.Since, err = when("--since", f.since, now, false); err != nil {
		return q, err
	}
	q.Until, err = when("--until", f.until, now, true)
	return q, err
}

// when reads a time of this place. A day is its beginning, or its end.
func when(flag, text string, now time.Time, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if d, err := parseSpan(text); err == nil {
		return now.Add(-d), nil
	}
	return time.Time{}, usage(flag+": this is no time: "+clean(text), adviceTime()...)
}

// listAudit shows the entries that are asked for, and whether the chain verifies.
func (c *cli) listAudit(ctx context.Context, of chain, f *auditFlags) error {
	q, err := f.query(c.now())
	if err != nil {
		return err
	}
	page, err := of.all(ctx, q)
	if err != nil {
		if lines := adviceAuditFilter(err); lines != nil {
			return failWith("read "+of.what, err, lines...)
		}
		return of.fail("read "+of.what, err)
	}
	show := func() {
		if c.showAudit(page.Entries); len(page.Entries) == 0 {
			c.say("no entry fits")
		}
	}
	if err := c.answer(page, show); err != nil {
		return err
	}
	if !page.Intact {
		return of.broken(page.Problem)
	}
	return nil
}

// all reads every page.
func (of chain) all(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error) {
	all := ipc.AuditPage{Version: ipc.Version, Entries: []ipc.AuditEntry{}}
	for {
		page, err := of.page(ctx, q)
		if err != nil {
			return all, err
		}
		all.Entries = append(all.Entries, page.Entries...)
		all.Intact, all.Problem = page.Intact, page.Problem
		if !page.More || len(page.Entries) == 0 || q.Last > 0 {
			return all, nil
		}
		q.After = page.Entries[len(page.Entries)-1].Seq
	}
}

func (of chain) broken(problem string) error {
	return failWith("verify "+of.what, &ipc.Error{Kind: of.damaged, Message: orDash(problem)}, adviceChainBroken(of.others)...)
}

func (c *cli) showAudit(entries []ipc.AuditEntry) {
	t := &table{head: []string{"#", "TIME", "ACTION", "OBJECT", "BY", "DONE", "DETAIL", "FROM"}, flexible: 6}
	for _, e := range entries {
		t.add(strconv.FormatUint(e.Seq, 10), e.Time.Local().Format("2006-01-02 15:04:05"), e.Action,
			orDash(e.Object), orDash(e.By), either(e.OK, "yes", "no"), orDash(e.Detail), orDash(e.From))
	}
	c.show(t)
}

func (c *cli) checkpointCommand(of func() chain) *cobra.Command {
	o := of()
	return &cobra.Command{
		Use: "checkpoint", Short: "Sign what the last entry is, to be kept elsewhere", Args: noArgs,
		Long: `Print a checkpoint: one word that says, signed by the ` + o.owner + `'s own key, which entry
is the last now. Kept where who may write the daemon's files cannot, it shows later
if entries were cut off or written anew. The daemon's log gets it as well, and one
each day when something was added.`,
		Example: "  " + o.command + " checkpoint > checkpoint-2026-11-29\n  " + o.command + " verify --checkpoint checkpoint-2026-11-29",
		RunE: func(cmd *cobra.Command, _ []string) error {
			point, err := o.checkpoint(cmd.Context())
			if err != nil {
				return o.fail("make a checkpoint of "+o.what, err)
			}
			return c.answer(point, func() {
				c.print("%s", clean(point.Checkpoint))
				c.say("of entry %d", point.Seq)
				for _, line := range adviceCheckpointMade(o.command) {
					c.say("  %s", line)
				}
			})
		},
	}
}

// errNoCheckpoint says that a file holds none.
var errNoCheckpoint = errors.New("there is no checkpoint in it")

// checkpointPrefix and the characters after it make up a checkpoint, in whatever
// text it stands.
const (
	checkpointPrefix = "tokend-checkpoint-1."
	maxCheckpoint    = 400
)

// checkpointsIn finds checkpoints in a text, such as a log: each once, in their
// order.
func checkpointsIn(text string) []string {
	var list []string
	for {
		at := strings.Index(text, checkpointPrefix)
		if at < 0 {
			return list
		}
		text = text[at:]
		n := strings.IndexFunc(text, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '.' && r != '-' && r != '_'
		})
		if n < 0 {
			n = len(text)
		}
		if word := text[:min(n, maxCheckpoint+1)]; !slices.Contains(list, word) {
			list = append(list, word)
		}
		text = text[n:]
	}
}
