package authority

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

const killMark = "AUTHORITY_TEST_KILLED"

type silent struct{}

func (silent) Audit(Entry) {}

func killOptions(dir string) Options {
	return Options{
		Dir: filepath.Join(dir, "authority"), Key: store.KeyFile(filepath.Join(dir, "key")), Audit: silent{},
		Wait: func(context.Context, time.Duration) error { return nil },
	}
}

// TestKilledChild is the process that TestKill kills. It verifies passcode after
// passcode until then, four at once, and tells of each that was accepted. Before,
// it tries the ones that the process before may have accepted.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killMark)
	if dir == "" {
		return // TestKill runs it
	}
	a, err := Open(killOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		go func() {
			serial := fmt.Sprint("K", i)
			f, err := a.Fob(serial)
			if err != nil {
				panic(err)
			}
			for c := f.Counter - min(f.Counter, 8); ; c++ {
				v, err := a.Verify(t.Context(), Attempt{Service: "vpn", User: "user" + serial, Passcode: []byte(code(serial, c))})
				if err != nil {
					panic(err)
				}
				if v.Accepted {
					// One write of a short line is not torn.
					_, _ = fmt.Fprintf(os.Stdout, "%s %d\n", serial, c)
				}
			}
		}()
	}
	select {}
}

// TestKill kills a process that verifies, 200 times at any moment: no passcode is
// ever accepted twice, and the registry opens every time.
func TestKill(t *testing.T) {
	const kills = 200
	dir := t.TempDir()
	if err := store.KeyFile(filepath.Join(dir, "key")).Create(); err != nil {
		t.Fatal(err)
	}
	a, err := Create("owner", killOptions(dir), Profile{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		serial := fmt.Sprint("K", i)
		if _, err := a.ImportFobs("owner", []Seed{seedOf(serial, fob.HOTP)}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.AddUser("owner", User{Name: "user" + serial}); err != nil {
			t.Fatal(err)
		}
		if _, err := a.AssignFob("owner", serial, "user"+serial); err != nil {
			t.Fatal(err)
		}
	}
	_ = a.Close()
	seen := map[string]int{}
	r := rand.New(rand.NewPCG(1, 9))
	for n := range kills {
		for _, line := range killOnce(t, dir, r) {
			if first, twice := seen[line]; twice {
				t.Fatalf("%s was accepted before kill %d, and again before kill %d", line, first, n)
			}
			seen[line] = n
		}
	}
	t.Logf("%d passcodes were accepted over %d kills", len(seen), kills)
	if len(seen) < kills {
		t.Errorf("only %d passcodes were accepted", len(seen))
	}
}

// killOnce runs the child until it has accepted some, and a moment longer.
func killOnce(t *testing.T, dir string, r *rand.Rand) (accepted []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killMark+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	some := 1 + r.IntN(12)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "K") {
			t.Errorf("the process says %q", line)
			break
		}
		accepted = append(accepted, line)
		if len(accepted) == some {
			moment := time.Duration(r.IntN(3000)) * time.Microsecond
			time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
		}
	}
	if len(accepted) < some {
		t.Errorf("the process ended after %d", len(accepted))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return accepted
}
