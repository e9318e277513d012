//go:build cgo && linux && !nofido2

package fido2_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// steps are the commands of an agreement with a PIN, in their order.
func steps() map[string]vfido.Fault {
	return map[string]vfido.Fault{
		"greeting":      {Command: vfido.CommandInit},
		"getInfo":       {Command: vfido.CommandGetInfo},
		"info again":    {Command: vfido.CommandGetInfo, After: 1},
		"retries":       {Command: vfido.CommandClientPIN, Sub: vfido.SubGetRetries},
		"pre-flight":    {Command: vfido.CommandGetAssertion},
		"key agreement": {Command: vfido.CommandClientPIN, Sub: vfido.SubGetKeyAgreement},
		"PIN token":     {Command: vfido.CommandClientPIN, Sub: vfido.SubGetTokenUsingPIN},
		"assertion":     {Command: vfido.CommandGetAssertion, After: 1},
	}
}

// faults are the ways of answering badly, with whether the answer never ends.
func faults() map[string]vfido.Fault {
	return map[string]vfido.Fault{
		"refuses":         {Kind: vfido.FaultStatus, Status: vfido.StatusOther},
		"other CBOR":      {Kind: vfido.FaultReply, Data: []byte{0, 0xa1, 0x18, 0xff, 0x9f}},
		"no CBOR":         {Kind: vfido.FaultReply, Data: []byte{0}},
		"nothing":         {Kind: vfido.FaultReply, Data: []byte{}},
		"deep":            {Kind: vfido.FaultReply, Data: append([]byte{0}, bytes.Repeat([]byte{0x81}, 2000)...)},
		"huge map":        {Kind: vfido.FaultReply, Data: []byte{0, 0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		"garbage":         {Kind: vfido.FaultGarbage},
		"half":            {Kind: vfido.FaultTruncate},
		"too long":        {Kind: vfido.FaultOversize},
		"slow":            {Kind: vfido.FaultSlow, Delay: 300 * time.Millisecond},
		"long count":      {Kind: vfido.FaultLongCount},
		"short count":     {Kind: vfido.FaultShortCount},
		"sequence":        {Kind: vfido.FaultSequence},
		"channel":         {Kind: vfido.FaultChannel},
		"command":         {Kind: vfido.FaultCommand},
		"lie":             {Kind: vfido.FaultLie},
		"short secret":    {Kind: vfido.FaultHMACLength},
		"other secret":    {Kind: vfido.FaultHMACRandom},
		"wrong signature": {Kind: vfido.FaultSignature},
		"mute":            {Kind: vfido.FaultMute},
		"keepalives":      {Kind: vfido.FaultKeepalive},
		"pulled out":      {Kind: vfido.FaultVanish},
	}
}

// TestFaults: whatever a key answers at whatever step, the operation ends in
// bounded time with an error that says what happened, or with the right secret,
// and the next one works.
func TestFaults(t *testing.T) {
	for at, step := range steps() {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			for name, f := range faults() {
				t.Run(name, func(t *testing.T) {
					f.Command, f.Sub, f.After = step.Command, step.Sub, step.After
					testFault(t, f)
				})
			}
		})
	}
}

// impatient is a driver that waits for a tenth of what it otherwise would. What
// hangs in libfido2 meanwhile ends when the key is pulled out.
func impatient(s slot) *fido2.Driver {
	return fido2.New(fido2.Options{Devices: []string{s.path()}, Patience: 500 * time.Millisecond, Answer: 400 * time.Millisecond, Touch: 1500 * time.Millisecond})
}

