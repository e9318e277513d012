package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// Sequences every terminal knows (ECMA-48): go up n lines, erase to the end of
// the line, erase to the end of the screen.
const (
	cursorUp  = "\x1b[%dA\r"
	eraseLine = "\x1b[K"
	eraseDown = "\x1b[J"
)

// watchOne shows the code of one account until Ctrl-C. A touch-class account is
// asked once: nobody wants to be asked for a touch every half minute.
func (c *cli) watchOne(ctx context.Context, f *codeFlags, ref string) error {
	doing := "make a code for " + ref
	var account ipc.Account
	var code ipc.Code
	err := c.open(ctx, &f.auth, func(ctx context.Context, a ipc.Auth) (err error) {
		if account, err = c.daemon().Account(ctx, ref); err != nil {
			return err
		}
		if account.Type == "hotp" {
			return usage("a HOTP code does not run out, there is nothing to watch")
		}
		return c.withConsent(ctx, f.agreement(account.ID, accountName(account.Issuer, account.Name)), func() error {
			code, err = c.daemon().Code(ctx, account.ID, f.request(a))
			return err
		})
	})
	if err != nil {
		return fail(doing, err)
	}
	name := accountName(account.Issuer, account.Name)
	c.showWatched(name, code, true)
	ctx, closed := c.untilLocked(ctx)
	defer closed()
	for {
		if err := c.pause(ctx); err != nil {
			if why := lockedBy(ctx); why != nil {
				c.blank(0)
				return fail(doing, why)
			}
			return c.endWatch()
		}
		if c.now().Before(code.ValidUntil) {
			c.showWatched(name, code, false)
			continue
		}
		if account.Class == "touch" {
			c.endLine()
			c.say("the code ran out; repeat the command for the next, it takes another touch")
			return nil
		}
		code, err = c.daemon().Code(ctx, account.ID, ipc.CodeRequest{Passive: true})
		if err != nil {
			c.blank(0)
			return c.watchEnded(ctx, doing, err)
		}
		c.showWatched(name, code, true)
	}
}

// showWatched shows a code: on a terminal in place with the time left, else a
// line when it is new.
func (c *cli) showWatched(name string, code ipc.Code, fresh bool) {
	switch {
	case c.json && fresh:
		_ = c.printJSON(code)
	case c.json:
	case c.outTTY:
		line := fmt.Sprintf("%s  %s  %s", name, clean(code.Code), span(code.ValidUntil.Sub(c.now())))
		if w := c.outWidth(); w > 0 {
			line = truncate(line, w-1)
		}
		_, _ = fmt.Fprintf(c.out, "\r%s%s", line, eraseLine)
	case fresh:
		c.print("%s", clean(code.Code))
	}
}

func (c *cli) endLine() {
	if c.outTTY && !c.json {
		_, _ = fmt.Fprintln(c.out)
	}
}

// endWatch ends a watch as it is meant to end: Ctrl-C is no failure here.
func (c *cli) endWatch() error {
	c.endLine()
	return nil
}

// watchEnded is how a watch ends that cannot go on.
func (c *cli) watchEnded(ctx context.Context, doing string, err error) error {
	if why := lockedBy(ctx); why != nil {
		err = why
	} else if ctx.Err() != nil {
		return nil
	}
	return fail(doing, err)
}

// untilLocked is ctx until the vault is locked, or the daemon is gone: then no
// code may stand on the screen any longer. closed ends the listening.
func (c *cli) untilLocked(ctx context.Context) (_ context.Context, closed func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := c.daemon().Events(ctx, func(e ipc.Event) error {
			switch {
			case e.Type == ipc.EventLocked, e.Type == ipc.EventState && e.Vault != nil && e.Vault.State == ipc.VaultIsLocked:
			default:
				return nil
			}
			return &ipc.Error{Kind: ipc.VaultLocked, Message: lockText(e), Meanwhile: true}
		})
		if ctx.Err() == nil {
			cancel(err) // also where it could not listen any longer, whatever for
		}
	}()
	return ctx, func() { cancel(nil); <-over }
}

// lockText is what an event says of a lock.
func lockText(e ipc.Event) string {
	if e.Detail == "" {
		return "the vault was locked"
	}
	return "the vault was locked: " + e.Detail
}

// lockedBy is why a context of untilLocked ended, nil where it did not or was
// ended from elsewhere.
func lockedBy(ctx context.Context) error {
	var e *ipc.Error
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}

// blank takes what was drawn from the terminal: the line that the cursor is on,
// and as many above it.
func (c *cli) blank(above int) {
	if !c.outTTY || c.json {
		return
	}
	if above > 0 {
		_, _ = fmt.Fprintf(c.out, cursorUp, above)
	}
	_, _ = fmt.Fprint(c.out, "\r"+eraseDown)
}

// pause waits until the next full second.
func (c *cli) pause(ctx context.Context) error {
	now := c.now()
	t := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// watchList shows the codes of all accounts until Ctrl-C. On a terminal the
// list is drawn in place; else each new code is a line.
func (c *cli) watchList(ctx context.Context, accounts []ipc.Account) error {
	rows := make([]row, len(accounts))
	for i, a := range accounts {
		rows[i].account = a
	}
	drawn := 0
	last := map[string]string{}
	ctx, closed := c.untilLocked(ctx)
	defer closed()
	for {
		if err := c.refresh(ctx, rows); err != nil {
			if ctx.Err() != nil && lockedBy(ctx) == nil {
				return nil
			}
			c.blank(drawn)
			if why := lockedBy(ctx); why != nil {
				return why
			}
			return err
		}
		if c.outTTY && !c.json {
			drawn = c.redraw(codeTable(rows, c.now()), drawn)
		} else {
			c.newCodes(rows, last)
		}
		if err := c.pause(ctx); err != nil {
			if why := lockedBy(ctx); why != nil {
				c.blank(drawn)
				return why
			}
			return nil
		}
	}
}

// redraw draws a table over the one drawn before.
func (c *cli) redraw(t *table, before int) int {
	if before > 0 {
		_, _ = fmt.Fprintf(c.out, cursorUp, before)
	}
	lines := t.lines(c.outWidth())
	if h := c.outHeight(); h > 1 && len(lines) > h-1 {
		// Lines that scroll away cannot be drawn over.
		lines = append(lines[:h-2:h-2], fmt.Sprintf("… and %d more", len(lines)-(h-2)))
	}
	for _, l := range lines {
		_, _ = fmt.Fprintf(c.out, "%s%s\n", l, eraseLine)
	}
	_, _ = fmt.Fprint(c.out, eraseDown)
	return len(lines)
}

// newCodes prints the codes that were not printed yet.
func (c *cli) newCodes(rows []row, last map[string]string) {
	for _, r := range rows {
		key := r.code.Code + r.code.ValidUntil.String()
		if r.reason != "" || last[r.account.ID] == key {
			continue
		}
		last[r.account.ID] = key
		if c.json {
			_ = c.printJSON(r.code)
			continue
		}
		c.print("%s\t%s", accountName(r.account.Issuer, r.account.Name), clean(r.code.Code))
	}
}
