package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// endGrace is how long a process that has answered may take to end.
const endGrace = 2 * time.Second

// letGo is how long a process that is called off may take to let go of its
// token: a little longer than it gives itself.
const letGo = 250 * time.Millisecond

// maxStderr is how much of a process's standard error is kept, in bytes.
const maxStderr = 8 << 10

// Environment returns what the program may know of this process's environment:
// where the PC/SC service listens and the language of messages. (Windows cannot
// load its libraries without SystemRoot.)
func Environment() []string {
	allowed := []string{"PCSCLITE_CSOCK_NAME", "LANG", "LC_ALL", "SystemRoot", "SystemDrive"}
	env := []string{}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(allowed, name) {
			env = append(env, kv)
		}
	}
	return env
}

// call is what an operation's process needs beside its request.
type call struct {
	locator string
	timeout time.Duration
	onTouch func()
	onBusy  func()
}

// overheard is k with an end to an operation of which nothing is heard for the
// time: a mute card must not hold its queue for as long as a person may take to
// touch one. heard ends the watch.
func (k call) overheard(stop func(), quiet time.Duration) (_ call, heard func()) {
	timer := time.AfterFunc(quiet, stop)
	inner := k
	k.onTouch = func() {
		timer.Stop()
		if inner.onTouch != nil {
			inner.onTouch()
		}
	}
	k.onBusy = func() {
		timer.Reset(quiet)
		if inner.onBusy != nil {
			inner.onBusy()
		}
	}
	return k, func() { timer.Stop() }
}

// run runs one operation and decodes its result into out. Every error is a
// *tokens.Error.
func (c *Client) run(ctx context.Context, req wire.Request, k call, out any) error {
	req.Kind = c.cfg.Kind
	req.Devices = c.cfg.Devices
	req.PatienceMS = int(c.patience(k.locator).Milliseconds())
	limit, stop := context.WithTimeout(ctx, k.timeout)
	defer stop()
	k, heard := k.overheard(stop, min(k.timeout, c.cfg.Quiet+c.patience(k.locator)))
	defer heard()
	p, err := c.start(limit, req, modeOp)
	if err != nil {
		return c.explain(ctx, limit, err)
	}
	result, err := answer(p, k)
	defer clear(result)
	// After an answer nothing is left to wait for, and a process that gave no
	// answer has lost its right to finish: either way it ends here.
	ended := p.end(err != nil && !errors.Is(err, io.EOF))
	if err == nil {
		var derr error
		c.cfg.Guard(func() { derr = wire.Decode(result, out) })
		if derr != nil {
			return protocolError("its result has another form")
		}
		return nil
	}
	var told *tokens.Error
	if errors.As(err, &told) && limit.Err() == nil {
		return told
	}
	if limit.Err() != nil {
		c.abandon(k.locator)
	}
	if errors.Is(err, io.EOF) {
		err = endedEarly(ended)
	}
	return c.explain(ctx, limit, err)
}

// endedEarly says that a process ended before it had answered, and how.
func endedEarly(how error) error {
	return &tokens.Error{Code: tokens.CodeProtocol, Tries: -1, Detail: "the token helper ended without an answer", Err: how}
}

// explain turns the failure of an operation into a *tokens.Error.
func (c *Client) explain(ctx, limit context.Context, err error) error {
	var told *tokens.Error
	switch {
	case ctx.Err() != nil:
		return &tokens.Error{Code: tokens.CodeCancelled, Tries: -1, Detail: "the operation was cancelled", Err: ctx.Err()}
	case limit.Err() != nil:
		return tokens.Errorf(tokens.CodeTimeout, "the token did not answer in time")
	case errors.As(err, &told):
		return told
	case errors.Is(err, wire.ErrFormat):
		return &tokens.Error{Code: tokens.CodeProtocol, Tries: -1, Detail: "the token helper answered nonsense", Err: err}
	}
	return &tokens.Error{Code: tokens.CodeProtocol, Tries: -1, Detail: "cannot work with the token helper", Err: err}
}

func (c *Client) abandon(locator string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	for l, t := range c.abandoned {
		if now.Sub(t) > abandonedFor {
			delete(c.abandoned, l)
		}
	}
	if locator != "" {
		c.abandoned[locator] = now
	}
}

// patience is how long an operation may wait for the token to come free; zero
// leaves that to the driver.
func (c *Client) patience(locator string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.abandoned[locator]; ok && c.cfg.Now().Sub(t) <= abandonedFor {
		return abandonedPatience
	}
	return 0
}

