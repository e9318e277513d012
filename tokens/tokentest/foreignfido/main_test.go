//go:build linux

package foreignfido

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// insert makes a key and puts it into a port of its own until the test ends.
func insert(t *testing.T, o vfido.Options) (*vfido.Key, *vfido.Port) {
	t.Helper()
	key, err := vfido.New(o)
	if err != nil {
		t.Fatal(err)
	}
	port := vfido.NewPort(filepath.Join(t.TempDir(), "key"))
	if err := port.Insert(key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Remove(); err != nil {
			t.Error(err)
		}
	})
	return key, port
}

// tool runs a program of fido2-tools at a terminal, where it asks for PINs, and
// returns all it says. It fails when it asks for more or fewer PINs.
func tool(t *testing.T, pins []string, name string, args ...string) (string, error) {
	t.Helper()
	return runTool(t, nil, pins, name, args...)
}

func runTool(t *testing.T, env, pins []string, name string, args ...string) (string, error) {
	t.Helper()
	// They wait for ever for a key that says nothing.
	cmd := exec.CommandContext(t.Context(), "timeout", append([]string{"--foreground", "-s", "KILL", "60", name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	terminal, err := pty.StartWithAttrs(cmd, nil, &syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var out bytes.Buffer
	b := make([]byte, 1024)
	asked := 0
	for {
		n, err := terminal.Read(b)
		out.Write(b[:n])
		if prompts := strings.Count(out.String(), "PIN for ") + strings.Count(out.String(), "PIN again: "); prompts > asked && strings.HasSuffix(out.String(), ": ") {
			if asked == len(pins) {
				t.Errorf("%s %q asks for a PIN: %s", name, args, out.String())
				_ = cmd.Process.Kill()
				break
			}
			if _, err := terminal.WriteString(pins[asked] + "\n"); err != nil {
				t.Fatal(err)
			}
			asked++
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	if asked < len(pins) {
		t.Errorf("%s %q asked for %d PINs, not %d: %s", name, args, asked, len(pins), out.String())
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), err
}

// say wants a program to succeed and to say all of the words.
func say(t *testing.T, words, pins []string, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, pins, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%s %q does not say %q: %s", name, args, w, out)
		}
	}
	return out
}

// refuse wants a program to fail and to say the word.
func refuse(t *testing.T, word string, pins []string, name string, args ...string) {
	t.Helper()
	out, err := tool(t, pins, name, args...)
	if err == nil || !strings.Contains(out, word) {
		t.Errorf("%s %q: %v: %s", name, args, err, out)
	}
}

// plain runs a program that needs no terminal.
func plain(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rp is the relying party of these tests.
const rp = "tokend.example"

func b64(n byte, size int) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, size))
}

// lines writes a file of lines.
func lines(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// made is a credential that fido2-cred made and checked.
type made struct {
	id     string // base64
	public string // path
}

// enrol makes a credential with fido2-cred and has it checked.
func enrol(t *testing.T, port *vfido.Port, kind string, pins []string, flags ...string) made {
	t.Helper()
	dir := t.TempDir()
	cred, public := filepath.Join(dir, "cred"), filepath.Join(dir, "public")
	in := lines(t, b64(1, 32), rp, "user", b64(2, 16))
	say(t, nil, pins, "fido2-cred", append(append([]string{"-M"}, flags...), "-i", in, "-o", cred, port.Path(), kind)...)
	var check []string
	for _, f := range flags {
		if f == "-h" || f == "-v" {
			check = append(check, f)
		}
	}
	say(t, nil, nil, "fido2-cred", append(append([]string{"-V"}, check...), "-i", cred, "-o", public, kind)...)
	all, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	id, pem, _ := strings.Cut(string(all), "\n")
	if err := os.WriteFile(public, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	return made{id, public}
}

// assertion runs fido2-assert for a credential with hmac-secret, has it
// checked, and returns the output of hmac-secret.
func assertion(t *testing.T, port *vfido.Port, kind string, c made, salt byte, pins []string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "assertion")
	in := lines(t, b64(3, 32), rp, c.id, b64(salt, 32))
	say(t, nil, pins, "fido2-assert", append(append([]string{"-G", "-h"}, flags...), "-i", in, "-o", out, port.Path())...)
	check := []string{"-V", "-h", "-p"}
	for i, f := range flags {
		if f == "-t" && (flags[i+1] == "pin=true" || flags[i+1] == "uv=true") {
			check = append(check, "-v")
		}
	}
	say(t, nil, nil, "fido2-assert", append(check, "-i", out, c.public, kind)...)
	l := readLines(t, out)
	return l[len(l)-1]
}
