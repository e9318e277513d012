//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
)

// soakCycles says how often TestSoak pulls tokens out and puts them in; "make
// soak" does it 1,000 times.
const soakCycles = "TOKEND_TEST_SOAK"

const (
	soakClients = 8
	// soakPatience is longer than any call may take: a mute card is given up
	// after 25 s.
	soakPatience = 45 * time.Second
)

// TestSoak pulls tokens out and puts them in at random moments, kills the smart
// card service now and then, and has clients ask for codes all the while: no
// wrong code, no stuck call, no try of a PIN lost, and in the end the daemon has
// as many helpers and descriptors as in the beginning.
func TestSoak(t *testing.T) {
	t.Parallel()
	cycles := 25
	if want := os.Getenv(soakCycles); want != "" {
		var err error
		if cycles, err = strconv.Atoi(want); err != nil || cycles < 1 {
			t.Fatalf("%s is %q, and no number of cycles", soakCycles, want)
		}
	}
	s := newSoak(t)
	s.idle()
	before := s.resources()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for n := range soakClients {
		clients.Go(func() { s.client(n, stop) })
	}
	// On a machine that does much else, the clients get less done meanwhile.
	n := 0
	for ; (n < cycles || n < 4*cycles && !s.enough(cycles)) && !t.Failed(); n++ {
		s.cycle(n)
	}
	close(stop)
	clients.Wait()
	s.after()
	after := s.resources()
	by, unlocks := "", int64(0)
	for i, k := range s.plugs {
		n := s.unlocks[i].Load()
		unlocks += n
		by += fmt.Sprintf(", %d by the %s", n, k.name())
	}
	t.Logf("%d cycles, %d restarts of a service that hung, %d codes, %d refusals, %d unlocks%s; %v before, %v after", n, s.hung, s.codes.Load(), s.refused.Load(), unlocks, by, before, after)
	after.flat(t, before)
	if s.hung > 2+n/8 {
		t.Errorf("the service hung %d times", s.hung)
	}
	if !s.enough(cycles) {
		t.Error("too little happened for this to prove anything")
	}
}

// enough says that the clients did enough for so many cycles to prove something.
func (s *soak) enough(cycles int) bool {
	unlocks := int64(0)
	for i := range s.unlocks {
		unlocks += s.unlocks[i].Load()
	}
	return s.codes.Load() >= int64(cycles) && unlocks >= int64(cycles)/10
}

// soak is a daemon with tokens that come and go.
type soak struct {
	*Daemon
	t        *testing.T
	rig      *rig.Rig
	plugs    []plug
	ids      []string // of their keyslots
	accounts []sample

	hung int // how often the service had to be restarted

	codes, refused atomic.Int64
	unlocks        [4]atomic.Int64 // by each of plugs
}

func newSoak(t *testing.T) *soak {
	r := rig.Start(t, rig.Options{})
	pinned, bare := newFIDOKey(t, "key with a PIN", keyPIN), newFIDOKey(t, "key without", "")
	s := &soak{t: t, rig: r}
	s.Daemon = NewDaemon(t, programs(t), r.Env(), "--fido2-device", pinned.device(), "--fido2-device", bare.device())
	s.plugs = []plug{newPIVKey(t, r, 0, "first"), newPIVKey(t, r, 1, "second"), pinned, bare}
	s.Start()
	for i, k := range s.plugs {
		args := []string{"init", "--no-recovery-password"}
		if i > 0 {
			args = []string{"token", "enroll", "--auth-token", s.plugs[0].name(), "--auth-pin-file", s.plugs[0].pinFile()}
		}
		s.OK("", slices.Concat(args, []string{"--label", k.name()}, k.enroll())...)
	}
	var list ipc.TokenList
	s.JSON(&list, "token", "list")
	for _, k := range s.plugs {
		for _, tok := range list.Tokens {
			if tok.Label == k.name() {
				s.ids = append(s.ids, tok.ID)
			}
		}
	}
	s.accounts = samples(4)
	for _, a := range s.accounts {
		s.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", a.class)
	}
	return s
}

// cycle pulls one token, or all, and puts them in again; every tenth time the
// service dies in between.
func (s *soak) cycle(n int) {
	pause := func() { time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) }
	out := []plug{s.plugs[rand.IntN(len(s.plugs))]}
	if n%5 == 0 {
		out = s.plugs
	}
	pause()
	for _, k := range out {
		if err := k.remove(); err != nil {
			s.unhang(n, err)
		}
	}
	pause()
	if n%10 == 9 {
		if err := s.rig.RestartPCSCD(); err != nil {
			s.t.Errorf("cycle %d: %v", n, err)
		}
	}
	for _, k := range out {
		if k.in() {
			continue
		}
		if err := k.insert(); err != nil {
			s.unhang(n, err)
		}
	}
}

// unhang restarts the smart card service where a virtual reader hangs in it: the
// driver of those does that, now and then, when a card leaves in the middle of a
// command and comes again. It is one more restart that the daemon survives; too
// many would be a fault of something else.
func (s *soak) unhang(n int, why error) {
	s.t.Logf("cycle %d: the service is restarted: %v", n, why)
	s.hung++
	if err := s.rig.RestartPCSCD(); err != nil {
		s.t.Errorf("cycle %d: %v", n, err)
	}
	for _, k := range s.plugs {
		if k.in() {
			continue
		}
		if err := k.insert(); err != nil {
			s.t.Errorf("cycle %d: %v", n, err)
		}
	}
}

