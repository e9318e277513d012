package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// failure is how a command fails: what it was doing, why it could not, and what
// to do next where the general advice for the error's kind is not the best.
type failure struct {
	doing string // completes "cannot …"
	err   error
	hints []string
}

func (f *failure) Error() string { return "cannot " + f.doing + ": " + f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// silent is a failure that has been shown already; only its exit code is left.
type silent struct{ exit int }

func (s silent) Error() string { return fmt.Sprintf("exit code %d", s.exit) }

// hinted is an error of which is known, where it arose, what to do about it.
type hinted struct {
	err   error
	hints []string
}

func (h *hinted) Error() string { return h.err.Error() }

func (h *hinted) Unwrap() error { return h.err }

// fail names what a call was for. A failure that names it already is left alone.
func fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	var f *failure
	var s silent
	if errors.As(err, &f) || errors.As(err, &s) {
		return err
	}
	var h *hinted
	if errors.As(err, &h) {
		return &failure{doing: doing, err: err, hints: h.hints}
	}
	return &failure{doing: doing, err: err}
}

// failWith is fail with hints of its own in place of the general advice.
func failWith(doing string, err error, hints ...string) error {
	return &failure{doing: doing, err: err, hints: hints}
}

// problem is a failure of this program's own work, not of the daemon's.
func problem(kind ipc.Kind, doing string, err error, hints ...string) error {
	return failWith(doing, &ipc.Error{Kind: kind, Message: plain(err)}, hints...)
}

// usage is a command line that makes no sense, or lacks something. It names
// what in hints.
func usage(message string, hints ...string) error {
	return failWith("", &ipc.Error{Kind: ipc.InvalidArgument, Message: message}, hints...)
}

// fileFailure is a failure to do something with a file of the user's.
func fileFailure(doing string, err error) error {
	kind := fileKind(err)
	return problem(kind, doing, err, adviceForFile(kind)...)
}

// writeFailure is a failure to write a new file of the user's.
func writeFailure(doing string, err error) error {
	kind := fileKind(err)
	return problem(kind, doing, err, adviceForWriting(kind, errors.Is(err, syscall.EROFS))...)
}

// fileKind is the kind of an error of the file system.
func fileKind(err error) ipc.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ipc.NotFound
	case errors.Is(err, fs.ErrExist):
		return ipc.AlreadyExists
	case errors.Is(err, fs.ErrPermission):
		return ipc.NotAuthorized
	case isDiskFull(err):
		return ipc.DiskFull
	}
	return ipc.Internal
}

// plain is an error's text without the operation and path that package os puts
// before it: the failure names the file already.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err.Error()
	}
	return err.Error()
}

// errorDocument is the document an error travels in, on the wire and in --json.
type errorDocument struct {
	Version int        `json:"version"`
	Error   *ipc.Error `json:"error"`
}

// report shows an error and answers with the exit code.
func (c *cli) report(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	var s silent
	if errors.As(err, &s) {
		return s.exit
	}
	err = fromCobra(err, c.ran)
	e := asError(ctx, err)
	if c.json {
		// Scripts find the same document here as on the socket.
		_ = c.printJSON(errorDocument{Version: ipc.Version, Error: e})
	}
	c.explain(err, e)
	return e.Kind.Info().Exit
}

// fromCobra turns cobra's own errors, which are all wrong command lines, into
// failures. Below their first line they suggest what may be meant.
func fromCobra(err error, command string) error {
	var e *ipc.Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return err
	}
	lines := strings.Split(plainFlagError(err.Error()), "\n")
	hints := []string{}
	for _, l := range lines[1:] {
		if l = strings.TrimSpace(l); l != "" {
			hints = append(hints, l)
		}
	}
	return usage(lines[0], append(hints, adviceHelp(command)...)...)
}

// plainFlagError puts what cobra and strconv say of flags into plain words.
func plainFlagError(s string) string {
	dashed := func(names string) string { return "--" + strings.Join(strings.Fields(names), ", --") }
	if _, set, ok := strings.Cut(s, "] are set none of the others can be; ["); ok {
		if names, _, ok := strings.Cut(set, "]"); ok {
			return "only one can be given of " + dashed(names)
		}
	}
	if rest, ok := strings.CutPrefix(s, "at least one of the flags in the group ["); ok {
		if names, _, ok := strings.Cut(rest, "]"); ok {
			return "one is needed of " + dashed(names)
		}
	}
	if s, _, ok := strings.Cut(s, " flag: strconv."); ok {
		return s + ": not such a number"
	}
	return strings.Replace(s, `" flag: `, `": `, 1)
}

// asError is the ipc.Error in err; whatever fails after Ctrl-C was cancelled.
func asError(ctx context.Context, err error) *ipc.Error {
	var e *ipc.Error
	switch {
	case ctx.Err() != nil && !errors.As(err, &e), errors.Is(err, context.Canceled),
		ctx.Err() != nil && e != nil && e.Kind == ipc.Unreachable:
		return &ipc.Error{Kind: ipc.Cancelled, Message: "cancelled"}
	case e != nil || errors.As(err, &e):
		return e
	}
	return &ipc.Error{Kind: ipc.Internal, Message: err.Error()}
}

// explain writes what failed, why, and what to do next to standard error.
func (c *cli) explain(err error, e *ipc.Error) {
	var f *failure
	errors.As(err, &f)
	head := clean(e.Message)
	if e.Kind == ipc.Cancelled && head == "" {
		head = "cancelled"
	}
	if f != nil && f.doing != "" {
		head = "cannot " + clean(f.doing) + ": " + head
	}
	c.say("tokenctl: %s", head)
	for _, i := range e.Items {
		c.say("  - %s", clean(itemText(i)))
	}
	hints := c.advise(e)
	if f != nil && f.hints != nil {
		hints = f.hints
	}
	for _, h := range adviceOnly(hints, strings.Contains(e.Message, unchanged)) {
		if line, ok := strings.CutPrefix(h, asItIs); ok {
			_, _ = fmt.Fprintln(c.err, clean(line))
			continue
		}
		c.say("  %s", clean(remedy.Typed(h)))
	}
}

func itemText(i ipc.Item) string {
	parts := make([]string, 0, 3)
	if i.ID != "" {
		parts = append(parts, i.ID)
	}
	if i.Name != "" {
		parts = append(parts, i.Name)
	}
	s := strings.Join(parts, "  ")
	if s == "" {
		return i.Reason
	}
	if i.Reason != "" {
		s += ": " + i.Reason
	}
	return s
}
