package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// panicked tells the caller no more than that, and the log where: the values
// in a panic can be anybody's.
func (x *exchange) panicked(v any) {
	x.s.cfg.Log.LogAttrs(context.Background(), slog.LevelError, "panic in a request",
		slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
	if !x.begun {
		x.fail(&ipc.Error{Kind: ipc.Internal, Message: "internal error"})
	}
}

// log says that there was a request, without anything that a caller chose: no
// path, no query, no body.
func (x *exchange) log(status int, start time.Time) {
	level, method, route := slog.LevelDebug, "other", "none"
	if x.route != nil {
		method, route = x.route.Method, x.route.Path
		if x.route.Access == AccessChange || x.route.Access == AccessReveal || x.route.Access == AccessAdmin {
			level = slog.LevelInfo
		}
	}
	if status == 403 && (x.route == nil || x.route.Access != AccessRole) { // what is refused there is in the authority's audit chain
		level = slog.LevelInfo
	}
	if status == 500 {
		level = slog.LevelError
	}
	ctx := x.r.Context()
	if !x.s.cfg.Log.Enabled(ctx, level) {
		return
	}
	uid := ""
	if x.c != nil {
		uid = x.c.principal.UID
	}
	x.s.cfg.Log.LogAttrs(ctx, level, "request", slog.String("method", method), slog.String("route", route),
		slog.Int("status", status), slog.String("uid", uid), slog.Duration("took", time.Since(start)))
}
