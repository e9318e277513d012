package helper

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// A watching process that dies is started again after firstPause, and after
// twice as long each time it dies again before it has lived for longLife.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	longLife   = 10 * time.Second
)

// A process that was taken over could report without end. What it reports costs
// the daemon memory and processes, so beyond eventBurst it is heard once in
// eventPause, and the pipe makes it wait; nobody plugs that fast.
const (
	eventBurst = 256
	eventPause = 10 * time.Millisecond
)

// crowd bounds what one watching process reports.
type crowd struct {
	there map[string]bool // locators of tokens that were inserted and not removed
	free  int             // how many events may come at once
	last  time.Time
}

// admit waits until the event may be passed on, and fails when it may never be.
func (w *crowd) admit(ctx context.Context, now func() time.Time, e tokens.Event) error {
	switch e.Type {
	case tokens.EventInserted:
		w.there[e.Token.Locator] = true
	case tokens.EventRemoved:
		delete(w.there, e.Token.Locator)
	}
	if len(w.there) > wire.MaxTokens {
		return protocolError("too many tokens at once")
	}
	since := max(now().Sub(w.last), 0)
	w.free = min(eventBurst, w.free+int(since/eventPause))
	w.last = w.last.Add(since.Truncate(eventPause))
	if w.free > 0 {
		w.free--
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(eventPause):
		w.last = now()
		return nil
	}
}

// Watch implements tokens.Watcher by a process that lives as long as ctx. When
// it dies that is reported as a lost service, and another one is started. Watch
// returns earlier only where the program cannot watch such tokens at all.
func (c *Client) Watch(ctx context.Context, report func(tokens.Event)) error {
	pause := firstPause
	lost := false
	said := ""
	tell := func(e tokens.Event) {
		// One loss is reported once, whoever notices it.
		if e.Type == tokens.EventServiceLost && lost {
			return
		}
		lost = e.Type == tokens.EventServiceLost
		report(e)
	}
	for {
		began := c.cfg.Now()
		err := c.watchOnce(ctx, tell)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, &tokens.Error{Code: tokens.CodeUnsupported}) {
			return err
		}
		level := slog.LevelWarn // once for each cause
		if said == err.Error() {
			level = slog.LevelDebug
		}
		said = err.Error()
		c.cfg.Log.Log(ctx, level, "the process that watches tokens ended", "kind", c.cfg.Kind, "error", err)
		tell(tokens.Event{Type: tokens.EventServiceLost, Kind: c.cfg.Kind, Detail: wire.Text(err.Error())})
		if c.cfg.Now().Sub(began) >= longLife {
			pause, said = firstPause, "" // it had worked again
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// watchOnce runs one process until it ends; it never returns nil.
func (c *Client) watchOnce(ctx context.Context, report func(tokens.Event)) error {
	p, err := c.start(ctx, wire.Request{Kind: c.cfg.Kind, Op: wire.OpWatch, Devices: c.cfg.Devices}, modeWatch)
	if err != nil {
		return c.explain(ctx, ctx, err)
	}
	defer func() { _ = p.end(true) }() // killed, however the watch ended
	all := &crowd{there: map[string]bool{}, free: eventBurst, last: c.cfg.Now()}
	for {
		a, err := p.next()
		switch {
		case errors.Is(err, io.EOF) && ctx.Err() == nil:
			return endedEarly(nil)
		case err != nil:
			return c.explain(ctx, ctx, err)
		case a.Error != nil:
			return checkError(a.Error)
		case a.Watch == nil:
			return protocolError("not an event of a watch")
		}
		if err := c.checkEvent(a.Watch); err != nil {
			return err
		}
		if err := all.admit(ctx, c.cfg.Now, *a.Watch); err != nil {
			return err
		}
		report(*a.Watch)
	}
}
