package vault

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

const killMark = "VAULT_TEST_KILLED"

// killJob is what the killed process is told.
type killJob struct {
	Dir, Pin, HOTP, Session, Touch string
}

func (j killJob) key() (*softKey, error) {
	k := &softKey{keys: map[tokens.Class]*ecdhPrivate{}, alg: tokens.X25519, kind: tokens.KindPIV, calls: map[tokens.Class]int{}}
	for c, s := range map[tokens.Class]string{tokens.ClassSession: j.Session, tokens.ClassTouch: j.Touch} {
		raw, err := hex.DecodeString(s)
		if err != nil {
			return nil, err
		}
		if k.keys[c], err = k.alg.Curve().NewPrivateKey(raw); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// TestKilledChild is the process that TestKill kills: it adds accounts and hands
// out counters until then, and tells of each only when it is done.
func TestKilledChild(t *testing.T) {
	raw := os.Getenv(killMark)
	if raw == "" {
		return // TestKill runs it
	}
	var j killJob
	if err := json.Unmarshal([]byte(raw), &j); err != nil {
		t.Fatal(err)
	}
	k, err := j.key()
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(Options{Dir: j.Dir, PinFile: j.Pin, ScryptLogN: 1})
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Unlock(t.Context(), k.way("one"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		n, err := v.NextCounter(j.HOTP)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("c", n)
		if i%3 != 0 {
			continue
		}
		a, err := v.Add(t.Context(), newAccounts(1, tokens.ClassSession, ""))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("a", a[0].ID)
		if i%6 == 3 {
			id, err := mergeOne(t.Context(), v, fmt.Sprintf("merged-%d-%d", os.Getpid(), i))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("a", id)
		}
		if all := v.Accounts(); len(all) > 40 { // to keep it small
			for _, old := range all[1:5] {
				fmt.Println("r", old.ID)
				if _, err := v.Remove(t.Context(), old.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// mergeOne brings in one account of a name and secret of its own.
func mergeOne(ctx context.Context, v *Vault, name string) (id string, err error) {
	list := newAccounts(1, tokens.ClassSession, "")
	list[0].Name, list[0].Secret = name, []byte(name)
	in, err := NewIncoming(list)
	if err != nil {
		return "", err
	}
	m, err := v.Merge(ctx, in, MergeOptions{Apply: true})
	if err != nil {
		return "", err
	}
	return m.Items[0].Account.ID, nil
}

// TestKill kills a process that uses a vault, 60 times or more, at random moments: the
// vault always opens, has what was acknowledged, and no counter comes twice.
func TestKill(t *testing.T) {
	r := newRig(t)
	r.key = newSoftKey(t, tokens.X25519, tokens.ClassSession, tokens.ClassTouch)
	n := r.key.slot("one", "")
	v, err := r.store.Create(t.Context(), &n, nil)
	if err != nil {
		t.Fatal(err)
	}
	hotp := r.add(v, append(newAccounts(1, tokens.ClassSession, "hotp"), newAccounts(6, tokens.ClassSession, "")...)...)[0].ID
	v.Lock()
	g := r.key.golden("one")
	job, err := json.Marshal(killJob{r.opt.Dir, r.opt.PinFile, hotp, g.Session, g.Touch})
	if err != nil {
		t.Fatal(err)
	}
	handed, want := map[string]bool{}, map[string]bool{}
	few := func() bool { return len(handed) < 100 || len(want) < 10 }
	// A slow machine does little between two of them, and has more.
	for i := 0; i < 60 || few() && i < 400; i++ {
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
		killOnce(t, string(job), handed, want)
		r.open()
		v := r.unlock(r.key.way("one"))
		if v.ReadOnly() || len(v.Notices()) > 0 {
			t.Fatalf("kill %d: %v, %q", i, v.Problem(), v.Notices())
		}
		for _, f := range r.store.undoFiles() {
			if f.number > v.Generation() {
				t.Fatalf("kill %d: generation %d takes back what was never written", i, f.number)
			}
		}
		there := map[string]bool{}
		for _, a := range v.Accounts() {
			there[a.ID] = true
		}
		for id := range want {
			if !there[id] {
				t.Fatalf("kill %d: an account is lost", i)
			}
		}
		c, err := v.NextCounter(hotp)
		if err != nil || handed[fmt.Sprint(c)] || c > uint64(len(handed)+i+1) {
			t.Fatalf("kill %d: counter %d after %d, %v", i, c, len(handed), err)
		}
		handed[fmt.Sprint(c)] = true
		v.Lock()
	}
	if few() {
		t.Fatalf("only %d counters and %d accounts between the kills", len(handed), len(want))
	}
}

// killOnce runs the child for a while and notes what it acknowledged.
func killOnce(t *testing.T, job string, handed, want map[string]bool) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), killMark+"="+job)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		_ = cmd.Process.Kill()
		t.Fatalf("the child says %q", lines.Text())
	}
	time.AfterFunc(time.Duration(rand.IntN(100_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	for lines.Scan() {
		what, id, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "c":
			if handed[id] {
				t.Errorf("counter %s twice", id)
			}
			handed[id] = true
		case "a":
			want[id] = true
		case "r":
			delete(want, id) // begun: it may be gone or not
		default:
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	_ = cmd.Wait() // it was killed
}
