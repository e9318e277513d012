//go:build linux

// Package e2e starts the built programs and drives them as their users do. It
// holds the harness; its tests are the whole-program tests.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/helper"
)

// Programs is where the programs under test were built.
type Programs struct {
	Dir   string
	races string // the folder where they report data races; empty without the detector
	// Leaks is what is searched for secrets when all tests have ended; nil for nothing.
	Leaks *Leaks
}

// Build compiles tokend, tokenctl and tokend-helper into dir, with the race
// detector when race is set. env is added to the compiler's environment.
func Build(dir string, race bool, env ...string) (Programs, error) {
	args := []string{"build"}
	if race {
		// scrypt shares nothing and takes four times as long when it is watched.
		args = append(args, "-race", "-gcflags=golang.org/x/crypto/scrypt=-race=false")
	}
	args = append(args, "-o", dir+string(os.PathSeparator),
		"github.com/tokenbridge/tokend/cmd/tokend",
		"github.com/tokenbridge/tokend/cmd/tokenctl",
		"github.com/tokenbridge/tokend/cmd/tokend-helper")
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("cannot build the programs: %w\n%s", err, out)
	}
	p := Programs{Dir: dir, Leaks: &Leaks{}}
	if race {
		if err := p.watchRaces(); err != nil {
			return Programs{}, fmt.Errorf("cannot arrange for reports of races: %w", err)
		}
	}
	return p, nil
}

// watchRaces has all three programs report data races to files, whoever runs
// them. The helper gets an environment with no room for that, hence a script in
// its place.
func (p *Programs) watchRaces() error {
	p.races = filepath.Join(p.Dir, "races")
	real := filepath.Join(p.Dir, "helper")
	for _, dir := range []string{p.races, real} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	// Other users' programs report here too; Mkdir is subject to the umask.
	if err := os.Chmod(p.races, 0o1777); err != nil {
		return err
	}
	helper := p.Path("tokend-helper")
	if err := os.Rename(helper, filepath.Join(real, "tokend-helper")); err != nil {
		return err
	}
	// The helper may open no file, so what it reports goes into one that is open.
	script := fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 exec '%s' \"$@\" 2>>'%s'/helper.$$\n", filepath.Join(real, "tokend-helper"), p.races)
	return os.WriteFile(helper, []byte(script), 0o755)
}

// Env is what the programs need in their environment. A program with the race
// detector in it would else sleep for a second before it ends.
func (p Programs) Env() []string {
	if p.races == "" {
		return nil
	}
	return []string{"GORACE=atexit_sleep_ms=0:log_path=" + filepath.Join(p.races, "race")}
}

// Races is what the race detector has reported so far.
func (p Programs) Races() (string, error) {
	if p.races == "" {
		return "", nil
	}
	files, err := filepath.Glob(filepath.Join(p.races, "*"))
	var all strings.Builder
	for _, f := range files {
		b, readErr := os.ReadFile(f)
		err = errors.Join(err, readErr)
		if strings.HasPrefix(filepath.Base(f), "helper.") && !bytes.Contains(b, []byte("DATA RACE")) {
			continue // whatever else it said
		}
		all.Write(b)
	}
	return all.String(), err
}

// Path is the absolute path of a program.
func (p Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Daemon is a running tokend and what is needed to speak with it.
type Daemon struct {
	tb       testing.TB
	Programs Programs
	State    string // the state folder
	Socket   string
	Env      []string // added to the environment of daemon and clients
	Args     []string // added to "serve"
	System   bool     // serve every user of the machine; needs root
	Dir      string   // working folder of the daemon, empty for the test's own
	// CoreFiles lets the daemon's parent have core files, so that it is the
	// daemon itself that leaves none.
	CoreFiles bool

	cmd  *exec.Cmd
	done chan struct{}
	log  *Buffer
}

// NewDaemon prepares a daemon on a fresh state folder; Start starts it.
func NewDaemon(tb testing.TB, p Programs, env []string, args ...string) *Daemon {
	tb.Helper()
	// Unix socket paths are short: not below tb.TempDir, whose names are long.
	dir, err := os.MkdirTemp("", "tokend-e2e-")
	if err != nil {
		tb.Fatal(err)
	}
	d := &Daemon{
		tb: tb, Programs: p, State: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "s"),
		Env: env, Args: args, log: &Buffer{},
	}
	tb.Cleanup(func() {
		d.Stop()
		p.Leaks.Collect(d)
		if tb.Failed() {
			tb.Logf("log of tokend:\n%s", d.Log())
		}
		_ = os.RemoveAll(dir)
	})
	return d
}

