package vfido

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// TestFaultyPackets wants each fault of the transport to be on the wire, and
// the next command to be answered well.
func TestFaultyPackets(t *testing.T) {
	k, p := plug(t, Options{})
	w := dial(t, p)
	ask := func(f Fault) packet {
		t.Helper()
		f.Command = CommandGetInfo
		k.Inject(f)
		w.cbor(CommandGetInfo)
		for {
			q, ok := w.read(time.Second)
			if !ok {
				t.Fatal("no answer")
			}
			if q.cmd != CommandKeepalive {
				return q
			}
		}
	}
	rest := func() (n int, first byte) {
		first = 0xFF
		for {
			q, ok := w.read(100 * time.Millisecond)
			if !ok {
				return n, first
			}
			if n == 0 {
				first = q.seq
			}
			n++
		}
	}
	well := func() {
		t.Helper()
		w.cbor(CommandGetInfo)
		w.answers(StatusOK)
	}
	whole := len(k.CBOR(t.Context(), []byte{byte(CommandGetInfo)}))
	after := (whole - initData + nextData - 1) / nextData
	if q := ask(Fault{Kind: FaultLongCount}); q.count != whole+200 {
		t.Errorf("%d of %d bytes", q.count, whole)
	}
	if n, _ := rest(); n != after {
		t.Errorf("%d packets", n)
	}
	if q := ask(Fault{Kind: FaultShortCount}); q.count != whole/2 {
		t.Errorf("%d of %d bytes", q.count, whole)
	}
	rest()
	ask(Fault{Kind: FaultSequence})
	if _, seq := rest(); seq != 1 {
		t.Errorf("the first number is %d", seq)
	}
	if q := ask(Fault{Kind: FaultChannel}); q.channel == w.channel {
		t.Error("the channel is the right one")
	}
	rest()
	if q := ask(Fault{Kind: FaultCommand}); q.cmd != CommandPing {
		t.Errorf("answer to %v", q.cmd)
	}
	rest()
	if q := ask(Fault{Kind: FaultOversize}); q.count != 0xFFFF {
		t.Errorf("%d bytes", q.count)
	}
	if n, _ := rest(); n < 1000 {
		t.Errorf("%d packets", n)
	}
	well()
	k.Inject(Fault{Kind: FaultMute, Command: CommandPing})
	w.send(CommandPing, []byte{1})
	w.quiet(200 * time.Millisecond)
	k.Inject(Fault{Kind: FaultMute})
	w.cbor(CommandGetInfo)
	w.quiet(200 * time.Millisecond)
	well()
	k.Inject(Fault{Kind: FaultMute, Command: CommandInit})
	w.send(CommandInit, make([]byte, 8))
	w.quiet(200 * time.Millisecond)
	well()
}

// TestKeepalivesWithoutEnd wants them to outlast CANCEL, and to end with the
// next client.
func TestKeepalivesWithoutEnd(t *testing.T) {
	k, p := plug(t, Options{})
	w := dial(t, p)
	k.Inject(Fault{Kind: FaultKeepalive})
	w.cbor(CommandGetInfo)
	for i := range 6 {
		if q, ok := w.read(time.Second); !ok || q.cmd != CommandKeepalive {
			t.Fatalf("packet %+v", q)
		}
		if i == 2 {
			w.send(CommandCancel, nil)
		}
	}
	w.channel = broadcast
	w.send(CommandInit, make([]byte, 8))
	for {
		q, ok := w.read(time.Second)
		if !ok {
			t.Fatal("no answer")
		}
		if q.cmd == CommandInit {
			w.channel = binary.BigEndian.Uint32(q.data[8:])
			break
		}
	}
	w.cbor(CommandGetInfo)
	w.answers(StatusOK)
}

func TestSlow(t *testing.T) {
	k, p := plug(t, Options{})
	w := dial(t, p)
	timed := func() time.Duration {
		t.Helper()
		began := time.Now()
		w.cbor(CommandGetInfo)
		w.answers(StatusOK)
		return time.Since(began)
	}
	k.SetDelay(300 * time.Millisecond)
	if d := timed(); d < 300*time.Millisecond || w.alive[keepaliveProcessing] < 2 {
		t.Errorf("%v and %v", d, w.alive)
	}
	k.SetDelay(0)
	clear(w.alive)
	k.Inject(Fault{Kind: FaultSlow, Delay: 300 * time.Millisecond})
	if d := timed(); d < 300*time.Millisecond || w.alive[keepaliveProcessing] > 2 {
		t.Errorf("%v and %v", d, w.alive)
	}
}

