package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/cmd/tokenctl/desktop"
	"github.com/tokenbridge/tokend/cmd/tokenctl/pinentry"
	"github.com/tokenbridge/tokend/ipc"
)

// agent is what "tokenctl agent" is doing.
type agent struct {
	c     *cli
	pin   *pinentry.Program // nil where nothing can be asked
	notes *desktop.Notifier // nil on systems without
	scope ipc.GrantScope    // how long a yes in pinentry holds
	again chan struct{}     // what it can do is different now
	turn  chan struct{}     // one pinentry at a time
	work  sync.WaitGroup
	login *desktop.Login // nil on systems without
	mine  bool           // it answers for the session, by the daemon's last word

	mu     sync.Mutex
	open   map[string]func() // what is shown or asked, by operation: takes it back
	backup struct{ runs, due bool }
}

// daemonRetry is how long a daemon that is gone is left alone.
const daemonRetry = time.Second

// takenRetries is how often a session that has an agent is tried again: the
// daemon may not have noticed yet that the last one ended.
const takenRetries = 3

var errMissed = errors.New("events were missed")

// follow does what the daemon tells, again after each restart of it, until ctx
// ends or the session has another agent.
func (a *agent) follow(ctx context.Context) error {
	told, taken := "", 0
	for {
		err := a.stream(ctx, &told)
		kind := ipc.KindOf(err)
		if ctx.Err() == nil && kind == ipc.Cancelled { // the abilities changed; what is asked stays
			continue
		}
		a.takeBackAll()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errMissed):
			continue
		case kind == ipc.AlreadyExists:
			a.mine = false
			if taken++; taken > takenRetries {
				return err
			}
			if taken == 1 {
				a.c.say("%s; waiting a moment whether it ends", clean(err.Error()))
			}
		default:
			taken = 0
			if why := err.Error(); why != told {
				told = why
				a.c.say("no daemon: %s; waiting for one", clean(why))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(daemonRetry):
		}
	}
}

// stream registers, and hears events until the daemon goes or the abilities
// change.
func (a *agent) stream(ctx context.Context, told *string) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	for len(a.again) > 0 {
		<-a.again
	}
	can := a.abilities()
	go func() {
		select {
		case <-own.Done():
		case <-a.again:
			cancel()
		}
	}()
	// One that can do nothing is the session's agent, too: it locks, and runs backups.
	return a.c.daemon().Agent(own, strings.Join(can, ","), func(e ipc.Event) error {
		if e.Type == ipc.EventState {
			a.mine = true
			a.keep(e.Waits)
			a.sayAbilities(can, told)
		}
		return a.hear(ctx, e)
	})
}

func (a *agent) changed() {
	select {
	case a.again <- struct{}{}:
	default:
	}
}

// desktop is what the notification service can do.
func (a *agent) desktop() desktop.Abilities {
	if a.notes == nil {
		return desktop.Abilities{}
	}
	return a.notes.Abilities()
}

// abilities are what the agent can do for the user now.
func (a *agent) abilities() []string {
	var can []string
	on := a.desktop()
	if on.Notify || a.c.errTTY {
		can = append(can, ipc.AgentCanTouch)
	}
	if a.pin != nil {
		can = append(can, ipc.AgentCanPIN)
	}
	if a.pin != nil || on.Actions {
		can = append(can, ipc.AgentCanConsent)
	}
	return can
}

// sayAbilities says, when it connects, what the agent can do and what not.
func (a *agent) sayAbilities(can []string, told *string) {
	words := map[string]string{
		ipc.AgentCanTouch: "tell of touches", ipc.AgentCanPIN: "ask for PINs", ipc.AgentCanConsent: "ask for consent",
	}
	var yes, no []string
	for _, w := range []string{ipc.AgentCanTouch, ipc.AgentCanPIN, ipc.AgentCanConsent} {
		if strings.Contains(strings.Join(can, ","), w) {
			yes = append(yes, words[w])
		} else {
			no = append(no, words[w])
		}
	}
	text := "connected; it can lock the vault "
	if a.login != nil && a.login.Heard() {
		text += "with your session"
	} else {
		text += "when it ends (nothing here tells when your session is locked)"
	}
	if len(yes) > 0 {
		text += ", " + strings.Join(yes, ", ")
	}
	if a.pin != nil {
		text += " (" + a.pin.Path + ")"
	}
	if len(no) > 0 {
		text += "; it cannot " + strings.Join(no, ", nor ")
		if !a.desktop().Notify {
			text += ": no notification service is there"
		}
	}
	if text != *told {
		if *told == "" && a.c.errTTY {
			a.c.say("Ctrl-C ends the agent, and leaves the vault as it is")
		}
		*told = text
		a.c.say("%s", clean(text))
	}
}

