package main

import (
	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

const verifierEnrollHelp = `Make an account at Duo for a user of the authority whom Duo does not know, under
his name. He takes it over on his phone: by the QR code, which Duo Mobile reads, or
by the link, which is opened there. Both are shown this once, are good for a day,
and make whoever has them the user at Duo: show them to him alone, after you have
made sure that it is him. --qr writes the QR code as a picture, and shows neither.

You may do so for whom you may register security keys. For a user whom Duo knows,
a new phone is added in Duo's Admin Panel.`

func (c *cli) verifierEnrollCommand() *cobra.Command {
	var picture string
	cmd := &cobra.Command{
		Use: "enroll duo USER", Short: "Make an account at Duo for a user whom Duo does not know", Long: verifierEnrollHelp, Args: named(2, "VERIFIER", "USER"),
		Example: "  tokenctl admin verifier enroll duo alice\n  tokenctl admin verifier enroll duo alice --qr alice.png",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := aVerifier(args[0])
			if err != nil {
				return err
			}
			doing := "enroll " + args[1] + " at " + verifierText(string(name))
			// What is made is shown once: so it is looked first whether it can be kept.
			if picture != "" {
				if err := mayWriteNew(picture); err != nil {
					return writeFailure("write "+picture, err)
				}
			}
			made, err := c.daemon().EnrollUser(cmd.Context(), string(name), ipc.UserRef{User: args[1]})
			defer made.Code.Wipe()
			defer made.Link.Wipe()
			if err != nil {
				if hints := adviceEnrollAt(name, args[1], err); hints != nil {
					return failWith(doing, err, hints...)
				}
				return deskFailOf(subject{user: args[1]}, doing, err)
			}
			return c.showEnrolment(doing, args[1], made, picture)
		},
	}
	cmd.Flags().StringVar(&picture, "qr", "", "write the QR code as a picture to the new `FILE` (PNG), and do not show it")
	return cmd
}

// showEnrolment shows what a user takes his account over by.
func (c *cli) showEnrolment(doing, user string, made ipc.MadeEnrolment, picture string) error {
	if picture != "" {
		png, err := transfer.DrawCode(string(made.Code))
		defer clear(png)
		if err != nil {
			return failWith(doing, problem(ipc.Internal, doing, err), adviceEnrolledUnseen(user)...)
		}
		if err := writeNew(picture, png); err != nil {
			return failWith(doing, writeFailure("write "+picture, err), adviceEnrolledUnseen(user)...)
		}
		made.Link, made.Code = nil, nil // they are in the picture
	}
	if c.json {
		return c.printJSON(made)
	}
	if picture != "" {
		c.print("%s", picture)
	} else {
		var err error
		if c.outTTY { // the link comes below: the code can fill the screen
			err = c.drawAll(doing, "have the link below opened on the phone", []string{string(made.Code)})
		}
		if len(made.Link) > 0 {
			c.print("%s", string(made.Link))
		}
		c.print("%s", string(made.Code))
		if err != nil {
			return err
		}
	}
	c.say("%s has an account at %s, to be taken over until %s", clean(user), verifierText(string(made.Verifier)), ago(c.now(), made.Until))
	for _, line := range adviceEnrolled(picture != "") {
		c.say("%s", line)
	}
	return nil
}
