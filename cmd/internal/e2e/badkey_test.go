//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// badKey is a FIDO2 key that answers badly.
type badKey struct {
	name  string
	fault vfido.Fault
	// silent says that it does not get as far as telling what it is: it is listed
	// with a problem.
	silent bool
	// usable says that it does work, in the end.
	usable bool
}

// badSweep says that TestBadFIDO2Keys tries all kinds of bad keys; else it tries
// one of each sort.
const badSweep = "TOKEND_TEST_SWEEP"

// badKeys are in groups that are tried side by side, as most of the time is
// spent on waiting for keys that do not answer. The first three of each are tried
// always.
func badKeys() [][]badKey {
	reply := func(b ...byte) vfido.Fault { return vfido.Fault{Kind: vfido.FaultReply, Data: b, Times: -1} }
	always := func(kind vfido.FaultKind) vfido.Fault { return vfido.Fault{Kind: kind, Times: -1} }
	at := func(c vfido.Command, f vfido.Fault) vfido.Fault { f.Command = c; return f }
	groups := [][]badKey{
		{
			{name: "mute", fault: always(vfido.FaultMute), silent: true},
			{name: "a lie", fault: at(vfido.CommandGetAssertion, always(vfido.FaultLie)), usable: true},
			{name: "CBOR without end", fault: at(vfido.CommandGetInfo, reply(append([]byte{0}, bytes.Repeat([]byte{0x81}, 2000)...)...)), silent: true},
			{name: "mute when asked for credentials", fault: at(vfido.CommandGetAssertion, always(vfido.FaultMute))},
			{name: "other CBOR", fault: at(vfido.CommandGetInfo, reply(0, 0xa1, 0x18, 0xff, 0x9f)), silent: true},
			{name: "for another channel", fault: always(vfido.FaultChannel), silent: true},
		},
		{
			{name: "keepalives when asked for credentials", fault: at(vfido.CommandGetAssertion, always(vfido.FaultKeepalive))},
			{name: "garbage", fault: at(vfido.CommandGetInfo, always(vfido.FaultGarbage)), silent: true},
			{name: "more announced than sent", fault: always(vfido.FaultLongCount), silent: true},
			{name: "a huge map", fault: at(vfido.CommandGetInfo, reply(0, 0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), silent: true},
			{name: "half", fault: always(vfido.FaultTruncate), silent: true},
			{name: "nonsense from the beginning", fault: always(vfido.FaultGarbage), silent: true},
		},
		{
			{name: "too long", fault: at(vfido.CommandGetInfo, always(vfido.FaultOversize)), silent: true},
			{name: "gone when asked for credentials", fault: at(vfido.CommandGetAssertion, vfido.Fault{Kind: vfido.FaultVanish})},
			{name: "slow", fault: vfido.Fault{Kind: vfido.FaultSlow, Delay: 150 * time.Millisecond, Times: -1}, usable: true},
			{name: "endless keepalives", fault: always(vfido.FaultKeepalive), silent: true},
			{name: "less announced than sent", fault: always(vfido.FaultShortCount), silent: true},
			{name: "gone when asked", fault: at(vfido.CommandGetInfo, vfido.Fault{Kind: vfido.FaultVanish}), silent: true},
		},
	}
	if os.Getenv(badSweep) == "" {
		for i := range groups {
			groups[i] = groups[i][:3]
		}
	}
	return groups
}

// TestBadFIDO2Keys has a key that answers badly beside an enrolled one that is
// well: every command ends in bounded time, with bounded memory and a clear
// word; the good key works meanwhile, at once; no PIN reaches the bad one; and
// the daemon is as it was.
func TestBadFIDO2Keys(t *testing.T) {
	t.Parallel()
	for i, group := range badKeys() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			b := newBadBench(t)
			for _, bad := range group {
				t.Run(bad.name, func(t *testing.T) { b.try(t, bad) })
			}
			b.tb = t
			b.idle()
			after := b.resources()
			t.Logf("%v before, %v after; a helper took at most %d MiB", b.before, after, b.peak.Load()>>10)
			after.flat(t, b.before)
			if b.peak.Load() > badRSS || b.peak.Load() == 0 {
				t.Errorf("a helper took %d KiB", b.peak.Load())
			}
			b.OK("", "audit", "verify")
		})
	}
}

// badRSS bounds what a helper takes, in KiB: several times what it does when all
// is well, with the race detector in it.
const badRSS = 256 << 10

// badBench is a vault on a good key with a PIN, and a port for bad ones.
type badBench struct {
	*Daemon
	good           *fidoKey
	port           *vfido.Port
	session, touch sample
	before         resources
	peak           atomic.Int64 // KiB
}

func newBadBench(t *testing.T) *badBench {
	t.Helper()
	s := samples(2)
	b := &badBench{
		good: newFIDOKey(t, "good", keyPIN), port: vfido.NewPort(filepath.Join(t.TempDir(), "bad")),
		session: s[0], touch: s[1],
	}
	b.Daemon = NewDaemon(t, programs(t), []string{"PCSCLITE_CSOCK_NAME=/nonexistent"}, "--fido2-device", b.good.device(), "--fido2-device", b.port.Path())
	b.Start()
	b.OK("", slices.Concat([]string{"init", "--label", "good", "--no-recovery-password"}, b.good.enroll())...)
	for _, a := range s {
		b.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", a.class)
	}
	b.idle()
	b.before = b.resources()
	ctx, stop := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() { b.weigh(ctx, b.PID()) })
	t.Cleanup(func() {
		stop()
		watcher.Wait()
		_ = b.port.Remove()
	})
	return b
}

