package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminUserCommand() *cobra.Command {
	return group("user", "The authority's users and their roles",
		c.userAddCommand(), c.userListCommand(), c.userShowCommand(), c.userEditCommand(), c.userRoleCommand(), c.userRemoveCommand(), c.userKeyCommand())
}

// userDocument is the --json form of one user.
type userDocument struct {
	Version int      `json:"version"`
	User    ipc.User `json:"user"`
}

// showChanged answers with a user who was added or edited.
func (c *cli) showChanged(u ipc.User) error {
	return c.answer(userDocument{ipc.Version, u}, func() {
		c.showPairs(c.userPairs(u))
		for _, login := range u.UnknownLogins {
			c.say("this machine has no login %q now: see how it is written", clean(login))
		}
	})
}

// userHead is who a user is, with his roles in words.
func userHead(u ipc.User, roles string) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("user", u.Name)
	t.add("id", u.ID)
	t.add("authority", u.Authority)
	t.add("name", orDash(u.Display))
	t.add("e-mail", orDash(u.Email))
	t.add("logins", words(u.Logins))
	t.add("roles", roles)
	t.add("state", either(u.Disabled, "disabled", "active"))
	return t
}

func (c *cli) userPairs(u ipc.User) *table {
	t := userHead(u, words(u.Roles))
	for _, f := range u.Fobs {
		t.add("fob", fmt.Sprintf("%s, %s, %s", f.Serial, fobTypeText(f.Type), f.State))
	}
	t.add("added", ago(c.now(), u.Created))
	return t
}

// userFlags are what a user can be given.
type userFlags struct {
	display, email, authority string
	logins, roles             []string
}

func (f *userFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.display, "display", "", "his name, for people (`TEXT`)")
	fl.StringVar(&f.email, "email", "", "his e-mail `ADDRESS`")
	fl.StringArrayVar(&f.logins, "login", nil, "his `LOGIN` on the authority's machine (can be repeated)")
	fl.StringVar(&f.authority, "authority", "", "the authority that he belongs to, by `NAME` or id")
}

func (c *cli) userAddCommand() *cobra.Command {
	var f userFlags
	cmd := &cobra.Command{
		Use: "add USER", Short: "Add a user", Args: named(1, "USER"),
		Long: `Add a user by the name that services know him by: found in capitals and small
letters alike. A login on the authority's own machine lets him, as that login,
do what his roles allow; without one he has fobs and no more. He belongs to your
own authority, unless --authority names one beneath it.`,
		Example: "  tokenctl admin user add alice --display \"Alice Example\"\n  tokenctl admin user add vpn --login vpn --role verifier",
		RunE: func(cmd *cobra.Command, args []string) error {
			r := ipc.NewUser{Name: args[0], Display: f.display, Email: f.email, Logins: f.logins, Authority: f.authority}
			for _, s := range f.roles {
				role, err := aRole(s)
				if err != nil {
					return err
				}
				r.Roles = append(r.Roles, role)
			}
			u, err := c.daemon().AddUser(cmd.Context(), r)
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "add "+args[0], err)
			}
			return c.showChanged(u)
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVar(&f.roles, "role", nil, "a `ROLE`: verifier, helpdesk, admin or owner (can be repeated)")
	return cmd
}

