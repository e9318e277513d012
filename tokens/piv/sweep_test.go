//go:build cgo && linux

package piv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// sweepAll has the sweeps try every fault at every command, which takes minutes,
// in place of one fault at every third command.
const sweepAll = "TOKEND_TEST_SWEEP"

// sweepsAll says whether the environment asks for that.
func sweepsAll() bool { return os.Getenv(sweepAll) != "" }

const (
	// sweepLimit bounds an operation on a card that does answer, and sweepHaste
	// one on a card that does not, or that has no end.
	sweepLimit = 10 * time.Second
	sweepHaste = 1500 * time.Millisecond
	// rssLimit is more than twice what a helper needs that does its work.
	rssLimit = 160 << 10 // KiB
)

// sweepFaults are bad answers that leave the card where it is.
func sweepFaults() map[string]vpiv.Fault {
	reply := func(b ...byte) vpiv.Fault { return vpiv.Fault{Kind: vpiv.FaultReply, Data: b} }
	return map[string]vpiv.Fault{
		"garbage":            {Kind: vpiv.FaultGarbage},
		"first byte alone":   {Kind: vpiv.FaultTruncate},
		"a byte too many":    {Kind: vpiv.FaultLength},
		"a byte too few":     {Kind: vpiv.FaultShort},
		"9000 alone":         reply(0x90, 0),
		"6f00":               {Kind: vpiv.FaultStatus, Status: 0x6F00},
		"6982":               {Kind: vpiv.FaultStatus, Status: 0x6982},
		"6a82":               {Kind: vpiv.FaultStatus, Status: 0x6A82},
		"6c10":               {Kind: vpiv.FaultStatus, Status: 0x6C10},
		"more, and nothing":  {Kind: vpiv.FaultStatus, Status: 0x6110},
		"length past end":    reply(0x53, 0x82, 0xFF, 0xFF, 0x70, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x90, 0),
		"length of a length": reply(0x53, 0xFF, 0x01, 0x7F, 0x49, 0x80, 0x90, 0),
		"nested for ever":    reply(append(bytes.Repeat([]byte{0x7C, 0x81}, 100), 0x90, 0)...),
		"a large answer":     reply(append(bytes.Repeat([]byte{0x30, 0x82}, 128), 0x90, 0)...),
	}
}

// endless is an answer that always has more to come.
func endless(after int) vpiv.Fault {
	return vpiv.Fault{Kind: vpiv.FaultReply, Data: append(bytes.Repeat([]byte{0x53}, 256), 0x61, 0xFF), After: after, Times: -1}
}

// sweepOp is an operation that is answered badly.
type sweepOp struct {
	name string
	run  func(ctx context.Context, c *helper.Client) error
	// pins is how often it may show the PIN, where that is more than a card that
	// answers well sees: one that tells nothing of its slots is asked otherwise.
	pins int
	// fails is how many tries of the PIN it spends when all goes well.
	fails int
	// fresh says that it wants a card without keys.
	fresh bool
}