// Start runs tokend and waits until it answers.
func (d *Daemon) Start() {
	d.tb.Helper()
	args := append([]string{"serve", "--state-dir", d.State, "--socket", d.Socket}, d.Args...)
	if !d.System {
		args = append(args, "--user")
	}
	argv := append([]string{d.Programs.Path("tokend")}, args...)
	if d.CoreFiles {
		argv = append([]string{"sh", "-c", `ulimit -c unlimited; exec "$@"`, "sh"}, argv...)
	}
	d.cmd = exec.Command(argv[0], argv[1:]...)
	d.cmd.Dir = d.Dir
	// Not on the bus of the session in which the tests run.
	d.cmd.Env = slices.Concat(os.Environ(), []string{"DBUS_SESSION_BUS_ADDRESS="}, d.Programs.Env(), d.Env)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	// It ends with this process, also when that is killed.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	d.done = make(chan struct{})
	if err := helper.StartTied(d.cmd, d.done); err != nil {
		d.tb.Fatal(err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(d.cmd, d.done)
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := net.Dial("unix", d.Socket)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-d.done:
			d.tb.Fatalf("tokend ended at its start:\n%s", d.Log())
		default:
		}
		if time.Now().After(deadline) {
			d.tb.Fatalf("tokend does not listen after a minute: %v\n%s", err, d.Log())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// PID is the daemon's process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Kill ends the daemon with SIGKILL and waits for its end.
func (d *Daemon) Kill() {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Kill()
		<-d.done
	}
}

// Stop ends the daemon with SIGTERM, after 10 s with SIGKILL.
func (d *Daemon) Stop() {
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		d.tb.Errorf("tokend did not end within 10 s of SIGTERM")
		d.Kill()
	}
}

// Alive says whether the daemon still runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Log is all that the daemon wrote so far.
func (d *Daemon) Log() string { return d.log.String() }

// Result is how a tokenctl call ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Exit           int
	Took           time.Duration
}

// Ctl runs tokenctl without a terminal; stdin is what it reads.
func (d *Daemon) Ctl(stdin string, args ...string) Result {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return d.CtlContext(ctx, stdin, args...)
}

// CtlContext is Ctl with a context whose end interrupts tokenctl, as Ctrl-C does.
func (d *Daemon) CtlContext(ctx context.Context, stdin string, args ...string) Result {
	return d.ctl(ctx, stdin, new(Buffer), args...)
}

// ctl runs tokenctl; what it says can be read while it does.
func (d *Daemon) ctl(ctx context.Context, stdin string, errOut *Buffer, args ...string) Result {
	cmd := exec.CommandContext(ctx, d.Programs.Path("tokenctl"), append([]string{"--socket", d.Socket}, args...)...)
	cmd.Env = slices.Concat(os.Environ(), d.Programs.Env(), d.Env)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, errOut
	start := time.Now()
	err := cmd.Run()
	d.Programs.Leaks.Call(d, "", stdin, out.String(), args)
	r := Result{Args: args, Stdout: out.String(), Stderr: errOut.String(), Took: time.Since(start)}
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee):
		r.Exit = ee.ExitCode()
	case err != nil:
		r.Exit = -1
		r.Stderr += err.Error()
	}
	return r
}

// OK runs tokenctl and fails the test unless it succeeds.
func (d *Daemon) OK(stdin string, args ...string) Result {
	d.tb.Helper()
	r := d.Ctl(stdin, args...)
	if r.Exit != 0 {
		d.tb.Fatalf("%s", r)
	}
	return r
}

// Fails runs tokenctl and fails the test unless it ends with the exit code and
// says each of the words on standard error.
func (d *Daemon) Fails(exit int, stdin string, args []string, words ...string) Result {
	d.tb.Helper()
	r := d.Ctl(stdin, args...)
	if r.Exit != exit {
		d.tb.Fatalf("want exit %d: %s", exit, r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			d.tb.Fatalf("want %q: %s", w, r)
		}
	}
	for _, w := range []string{"panic", "goroutine "} {
		if strings.Contains(r.Stderr, w) {
			d.tb.Fatalf("a stack trace: %s", r)
		}
	}
	return r
}

// JSON runs tokenctl --json and decodes what it prints into v.
func (d *Daemon) JSON(v any, args ...string) {
	d.tb.Helper()
	r := d.OK("", append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		d.tb.Fatalf("no JSON: %v: %s", err, r)
	}
}

func (r Result) String() string {
	return fmt.Sprintf("tokenctl %s: exit %d after %v\nstdout: %s\nstderr: %s",
		strings.Join(r.Args, " "), r.Exit, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// File writes a file for a --…-file flag and returns its path.
func File(tb testing.TB, content string) string {
	tb.Helper()
	f := filepath.Join(tb.TempDir(), "f")
	if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return f
}

// Eventually fails the test unless f is nil within the time.
func Eventually(tb testing.TB, within time.Duration, f func() error) time.Duration {
	tb.Helper()
	start := time.Now()
	for {
		err := f()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > within {
			tb.Fatalf("not within %v: %v", within, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Buffer is what a program says, to be read while it runs.
type Buffer struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// Write is io.Writer's.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(p)
}

// String is what was written until now.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}
