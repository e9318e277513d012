package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// envInteraction is the environment variable that stands for --interaction, for
// programs that run tokenctl and cannot be told of flags.
const envInteraction = "TOKEND_INTERACTION"

// interaction is whom the daemon is to ask where a PIN or consent is wanting.
func (c *cli) interaction(flag string) (string, error) {
	source := "--interaction"
	if flag == "" && c.getenv != nil {
		flag, source = c.getenv(envInteraction), envInteraction
	}
	switch flag {
	case "", ipc.InteractionNone, ipc.InteractionAgent:
		return flag, nil
	}
	return "", usage(source+" can be none or agent", adviceHelp("tokenctl code")...)
}

// withConsent runs call, and where the user has to agree first asks him: whoever
// sits at the terminal that tokenctl was started from. What he says is granted to
// tokenctl there, for call and, if he wants, for a while. To him the account is
// called name.
func (c *cli) withConsent(ctx context.Context, action ipc.GrantAction, account, name string, call func() error) error {
	err := call()
	if ipc.KindOf(err) != ipc.ConsentRequired || !c.canAsk() {
		return err
	}
	scope, err := c.askScope(ctx, action, name)
	if err != nil {
		return err
	}
	if err := c.allow(ctx, action, scope, account); err != nil {
		return err
	}
	return call()
}

// allow grants tokenctl what the user has just agreed to.
func (c *cli) allow(ctx context.Context, action ipc.GrantAction, scope ipc.GrantScope, accounts ...string) error {
	_, err := c.daemon().AllowGrant(ctx, ipc.AllowRequest{Action: action, Accounts: accounts, For: scope})
	return err
}

// askScope asks for consent, and for how long. An empty answer is no.
func (c *cli) askScope(ctx context.Context, action ipc.GrantAction, name string) (ipc.GrantScope, error) {
	what := "a code"
	if action == ipc.GrantReveal {
		what = "the secret"
	}
	question := fmt.Sprintf("Hand out %s of %s? (yes/10min/lock/no)", what, clean(name))
	for {
		answer, err := c.ask(ctx, question, "no", "a grant")
		if err != nil {
			return "", err
		}
		switch strings.ToLower(answer) {
		case "y", "yes", "once":
			return ipc.GrantOnce, nil
		case "10", "10min":
			return ipc.Grant10Min, nil
		case "l", "lock":
			return ipc.GrantToLock, nil
		case "n", "no":
			return "", cancelled("cancelled: it was not agreed to")
		}
		c.say("please answer yes (once), 10min (for ten minutes), lock (until the vault is locked) or no")
	}
}

// revealAgreed is withConsent for a secret. Who has just typed yes to see it is
// not asked again.
func (c *cli) revealAgreed(ctx context.Context, agreed bool, a ipc.Account, call func() error) error {
	if !agreed {
		return c.withConsent(ctx, ipc.GrantReveal, a.ID, accountName(a.Issuer, a.Name), call)
	}
	err := call()
	if ipc.KindOf(err) != ipc.ConsentRequired {
		return err
	}
	if err := c.allow(ctx, ipc.GrantReveal, ipc.GrantOnce, a.ID); err != nil {
		return err
	}
	return call()
}

// exportAgreed is revealAgreed for several accounts, of which the error names those
// that the user has to agree to.
func (c *cli) exportAgreed(ctx context.Context, agreed bool, call func() error) error {
	err := call()
	var e *ipc.Error
	if ipc.KindOf(err) != ipc.ConsentRequired || !errors.As(err, &e) || len(e.Items) == 0 || !agreed && !c.canAsk() {
		return err
	}
	scope := ipc.GrantOnce
	if !agreed {
		if scope, err = c.askScope(ctx, ipc.GrantReveal, plural(len(e.Items), "account")); err != nil {
			return err
		}
	}
	ids := make([]string, len(e.Items))
	for i, it := range e.Items {
		ids[i] = it.ID
	}
	if err := c.allow(ctx, ipc.GrantReveal, scope, ids...); err != nil {
		return err
	}
	return call()
}