// weigh notes how much memory the helpers take at most.
func (b *badBench) weigh(ctx context.Context, daemon int) {
	for ctx.Err() == nil {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", daemon))
		for _, file := range tasks {
			list, _ := os.ReadFile(file)
			for _, pid := range strings.Fields(string(list)) {
				status, _ := os.ReadFile("/proc/" + pid + "/status")
				_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
				if fields := bytes.Fields(after); len(fields) > 0 {
					n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
					b.peak.Store(max(b.peak.Load(), n))
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// within runs tokenctl, and fails the test unless it ends as it should, in time,
// and with a clear word.
func (b *badBench) within(t *testing.T, limit time.Duration, exits []int, args ...string) Result {
	t.Helper()
	r := b.Ctl("", args...)
	if r.Took > limit {
		t.Errorf("more than %v: %s", limit, r)
	}
	if !slices.Contains(exits, r.Exit) {
		t.Errorf("want exit %v: %s", exits, r)
	}
	if r.Exit != 0 && !strings.HasPrefix(r.Stderr, "tokenctl: ") && !strings.Contains(r.Stderr, "\ntokenctl: ") && !strings.Contains(r.Stdout, "error") {
		t.Errorf("no clear word: %s", r)
	}
	for _, w := range []string{"panic", "goroutine "} {
		if strings.Contains(r.Stderr+r.Stdout, w) {
			t.Errorf("a stack trace: %s", r)
		}
	}
	return r
}

// try plugs in a bad key and does all that a user may do meanwhile.
func (b *badBench) try(t *testing.T, bad badKey) {
	b.tb = t
	key, err := vfido.New(vfido.Options{PIN: "the bad one's PIN"})
	if err != nil {
		t.Fatal(err)
	}
	key.Inject(bad.fault)
	b.OK("", "lock")
	if err := b.port.Insert(key); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.port.Remove(); err != nil {
			t.Error(err)
		}
		Eventually(t, soon(), func() error {
			if tok := b.listed(b.port.Path()); tok != nil {
				return fmt.Errorf("still listed: %+v", *tok)
			}
			return nil
		})
	}()
	// At once, and again when the bad one had time to show what it is.
	for _, when := range []string{"at once", "later"} {
		b.unlocks(t, when)
		b.within(t, soon(), []int{0}, "token", "list")
	}
	if n := key.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 {
		t.Errorf("it was shown %d PINs and asked for %d touches", n.PINsSeen, n.TouchesAsked)
	}
	b.asks(t, bad, key)
}

// unlocks opens the vault by the good key and takes codes, all of which must not
// wait for the bad one.
func (b *badBench) unlocks(t *testing.T, when string) {
	t.Helper()
	b.OK("", "lock")
	r := b.within(t, soon(), []int{0}, "unlock", "--pin-file", b.good.pinFile())
	c := b.within(t, soon(), []int{0}, "code", b.touch.name)
	t.Logf("%s: unlocked after %v, a touch code after %v", when, r.Took.Round(time.Millisecond), c.Took.Round(time.Millisecond))
	checkOne(t, b.Daemon, b.session)
	checkOne(t, b.Daemon, b.touch)
}

// asks has the bad key itself asked.
func (b *badBench) asks(t *testing.T, bad badKey, key *vfido.Key) {
	t.Helper()
	if bad.fault.Kind != vfido.FaultVanish { // it is given a while to come to its senses
		Eventually(t, 5*time.Second+soon(), func() error {
			if b.listed(b.port.Path()) == nil {
				return fmt.Errorf("it is not listed")
			}
			return nil
		})
	}
	doctor := b.within(t, 15*time.Second, []int{0, 1, 13}, "doctor")
	tok := b.listed(b.port.Path())
	switch {
	case bad.fault.Kind == vfido.FaultVanish:
		if tok != nil && b.port.Key() == nil {
			Eventually(t, soon(), func() error {
				if b.listed(b.port.Path()) != nil {
					return fmt.Errorf("it is gone, and listed")
				}
				return nil
			})
		}
		return
	case tok == nil:
		t.Errorf("it is not listed")
		return
	case bad.silent && tok.Problem == nil:
		t.Errorf("it is listed without a problem: %+v", *tok)
	case tok.Enrolled:
		t.Errorf("it is taken for an enrolled one: %+v", *tok)
	case bad.silent && !strings.Contains(doctor.Stdout+doctor.Stderr, "the key "): // does not answer, answers nonsense
		t.Errorf("the doctor does not name it: %s", doctor)
	}
	info := b.within(t, 15*time.Second, wanted(bad, 0, 13), "token", "info", tok.ID)
	enroll := b.within(t, 40*time.Second, wanted(bad, 13), "token", "enroll", "--label", "bad", "--token", "fido2", "--device", b.port.Path(),
		"--pin-file", File(t, "the bad one's PIN"), "--auth-token", "good")
	t.Logf("doctor after %v, info %d after %v, enroll %d after %v: %s", doctor.Took.Round(time.Millisecond),
		info.Exit, info.Took.Round(time.Millisecond), enroll.Exit, enroll.Took.Round(time.Millisecond), enroll.Stderr)
	if enroll.Exit == 0 {
		b.OK("", "token", "revoke", "bad", "--yes", "--auth-token", "good")
	}
	if n := key.PINTries(); n != 8 {
		t.Errorf("%d tries of its PIN are left", n)
	}
}

// wanted are the exit codes that a bad key may lead to.
func wanted(bad badKey, exits ...int) []int {
	if bad.usable {
		return []int{0}
	}
	return exits
}

// listed is the token that is plugged in at a place, nil where none is.
func (d *Daemon) listed(locator string) *ipc.Token {
	d.tb.Helper()
	var list ipc.TokenList
	d.JSON(&list, "token", "list")
	for _, t := range list.Tokens {
		if t.Present && t.Locator == locator {
			return &t
		}
	}
	return nil
}
