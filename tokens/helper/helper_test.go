//go:build linux

package helper_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// program is the tokend-helper that TestMain built.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "helper")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "tokend-helper")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/tokenbridge/tokend/cmd/tokend-helper").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// script makes a program that stands in for a helper taken over by an enemy.
func script(t testing.TB, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "enemy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func client(path string, kind tokens.Kind) *helper.Client {
	return helper.New(helper.Config{Path: path, Kind: kind, Timeout: 5 * time.Second, ListTimeout: 5 * time.Second})
}

func wantCode(t *testing.T, err error, code tokens.Code) {
	t.Helper()
	if !errors.Is(err, &tokens.Error{Code: code}) {
		t.Fatalf("error %v, want code %s", err, code)
	}
}

func TestCheck(t *testing.T) {
	if err := helper.Check(program); err != nil {
		t.Fatal(err)
	}
	h, err := helper.Ask(context.Background(), program)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Kinds) == 0 || h.Kinds[0] != tokens.KindSoft {
		t.Fatalf("kinds %v", h.Kinds)
	}
	loose := script(t, `echo '{"version":1,"kinds":[]}'`)
	if err := helper.Check(loose); err != nil {
		t.Fatalf("a well-behaved program: %v", err)
	}
	if err := os.Chmod(loose, 0o757); err != nil {
		t.Fatal(err)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	inOpen := filepath.Join(open, "enemy")
	if err := os.WriteFile(inOpen, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "none"), "relative": "tokend-helper", "a folder": t.TempDir(),
		"world-writable": loose, "in a world-writable folder": inOpen,
		"another version": script(t, `echo '{"version":2,"kinds":[]}'`), "nonsense": script(t, "echo hello"), "failing": script(t, "exit 1"),
		"endless": script(t, "yes"),
	} {
		if err := helper.Check(path); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

// TestNoPINToAProgramOfOthers has the program become somebody else's to change
// after it was found to be good: no PIN is told to it.
func TestNoPINToAProgramOfOthers(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	path := script(t, "cat >"+told)
	c := client(path, tokens.KindSoft)
	spoil := map[string]func() error{
		"everybody may write it": func() error { return os.Chmod(path, 0o757) },
		"everybody may replace it": func() error {
			return errors.Join(os.Chmod(path, 0o755), os.Chmod(filepath.Dir(path), 0o777))
		},
	}
	if os.Geteuid() == 0 {
		spoil["another user's folder"] = func() error {
			return errors.Join(os.Chmod(path, 0o755), os.Chmod(filepath.Dir(path), 0o755), os.Chown(filepath.Dir(path), 12345, -1))
		}
	}
	for name, f := range spoil {
		if err := f(); err != nil {
			t.Fatal(err)
		}
		_, err := c.Enroll(t.Context(), tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte("a very secret passphrase")})
		wantCode(t, err, tokens.CodeProtocol)
		if b, err := os.ReadFile(told); err == nil {
			t.Fatalf("%s: it was told %q", name, b)
		}
	}
}

func TestHostileAnswers(t *testing.T) {
	long := strings.Repeat("a", wire.MaxLine+10)
	agree := tokens.AgreeRequest{Key: tokens.Key{Kind: tokens.KindPIV, Algorithm: tokens.P256}, Peer: point(t)}
	for name, body := range map[string]string{
		"nothing":           "",
		"not JSON":          "echo hello",
		"null":              "echo null",
		"empty":             "echo '{}'",
		"two at once":       `echo '{"event":"touch","result":{}}'`,
		"unknown event":     `echo '{"event":"dance"}'`,
		"unknown member":    `echo '{"result":{"shared":"AAAA"},"x":1}'`,
		"short secret":      `echo '{"result":{"shared":"AAAA"}}'`,
		"null result":       `echo '{"result":null}'`,
		"unknown code":      `echo '{"error":{"code":"boo","tries":1}}'`,
		"no end of line":    `printf '{"result":{"shared":"AAAA"}}'`,
		"binary":            `printf '\000\377\376\n'`,
		"long line":         "echo " + long,
		"endless line":      "yes | tr -d '\\n'",
		"endless touches":   `while :; do echo '{"event":"touch"}'; done`,
		"watch event":       `echo '{"watch":{"type":"ready","kind":"piv"}}'`,
		"deep":              "echo " + "'" + strings.Repeat("[", 20000) + "'",
		"crash":             "kill -SEGV $$",
		"closes its output": "exec >&-; sleep 0.1; exit 4",
		"fills stderr":      "head -c 1000000 /dev/zero | tr '\\0' x >&2",
	} {
		t.Run(name, func(t *testing.T) {
			// It is nonsense that ends it, however slow the machine is, and not the time.
			c := helper.New(helper.Config{Path: script(t, body), Kind: tokens.KindPIV, Timeout: time.Minute, ListTimeout: time.Minute})
			_, err := c.Agree(context.Background(), agree)
			wantCode(t, err, tokens.CodeProtocol)
		})
	}
}

