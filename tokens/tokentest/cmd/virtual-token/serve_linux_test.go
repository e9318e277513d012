package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// session runs the program with pipes and returns what writes to it, its
// lines, and its end.
func session(t *testing.T, args ...string) (io.WriteCloser, <-chan string, <-chan int) {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	lines, code := make(chan string, 100), make(chan int, 1)
	go func() {
		var errOut bytes.Buffer
		c := run(args, inR, outW, &errOut)
		if errOut.Len() > 0 {
			lines <- errOut.String()
		}
		_ = outW.Close()
		code <- c
	}()
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(outR); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return inW, lines, code
}

// await returns the first line that matches.
func await(t *testing.T, lines <-chan string, pattern string) []string {
	t.Helper()
	re, limit := regexp.MustCompile(pattern), time.After(20*time.Second)
	var seen []string
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("no line like %q in %q", pattern, seen)
			}
			seen = append(seen, l)
			if m := re.FindStringSubmatch(l); m != nil {
				return m
			}
		case <-limit:
			t.Fatalf("no line like %q in %q", pattern, seen)
		}
	}
}

func say(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func TestByHand(t *testing.T) {
	in, lines, code := session(t, "-cards", "2", "-firmware", "5.4.3", "-touch", "ask")
	env := await(t, lines, `^export (PCSCLITE_CSOCK_NAME=.*)$`)[1]
	reader := await(t, lines, `^reader 1: (.*)$`)[1]
	await(t, lines, `^commands:`)
	tool := func(name string, args ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, append([]string{"-r", reader}, args...)...)
		cmd.Env = append(os.Environ(), env)
		return cmd.CombinedOutput()
	}
	if out, err := tool("yubico-piv-tool", "-a", "status"); err != nil || !strings.Contains(string(out), "5.4.3") {
		t.Fatalf("%v: %s", err, out)
	}
	const key = "010203040506070801020304050607080102030405060708"
	public := filepath.Join(t.TempDir(), "public.pem")
	if out, err := tool("ykman", "piv", "keys", "generate", "-m", key, "-P", "123456",
		"-a", "ECCP256", "--touch-policy", "ALWAYS", "9e", public); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sign := func() error {
		out, err := tool("ykman", "piv", "certificates", "generate", "-m", key, "-P", "123456", "-s", "CN=x", "9e", public)
		t.Logf("%s", out)
		return err
	}
	for answer, want := range map[string]bool{"": true, "n": false} {
		done := make(chan error)
		go func() { done <- sign() }()
		await(t, lines, `^touch\?`)
		say(t, in, answer)
		if err := <-done; (err == nil) != want {
			t.Errorf("the answer %q: %v", answer, err)
		}
	}
	say(t, in, "status")
	await(t, lines, `^card 1: inserted, .* keys in 9e`)
	await(t, lines, `^card 1: .* 1 of 2 touches given`)
	say(t, in, "remove 1")
	await(t, lines, `^card 1: removed`)
	say(t, in, "pin")
	await(t, lines, `^card 0: PIN tries 3, PUK tries 3`)
	say(t, in, "insert 1")
	await(t, lines, `^card 1: inserted`)
	for _, bad := range []string{"insert 7", "touch", "touch maybe", "dance"} {
		say(t, in, bad)
		await(t, lines, `no card|touch what|cannot understand|unknown command`)
	}
	say(t, in, "quit")
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

func TestKeysByHand(t *testing.T) {
	in, lines, code := session(t, "-cards", "0", "-fido2", "2", "-fido2-version", "2.0", "-fido2-protocols", "1", "-touch", "ask")
	path := await(t, lines, `^key 1: (.*)$`)[1]
	await(t, lines, `^tokend serve --user --fido2-device .*/key0 --fido2-device `+path+`$`)
	await(t, lines, `^commands:`)
	tool := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "timeout", append([]string{"-s", "KILL", "20", "fido2-token"}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := tool("-I", path); err != nil || !strings.Contains(out, "pin protocols: 1\n") || strings.Contains(out, "FIDO_2_1") {
		t.Fatalf("%v: %s", err, out)
	}
	for answer, want := range map[string]bool{"": true, "n": false} {
		done := make(chan error)
		go func() {
			_, err := tool("-R", path)
			done <- err
		}()
		await(t, lines, `^key 1 wants a touch for reset`)
		await(t, lines, `^touch\?`)
		say(t, in, answer)
		if err := <-done; (err == nil) != want {
			t.Errorf("the answer %q: %v", answer, err)
		}
	}
	say(t, in, "remove 1")
	await(t, lines, `^key 1: removed`)
	if out, err := tool("-I", path); err == nil {
		t.Errorf("a key that was pulled out answers: %s", out)
	}
	say(t, in, "status")
	await(t, lines, `^key 1: removed at `+path+`, PIN none`)
	await(t, lines, `^key 1: .* 1 of 2 touches given`)
	say(t, in, "insert key 1")
	await(t, lines, `^key 1: inserted`)
	if out, err := tool("-I", path); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	say(t, in, "pin")
	await(t, lines, `^key 0: PIN tries 8`)
	for _, bad := range []string{"insert card 0", "insert key 2", "restart", "insert x"} {
		say(t, in, bad)
		await(t, lines, `there is no `)
	}
	say(t, in, "quit")
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// TestReadersThatAreThere puts a card into a reader of vpcd that comes, goes and
// comes again.
func TestReadersThatAreThere(t *testing.T) {
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	atr := func(l net.Listener) net.Conn {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte{0, 1, 4}); err != nil { // one byte: the ATR, please
			t.Fatal(err)
		}
		answer := make([]byte, 3)
		if _, err := io.ReadFull(conn, answer); err != nil || answer[2] != 0x3B {
			t.Fatalf("%x, %v", answer, err)
		}
		return conn
	}
	l := listen("127.0.0.1:0")
	in, lines, code := session(t, "-cards", "1", "-vpcd", l.Addr().String())
	await(t, lines, `^PIN 123456`)
	conn := atr(l)
	_, _ = conn.Close(), l.Close()
	l = listen(l.Addr().String())
	defer l.Close()
	conn = atr(l)
	defer conn.Close()
	say(t, in, "remove card")
	await(t, lines, `^card 0: removed`)
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the card is still in: %v", err)
	}
	for _, step := range [][2]string{
		{"remove card", `reader 0 is empty`}, {"restart", `is not ours`}, {"insert", `^card 0: inserted`}, {"insert", `reader 0 holds one`},
	} {
		say(t, in, step[0])
		await(t, lines, step[1])
	}
	_ = atr(l).Close()
	say(t, in, "quit")
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

// TestKeptKeys starts the program twice on one folder: the PIN that was set is
// set.
func TestKeptKeys(t *testing.T) {
	folder := t.TempDir()
	for _, args := range [][]string{{"-fido2-pin", "4711"}, nil} {
		in, lines, code := session(t, append([]string{"-cards", "0", "-fido2", "1", "-fido2-saved", folder}, args...)...)
		await(t, lines, `^commands:`)
		say(t, in, "status")
		await(t, lines, `^key 0: inserted .*, PIN set`)
		say(t, in, "quit")
		if c := <-code; c != 0 {
			t.Fatalf("exit code %d", c)
		}
	}
}

func TestWrongCalls(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0}, {[]string{"-h"}, 0},
		{[]string{"-nonsense"}, 2}, {[]string{"x"}, 2}, {[]string{"-cards", "9"}, 1},
		{[]string{"-cards", "0"}, 1}, {[]string{"-fido2", "5"}, 1}, {[]string{"-fido2", "1", "-fido2-version", "3"}, 1},
		{[]string{"-fido2", "1", "-fido2-protocols", "x"}, 1}, {[]string{"-fido2", "1", "-fido2-protocols", "3"}, 1},
		{[]string{"-fido2", "1", "-fido2-pin", "123"}, 1},
		{[]string{"-firmware", "new"}, 1}, {[]string{"-touch", "maybe"}, 1},
		{[]string{"-vpcd", "localhost"}, 1}, {[]string{"-vpcd", "localhost:x"}, 1},
	} {
		var out, errOut bytes.Buffer
		if c := run(tt.args, strings.NewReader(""), &out, &errOut); c != tt.code || errOut.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", tt.args, c, errOut.String())
		}
	}
}