// hear does what an event asks for.
func (a *agent) hear(ctx context.Context, e ipc.Event) error {
	switch e.Type {
	case ipc.EventTouchWanted:
		a.showTouch(e)
	case ipc.EventTouchDone, ipc.EventPINDone, ipc.EventConsentDone:
		a.takeBack(e.Operation)
	case ipc.EventPINWanted:
		a.begin(ctx, e, a.askPIN)
	case ipc.EventConsentWanted:
		a.begin(ctx, e, a.askConsent)
	case ipc.EventBackupDue:
		a.backupDue(ctx)
	case ipc.EventDropped:
		return errMissed
	}
	return nil
}

// begin asks, once, what an event wants to have asked.
func (a *agent) begin(ctx context.Context, e ipc.Event, ask func(context.Context, ipc.Event)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[e.Operation] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	a.open[e.Operation] = cancel
	a.work.Go(func() {
		defer a.takeBack(e.Operation)
		ask(ctx, e)
	})
}

// takeBack ends what is shown or asked for an operation.
func (a *agent) takeBack(operation string) {
	a.mu.Lock()
	end := a.open[operation]
	delete(a.open, operation)
	a.mu.Unlock()
	if end != nil {
		end()
	}
}

func (a *agent) takeBackAll() { a.keep(nil) }

// keep takes back all that is shown or asked but for these operations.
func (a *agent) keep(operations []string) {
	a.mu.Lock()
	over := maps.Clone(a.open)
	for _, o := range operations {
		delete(over, o)
	}
	for o := range over {
		delete(a.open, o)
	}
	a.mu.Unlock()
	for _, end := range over {
		end()
	}
}

// showTouch tells the user that a token waits for his touch. A second touch of
// the same operation takes the first's place.
func (a *agent) showTouch(e ipc.Event) {
	token := tokenName(e.Token)
	var lines []string
	if e.Account != nil {
		lines = append(lines, "for "+accountName(e.Account.Issuer, e.Account.Name))
	}
	if e.Requester != "" {
		lines = append(lines, "asked by "+clean(e.Requester))
	}
	a.takeBack(e.Operation)
	if !a.desktop().Notify {
		if a.c.errTTY {
			a.c.say("touch %s", strings.Join(append([]string{token}, lines...), " "))
		}
		return
	}
	title := "Touch " + token
	if e.Touch > 1 {
		title += fmt.Sprintf(" (%d)", e.Touch)
	}
	shown := a.notes.Show(desktop.Note{Summary: title, Body: strings.Join(lines, "\n")})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[e.Operation] = shown.Close
}

// lockLimit is how long locking may take: logind waits five seconds with sleep.
const lockLimit = 4 * time.Second

// leave locks the vault, because the user leaves.
func (a *agent) leave(ctx context.Context, reason string) {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	switch err := a.c.daemon().Lock(ctx); ipc.KindOf(err) {
	case ipc.NoVault, ipc.Unreachable:
	default:
		if err != nil {
			a.c.say("cannot lock the vault (%s): %s", reason, clean(err.Error()))
			return
		}
		a.c.say("the vault is locked: %s", reason)
	}
}

// backupDue runs a backup as a program of its own, one at a time.
func (a *agent) backupDue(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.backup.runs {
		a.backup.due = true
		return
	}
	a.backup.runs = true
	a.work.Go(func() {
		for again := true; again; {
			if err := a.runBackup(ctx); err != nil && ctx.Err() == nil {
				a.c.say("the backup failed: %s", clean(err.Error()))
			}
			a.mu.Lock()
			again = a.backup.due && ctx.Err() == nil
			a.backup.due, a.backup.runs = false, again
			a.mu.Unlock()
		}
	})
}

func (a *agent) runBackup(ctx context.Context) error {
	program, args, err := a.c.timerCommand()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr = a.c.err
	return cmd.Run()
}
