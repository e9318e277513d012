package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

const activateHelp = `Use an activation link, which an administrator made for you: this device gets the
account that it is for, with a secret of its own. The first device that uses a link
is the only one that can. Your other devices work on until this one has proved its
secret with a code; then the authority's policy says whether they keep the account.

The link is asked for, or comes from a picture of its QR code or from a file. It is
as good as the account, so it is not taken from the command line, which other
programs of this machine can read. The authority is asked where the link leads;
its name and fingerprint are shown, and the link names its keys: nobody else can
answer in its place.

Without a network to the authority, by files. Its descriptor comes with the link
("tokenctl admin authority descriptor" there):

  1. here: tokenctl activate --descriptor FILE --to-file request1
  2. there: tokenctl admin message request1 > answer1
  3. here: tokenctl activate --from-file answer1 --to-file request2
  4. there: tokenctl admin message request2 > answer2
  5. here: tokenctl activate --from-file answer2`

type activateFlags struct {
	auth       authFlags
	hand       byHand
	picture    string
	linkFile   string
	descriptor string
	name       string
	class      string
	goOn       bool
}

func (c *cli) activateCommand() *cobra.Command {
	f := &activateFlags{}
	cmd := &cobra.Command{
		Use: "activate", Short: "Get a managed account onto this device, by a link", Long: activateHelp, Args: activateArgs,
		Example: "  tokenctl activate\n  tokenctl activate --qr alice.png\n  tokenctl activate --link-file - < link.txt",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.activate(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.picture, "qr", "", "read the link from the picture `FILE` of its QR code (- is standard input)")
	fl.StringVar(&f.linkFile, "link-file", "", "read the link from `FILE` (- is standard input)")
	fl.BoolVar(&f.goOn, "go-on", false, "go on with an activation that was interrupted; it needs no link")
	fl.StringVar(&f.descriptor, "descriptor", "", "the authority's descriptor is in `FILE`; it is not asked")
	fl.StringVar(&f.name, "name", "", "what the authority is to call this device, up to 64 bytes (`TEXT`); if not told what it was called last, or else the machine's name")
	fl.StringVar(&f.class, "class", "", "`CLASS` of a new account: session (if not told) or touch")
	f.hand.add(cmd, "")
	cmd.MarkFlagsMutuallyExclusive("qr", "link-file", "go-on", "from-file")
	f.auth.add(cmd)
	return cmd
}

// activateArgs refuses a link on the command line, and does not repeat it.
func activateArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("tokenctl activate takes flags only: a link on the command line can be read by other programs of this machine", adviceLinkTyped()...)
}

func (c *cli) activate(ctx context.Context, f *activateFlags) error {
	e := &errand{cli: c, doing: "activate the account", again: "tokenctl activate --go-on", hand: f.hand}
	if f.class != "" && f.class != "session" && f.class != "touch" {
		return usage("there is no class " + f.class + "; it is session or touch")
	}
	begin := f.begin
	switch {
	case f.hand.from != "":
		begin = f.takeFile
	case f.goOn:
		begin = f.resume
	}
	if err := begin(ctx, e); err != nil {
		return fail(e.doing, err)
	}
	proved := f.hand.from != ""
	for {
		if err := e.carry(ctx); err != nil || e.waits {
			return err
		}
		if e.step.Phase != ipc.PhaseProving || proved && e.step.Refused != nil {
			return e.activated()
		}
		// It was interrupted after a code that was not taken.
		proved = true
		if err := e.next(c.daemon().ProveAgain(ctx, e.step.Conversation)); err != nil {
			return fail(e.doing, err)
		}
	}
}

// begin uses the link.
func (f *activateFlags) begin(ctx context.Context, e *errand) error {
	text, err := f.link(ctx, e.cli)
	if err != nil {
		return err
	}
	defer text.Wipe()
	link, err := carry.ParseLink(string(text))
	if err != nil {
		return failWith(e.doing, err, adviceLink()...)
	}
	defer link.Wipe()
	descriptor, err := f.authority(ctx, e, link)
	if err != nil {
		return err
	}
	r := ipc.ActivateRequest{Link: text, Descriptor: descriptor, DeviceName: deviceName(f.name), KeepName: strings.TrimSpace(f.name) == "", Class: f.class, ByHand: f.hand.on()}
	return e.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) error {
		r.Link = append(ipc.Secret(nil), text...) // a call wipes its own
		return e.next(e.daemon().Activate(ctx, r))
	})
}

