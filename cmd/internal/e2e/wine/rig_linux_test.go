//go:build wine

package wine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
)

// patience is for programs that start under wine on a busy machine.
const patience = 3 * time.Minute

// prepared is the folder that packaging/wine.sh has made.
func prepared(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("TOKEND_TEST_WINE")
	if dir == "" {
		tb.Fatal("these tests are run by packaging/wine.sh")
	}
	return dir
}

// windowsPath is a path of this system as wine has it.
func windowsPath(path string) string { return "Z:" + strings.ReplaceAll(path, "/", `\`) }

// windows is a command that runs one of the programs for Windows.
func windows(ctx context.Context, tb testing.TB, program string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := prepared(tb)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "run"), append([]string{filepath.Join(dir, "bin", program+".exe")}, args...)...)
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET=")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// daemon is a tokend for Windows.
type daemon struct {
	tb          testing.TB
	state, pipe string
	log         *e2e.Buffer
	cmd         *exec.Cmd
	release     func() // of the pipe
	ended       chan struct{}
}

func newDaemon(tb testing.TB, name string) *daemon {
	tb.Helper()
	d := &daemon{tb: tb, state: filepath.Join(tb.TempDir(), "state"), pipe: `\\.\pipe\tokend-test-` + name, log: &e2e.Buffer{}}
	tb.Cleanup(func() {
		d.kill()
		if tb.Failed() {
			tb.Logf("log of tokend.exe:\n%s", d.log.String())
		}
	})
	return d
}

// start runs tokend.exe and waits until it answers.
func (d *daemon) start() {
	d.tb.Helper()
	d.cmd = windows(context.Background(), d.tb, "tokend", "serve", "--user", "--state-dir", windowsPath(d.state), "--socket", d.pipe)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.tb.Fatal(err)
	}
	d.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(d.cmd, d.ended)
	d.release = d.holdPipe()
	d.until("the token helper", func() bool {
		r := d.ctl("", "--json", "status")
		return r.Exit == 0 && strings.Contains(r.Stdout, `"helper":"ok"`)
	})
}

// holdPipe has another program hold a connection to the pipe, once there is one; see
// packaging/wine/hold.c.
func (d *daemon) holdPipe() (release func()) {
	d.tb.Helper()
	hold := windows(context.Background(), d.tb, "hold", d.pipe)
	if err := hold.Start(); err != nil {
		d.tb.Fatal(err)
	}
	return func() {
		_ = hold.Process.Kill()
		_ = hold.Wait()
	}
}

// until waits for something that the daemon is to do.
func (d *daemon) until(what string, done func() bool) {
	d.tb.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(100 * time.Millisecond) {
		select {
		case <-d.ended:
			d.tb.Fatalf("tokend.exe ended, waited for %s", what)
		default:
		}
		if time.Now().After(end) {
			d.tb.Fatalf("waited too long for %s", what)
		}
	}
}

// kill ends the daemon as a power cut would.
func (d *daemon) kill() {
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Kill()
	<-d.ended
	d.release()
	d.cmd = nil
}

// ctl runs tokenctl.exe without a terminal.
func (d *daemon) ctl(stdin string, args ...string) e2e.Result {
	d.tb.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	cmd := windows(ctx, d.tb, "tokenctl", append([]string{"--socket", d.pipe}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return run(d.tb, cmd, args)
}

// run runs a program of wine's with files for its output: what wine starts on the way
// and goes on running would keep a pipe open.
func run(tb testing.TB, cmd *exec.Cmd, args []string) e2e.Result {
	tb.Helper()
	out, errOut := temporary(tb), temporary(tb)
	defer out.Close()
	defer errOut.Close()
	cmd.Stdout, cmd.Stderr = out, errOut
	began := time.Now()
	err := cmd.Run()
	r := e2e.Result{Args: args, Stdout: written(tb, out), Stderr: written(tb, errOut), Took: time.Since(began)}
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		r.Exit = ended.ExitCode()
	case err != nil:
		r.Exit, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

func temporary(tb testing.TB) *os.File {
	tb.Helper()
	f, err := os.CreateTemp(tb.TempDir(), "output")
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// written is all that was written to a file.
func written(tb testing.TB, f *os.File) string {
	tb.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func (d *daemon) ok(stdin string, args ...string) e2e.Result {
	d.tb.Helper()
	r := d.ctl(stdin, args...)
	if r.Exit != 0 {
		d.tb.Fatalf("%s", r)
	}
	return r
}

func (d *daemon) fails(exit int, args []string, words ...string) {
	d.tb.Helper()
	r := d.ctl("", args...)
	if r.Exit != exit {
		d.tb.Fatalf("want exit %d: %s", exit, r)
	}
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			d.tb.Errorf("want %q: %s", w, r)
		}
	}
}

func (d *daemon) json(v any, args ...string) {
	d.tb.Helper()
	r := d.ok("", append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		d.tb.Fatalf("no JSON: %v: %s", err, r)
	}
}

// account is one under test, and what oathtool needs to know of it.
type account struct {
	name, algorithm, secret string
	digits, period          int
}

func accounts() []account {
	return []account{
		{"alice@example.org", "SHA1", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 6, 30},
		{"bob@example.org", "SHA256", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", 8, 60},
		{"zoë@example.org", "SHA512", "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK", 7, 30},
	}
}

func (a account) uri() string {
	return fmt.Sprintf("otpauth://totp/Example:%s?secret=%s&issuer=Example&algorithm=%s&digits=%d&period=%d", a.name, a.secret, a.algorithm, a.digits, a.period)
}

// codes are what oathtool makes of the account at a time.
func (a account) code(tb testing.TB, at time.Time) string {
	tb.Helper()
	out, err := exec.Command("oathtool", "--totp="+a.algorithm, "--base32", fmt.Sprintf("--digits=%d", a.digits),
		fmt.Sprintf("--time-step-size=%d", a.period), fmt.Sprintf("--now=@%d", at.Unix()), a.secret).CombinedOutput()
	if err != nil {
		tb.Fatalf("oathtool: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// agrees compares the codes that tokenctl prints with oathtool's. The step may change
// between the two.
func agrees(tb testing.TB, ctl func(args ...string) e2e.Result) {
	tb.Helper()
	for _, a := range accounts() {
		before := time.Now()
		r := ctl("code", a.name)
		got, first, last := strings.TrimSpace(r.Stdout), a.code(tb, before), a.code(tb, time.Now())
		for at := before; got != first && got != last && at.Before(time.Now()); at = at.Add(time.Second) {
			first = a.code(tb, at)
		}
		if got != first && got != last {
			tb.Errorf("%s: the code is %s, oathtool has %s: %s", a.name, got, last, r)
		}
	}
}
