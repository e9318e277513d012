// Package httpapi serves ipc.Backend as HTTP/1.1 and JSON on local sockets.
// It decides who is calling (by the kernel's word), what may be asked (the
// table of routes) and in what form (strict JSON, bounded in size and time);
// what is then done is the backend's business.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// prefix of every path.
const prefix = "/v1/"

// Limits bounds what callers can make the daemon hold. A zero field takes the
// value of DefaultLimits.
type Limits struct {
	Connections     int           // in all
	ConnectionsUser int           // of one user
	LargeBodies     int           // requests with a backup in them at one time, in all
	LargeBodiesUser int           // of one user
	HeaderBytes     int           // request line and header fields; net/http allows 4096 more
	HeaderFields    int           // values of header fields
	HeaderTime      time.Duration // for a request's head to arrive
	BodyTime        time.Duration // for a request's body to arrive
	WriteTime       time.Duration // for the caller to take 64 KiB of an answer
	IdleTime        time.Duration // between two requests of a connection
	KeepAlive       time.Duration // between two lines of the event stream
	StopTime        time.Duration // for calls to end after Serve's context has
}

// DefaultLimits returns the limits that the documentation names.
func DefaultLimits() Limits {
	return Limits{
		Connections: 1024, ConnectionsUser: 64,
		LargeBodies: 4, LargeBodiesUser: 2,
		HeaderBytes: 8 << 10, HeaderFields: 64,
		HeaderTime: 5 * time.Second, BodyTime: 15 * time.Second, WriteTime: 10 * time.Second,
		IdleTime: time.Minute, KeepAlive: 20 * time.Second, StopTime: 5 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	v, d := reflect.ValueOf(&l).Elem(), reflect.ValueOf(DefaultLimits())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			v.Field(i).Set(d.Field(i))
		}
	}
	return l
}

// Config says what is served, to whom.
type Config struct {
	Backend ipc.Backend
	// Authority is the authority that lives in the daemon. Nil stands for none: its
	// routes answer ipc.ErrNoAuthority.
	Authority ipc.Authority
	// Authorize says whether p may use route r at all; its error goes to the
	// caller. Nil stands for: everybody, and AccessAdmin for p.Admin only.
	Authorize func(ctx context.Context, p ipc.Principal, r Route) error
	// Identify names the caller of a connection; nil stands for local.Principal.
	Identify func(net.Conn) (ipc.Principal, error)
	// Own is the uid of the daemon itself, which asks itself whether it answers. Its
	// connections and those of administrators are counted apart from all others', who
	// so cannot take their places.
	Own string
	// Log gets a line for each request: method, route, status, uid, time
	// taken. Nil stands for slog.DiscardHandler.
	Log    *slog.Logger
	Limits Limits
	// Settle is told that a call which carried a secret, either way, has been
	// answered, and nothing here holds it any more. It must not block. Nil stands
	// for nothing.
	Settle func()
	// Guard runs f, in its own goroutine, so that what f handled stays neither in
	// registers nor on the stack: daemon/secret's Do. What has secrets in it is
	// read, decoded and written in it. Nil stands for calling f.
	Guard func(f func())
	// Metrics writes the figures of GET /v1/metrics for p, or fails with NotAuthorized.
	// Nil stands for nobody.
	Metrics func(ctx context.Context, p ipc.Principal) ([]byte, error)
	// Observe is told of each call that was answered; Kind is empty where it
	// succeeded. It must not block. Nil stands for nothing.
	Observe func(Observation)
	// Now is the clock of the event stream's keep-alive lines; nil stands for
	// time.Now.
	Now func() time.Time
}

// Observation is what became of a call, for who counts.
type Observation struct {
	// Access is the route's, empty where there was none.
	Access Access
	Kind   ipc.Kind
	Took   time.Duration
	Stream bool
	// Refused says that it was a connection that was one too many.
	Refused bool
}

// Server serves one backend on any number of listeners.
type Server struct {
	cfg    Config
	limits Limits
	routes map[string]map[string]*Route // path under prefix, method
	conns  *quota
	bodies *quota
}

// New returns a server of c. It panics if c has no Backend.
func New(c Config) *Server {
	if c.Backend == nil {
		panic("httpapi: no backend")
	}
	if c.Authorize == nil {
		c.Authorize = authorize
	}
	if c.Identify == nil {
		c.Identify = local.Principal
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Settle == nil {
		c.Settle = func() {}
	}
	if c.Guard == nil {
		c.Guard = func(f func()) { f() }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
	if c.Metrics == nil {
		c.Metrics = func(context.Context, ipc.Principal) ([]byte, error) {
			return nil, ipc.Errorf(ipc.NotAuthorized, "the figures are told nobody here")
		}
	}
	l := c.Limits.withDefaults()
	s := &Server{
		cfg: c, limits: l, routes: map[string]map[string]*Route{},
		conns:  newQuota(l.Connections, l.ConnectionsUser),
		bodies: newQuota(l.LargeBodies, l.LargeBodiesUser),
	}
	for _, r := range Routes() {
		if r.Request != nil {
			r.shape, r.secrets = shapeOf(r.Request), secretFields(r.Request, nil)
		} else {
			r.shape = &shape{kind: isObject}
		}
		r.reveals = r.Access == AccessReveal
		if r.desk != nil {
			r.call = r.desk.at(c.Authority)
			r.reveals = len(secretFields(r.Response, nil)) > 0
		}
		r.call = tidy(r.call, r.Response)
		path := r.Path[len(prefix):]
		if s.routes[path] == nil {
			s.routes[path] = map[string]*Route{}
		}
		s.routes[path][r.Method] = &r
	}
	return s
}

// Connections is how many are open.
func (s *Server) Connections() int {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	return s.conns.total
}

// tidy wraps a call whose answers can hold absent lists.
func tidy(c call, out reflect.Type) call {
	if c == nil || !hasList(out) {
		return c
	}
	return func(ctx context.Context, b ipc.Backend, p ipc.Principal, id string, read reader) (any, error) {
		v, err := c(ctx, b, p, id, read)
		if err == nil {
			fillLists(reflect.ValueOf(v))
		}
		return v, err
	}
}

func authorize(_ context.Context, p ipc.Principal, r Route) error {
	if r.Access == AccessAdmin && !p.Admin {
		return ipc.Errorf(ipc.NotAuthorized, "only an administrator may do this")
	}
	return nil
}

// connKey is the key of the *conn in a request's context.
type connKey struct{}

// Serve answers the callers of l until ctx ends: then it closes l, cancels
// what is going on, waits StopTime for it to end, and returns nil. It can be
// called for several listeners; they share the limits.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		ReadHeaderTimeout:            s.limits.HeaderTime,
		IdleTimeout:                  s.limits.IdleTime,
		MaxHeaderBytes:               s.limits.HeaderBytes,
		DisableGeneralOptionsHandler: true,
		Protocols:                    new(http.Protocols),
		ErrorLog:                     slog.NewLogLogger(quiet{s.cfg.Log.Handler()}, slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	srv.Protocols.SetHTTP1(true)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		end, done := context.WithTimeout(context.WithoutCancel(ctx), s.limits.StopTime)
		defer done()
		if err := srv.Shutdown(end); err != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(&listener{Listener: l, s: s})
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// quiet keeps what net/http has to say at its level: it logs foreign bytes
// (a header field it could not read), so nothing but the fact is passed on.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	return q.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "net/http refused something", r.PC))
}
