package main

import (
	"bytes"
	"context"
	"image"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

// byHand is where messages go that are carried as files or pictures, because no
// network leads to the authority.
type byHand struct {
	to, from string
	draw     bool
}

// add defines the flags; draw is the name of the one that draws QR codes, empty for
// a command that has none.
func (h *byHand) add(cmd *cobra.Command, draw string) {
	fl := cmd.Flags()
	fl.StringVar(&h.to, "to-file", "", "write the message that waits to the new `FILE`, to be carried by hand (- is standard output)")
	fl.StringVar(&h.from, "from-file", "", "take the authority's answer from `FILE`: its text, or a picture of its QR codes (- is standard input)")
	if draw != "" {
		fl.BoolVar(&h.draw, draw, false, "draw the message that waits as QR codes, in place of --to-file")
		cmd.MarkFlagsMutuallyExclusive("to-file", draw)
	}
}

// on says that nothing goes over a network.
func (h *byHand) on() bool { return h.to != "" || h.from != "" || h.draw }

// write writes the request that waits, and says what to do with it.
func (h *byHand) write(e *errand) error {
	if e.json && h.to == "" {
		return e.printJSON(e.step)
	}
	switch {
	case h.draw:
		codes, err := carry.Codes(carry.Requests, e.step.Request)
		if err != nil {
			return fail(e.doing, err)
		}
		if err := e.drawAll(e.doing, "carry it as a file: --to-file FILE", codes); err != nil {
			return err
		}
	case h.to == "":
		e.say("the next message waits to be carried")
		for _, line := range adviceNextFile(e.again) {
			e.say("%s", line)
		}
		return nil
	default:
		text, err := carry.File(carry.Requests, e.step.Request)
		if err != nil {
			return fail(e.doing, err)
		}
		if err := e.putText(h.to, text); err != nil {
			return err
		}
	}
	if e.json && h.to != "-" {
		return e.printJSON(e.step)
	}
	for _, line := range adviceCarryFile(e.step, h.to, e.again, e.now()) {
		e.say("%s", line)
	}
	return nil
}

// putText writes a message to a new file, or to standard output.
func (c *cli) putText(path, text string) error {
	if path == "-" {
		c.print("%s", strings.TrimSuffix(text, "\n"))
		return nil
	}
	if err := writeNew(path, []byte(text)); err != nil {
		return writeFailure("write "+path, err)
	}
	return nil
}

// readMessage reads a message of a kind from a file of text, or from a picture of
// its QR codes.
func (c *cli) readMessage(ctx context.Context, flag, path string, kind carry.Kind) ([]byte, error) {
	raw, err := c.readPublic(ctx, flag, path, maxPictureFile)
	if err != nil {
		return nil, err
	}
	text := string(raw)
	if _, _, err := image.DecodeConfig(bytes.NewReader(raw)); err == nil {
		found, err := scanPicture(raw)
		if err != nil {
			return nil, fail("read the QR codes in "+pictureName(path), err)
		}
		text = strings.Join(found, "\n")
	}
	m, err := carry.Read(kind, text)
	if err != nil {
		return nil, failWith("read the message in "+pictureName(path), err, adviceMessageFile()...)
	}
	return m, nil
}

// readPublic is readInput for what is no secret.
func (c *cli) readPublic(ctx context.Context, flag, path string, limit int64) ([]byte, error) {
	if path == "-" {
		return c.readInput(ctx, flag, path, limit)
	}
	return c.readFile(path, limit, false)
}

const adminMessageHelp = `Take a message of a device to the authority of this machine, and print its answer:
for a device that no network leads to. The message is a file that "tokenctl
activate" or "tokenctl reactivate" wrote there with --to-file, or a picture of its
QR codes; the answer goes back as a file (--from-file there).

Anybody may carry messages: what is in them is sealed to the authority, and the
answer to the device.`

func (c *cli) adminMessageCommand() *cobra.Command {
	var draw bool
	cmd := &cobra.Command{
		Use: "message FILE", Short: "Carry a device's message to this authority by hand", Long: adminMessageHelp, Args: named(1, "FILE (- is standard input)"),
		Example: "  tokenctl admin message request.txt > answer.txt\n  tokenctl admin message request.png --qr",
		RunE: func(cmd *cobra.Command, args []string) error {
			const doing = "carry the message"
			m, err := c.readMessage(cmd.Context(), "FILE", args[0], carry.Requests)
			if err != nil {
				return fail(doing, err)
			}
			a, err := c.daemon().AuthorityMessage(cmd.Context(), ipc.AuthorityMessage{Message: bytes.Clone(m)})
			if err != nil {
				return failWith(doing, err, adviceMessageRefused(err)...)
			}
			if c.json {
				return c.printJSON(a)
			}
			if draw {
				codes, err := carry.Codes(carry.Answers, a.Message)
				if err != nil {
					return fail(doing, err)
				}
				return c.drawAll(doing, "carry it as a file, without --qr", codes)
			}
			text, err := carry.File(carry.Answers, a.Message)
			if err != nil {
				return fail(doing, err)
			}
			if err := c.putText("-", text); err != nil {
				return err
			}
			c.say("this is the answer: take it back to the device, as a file for --from-file there")
			return nil
		},
	}
	cmd.Flags().BoolVar(&draw, "qr", false, "draw the answer as QR codes")
	return cmd
}
