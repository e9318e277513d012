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
		code, err = c.daemon().Code(ctx, account.ID, f.request(a))
		return err
	})
	if err != nil {
		return fail(doing, err)
	}
	name := accountName(account.Issuer, account.Name)
	c.showWatched(name, code, true)
	for {
		if err := c.pause(ctx); err != nil {
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
			c.endLine()
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
	if ctx.Err() != nil {
		return nil
	}
	return fail(doing, err)
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
	for {
		if err := c.refresh(ctx, rows); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if c.outTTY && !c.json {
			drawn = c.redraw(codeTable(rows, c.now()), drawn)
		} else {
			c.newCodes(rows, last)
		}
		if err := c.pause(ctx); err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
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
