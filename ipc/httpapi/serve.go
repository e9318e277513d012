package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/ipc"
)

// envelope is how errors travel.
type envelope struct {
	Version int        `json:"version"`
	Error   *ipc.Error `json:"error"`
}

// refusal is an error with a status of its own, for what goes wrong before a
// backend is asked.
type refusal struct {
	status int
	e      *ipc.Error
}

func refuse(status int, kind ipc.Kind, message string) *refusal {
	return &refusal{status: status, e: &ipc.Error{Kind: kind, Message: message}}
}

func (r *refusal) Error() string { return r.e.Error() }

func (r *refusal) Unwrap() error { return r.e }

// exchange is one request on its way.
type exchange struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	c     *conn
	route *Route
	id    string
	begun bool // the head of a stream or a backup is out: no error can be told any more
	// secrets says that the request or its answer held some.
	secrets bool
	failed  ipc.Kind
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c, _ := r.Context().Value(connKey{}).(*conn)
	x := &exchange{s: s, w: w, r: r, c: c}
	status := 200
	defer func() {
		v := recover()
		if err, ok := v.(error); v != nil && (!ok || !errors.Is(err, http.ErrAbortHandler)) {
			status = 500
			x.panicked(v)
		}
		x.log(status, start)
		x.observe(start)
		if x.secrets {
			s.cfg.Settle()
		}
		if v != nil && x.begun {
			panic(http.ErrAbortHandler) // ends the connection: the answer is not whole
		}
	}()
	if err := x.run(); err != nil {
		status = x.fail(err)
	}
}

// run does the request and writes its answer, or returns why not.
func (x *exchange) run() error {
	if err := x.vet(); err != nil {
		return err
	}
	if err := x.find(); err != nil {
		return err
	}
	if err := x.s.cfg.Authorize(x.r.Context(), x.c.principal, *x.route); err != nil {
		return err
	}
	if x.route.Stream {
		return x.stream()
	}
	if x.route.Text {
		return x.text()
	}
	if x.route.call == nil {
		x.write(200, OpenAPI())
		return nil
	}
	out, err := x.call()
	if err != nil {
		return err
	}
	if b, ok := out.(*ipc.Backup); ok {
		return x.handOut(b)
	}
	if x.route.reveals {
		x.s.cfg.Guard(func() { err = x.reveal(out) })
		return err
	}
	if err := json.NewEncoder(whole{x}).Encode(out); err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	return nil
}

// text answers with the figures.
func (x *exchange) text() error {
	if x.r.ContentLength != 0 {
		return refuse(400, ipc.InvalidArgument, "a GET has no body")
	}
	body, err := x.s.cfg.Metrics(x.r.Context(), x.c.principal)
	if err != nil {
		return err
	}
	x.header("text/plain; version=0.0.4; charset=utf-8").Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(200)
	_, _ = x.w.Write(body) // as in write
	return nil
}

// observe tells who counts.
func (x *exchange) observe(start time.Time) {
	o := Observation{Kind: x.failed, Took: time.Since(start)}
	if x.route != nil {
		o.Access, o.Stream = x.route.Access, x.route.Stream
	}
	x.s.cfg.Observe(o)
}

// whole answers with what an encoder writes in one piece, a line: of an answer with
// thousands of accounts no copy is made.
type whole struct{ x *exchange }

func (w whole) Write(line []byte) (int, error) {
	w.x.write(200, line)
	return len(line), nil
}

// keptByHTTP is the size of net/http's buffer for an answer, in bytes. Only what
// is longer goes past it.
const keptByHTTP = 2048

// reveal answers with secrets, and wipes them from all that they went through.
func (x *exchange) reveal(out any) error {
	body, err := encodeSecrets(out, keptByHTTP+1)
	defer clear(body)
	wipe(reflect.ValueOf(out))
	if err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	x.c.trail.secret = true
	x.write(200, body)
	// An error is that the caller is gone, as in write.
	_ = http.NewResponseController(x.w).Flush()
	x.c.trail.secret = false
	x.secrets = true
	return nil
}

// vet refuses what no client of ours sends: callers the kernel does not name,
// and web pages that have got hold of a way to the socket.
func (x *exchange) vet() error {
	r := x.r
	if x.c == nil || x.c.refusal != nil {
		return ipc.Errorf(ipc.NotAuthorized, "cannot tell who is calling")
	}
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return refuse(505, ipc.Unsupported, "only HTTP/1.1 is spoken here")
	}
	if _, ok := r.Header["Origin"]; ok {
		return ipc.Errorf(ipc.NotAuthorized, "web pages may not call")
	}
	switch r.Host {
	case "tokend", "localhost", "":
	default:
		return ipc.Errorf(ipc.NotAuthorized, "the host must be tokend or localhost")
	}
	n := 0
	for _, values := range r.Header {
		n += len(values)
	}
	if n > x.s.limits.HeaderFields {
		return refuse(431, ipc.InvalidArgument, "too many header fields")
	}
	return nil
}

