package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func isEnrolled(t ipc.Token) bool { return t.Enrolled }
func isPresent(t ipc.Token) bool  { return t.Present }

func (c *cli) tokenTestCommand() *cobra.Command {
	var f authFlags
	cmd := &cobra.Command{
		Use: "test [TOKEN]", Short: "Check that a token opens the vault", Args: named(0, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: "Open the vault's keys with a token once for each of its classes. Nothing is changed.",
	}
	f.addWithoutToken(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		t, err := c.pickToken(cmd, args, func(t ipc.Token) bool { return t.Enrolled && t.Present })
		if err != nil {
			return fail("test the token", err)
		}
		f.token = t.ID
		var res ipc.TestTokenResult
		err = c.open(ctx, &f, func(ctx context.Context, a ipc.Auth) (err error) {
			res, err = c.daemon().TestToken(ctx, t.ID, ipc.TestTokenRequest{Auth: a})
			return err
		})
		if err != nil {
			return fail("test "+tokenLabel(t), err)
		}
		if c.json {
			return c.printJSON(res)
		}
		c.say("%s opens: %s", tokenLabel(t), strings.Join(res.Opened, ", "))
		return nil
	}
	return cmd
}

// tokenDocument is one token as a document of its own.
type tokenDocument struct {
	Version int       `json:"version"`
	Token   ipc.Token `json:"token"`
}

func (c *cli) tokenRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename TOKEN LABEL", Short: "Call a token something else", Args: named(2, "TOKEN", "LABEL"), ValidArgsFunction: c.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			t, err := c.pickToken(cmd, args[:1], isEnrolled)
			if err != nil {
				return fail("rename "+args[0], err)
			}
			t, err = c.daemon().RenameToken(ctx, t.ID, ipc.RenameTokenRequest{Label: args[1]})
			if err != nil {
				return fail("rename "+args[0], err)
			}
			if c.json {
				return c.printJSON(tokenDocument{ipc.Version, t})
			}
			c.say("it is called %s now", tokenLabel(t))
			return nil
		},
	}
}