func TestVanish(t *testing.T) {
	for _, cmd := range []Command{CommandGetInfo, CommandInit} {
		k, p := plug(t, Options{})
		w := dial(t, p)
		k.Inject(Fault{Kind: FaultVanish, Command: cmd})
		if cmd == CommandInit {
			w.send(CommandInit, make([]byte, 8))
		} else {
			w.cbor(cmd)
		}
		for deadline := time.Now().Add(5 * time.Second); p.Key() != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the key is still there")
			}
		}
		if _, err := os.Lstat(p.Path()); !os.IsNotExist(err) {
			t.Error("the link is left")
		}
		for {
			q, ok := w.read(100 * time.Millisecond)
			if !ok {
				break
			}
			if q.cmd != CommandKeepalive {
				t.Errorf("packet %+v", q)
			}
		}
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
		if err := p.Insert(k); err != nil {
			t.Fatal(err)
		}
		w = dial(t, p)
		w.cbor(CommandGetInfo)
		w.answers(StatusOK)
	}
}

func TestFaultyAnswers(t *testing.T) {
	c := newClient(t, Options{})
	get := []byte{byte(CommandGetInfo)}
	good := c.k.CBOR(t.Context(), get)
	for kind, ok := range map[FaultKind]func(out []byte) bool{
		FaultStatus:   func(out []byte) bool { return bytes.Equal(out, []byte{byte(StatusOther)}) },
		FaultReply:    func(out []byte) bool { return bytes.Equal(out, []byte{1, 2, 3}) },
		FaultGarbage:  func(out []byte) bool { return len(out) == 65 && out[0] == 0 },
		FaultTruncate: func(out []byte) bool { return len(out) == (len(good)+1)/2 && bytes.HasPrefix(good, out) },
		FaultOversize: func(out []byte) bool { return len(out) == 0xFFFF },
		FaultMute:     func(out []byte) bool { return out == nil },
	} {
		c.k.Inject(Fault{Kind: kind, Command: CommandGetInfo, After: 1, Times: 2, Status: StatusOther, Data: []byte{1, 2, 3}})
		for i := range 4 {
			out := c.k.CBOR(t.Context(), get)
			if hit := i == 1 || i == 2; hit != ok(out) || hit == bytes.Equal(out, good) {
				t.Errorf("fault %d, command %d: %d bytes", kind, i, len(out))
			}
		}
	}
	c.k.Inject(Fault{Kind: FaultStatus, Command: CommandClientPIN, Sub: SubGetRetries, Status: StatusOther, Times: -1})
	c.want(StatusOK, CommandClientPIN, m{1: 2, 2: 2})
	c.want(StatusOther, CommandClientPIN, m{1: 2, 2: 1})
	c.want(StatusOther, CommandClientPIN, m{1: 2, 2: 1})
	c.k.ClearFaults()
	c.want(StatusOK, CommandClientPIN, m{1: 2, 2: 1})
	c.k.SetHook(func(cmd Command, response []byte) []byte {
		if cmd == CommandGetInfo {
			return append(response, 0xFF)
		}
		return nil
	})
	if out := c.k.CBOR(t.Context(), get); !bytes.Equal(out, append(bytes.Clone(good), 0xFF)) {
		t.Errorf("%x", out)
	}
	if out := c.k.CBOR(t.Context(), []byte{byte(CommandSelection)}); out != nil {
		t.Errorf("%x", out)
	}
	c.k.SetHook(nil)
	c.want(StatusOK, CommandSelection, nil)
}

func TestLies(t *testing.T) {
	c := newClient(t, Options{})
	id, salt := c.make(), make([]byte, 32)
	secret := func() []byte {
		t.Helper()
		c.want(StatusOK, CommandGetAssertion, assertParams(id, c.withSalts(salt)))
		return c.secrets()
	}
	good := secret()
	c.k.Inject(Fault{Kind: FaultHMACRandom, Command: CommandGetAssertion, Times: 2})
	if a, b := secret(), secret(); len(a) != 32 || bytes.Equal(a, good) || bytes.Equal(a, b) {
		t.Error("outputs are no random ones")
	}
	c.k.Inject(Fault{Kind: FaultHMACLength, Command: CommandGetAssertion})
	if n := len(secret()); n != 16 {
		t.Errorf("an output of %d bytes", n)
	}
	verified := func() bool {
		t.Helper()
		var signature []byte
		c.get(3, &signature)
		return c.k.verifies(id, append(c.data().raw, hash()...), signature)
	}
	c.want(StatusOK, CommandGetAssertion, assertParams(id))
	if !verified() {
		t.Error("a good signature is not")
	}
	c.k.Inject(Fault{Kind: FaultSignature, Command: CommandGetAssertion})
	c.want(StatusOK, CommandGetAssertion, assertParams(id))
	if verified() {
		t.Error("a wrong signature is good")
	}
	other := random(64)
	c.k.Inject(Fault{Kind: FaultLie, Command: CommandGetAssertion, Times: 2})
	c.want(StatusOK, CommandGetAssertion, assertParams(other, option(5, "up", false)))
	c.want(StatusOK, CommandGetAssertion, assertParams(other, c.withSalts(salt)))
	var d descriptor
	if c.get(1, &d); !bytes.Equal(d.ID, other) || len(c.secrets()) != 32 {
		t.Error("the lie is about another credential")
	}
	c.want(StatusNoCredentials, CommandGetAssertion, assertParams(other))
	if !bytes.Equal(secret(), good) || len(c.k.Credentials()) != 1 {
		t.Error("a lie changed what is true")
	}
}

