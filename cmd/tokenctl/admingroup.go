package main

import (
	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminGroupCommand() *cobra.Command {
	return group("group", "Roles by groups of this machine", c.groupAddCommand(), c.groupListCommand(), c.groupRemoveCommand())
}

// groupDocument is the --json form of one group.
type groupDocument struct {
	Version int       `json:"version"`
	Group   ipc.Group `json:"group"`
}

func (c *cli) groupAddCommand() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use: "add GROUP", Short: "Give the members of a group a role", Args: named(1, "GROUP"),
		Long: `Give the members of a group of the authority's machine a role: those of them who
are users of the authority, by their logins ("admin user add --login"). Whoever
joins or leaves the group has or loses the role with his next command. The roles
of administrators and owners are given, and taken, by owners alone.`,
		Example: "  tokenctl admin group add helpdesk --role helpdesk",
		RunE: func(cmd *cobra.Command, args []string) error {
			r := ipc.NewGroup{Name: args[0]}
			for _, s := range roles {
				role, err := aRole(s)
				if err != nil {
					return err
				}
				r.Roles = append(r.Roles, role)
			}
			if len(r.Roles) == 0 {
				return usage(cmd.CommandPath()+" needs --role ROLE", adviceRoles()...)
			}
			g, err := c.daemon().AddGroup(cmd.Context(), r)
			if err != nil {
				return deskFail("give the group "+args[0]+" a role", err)
			}
			return c.answer(groupDocument{ipc.Version, g}, func() {
				c.show(groupTable([]ipc.Group{g}))
				if !g.Known {
					c.say("this machine has no group %q now: see how it is written", clean(g.Name))
				}
			})
		},
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, "a `ROLE`: verifier, helpdesk, admin or owner (can be repeated)")
	return cmd
}

func groupTable(list []ipc.Group) *table {
	t := &table{head: []string{"GROUP", "ROLES", "STATE", "ID"}, flexible: 0}
	for _, g := range list {
		t.add(g.Name, words(g.Roles), either(g.Known, "there", "not on this machine"), g.ID)
	}
	return t
}

func (c *cli) groupListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the groups that have roles", Args: noArgs,
		Long: `List the groups of this machine whose members have roles. In a pipe the fields
are: name, roles, whether the machine has such a group, id (as in the audit).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Groups(cmd.Context())
			if err != nil {
				return deskFail("list the groups", err)
			}
			return c.answer(list, func() {
				if len(list.Groups) == 0 {
					c.say("no group has a role")
					return
				}
				c.show(groupTable(list.Groups))
			})
		},
	}
}

func (c *cli) groupRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove GROUP", Aliases: []string{"rm"}, Short: "Take the roles from the members of a group", Args: named(1, "GROUP"),
		Long: `Take the roles from the members of a group. Roles that its members have of their
own or by another group stay.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := c.daemon().RemoveGroup(cmd.Context(), ipc.GroupRef{Name: args[0]})
			if err != nil {
				return deskFail("take the roles from the group "+args[0], err)
			}
			return c.answer(groupDocument{ipc.Version, g}, func() { c.say("the group %s gives no role any more", clean(g.Name)) })
		},
	}
}
