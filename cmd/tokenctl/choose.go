package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// chooseToken says which of the tokens that are plugged in is to be enrolled: the
// one that --reader or --device names, by place, name, serial number or id, else
// the only one that is not enrolled yet, else the one that the user picks.
func (c *cli) chooseToken(ctx context.Context, f *enrollFlags) error {
	if f.kind == "soft" || f.kind == "none" || f.at != "" && f.where() == "" {
		return nil // there is none to choose, or quickstart's user chose it a moment ago
	}
	list, err := c.daemon().Tokens(ctx)
	if err != nil {
		return err
	}
	where := f.where()
	var fresh, named, known []ipc.Token
	for _, t := range list.Tokens {
		if !t.Present || !t.Hardware || t.Kind != f.kind {
			continue
		}
		if where != "" && (t.ID == where || t.Locator == where || t.Serial == where || t.Label == where || tokenLabel(t) == where) {
			named = append(named, t)
		}
		switch {
		case t.Enrolled:
			known = append(known, t)
		case t.Problem == nil:
			fresh = append(fresh, t)
		}
	}
	switch {
	case where != "" && len(named) == 1:
		f.at = locatorOf(named[0])
	case where != "":
		// A part of a reader's name, or nothing: the daemon knows.
	case len(fresh) == 1:
		f.at = locatorOf(fresh[0])
	case len(fresh) > 1:
		return c.pickFresh(ctx, f, fresh)
	case len(known) > 0 && c.canAsk():
		for _, t := range known {
			c.say("%s is plugged in, and enrolled already", tokenLabel(t))
		}
		if _, err := c.ask(ctx, "Plug the new one in and press Enter", "", placeFlag(f.kind)); err != nil {
			return err
		}
		return c.chooseToken(ctx, f)
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
		return failWith("choose a token", e, adviceEnroll(e, f.kind, "")...)
	}
	c.sayNumbered(fresh)
	for {
		answer, err := c.ask(ctx, fmt.Sprintf("Which one (1 to %d)", len(fresh)), "", placeFlag(f.kind))
		if err != nil {
			return err
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= len(fresh) {
			f.at = locatorOf(fresh[n-1])
			return nil
		}
		c.say("please type a number of the list")
	}
}

// sayNumbered lists tokens of which one is to be picked.
func (c *cli) sayNumbered(fresh []ipc.Token) {
	c.say("several tokens are plugged in:")
	for i, t := range fresh {
		c.say("  %d  %s; %s", i+1, tokenPlace(t), useText(t.Kind))
	}
}

// placeFlag is the flag that says which token of a kind is meant.
func placeFlag(kind string) string {
	if kind == kindFIDO2 {
		return "--device PATH"
	}
	return "--reader READER"
}

// locatorOf is what the daemon finds a token by that may not be enrolled.
func locatorOf(t ipc.Token) string {
	if t.Enrolled {
		return t.Locator // its id is the keyslot's
	}
	return t.ID
}

// onUsedCard repeats the making of a keyslot, at a terminal, when the card holds
// keys that nobody spoke of.
func (c *cli) onUsedCard(ctx context.Context, r *ipc.EnrollRequest, make func(given bool) error, given bool) error {
	err := make(given)
	for c.canAsk() && r != nil && ipc.KindOf(err) == ipc.TokenOccupied && r.SessionSlot == "" && r.TouchSlot == "" {
		if asked := c.usedCard(ctx, r, err); asked != nil {
			return asked
		}
		// What was typed before is wiped by now.
		r.PIN = nil
		err = make(false)
	}
	return err
}

// usedCard asks what to do about keys that are on the card already.
func (c *cli) usedCard(ctx context.Context, r *ipc.EnrollRequest, cause error) error {
	var e *ipc.Error
	errors.As(cause, &e)
	c.say("%s", clean(e.Message))
	c.say("The card holds keys from before, perhaps of a vault that still exists, or for something else.")
	for {
		answer, err := c.ask(ctx, "Type beside to put new keys beside them, replace to destroy them, or stop", "beside", "--overwrite SLOT")
		if err != nil {
			return err
		}
		switch strings.ToLower(answer) {
		case "beside":
			r.SessionSlot, r.TouchSlot = c.freeSlots(ctx, r.Locator)
			c.say("the new keys go into slots %s and %s", r.SessionSlot, r.TouchSlot)
			return nil
		case "replace":
			r.Overwrite = []string{"82", "83"}
			return c.confirm(ctx, "What the keys in slots 82 and 83 opened, this card will not open any more.", "--overwrite SLOT")
		case "stop":
			return cancelled("cancelled: the card's keys were left as they are")
		}
		c.say("please type one of the words")
	}
}

// freeSlots are the first two of a card's retired slots (82 to 95) that hold no
// key.
func (c *cli) freeSlots(ctx context.Context, locator string) (session, touch string) {
	used := map[string]bool{"82": true, "83": true}
	if list, err := c.daemon().Tokens(ctx); err == nil {
		for _, t := range list.Tokens {
			if !t.Present || locatorOf(t) != locator {
				continue
			}
			if info, err := c.daemon().TokenInfo(ctx, t.ID); err == nil {
				for _, k := range info.Keys {
					used[strings.ToLower(k.Slot)] = true
				}
			}
		}
	}
	free := make([]string, 0, 2)
	for slot := 0x82; slot <= 0x95 && len(free) < 2; slot++ {
		if s := fmt.Sprintf("%02x", slot); !used[s] {
			free = append(free, s)
		}
	}
	if len(free) < 2 {
		return "84", "85" // the card will say that they are in use
	}
	return free[0], free[1]
}
