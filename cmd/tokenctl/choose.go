package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// chooseKind asks what the vault is to open with, or another token's kind; one
// that is plugged in is proposed.
func (c *cli) chooseKind(ctx context.Context, kinds string) (string, error) {
	def := ""
	if c.canAsk() {
		list, err := c.daemon().Tokens(ctx)
		if err != nil {
			return "", err
		}
		for _, t := range list.Tokens {
			if t.Present && t.Hardware && !t.Enrolled && t.Problem == nil {
				c.say("%s is plugged in", tokenLabel(t))
				def = t.Kind
			}
		}
		if def == "" {
			c.say("no other hardware token is plugged in; a software token is a file sealed by a passphrase, and not hardware")
		}
	}
	return c.ask(ctx, "Which token ("+kinds+")", def, "--token "+strings.ReplaceAll(kinds, ", ", "|"))
}

// chooseToken says which of the tokens that are plugged in is to be enrolled: the
// one that --reader names, by reader, name, serial number or id, else the only
// one that is not enrolled yet, else the one that the user picks.
func (c *cli) chooseToken(ctx context.Context, f *enrollFlags) error {
	if f.kind == "soft" || f.kind == "none" {
		return nil
	}
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return err
	}
	var fresh, named []ipc.Token
	for _, t := range list.Tokens {
		if !t.Present || !t.Hardware || t.Kind != f.kind {
			continue
		}
		if f.reader != "" && (t.ID == f.reader || t.Serial == f.reader || t.Label == f.reader || tokenLabel(t) == f.reader) {
			named = append(named, t)
		}
		if !t.Enrolled {
			fresh = append(fresh, t)
		}
	}
	switch {
	case f.reader != "" && len(named) == 1:
		f.reader = locatorOf(named[0])
	case f.reader != "":
		// A part of a reader's name, or nothing: the daemon knows.
	case len(fresh) == 1:
		f.reader = locatorOf(fresh[0])
	case len(fresh) > 1:
		return c.pickFresh(ctx, f, fresh)
	}
	return nil
}

// pickFresh lets the user pick one of several tokens.
func (c *cli) pickFresh(ctx context.Context, f *enrollFlags, fresh []ipc.Token) error {
	if !c.canAsk() {
		e := &ipc.Error{Kind: ipc.AmbiguousToken, Message: "several tokens are plugged in"}
		for _, t := range fresh {
			e.Items = append(e.Items, ipc.Item{ID: t.ID, Name: tokenLabel(t), Reason: t.Locator})
		}
		return failWith("choose a token", e, adviceEnroll(e, "")...)
	}
	c.say("several tokens are plugged in:")
	for i, t := range fresh {
		c.say("  %d  %s (%s)", i+1, tokenLabel(t), clean(t.Locator))
	}
	for {
		answer, err := c.ask(ctx, fmt.Sprintf("Which one (1 to %d)", len(fresh)), "", "--reader READER")
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= len(fresh) {
			f.reader = locatorOf(fresh[n-1])
			return nil
		}
		c.say("please type a number of the list")
	}
}

// locatorOf is what the daemon finds a token by that may not be enrolled.
func locatorOf(t ipc.Token) string {
	if t.Enrolled {
		return t.Locator // its id is the keyslot's
	}
	return t.ID
}