func testFault(t *testing.T, f vfido.Fault) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	k := enrolled(t, s)
	d := impatient(s)
	seen := s.Counts().PINsSeen
	s.Inject(f)
	peer := conformance.Peer(t, k)
	began := time.Now()
	got, err := d.Agree(t.Context(), tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(rightPIN)})
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	var told *tokens.Error
	switch {
	case err == nil:
		conformance.Want(t, got, k, peer)
	case !errors.As(err, &told) || told.Detail == "":
		t.Fatalf("error %v", err)
	case slices.Contains([]tokens.Code{tokens.CodePINInvalid, tokens.CodePINBlocked, tokens.CodeCancelled, tokens.CodeInvalid, tokens.CodeNoAccess}, told.Code):
		t.Errorf("%v is not what happened", err)
	}
	if err == nil && (f.Kind == vfido.FaultMute || f.Kind == vfido.FaultVanish || f.Kind == vfido.FaultKeepalive) {
		t.Error("it worked")
	}
	if f.Kind == vfido.FaultVanish && told.Code != tokens.CodeRemoved && told.Code != tokens.CodeNotPresent {
		t.Errorf("pulled out: %v", err)
	}
	if f.Kind == vfido.FaultSignature && f.After == 0 && f.Command == vfido.CommandGetAssertion {
		if s.Counts().PINsSeen != seen || told.Code != tokens.CodeWrongToken {
			t.Errorf("a key that cannot sign saw %d PINs: %v", s.Counts().PINsSeen-seen, err)
		}
	}
	s.ClearFaults()
	worksAgain(t, s, k)
}

// enrolled is the session key of a key whose enrolling is not what is tried: it may
// take its time, and what worksAgain says of pseudo-terminals holds here too.
func enrolled(t *testing.T, s slot) tokens.Key {
	t.Helper()
	var err error
	for range 3 {
		var e tokens.Enrollment
		e, err = driver(s.path()).Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both, PIN: []byte(rightPIN)})
		if err == nil {
			return keyOf(t, e, tokens.ClassSession)
		}
		t.Logf("enrolling: %v", err)
		if err := s.port.Remove(); err != nil {
			t.Fatal(err)
		}
		if err := s.port.Insert(s.Key); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("cannot enroll: %v", err)
	return tokens.Key{}
}

// worksAgain puts a key back in that answered badly, and has a driver as it is
// shipped use it. A pseudo-terminal that was just hung up loses a report now and
// then, which no hidraw device does; so what a person is advised to do, pull it
// out and put it in again, may be done three times.
func worksAgain(t *testing.T, s slot, k tokens.Key) {
	t.Helper()
	d := fido2.New(fido2.Options{Devices: []string{s.path()}})
	peer := conformance.Peer(t, k)
	var err error
	for range 3 {
		if err := s.port.Remove(); err != nil {
			t.Fatal(err)
		}
		if err := s.port.Insert(s.Key); err != nil {
			t.Fatal(err)
		}
		var got []byte
		got, err = d.Agree(t.Context(), tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: peer.PublicKey().Bytes(), PIN: []byte(rightPIN)})
		if err == nil {
			conformance.Want(t, got, k, peer)
			return
		}
		t.Logf("put back in: %v", err)
	}
	t.Errorf("it does not work again: %v", err)
}

// TestFaultsOfEnrolling: the same for making a credential.
func TestFaultsOfEnrolling(t *testing.T) {
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.Command = vfido.CommandMakeCredential
			s := plug(t, vfido.Options{})
			d := impatient(s)
			s.Inject(f)
			began := time.Now()
			e, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both})
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			var told *tokens.Error
			if err == nil {
				for _, k := range e.Keys {
					agree(t, d, s, k, "")
				}
			} else if !errors.As(err, &told) || told.Detail == "" {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestHelperOutlivesBadKeys: the same, as the daemon has it, where nothing that
// hangs is left behind.
func TestHelperOutlivesBadKeys(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := helper.New(helper.Config{Path: program, Kind: tokens.KindFIDO2, Devices: []string{s.path()}, Timeout: 3 * time.Second})
	e, _ := enroll(t, d, s, rightPIN)
	k := keyOf(t, e, tokens.ClassSession)
	for _, kind := range []vfido.FaultKind{vfido.FaultMute, vfido.FaultKeepalive, vfido.FaultGarbage, vfido.FaultOversize} {
		s.Inject(vfido.Fault{Kind: kind, Command: vfido.CommandGetAssertion, After: 1})
		r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN)}
		began := time.Now()
		if _, err := d.Agree(t.Context(), r); err == nil {
			t.Error("it worked")
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := s.port.Remove(); err != nil {
			t.Fatal(err)
		}
		if err := s.port.Insert(s.Key); err != nil {
			t.Fatal(err)
		}
		agree(t, d, s, k, rightPIN)
	}
}

