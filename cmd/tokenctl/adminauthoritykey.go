package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// keyTokenFlags are the flags by which a command is told which token opens the
// authority: those of authFlags without the recovery password's.
type keyTokenFlags struct{ authFlags }

func (f *keyTokenFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.token, "token", "", "use this `TOKEN` (label or id)")
	fl.StringVar(&f.pinFile, "pin-file", "", "read the PIN from `FILE` (- is standard input); it is tried once")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the PIN to be tried when one try is left")
}

// with runs call with what the flags offer, and with the PIN that is asked for.
func (f *keyTokenFlags) with(ctx context.Context, c *cli, call func(context.Context, ipc.Auth) error) error {
	auth, err := f.load(ctx, c)
	if err != nil {
		return err
	}
	defer wipeAuth(&auth)
	return c.withPIN(ctx, &auth, f.attempt(), call)
}

// keyFail is deskFail with the advice that suits what opens an authority.
func keyFail(doing string, err error) error {
	if hints := adviceAuthorityKey(err); hints != nil {
		return failWith(doing, err, hints...)
	}
	return deskFail(doing, err)
}

func (c *cli) authorityUnlockCommand() *cobra.Command {
	var f keyTokenFlags
	cmd := &cobra.Command{
		Use: "unlock", Short: "Open the authority with a token that holds its key", Args: noArgs,
		Long: `Open an authority whose key a token holds: until the daemon ends, or "lock". The
token can be pulled out afterwards. Root may do so, and who added one of the
tokens; which these are: "tokenctl admin authority key list".`,
		Example: "  tokenctl admin authority unlock\n  tokenctl admin authority unlock --pin-file /run/secrets/pin",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var info ipc.AuthorityInfo
			err := f.with(cmd.Context(), c, func(ctx context.Context, a ipc.Auth) (err error) {
				info, err = c.daemon().UnlockAuthority(ctx, ipc.UnlockAuthorityRequest{Auth: a})
				return err
			})
			if err != nil {
				return keyFail("unlock the authority", err)
			}
			return c.answer(info, func() {
				c.say("%s is open, until tokend ends or it is locked", clean(info.Name))
				c.warn(info.Warnings)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) authorityLockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Close the authority, until a token opens it again", Args: noArgs,
		Long: `Close an authority whose key a token holds: its keys leave the daemon's memory,
its listener is closed, and nothing is verified until "unlock". Owners may do so.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			done, err := c.daemon().LockAuthority(cmd.Context())
			if err != nil {
				return keyFail("lock the authority", err)
			}
			return c.answer(done, func() { c.say("the authority is locked: nothing is verified until it is unlocked") })
		},
	}
}

func (c *cli) authorityKeyCommand() *cobra.Command {
	cmd := group("key", "What holds the authority's key", c.authorityKeyAddCommand(), c.authorityKeyListCommand(), c.authorityKeyRemoveCommand())
	cmd.Long = `See and change what holds the authority's key: tokens, a file, a credential of
systemd. Where tokens alone hold it, the authority is locked until one of them
opens it; have two. docs/authority.md says what each protects.`
	return cmd
}

// authorityKeyDocument is the --json form of one of them.
type authorityKeyDocument struct {
	Version int                    `json:"version"`
	Key     ipc.AuthorityKeyHolder `json:"key"`
}

func (c *cli) authorityKeyAddCommand() *cobra.Command {
	var f keyTokenFlags
	cmd := &cobra.Command{
		Use: "add", Short: "Let one more token open the authority", Args: noArgs,
		Long: `Let one more token open the authority: one that is enrolled in your vault (which
may be locked) and plugged in now. It opens the key once before that counts. Where
the key lies in a file, that still opens it: "key remove file" takes it away.`,
		Example: "  tokenctl admin authority key add --token \"spare key\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var k ipc.AuthorityKeyHolder
			err := f.with(cmd.Context(), c, func(ctx context.Context, a ipc.Auth) (err error) {
				k, err = c.daemon().AddAuthorityKey(ctx, ipc.AddAuthorityKeyRequest{Auth: a})
				return err
			})
			if err != nil {
				return keyFail("add a token to the authority", err)
			}
			return c.answer(authorityKeyDocument{ipc.Version, k}, func() { c.say("%s opens the authority now", holderText(k)) })
		},
	}
	f.add(cmd)
	return cmd
}

// holderText names something that holds the authority's key.
func holderText(k ipc.AuthorityKeyHolder) string {
	switch {
	case k.Label == "":
		return keySourceText(k.Kind)
	case !k.Hardware:
		return clean(k.Label) + " (software token, not hardware)"
	}
	return clean(k.Label)
}

func (c *cli) authorityKeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what holds the authority's key", Args: noArgs,
		Long: `List what holds the authority's key, also while it is locked. In a pipe the fields
are: id, kind, what it is, the uid of who added it, and when.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().AuthorityKeys(cmd.Context())
			if err != nil {
				return keyFail("list what holds the authority's key", err)
			}
			return c.answer(list, func() {
				t := &table{head: []string{"ID", "KIND", "WHAT", "BY", "ADDED"}, flexible: 2}
				for _, k := range list.Keys {
					t.add(k.ID, k.Kind, holderText(k), orDash(k.By), ago(c.now(), k.Added))
				}
				c.show(t)
			})
		},
	}
}

func (c *cli) authorityKeyRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove ID", Aliases: []string{"rm"}, Short: "Let a token, or the key file, open the authority no more", Args: named(1, "ID"),
		Long: `Let a token open the authority no more; "remove file" deletes the key file, once a
token holds the key. The last one stays. Nothing is changed on the token. The key
itself stays the same: who has the token, its PIN and an old copy of the
authority's folder opens that copy.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "remove " + args[0] + " from what opens the authority"
			if !yes {
				if err := c.confirm(cmd.Context(), fmt.Sprintf("Let %s open the authority no more?", clean(args[0])), "--yes"); err != nil {
					return fail(doing, err)
				}
			}
			k, err := c.daemon().RemoveAuthorityKey(cmd.Context(), args[0])
			if err != nil {
				return keyFail(doing, err)
			}
			return c.answer(authorityKeyDocument{ipc.Version, k}, func() { c.say("%s opens the authority no more", holderText(k)) })
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
