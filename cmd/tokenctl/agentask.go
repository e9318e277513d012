package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/cmd/tokenctl/desktop"
	"github.com/tokenbridge/tokend/cmd/tokenctl/pinentry"
	"github.com/tokenbridge/tokend/ipc"
)

// How much is shown of a name that others chose. Characters that take no column
// are bytes all the same, and pinentry's lines have 1000: what is said of who
// asks must not be pushed off their end.
const (
	maxShown      = 120 // columns
	maxShownBytes = 240
)

// shown is as much of a name.
func shown(s string) string {
	s = truncate(s, maxShown)
	for i, r := range s {
		if i+utf8.RuneLen(r) > maxShownBytes {
			return s[:i] + "…"
		}
	}
	return s
}

// abandoned is when pinentry gives up by itself. The daemon takes a question back
// before; but an agent that was killed takes none.
const abandoned = 3 * time.Minute

// whoAsks describes the program that an event is about, a line each.
func whoAsks(e ipc.Event) []string {
	from := ipc.Requester{}
	if e.From != nil {
		from = *e.From
	}
	lines := []string{"Program: " + shown(requesterText(from))}
	switch {
	case from.Unit != "":
		lines = append(lines, "Unit: "+shown(clean(from.Unit)))
	case from.Terminal != "":
		lines = append(lines, "Terminal: "+shown(placeText(from)))
	case from.Leader != 0:
		lines = append(lines, "Terminal: none ("+shown(placeText(from))+")")
	}
	if from.Session != "" {
		lines = append(lines, "Session: "+shown(clean(from.Session)))
	}
	return lines
}

// wish is what the program of an event wants, and of which account.
func wish(e ipc.Event) string {
	what := actionWords(e.Action)
	switch {
	case e.Account == nil && e.Wanted != "": // its own word: the vault is locked
		return what + ` of what it calls "` + shown(clean(e.Wanted)) + `"`
	case e.Account == nil:
		return what
	}
	return what + " of " + shown(accountName(e.Account.Issuer, e.Account.Name))
}

// say answers the daemon; a question that is not open any more was withdrawn or
// answered elsewhere.
func (a *agent) say(ctx context.Context, r ipc.AgentAnswer) {
	err := a.c.daemon().AnswerAgent(ctx, r)
	if err != nil && ipc.KindOf(err) != ipc.NotFound && ctx.Err() == nil {
		a.c.say("cannot answer the daemon: %s", clean(err.Error()))
	}
}