func (c *cli) userListCommand() *cobra.Command {
	var q ipc.UserQuery
	var role string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List users", Args: noArgs,
		Long: `List users in the order of their names. In a pipe the fields are: name, id,
name for people, roles, logins, state, serial numbers of the fobs, authority.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role != "" {
				var err error
				if q.Role, err = aRole(role); err != nil {
					return err
				}
			}
			users, err := c.allUsers(cmd.Context(), q)
			if err != nil {
				return deskFail("list the users", err)
			}
			return c.answer(ipc.UserPage{Version: ipc.Version, Users: users}, func() {
				if len(users) == 0 {
					c.say("there are no such users")
					return
				}
				c.show(userTable(users))
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&q.Prefix, "prefix", "", "those whose names begin with `TEXT`")
	fl.StringVar(&role, "role", "", "those with the `ROLE`")
	fl.StringVar(&q.Authority, "authority", "", "those of the authority, and of those beneath it (`NAME` or id)")
	return cmd
}

// allUsers reads every page.
func (c *cli) allUsers(ctx context.Context, q ipc.UserQuery) ([]ipc.User, error) {
	users := []ipc.User{}
	for {
		page, err := c.daemon().Users(ctx, q)
		if err != nil {
			return nil, err
		}
		users = append(users, page.Users...)
		if q.After = page.Next; q.After == "" {
			return users, nil
		}
	}
}

func userTable(users []ipc.User) *table {
	t := &table{head: []string{"USER", "ID", "NAME", "ROLES", "LOGINS", "STATE", "FOBS", "AUTHORITY"}, flexible: 2}
	for _, u := range users {
		serials := make([]string, len(u.Fobs))
		for i, f := range u.Fobs {
			if serials[i] = f.Serial; f.State != ipc.FobActive {
				serials[i] += " (" + string(f.State) + ")"
			}
		}
		t.add(u.Name, u.ID, orDash(u.Display), words(u.Roles), words(u.Logins), either(u.Disabled, "disabled", "active"), words(serials), u.Authority)
	}
	return t
}

func (c *cli) userEditCommand() *cobra.Command {
	var f userFlags
	var name string
	var disable, enable, noLogins bool
	cmd := &cobra.Command{
		Use: "edit USER", Short: "Change a user, or disable him for a while", Args: named(1, "USER"),
		Long: `Change what the flags name; --login replaces all his logins. No passcode of a
disabled user is accepted, and none of his roles counts, until he is enabled.
--authority moves him to another authority, where his roles then end.`,
		Example: "  tokenctl admin user edit alice --disable\n  tokenctl admin user edit bob --name robert",
		RunE: func(cmd *cobra.Command, args []string) error {
			var r ipc.EditUserRequest
			for flag, to := range map[string]**string{"name": &r.Name, "display": &r.Display, "email": &r.Email, "authority": &r.Authority} {
				if f := cmd.Flags().Lookup(flag); f.Changed {
					value := f.Value.String()
					*to = &value
				}
			}
			if cmd.Flags().Changed("login") || noLogins {
				logins := append([]string{}, f.logins...)
				r.Logins = &logins
			}
			if disable || enable {
				r.Disabled = &disable
			}
			if r == (ipc.EditUserRequest{}) {
				return usage("nothing to change was given", adviceHelp(cmd.CommandPath())...)
			}
			u, err := c.daemon().EditUser(cmd.Context(), args[0], r)
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "change "+args[0], err)
			}
			return c.showChanged(u)
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&name, "name", "", "another `NAME`")
	fl.BoolVar(&noLogins, "no-logins", false, "take all his logins away")
	fl.BoolVar(&disable, "disable", false, "accept no passcode of his until he is enabled")
	fl.BoolVar(&enable, "enable", false, "end that")
	cmd.MarkFlagsMutuallyExclusive("disable", "enable")
	cmd.MarkFlagsMutuallyExclusive("login", "no-logins")
	return cmd
}

func (c *cli) userRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "role USER ROLE...", Short: "Give a user his roles", ValidArgs: roleWords(), Args: atLeastOne("USER and ROLE"),
		Long: `Give a user these roles in place of those he has: verifier, helpdesk, admin,
owner; "user" alone takes all others away. Administrators and owners are
changed by owners.`,
		Example: "  tokenctl admin user role carol helpdesk\n  tokenctl admin user role carol user",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(cmd.CommandPath()+" needs ROLE", adviceRoles()...)
			}
			roles := []ipc.Role{}
			for _, s := range args[1:] {
				role, err := aRole(s)
				if err != nil {
					return err
				}
				roles = append(roles, role)
			}
			u, err := c.daemon().EditUser(cmd.Context(), args[0], ipc.EditUserRequest{Roles: &roles})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "change the roles of "+args[0], err)
			}
			return c.showChanged(u)
		},
	}
}

func roleWords() []string {
	var all []string
	for _, r := range allRoles() {
		all = append(all, string(r))
	}
	return all
}

func (c *cli) userRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove USER", Aliases: []string{"rm"}, Short: "Remove a user", Args: named(1, "USER"),
		Long: `Remove a user for good. His fobs stay in the registry, and are nobody's unless
they have other users. To keep him out for a while: "admin user edit --disable".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "remove " + args[0]
			u, err := c.daemon().User(cmd.Context(), args[0])
			if err != nil {
				return deskFailOf(subject{user: args[0]}, doing, err)
			}
			if !yes {
				var serials []string
				for _, f := range u.Fobs {
					serials = append(serials, f.Serial)
				}
				if len(serials) > 0 {
					c.say("fobs that he would have no longer: %s", clean(strings.Join(serials, ", ")))
				}
				if err := c.confirm(cmd.Context(), "Remove "+clean(u.Name)+" for good?", "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			res, err := c.daemon().RemoveUser(cmd.Context(), u.ID, ipc.RemoveUserRequest{Confirm: u.ID})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, doing, err)
			}
			return c.answer(res, func() {
				c.say("removed %s", clean(res.Removed.Name))
				c.hints(adviceRemoved(res.Removed.ID))
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
