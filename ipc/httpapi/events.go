package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// EventKeepAlive is the type of the line that the stream carries when nothing
// has happened for Limits.KeepAlive: it tells the caller that the daemon lives,
// and the daemon whether the caller does.
const EventKeepAlive = "keep-alive"

// lineWriter writes JSON lines, from the backend and from the keep-alive timer.
type lineWriter struct {
	x    *exchange
	out  *http.ResponseController
	mu   sync.Mutex
	last time.Time // of a line, on the process's clock
	err  error
}

// stream answers with events until the caller leaves, is too slow to take a
// line within WriteTime, or the daemon stops.
func (x *exchange) stream() error {
	if x.r.ContentLength != 0 {
		return refuse(400, ipc.InvalidArgument, "a stream takes no body")
	}
	ctx, cancel := context.WithCancel(x.r.Context())
	lw := &lineWriter{x: x, out: http.NewResponseController(x.w), last: time.Now()}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { lw.keepAlive(ctx, cancel) })
	err := x.route.stream(ctx, x.s.cfg.Backend, x.c.principal, x.id, lw.send)
	lw.mu.Lock()
	defer lw.mu.Unlock()
	if x.begun && err != nil && !errors.Is(err, context.Canceled) {
		// The caller must not take a broken stream for a finished one.
		panic(http.ErrAbortHandler)
	}
	return err
}

// send writes one event; it is what the backend calls.
func (w *lineWriter) send(e ipc.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(append(line, '\n'))
}

func (w *lineWriter) write(line []byte) error {
	if w.err != nil {
		return w.err
	}
	if !w.x.begun {
		w.x.begun = true
		w.x.header("application/x-ndjson")
		w.x.w.WriteHeader(http.StatusOK)
	}
	_, w.err = w.x.w.Write(line)
	if w.err == nil {
		w.err = w.out.Flush()
	}
	w.last = time.Now()
	return w.err
}

func (w *lineWriter) keepAlive(ctx context.Context, cancel func()) {
	every := w.x.s.limits.KeepAlive
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !w.beat(every) {
			cancel()
			return
		}
	}
}

func (w *lineWriter) beat(every time.Duration) bool {
	line, err := json.Marshal(ipc.Event{
		Version: ipc.Version, Type: EventKeepAlive, Time: w.x.s.cfg.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.last) < every/2 {
		return true
	}
	return w.write(append(line, '\n')) == nil
}
