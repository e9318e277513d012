//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv/pcsc"
)

const (
	// servicePause is between attempts to reach a service that is gone.
	servicePause = 200 * time.Millisecond
	// idleWait is how long one wait for a change lasts at most, where the
	// service tells of new readers; elsewhere it is pollWait.
	idleWait = time.Minute
	pollWait = time.Second
	// A new card that cannot be read is tried again after retryFast until it
	// has been reported with its problem after giveUp, and then, if another
	// program holds it, after retrySlow; so too one that the service lists and
	// that cannot be reached, which is not reported before it can.
	retryFast = 100 * time.Millisecond
	retrySlow = time.Second
	giveUp    = 3 * time.Second
)

// Watch implements tokens.Watcher. A card is read once, when it is new, and then
// left alone; one that another program holds for longer than 3 s is reported
// with that Problem, and once more when it could be read. Resets by other
// programs are no events.
func (d *Driver) Watch(ctx context.Context, report func(tokens.Event)) error {
	quick := New(Options{Patience: time.Nanosecond, TouchTimeout: d.o.TouchTimeout, Now: d.o.Now})
	lost := false
	for {
		err := quick.watchService(ctx, report, &lost)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !lost {
			lost = true
			report(tokens.Event{Type: tokens.EventServiceLost, Kind: tokens.KindPIV, Detail: lossDetail(err)})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(servicePause):
		}
	}
}

func lossDetail(err error) string {
	var told *tokens.Error
	if errors.As(explainOpen(err), &told) {
		return told.Detail
	}
	return "the PC/SC service does not answer"
}

// watchService watches for as long as one connection to the service lasts.
func (d *Driver) watchService(ctx context.Context, report func(tokens.Event), lost *bool) error {
	x, err := pcsc.Open()
	if err != nil {
		return err
	}
	defer x.Close()
	defer interrupt(ctx, x)()
	w := &watch{d: d, x: x, report: report, cards: map[string]*seen{}}
	ready := false
	for {
		if err := w.round(ctx); err != nil {
			return err
		}
		if !ready && w.settled() {
			ready, *lost = true, false
			report(tokens.Event{Type: tokens.EventReady, Kind: tokens.KindPIV})
		}
	}
}

// interrupt makes waits of x fail when ctx ends. A Cancel that comes before the
// wait has begun is lost, so it is repeated.
func interrupt(ctx context.Context, x *pcsc.Context) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		for {
			_ = x.Cancel() // what is already over cannot be cancelled
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { close(over); <-done }
}

// watch is the state of one connection.
type watch struct {
	d      *Driver
	x      *pcsc.Context
	report func(tokens.Event)
	pnp    pcsc.State
	cards  map[string]*seen // by reader
}

// seen is what is known of a reader.
type seen struct {
	state    pcsc.State
	reported *tokens.Token // nil while no card in it has been reported
	since    time.Time     // when the card came
	retry    time.Time     // when to read the card next; zero for never
}

// settled says that every card that is there has been reported, or is hopeless.
func (w *watch) settled() bool {
	for _, s := range w.cards {
		if s.reported == nil && !s.retry.IsZero() && s.retry.Sub(s.since) < giveUp {
			return false
		}
	}
	return true
}

// round waits for one change and reports it.
func (w *watch) round(ctx context.Context) error {
	readers, err := w.readers()
	if err != nil {
		return err
	}
	if err := w.wait(ctx, readers); err != nil {
		return err
	}
	for _, r := range readers {
		if r.Name == pcsc.PnP {
			w.pnp = r.New &^ pcsc.StateChanged
			continue
		}
		w.changed(r.Name, r.New&^pcsc.StateChanged)
	}
	return w.identifyNew(ctx)
}

