package vpiv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// touchy is a card with a key in 82 that wants to be touched.
func touchy(t *testing.T, o Options, policy byte) client {
	t.Helper()
	c := newClient(t, o)
	c.manage()
	c.generate(0x82, AlgP256, pinNever, policy)
	return c
}

func TestTouch(t *testing.T) {
	o := YubiKey(5, 4, 3)
	o.TouchTimeout = 30 * time.Millisecond
	c := touchy(t, o, touchAlways)
	c.wantSign(swOK, 0x82, "touched")
	c.card.SetTouch(TouchNo)
	c.wantSign(swNotSatisfied, 0x82, "refused")
	c.card.SetTouch(TouchAfter(5 * time.Millisecond))
	c.wantSign(swOK, 0x82, "touched late")
	c.card.SetTouch(TouchAfter(time.Hour))
	c.wantSign(swNotSatisfied, 0x82, "touched too late")
	c.card.SetTouch(TouchNever)
	from := time.Now()
	c.wantSign(swNotSatisfied, 0x82, "not touched")
	if d := time.Since(from); d < o.TouchTimeout {
		t.Errorf("the card waited %v only", d)
	}
	// A hook that does not heed its context keeps nobody.
	forever := make(chan struct{})
	defer close(forever)
	c.card.SetTouch(func(context.Context, byte) bool { <-forever; return true })
	c.wantSign(swNotSatisfied, 0x82, "a deaf hook")
	if n := c.card.Counts(); n.TouchesAsked != 6 || n.TouchesGiven != 2 || n.PrivateUses != 2 {
		t.Errorf("counts %+v", n)
	}
}

func TestTouchCached(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var mu sync.Mutex
	o := YubiKey(5, 4, 3)
	o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	c := touchy(t, o, touchCached)
	step := func(d time.Duration, want int, why string) {
		t.Helper()
		mu.Lock()
		now = now.Add(d)
		mu.Unlock()
		c.wantSign(swOK, 0x82, why)
		if n := c.card.Counts().TouchesAsked; n != want {
			t.Errorf("%s: asked for %d touches, not %d", why, n, want)
		}
	}
	step(0, 1, "first")
	step(14*time.Second, 1, "within 15 s")
	step(2*time.Second, 2, "after 15 s")
	c.card.PowerCycle()
	c.must(insSelect, 4, 0, rid())
	step(0, 3, "after a power cycle")
}

func TestCountsWhileTouching(t *testing.T) {
	c := touchy(t, YubiKey(5, 4, 3), touchAlways)
	asked, answer := make(chan byte, 1), make(chan bool)
	c.card.SetTouch(func(_ context.Context, slot byte) bool { asked <- slot; return <-answer })
	done := make(chan status)
	go func() { done <- c.sign(0x82, AlgP256) }()
	if slot := <-asked; slot != 0x82 {
		t.Errorf("touch for slot %02x", slot)
	}
	if n := c.card.Counts(); n.TouchesAsked != 1 || n.TouchesGiven != 0 {
		t.Errorf("counts %+v", n)
	}
	answer <- true
	if s := <-done; s != swOK {
		t.Errorf("status %04x", s)
	}
}

