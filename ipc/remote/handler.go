package remote

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/tokenbridge/tokend/ipc"
)

type handler struct{ Config }

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, status, err := h.answer(w, r)
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if err == nil {
		head.Set("Content-Type", ContentType)
		send(w, http.StatusOK, answer)
		return
	}
	var e *ipc.Error
	if !errors.As(err, &e) {
		e = &ipc.Error{Kind: ipc.Internal, Message: "internal error", Err: err}
	}
	if status == 0 {
		status = e.Kind.Info().HTTP
	}
	if status < 400 {
		status = http.StatusInternalServerError
	}
	if status >= 500 && e.Err != nil {
		h.Log.LogAttrs(r.Context(), slog.LevelError, "a message to the authority failed", slog.String("kind", string(e.Kind)), slog.Any("error", e.Err))
	}
	if e.RetryAfter > 0 {
		head.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	// Kind and words, and no more of it.
	body, err := json.Marshal(struct {
		Version int        `json:"version"`
		Error   *ipc.Error `json:"error"`
	}{ipc.Version, &ipc.Error{Kind: e.Kind, Message: e.Message, RetryAfter: e.RetryAfter}})
	if err != nil {
		body = []byte("{}")
	}
	head.Set("Content-Type", "application/json")
	send(w, status, append(body, '\n'))
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // sealed bytes or JSON, which no browser reads; who is gone need not be told
}

// answer is the answer's bytes, or an error; status is the error's, if not its
// kind's own.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) (_ []byte, status int, err error) {
	_, page := r.Header["Origin"]
	method := http.MethodPost
	switch {
	case page:
		return nil, 0, ipc.Errorf(ipc.NotAuthorized, "web pages may not call")
	case r.URL.RawQuery != "":
		return nil, 0, ipc.Errorf(ipc.NotFound, "there is nothing at this path")
	case r.URL.Path == DescriptorPath:
		method = http.MethodGet
	case r.URL.Path != MessagePath:
		return nil, 0, ipc.Errorf(ipc.NotFound, "there is nothing at this path")
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		return nil, http.StatusMethodNotAllowed, ipc.Errorf(ipc.Unsupported, "this path has no such method")
	}
	from := network(r.RemoteAddr)
	if method == http.MethodGet {
		out, err := h.Descriptor(from)
		return out, 0, err
	}
	if r.Header.Get("Content-Type") != ContentType {
		return nil, http.StatusUnsupportedMediaType, ipc.Errorf(ipc.InvalidArgument, "the body must be %s", ContentType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge, ipc.Errorf(ipc.InvalidArgument, "the body is larger than %d bytes", MaxMessage)
	case err != nil:
		w.Header().Set("Connection", "close")
		return nil, http.StatusRequestTimeout, ipc.Errorf(ipc.InvalidArgument, "the body did not arrive whole and in time")
	}
	out, err := h.Message(r.Context(), from, body)
	return out, 0, err
}