// alone waits for pinentry to be free.
func (a *agent) alone(ctx context.Context) (leave func(), err error) {
	select {
	case a.turn <- struct{}{}:
		return func() { <-a.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// askPIN asks for the PIN that an event wants.
func (a *agent) askPIN(ctx context.Context, e ipc.Event) {
	if a.pin == nil {
		a.say(ctx, ipc.AgentAnswer{Operation: e.Operation, Unable: true})
		return
	}
	leave, err := a.alone(ctx)
	if err != nil {
		return
	}
	defer leave()
	pin, last, err := a.readPIN(ctx, e)
	defer pin.Wipe()
	answer := ipc.AgentAnswer{Operation: e.Operation, Allow: err == nil, PIN: pin, SpendLastTry: last}
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !errors.Is(err, pinentry.ErrCancelled):
		answer.Unable = true
		a.c.say("cannot ask for a PIN: %s", clean(err.Error()))
	}
	a.say(ctx, answer)
}

// readPIN has pinentry ask until it is a PIN that the token can have. The last
// try is spent on the user's word alone.
func (a *agent) readPIN(ctx context.Context, e ipc.Event) (pin ipc.Secret, last bool, err error) {
	token, word := tokenName(e.Token), pinWord(e.Token)
	tries := ""
	if e.TriesLeft != nil {
		tries = " " + upperFirst(plural(*e.TriesLeft, "try")) + " left."
		if last = *e.TriesLeft == 1; last {
			tries = " This is the last try."
			err := a.pin.Confirm(ctx, pinentry.Question{
				Title: "tokend", OK: "Try it", Cancel: "Leave it", Timeout: abandoned,
				Description: "One " + word + " try is left: a wrong " + word + " blocks " + token + ".\n\n" + strings.Join(whoAsks(e), "\n"),
			})
			if err != nil {
				return nil, false, err
			}
		}
	}
	q := pinentry.Question{
		Title: "tokend", Prompt: upperFirst(word) + ":", OK: "OK", Cancel: "Refuse", Timeout: abandoned,
		Description: "A program wants " + wish(e) + ", and needs the " + word + " of " + token + "." + tries + "\n\n" + strings.Join(whoAsks(e), "\n"),
	}
	if e.Detail != "" {
		q.Error = upperFirst(clean(e.Detail))
	}
	for {
		b, err := a.pin.PIN(ctx, q)
		if err != nil {
			return nil, false, err
		}
		kind := ""
		if e.Token != nil {
			kind = e.Token.Kind
		}
		m := malformed(kind, word, b)
		if m == "" {
			return b, last, nil
		}
		clear(b)
		q.Error = upperFirst(m) + "; it was not used"
	}
}

// The actions of a notification that asks for consent.
const actionRefuse = "refuse"

func consentActions() []string {
	return []string{
		string(ipc.GrantOnce), "Once", string(ipc.Grant10Min), "10 minutes", string(ipc.GrantToLock), "Until locked", actionRefuse, "Refuse",
	}
}

func scopeWords(s ipc.GrantScope) string {
	switch s {
	case ipc.Grant10Min:
		return "for ten minutes"
	case ipc.GrantToLock:
		return "until the vault is locked"
	}
	return "once"
}

// askConsent asks by a notification's buttons and by pinentry, whichever there
// is; the first answer counts.
func (a *agent) askConsent(ctx context.Context, e ipc.Event) {
	var chosen <-chan string
	if a.desktop().Actions {
		shown := a.notes.Show(desktop.Note{
			Summary: "Hand out " + wish(e) + "?", Body: strings.Join(whoAsks(e), "\n"), Actions: consentActions(),
		})
		defer shown.Close()
		chosen = shown.Chosen()
	}
	var over sync.WaitGroup
	defer over.Wait() // the next question needs pinentry
	dialog, end := context.WithCancel(ctx)
	defer end()
	var asked <-chan error
	if a.pin != nil {
		answered := make(chan error, 1)
		over.Go(func() { answered <- a.confirm(dialog, e) })
		asked = answered
	}
	answer, err := a.firstAnswer(ctx, chosen, asked)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		answer.Unable = true
		a.c.say("cannot ask for consent: %s", clean(err.Error()))
	}
	answer.Operation = e.Operation
	a.say(ctx, answer)
}

// firstAnswer is what the user says by a button or in pinentry. A way that comes
// to nothing leaves it to the other.
func (a *agent) firstAnswer(ctx context.Context, chosen <-chan string, asked <-chan error) (ipc.AgentAnswer, error) {
	err := pinentry.ErrNone
	for chosen != nil || asked != nil {
		select {
		case <-ctx.Done():
			return ipc.AgentAnswer{}, ctx.Err()
		case key := <-chosen:
			if scope := ipc.GrantScope(key); scope.Valid() {
				return ipc.AgentAnswer{Allow: true, For: scope}, nil
			}
			if key == desktop.Dismissed && asked != nil {
				chosen = nil
				continue
			}
			return ipc.AgentAnswer{}, nil
		case err = <-asked:
			switch {
			case err == nil:
				return ipc.AgentAnswer{Allow: true, For: a.scope}, nil
			case errors.Is(err, pinentry.ErrCancelled):
				return ipc.AgentAnswer{}, nil
			}
			asked = nil
		}
	}
	return ipc.AgentAnswer{}, err
}

// confirm has pinentry ask for consent.
func (a *agent) confirm(ctx context.Context, e ipc.Event) error {
	leave, err := a.alone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return a.pin.Confirm(ctx, pinentry.Question{
		Title: "tokend", OK: "Allow", Cancel: "Refuse", Timeout: abandoned,
		Description: "Hand out " + wish(e) + "?\n\n" + strings.Join(whoAsks(e), "\n") + "\n\nA yes holds " + scopeWords(a.scope) + ", " + reachWords(e.From) + ".",
	})
}

// reachWords is for what a grant would hold beside the process that asks.
func reachWords(from *ipc.Requester) string {
	if from != nil && (from.Unit != "" || from.Leader != 0) {
		return "for this program there"
	}
	return "for this program, wherever you run it"
}
