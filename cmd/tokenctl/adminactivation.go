package main

import (
	"cmp"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) adminActivationCommand() *cobra.Command {
	return group("activation", "Let a device have a managed account",
		c.activationCreateCommand(), c.activationListCommand(), c.activationApproveCommand(), c.activationRevokeCommand())
}

const activationCreateHelp = `Make a link by which one device of the user's gets the managed account: a new
one, or one that he has. The first device that uses the link is the only one that
can. It is shown this once, and is as good as the account until it is used: send
it to nobody else. With --mail the daemon sends it to the e-mail address that the
authority has of the user, and you do not see it.

A device that has the account works on until the new one has made its first code.
The policy says how long a link is good, whom you can help, and whether somebody
else must approve it first; you cannot help yourself.`

func (c *cli) activationCreateCommand() *cobra.Command {
	var r ipc.NewActivation
	var valid time.Duration
	var picture string
	cmd := &cobra.Command{
		Use: "create USER", Short: "Make an activation link for a user", Long: activationCreateHelp, Args: named(1, "USER"),
		Example: "  tokenctl admin activation create alice --account vpn\n  tokenctl admin activation create alice --account vpn --qr alice.png\n  tokenctl admin activation create alice --account vpn --mail",
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "make an activation for " + args[0]
			if r.Account == "" {
				return usage(cmd.CommandPath()+" needs --account NAME", adviceHelp(cmd.CommandPath())...)
			}
			seconds, err := validSeconds(valid)
			if err != nil {
				return err
			}
			if picture != "" { // else a link is made that nobody has
				if err := mayWriteNew(picture); err != nil {
					return writeFailure("write "+picture, err)
				}
			}
			r.User, r.ValidSeconds = args[0], seconds
			made, err := c.daemon().CreateActivation(cmd.Context(), r)
			defer clear(made.Link)
			if err != nil {
				return mailFail(doing, args[0], err)
			}
			err = c.showActivation(doing, made, picture)
			if err == nil && !c.json {
				c.sayShorter(valid, made.Activation.Created, made.Activation.Expires)
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&r.Account, "account", "", "the `NAME` of the account: of a new one, or the name or id of one he has")
	fl.StringVar(&r.Issuer, "issuer", "", "of a new account, who issues it (`TEXT`); the authority's name if not told")
	fl.StringVar(&r.Algorithm, "algorithm", "", "of a new account: SHA1 (if not told), SHA256 or SHA512 (`NAME`)")
	fl.IntVar(&r.Digits, "digits", 0, "of a new account: 6 (if not told) to 8")
	fl.IntVar(&r.Period, "period", 0, "of a new account, in seconds; 30 if not told")
	spanFlag(fl, &valid, "valid", 0, "how long the link is good, such as 8h or 1d; as long as the policy allows if not told (`TIME`)")
	fl.BoolVar(&r.Local, "local", false, "make a link for this machine alone")
	fl.StringVar(&picture, "qr", "", "write the link as a picture of a QR code to the new `FILE` (PNG), and do not show it")
	fl.BoolVar(&r.Mail, "mail", false, "have the daemon send the link to the user's e-mail address, and do not show it")
	cmd.MarkFlagsMutuallyExclusive("mail", "qr")
	return cmd
}

// mailFail is deskFail with the advice that suits a link that was to be sent.
func mailFail(doing, user string, err error) error {
	if hints := adviceMail(user, err); hints != nil {
		return filledFail(subject{user: user}, doing, err, hints)
	}
	return deskFailOf(subject{user: user}, doing, err)
}

// validSeconds is a time as it was typed, in whole seconds.
func validSeconds(d time.Duration) (int, error) {
	if d < 0 || d > 0 && d < time.Second {
		return 0, usage("--valid must be at least a second")
	}
	return int(d / time.Second), nil
}

// sayShorter says that the policy's bound was shorter than what was asked for.
func (c *cli) sayShorter(asked time.Duration, created, expires ipc.Time) {
	if got := expires.Sub(created); asked > got+time.Second {
		c.say("the policy lets it be good for no longer than %s", span(got))
	}
}

func (c *cli) showActivation(doing string, made ipc.MadeActivation, picture string) error {
	a := made.Activation
	if picture != "" {
		png, err := transfer.DrawCode(string(made.Link))
		defer clear(png)
		if err != nil {
			return c.takeBack(doing, a, problem(ipc.Internal, doing, err))
		}
		if err := writeNew(picture, png); err != nil {
			return c.takeBack("write "+picture, a, writeFailure("write "+picture, err))
		}
		made.Link = nil // it is in the picture
	}
	if c.json {
		return c.printJSON(made)
	}
	switch {
	case picture != "":
		c.print("%s", picture)
	case made.MailedTo != "":
		c.print("%s", clean(made.MailedTo))
		c.say("sent to that address; nobody here has seen the link")
	default:
		var err error
		if c.outTTY { // the link comes below: the code can fill the screen
			err = c.drawAll(doing, "make a picture the next time: --qr FILE; the link below does as well", []string{string(made.Link)})
		}
		c.print("%s", string(made.Link))
		if err != nil {
			return err
		}
	}
	c.say("account %s, activation %s, good until %s, at %s", clean(a.Account), a.ID, ago(c.now(), a.Expires), clean(made.Endpoint))
	for _, line := range adviceActivation(a) {
		c.say("%s", line)
	}
	return nil
}

// takeBack says of a link that nobody has seen how to make it useless.
func (c *cli) takeBack(doing string, a ipc.Activation, err error) error {
	return failWith(doing, err, adviceTakeBack(a.ID)...)
}

// activationDocument is the --json form of one activation.
type activationDocument struct {
	Version    int            `json:"version"`
	Activation ipc.Activation `json:"activation"`
}

func (c *cli) activationListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Aliases: []string{"ls"}, Short: "List a user's activations", Args: named(1, "USER"),
		Long: `List a user's activations, used and expired ones too. In a pipe the fields are:
id, account, state, made, expires, who made it (an id where no name is known), device (an id).`,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := c.daemon().Activations(cmd.Context(), ipc.UserRef{User: args[0]})
			if err != nil {
				return deskFailOf(subject{user: args[0]}, "list the activations of "+args[0], err)
			}
			return c.answer(list, func() {
				if len(list.Activations) == 0 {
					c.say("%s has no activations", clean(args[0]))
					return
				}
				t := &table{head: []string{"ID", "ACCOUNT", "STATE", "MADE", "EXPIRES", "BY", "DEVICE"}, flexible: 1, below: []int{6, 4, 3}}
				for _, a := range list.Activations {
					t.add(a.ID, a.Account, string(a.State), ago(c.now(), a.Created), ago(c.now(), a.Expires), cmp.Or(a.ByName, a.By), orDash(a.DeviceID))
				}
				c.show(t)
			})
		},
	}
}

func (c *cli) activationApproveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "approve ID", Short: "Be the second who agrees to an activation", Args: named(1, "ID"),
		Long: `Agree to an activation that somebody else has made, where the policy asks for two.
The second is neither the first nor the user whom it is for.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.daemon().ApproveActivation(cmd.Context(), args[0])
			if err != nil {
				return deskFail("approve the activation", err)
			}
			return c.answer(activationDocument{ipc.Version, a}, func() { c.say("approved: the link can be used until %s", ago(c.now(), a.Expires)) })
		},
	}
}

func (c *cli) activationRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make an activation useless", Args: named(1, "ID"),
		Long: `Make a link useless, and with it the secret of a device that has begun to use it
and has not made a code yet. Once it is used: "admin device revoke".`,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := c.daemon().RevokeActivation(cmd.Context(), args[0])
			if err != nil {
				return deskFail("revoke the activation", err)
			}
			return c.answer(activationDocument{ipc.Version, a}, func() { c.say("revoked: nobody can use the link any more") })
		},
	}
}
