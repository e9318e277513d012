package helper_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/socketrig"
)

// connected is a client of a program that systemd starts for each connection.
func connected(t *testing.T, path string, kind tokens.Kind) *helper.Client {
	t.Helper()
	folder := socketrig.Start(t, socketrig.Options{Program: path, Kind: kind})
	return helper.New(helper.Config{Sockets: folder, Kind: kind, Timeout: 5 * time.Second, ListTimeout: 5 * time.Second})
}

// TestHelloOverTheSocket: the program says there what it says as a child.
func TestHelloOverTheSocket(t *testing.T) {
	want, err := helper.Ask(t.Context(), program)
	if err != nil {
		t.Fatal(err)
	}
	got, err := connected(t, program, tokens.KindPIV).Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Confined, " ") != strings.Join(want.Confined, " ") || len(got.Confined) == 0 || len(got.Kinds) != len(want.Kinds) {
		t.Errorf("%+v, want %+v", got, want)
	}
	_, err = connected(t, script(t, `read a; read b; echo '{"result":{"version":2,"kinds":[]}}'`), tokens.KindPIV).Hello(t.Context())
	wantCode(t, err, tokens.CodeProtocol)
}

// TestHostileAnswersOverTheSocket: what a connection says is believed no more than
// what a child says.
func TestHostileAnswersOverTheSocket(t *testing.T) {
	agree := tokens.AgreeRequest{Key: tokens.Key{Kind: tokens.KindPIV, Algorithm: tokens.P256}, Peer: point(t)}
	for name, body := range map[string]string{
		"nothing":      "",
		"not JSON":     "echo hello",
		"short secret": `echo '{"result":{"shared":"AAAA"}}'`,
		"unknown code": `echo '{"error":{"code":"boo","tries":1}}'`,
		"endless":      "yes | tr -d '\\n'",
		"watch event":  `echo '{"watch":{"type":"ready","kind":"piv"}}'`,
		"crash":        "kill -SEGV $$",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connected(t, script(t, body), tokens.KindPIV).Agree(t.Context(), agree)
			wantCode(t, err, tokens.CodeProtocol)
		})
	}
}

// TestHangUpEndsIt: a program is told by the end of its input that nobody waits any
// more, while it works, and one that does not care keeps nobody waiting.
func TestHangUpEndsIt(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ body, says string }{
		"heeds it": {`read a; read b; echo '{"event":"touch"}'; read c; echo ended >` + dir + `/heeds.new; mv ` + dir + `/heeds.new ` + dir + `/heeds`, dir + "/heeds"},
		"does not": {`read a; read b; echo '{"event":"touch"}'; exec sleep 600`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := connected(t, script(t, c.body), tokens.KindPIV).Agree(ctx, tokens.AgreeRequest{
				Key: tokens.Key{Kind: tokens.KindPIV, Algorithm: tokens.P256}, Peer: point(t), OnTouch: cancel,
			})
			wantCode(t, err, tokens.CodeCancelled)
			for began := time.Now(); c.says != ""; time.Sleep(5 * time.Millisecond) {
				if _, err := os.Stat(c.says); err == nil {
					return
				}
				if time.Since(began) > 20*time.Second {
					t.Fatal("the program was not told")
				}
			}
		})
	}
	t.Run("time", func(t *testing.T) {
		folder := socketrig.Start(t, socketrig.Options{Program: script(t, "exec sleep 600"), Kind: tokens.KindPIV})
		c := helper.New(helper.Config{Sockets: folder, Kind: tokens.KindPIV, ListTimeout: 300 * time.Millisecond})
		_, err := c.List(t.Context())
		wantCode(t, err, tokens.CodeTimeout)
	})
}

// TestNoPINToASocketOfOthers: nothing is told to whoever listens where others can
// put a socket, nor to another user's, nor where there is none.
func TestNoPINToASocketOfOthers(t *testing.T) {
	ask := func(folder, want string) {
		t.Helper()
		c := helper.New(helper.Config{Sockets: folder, Kind: tokens.KindPIV})
		_, err := c.Enroll(t.Context(), tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte("123456")})
		wantCode(t, err, tokens.CodeProtocol)
		if why := errors.Unwrap(err); why == nil || !strings.Contains(why.Error(), want) {
			t.Errorf("%v, want %q", why, want)
		}
	}
	good := socketrig.Start(t, socketrig.Options{Program: script(t, "cat >&2"), Kind: tokens.KindPIV})
	if err := os.Chmod(good, 0o777); err != nil {
		t.Fatal(err)
	}
	ask(good, "can be changed by everybody")
	ask("relative", "not absolute")
	ask(filepath.Join(good, "none"), "cannot find")
	file := t.TempDir()
	if err := os.WriteFile(filepath.Join(file, "piv-op.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ask(file, "is no socket")
	if os.Geteuid() != 0 {
		return
	}
	// A folder like /tmp is nobody's, so the socket's maker is what counts.
	shared, err := os.MkdirTemp("", "shared")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shared) })
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	as := []string{"setpriv", "--reuid=65534", "--clear-groups"}
	socketrig.Start(t, socketrig.Options{Program: "/bin/cat", Kind: tokens.KindPIV, As: as, Folder: shared})
	ask(shared, "user 65534 listens")
}

// TestConnectionGoneIsAnEnd: a program that reads nothing resets the connection when
// it ends, which is an end as any other.
func TestConnectionGoneIsAnEnd(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "piv-op.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			one := make([]byte, 1)
			_, _ = io.ReadFull(c, one) // the rest is left unread
			c.Close()
		}
	}()
	c := helper.New(helper.Config{Sockets: filepath.Dir(l.Addr().String()), Kind: tokens.KindPIV})
	_, err = c.List(t.Context())
	wantCode(t, err, tokens.CodeProtocol)
	if !strings.Contains(err.Error(), "ended without an answer") {
		t.Errorf("%v", err)
	}
}

// TestWatchOverTheSocket: a watch goes on when its program dies, and ends it when it
// is over.
func TestWatchOverTheSocket(t *testing.T) {
	dir := t.TempDir()
	c := connected(t, script(t, `echo $$ >`+dir+`/$$
echo '{"watch":{"type":"ready","kind":"piv"}}'
exec sleep 600`), tokens.KindPIV)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ready := 0
	err := c.Watch(ctx, func(e tokens.Event) {
		if e.Type != tokens.EventReady {
			return
		}
		if ready++; ready == 3 {
			cancel()
			return
		}
		pids, _ := filepath.Glob(dir + "/*")
		for _, p := range pids {
			_ = os.Remove(p)
			_ = exec.Command("kill", "-9", filepath.Base(p)).Run()
		}
	})
	if !errors.Is(err, context.Canceled) || ready != 3 {
		t.Fatalf("%d times ready, %v", ready, err)
	}
	pids, _ := filepath.Glob(dir + "/*")
	for _, p := range pids { // sleep hears nothing; it is systemd that would end it
		if pid, err := strconv.Atoi(filepath.Base(p)); err == nil && pid > 1 {
			_ = exec.Command("kill", "-9", filepath.Base(p)).Run()
		}
	}
	c = connected(t, program, tokens.KindSoft)
	short, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if err := c.Watch(short, func(e tokens.Event) { stop() }); err == nil {
		t.Error("a watch ended well")
	}
}
