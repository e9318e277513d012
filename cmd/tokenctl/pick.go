package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/tokenbridge/tokend/ipc"
)

// picker is the list of accounts from which one is picked at a terminal. One
// goroutine, in run, owns what is not told otherwise; what others learn they give
// it through post.
type picker struct {
	c      *cli
	f      *codeFlags
	ctx    context.Context
	screen *display
	inbox  chan func()
	list   pickList

	state pickState
	why   string // the vault is locked, or the daemon gone
	// epoch counts how often the vault was locked or the daemon gone: what was
	// asked for before is not shown after.
	epoch      int
	loading    bool      // the list of accounts
	stale      bool      // it has to be loaded once more
	refreshing bool      // the codes on the screen
	note       string    // what is said below the list
	noteUntil  time.Time // zero: until the next key
	busy       *pickCall
	question   func() // what the next Enter does, when it answers a question
	left       bool   // the user is done

	keys    keyReader
	escape  *time.Timer // fires when Esc is no part of a longer key
	reading chan struct{}
	cooked  *term.State
	restore func() // gives the terminal back; can be called again
	// clip is the clipboard; noClip says why there is none.
	clip   *clipboard
	noClip error
}

type pickState int

const (
	pickOpen pickState = iota
	pickLocked
	pickGone
)

// escapeDelay is how long the rest of a key may take: more than the bytes of one
// key need over a bad line, less than a person notices.
const escapeDelay = 100 * time.Millisecond

// pick shows the list of accounts until the user leaves. The vault is open; list
// is what is in it.
func (c *cli) pick(ctx context.Context, f *codeFlags, accounts []ipc.Account) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &picker{c: c, f: f, ctx: ctx, inbox: make(chan func()), reading: make(chan struct{}, 1),
		escape: time.NewTimer(time.Hour)}
	p.escape.Stop()
	if f.copy != copyTerminal {
		p.clip, p.noClip = c.findClipboard()
	}
	p.list.set(accounts)
	if err := p.open(cancel); err != nil {
		return fail("show the list", problem(ipc.Internal, "show the list", err))
	}
	defer p.restore()
	chunks := make(chan []byte)
	p.spawn(func() { p.read(chunks, cancel) })
	p.spawn(p.listen)
	defer onResize(func() { p.post(func() {}) })()
	defer onResume(func() { p.post(p.resume) })()
	defer onHangup(cancel)()
	defer cancel() // so that none of these waits for the list
	p.run(chunks)
	return nil
}

// run is the list's life.
func (p *picker) run(chunks <-chan []byte) {
	second := time.NewTimer(0)
	defer second.Stop()
	p.reading <- struct{}{}
	for !p.left {
		p.refresh()
		p.draw()
		now := p.c.now()
		second.Reset(now.Truncate(time.Second).Add(time.Second).Sub(now))
		select {
		case <-p.ctx.Done():
			return
		case f := <-p.inbox:
			f()
		case b := <-chunks:
			p.typed(p.keys.feed(b))
			clear(b)
			p.reading <- struct{}{}
			if p.escape.Stop(); p.keys.waiting() {
				p.escape.Reset(escapeDelay)
			}
		case <-p.escape.C:
			p.typed(p.keys.flush())
		case <-second.C:
		}
	}
}

// open takes the terminal over.
func (p *picker) open(cancel func()) error {
	output, err := prepareOutput()
	if err != nil {
		return err
	}
	fd := int(p.c.in.Fd())
	if p.cooked, err = term.MakeRaw(fd); err != nil {
		output()
		return err
	}
	p.screen = newDisplay(p.c.out, func(error) { cancel() })
	p.restore = sync.OnceFunc(func() {
		p.leaveScreen()
		p.screen.close()
		_ = term.Restore(fd, p.cooked)
		output()
	})
	p.spawn(p.screen.run)
	p.screen.send(screenEnter)
	return nil
}

// What a terminal is sent (xterm's names): a screen beside the usual one, whose
// content is no part of the history, on which lines are not wrapped.
const (
	screenEnter  = "\x1b[?1049h\x1b[?7l"
	screenLeave  = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	screenPrompt = "\x1b[1;1H\x1b[?7h\x1b[?25h"
	screenBack   = "\x1b[?7l"
)

// patient is how long a terminal may take to be given back. One that is stopped
// must not keep the program from ending.
const patient = time.Second

