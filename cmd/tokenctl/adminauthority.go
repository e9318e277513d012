package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminAuthorityCommand() *cobra.Command {
	return group("authority", "Make the authority, and see or change what it says of itself",
		c.authorityCreateCommand(), c.authorityShowCommand(), c.authorityEditCommand(), c.authorityDescriptorCommand(),
		c.authorityUnlockCommand(), c.authorityLockCommand(), c.authorityKeyCommand(), c.authorityChildCommand())
}

const authorityCreateHelp = `Make an authority in the daemon, with a new key and a policy to begin with:

  no-sms-no-calls   fobs and security keys, else another device, else a bypass
                    code; never a text message or a call (as it is if not told)
  fob-only          fobs, and nothing else
  open              whatever a user has

Its registry lies in the daemon's state folder, and is sealed: keep the key apart
from copies of it, for without the key nobody opens them. docs/authority.md says
where the key can come from, and what each way protects.

With --key token a token that is enrolled in your vault and plugged in holds the
key: "admin authority unlock" opens the authority each time the daemon has started.
Add a second one at once: "admin authority key add".`

func (c *cli) authorityCreateCommand() *cobra.Command {
	var r ipc.CreateAuthorityRequest
	var f keyTokenFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an authority in the daemon", Long: authorityCreateHelp, Args: named(1, "NAME"),
		Example: "  tokenctl admin authority create \"Example Ltd\" --contact \"IT, +41 44 000 00 00\"\n" +
			"  tokenctl admin authority create \"Example Ltd\" --key token",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			if r.Key != "" && r.Key != ipc.AuthorityKeyToken {
				return usage(fmt.Sprintf("there is no --key %s", r.Key), adviceHelp(cmd.CommandPath())...)
			}
			if r.Key == "" && (f.token != "" || f.given() || f.lastTry) {
				return usage("--token, --pin-file and --spend-last-try are for --key token", adviceHelp(cmd.CommandPath())...)
			}
			var info ipc.AuthorityInfo
			err := f.with(cmd.Context(), c, func(ctx context.Context, a ipc.Auth) (err error) {
				r.Auth = a
				info, err = c.daemon().CreateAuthority(ctx, r)
				return err
			})
			if err != nil {
				return keyFail("make the authority", err)
			}
			return c.answer(info, func() {
				c.showPairs(c.authorityTable(info))
				c.warn(info.Warnings)
				for _, line := range adviceCreated(r.Key != "") {
					c.say("%s", line)
				}
			})
		},
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&r.Key, "key", "", "token: have a token hold the key; else it is where tokend.toml says (`WHERE`)")
	fl.StringVar(&r.Preset, "preset", "", "the `POLICY` to begin with: no-sms-no-calls, fob-only or open")
	fl.StringVar(&r.Contact, "contact", "", "whom people turn to: a name, a number or an address (`TEXT`)")
	fl.StringVar(&r.Portal, "portal", "", "the https `ADDRESS` of a page for them")
	return cmd
}

func (c *cli) authorityTable(a ipc.AuthorityInfo) *table {
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("authority", a.Name)
	t.add("id", a.ID)
	t.add("contact", orDash(a.Contact))
	t.add("portal", orDash(a.Portal))
	t.add("made", ago(c.now(), a.Created))
	t.add("key", keySourceText(a.KeySource))
	for i, e := range a.Endpoints {
		t.add(either(i == 0, "answers at", ""), e)
	}
	t.add("registry", fmt.Sprintf("%d KiB", (a.Size+1023)/1024))
	t.add("policy", a.Policy)
	t.add("your roles", words(a.Roles)+either(a.Child != "", ", in "+a.Child, ""))
	return t
}

// keySourceText says where the registry's key comes from.
func keySourceText(s string) string {
	switch s {
	case "key-file":
		return "a file in the daemon's state folder"
	case "credential":
		return "a credential of systemd"
	case "keyslot":
		return "a token: see `tokenctl admin authority key list`"
	}
	return s
}

func (c *cli) authorityShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show what the authority says of itself, and your roles", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := c.daemon().Authority(cmd.Context())
			if err != nil {
				return deskFail("show the authority", err)
			}
			return c.answer(info, func() {
				c.showPairs(c.authorityTable(info))
				c.warn(info.Warnings)
			})
		},
	}
}

func (c *cli) authorityEditCommand() *cobra.Command {
	var name, contact, portal string
	var accept bool
	cmd := &cobra.Command{
		Use: "edit", Short: "Change the authority's name, contact or portal", Args: noArgs,
		Long: `Change what the authority says of itself. The contact that refusals name is in
the policy: "tokenctl admin policy show".

With --accept-copy an owner says that he knows that the registry, or the audit log, was
put back to an older copy, has burnt the passcodes of fobs and revoked anew what was
revoked since. The warnings end with it, and the audit has who said so.`,
		Example: "  tokenctl admin authority edit --contact \"IT, room 4.12\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r ipc.EditAuthorityRequest
			n := 0
			for flag, to := range map[string]**string{"name": &r.Name, "contact": &r.Contact, "portal": &r.Portal} {
				if f := cmd.Flags().Lookup(flag); f.Changed {
					value := f.Value.String()
					*to = &value
					n++
				}
			}
			if r.AcceptCopy = accept; n == 0 && !accept {
				return usage("nothing to change was given", adviceHelp(cmd.CommandPath())...)
			}
			info, err := c.daemon().EditAuthority(cmd.Context(), r)
			if err != nil {
				return deskFail("change the authority", err)
			}
			return c.answer(info, func() { c.showPairs(c.authorityTable(info)) })
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&name, "name", "", "another `NAME`")
	fl.StringVar(&contact, "contact", "", "another contact (`TEXT`)")
	fl.StringVar(&portal, "portal", "", "another https `ADDRESS`; empty is none")
	fl.BoolVar(&accept, "accept-copy", false, "end the warnings about an older copy that was put back")
	return cmd
}

// authorityText is the authority that lives in the daemon, in the status.
func authorityText(a ipc.AuthorityState) string {
	if a.Locked {
		return "locked: a token opens it"
	}
	if a.Problem != nil {
		return "cannot be used: " + a.Problem.Message
	}
	s := a.Name
	switch {
	case a.User != "":
		s += ", which knows you as " + a.User + either(a.Child != "", " of "+a.Child, "") + " (" + words(a.Roles) + ")"
	case len(a.Roles) > 0:
		s += " (" + words(a.Roles) + ")"
	}
	if a.Local {
		s += "; local authority: policy is advisory"
	}
	return s
}
