package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) accountShowCommand() *cobra.Command {
	var f authFlags
	var qr, uri, yes bool
	cmd := &cobra.Command{
		Use: "show ACCOUNT", Short: "Show an account's settings, or its secret as a QR code", Args: named(1, "ACCOUNT"),
		Long: `Show an account. Its secret is shown only when asked for: --qr draws it for
another device's camera, --uri prints the otpauth:// address. Whoever sees
either can make this account's codes for ever, so it is confirmed first.`,
		Example:           "  tokenctl account show github\n  tokenctl account show github --qr",
		ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.findAccount(cmd.Context(), &f, args[0])
			if err != nil {
				return err
			}
			if !qr && !uri {
				return c.printAccount(a)
			}
			return c.reveal(cmd.Context(), &f, a, qr, yes)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&qr, "qr", false, "draw the secret as a QR code")
	fl.BoolVar(&uri, "uri", false, "print the secret as an otpauth:// address")
	fl.BoolVar(&yes, "yes", false, "do not ask for confirmation")
	cmd.MarkFlagsMutuallyExclusive("qr", "uri")
	f.add(cmd)
	return cmd
}

// reveal shows an account's secret after a word of confirmation.
func (c *cli) reveal(ctx context.Context, f *authFlags, a ipc.Account, qr, yes bool) error {
	name := accountName(a.Issuer, a.Name)
	doing := "show the secret of " + name
	agreed := false
	if !yes {
		c.say("Whoever sees the secret of %s, also on a photograph or in the terminal's history, can make its codes for ever.", name)
		if err := c.confirm(ctx, "Show it?", "--yes"); err != nil {
			return fail(doing, err)
		}
		agreed = true
	}
	var res ipc.Reveal
	err := c.open(ctx, f, func(ctx context.Context, auth ipc.Auth) (err error) {
		return c.withConsent(ctx, agreement{action: ipc.GrantReveal, account: a.ID, name: name, agreed: agreed}, func() error {
			res, err = c.daemon().RevealAccount(ctx, a.ID, ipc.RevealRequest{Auth: auth})
			return err
		})
	})
	if err != nil {
		return fail(doing, err)
	}
	defer res.URI.Wipe()
	switch {
	case c.json:
		return c.printJSON(res)
	case qr:
		lines, err := drawQR(string(res.URI), c.outTTY)
		if err != nil {
			return problem(ipc.Internal, "draw the QR code", err)
		}
		if w := c.outWidth(); w > 0 && len(lines) > 0 && columns(stripColour(lines[0])) > w {
			return failWith("draw the QR code", &ipc.Error{Kind: ipc.Unsupported, Message: "the terminal is too narrow"}, adviceNarrow()...)
		}
		for _, l := range lines {
			c.print("%s", l)
		}
		if c.outTTY {
			c.say("clear the screen when the other device has it")
		}
		return nil
	}
	// Not cleaned: it is for programs, and the daemon percent-encodes it.
	c.print("%s", string(res.URI))
	return nil
}
