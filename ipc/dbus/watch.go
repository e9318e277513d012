package dbus

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// watch tells the connections of one user what changes. It follows the backend's
// events, and compares what the user sees with what he saw.
type watch struct {
	l      *link
	who    ipc.Principal
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{} // closed once what follows is told, or err is set
	err    error
	done   chan struct{}

	mu   sync.Mutex
	subs map[*caller]bool
	open []ipc.Event // the touches being waited for

	seen objects // its own goroutine's
}

// subscribe sends c signals from now on. It returns once nothing that happens can
// be missed.
func (l *link) subscribe(ctx context.Context, c *caller) error {
	w, err := l.join(c)
	if err != nil {
		return err
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.err != nil {
		l.unsubscribe(c)
	}
	return w.err
}

func (l *link) join(c *caller) (*watch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches == nil || l.callers[c.name] != c {
		return nil, context.Canceled
	}
	w := l.watches[c.who.UID]
	if w == nil {
		who := c.who
		who.PID, who.Program = 0, "" // it is not this process alone that listens
		w = &watch{l: l, who: who, ready: make(chan struct{}), done: make(chan struct{}), subs: map[*caller]bool{}}
		w.ctx, w.cancel = context.WithCancel(l.ctx)
		l.watches[c.who.UID] = w
		go w.run()
	}
	return w, w.add(c)
}

// add is called with the link's lock.
func (w *watch) add(c *caller) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs[c] {
		return nil
	}
	if len(w.subs) >= w.l.s.limits.SubscribersUser {
		return &ipc.Error{Kind: ipc.Busy, Message: "too many connections are sent signals", RetryAfter: 1}
	}
	w.subs[c] = true
	for _, e := range w.open { // he came while it is going on
		w.emitTouch(c, e)
	}
	return nil
}

// unsubscribe ends the signals to c, and the watch with the last.
func (l *link) unsubscribe(c *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watches[c.who.UID]
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.subs, c)
	if len(w.subs) == 0 {
		w.cancel()
		delete(l.watches, c.who.UID)
	}
}

// watchRetry is the pause before events are followed again where the backend
// ended them.
const watchRetry = time.Second

func (w *watch) run() {
	defer close(w.done)
	for {
		err := w.follow()
		select {
		case <-w.ready:
		default:
			if w.err = err; err == nil {
				w.err = ipc.Errorf(ipc.Cancelled, "the call was cancelled")
			}
			close(w.ready)
			return
		}
		select {
		case <-w.ctx.Done():
			return
		case <-time.After(watchRetry):
		}
		w.all(Root, managerIface, "SignalsDropped", "the daemon's events were interrupted")
	}
}

