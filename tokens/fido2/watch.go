//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

const (
	// devFolder is where the system makes nodes.
	devFolder = "/dev"
	// settle is how long after a change in devFolder it is looked at: a node
	// comes first, and its access rights a moment later.
	settle = 40 * time.Millisecond
	// poll is how often configured paths, which the system does not tell of, are
	// looked at. Nothing is opened.
	poll = 250 * time.Millisecond
	// idle is how often everything is looked at where nothing is configured.
	idle = 30 * time.Second
	// A new key that cannot be read is tried again after retryFast until it has
	// been reported with its problem after giveUp, and then, if another program
	// uses it, after retrySlow; so too one that seems to be gone while its path is
	// there, which is not reported before it can be read.
	// One that may not be opened is reported as such after tellDenied already: its
	// rights are seen when they come.
	retryFast  = 100 * time.Millisecond
	tellDenied = 500 * time.Millisecond
	retrySlow  = time.Second
	giveUp     = 2 * time.Second
)

// Watch implements tokens.Watcher. A key is asked what it can do once, when it
// is new, and then left alone, so that it may sleep. One that cannot be used,
// or that another program uses for longer than 2 s, is reported with that
// Problem, and once more when it could be read. A key that does not answer stops
// the reports on no other.
func (d *Driver) Watch(ctx context.Context, report func(tokens.Event)) error {
	w := &watch{
		d: d.quick(), report: report, keys: map[string]*seen{}, read: make(chan reading),
	}
	changes := make(chan struct{}, 1)
	interval := w.listen(ctx, changes)
	for {
		w.look(ctx)
		if !w.ready && w.settled() {
			w.ready = true
			report(tokens.Event{Type: tokens.EventReady, Kind: tokens.KindFIDO2})
		}
		if err := w.wait(ctx, changes, interval); err != nil {
			return err
		}
	}
}

// watch is the state of a Watch.
type watch struct {
	d      *Driver
	report func(tokens.Event)
	keys   map[string]*seen // by path
	read   chan reading
	ready  bool
	// system is what the system listed when it was asked last, known which nodes
	// there were then, and stale that something has changed since.
	system []place
	known  string
	stale  bool
	deaf   bool // nobody tells of changes
}

// seen is what is known of a path.
type seen struct {
	place    place
	reported *tokens.Token // nil while nothing has been reported of it
	since    time.Time     // when it came
	retry    time.Time     // when to read it next; zero for never
	busy     bool          // it is being read
	given    bool          // up: nobody need wait for it
}

// reading is what reading a key brought.
type reading struct {
	of    *seen
	token tokens.Token
	err   error
}

// listen tells when something changes in devFolder, and returns how often to
// look without being told.
func (w *watch) listen(ctx context.Context, to chan<- struct{}) time.Duration {
	w.stale = true
	changes, err := hid.WatchFolder(devFolder)
	if err != nil {
		w.deaf = true
		return poll
	}
	go func() {
		defer changes.Close()
		for ctx.Err() == nil {
			names, lost, err := changes.Wait(time.Second)
			if err != nil {
				time.Sleep(poll)
			}
			if err == nil && !lost && !slices.ContainsFunc(names, func(n string) bool { return hid.IsNode(devFolder + "/" + n) }) {
				continue
			}
			select {
			case to <- struct{}{}:
			default: // it has been told already
			}
		}
	}()
	if len(w.d.o.Devices) > 0 {
		return poll
	}
	return idle
}

// wait waits until there is something to look at.
func (w *watch) wait(ctx context.Context, changes <-chan struct{}, interval time.Duration) error {
	now := w.d.o.Now()
	for _, s := range w.keys {
		if !s.retry.IsZero() && !s.busy {
			interval = min(interval, max(s.retry.Sub(now), time.Millisecond))
		}
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case r := <-w.read:
			w.take(r)
			return nil
		case <-changes:
			w.stale = true
			timer.Reset(settle)
		}
	}
}

// settled says that every key that is there has been reported, or is hopeless.
func (w *watch) settled() bool {
	for _, s := range w.keys {
		if s.reported == nil && (s.busy && !s.given || !s.retry.IsZero() && s.retry.Sub(s.since) < giveUp) {
			return false
		}
	}
	return true
}

// look compares what is plugged in with what was, and reads what is due.
func (w *watch) look(ctx context.Context) {
	now := w.d.o.Now()
	places := w.places()
	for path, s := range w.keys {
		if p, there := places[path]; !there || !same(p.status, s.place.status) {
			delete(w.keys, path)
			if s.reported != nil {
				w.report(tokens.Event{Type: tokens.EventRemoved, Kind: tokens.KindFIDO2, Token: *s.reported})
			}
		}
	}
	for path, p := range places {
		s := w.keys[path]
		if s == nil {
			s = &seen{place: p, since: now, retry: now}
			w.keys[path] = s
		}
		if s.denied() && hid.Usable(path) == nil {
			s.since, s.retry = now, now
		}
		if s.busy || s.retry.IsZero() || now.Before(s.retry) {
			continue
		}
		s.busy = true
		go func() {
			k, err := w.d.meet(ctx, path, false)
			r := reading{of: s, token: describe(p, k, err), err: err}
			select {
			case w.read <- r:
			case <-ctx.Done():
			}
		}()
	}
}

// places lists what is plugged in, by path. The system is asked only when
// something changed, because that opens devices.
func (w *watch) places() map[string]place {
	if w.deaf {
		known := strings.Join(hid.NodeNames(), " ")
		w.stale = w.stale || known != w.known
		w.known = known
	}
	if w.stale {
		w.system, w.stale = listed(), false
	}
	out := map[string]place{}
	for _, p := range w.d.configured(w.system) {
		out[p.path] = p
	}
	return out
}

// denied says that the key was reported as one that may not be opened.
func (s *seen) denied() bool {
	return s.reported != nil && s.reported.Problem != nil && s.reported.Problem.Code == tokens.CodeNoAccess
}

// take takes what reading a key brought.
func (w *watch) take(r reading) {
	s := r.of
	s.busy, s.retry = false, time.Time{}
	if w.keys[s.place.path] != s {
		return // it is gone already
	}
	now := w.d.o.Now()
	if r.err != nil && now.Sub(s.since) < patience(r.err) {
		s.retry = now.Add(retryFast)
		return
	}
	s.given = true
	busy := errors.Is(r.err, &tokens.Error{Code: tokens.CodeBusy})
	if busy || r.err != nil && gone(r.err) {
		s.retry = now.Add(retrySlow)
	}
	if r.err != nil && gone(r.err) || busy && s.reported != nil {
		return
	}
	s.reported = &r.token
	w.report(tokens.Event{Type: tokens.EventInserted, Kind: tokens.KindFIDO2, Token: r.token})
}

// patience is how long a new key is asked again that could not be read.
func patience(err error) time.Duration {
	switch {
	case errors.Is(err, &tokens.Error{Code: tokens.CodeTimeout}): // it had its time
		return 0
	case errors.Is(err, &tokens.Error{Code: tokens.CodeNoAccess}):
		return tellDenied
	}
	return giveUp
}
