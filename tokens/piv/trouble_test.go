//go:build cgo && linux

package piv_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/tokentest/conformance"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// soon is how fast work goes on once the cause of a failure is gone.
const soon = 5 * time.Second

func TestForeignCards(t *testing.T) {
	insert(t, vpiv.PlainPIV(), 0)
	// Through the helper: piv-go keeps such a card locked in this process.
	c := client()
	list, err := c.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Problem == nil || list[0].Problem.Code != tokens.CodeUnsupported {
		t.Fatalf("list %+v: %v", list, err)
	}
	_, err = c.Enroll(t.Context(), enrollRequest())
	told := conformance.Code(t, err, tokens.CodeUnsupported)
	if told.Detail != "the card does not have Yubico's extensions of PIV, which tokend needs" {
		t.Errorf("detail %q", told.Detail)
	}
	_, err = c.Inspect(t.Context(), reader(0))
	conformance.Code(t, err, tokens.CodeUnsupported)
	e := tokens.Key{Kind: tokens.KindPIV, Class: tokens.ClassSession, Algorithm: tokens.P256, Params: []byte(`{"slot":"82","pin":"once","touch":"never"}`)}
	e.Public = conformance.Peer(t, e).PublicKey().Bytes()
	_, err = c.Agree(t.Context(), tokens.AgreeRequest{Locator: reader(0), Key: e, Peer: e.Public, PIN: []byte("123456")})
	conformance.Code(t, err, tokens.CodeUnsupported)
	// And the card is free for others.
	_, err = c.Agree(t.Context(), tokens.AgreeRequest{Locator: reader(1), Key: e, Peer: e.Public, PIN: []byte("123456")})
	conformance.Code(t, err, tokens.CodeNotPresent)
}

func TestHostileCards(t *testing.T) {
	for _, kind := range []vpiv.FaultKind{vpiv.FaultGarbage, vpiv.FaultTruncate, vpiv.FaultLength, vpiv.FaultShort} {
		for _, ins := range []byte{0x87, 0xf7, 0xcb, 0xfd, 0x20} {
			card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
			e, err := client().Enroll(t.Context(), enrollRequest())
			if err != nil {
				t.Fatal(err)
			}
			card.Inject(vpiv.Fault{Kind: kind, INS: ins, Times: -1})
			r := sessionRequest(t, e, vpiv.FactoryPIN)
			if got, err := client().Agree(t.Context(), r); err == nil && len(got) != 32 {
				t.Errorf("fault %d of %02x: secret of %d bytes", kind, ins, len(got))
			}
			if _, err := client().Inspect(t.Context(), reader(0)); err != nil {
				var code tokens.Code
				for _, c := range []tokens.Code{tokens.CodeProtocol, tokens.CodeUnsupported} {
					if errors.Is(err, &tokens.Error{Code: c}) {
						code = c
					}
				}
				if code == "" {
					t.Errorf("fault %d of %02x: %v", kind, ins, err)
				}
			}
			card.ClearFaults()
			got, err := client().Agree(t.Context(), r)
			if err != nil || len(got) != 32 {
				t.Errorf("after fault %d of %02x: %v", kind, ins, err)
			}
		}
	}
}

func TestBusy(t *testing.T) {
	insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	yk, err := gopiv.Open(reader(0))
	if err != nil {
		t.Fatal(err)
	}
	defer yk.Close()
	short := piv.New(piv.Options{Patience: 200 * time.Millisecond})
	_, err = short.Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
	conformance.Code(t, err, tokens.CodeBusy)
	list, err := short.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Problem == nil || list[0].Problem.Code != tokens.CodeBusy {
		t.Fatalf("list %+v: %v", list, err)
	}
	time.AfterFunc(time.Second, func() { yk.Close() })
	if _, err := piv.New(piv.Options{}).Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN)); err != nil {
		t.Fatalf("after waiting: %v", err)
	}
}

