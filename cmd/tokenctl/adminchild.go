package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) authorityChildCommand() *cobra.Command {
	return group("child", "Child authorities: parts of the users whose roles end there",
		c.childCreateCommand(), c.childListCommand(), c.childRemoveCommand())
}

// childDocument is the --json form of one child authority.
type childDocument struct {
	Version   int                `json:"version"`
	Authority ipc.ChildAuthority `json:"authority"`
}

func (c *cli) childCreateCommand() *cobra.Command {
	var r ipc.NewChildAuthority
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a child authority", Args: named(1, "NAME"),
		Long: `Make a child authority: a part of the users, with administrators of its own. The
roles of its users end there and at the authorities beneath it; those of its
parent reach down to it. Users are put there by "admin user add --authority NAME"
and "admin user edit --authority NAME". Policy, verifiers, groups, the key and
fobs that nobody has stay with the root authority.`,
		Example: "  tokenctl admin authority child create west --display \"Example West Ltd\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			x, err := c.daemon().AddChildAuthority(cmd.Context(), r)
			if err != nil {
				return deskFail("make the child authority "+args[0], err)
			}
			return c.answer(childDocument{ipc.Version, x}, func() { c.show(childTable([]ipc.ChildAuthority{x})) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&r.Display, "display", "", "its name, for people (`TEXT`)")
	fl.StringVar(&r.Parent, "parent", "", "the authority above it, by `NAME` or id; your own if not told")
	return cmd
}

func childTable(list []ipc.ChildAuthority) *table {
	t := &table{head: []string{"AUTHORITY", "NAME", "PARENT", "DEPTH", "ID"}, flexible: 1}
	for _, x := range list {
		t.add(x.Name, orDash(x.Display), x.Parent, strconv.Itoa(x.Depth), x.ID)
	}
	return t
}

func (c *cli) childListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the child authorities that your roles reach", Args: noArgs,
		Long: `List the child authorities that your roles reach: your own, and those beneath it.
In a pipe the fields are: name, name for people, parent, depth, id (as in the
audit).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().ChildAuthorities(cmd.Context())
			if err != nil {
				return deskFail("list the child authorities", err)
			}
			return c.answer(list, func() {
				if len(list.Authorities) == 0 {
					c.say("there are no child authorities within your reach")
					return
				}
				c.show(childTable(list.Authorities))
			})
		},
	}
}

func (c *cli) childRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a child authority that is empty", Args: named(1, "NAME"),
		Long: `Remove a child authority that has neither users nor authorities beneath it. It is
removed by roles of an authority above it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := c.daemon().RemoveChildAuthority(cmd.Context(), ipc.ChildAuthorityRef{Authority: args[0]})
			if err != nil {
				return deskFail("remove the child authority "+args[0], err)
			}
			return c.answer(childDocument{ipc.Version, x}, func() { c.say("removed the child authority %s", clean(x.Name)) })
		},
	}
}