func sweepOps(t *testing.T, e tokens.Enrollment) []sweepOp {
	agree := func(k tokens.Key, pin string) func(context.Context, *helper.Client) error {
		return func(ctx context.Context, c *helper.Client) error {
			r := tokens.AgreeRequest{Locator: reader(0), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), OnTouch: func() {}}
			if pin != "" {
				r.PIN = []byte(pin)
			}
			got, err := c.Agree(ctx, r)
			if err == nil && len(got) != 32 {
				return fmt.Errorf("a secret of %d bytes", len(got))
			}
			return err
		}
	}
	change := func(r tokens.PINRequest) func(context.Context, *helper.Client) error {
		r.Locator = reader(0)
		return func(ctx context.Context, c *helper.Client) error {
			r := r
			r.Old, r.New = bytes.Clone(r.Old), bytes.Clone(r.New)
			_, err := c.ChangePIN(ctx, r)
			return err
		}
	}
	return []sweepOp{
		{name: "list", run: func(ctx context.Context, c *helper.Client) error { _, err := c.List(ctx); return err }},
		{name: "session key", run: agree(e.Keys[0], vpiv.FactoryPIN)},
		{name: "session key, wrong PIN", run: agree(e.Keys[0], "999111"), fails: 1},
		{name: "touch key", run: agree(e.Keys[1], "")},
		{name: "inspect", run: func(ctx context.Context, c *helper.Client) error { _, err := c.Inspect(ctx, reader(0)); return err }},
		{name: "enroll", fresh: true, pins: 2, run: func(ctx context.Context, c *helper.Client) error {
			_, err := c.Enroll(ctx, enrollRequest())
			return err
		}},
		{name: "PIN", run: change(tokens.PINRequest{Which: "pin", Old: []byte(vpiv.FactoryPIN), New: []byte("24681357")})},
		{name: "wrong PIN", fails: 1, run: change(tokens.PINRequest{Which: "pin", Old: []byte("999111"), New: []byte("24681357")})},
		{name: "unblock", run: change(tokens.PINRequest{Which: "unblock", Old: []byte(vpiv.FactoryPUK), New: []byte("24681357")})},
		{name: "wipe", run: func(ctx context.Context, c *helper.Client) error {
			_, err := c.Wipe(ctx, tokens.WipeRequest{Locator: reader(0), Keys: e.Keys, PIN: []byte(vpiv.FactoryPIN)})
			return err
		}},
	}
}

// sweep is a card that is put back after each operation.
type sweep struct {
	t             *testing.T
	card          *vpiv.Card
	client        *helper.Client
	hasty         *helper.Client // gives up soon
	empty, filled vpiv.Memory
	e             tokens.Enrollment
	faulty        int
}

func newSweep(t *testing.T, o vpiv.Options) *sweep {
	clientOf := func(limit time.Duration) *helper.Client {
		return helper.New(helper.Config{
			Path: bench.program, Kind: tokens.KindPIV, Env: bench.rig.Env(), Timeout: limit, ListTimeout: limit, Quiet: limit,
		})
	}
	s := &sweep{t: t, card: insert(t, o, 0), client: clientOf(sweepLimit), hasty: clientOf(sweepHaste)}
	s.empty = s.card.Memory()
	var err error
	if s.e, err = s.client.Enroll(t.Context(), enrollRequest()); err != nil {
		t.Fatal(err)
	}
	s.filled = s.card.Memory()
	return s
}

func (s *sweep) reset(op sweepOp) {
	s.card.ClearFaults()
	s.card.SetDelay(0)
	if op.fresh {
		s.card.SetMemory(s.empty)
	} else {
		s.card.SetMemory(s.filled)
	}
}

// commands counts what an operation asks of a card that answers well, and the
// PINs that it shows.
func (s *sweep) commands(op sweepOp) (commands, pins int) {
	s.t.Helper()
	s.reset(op)
	before := s.card.Counts()
	err := op.run(s.t.Context(), s.client)
	after := s.card.Counts()
	if (err == nil) != (op.fails == 0) || after.PINFailures-before.PINFailures != op.fails {
		s.t.Fatalf("%s, answered well: %v", op.name, err)
	}
	return after.Commands - before.Commands, after.PINsSeen - before.PINsSeen
}

// bad runs an operation that is answered badly at one place.
func (s *sweep) bad(c *helper.Client, limit time.Duration, op sweepOp, pins int, f vpiv.Fault, what string) {
	s.t.Helper()
	s.faulty++
	s.reset(op)
	before := s.card.Counts()
	s.card.Inject(f)
	began := time.Now()
	err := op.run(s.t.Context(), c)
	took := time.Since(began)
	s.card.ClearFaults()
	after := s.card.Counts()
	if took > limit+3*time.Second { // for the helper's end
		s.t.Errorf("%s: it took %v", what, took)
	}
	if n := after.PINFailures - before.PINFailures; n > op.fails {
		s.t.Errorf("%s: %d tries of the PIN were spent", what, n)
	}
	if n := after.PINsSeen - before.PINsSeen; n > max(pins, op.pins) {
		s.t.Errorf("%s: the PIN was shown %d times, and %d times to a card that answers well", what, n, pins)
	}
	if err != nil {
		s.sensible(err, what)
	}
}

