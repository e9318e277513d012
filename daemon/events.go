package daemon

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tokenbridge/tokend/ipc"
)

// eventBuffer is how many events wait for one slow receiver before some are
// dropped (and their number told).
const eventBuffer = 64

// eventReceivers is how many streams one user may hold open.
const eventReceivers = 32

// hub hands events to those whom they concern and never waits for a receiver.
type hub struct {
	mu   sync.Mutex
	subs map[*receiver]struct{}
	lost atomic.Int64 // events that receivers have lost, all together
}

// receiver is one open event stream.
type receiver struct {
	who     ipc.Principal
	wants   func(ipc.Event) bool
	ch      chan ipc.Event
	dropped atomic.Int64
	lost    *atomic.Int64
}

func (h *hub) join(p ipc.Principal, wants func(ipc.Event) bool) (*receiver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for r := range h.subs {
		if r.who.UID == p.UID {
			own++
		}
	}
	if own >= eventReceivers {
		return nil, &ipc.Error{Kind: ipc.Busy, Message: "too many event streams are open", RetryAfter: 1}
	}
	r := &receiver{who: p, wants: wants, ch: make(chan ipc.Event, eventBuffer), lost: &h.lost}
	if h.subs == nil {
		h.subs = make(map[*receiver]struct{})
	}
	h.subs[r] = struct{}{}
	return r, nil
}

func (h *hub) leave(r *receiver) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, r)
}

// publish hands e to the streams of one user.
func (h *hub) publish(uid string, e ipc.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.subs {
		if r.who.UID == uid && r.wants(e) {
			r.offer(e)
		}
	}
}

// receivers is a snapshot of the open streams, for events that look different
// to each user.
func (h *hub) receivers() []*receiver {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*receiver, 0, len(h.subs))
	for r := range h.subs {
		all = append(all, r)
	}
	return all
}

func (r *receiver) offer(e ipc.Event) {
	select {
	case r.ch <- e:
	default:
		r.dropped.Add(1)
		r.lost.Add(1)
	}
}

// Events implements [ipc.Reporter].
func (d *Daemon) Events(ctx context.Context, p ipc.Principal, send func(ipc.Event) error) error {
	u, err := d.user(&p)
	if err != nil {
		return err
	}
	return u.follow(ctx, p, func(ipc.Event) bool { return true }, send)
}

// follow reports to send the events that wants says are for it.
func (u *user) follow(ctx context.Context, p ipc.Principal, wants func(ipc.Event) bool, send func(ipc.Event) error) error {
	d := u.d
	r, err := d.hub.join(p, wants)
	if err != nil {
		return err
	}
	defer d.hub.leave(r)
	// The stream is joined before the present state is read: what changes in
	// between is told twice rather than never.
	u.recognise(ctx, p)
	for _, e := range u.present(p) {
		if !wants(e) {
			continue
		}
		if err := send(e); err != nil {
			return nil
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.closed:
			return nil
		case e := <-r.ch:
			if err := send(e); err != nil {
				return nil
			}
		}
		if len(r.ch) > 0 {
			continue
		}
		if n := r.dropped.Swap(0); n > 0 {
			e := d.event(ipc.EventDropped)
			e.Detail = fmt.Sprintf("%d events were dropped because this receiver was too slow", n)
			if n == 1 {
				e.Detail = "1 event was dropped because this receiver was too slow"
			}
			if err := send(e); err != nil {
				return nil
			}
		}
	}
}

// event starts an event of the present moment.
func (d *Daemon) event(kind string) ipc.Event {
	return ipc.Event{Version: ipc.Version, Type: kind, Time: wireTime(d.now())}
}

// present is the state that opens an event stream: the vault, the tokens, and
// the touches being waited for.
func (u *user) present(p ipc.Principal) []ipc.Event {
	state, open := u.d.event(ipc.EventState), u.waits.all()
	v := u.vaultInfo()
	state.Vault = &v
	for _, w := range open {
		state.Waits = append(state.Waits, w.Operation)
	}
	events := []ipc.Event{state}
	if trouble := authorityTrouble(u.d.authority(p)); trouble != "" {
		e := u.d.event(ipc.EventNotice)
		e.Detail = trouble
		events = append(events, e)
	}
	if u.d.mayUseTokens(p) {
		for _, t := range u.d.presence.all() {
			e := u.d.event(ipc.EventTokenInserted)
			e.Token = u.tokenRef(t)
			events = append(events, e)
		}
	}
	return append(events, open...)
}

// wait tells the user what an operation waits for, now and whoever connects
// while it does.
func (u *user) wait(e ipc.Event) {
	u.waits.set(e)
	u.d.hub.publish(u.uid, e)
}

// waits remembers what is being waited for, one event an operation, so that who
// connects late can still tell the user.
type waits struct {
	mu   sync.Mutex
	open []ipc.Event
}

func (w *waits) set(e ipc.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.open {
		if w.open[i].Operation == e.Operation {
			w.open[i] = e
			return
		}
	}
	w.open = append(w.open, e)
}

func (w *waits) remove(operation string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.open {
		if w.open[i].Operation == operation {
			w.open = append(w.open[:i:i], w.open[i+1:]...)
			return
		}
	}
}

func (w *waits) all() []ipc.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]ipc.Event(nil), w.open...)
}