// process is one running tokend-helper.
type process struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *wire.Answers
	out     *os.File
	tail    *tail
	client  *Client
	sent    chan error
	kill    context.CancelFunc // ends the process and its group
	ended   chan struct{}      // closed when the process has been waited for
	gone    func()             // takes it out of Config.Running
}

// spawn runs the program and sends it the request; when ctx ends, the program is
// told, and a moment later the whole process group is killed.
func (c *Client) spawn(ctx context.Context, req wire.Request, mode string) (operation, error) {
	path, err := trust(c.cfg.Path)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, kill := context.WithCancel(ctx)
	p := &process{client: c, tail: &tail{}, sent: make(chan error, 1), kill: kill, ended: make(chan struct{})}
	if err := p.launch(ctx, path, req, mode); err != nil {
		kill()
		return nil, err
	}
	return p, nil
}

// arguments is the program's command line: what it must know before it reads
// anything, to give up the rest. See cmd/tokend-helper/internal/confine.
func arguments(req wire.Request, mode string) []string {
	args := []string{mode, string(req.Kind)}
	if req.Kind != tokens.KindFIDO2 {
		return args
	}
	for _, locator := range req.Locators() {
		if filepath.IsAbs(locator) && !slices.Contains(args, locator) {
			args = append(args, locator)
		}
	}
	return args
}

func (p *process) launch(ctx context.Context, path string, req wire.Request, mode string) error {
	cmd := exec.CommandContext(ctx, path, arguments(req, mode)...)
	cmd.Env = append([]string{}, p.client.cfg.Env...)
	cmd.Dir = rootDir()
	cmd.SysProcAttr = attributes()
	// The end of its input tells the program to let go of its token: a FIDO2 key
	// whose program is killed goes on waiting for a touch. It is not waited for.
	cmd.Cancel = func() error {
		p.stdin.Close()
		go func() {
			select {
			case <-p.ended:
			case <-time.After(letGo):
				_ = killGroup(cmd.Process) // it may have ended by itself
			}
		}()
		return nil
	}
	// A grandchild could hold the pipes open for ever.
	cmd.WaitDelay = time.Second
	cmd.Stderr = p.tail
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		in.Close()
		return fmt.Errorf("cannot make a pipe: %w", err)
	}
	cmd.Stdout = w
	p.stdin = in
	err = StartTied(cmd, p.ended)
	w.Close()
	if err != nil {
		r.Close()
		in.Close()
		return fmt.Errorf("cannot start the token helper: %w", err)
	}
	// Before it has read the request it has met no token that could take it over.
	p.gone = p.client.cfg.Running.add(cmd.Process.Pid)
	p.cmd, p.out = cmd, r
	p.answers = wire.NewAnswers(r, mode == modeOp, p.client.cfg.Guard)
	// A killed process closes its end of the pipe; should something else hold
	// that end, reading stops all the same. What it has written is still read.
	context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now().Add(letGo + 200*time.Millisecond)) })
	// In a goroutine, because a program that reads nothing must not keep us.
	go func() {
		var err error
		p.client.cfg.Guard(func() { err = wire.WriteRequest(in, req) })
		p.sent <- err
	}()
	return nil
}

// StartTied starts cmd from a thread that lives until ended is closed, which is to be
// when the process has been waited for: the kernel sends a process its Pdeathsig when that
// thread ends, and a thread ends when a goroutine does that was locked to it.
func StartTied(cmd *exec.Cmd, ended <-chan struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-ended
		}
	}()
	return <-started
}

// next implements operation.
func (p *process) next() (wire.Answer, error) { return p.answers.Next() }

// end implements operation: the process is gone then, and what it had to say is
// logged.
func (p *process) end(now bool) error {
	if now {
		p.kill()
	}
	p.stdin.Close()
	grace := time.AfterFunc(endGrace, p.kill)
	err := p.cmd.Wait()
	p.gone()
	close(p.ended)
	grace.Stop()
	p.kill()
	p.out.Close()
	if err := <-p.sent; err != nil {
		p.client.cfg.Log.Debug("the token helper did not take its request", "kind", p.client.cfg.Kind, "error", err)
	}
	if text := p.tail.String(); text != "" || err != nil {
		p.client.cfg.Log.Debug("token helper ended", "kind", p.client.cfg.Kind, "how", p.cmd.ProcessState.String(), "stderr", text)
	}
	return err
}

// tail keeps the first maxStderr bytes written to it and swallows the rest.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b[:min(len(b), maxStderr-len(t.kept))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(t.kept), "?")), " ")
}