func TestFaults(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	serial := []byte{0, insSerial, 0, 0}
	good := unhex(t, "00bc614e9000")
	tests := []struct {
		name string
		f    Fault
		ok   func([]byte) bool
	}{
		{"status", Fault{Kind: FaultStatus, Status: 0x6F00}, func(b []byte) bool { return bytes.Equal(b, []byte{0x6F, 0}) }},
		{"reply", Fault{Kind: FaultReply, Data: []byte{1, 2, 3}}, func(b []byte) bool { return bytes.Equal(b, []byte{1, 2, 3}) }},
		{"garbage", Fault{Kind: FaultGarbage}, func(b []byte) bool { return len(b) == 66 && !bytes.Equal(b, good) }},
		{"truncated", Fault{Kind: FaultTruncate}, func(b []byte) bool { return bytes.Equal(b, good[:1]) }},
		{"too long", Fault{Kind: FaultLength}, func(b []byte) bool { return bytes.Equal(b, unhex(t, "00bc614e009000")) }},
		{"too short", Fault{Kind: FaultShort}, func(b []byte) bool { return bytes.Equal(b, unhex(t, "00bc619000")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.f.INS, tt.f.After, tt.f.Times = insSerial, 1, 2
			c.card.Inject(tt.f)
			for i, wantGood := range []bool{true, false, false, true} {
				if i == 1 {
					c.must(insVersion, 0, 0) // another instruction is not hit
				}
				out := c.card.APDU(serial)
				if wantGood != bytes.Equal(out, good) || !wantGood && !tt.ok(out) {
					t.Errorf("answer %d: %x", i, out)
				}
			}
		})
	}
	c.card.Inject(Fault{Kind: FaultStatus, Status: 0x6F00, Times: -1})
	for range 5 {
		c.want(swInternalProblem, insVersion, 0, 0)
	}
	c.card.ClearFaults()
	c.must(insVersion, 0, 0)
	c.card.SetDelay(20 * time.Millisecond)
	from := time.Now()
	c.must(insVersion, 0, 0)
	if time.Since(from) < 20*time.Millisecond {
		t.Error("the card answered before its delay")
	}
}

func TestLogHoldsNoSecret(t *testing.T) {
	secrets := func(o Options) (found []string) {
		o.PIN, o.PUK = "97531864", "86421357"
		o.ManagementKey = []byte("a management key of 24 b")
		c := newClient(t, o)
		c.manage()
		c.verify("97531864")
		c.must(insChangeReference, 0, refPIN, []byte("97531864"), []byte("97531865"))
		c.must(insResetRetry, 0, refPIN, []byte("86421357"), []byte("97531866"))
		// Fragments of chains, too.
		c.card.APDU(append([]byte{0x10, insVerify, 0, refPIN, 4}, "9753"...))
		c.card.APDU(append([]byte{0x00, insVerify, 0, refPIN, 4}, "1866"...))
		c.must(insPutData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xC1, 0x09}), tlv(0x53, o.ManagementKey))
		c.must(insGetData, 0x3F, 0xFF, tlv(0x5C, []byte{0x5F, 0xC1, 0x09}))
		c.must(insSetManagementKey, 0xFF, 0xFF, append([]byte{Alg3DES, slotManagement, 24}, o.ManagementKey...))
		for _, e := range c.card.Log() {
			for _, s := range []string{"9753", "1864", "8642", "management key"} {
				if bytes.Contains(e.Data, []byte(s)) || bytes.Contains(e.Response, []byte(s)) {
					found = append(found, s)
				}
			}
			if e.INS == insVersion && e.Redacted {
				t.Error("harmless data are left out")
			}
		}
		log := c.card.Log()
		if last := log[len(log)-1]; last.INS != insSetManagementKey || last.Status != uint16(swOK) || last.At.IsZero() {
			t.Errorf("the last entry is %+v", last)
		}
		return found
	}
	o := YubiKey(5, 4, 3)
	if found := secrets(o); len(found) > 0 {
		t.Errorf("the log holds %q", found)
	}
	o.LogSecrets = true
	if found := secrets(o); len(found) == 0 {
		t.Error("with LogSecrets the log holds none: the test above proves nothing")
	}
}

func TestLogIsBounded(t *testing.T) {
	c := newClient(t, YubiKey(5, 4, 3))
	for range maxLog + 100 {
		c.card.APDU([]byte{0, insVersion, 0, 0})
	}
	if n := len(c.card.Log()); n > maxLog || n < maxLog/2 {
		t.Errorf("the log has %d entries", n)
	}
}

// reader is vpcd's end of a connection.
type reader struct {
	t    *testing.T
	conn net.Conn
}

func (r reader) send(m []byte) {
	r.t.Helper()
	if err := writeMessage(r.conn, m); err != nil {
		r.t.Fatal(err)
	}
}

func (r reader) ask(m []byte) []byte {
	r.t.Helper()
	r.send(m)
	out, err := readMessage(r.conn)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func plug(t *testing.T, card *Card) (reader, *Inserted) {
	t.Helper()
	here, there := net.Pipe()
	i, err := card.Insert(there)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Remove)
	return reader{t, here}, i
}

func selectPIV() []byte { return append([]byte{0, insSelect, 4, 0, 5}, rid()...) }