// authority is the descriptor of whom the link is of, whom it names to the person.
func (f *activateFlags) authority(ctx context.Context, e *errand, link *carry.Link) ([]byte, error) {
	var raw []byte
	var a *carry.Authority
	var err error
	if f.descriptor != "" {
		if raw, err = e.readMessage(ctx, "--descriptor", f.descriptor, carry.Descriptors); err != nil {
			return nil, err
		}
		a, err = link.Check(raw, e.now())
	} else {
		e.heedSignals()
		raw, a, err = link.Fetch(ctx, e.now())
	}
	if err != nil {
		return nil, failWith(e.doing, err, adviceLinkUse(link.Where(), err)...)
	}
	e.say("authority %s, fingerprint %s", clean(a.Name), a.Fingerprint)
	return raw, nil
}

// link is the text of the link.
func (f *activateFlags) link(ctx context.Context, c *cli) (ipc.Secret, error) {
	switch {
	case f.picture != "":
		b, err := c.readInput(ctx, "--qr", f.picture, maxPictureFile)
		if err != nil {
			return nil, err
		}
		texts, err := scanPicture(b)
		var bad *ipc.Error
		if errors.As(err, &bad) {
			return nil, failWith("read the QR code in "+pictureName(f.picture), bad, adviceNoLinkQR()...)
		}
		if err != nil {
			return nil, fail("read the QR code in "+pictureName(f.picture), err)
		}
		if len(texts) == 0 {
			return nil, failWith("read the QR code in "+pictureName(f.picture),
				&ipc.Error{Kind: ipc.InvalidArgument, Message: "no QR code was found in the picture, or it is damaged"}, adviceNoLinkQR()...)
		}
		// Perhaps there are others beside it.
		for _, t := range texts {
			if _, err := carry.ParseLink(t); err == nil {
				return ipc.Secret(t), nil
			}
		}
		return ipc.Secret(texts[0]), nil
	case f.linkFile != "":
		return c.readSecret(ctx, "--link-file", f.linkFile)
	}
	const flags = "--link-file or --qr FILE"
	if !c.canAsk() {
		return nil, noTerminal("the activation link", flags)
	}
	return c.askSecret(ctx, "Activation link (not shown)", flags)
}

// takeFile takes the answer that was carried here, which says what it is about.
func (f *activateFlags) takeFile(ctx context.Context, e *errand) error {
	return e.takeFile(ctx, &f.auth)
}

// takeFile takes the answer that was carried here as a file.
func (e *errand) takeFile(ctx context.Context, f *authFlags) error {
	answer, err := e.readMessage(ctx, "--from-file", e.hand.from, carry.Answers)
	if err != nil {
		return err
	}
	return e.open(ctx, f, func(ctx context.Context, _ ipc.Auth) error {
		if err := e.take(ctx, answer); err != nil {
			return err
		}
		return nil
	})
}

// resume finds the activation that is under way.
func (f *activateFlags) resume(ctx context.Context, e *errand) error {
	return e.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) error {
		list, err := e.daemon().Conversations(ctx)
		if err != nil {
			return err
		}
		for _, s := range list.Steps {
			if s.Kind == kindActivate && !isOver(s.Phase) {
				e.step = s
			}
		}
		if e.step.Conversation == "" {
			return failWith(e.doing, &ipc.Error{Kind: ipc.NotFound, Message: "no activation is under way"}, adviceNoActivation()...)
		}
		return nil
	})
}

// activated says which account there is now.
func (e *errand) activated() error {
	if e.step.Phase == ipc.PhaseProving {
		return e.refused()
	}
	if e.step.Phase != ipc.PhaseDone {
		return e.ended()
	}
	if e.json {
		return e.printJSON(e.step)
	}
	if a := e.step.Account; a != nil {
		e.say("%s is on this device now", accountName(a.Issuer, a.Name))
		e.sayOldDevices()
		for _, line := range adviceActivated(*a) {
			e.say("%s", line)
		}
	}
	return nil
}

// sayOldDevices says what became of the devices that had the account before.
func (e *errand) sayOldDevices() {
	d := e.step.Done
	if d == nil {
		return
	}
	if len(d.Revoked) > 0 {
		e.say("revoked, so that none of its codes is accepted any more: %s", cleanWords(d.Revoked))
	}
	if len(d.Kept) > 0 {
		e.say("works on, with a secret of its own: %s", cleanWords(d.Kept))
	}
}

func cleanWords(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = clean(n)
	}
	return strings.Join(out, ", ")
}

// deviceName is what the authority is to call this device.
func deviceName(told string) string {
	name := strings.TrimSpace(told)
	if name == "" {
		name, _ = os.Hostname()
	}
	if name == "" {
		name = "device"
	}
	const most = 64 // bytes
	for len(name) > most {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}
