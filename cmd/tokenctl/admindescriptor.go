package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

const descriptorHelp = `Print what devices are told of the authority: its name, its keys, and where it
answers. It is signed, and holds no secret. Give it to a device as a file, or as
QR codes; compare the fingerprint by eye or by voice, for a descriptor that came
from somebody else would be signed as well.

An activation link needs no descriptor beside it: it names the keys itself.`

func (c *cli) authorityDescriptorCommand() *cobra.Command {
	var qr bool
	cmd := &cobra.Command{
		Use: "descriptor", Short: "Print what devices are told of the authority", Long: descriptorHelp, Args: noArgs,
		Example: "  tokenctl admin authority descriptor > authority.txt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			const doing = "show the descriptor"
			d, err := c.daemon().AuthorityDescriptor(cmd.Context())
			if err != nil {
				return deskFail(doing, err)
			}
			if c.json {
				return c.printJSON(d)
			}
			c.say("authority %s, fingerprint %s", clean(d.Name), clean(d.Fingerprint))
			c.say("it answers at %s", clean(orDash(strings.Join(d.Endpoints, ", "))))
			if qr {
				codes, err := carry.Codes(carry.Descriptors, d.Descriptor)
				if err != nil {
					return fail(doing, err)
				}
				return c.drawAll(doing, "take it as a file, without --qr", codes)
			}
			text, err := carry.File(carry.Descriptors, d.Descriptor)
			if err != nil {
				return fail(doing, err)
			}
			c.print("%s", strings.TrimSuffix(text, "\n"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&qr, "qr", false, "draw it as QR codes")
	return cmd
}

// drawAll draws texts as QR codes, one below the other. instead is what does as well
// where the terminal is too small.
func (c *cli) drawAll(doing, instead string, texts []string) error {
	for i, text := range texts {
		lines, err := drawQR(text, c.outTTY)
		if err != nil {
			return problem(ipc.Internal, doing, err)
		}
		if len(texts) > 1 {
			c.say("QR code %d of %d", i+1, len(texts))
		}
		for _, l := range lines {
			c.print("%s", l)
		}
		c.sayTooSmall(lines, instead)
	}
	return nil
}

// sayTooSmall says that a QR code that was drawn is not whole on the terminal.
func (c *cli) sayTooSmall(lines []string, instead string) {
	if !c.outTTY || len(lines) == 0 || c.outWidth == nil || c.outHeight == nil {
		return
	}
	wide, w, h := columns(stripColour(lines[0])), c.outWidth(), c.outHeight()
	if w > 0 && wide > w || h > 0 && len(lines) >= h {
		c.say("the QR code needs %d columns and %d lines, and the terminal has %d and %d: make it larger or its letters smaller, or %s", wide, len(lines)+1, w, h, instead)
	}
}
