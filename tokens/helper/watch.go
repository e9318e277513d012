package helper

import (
	"context"
	"errors"
	"io"
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

// Watch implements tokens.Watcher by a process that lives as long as ctx. When
// it dies that is reported as a lost service, and another one is started. Watch
// returns earlier only where the program cannot watch such tokens at all.
func (c *Client) Watch(ctx context.Context, report func(tokens.Event)) error {
	pause := firstPause
	lost := false
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
		c.cfg.Log.Warn("the process that watches tokens ended", "kind", c.cfg.Kind, "error", err)
		tell(tokens.Event{Type: tokens.EventServiceLost, Kind: c.cfg.Kind, Detail: wire.Text(err.Error())})
		if c.cfg.Now().Sub(began) >= longLife {
			pause = firstPause
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
	p, err := c.start(ctx, wire.Request{Kind: c.cfg.Kind, Op: wire.OpWatch, Devices: c.cfg.Devices}, "watch")
	if err != nil {
		return c.explain(ctx, ctx, err)
	}
	defer func() { _ = p.end(true) }() // killed, however the watch ended
	for {
		a, err := p.answers.Next()
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
		report(*a.Watch)
	}
}
