package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminAuditCommand() *cobra.Command {
	var after uint64
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show what was done at the authority, and by whom", Args: noArgs,
		Long: `Show the authority's audit chain, oldest first: users and fobs by their ids,
no passcodes and no names. In a pipe the fields are: number, time, action,
object, by, done, detail.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := c.wholeAudit(cmd.Context(), after)
			if err != nil {
				return deskFail("read the authority's audit chain", err)
			}
			if err := c.answer(page, func() {
				t := &table{head: []string{"#", "TIME", "ACTION", "OBJECT", "BY", "DONE", "DETAIL"}, flexible: 6}
				for _, e := range page.Entries {
					t.add(strconv.FormatUint(e.Seq, 10), e.Time.Local().Format("2006-01-02 15:04:05"), e.Action,
						orDash(e.Object), orDash(e.By), either(e.OK, "yes", "no"), orDash(e.Detail))
				}
				c.show(t)
			}); err != nil {
				return err
			}
			return chainProblem(page)
		},
	}
	list.Flags().Uint64Var(&after, "after", 0, "only the entries after this `NUMBER`")
	verify := &cobra.Command{
		Use: "verify", Short: "Check that the chain was not changed afterwards", Args: noArgs,
		Long: `Check the authority's audit chain. It finds accidental and partial changes;
whoever may write the daemon's files can still rewrite the whole of it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := c.wholeAudit(cmd.Context(), 0)
			if err != nil {
				return deskFail("read the authority's audit chain", err)
			}
			if err := c.answer(page, func() {
				if page.Intact {
					c.say("%s, unchanged", plural(len(page.Entries), "entry"))
				}
			}); err != nil {
				return err
			}
			return chainProblem(page)
		},
	}
	return group("audit", "Show and check what was done at the authority", list, verify)
}

// wholeAudit reads every page after a number.
func (c *cli) wholeAudit(ctx context.Context, after uint64) (ipc.AuditPage, error) {
	all := ipc.AuditPage{Version: ipc.Version, Entries: []ipc.AuditEntry{}}
	for {
		page, err := c.daemon().AuthorityAudit(ctx, ipc.AuditQuery{After: after})
		if err != nil {
			return all, err
		}
		all.Entries = append(all.Entries, page.Entries...)
		all.Intact, all.Problem = page.Intact, page.Problem
		if !page.More || len(page.Entries) == 0 {
			return all, nil
		}
		after = page.Entries[len(page.Entries)-1].Seq
	}
}

func chainProblem(p ipc.AuditPage) error {
	if p.Intact {
		return nil
	}
	return failWith("verify the authority's audit chain", &ipc.Error{Kind: ipc.AuthorityDamaged, Message: orDash(p.Problem)}, adviceChainBroken()...)
}