// readers lists the readers with the state last seen, and drops those gone.
func (w *watch) readers() ([]pcsc.Reader, error) {
	names, err := w.x.Readers()
	if err != nil {
		return nil, err
	}
	var out []pcsc.Reader
	for _, name := range names[:min(len(names), 60)] {
		s := w.cards[name]
		if s == nil {
			s = &seen{}
			w.cards[name] = s
		}
		out = append(out, pcsc.Reader{Name: name, Current: s.state, New: s.state})
	}
	for name, s := range w.cards {
		if !slices.Contains(names, name) {
			w.removed(s)
			delete(w.cards, name)
		}
	}
	if runtime.GOOS != "darwin" {
		out = append(out, pcsc.Reader{Name: pcsc.PnP, Current: w.pnp, New: w.pnp})
	}
	return out, nil
}

// wait waits until something changes or a card is to be read again.
func (w *watch) wait(ctx context.Context, readers []pcsc.Reader) error {
	timeout := idleWait
	if runtime.GOOS == "darwin" {
		timeout = pollWait
	}
	now := w.d.o.Now()
	for _, s := range w.cards {
		if !s.retry.IsZero() {
			timeout = min(timeout, max(s.retry.Sub(now), time.Millisecond))
		}
	}
	if len(readers) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(timeout):
			return nil
		}
	}
	err := w.x.Wait(readers, timeout)
	switch {
	case err == nil, ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, pcsc.ErrTimeout), errors.Is(err, pcsc.ErrUnknownReader), errors.Is(err, pcsc.ErrReaderUnavailable):
		// Nothing new is known; the next round asks for the readers again.
		for i := range readers {
			readers[i].New = readers[i].Current
		}
		return nil
	}
	return err
}

// changed compares a reader's state with the one before. The counter of events
// tells a card that was pulled out and put back from one that was merely reset
// or used.
func (w *watch) changed(name string, now pcsc.State) {
	s := w.cards[name]
	if s == nil {
		return
	}
	before := s.state
	s.state = now
	if before.Present() && now.Present() && before.Events() == now.Events() {
		return
	}
	if before.Present() {
		w.removed(s)
	}
	if now.Present() {
		s.since = w.d.o.Now()
		s.retry = s.since
	}
}

func (w *watch) removed(s *seen) {
	if s.reported != nil {
		w.report(tokens.Event{Type: tokens.EventRemoved, Kind: tokens.KindPIV, Token: *s.reported})
	}
	s.reported, s.retry = nil, time.Time{}
}

// identifyNew reads the cards that are due.
func (w *watch) identifyNew(ctx context.Context) error {
	for name, s := range w.cards {
		now := w.d.o.Now()
		if s.retry.IsZero() || now.Before(s.retry) {
			continue
		}
		t, err := w.d.identify(ctx, name)
		if err == nil || final(err) {
			s.retry = time.Time{}
			w.inserted(s, t)
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, &tokens.Error{Code: tokens.CodeNoService}) {
			return err
		}
		busy := errors.Is(err, &tokens.Error{Code: tokens.CodeBusy})
		s.retry = now.Add(retryFast)
		if now.Sub(s.since) < giveUp {
			continue
		}
		gone := errors.Is(err, &tokens.Error{Code: tokens.CodeNotPresent}) || errors.Is(err, &tokens.Error{Code: tokens.CodeRemoved})
		if s.reported == nil && !gone {
			w.inserted(s, t)
		}
		s.retry = time.Time{}
		if busy || gone {
			s.retry = now.Add(retrySlow)
		}
	}
	return nil
}

// final says that reading the card again would bring nothing else.
func final(err error) bool {
	_, refused := status(err)
	return refused && errors.Is(err, &tokens.Error{Code: tokens.CodeUnsupported})
}

func (w *watch) inserted(s *seen, t tokens.Token) {
	var others []tokens.Token
	for _, o := range w.cards {
		if o != s && o.reported != nil {
			others = append(others, *o.reported)
		}
	}
	t = distinct(t, others)
	s.reported = &t
	w.report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindPIV, Token: t})
}