func TestRemovalInMidOperation(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	whole := t
	for _, c := range []struct {
		name   string
		key    tokens.Key
		driver tokens.Driver
	}{{"touch", e.Keys[1], piv.New(piv.Options{})}, {"touch through the helper", e.Keys[1], client()}} {
		t.Run(c.name, func(t *testing.T) {
			card.SetTouch(vpiv.TouchNever)
			var once sync.Once
			removed := make(chan error, 1)
			_, err := c.driver.Agree(t.Context(), tokens.AgreeRequest{
				Locator: reader(0), Key: c.key, Peer: conformance.Peer(t, c.key).PublicKey().Bytes(),
				OnTouch: func() {
					once.Do(func() {
						go func() {
							time.Sleep(200 * time.Millisecond)
							removed <- bench.rig.Remove(0)
						}()
					})
				},
			})
			select {
			case rerr := <-removed:
				if rerr != nil {
					t.Fatal(rerr)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("the card was not pulled out; the agreement ended with %v", err)
			}
			conformance.Code(t, err, tokens.CodeRemoved)
			_, err = c.driver.Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
			conformance.Code(t, err, tokens.CodeNotPresent)
			card.SetTouch(vpiv.TouchYes)
			plug(whole, card, 0)
			worksSoon(t, c.driver, e)
		})
	}
	for after := range 14 {
		card.Inject(vpiv.Fault{Kind: vpiv.FaultRemove, After: after})
		_, err := client().Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
		if err == nil {
			card.ClearFaults()
			break
		}
		if !errors.Is(err, &tokens.Error{Code: tokens.CodeRemoved}) && !errors.Is(err, &tokens.Error{Code: tokens.CodeNotPresent}) {
			t.Errorf("pulled out after %d commands: %v", after, err)
		}
		card.ClearFaults()
		time.Sleep(700 * time.Millisecond) // pcscd has to notice, or it is no removal
		plug(t, card, 0)
	}
	worksSoon(t, client(), e)
}

// worksSoon fails the test unless the session key works within a second.
func worksSoon(t *testing.T, d tokens.Driver, e tokens.Enrollment) {
	t.Helper()
	began := time.Now()
	for {
		_, err := d.Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
		if took := time.Since(began); took > soon {
			t.Fatalf("still not working after %v: %v", took, err)
		}
		if err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestServiceKilled(t *testing.T) {
	card := insert(t, vpiv.YubiKey(5, 4, 3), 0)
	e := mustEnroll(t, enrollRequest())
	card.SetTouch(vpiv.TouchNever)
	killed := make(chan error, 1)
	_, err := client().Agree(t.Context(), tokens.AgreeRequest{
		Locator: reader(0), Key: e.Keys[1], Peer: conformance.Peer(t, e.Keys[1]).PublicKey().Bytes(),
		OnTouch: func() {
			time.Sleep(100 * time.Millisecond)
			killed <- bench.rig.KillPCSCD()
		},
	})
	if kerr := <-killed; kerr != nil {
		t.Fatal(kerr)
	}
	conformance.Code(t, err, tokens.CodeNoService)
	_, err = client().Agree(t.Context(), sessionRequest(t, e, vpiv.FactoryPIN))
	conformance.Code(t, err, tokens.CodeNoService)
	_, err = client().List(t.Context())
	conformance.Code(t, err, tokens.CodeNoService)
	card.SetTouch(vpiv.TouchYes)
	if err := bench.rig.StartPCSCD(); err != nil {
		t.Fatal(err)
	}
	worksSoon(t, client(), e)
}

// TestKilledHelperLeavesTheCardLocked: locked in the sense of authentication.
func TestAKilledHelperLeavesNothingOpen(t *testing.T) {
	o := vpiv.YubiKey(5, 4, 3)
	card := insert(t, o, 0)
	withCard(t, func(yk *gopiv.YubiKey) error {
		_, err := yk.GenerateKey(gopiv.DefaultManagementKey, slot82(), gopiv.Key{Algorithm: gopiv.AlgorithmEC256, PINPolicy: gopiv.PINPolicyOnce, TouchPolicy: gopiv.TouchPolicyAlways})
		return err
	})
	r := enrollRequest()
	r.Classes, r.UseExisting, r.Slots = []tokens.Class{tokens.ClassTouch}, true, map[tokens.Class]string{tokens.ClassTouch: "82"}
	e := mustEnroll(t, r)
	touch := make(chan struct{})
	card.SetTouch(func(ctx context.Context, _ byte) bool {
		select {
		case <-touch:
		case <-ctx.Done():
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := sessionRequest(t, e, vpiv.FactoryPIN)
	q.OnTouch = func() { time.Sleep(100 * time.Millisecond); cancel() }
	_, err := client().Agree(ctx, q)
	conformance.Code(t, err, tokens.CodeCancelled)
	if !card.PINVerified() {
		t.Fatal("the PIN had not been shown: the test shows nothing")
	}
	close(touch)
	card.SetTouch(vpiv.TouchYes)
	for range 100 {
		if !card.PINVerified() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the card stayed open")
}