// client asks for codes until stop, as one that unlocks where it has to, and then
// asks for several at once.
func (s *soak) client(n int, stop chan struct{}) {
	for i := n; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rand.IntN(100)) * time.Millisecond):
		}
		if s.ask(i) != 12 {
			continue
		}
		which := s.any()
		r := s.Ctl("", append([]string{"unlock", "--token", s.ids[which]}, pinOf(s.plugs[which])...)...)
		if r.Exit != 0 {
			s.judge(s.accounts[0], r)
			continue
		}
		s.unlocks[which].Add(1)
		for range s.accounts {
			i++
			s.ask(i)
		}
	}
}

// ask asks for a code, judges what comes of it, and returns the exit code.
func (s *soak) ask(i int) int {
	a := s.accounts[i%len(s.accounts)]
	r := s.Ctl("", "--json", "code", a.name)
	if r.Exit != 12 || r.Took > soakPatience {
		s.judge(a, r)
	}
	return r.Exit
}

// any is a token to unlock with, mostly one that is plugged in just now: one that
// is not says so at once, and tries nothing.
func (s *soak) any() int {
	which := rand.IntN(len(s.plugs))
	for tries := 0; !s.plugs[which].in() && tries < 4; tries++ {
		which = rand.IntN(len(s.plugs))
	}
	return which
}

// judge fails the test unless a call ended in the right code, or was refused for
// a reason that a token which comes and goes can give.
func (s *soak) judge(a sample, r Result) {
	if r.Took > soakPatience {
		s.t.Errorf("stuck: %s", r)
	}
	switch r.Exit {
	case 0:
		s.codes.Add(1)
		if err := a.check(r.Stdout); err != nil {
			s.t.Errorf("%v: %s", err, r)
		}
	case 12, 13, 15:
		s.refused.Add(1)
	case 1: // busy, which says so; anything else is a failure of the daemon's
		s.refused.Add(1)
		if !strings.Contains(r.Stdout, `"busy"`) && !strings.Contains(r.Stderr, "another program") {
			s.t.Errorf("%s", r)
		}
	default:
		s.t.Errorf("%s", r)
	}
}

// check compares a code with what is made of the secret here.
func (a sample) check(stdout string) error {
	var c ipc.Code
	if err := unmarshal(stdout, &c); err != nil {
		return fmt.Errorf("no code: %w", err)
	}
	want, err := totp.GenerateCodeCustom(a.secret, c.ValidFrom, totp.ValidateOpts{
		Period: uint(a.period), Digits: otp.Digits(a.digits),
		Algorithm: map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}[a.alg],
	})
	if err != nil {
		return err
	}
	if c.Code != want {
		return fmt.Errorf("a wrong code: %s, not %s", c.Code, want)
	}
	return nil
}

// after checks that all is well once nobody pulls anything.
func (s *soak) after() {
	for _, k := range s.plugs {
		if !k.in() { // it left by itself, with the reader
			if err := k.insert(); err != nil {
				s.unhang(-1, err)
			}
		}
	}
	for i, k := range s.plugs {
		Eventually(s.t, soon(), func() error {
			if err := s.try(append([]string{"unlock", "--token", s.ids[i]}, pinOf(k)...)...); err != nil {
				return fmt.Errorf("%w\nwhere %s", err, s.Ctl("", "token", "list"))
			}
			return nil
		})
		for _, a := range s.accounts {
			checkOne(s.t, s.Daemon, a)
		}
		s.OK("", "lock")
		s.unspent(k)
	}
	s.idle()
}

// unspent checks that no try of a PIN was lost.
func (s *soak) unspent(k plug) {
	s.t.Helper()
	var tries, failures, want int
	switch k := k.(type) {
	case *pivKey:
		tries, failures, want = k.card.PINTries(), k.card.Counts().PINFailures, 3
	case *fidoKey:
		tries, failures, want = k.key.PINTries(), k.key.Counts().PINFailures, 8
	}
	if tries != want || failures != 0 {
		s.t.Errorf("%s lost tries of its PIN: %d are left, and %d failed", k.name(), tries, failures)
	}
}

// idle waits until the helpers are those that only watch.
func (d *Daemon) idle() {
	last := d.resources()
	for same := 0; same < 10; time.Sleep(100 * time.Millisecond) {
		now := d.resources()
		if same++; now.helpers != last.helpers || now.files != last.files {
			same = 0
		}
		last = now
	}
}

// resources is what a process has of the machine.
type resources struct{ helpers, files, threads int }

func (r resources) String() string {
	return fmt.Sprintf("%d helpers, %d descriptors, %d threads", r.helpers, r.files, r.threads)
}

// flat fails the test unless r is about what there was before. Go keeps threads
// that it once had use for.
func (r resources) flat(t *testing.T, before resources) {
	t.Helper()
	if r.helpers != before.helpers || r.files > before.files+4 || r.threads > before.threads+16 {
		t.Errorf("the daemon had %v before, and has %v after", before, r)
	}
}

// resources is what the daemon has now.
func (d *Daemon) resources() resources {
	dir := fmt.Sprintf("/proc/%d", d.PID())
	var r resources
	tasks, _ := filepath.Glob(dir + "/task/*/children")
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		r.helpers += len(strings.Fields(string(b)))
	}
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		d.tb.Errorf("the daemon is gone: %v", err)
	}
	status, _ := os.ReadFile(dir + "/status")
	_, after, _ := bytes.Cut(status, []byte("Threads:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	r.files = len(files)
	r.threads, _ = strconv.Atoi(string(bytes.TrimSpace(line)))
	return r
}
