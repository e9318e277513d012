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

// agreement is what the user may have to agree to before something is handed out.
type agreement struct {
	action ipc.GrantAction
	// account is as it was called; empty for all those that the error names.
	account string
	name    string // of the account, to the user
	agreed  bool   // he has just typed yes, and is not asked again
	agent   bool   // the call waits for an agent's question
}

// withConsent runs call, and where the user has to agree first asks him: whoever
// sits at the terminal that tokenctl was started from. What he says is granted to
// tokenctl there, for call and, if he wants, for a while.
func (c *cli) withConsent(ctx context.Context, w agreement, call func() error) error {
	err := call()
	accounts, name := []string{w.account}, w.name
	var e *ipc.Error
	if !errors.As(err, &e) || e.Kind != ipc.ConsentRequired && e.Kind != ipc.NotAuthorized {
		return err
	}
	if w.account == "" {
		accounts, name = nil, plural(len(e.Items), "account")
		for _, it := range e.Items {
			accounts = append(accounts, it.ID)
		}
	}
	if e.Kind != ipc.ConsentRequired || len(accounts) == 0 || !w.agreed && !c.canAsk() {
		return w.refused(err, e)
	}
	scope := ipc.GrantOnce
	if !w.agreed {
		if scope, err = c.askScope(ctx, w.action, name); err != nil {
			return err
		}
	}
	if _, err := c.daemon().AllowGrant(ctx, ipc.AllowRequest{Action: w.action, Accounts: accounts, For: scope}); err != nil {
		return err
	}
	return call()
}

// refused is err with what can be done about it, for the account that was named.
func (w agreement) refused(err error, e *ipc.Error) error {
	account := w.account
	if len(e.Items) == 1 {
		account = e.Items[0].ID
	}
	switch {
	case account == "":
		return err
	case e.Kind == ipc.ConsentRequired:
		return &hinted{err, adviceConsent(e, account, w.agent)}
	case isDenied(e):
		return &hinted{err, adviceDenied(account)}
	}
	return err
}

// actionWords is what a program wants of an account.
func actionWords(action ipc.GrantAction) string {
	return either(action == ipc.GrantReveal, "the secret", "a code")
}

// askScope asks for consent, and for how long. An empty answer is no.
func (c *cli) askScope(ctx context.Context, action ipc.GrantAction, name string) (ipc.GrantScope, error) {
	question := fmt.Sprintf("Hand out %s of %s? (yes/10min/lock/no)", actionWords(action), clean(name))
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
