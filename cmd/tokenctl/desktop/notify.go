package desktop

import (
	"context"
	"html"
	"log/slog"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"
)

// Desktop Notifications Specification 1.2.
const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// Note is a notification. Texts are plain.
type Note struct {
	Summary string
	Body    string
	// Actions are pairs of a key and the word on the button.
	Actions []string
}

// Abilities are what the notification service can do.
type Abilities struct {
	// Notify says that there is one.
	Notify bool
	// Actions says that it shows buttons.
	Actions bool
	markup  bool
}

// Notifier shows notifications for as long as they are wanted, also by a service
// that comes later or is restarted. Run has to run.
type Notifier struct {
	log     *slog.Logger
	app     string
	connect connector
	changed func(Abilities)
	poke    chan struct{}

	mu    sync.Mutex
	can   Abilities
	notes []*Shown
}

// Shown is a notification that is wanted.
type Shown struct {
	note   Note
	chosen chan string
	n      *Notifier

	// guarded by n.mu
	id     uint32 // 0 while it is not shown
	closed bool
	gone   bool // the user has put it away
}

// NewNotifier is a notifier of the session's bus, for a program of that name.
// changed is told whenever the abilities are others.
func NewNotifier(app string, log *slog.Logger, changed func(Abilities)) *Notifier {
	return &Notifier{log: log, app: app, connect: session, changed: changed, poke: make(chan struct{}, 1)}
}

// Show wants a note shown until it is closed.
func (n *Notifier) Show(note Note) *Shown {
	s := &Shown{note: note, chosen: make(chan string, 1), n: n}
	n.mu.Lock()
	n.notes = append(n.notes, s)
	n.mu.Unlock()
	n.wake()
	return s
}

// Dismissed is what Chosen gets where the user put the notification away.
const Dismissed = ""

// Chosen gets the key of the action that the user chose, or Dismissed.
func (s *Shown) Chosen() <-chan string { return s.chosen }

// Close takes the notification back.
func (s *Shown) Close() {
	s.n.mu.Lock()
	s.closed = true
	s.n.mu.Unlock()
	s.n.wake()
}

// Abilities are those of the moment.
func (n *Notifier) Abilities() Abilities {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.can
}

func (n *Notifier) wake() {
	select {
	case n.poke <- struct{}{}:
	default:
	}
}

// Run shows and takes back what is wanted until ctx ends, and then takes back
// all.
func (n *Notifier) Run(ctx context.Context) {
	keep(ctx, n.log, "session", n.connect, n.serve)
}

// serve works with one connection.
func (n *Notifier) serve(ctx context.Context, c *link) error {
	signals := make(chan *dbus.Signal, 64)
	c.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		ownerMatch(notifyName),
		{dbus.WithMatchSender(notifyName), dbus.WithMatchInterface(notifyName), dbus.WithMatchObjectPath(notifyPath)},
	} {
		if err := c.AddMatchSignalContext(ctx, match...); err != nil {
			return err
		}
	}
	defer n.lost()
	o := c.Object(notifyName, notifyPath)
	n.meet(ctx, o)
	service := owner(ctx, c, notifyName)
	n.sync(ctx, o)
	for {
		select {
		case <-ctx.Done():
			if c.Connected() {
				n.closeAll(context.WithoutCancel(ctx), o)
			}
			return context.Cause(ctx)
		case <-n.poke:
			n.sync(ctx, o)
		case s := <-signals:
			if s == nil {
				return dbus.ErrClosed
			}
			if now, is := ownerChanged(s, notifyName); is {
				if now == service && n.Abilities().Notify { // it came while it was being met
					continue
				}
				service = now
				c.wire.listen(now)
				n.lost()
				if now != "" {
					n.meet(ctx, o)
					n.sync(ctx, o)
				}
				continue
			}
			if s.Sender == service { // anybody can send us a signal of that name
				n.heard(s)
			}
		}
	}
}

