package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

type wipeFlags struct {
	pinFile, keyFile string
	slots            []string
	lastTry, yes     bool
}

func (c *cli) tokenWipeCommand() *cobra.Command {
	f := &wipeFlags{}
	cmd := &cobra.Command{
		Use: "wipe TOKEN", Short: "Remove from a token the keys that open nothing any more", Args: named(1, "TOKEN"), ValidArgsFunction: c.completeTokens,
		Long: `Remove from a token the keys that enrolling made and that open nothing here any
more: of a revoked keyslot, of an enrolment that was interrupted, of a vault that
was purged. Other keys are never touched, nor those that were on the token before
it was enrolled. A FIDO2 key keeps nothing of a vault, so that there is mostly
nothing to remove.

Where all that was known of a vault is gone with it, --slot names the slots. They
are cleared only if the token itself shows that tokend made the keys in them: look
first, with tokenctl token info, and mind that a vault on another machine may
still open with them.`,
		Example: "  tokenctl token wipe piv-12345678\n  tokenctl token wipe piv-12345678 --slot 82 --slot 83",
	}
	fl := cmd.Flags()
	fl.StringVar(&f.pinFile, "pin-file", "", "read the PIN from `FILE` (- is standard input)")
	fl.StringVar(&f.keyFile, "management-key-file", "", "read the PIV management key, hexadecimal, from `FILE`")
	fl.StringArrayVar(&f.slots, "slot", nil, "clear this PIV `SLOT` as well, if tokend made its key (repeatable)")
	fl.BoolVar(&f.lastTry, "spend-last-try", false, "allow the last try to be spent")
	fl.BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t, err := c.pickToken(cmd, args, isPresent)
		if err != nil {
			return fail("wipe "+args[0], err)
		}
		return c.wipeToken(cmd.Context(), f, t)
	}
	return cmd
}

func (c *cli) wipeToken(ctx context.Context, f *wipeFlags, t ipc.Token) error {
	doing := "wipe " + tokenLabel(t)
	if !f.yes {
		if err := c.confirm(ctx, wipeQuestion(t, f.slots), "--yes"); err != nil {
			return fail(doing, err)
		}
	}
	r := ipc.WipeTokenRequest{Confirm: t.ID}
	for _, s := range f.slots {
		r.Slots = append(r.Slots, strings.ToLower(s))
	}
	var err error
	if f.keyFile != "" {
		if r.ManagementKey, err = c.readSecret(ctx, "--management-key-file", f.keyFile); err != nil {
			return fail(doing, err)
		}
		defer r.ManagementKey.Wipe()
	}
	auth := ipc.Auth{SpendLastTry: f.lastTry}
	if f.pinFile != "" {
		if auth.PIN, err = c.readSecret(ctx, "--pin-file", f.pinFile); err == nil {
			err = refuseMalformed(t.Kind, pinWord(&ipc.TokenRef{Kind: t.Kind}), auth.PIN)
		}
		if err != nil {
			return fail(doing, err)
		}
	}
	defer wipeAuth(&auth)
	var res ipc.WipeTokenResult
	err = c.withPIN(ctx, &auth, attempt{given: f.pinFile != ""}, func(ctx context.Context, a ipc.Auth) (err error) {
		r.PIN, r.SpendLastTry = a.PIN, a.SpendLastTry
		res, err = c.daemon().WipeToken(ctx, t.ID, r)
		return err
	})
	switch {
	case ipc.KindOf(err) == ipc.NotFound:
		return failWith(doing, err, adviceWipeOther(t.ID)...)
	case ipc.KindOf(err) == ipc.TokenOccupied:
		return failWith(doing, err, adviceWipeOther(t.ID)[:1]...)
	case err != nil:
		return fail(doing, err)
	}
	if c.json {
		return c.printJSON(res)
	}
	c.sayWiped(t, res.Cleared)
	return nil
}

// wipeQuestion says which keys are destroyed.
func wipeQuestion(t ipc.Token, named []string) string {
	slots := append(append([]string{}, t.Left...), named...)
	if len(slots) == 0 {
		return "The keys of former keyslots are destroyed on " + tokenLabel(t) + "."
	}
	return "The keys in " + slotsText(slots) + " are destroyed on " + tokenLabel(t) + "."
}

func (c *cli) sayWiped(t ipc.Token, cleared []string) {
	switch {
	case len(cleared) > 0:
		c.say("removed from %s: %s", tokenLabel(t), clean(strings.Join(cleared, ", ")))
	case t.Kind == kindFIDO2:
		c.say("nothing was on %s: a FIDO2 key keeps nothing of a vault, and one that was revoked opens nothing", tokenLabel(t))
	default:
		c.say("nothing of a former keyslot was on %s", tokenLabel(t))
	}
}