// TestLyingKey: a key that claims the credentials of another sees no PIN.
func TestLyingKey(t *testing.T) {
	right, liar := plug(t, vfido.Options{PIN: rightPIN}), plug(t, vfido.Options{PIN: wrongPIN})
	d := driver(right.path(), liar.path())
	e, _ := enroll(t, d, right, rightPIN)
	liar.Inject(vfido.Fault{Kind: vfido.FaultLie, Command: vfido.CommandGetAssertion, Times: -1})
	held, err := d.Probe(t.Context(), tokens.ProbeRequest{Locator: liar.path(), Keys: e.Keys})
	if err != nil || held[0] || held[1] {
		t.Errorf("held %v: %v", held, err)
	}
	for _, k := range e.Keys {
		refused(t, d, liar, k, rightPIN, tokens.CodeWrongToken)
	}
	if n := liar.Counts(); n.PINsSeen != 0 || n.TouchesAsked != 0 || n.Assertions == 0 && n.Preflights == 0 {
		t.Errorf("%+v", n)
	}
}

// TestListLivesWithBadKeys: keys that do not answer keep no other from being
// listed, in bounded time.
func TestListLivesWithBadKeys(t *testing.T) {
	good, mute, mad, old, poor := plug(t, vfido.Options{}), plug(t, vfido.Options{}), plug(t, vfido.Options{}), plug(t, vfido.Options{Version: vfido.U2FOnly}), plug(t, vfido.Options{NoHMACSecret: true})
	mute.Inject(vfido.Fault{Kind: vfido.FaultMute, Times: -1})
	mad.Inject(vfido.Fault{Kind: vfido.FaultGarbage, Command: vfido.CommandGetInfo, Times: -1})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := driver(mute.path(), mad.path(), old.path(), good.path(), poor.path(), file, filepath.Join(t.TempDir(), "nothing"))
	want := map[string]tokens.Code{
		good.path(): "", mute.path(): tokens.CodeTimeout, mad.path(): tokens.CodeProtocol,
		old.path(): tokens.CodeUnsupported, poor.path(): tokens.CodeUnsupported,
	}
	began := time.Now()
	list, err := d.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	ids := map[string]bool{}
	for _, k := range list {
		var got tokens.Code
		if k.Problem != nil {
			got = k.Problem.Code
		}
		if code, known := want[k.Locator]; !known || code != got || k.ID == "" || k.Model == "" || ids[k.ID] {
			t.Errorf("listed %+v with %q, want %q", k, got, code)
		}
		ids[k.ID] = true
	}
	if len(list) != len(want) {
		t.Errorf("%d keys listed", len(list))
	}
	for s, code := range map[slot]tokens.Code{mute: tokens.CodeTimeout, mad: tokens.CodeProtocol, old: tokens.CodeUnsupported, poor: tokens.CodeUnsupported} {
		_, err := d.Enroll(t.Context(), tokens.EnrollRequest{Locator: s.path(), Classes: both})
		conformance.Code(t, err, code)
	}
	e, _ := enroll(t, d, good, "")
	for _, s := range []slot{old, poor} {
		held, err := d.Probe(t.Context(), tokens.ProbeRequest{Locator: s.path(), Keys: e.Keys})
		if err != nil || held[0] || held[1] {
			t.Errorf("held %v: %v", held, err)
		}
	}
	for _, path := range []string{file, "/dev/null", "/etc/passwd"} {
		_, err := d.Inspect(t.Context(), path)
		conformance.Code(t, err, tokens.CodeNotPresent)
	}
}