// leaveScreen shows the usual screen again. What was on the other is taken from
// it before: not every terminal has two.
func (p *picker) leaveScreen() {
	p.screen.show(newFrame(p.size()))
	p.screen.settle(patient)
	p.screen.send(screenLeave)
	p.screen.stop()
	p.screen.settle(patient)
}

// size is the screen's, in columns and lines.
func (p *picker) size() (w, h int) {
	if w, h = p.c.outWidth(), p.c.outHeight(); w <= 0 || h <= 0 {
		return 80, 24
	}
	return w, h
}

// spawn runs f beside the list. Should f panic, the terminal is given back, so
// that what is said of it can be read.
func (p *picker) spawn(f func()) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				_ = term.Restore(int(p.c.in.Fd()), p.cooked)
				_, _ = fmt.Fprint(p.c.err, screenLeave)
				panic(r)
			}
		}()
		f()
	}()
}

// post has f run by the goroutine that owns the list.
func (p *picker) post(f func()) {
	select {
	case p.inbox <- f:
	case <-p.ctx.Done():
	}
}

// read reads what is typed, once each time it is asked to: while a PIN is asked
// for, nothing else may read.
func (p *picker) read(chunks chan<- []byte, cancel func()) {
	for {
		select {
		case <-p.reading:
		case <-p.ctx.Done():
			return
		}
		b := make([]byte, 256)
		n, err := p.c.in.Read(b)
		if err != nil {
			cancel() // the terminal is gone
			return
		}
		select {
		case chunks <- b[:n]:
		case <-p.ctx.Done():
			return
		}
	}
}

// resume is what a program does that was stopped and goes on: others had the
// terminal meanwhile.
func (p *picker) resume() {
	_, _ = term.MakeRaw(int(p.c.in.Fd()))
	p.screen.send(screenEnter)
	p.screen.redraw()
}

// prompt asks questions on the screen, with the list away, as all commands ask
// them. Nothing reads the terminal meanwhile but they: it is called for a key.
func (p *picker) prompt(work func(context.Context) error) error {
	fd := int(p.c.in.Fd())
	p.screen.show(newFrame(p.size()))
	p.screen.settle(patient)
	p.screen.send(screenPrompt)
	p.screen.stop()
	p.screen.settle(patient)
	_ = term.Restore(fd, p.cooked)
	told := p.c.warned
	err := work(p.ctx)
	if p.c.warned > told && p.ctx.Err() == nil {
		_, _ = p.c.ask(p.ctx, "Press Enter to go on", "", "")
	}
	_, _ = term.MakeRaw(fd)
	p.screen.send(screenBack)
	p.screen.redraw()
	return err
}

// draw shows how things are.
func (p *picker) draw() {
	now := p.c.now()
	if !p.noteUntil.IsZero() && now.After(p.noteUntil) {
		p.say("")
	}
	v := pickView{list: &p.list, note: p.note, keys: p.help(), plain: p.c.getenv("NO_COLOR") != "", now: now}
	switch {
	case p.state == pickLocked:
		v.blank = []string{p.why, "Enter: unlock it"}
	case p.state == pickGone:
		v.blank = []string{p.why, "The list is back when it answers again."}
	case len(p.list.items) == 0 && p.loading:
		v.blank = []string{""}
	case len(p.list.items) == 0:
		v.blank = []string{noAccounts}
	case len(p.list.matches) == 0:
		v.blank = []string{"No account matches."}
	}
	if b := p.busy; b != nil && now.Sub(b.since) >= announceAfter {
		v.note = b.waits
	}
	p.screen.show(v.draw(p.size()))
}

// help names the keys, the most important first.
func (p *picker) help() []string {
	enter := "Enter: copy"
	if p.noClip != nil {
		enter = "Enter: make a code"
	}
	esc := "Esc: leave"
	switch {
	case p.busy != nil:
		enter, esc = "Esc: cancel", "Ctrl-C: leave"
	case p.state == pickOpen && p.list.filter != "":
		esc = "Esc: show all"
	case p.state != pickOpen, len(p.list.items) == 0:
		return []string{esc}
	}
	return []string{enter, esc, "Up, Down, PgUp, PgDn", "type to filter"}
}

// say puts a text below the list until the next key.
func (p *picker) say(text string) { p.note, p.noteUntil = text, time.Time{} }
