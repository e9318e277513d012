package main

import (
	"cmp"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminBypassCommand() *cobra.Command {
	return group("bypass", "Codes that take the place of a user's factor once",
		c.bypassCreateCommand(), c.bypassListCommand(), c.bypassRevokeCommand())
}

func (c *cli) bypassCreateCommand() *cobra.Command {
	var valid time.Duration
	cmd := &cobra.Command{
		Use: "create USER", Short: "Make a bypass code, which is shown this once", Args: named(1, "USER"),
		Long: `Make a code for a user whose fob is lost, broken or at home. It is good for one
factor of one reactivation, where the policy allows bypass codes, and it is shown
this once: tell it to nobody but him, after you have made sure that it is him.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			seconds, err := validSeconds(valid)
			if err != nil {
				return err
			}
			made, err := c.daemon().CreateBypassCode(cmd.Context(), ipc.NewBypassCode{User: args[0], ValidSeconds: seconds})
			defer clear(made.Code)
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "make a bypass code for "+args[0], err)
			}
			return c.answer(made, func() {
				c.print("%s", string(made.Code))
				c.say("good once, until %s; its id is %s", ago(c.now(), made.Bypass.Expires), made.Bypass.ID)
				c.sayShorter(valid, made.Bypass.Created, made.Bypass.Expires)
				if why := made.NotOffered; why != "" {
					c.say("as things are, %s is not asked for it: %s", clean(args[0]), clean(why))
					who, _ := c.daemon().User(cmd.Context(), args[0]) // without it no fob is named
					for _, line := range adviceNotOffered(args[0], made, who.Fobs) {
						c.say("  %s", line)
					}
				}
			})
		},
	}
	spanFlag(cmd.Flags(), &valid, "valid", 0, "how long it is good, such as 8h or 3d; as long as the policy allows if not told (`TIME`)")
	return cmd
}

func (c *cli) bypassListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Aliases: []string{"ls"}, Short: "List a user's bypass codes, without what is typed", Args: named(1, "USER"),
		Long: `List a user's bypass codes, used and expired ones too. In a pipe the fields are:
id, state, made, expires, who made it (an id where no name is known).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.daemon().BypassCodes(cmd.Context(), ipc.UserRef{User: args[0]})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "list the bypass codes of "+args[0], err)
			}
			return c.answer(list, func() {
				if len(list.Codes) == 0 {
					c.say("%s has no bypass codes", clean(args[0]))
					return
				}
				t := &table{head: []string{"ID", "STATE", "MADE", "EXPIRES", "BY"}, flexible: 0, below: []int{3, 2}}
				for _, b := range list.Codes {
					t.add(b.ID, string(b.State), ago(c.now(), b.Created), ago(c.now(), b.Expires), cmp.Or(b.ByName, b.By))
				}
				c.show(t)
			})
		},
	}
}

// bypassDocument is the --json form of one bypass code.
type bypassDocument struct {
	Version int            `json:"version"`
	Bypass  ipc.BypassCode `json:"bypass"`
}

func (c *cli) bypassRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make a bypass code useless", Args: named(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.daemon().RevokeBypassCode(cmd.Context(), args[0])
			if err != nil {
				return deskFail("revoke the bypass code", err)
			}
			return c.answer(bypassDocument{ipc.Version, b}, func() { c.say("revoked: nobody can use the code any more") })
		},
	}
}