// TestBusy: a key that another program uses is waited for, and told of; one that
// stays busy is an error, and not disturbed.
func TestBusy(t *testing.T) {
	s := plug(t, vfido.Options{})
	e, _ := enroll(t, driver(s.path()), s, "")
	k := keyOf(t, e, tokens.ClassTouch)
	// The lock that libfido2 takes.
	other, err := os.OpenFile(s.path(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	told := 0
	d := fido2.New(fido2.Options{Devices: []string{s.path()}, Patience: 400 * time.Millisecond, OnBusy: func() { told++ }})
	before := s.Counts().Commands["INIT"]
	refused(t, d, s, k, "", tokens.CodeBusy)
	if list, err := d.List(t.Context()); err != nil || len(list) != 1 || list[0].Problem == nil || list[0].Problem.Code != tokens.CodeBusy {
		t.Errorf("listed as %+v: %v", list, err)
	}
	if told != 2 || s.Counts().Commands["INIT"] != before {
		t.Errorf("told %d times; the key was greeted %d times", told, s.Counts().Commands["INIT"]-before)
	}
	time.AfterFunc(250*time.Millisecond, func() { other.Close() })
	agree(t, d, s, k, "")
}

// TestBusyKey: the key itself says that it waits for a touch for somebody else.
func TestBusyKey(t *testing.T) {
	s := plug(t, vfido.Options{TouchTimeout: time.Second})
	e, _ := enroll(t, driver(s.path()), s, "")
	k := keyOf(t, e, tokens.ClassTouch)
	s.SetTouch(vfido.TouchNever)
	// A helper that is killed before it could call the touch off.
	ctx, cancel := context.WithCancel(t.Context())
	r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes()}
	r.OnTouch = func() { time.AfterFunc(100*time.Millisecond, cancel) }
	if err := agreeKilled(ctx, t, s, r); err == nil {
		t.Fatal("it worked")
	}
	s.SetTouch(vfido.TouchYes)
	told := 0
	d := fido2.New(fido2.Options{Devices: []string{s.path()}, Patience: 3 * time.Second, OnBusy: func() { told++ }})
	agree(t, d, s, k, "")
	if told != 1 {
		t.Errorf("told %d times that the key is busy", told)
	}
}

// agreeKilled asks for an agreement in a helper that is killed when ctx ends.
func agreeKilled(ctx context.Context, t *testing.T, s slot, r tokens.AgreeRequest) error {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, "op", "fido2", s.path())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := wire.WriteRequest(stdin, wire.Request{Kind: tokens.KindFIDO2, Op: wire.OpAgree, Devices: []string{s.path()}, Agree: &r}); err != nil {
		t.Fatal(err)
	}
	if a, err := wire.NewAnswers(stdout, true, nil).Next(); err != nil || a.Event != wire.EventTouch {
		t.Fatalf("answer %+v: %v", a, err)
	}
	r.OnTouch()
	return cmd.Wait()
}

// TestPulledOut pulls a key out at odd moments.
func TestPulledOut(t *testing.T) {
	s := plug(t, vfido.Options{PIN: rightPIN})
	d := client(s.path())
	e, _ := enroll(t, d, s, rightPIN)
	k := keyOf(t, e, tokens.ClassSession)
	s.SetTouch(vfido.TouchNever)
	for range 5 {
		r := tokens.AgreeRequest{Locator: s.path(), Key: k, Peer: conformance.Peer(t, k).PublicKey().Bytes(), PIN: []byte(rightPIN)}
		r.OnTouch = func() {
			time.Sleep(50 * time.Millisecond)
			if err := s.port.Remove(); err != nil {
				t.Error(err)
			}
		}
		began := time.Now()
		_, err := d.Agree(t.Context(), r)
		conformance.Code(t, err, tokens.CodeRemoved)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		_, err = d.Agree(t.Context(), r)
		conformance.Code(t, err, tokens.CodeNotPresent)
		if err := s.port.Insert(s.Key); err != nil {
			t.Fatal(err)
		}
	}
	s.SetTouch(vfido.TouchYes)
	agree(t, d, s, k, rightPIN)
}