func point(t testing.TB) []byte {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.PublicKey().Bytes()
}

func TestHostileDescriptions(t *testing.T) {
	for name, result := range map[string]string{
		"another kind":  `[{"kind":"soft","id":"x","locator":"x"}]`,
		"bad key":       `[{"kind":"piv","keys":[{"slot":"82","algorithm":"P-256","public":"BAAA","pin_policy":"never","touch_policy":"never"}]}]`,
		"bad algorithm": `[{"kind":"piv","keys":[{"slot":"82","algorithm":"P-1","public":"BAAA","pin_policy":"never","touch_policy":"never"}]}]`,
		"an object":     `{}`,
		"too many":      "[" + strings.Repeat(`{"kind":"piv"},`, 100) + `{"kind":"piv"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(script(t, "echo '{\"result\":"+result+"}'"), tokens.KindPIV).List(context.Background())
			wantCode(t, err, tokens.CodeProtocol)
		})
	}
	got, err := client(script(t, `printf '{"result":[{"kind":"piv","id":"a\\u001b[31mb","model":"x\\ny"}]}\n'`), tokens.KindPIV).List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got[0].ID != "a?[31mb" || got[0].Model != "x?y" {
		t.Fatalf("control characters came through: %q, %q", got[0].ID, got[0].Model)
	}
}

func TestErrorsPassThrough(t *testing.T) {
	_, err := client(script(t, `echo '{"error":{"code":"pin-invalid","tries":2,"detail":"wrong PIN"}}'`), tokens.KindPIV).List(context.Background())
	var told *tokens.Error
	if !errors.As(err, &told) || told.Code != tokens.CodePINInvalid || told.Tries != 2 || told.Detail != "wrong PIN" {
		t.Fatalf("got %#v", err)
	}
}

func TestTimeoutAndCancelKillTheGroup(t *testing.T) {
	// The child of the shell is in its group and must go as well.
	dir := t.TempDir()
	path := script(t, "sleep 600 & echo $! $$ > "+dir+"/pids.new; mv "+dir+"/pids.new "+dir+"/pids; wait")
	pids := func() []int {
		var out []int
		for range 100 {
			if b, err := os.ReadFile(dir + "/pids"); err == nil {
				for _, f := range strings.Fields(string(b)) {
					n, err := strconv.Atoi(f)
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, n)
				}
				os.Remove(dir + "/pids")
				return out
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("the program did not start")
		return nil
	}
	gone := func(pids []int) {
		t.Helper()
		for _, pid := range pids {
			for i := 0; running(pid); i++ {
				if i == 100 {
					t.Fatalf("process %d still runs", pid)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		var seen []int
		go func() { seen = pids(); cancel() }()
		began := time.Now()
		_, err := client(path, tokens.KindPIV).List(ctx)
		wantCode(t, err, tokens.CodeCancelled)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v does not wrap the context's", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Fatalf("cancelling took %v", took)
		}
		gone(seen)
	})
	t.Run("timeout", func(t *testing.T) {
		c := helper.New(helper.Config{Path: path, Kind: tokens.KindPIV, ListTimeout: 300 * time.Millisecond})
		_, err := c.List(context.Background())
		wantCode(t, err, tokens.CodeTimeout)
		gone(pids())
	})
}

// running is false for a process that is gone or a zombie.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	t.Setenv("TOKEND_TEST_SECRET", "hidden")
	t.Setenv("PCSCLITE_CSOCK_NAME", "/nowhere/pcscd.comm")
	out := filepath.Join(t.TempDir(), "env")
	path := script(t, "/usr/bin/env > "+out)
	_, err := client(path, tokens.KindPIV).List(context.Background())
	wantCode(t, err, tokens.CodeProtocol)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hidden") || !strings.Contains(string(b), "PCSCLITE_CSOCK_NAME=/nowhere") {
		t.Fatalf("environment:\n%s", b)
	}
}

func TestPINsAreInNoArgumentEnvironmentOrLog(t *testing.T) {
	const pin = "a very secret passphrase"
	var log bytes.Buffer
	var mu sync.Mutex
	c := helper.New(helper.Config{
		Path: script(t, "cat /proc/$$/cmdline /proc/$$/environ >&2; read a; read b; exit 1"), Kind: tokens.KindSoft,
		Log: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	_, err := c.Enroll(context.Background(), tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(pin)})
	wantCode(t, err, tokens.CodeProtocol)
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(log.String(), "enemy") {
		t.Fatalf("standard error was not logged: %s", log.String())
	}
	if strings.Contains(log.String(), "secret") || strings.Contains(err.Error(), "secret") {
		t.Fatalf("the passphrase is in: %s %v", log.String(), err)
	}
}

// TestSecretsAreHandledInTheGuard sees the guard entered for the request, for
// each line of the answer and for its result.
func TestSecretsAreHandledInTheGuard(t *testing.T) {
	var entered atomic.Int32
	c := helper.New(helper.Config{
		Path: script(t, `read a; read b; echo '{"event":"touch"}'; sleep 0.3; echo '{"result":{"shared":"`+strings.Repeat("AAAA", 10)+`AAA="}}'`),
		Kind: tokens.KindPIV, Guard: func(f func()) { entered.Add(1); f() },
	})
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	waiting := int32(-1)
	shared, err := c.Agree(t.Context(), tokens.AgreeRequest{
		Locator: "x", Key: tokens.Key{Kind: tokens.KindPIV, Algorithm: tokens.P256}, Peer: key.PublicKey().Bytes(), PIN: []byte("123456"),
		OnTouch: func() { waiting = entered.Load() },
	})
	if err != nil || len(shared) != 32 {
		t.Fatal(len(shared), err)
	}
	if got := entered.Load(); waiting != 2 || got != 4 {
		t.Errorf("it was entered %d times until the touch, %d in all; want 2 and 4", waiting, got)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestWatchRestartsWhatDies(t *testing.T) {
	dir := t.TempDir()
	path := script(t, `n=$(cat `+dir+`/n 2>/dev/null || echo 0); echo $((n+1)) > `+dir+`/n
echo '{"watch":{"type":"inserted","kind":"piv","token":{"kind":"piv","id":"'$n'"}}}'
echo '{"watch":{"type":"ready","kind":"piv"}}'
[ $n -ge 2 ] && exec sleep 600
exit 1`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var got []string
	err := client(path, tokens.KindPIV).Watch(ctx, func(e tokens.Event) {
		got = append(got, string(e.Type)+e.Token.ID)
		if e.Type == tokens.EventReady && len(got) >= 8 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	want := "inserted0 ready service-lost inserted1 ready service-lost inserted2 ready"
	if strings.Join(got, " ") != want {
		t.Fatalf("events %v, want %s", got, want)
	}
}

// TestOneCauseIsLoggedOnce, however often it is tried again.
func TestOneCauseIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	c := helper.New(helper.Config{
		Path: filepath.Join(t.TempDir(), "none"), Kind: tokens.KindPIV,
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	if err := c.Watch(ctx, func(tokens.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if warned, again := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "level=DEBUG"); warned != 1 || again < 2 {
		t.Errorf("it is warned of %d times, and said %d times more: %s", warned, again, log.String())
	}
}

func TestWatchGivesUpWhatIsUnsupported(t *testing.T) {
	err := client(program, "oath").Watch(context.Background(), func(tokens.Event) {})
	wantCode(t, err, tokens.CodeUnsupported)
}

// FuzzAnswers: no answer makes the reader panic or fail in an untyped way.
func FuzzAnswers(f *testing.F) {
	seeds := []string{
		"", "{}\n", "null\n", `{"event":"touch"}` + "\n" + `{"result":{"shared":"AAAA"}}` + "\n",
		`{"error":{"code":"removed","tries":-1}}` + "\n", `{"watch":{"type":"ready","kind":"piv"}}` + "\n", `{"result":`, "\xff\n", strings.Repeat("[", 5000) + "\n",
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(seeds) == 0 {
			t.Fatal("no seeds")
		}
		a := wire.NewAnswers(bytes.NewReader(b), true, nil)
		for {
			_, err := a.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if !errors.Is(err, wire.ErrFormat) {
					t.Fatalf("untyped error %v", err)
				}
				return
			}
		}
	})
}

// FuzzRequest: no request makes the helper's reader panic.
func FuzzRequest(f *testing.F) {
	var b bytes.Buffer
	err := wire.WriteRequest(&b, wire.Request{Kind: tokens.KindPIV, Op: wire.OpAgree, Agree: &tokens.AgreeRequest{Locator: "x", PIN: []byte("123456")}})
	if err != nil {
		f.Fatal(err)
	}
	if bytes.Contains(bytes.SplitN(b.Bytes(), []byte("\n"), 2)[0], []byte("MTIzNDU2")) {
		f.Fatal("the PIN is in the first line")
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"version":1,"op":"list"}` + "\n{}\n"))
	f.Add([]byte(`{"version":1,"op":"agree"}` + "\n{}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := wire.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err == nil && r.Op == wire.OpAgree && r.Agree == nil {
			t.Fatal("an incomplete request was taken")
		}
	})
}