// follow tells of events until they end. It returns why.
func (w *watch) follow() error {
	ctx, cancel := context.WithCancel(w.ctx)
	events := make(chan ipc.Event, 64)
	var ended error
	go func() {
		defer close(events)
		ended = w.l.s.cfg.Backend.Events(ctx, w.who, func(e ipc.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() { // the goroutine ends before this does
		cancel()
		for range events {
		}
	}()
	w.forget()
	joined := false
	for e := range events {
		changed := w.tell(e)
		if joined && !changed {
			continue
		}
		// What comes in a flood is compared once.
		if len(events) > 0 && joined {
			next := make([]ipc.Event, 0, len(events))
			for range len(events) {
				next = append(next, <-events)
			}
			for _, e := range next {
				w.tell(e)
			}
		}
		if err := w.compare(); err != nil && !joined {
			return err
		}
		if !joined {
			joined = true
			w.begun()
		}
	}
	return ended
}

// forget lets go of waits whose end nobody told.
func (w *watch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = nil
}

func (w *watch) begun() {
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
}

// compare tells what has changed of what the user sees.
func (w *watch) compare() error {
	now, err := w.l.s.objects(w.ctx, w.who)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			w.l.s.cfg.Log.Warn("cannot compare what a user sees over D-Bus", "uid", w.who.UID, "err", err)
		}
		return err
	}
	was := w.seen
	w.seen = now
	if was == nil {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		if now[path] == nil {
			w.all(Root, objectManagerIface, "InterfacesRemoved", path, slices.Sorted(maps.Keys(was[path])))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if was[path] == nil {
			w.all(Root, objectManagerIface, "InterfacesAdded", path, now[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(now)) {
		for name, properties := range now[path] {
			if changed := w.l.s.changed(name, was[path][name], properties); len(changed) > 0 && was[path] != nil {
				w.all(path, propertiesIface, "PropertiesChanged", name, changed, []string{})
			}
		}
	}
	return nil
}

// changed is what PropertiesChanged tells of an object.
func (s *Server) changed(name string, was, now dict) dict {
	d := dict{}
	for i := range s.table {
		if s.table[i].name != name {
			continue
		}
		for _, p := range s.table[i].properties {
			if !p.quiet && !reflect.DeepEqual(was[p.name], now[p.name]) {
				d[p.name] = now[p.name]
			}
		}
	}
	return d
}

// all sends a signal to each subscriber.
func (w *watch) all(path dbus.ObjectPath, iface, member string, body ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.subs {
		w.l.emit(c, path, iface, member, body...)
	}
}

// tell passes on an event that has a signal of its own. It says whether what the
// user sees may have changed.
func (w *watch) tell(e ipc.Event) (changed bool) {
	switch e.Type {
	case ipc.EventTouchWanted, ipc.EventTouchDone:
		w.touch(e)
		return false
	case ipc.EventTokenWaiting:
		w.all(Root, managerIface, "TokenWaiting", e.Operation, tokenOf(e), count(e.Place), waitDetails(e))
		return false
	case ipc.EventNotice:
		w.all(Root, managerIface, "Notice", text(e.Detail))
		return false
	case ipc.EventDropped:
		w.all(Root, managerIface, "SignalsDropped", text(e.Detail))
	case ipc.EventTokenInserted, ipc.EventTokenRemoved:
		w.token(e)
	case ipc.EventLocked:
		w.all(vaultPath, vaultIface, "Locked", text(e.Detail))
	case ipc.EventUnlocked:
		w.all(vaultPath, vaultIface, "Unlocked")
	case ipc.EventBackupMade:
		w.all(vaultPath, vaultIface, "BackupMade", seconds(e.Time))
	case ipc.EventWorking, ipc.EventPINWanted, ipc.EventPINDone, ipc.EventConsentWanted, ipc.EventConsentDone, ipc.EventBackupDue:
		return false // of what the user sees nothing changes; questions are the agent's
	}
	return true
}

func (w *watch) token(e ipc.Event) {
	member := "TokenInserted"
	if e.Type == ipc.EventTokenRemoved {
		member = "TokenRemoved"
	}
	select {
	case <-w.ready:
		w.all(Root, managerIface, member, tokenOf(e))
	default: // what was present before
	}
}

// touch tells of a touch, and remembers it for who comes late.
func (w *watch) touch(e ipc.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = slices.DeleteFunc(w.open, func(o ipc.Event) bool { return o.Operation == e.Operation })
	if e.Type == ipc.EventTouchWanted {
		w.open = append(w.open, e)
	}
	for c := range w.subs {
		w.emitTouch(c, e)
	}
}

func (w *watch) emitTouch(c *caller, e ipc.Event) {
	if e.Type == ipc.EventTouchDone {
		w.l.emit(c, Root, managerIface, "TouchDone", e.Operation, value(e.OK))
		return
	}
	w.l.emit(c, Root, managerIface, "TouchWanted", e.Operation, tokenOf(e), accountOf(e), waitDetails(e))
}

func tokenOf(e ipc.Event) dbus.ObjectPath {
	if e.Token == nil {
		return noPath
	}
	return tokenPath(e.Token.ID)
}

func accountOf(e ipc.Event) dbus.ObjectPath {
	if e.Account == nil {
		return noPath
	}
	return accountPath(e.Account.ID)
}

// waitDetails says of a wait what people are shown, and the name by which a
// caller knows his own.
func waitDetails(e ipc.Event) dict {
	d := dict{}
	if e.Token != nil {
		d.set("TokenLabel", text(e.Token.Label))
	}
	if e.Account != nil {
		d.set("Issuer", text(e.Account.Issuer))
		d.set("Name", text(e.Account.Name))
	}
	d.set("Requester", text(e.Requester))
	d.set("Request", text(e.Request))
	if e.Touch > 0 {
		d.set("Touch", count(e.Touch))
	}
	return d
}