// find looks the route up and reads the parameter.
func (x *exchange) find() error {
	methods, segment := x.s.lookup(x.r.Method, x.r.URL)
	if methods == nil {
		return ipc.Errorf(ipc.NotFound, "there is nothing at this path")
	}
	route := methods[x.r.Method]
	if route == nil {
		allow := make([]string, 0, len(methods))
		for m := range methods {
			allow = append(allow, m)
		}
		sort.Strings(allow)
		x.w.Header().Set("Allow", strings.Join(allow, ", "))
		return refuse(405, ipc.Unsupported, "this path has no such method")
	}
	x.route = route
	id, err := route.parameter(segment, x.r.URL.RawQuery)
	x.id = id
	return err
}

// lookup finds the methods of a path; segment is what stands for {id}, escaped. A
// path of its own with another method leaves an account of that name reachable:
// accounts/import is both.
func (s *Server) lookup(method string, u *url.URL) (methods map[string]*Route, segment string) {
	path, ok := strings.CutPrefix(u.EscapedPath(), prefix)
	if !ok {
		return nil, ""
	}
	own := s.routes[path]
	if own[method] != nil {
		return own, ""
	}
	if methods, segment = s.byPattern(path); methods[method] != nil || own == nil {
		return methods, segment
	}
	return own, ""
}

// maxSegments is how many segments a path with an {id} in it has at most.
const maxSegments = 4

// byPattern finds the methods of a path with an {id} in it. The table has no two
// patterns that fit one path.
func (s *Server) byPattern(path string) (methods map[string]*Route, segment string) {
	segments := strings.SplitN(path, "/", maxSegments+1)
	if len(segments) > maxSegments {
		return nil, ""
	}
	for i := 1; i < len(segments); i++ {
		segment := segments[i]
		if segment == "" {
			continue
		}
		segments[i] = "{id}"
		if methods := s.routes[strings.Join(segments, "/")]; methods != nil {
			return methods, segment
		}
		segments[i] = segment
	}
	return nil, ""
}

// maxID is the longest id, label or name in a path, in bytes.
const maxID = 1024

func (r *Route) parameter(segment, rawQuery string) (string, error) {
	var id string
	var err error
	if r.Query == "" {
		if rawQuery != "" {
			return "", ipc.Errorf(ipc.InvalidArgument, "this path takes no query")
		}
		id, err = url.PathUnescape(segment)
	} else {
		id, err = r.queryValue(rawQuery)
	}
	if err != nil || !utf8.ValidString(id) || len(id) > maxID {
		return "", ipc.Errorf(ipc.InvalidArgument, "the path or the query cannot be read")
	}
	return id, nil
}

func (r *Route) queryValue(raw string) (string, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return "", err
	}
	v := q[r.Query]
	if len(q) != 1 || len(v) != 1 || v[0] == "" {
		return "", errors.New("not the one parameter")
	}
	return v[0], nil
}

// named is the context of a request, with what its caller calls it.
func named(r *http.Request) (context.Context, error) {
	names := r.Header.Values(ipc.RequestHeader)
	if len(names) == 0 {
		// No name would be everybody's.
		return ipc.NameRequest(r.Context(), rand.Text()), nil
	}
	odd := func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	if len(names) > 1 || len(names[0]) > ipc.MaxRequestName || strings.ContainsFunc(names[0], odd) {
		return nil, ipc.Errorf(ipc.InvalidArgument, "a request's name has up to %d letters, digits and dashes", ipc.MaxRequestName)
	}
	return ipc.NameRequest(r.Context(), names[0]), nil
}

// call reads the body and asks the backend.
func (x *exchange) call() (any, error) {
	ctx, err := named(x.r)
	if err != nil {
		return nil, err
	}
	body, err := x.take()
	defer clear(body)
	if err != nil {
		return nil, err
	}
	guard := func(f func()) { f() }
	if x.secrets {
		guard = x.s.cfg.Guard
	}
	var e *ipc.Error
	guard(func() { e = x.route.shape.check(body) })
	if e != nil {
		return nil, e
	}
	return x.route.call(ctx, x.s.cfg.Backend, x.c.principal, x.id, func(in any) (err error) {
		guard(func() { err = unmarshal(body, in) })
		return err
	})
}