// meet asks the service what it can do; the bus starts it if it can.
func (n *Notifier) meet(ctx context.Context, o dbus.BusObject) {
	var words []string
	err := call(ctx, o, notifyName+".GetCapabilities", nil, &words)
	if err != nil {
		n.log.Debug("no notification service", "err", err)
	}
	n.set(Abilities{
		Notify: err == nil, Actions: slices.Contains(words, "actions"), markup: slices.Contains(words, "body-markup"),
	})
}

func (n *Notifier) set(can Abilities) {
	n.mu.Lock()
	same := n.can == can
	n.can = can
	n.mu.Unlock()
	if !same && n.changed != nil {
		n.changed(can)
	}
}

// lost forgets what the service, which is gone, showed.
func (n *Notifier) lost() {
	n.mu.Lock()
	for _, s := range n.notes {
		s.id = 0
	}
	n.mu.Unlock()
	n.set(Abilities{})
}

// sync shows what is wanted and not shown, and takes back what is shown and not
// wanted.
func (n *Notifier) sync(ctx context.Context, o dbus.BusObject) {
	n.mu.Lock()
	can := n.can
	var show, hide []*Shown
	for _, s := range n.notes {
		switch {
		case s.closed && s.id != 0:
			hide = append(hide, s)
		case !s.closed && s.id == 0 && !s.gone && can.Notify:
			show = append(show, s)
		}
	}
	n.notes = slices.DeleteFunc(n.notes, func(s *Shown) bool { return s.closed })
	n.mu.Unlock()
	for _, s := range hide {
		n.hide(ctx, o, s.id)
	}
	for _, s := range show {
		// Not cut short: one that is shown must be known, to be taken back.
		id, err := n.show(context.WithoutCancel(ctx), o, can, s.note)
		if err != nil {
			n.log.Warn("cannot show a notification", "err", err)
			continue
		}
		n.mu.Lock()
		s.id = id
		n.mu.Unlock()
		if s.withdrawn() { // while it was being shown
			n.hide(ctx, o, id)
		}
	}
}

func (s *Shown) withdrawn() bool {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	return s.closed
}

// Urgency 2 and no time to expire: it is shown until somebody acts.
func (n *Notifier) show(ctx context.Context, o dbus.BusObject, can Abilities, note Note) (id uint32, err error) {
	body, actions := note.Body, note.Actions
	if can.markup {
		body = html.EscapeString(body)
	}
	if !can.Actions || actions == nil {
		actions = []string{}
	}
	hints := map[string]dbus.Variant{
		"urgency": dbus.MakeVariant(byte(2)), "transient": dbus.MakeVariant(true), "category": dbus.MakeVariant("device"),
	}
	err = call(ctx, o, notifyName+".Notify",
		[]any{n.app, uint32(0), "dialog-password", note.Summary, body, actions, hints, int32(0)}, &id)
	return id, err
}

func (n *Notifier) hide(ctx context.Context, o dbus.BusObject, id uint32) {
	if err := call(ctx, o, notifyName+".CloseNotification", []any{id}); err != nil {
		n.log.Debug("cannot take a notification back", "err", err)
	}
}

func (n *Notifier) closeAll(ctx context.Context, o dbus.BusObject) {
	n.mu.Lock()
	for _, s := range n.notes {
		s.closed = true
	}
	n.mu.Unlock()
	n.sync(ctx, o)
}

// byUser is the reason of NotificationClosed that says who did it.
const byUser = uint32(2)

// choose needs n.mu. The first choice counts.
func (s *Shown) choose(key string) {
	if s.closed {
		return
	}
	select {
	case s.chosen <- key:
	default:
	}
}

// heard is told what the service says of a notification.
func (n *Notifier) heard(s *dbus.Signal) {
	if len(s.Body) != 2 {
		return
	}
	id, ok := s.Body[0].(uint32)
	if !ok || id == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, note := range n.notes {
		if note.id != id {
			continue
		}
		switch s.Name {
		case notifyName + ".ActionInvoked":
			if key, ok := s.Body[1].(string); ok && key != Dismissed {
				note.choose(key)
			}
		case notifyName + ".NotificationClosed":
			note.id, note.gone = 0, true
			if s.Body[1] == byUser {
				note.choose(Dismissed)
			}
		}
	}
}
