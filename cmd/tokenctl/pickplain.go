package main

import (
	"context"
	"fmt"
	"runtime"
	"strconv"

	"github.com/tokenbridge/tokend/ipc"
)

// pickCode lets the user pick an account, at a terminal.
func (c *cli) pickCode(ctx context.Context, f *codeFlags) error {
	if !c.canAsk() || !c.outTTY {
		return usage("without ACCOUNT a terminal is needed to pick one at", adviceAccount()...)
	}
	var list ipc.AccountList
	err := c.open(ctx, &f.auth, func(ctx context.Context, _ ipc.Auth) (err error) {
		list, err = c.daemon().Accounts(ctx)
		return err
	})
	switch {
	case err != nil:
		return fail("list the accounts", err)
	case len(list.Accounts) == 0:
		return noAccount()
	case f.plain || c.plainTerminal():
		return c.pickPlain(ctx, f, list.Accounts)
	}
	return c.pick(ctx, f, list.Accounts)
}

// plainTerminal says that the terminal knows no control sequences.
func (c *cli) plainTerminal() bool {
	name := c.getenv("TERM")
	return name == "dumb" || name == "" && runtime.GOOS != "windows"
}

// maxPlain is how many names are listed to be picked from. More scroll away, and
// nobody wants to hear them read.
const maxPlain = 40

// pickPlain lists the names and asks for one, line by line. The code of that is
// printed, as it is for an account that was named.
func (c *cli) pickPlain(ctx context.Context, f *codeFlags, accounts []ipc.Account) error {
	var l pickList
	l.set(accounts)
	for {
		c.sayMatches(&l)
		answer, err := c.ask(ctx, "Number, or part of a name (empty to leave)", "", "ACCOUNT")
		if err != nil {
			return err
		}
		if answer == "" {
			return nil
		}
		if n, err := strconv.Atoi(answer); err == nil && 1 <= n && n <= min(len(l.matches), maxPlain) {
			l.selected = n - 1
			return c.codeOne(ctx, f, l.current().account.ID)
		}
		before := l.filter
		l.narrow(answer)
		switch len(l.matches) {
		case 0:
			c.say("no account matches %s", clean(answer))
			l.narrow(before)
		case 1:
			c.say("%s:", l.current().name)
			return c.codeOne(ctx, f, l.current().account.ID)
		}
	}
}

func (c *cli) sayMatches(l *pickList) {
	for i, at := range l.matches[:min(len(l.matches), maxPlain)] {
		it := &l.items[at]
		why := ""
		switch {
		case it.account.Class == "touch":
			why = "; needs a touch"
		case !it.live():
			why = "; counts each code"
		}
		lines := []string{fmt.Sprintf("%3d  %s%s", i+1, it.name, why)}
		if c.errTTY && c.errWidth != nil && c.errWidth() > narrowest {
			lines = hanging(fmt.Sprintf("%3d  ", i+1), "     ", it.name+why, c.errWidth())
		}
		for _, line := range lines {
			_, _ = fmt.Fprintln(c.err, line)
		}
	}
	if more := len(l.matches) - maxPlain; more > 0 {
		c.say("… and %d more", more)
	}
}
