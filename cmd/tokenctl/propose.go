package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// proposeToken asks what is to open the vault: a hardware token that is plugged in
// and not enrolled yet, by its number where there are several, or a software
// token. Where nothing fits it waits until something is plugged in. none is what
// else can be typed: "none" for a vault without a token, or nothing.
func (c *cli) proposeToken(ctx context.Context, f *enrollFlags, none string) error {
	kinds := []string{"piv", kindFIDO2, "soft"}
	if none != "" {
		kinds = append(kinds, none)
	}
	flag := "--token " + strings.Join(kinds, "|")
	if !c.canAsk() {
		return usage("cannot ask: Which token ("+strings.Join(kinds, ", ")+")", adviceNoTerminal(flag)...)
	}
	refused := map[string]bool{}
	for {
		fresh, err := c.freshTokens(ctx, refused)
		if err != nil {
			return err
		}
		answer, err := c.askToken(ctx, fresh, refused, none, flag)
		if err != nil {
			return err
		}
		n, notNumber := strconv.Atoi(answer)
		switch {
		case notNumber == nil && 1 <= n && n <= len(fresh):
			f.kind, f.at = fresh[n-1].Kind, locatorOf(fresh[n-1])
			return nil
		case answer == "soft", answer != "" && answer == none:
			f.kind = answer
			return nil
		case slices.Contains(kinds, answer):
			if slices.ContainsFunc(fresh, func(t ipc.Token) bool { return t.Kind == answer }) {
				f.kind = answer // which one is asked if there are several
				return nil
			}
			if len(fresh) > 0 { // else it is said that none is
				c.say("none of that kind is plugged in that is not enrolled yet")
			}
		case answer == refuse, answer == "" && len(fresh) == 0:
			// Looked at anew above.
		case len(fresh) > 1:
			c.say("please type a number of the list, or soft")
		default:
			c.say("please press Enter, or type soft")
		}
	}
}

// refuse is the answer for the only token that is plugged in when the user wants
// another one.
const refuse = "refuse"

// freshTokens are the tokens that could be enrolled. What is plugged in beside
// them is told of, once a look. When nothing is there, that is said.
func (c *cli) freshTokens(ctx context.Context, refused map[string]bool) ([]ipc.Token, error) {
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var fresh []ipc.Token
	others := 0
	for _, t := range list.Tokens {
		switch {
		case !t.Present || !t.Hardware:
			continue
		case t.Enrolled:
			c.say("%s is plugged in, and enrolled already", tokenLabel(t))
		case t.Problem != nil:
			c.say("%s is plugged in and cannot be used: %s", tokenLabel(t), problemText(t.Problem))
		case !refused[t.ID]:
			fresh = append(fresh, t)
			continue
		}
		others++
	}
	if len(fresh) == 0 {
		c.say("%s", either(others > 0, "no other hardware token is plugged in", "no hardware token is plugged in (one that is, and is not seen: tokenctl doctor)"))
	}
	return fresh, nil
}

// askToken asks which of the tokens is meant; the answer is a number of theirs, a
// kind, or empty.
func (c *cli) askToken(ctx context.Context, fresh []ipc.Token, refused map[string]bool, none, flag string) (string, error) {
	or := "or type soft (a file, not hardware)" + either(none == "", "", " or "+none+" (the recovery password alone)")
	switch len(fresh) {
	case 0:
		clear(refused) // who wants the one that was refused after all gets it now
		answer, err := c.ask(ctx, "Plug a token in and press Enter, "+or, "", flag)
		return strings.ToLower(answer), err
	case 1:
		c.say("%s is plugged in; %s", tokenPlace(fresh[0]), useText(fresh[0].Kind))
		yes, err := c.yesNo(ctx, "Use it?", flag)
		if err != nil || yes {
			return "1", err
		}
		refused[fresh[0].ID] = true
		return refuse, nil
	}
	c.sayNumbered(fresh)
	answer, err := c.ask(ctx, fmt.Sprintf("Which one (1 to %d), %s", len(fresh), or), "", flag)
	return strings.ToLower(answer), err
}

// useText says what using a token of a kind does to it.
func useText(kind string) string {
	if kind == kindFIDO2 {
		return "used for a vault, nothing is stored on it"
	}
	return "used for a vault, it gets two keys of its own"
}

// offerPIN says, at a terminal, what it means that a FIDO2 key has no PIN, and
// sets one if the user wants. Where nobody can be asked nothing is set; enrolling
// warns of it then.
func (c *cli) offerPIN(ctx context.Context, f *enrollFlags, sample bool) error {
	if f.kind != kindFIDO2 || f.pinFile != "" || sample || !c.canAsk() {
		return nil
	}
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list.Tokens, func(t ipc.Token) bool {
		return t.Present && !t.Enrolled && t.NoPIN && t.Kind == kindFIDO2 && (locatorOf(t) == f.at || t.Locator == f.where())
	})
	if i < 0 {
		return nil
	}
	t := list.Tokens[i]
	c.say("%s has no PIN: whoever finds it opens the vault with it, without anything else.", tokenLabel(t))
	c.say("A PIN that is set later does not mend that: the key has to be revoked and enrolled anew then.")
	yes, err := c.yesNo(ctx, "Set a PIN now?", "tokenctl token pin")
	if err != nil || !yes {
		return err
	}
	pin, err := c.newPIN(ctx, t, "PIN", "")
	if err != nil {
		return err
	}
	if err := c.daemon().ChangePIN(ctx, t.ID, ipc.ChangePINRequest{Which: "pin", New: pin}); err != nil {
		pin.Wipe()
		return fail("set a PIN of "+tokenLabel(t), err)
	}
	c.say("its PIN is set")
	f.pin = pin
	return nil
}
