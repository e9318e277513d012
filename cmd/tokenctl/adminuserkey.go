package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) userKeyCommand() *cobra.Command {
	return group("key", "Users' security keys (FIDO2), which are a factor", c.userKeyAddCommand(), c.userKeyListCommand(), c.userKeyRemoveCommand())
}

// userKeyDocument is the --json form of one key.
type userKeyDocument struct {
	Version int             `json:"version"`
	Key     ipc.SecurityKey `json:"key"`
}

// userKeyFlags are those of "admin user key add".
type userKeyFlags struct{ name, key, pin string }

func (c *cli) userKeyAddCommand() *cobra.Command {
	var f userKeyFlags
	cmd := &cobra.Command{
		Use: "add USER", Short: "Register a user's security key", Args: named(1, "USER"),
		Long: `Register a user's FIDO2 key, which is plugged into this machine now: it makes a
credential for this authority, and shows that it can use it. It takes two touches,
and the key's PIN where it has one: the user types that himself. Nothing is stored
on the key. From then on the policy can take its touch for a factor.`,
		Example: "  tokenctl admin user key add alice --name \"YubiKey at the key ring\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.addUserKey(cmd.Context(), args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "what to call it (`NAME`)")
	fl.StringVar(&f.key, "key", "", "use this `KEY`, where several are plugged in: its id, label or device")
	fl.StringVar(&f.pin, "pin-file", "", "read the key's PIN from `FILE` (- is standard input)")
	return cmd
}

func (c *cli) addUserKey(ctx context.Context, user string, f userKeyFlags) error {
	doing := "register a security key of " + user
	u, err := c.daemon().User(ctx, user)
	if err != nil {
		return deskFail(doing, err)
	}
	made, err := c.makeUserKey(ctx, u.ID, f)
	if lines := adviceUserKey(err); lines != nil {
		return failWith(doing, err, lines...)
	}
	if err != nil {
		return deskFail(doing, err)
	}
	name := cmp.Or(f.name, made.Token.Label, "security key")
	k, err := c.daemon().AddSecurityKey(ctx, ipc.NewSecurityKey{User: u.ID, Name: name, Statement: made.Statement})
	if err != nil {
		return deskFail(doing, err)
	}
	return c.answer(userKeyDocument{ipc.Version, k}, func() { c.say("registered %s for %s", clean(k.Name), clean(u.Name)) })
}

// makeUserKey has the key make its credential, with its PIN where it wants one.
func (c *cli) makeUserKey(ctx context.Context, userID string, f userKeyFlags) (made ipc.MadeSecurityKey, err error) {
	var auth ipc.Auth
	how := attempt{word: "PIN", flag: "--pin-file"}
	if f.pin != "" {
		how.given = true
		if auth.PIN, err = c.readSecret(ctx, "--pin-file", f.pin); err != nil {
			return made, err
		}
	}
	defer wipeAuth(&auth)
	err = c.withPIN(ctx, &auth, how, func(ctx context.Context, a ipc.Auth) (err error) {
		made, err = c.daemon().MakeSecurityKey(ctx, ipc.MakeSecurityKeyRequest{UserID: userID, Locator: f.key, PIN: a.PIN, SpendLastTry: a.SpendLastTry})
		return err
	})
	return made, err
}

func (c *cli) userKeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Aliases: []string{"ls"}, Short: "List a user's security keys", Args: named(1, "USER"),
		Long: `List a user's security keys. In a pipe the fields are: id, name, model (by the
key's own word), whether it is used with its PIN, registered, used last, and when
its counter was seen to go back, as that of a copy does.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.daemon().SecurityKeys(cmd.Context(), ipc.UserRef{User: args[0]})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "list the security keys of "+args[0], err)
			}
			return c.answer(list, func() {
				if len(list.Keys) == 0 {
					c.say("%s has no security keys", clean(args[0]))
					return
				}
				t := &table{head: []string{"ID", "NAME", "MODEL", "PIN", "ADDED", "USED", "DOUBTED"}, flexible: 1, below: []int{6, 4, 5, 2}}
				for _, k := range list.Keys {
					t.add(k.ID, k.Name, orDash(k.Model), either(k.PIN, "yes", "no"), ago(c.now(), k.Created), ago(c.now(), k.Used), ago(c.now(), k.Doubted))
				}
				c.show(t)
			})
		},
	}
}

func (c *cli) userKeyRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove USER KEY", Aliases: []string{"rm"}, Short: "Forget a user's security key", Args: named(2, "USER", "KEY"),
		Long: `Forget a user's security key, by its id or name: it is no factor any more. One
that was lost or stolen is removed, too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "remove the security key " + args[1]
			if !yes {
				if err := c.confirm(cmd.Context(), fmt.Sprintf("Forget the security key %s of %s?", clean(args[1]), clean(args[0])), "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			k, err := c.daemon().RemoveSecurityKey(cmd.Context(), ipc.SecurityKeyRef{User: args[0], Key: args[1]})
			if err != nil {
				return deskFail(doing, err)
			}
			return c.answer(userKeyDocument{ipc.Version, k}, func() { c.say("removed %s: it is no factor any more", clean(k.Name)) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