// sensible fails the test unless err is one that a bad answer may end in.
func (s *sweep) sensible(err error, what string) {
	s.t.Helper()
	var told *tokens.Error
	if !errors.As(err, &told) {
		s.t.Errorf("%s: no token's error: %v", what, err)
		return
	}
	if strings.Contains(told.Detail, "helper") || told.Detail == "" {
		s.t.Errorf("%s: the helper is to blame: %v", what, err)
	}
	if !slices.Contains([]tokens.Code{
		tokens.CodeProtocol, tokens.CodeUnsupported, tokens.CodeTimeout, tokens.CodeWrongToken, tokens.CodeNoKey,
		tokens.CodeOccupied, tokens.CodeManagement, tokens.CodeLastTry, tokens.CodePINInvalid, tokens.CodePINBlocked,
		tokens.CodePINRequired, tokens.CodeTouchDenied, tokens.CodeBusy, tokens.CodeRemoved, tokens.CodeNotPresent,
	}, told.Code) {
		s.t.Errorf("%s: code %q: %v", what, told.Code, err)
	}
}

// healthy fails the test unless the card works at once.
func (s *sweep) healthy(what string) {
	s.t.Helper()
	s.reset(sweepOp{})
	if _, err := s.client.Agree(s.t.Context(), sessionRequest(s.t, s.e, vpiv.FactoryPIN)); err != nil {
		s.t.Errorf("after %s the card does not work: %v", what, err)
	}
}

// TestEveryCommandAnsweredBadly answers each command of each operation badly in
// many ways: bounded time and memory, a clear error, no try of the PIN spent that
// the operation would not spend, and a card that works afterwards.
func TestEveryCommandAnsweredBadly(t *testing.T) {
	most := watchHelpers(t)
	s := newSweep(t, vpiv.YubiKey(5, 4, 3))
	faults := sweepFaults()
	names := []string{}
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	turn, few := 0, 60
	if sweepsAll() {
		few = 1000
	}
	for n, op := range sweepOps(t, s.e) {
		commands, pins := s.commands(op)
		for i := range commands {
			kinds := names
			if !sweepsAll() {
				if (i+n)%3 != 0 { // others in each operation
					continue
				}
				turn++
				kinds = []string{names[turn%len(names)]}
			}
			for _, name := range kinds {
				f := faults[name]
				f.After = i
				s.bad(s.client, sweepLimit, op, pins, f, fmt.Sprintf("%s, command %d of %d: %s", op.name, i+1, commands, name))
			}
		}
		s.healthy(op.name)
		if s.t.Failed() {
			s.t.FailNow()
		}
	}
	for n, op := range sweepOps(t, s.e) {
		if !sweepsAll() && n%3 != 1 {
			continue
		}
		commands, pins := s.commands(op)
		for _, i := range []int{commands / 2, commands - 1} {
			if !sweepsAll() && i == commands/2 && n%2 == 0 {
				continue
			}
			s.bad(s.hasty, sweepHaste, op, pins, endless(i), fmt.Sprintf("%s, command %d of %d: more without end", op.name, i+1, commands))
			s.soon("an answer without end")
		}
	}
	t.Logf("%d operations answered badly; a helper took %d MiB at most", s.faulty, most.Load()>>10)
	if n := most.Load(); n == 0 || n > rssLimit {
		t.Errorf("a helper took %d KiB of memory, the limit is %d", n, int64(rssLimit))
	}
	if s.faulty < few {
		t.Errorf("only %d operations were answered badly", s.faulty)
	}
}