func TestInserted(t *testing.T) {
	c := touchy(t, YubiKey(5, 4, 3), touchNever)
	r, i := plug(t, c.card)
	if _, err := c.card.Insert(nil); !errors.Is(err, ErrInserted) {
		t.Errorf("a card in two readers: %v", err)
	}
	if atr := r.ask([]byte{vpcdATR}); !bytes.Equal(atr, c.card.Options().ATR) {
		t.Errorf("ATR %x", atr)
	}
	if s := trailer(t, r.ask([]byte{0, insVersion, 0, 0})); s != swNoInstruction {
		t.Errorf("something is selected after power on: status %04x", s)
	}
	r.ask(selectPIV())
	verify := append([]byte{0, insVerify, 0, refPIN, 8}, newReference(FactoryPIN, 1).value...)
	if s := trailer(t, r.ask(verify)); s != swOK || !c.card.PINVerified() {
		t.Errorf("status %04x", s)
	}
	r.send([]byte{vpcdReset})
	r.ask([]byte{vpcdATR}) // so that the reset has been read
	if c.card.PINVerified() {
		t.Error("the reset left the user authenticated")
	}
	r.ask(selectPIV())
	r.ask(verify)
	i.Remove()
	i.Remove()
	if c.card.PINVerified() {
		t.Error("pulling the card out left the user authenticated")
	}
	if _, err := readMessage(r.conn); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the reader was not told: %v", err)
	}
	r, _ = plug(t, c.card)
	r.ask(selectPIV())
	if got := c.card.Slots(); !bytes.Equal(got, []byte{0x82}) {
		t.Errorf("slots %x after putting the card in again", got)
	}
}

// signAPDU asks for a signature by the key in 82.
func signAPDU() []byte {
	d := tlv(tagDynamic, tlv(tagResponse), tlv(tagChallenge, make([]byte, 32)))
	return append([]byte{0, insAuthenticate, AlgP256, 0x82, byte(len(d))}, d...)
}

// begun is told when the card has begun one more command.
func begun(c *Card) chan struct{} {
	before, out := c.Counts().Commands, make(chan struct{})
	go func() {
		defer close(out)
		for c.Counts().Commands == before {
			time.Sleep(time.Millisecond)
		}
	}()
	return out
}

// TestPowerLost pulls a card out in the middle of what it does: by its own
// hand, and by a reader that goes away.
func TestPowerLost(t *testing.T) {
	waits := map[string]func(*Card) chan struct{}{
		"touch": func(c *Card) chan struct{} {
			asked := make(chan struct{}, 1)
			c.SetTouch(func(ctx context.Context, _ byte) bool { asked <- struct{}{}; <-ctx.Done(); return true })
			return asked
		},
		"hang": func(c *Card) chan struct{} {
			c.Inject(Fault{Kind: FaultHang, INS: insAuthenticate})
			return begun(c)
		},
		"delay": func(c *Card) chan struct{} {
			c.SetDelay(time.Hour)
			return begun(c)
		},
	}
	for name, wait := range waits {
		for how, pull := range map[string]func(reader, *Inserted){
			"pulled":      func(_ reader, i *Inserted) { i.Remove() },
			"reader gone": func(r reader, _ *Inserted) { _ = r.conn.Close() },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				c := touchy(t, YubiKey(5, 4, 3), touchAlways)
				r, i := plug(t, c.card)
				r.ask(selectPIV())
				asked := wait(c.card)
				r.send(signAPDU())
				<-asked
				pull(r, i)
				<-i.Done()
				if n := c.card.Counts(); n.PrivateUses != 0 || n.TouchesGiven != 0 {
					t.Errorf("counts %+v", n)
				}
				c.card.SetTouch(TouchYes)
				c.card.SetDelay(0)
				r, _ = plug(t, c.card)
				r.ask(selectPIV())
				if s := trailer(t, r.ask(signAPDU())); s != swOK {
					t.Errorf("put in again: status %04x", s)
				}
			})
		}
	}
}

func TestFaultRemove(t *testing.T) {
	c := touchy(t, YubiKey(5, 4, 3), touchNever)
	r, i := plug(t, c.card)
	c.card.Inject(Fault{Kind: FaultRemove, INS: insAuthenticate})
	r.ask(selectPIV())
	r.send(signAPDU())
	<-i.Done()
	if n := c.card.Counts().PrivateUses; n != 0 {
		t.Errorf("the card did it %d times before it left", n)
	}
}

// TestBadMessages sends what vpcd never would.
func TestBadMessages(t *testing.T) {
	c := touchy(t, YubiKey(5, 4, 3), touchNever)
	r, i := plug(t, c.card)
	if out := r.ask(nil); trailer(t, out) != swWrongLength {
		t.Errorf("an empty message: %x", out)
	}
	r.send([]byte{99})
	r.ask(selectPIV())
	if _, err := r.conn.Write(binary.BigEndian.AppendUint16(nil, 500)); err != nil {
		t.Fatal(err)
	}
	if err := r.conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-i.Done()
}