func TestLog(t *testing.T) {
	for _, secrets := range []bool{false, true} {
		now := newClock()
		c := newClient(t, Options{PIN: testPIN, LogSecrets: secrets, Now: now.Now})
		if s := c.login(testPIN, 0, ""); s != StatusOK {
			t.Fatal(s)
		}
		c.want(StatusInvalidCommand, 0x33, nil)
		log := c.k.Log()
		if len(log) != 3 {
			t.Fatalf("%d entries", len(log))
		}
		agree, pin, odd := log[0], log[1], log[2]
		if agree.Redacted || agree.Sub != SubGetKeyAgreement || len(agree.Response) == 0 || !agree.At.Equal(now.now) {
			t.Errorf("%+v", agree)
		}
		if pin.Redacted == secrets || (pin.Request == nil) == secrets || pin.Command != CommandClientPIN || pin.Status != StatusOK {
			t.Errorf("%+v", pin)
		}
		if odd.Command != 0x33 || odd.Status != StatusInvalidCommand {
			t.Errorf("%+v", odd)
		}
		for range maxLog {
			c.want(StatusInvalidCommand, 0x33, nil)
		}
		if n := len(c.k.Log()); n > maxLog || n < maxLog/2 {
			t.Errorf("%d entries", n)
		}
		if n := c.k.Counts().Commands; n["clientPIN.getPinToken"] != 1 || n["0x33"] != maxLog+1 {
			t.Errorf("%v", n)
		}
	}
}

func TestOptions(t *testing.T) {
	for i, o := range []Options{
		{Version: 9}, {Protocols: []int{}}, {Protocols: []int{3}}, {Algorithms: []int{-257}}, {PIN: "123"},
		{MinPINLength: 3}, {MinPINLength: 64}, {UVTries: -1}, {CredentialIDLength: 1024}, {CredentialIDLength: 15},
		{MaxMessage: 1000}, {MaxMessage: 8000}, {MaxList: -1}, {Version: CTAP20, AlwaysUV: true}, {Version: CTAP20, ForcePINChange: true},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("bad options %d make a key", i)
		}
	}
	for _, tt := range []struct {
		o        Options
		versions []string
		options  map[string]bool
		keys     int
	}{
		{Options{}, []string{"U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"}, map[string]bool{
			"credentialMgmtPreview": true, "rk": true, "up": true, "plat": false, "clientPin": false, "pinUvAuthToken": true, "makeCredUvNotRqd": true, "alwaysUv": false, "credMgmt": true}, 14},
		{Options{NoManagementPreview: true, NoU2F: true}, []string{"FIDO_2_0", "FIDO_2_1"}, map[string]bool{
			"rk": true, "up": true, "plat": false, "clientPin": false, "pinUvAuthToken": true, "makeCredUvNotRqd": true, "alwaysUv": false, "credMgmt": true}, 14},
		{Options{PIN: testPIN, AlwaysUV: true, NoManagement: true, UV: true}, []string{"FIDO_2_0", "FIDO_2_1"}, map[string]bool{
			"rk": true, "up": true, "plat": false, "clientPin": true, "pinUvAuthToken": true, "makeCredUvNotRqd": false, "alwaysUv": true, "uv": true}, 16},
		{Options{Version: CTAP20, NoU2F: true, NoHMACSecret: true, MaxResident: -1}, []string{"FIDO_2_0"}, map[string]bool{
			"rk": false, "up": true, "plat": false, "clientPin": false}, 5},
		{Options{Version: CTAP20, ManagementPreview: true}, []string{"U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE"}, map[string]bool{
			"rk": true, "up": true, "plat": false, "clientPin": false, "credentialMgmtPreview": true}, 6},
	} {
		c := newClient(t, tt.o)
		c.want(StatusOK, CommandGetInfo, nil)
		var versions []string
		var options map[string]bool
		c.get(1, &versions)
		c.get(4, &options)
		same := func(a, b any) bool {
			x, _ := cbor.CTAP2EncOptions().EncMode()
			p, _ := x.Marshal(a)
			q, _ := x.Marshal(b)
			return bytes.Equal(p, q)
		}
		if !same(versions, tt.versions) || !same(options, tt.options) || len(c.answer) != tt.keys {
			t.Errorf("%v %v %d", versions, options, len(c.answer))
		}
	}
}