// TestMuteSlowAndVanishingCards has a card stop answering, answer slowly, or go,
// at commands from the first to the last of each operation.
func TestMuteSlowAndVanishingCards(t *testing.T) {
	s := newSweep(t, vpiv.YubiKey(5, 4, 3))
	turn := 0
	for _, op := range sweepOps(t, s.e) {
		if op.fails > 0 || op.name == "unblock" {
			continue // as the same with the right PIN, and as a new PIN
		}
		turn++
		commands, pins := s.commands(op)
		if s.reset(op); sweepsAll() || turn%3 == 0 {
			s.slow(op, pins, commands)
		}
		for n, i := range []int{0, commands / 2, commands - 1} {
			if !sweepsAll() && n != turn%3 { // another place in each operation
				continue
			}
			kind, what := vpiv.FaultHang, "mute"
			if n == 1 { // each takes a card out and in, which takes its time
				kind, what = vpiv.FaultRemove, "gone"
			}
			what = fmt.Sprintf("%s, %s at command %d of %d", op.name, what, i+1, commands)
			s.bad(s.hasty, sweepHaste, op, pins, vpiv.Fault{Kind: kind, After: i}, what)
			s.again(what)
		}
	}
}

// slow runs an operation on a card that takes too long for each command.
func (s *sweep) slow(op sweepOp, pins, commands int) {
	s.t.Helper()
	before := s.card.Counts()
	s.card.SetDelay(2 * sweepHaste / time.Duration(commands))
	began := time.Now()
	err := op.run(s.t.Context(), s.hasty)
	took := time.Since(began)
	s.card.SetDelay(0)
	if took > sweepHaste+3*time.Second || s.card.Counts().PINsSeen-before.PINsSeen > pins {
		s.t.Errorf("%s on a slow card: %v after %v", op.name, err, took)
	}
	if err != nil {
		s.sensible(err, op.name+" on a slow card")
	}
	s.soon(op.name + " on a slow card")
}

// soon is healthy for a card that may still be at what it was asked last, or
// locked by a program that was killed a moment ago.
func (s *sweep) soon(what string) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s.reset(sweepOp{})
		if _, err = s.client.Agree(s.t.Context(), sessionRequest(s.t, s.e, vpiv.FactoryPIN)); err == nil {
			return
		}
	}
	s.t.Errorf("after %s the card does not work: %v", what, err)
}

// again takes the card out, which is what wakes a mute one, and puts it in.
func (s *sweep) again(what string) {
	s.t.Helper()
	if bench.rig.Card(0) != nil {
		if err := bench.rig.Remove(0); err != nil {
			s.t.Fatal(err)
		}
	}
	// pcscd resets the card of a program that was killed, and takes the next
	// card for that one if it comes at once.
	time.Sleep(time.Second)
	if err := bench.rig.Insert(s.card, 0); err != nil {
		s.t.Fatal(err)
	}
	s.soon(what)
}

// watchHelpers measures, until the test ends, the most memory in KiB that any
// helper of this process had.
func watchHelpers(t *testing.T) *atomic.Int64 {
	var most atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			children, _ := filepath.Glob("/proc/self/task/*/children")
			for _, file := range children {
				list, _ := os.ReadFile(file)
				for _, pid := range strings.Fields(string(list)) {
					most.Store(max(most.Load(), peak(pid)))
				}
			}
		}
	}()
	return &most
}

// peak is the most memory that a tokend-helper had, in KiB; 0 for others.
func peak(pid string) int64 {
	status, _ := os.ReadFile("/proc/" + pid + "/status")
	if !bytes.HasPrefix(status, []byte("Name:\ttokend-helper\n")) {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	line, _, _ := bytes.Cut(after, []byte("kB"))
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	return n
}
