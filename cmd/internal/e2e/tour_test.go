//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenbridge/tokend/ipc"
)

// TestTour runs command lines as a person types them, from the first vault to
// its repair, on the real daemon with the software token.
func TestTour(t *testing.T) {
	t.Parallel()
	tour(t, programs(t), "testdata/script")
}

// TestTourWithoutCgo has programs that were built without a C compiler do the
// same: the software token needs none, and hardware is refused with a reason.
func TestTourWithoutCgo(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "tokend-nocgo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p, err := Build(dir, false, "CGO_ENABLED=0")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("as ever", func(t *testing.T) { tour(t, p, "testdata/script") })
	t.Run("hardware", func(t *testing.T) { tour(t, p, "testdata/nocgo") })
}

type daemonKey struct{}

func tour(t *testing.T, p Programs, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			tb, ok := e.T().(testing.TB)
			if !ok {
				return errors.New("the script's test is no testing.TB")
			}
			// Nothing of the machine: no smart card service, no clipboard.
			d := NewDaemon(tb, p, []string{"PCSCLITE_CSOCK_NAME=/nonexistent"})
			e.Values[daemonKey{}] = d
			e.Vars = append(e.Vars, p.Env()...)
			e.Setenv("PATH", p.Dir+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("TOKEND_SOCKET", d.Socket)
			e.Setenv("VAULT", filepath.Join(d.State, "users", strconv.Itoa(os.Getuid())))
			e.Setenv("STATE", d.State)
			for i := range 10 { // the seeds of fobs in the scripts
				e.Setenv(fmt.Sprintf("S%d", i), fmt.Sprintf("313233343536373839303132333435363738393%d", i))
			}
			registerFiles(p.Leaks, d, e)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TMPDIR", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": daemonCommand, "exits": exitsCommand, "agrees": agreesCommand,
			"photograph": photographCommand, "flip": flipCommand, "newvault": newVaultCommand, "field": fieldCommand,
		},
	})
}

// registerFiles registers the secrets that a script has in its files, and the seeds of
// its fobs.
func registerFiles(l *Leaks, d *Daemon, e *testscript.Env) {
	for i := range 10 {
		l.Secret(d, e.Getenv(fmt.Sprintf("S%d", i)))
	}
	for _, pattern := range []string{"pin*", "pw*", "secret*", "pass*", "seed*", "*uri*", "recovery*"} {
		files, _ := filepath.Glob(filepath.Join(e.WorkDir, pattern))
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			flag := "--secret-file"
			if strings.HasPrefix(string(data), "otpauth:") {
				flag = "--uri-file"
			}
			l.handed(d, flag, string(data))
		}
	}
}

func daemonOf(ts *testscript.TestScript) *Daemon {
	d, ok := ts.Value(daemonKey{}).(*Daemon)
	if !ok {
		ts.Fatalf("there is no daemon")
	}
	return d
}

// daemonCommand is daemon start|stop|kill.
func daemonCommand(ts *testscript.TestScript, _ bool, args []string) {
	d := daemonOf(ts)
	switch strings.Join(args, " ") {
	case "start":
		d.Start()
	case "stop":
		d.Stop()
	case "kill":
		d.Kill()
	default:
		ts.Fatalf("usage: daemon start|stop|kill")
	}
}

// newVaultCommand moves the daemon to a state folder that is empty, as another
// machine's is.
func newVaultCommand(ts *testscript.TestScript, _ bool, _ []string) {
	d := daemonOf(ts)
	d.Stop()
	d.State += "-anew"
	ts.Setenv("VAULT", filepath.Join(d.State, "users", strconv.Itoa(os.Getuid())))
	d.Start()
}

// exitsCommand runs a program that must end with the exit code.
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("it ended with %v, not with exit code %s", err, args[0])
	}
}

// agreesCommand asks for a code with the rest of the arguments, and has oathtool
// make the same: agrees ALGORITHM DIGITS PERIOD SECRET ARGS…
func agreesCommand(ts *testscript.TestScript, _ bool, args []string) {
	digits, err := strconv.Atoi(args[1])
	ts.Check(err)
	period, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(ts.Exec("tokenctl", append([]string{"--json", "code"}, args[4:]...)...))
	var c ipc.Code
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &c))
	a := sample{name: args[4], typ: "totp", alg: args[0], digits: digits, period: period, secret: args[3]}
	tb := daemonOf(ts).tb
	checkValidity(tb, a, c)
	if want := a.oathtool(tb, c); c.Code != want {
		ts.Fatalf("code %s, oathtool says %s", c.Code, want)
	}
}

// fieldCommand puts a field of the last JSON document into a variable: field
// NAME VARIABLE.
func fieldCommand(ts *testscript.TestScript, _ bool, args []string) {
	var doc map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &doc))
	s, ok := doc[args[0]].(string)
	if !ok || s == "" {
		ts.Fatalf("no %s in %s", args[0], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[1], s)
}

// photographCommand takes the QR code that was just drawn as text into a PNG, as
// a telephone's camera would.
func photographCommand(ts *testscript.TestScript, _ bool, args []string) {
	const scale = 4
	lines := strings.Split(strings.TrimRight(ts.ReadFile("stdout"), "\n"), "\n")
	wide := 0
	for _, l := range lines {
		wide = max(wide, len([]rune(l)))
	}
	img := image.NewGray(image.Rect(0, 0, wide*scale, 2*len(lines)*scale))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for row, l := range lines {
		for column, r := range []rune(l) {
			for half, ink := range []string{"▀█", "▄█"} {
				if !strings.ContainsRune(ink, r) {
					continue
				}
				for y := range scale {
					for x := range scale {
						img.SetGray(column*scale+x, (2*row+half)*scale+y, color.Gray{})
					}
				}
			}
		}
	}
	var b bytes.Buffer
	ts.Check(png.Encode(&b, img))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// flipCommand changes one byte in the middle of a file.
func flipCommand(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}
