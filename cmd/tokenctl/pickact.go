package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/term"

	"github.com/tokenbridge/tokend/ipc"
)

// pickCall is a code that was asked for and is not there yet.
type pickCall struct {
	since  time.Time
	waits  string // what it waits for
	cancel func()
}

// keepCounted is how long the code of an account that counts is shown. Enter
// takes it once more meanwhile: a key that is held down must not use up counts.
const keepCounted = 30 * time.Second

// typed does what keys are for.
func (p *picker) typed(keys []key) {
	for _, k := range keys {
		// What was typed ahead was not meant for what came between.
		if away := p.press(k); away || p.left {
			return
		}
	}
}

// press does what a key is for and says whether the list was away meanwhile.
func (p *picker) press(k key) (away bool) {
	ask := p.question
	p.question = nil
	if p.busy == nil {
		p.say("")
	}
	switch k.kind {
	case keyQuit:
		p.left = true
	case keyEOF:
		p.left = p.list.filter == ""
	case keyEsc:
		p.back()
	case keyEnter:
		return p.enter(ask)
	case keyRedraw:
		p.screen.redraw()
	case keySuspend:
		p.suspend()
		return true
	default:
		if p.state == pickOpen {
			p.list.press(k)
		}
	}
	return false
}

// back takes back one thing: the code that is waited for, the filter, the list.
func (p *picker) back() {
	switch {
	case p.busy != nil:
		p.busy.cancel()
	case p.state == pickOpen && p.list.filter != "":
		p.list.widen("")
	default:
		p.left = true
	}
}

// enter answers the question that is put, unlocks the vault, or takes the code of
// the selected account.
func (p *picker) enter(ask func()) (away bool) {
	it := p.list.current()
	switch {
	case p.busy != nil:
	case ask != nil:
		ask()
		return true
	case p.state == pickLocked:
		p.unlock()
		return true
	case p.state == pickOpen && it != nil && !it.live() && it.kept(p.c.now()):
		p.take(it.account, it.code)
	case p.state == pickOpen && it != nil:
		p.ask(it.account)
	}
	return false
}

// unlock asks for what opens the vault, as every command does.
func (p *picker) unlock() {
	err := p.prompt(func(ctx context.Context) error {
		return p.c.open(ctx, &p.f.auth, func(ctx context.Context, _ ipc.Auth) error {
			_, err := p.c.daemon().Accounts(ctx)
			return err
		})
	})
	if err != nil {
		p.fails("unlock the vault", err)
		return
	}
	p.opened()
}

// ask asks for the code of an account: without a secret at first, and with
// questions when Enter is pressed once more, where those can mend what failed.
func (p *picker) ask(a ipc.Account) {
	ctx, cancel := context.WithCancel(p.ctx)
	name := accountName(a.Issuer, a.Name)
	call := &pickCall{since: p.c.now(), waits: "making a code for " + name + " …", cancel: cancel}
	p.busy = call
	time.AfterFunc(announceAfter, func() { p.post(func() {}) }) // shows what is waited for
	auth := ipc.Auth{Token: p.f.auth.token}
	epoch := p.epoch
	p.spawn(func() {
		code, err := p.c.daemon().Code(ctx, a.ID, p.f.request(auth))
		stopped := ctx.Err() != nil
		cancel()
		p.post(func() {
			p.busy = nil
			switch {
			case err == nil && epoch == p.epoch:
				p.take(a, code)
			case err == nil:
			case stopped:
				p.say("cancelled: no code was made for " + name)
			default:
				p.refused(a, err)
			}
		})
	})
}

// refused is what follows when no code was made.
func (p *picker) refused(a ipc.Account, err error) {
	doing := "make a code for " + accountName(a.Issuer, a.Name)
	switch e := pinError(err); {
	case e != nil:
		p.say(fmt.Sprintf("%s wants its %s: Enter to type it", tokenName(e.Token), pinWord(e.Token)))
	case ipc.KindOf(err) == ipc.ConsentRequired:
		p.say("your consent is wanted: Enter to be asked")
	default:
		p.fails(doing, err)
		return
	}
	p.question = func() {
		var code ipc.Code
		err := p.prompt(func(ctx context.Context) (err error) {
			code, err = p.c.askedCode(ctx, p.f, a.ID, accountName(a.Issuer, a.Name))
			return err
		})
		if err != nil {
			p.fails(doing, err)
			return
		}
		p.take(a, code)
	}
}

// fails says what failed and why, below the list or in its place.
func (p *picker) fails(doing string, err error) {
	switch e := asError(p.ctx, err); e.Kind {
	case ipc.VaultLocked:
		p.locked(clean(e.Message))
	case ipc.Unreachable:
		p.gone(err)
	default:
		text := "cannot " + doing + ": " + clean(e.Message)
		if advice := p.c.advise(e); len(advice) > 0 {
			text += "; " + advice[0]
		}
		p.say(text)
	}
}

// take shows a code that somebody asked for, and copies it.
func (p *picker) take(a ipc.Account, code ipc.Code) {
	now := p.c.now()
	it := p.list.find(a.ID)
	if it == nil || p.state != pickOpen {
		return
	}
	if !it.kept(now) {
		if it.asked = code.ValidUntil; it.asked.IsZero() {
			it.asked = now.Add(keepCounted)
		}
	}
	it.code, it.reason = code, ""
	switch {
	case p.f.copy == copyTerminal:
		p.screen.send(osc52(code.Code))
		p.say(askedTerminal(it.name))
		it.copied = it.asked
	case p.noClip != nil:
		p.say("the code of " + it.name + " is in the list and not copied: " + asError(p.ctx, p.noClip).Message + "; " + adviceCopyTerminal)
	default:
		p.copy(a, code)
	}
}

// copy puts a code into the clipboard, which takes a program of its own.
func (p *picker) copy(a ipc.Account, code ipc.Code) {
	epoch := p.epoch
	p.spawn(func() {
		ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
		defer cancel()
		said, err := p.c.putCode(ctx, p.clip, code, p.f.clearAfter)
		p.post(func() {
			if err != nil {
				p.fails("copy the code", err)
				return
			}
			p.say(said)
			until := p.c.now().Add(365 * 24 * time.Hour)
			if after := p.f.clearAfter; after > 0 {
				until = p.c.now().Add(after)
				p.noteUntil = until
			}
			if it := p.list.find(a.ID); it != nil && epoch == p.epoch {
				for i := range p.list.items {
					p.list.items[i].copied = time.Time{}
				}
				it.copied = until
			}
		})
	})
}

// suspend stops the program as Ctrl-Z stops any, with the terminal as it was.
func (p *picker) suspend() {
	p.leaveScreen()
	_ = term.Restore(int(p.c.in.Fd()), p.cooked)
	stopSelf()
	p.resume()
}