// take reads the body, and wipes it from where it came through. A copy that is
// interrupted at the wrong moment leaves a piece where the runtime and the kernel
// save registers, hence the guard. That it can wait there for a slow client does
// no harm: who waits in it is put aside like any other goroutine.
func (x *exchange) take() (body []byte, err error) {
	if x.r.ContentLength == 0 {
		x.c.trail.forget(nil)
		return nil, nil
	}
	x.s.cfg.Guard(func() {
		body, err = x.body()
		x.c.trail.forget(body)
		x.secrets = holdsSecret(body, x.route.secrets)
	})
	return body, err
}

func (x *exchange) body() ([]byte, error) {
	limit := x.route.MaxBody
	if x.r.Method == http.MethodGet {
		return nil, refuse(400, ipc.InvalidArgument, "a GET has no body")
	}
	if limit == 0 {
		limit = 2 // a courtesy for clients that cannot send nothing: {}
	}
	switch x.r.Header.Get("Content-Type") {
	case "application/json", "application/json; charset=utf-8", "application/json;charset=utf-8":
	default:
		return nil, refuse(415, ipc.InvalidArgument, "the body must be application/json")
	}
	if _, ok := x.r.Header["Content-Encoding"]; ok {
		return nil, refuse(415, ipc.InvalidArgument, "the body must not be encoded")
	}
	if limit > maxAccounts {
		if !x.s.bodies.take(x.c.principal.UID, false) {
			x.w.Header().Set("Connection", "close")
			return nil, &ipc.Error{Kind: ipc.Busy, Message: "too many large requests at one time", RetryAfter: 1}
		}
		defer x.s.bodies.give(x.c.principal.UID, false)
	}
	return x.receive(limit)
}

func (x *exchange) receive(limit int64) ([]byte, error) {
	if err := x.c.SetReadDeadline(time.Now().Add(x.s.limits.BodyTime)); err != nil {
		return nil, fmt.Errorf("cannot limit the time for the body: %w", err)
	}
	body, err := readBody(x.r.Body, x.r.ContentLength, limit)
	if err != nil {
		// What is left of the body would be taken for the next request.
		x.w.Header().Set("Connection", "close")
		if errors.Is(err, errTooLarge) {
			return body, refuse(413, ipc.InvalidArgument, "the body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
		}
		return body, refuse(408, ipc.InvalidArgument, "the body did not arrive whole and in time")
	}
	// From here on net/http reads on to notice when the caller goes away, for
	// as long as the backend needs.
	if err := x.c.SetReadDeadline(time.Time{}); err != nil {
		return body, fmt.Errorf("cannot lift the limit of time: %w", err)
	}
	return body, nil
}

func (x *exchange) header(contentType string) http.Header {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return h
}

func (x *exchange) write(status int, body []byte) {
	x.head(status, len(body))
	_, _ = x.w.Write(body) // the caller is gone: nobody is left to be told
}

// head begins an answer of JSON of so many bytes.
func (x *exchange) head(status, size int) {
	x.header("application/json").Set("Content-Length", strconv.Itoa(size))
	x.w.WriteHeader(status)
}

// fail answers with err and returns the status.
func (x *exchange) fail(err error) int {
	if x.begun {
		return 200
	}
	status := 0
	var e *ipc.Error
	var r *refusal
	switch {
	case errors.As(err, &r):
		status, e = r.status, r.e
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &ipc.Error{Kind: ipc.Cancelled, Message: "the call was cancelled"}
	default:
		e = &ipc.Error{Kind: ipc.Internal, Message: "internal error", Err: err}
	}
	if status == 0 {
		if status = e.Kind.Info().HTTP; status < 400 {
			status = 500 // a kind that is no error over HTTP
		}
	}
	x.failed = e.Kind
	cause := e.Err
	if cause == nil && e.Kind == ipc.Internal {
		cause = errors.New(e.Message) // never a failure that the log knows nothing of
	}
	switch {
	case cause == nil:
	case status >= 500:
		x.s.cfg.Log.LogAttrs(x.r.Context(), slog.LevelError, "request failed",
			slog.String("kind", string(e.Kind)), slog.Any("error", cause))
	case e.Kind == ipc.VaultDamaged, e.Kind == ipc.VaultReplaced, e.Kind == ipc.VaultRolledBack:
		x.s.cfg.Log.LogAttrs(x.r.Context(), slog.LevelWarn, "the vault cannot be used",
			slog.String("kind", string(e.Kind)), slog.Any("error", cause))
	}
	if e.RetryAfter > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	body, err := json.Marshal(envelope{Version: ipc.Version, Error: e})
	if err != nil {
		body = []byte(`{"version":1,"error":{"kind":"internal","message":"internal error"}}`)
	}
	x.write(status, append(body, '\n'))
	return status
}
