package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
	"github.com/tokenbridge/tokend/tokens/piv"
	"github.com/tokenbridge/tokend/tokens/soft"
)

func hello(held []string) wire.Hello {
	h := wire.Hello{Version: wire.Version, Kinds: []tokens.Kind{tokens.KindSoft}, Missing: map[tokens.Kind]string{}, Confined: held}
	if why := piv.Missing(); why != "" {
		h.Missing[tokens.KindPIV] = why
	} else {
		h.Kinds = append(h.Kinds, tokens.KindPIV)
	}
	if why := fido2.Missing(); why != "" {
		h.Missing[tokens.KindFIDO2] = why
	} else {
		h.Kinds = append(h.Kinds, tokens.KindFIDO2)
	}
	return h
}

func driver(req *wire.Request, out *answers) (tokens.Driver, error) {
	patience := time.Duration(req.PatienceMS) * time.Millisecond
	busy := func() { out.event(wire.Answer{Event: wire.EventBusy}) }
	switch req.Kind {
	case tokens.KindSoft:
		return soft.New(rand.Reader, soft.DefaultCost()), nil
	case tokens.KindPIV:
		return piv.New(piv.Options{Patience: patience, OnBusy: busy}), nil
	case tokens.KindFIDO2:
		return fido2.New(fido2.Options{Devices: req.Devices, Patience: patience, OnBusy: busy}), nil
	}
	return nil, tokens.Errorf(tokens.CodeUnsupported, "there is no such kind of token")
}

// operate does what req asks for. Touches and events go to out as they come.
func operate(ctx context.Context, req *wire.Request, held []string, out *answers) (any, error) {
	if req.Op == wire.OpHello {
		return hello(held), nil
	}
	d, err := driver(req, out)
	if err != nil {
		return nil, err
	}
	touch := func() { out.event(wire.Answer{Event: wire.EventTouch}) }
	switch req.Op {
	case wire.OpList:
		return d.List(ctx)
	case wire.OpEnroll:
		req.Enroll.OnTouch = touch
		return d.Enroll(ctx, *req.Enroll)
	case wire.OpAgree:
		req.Agree.OnTouch = touch
		shared, err := d.Agree(ctx, *req.Agree)
		return wire.AgreeResult{Shared: shared}, err
	}
	if i, ok := d.(tokens.Inspector); ok && req.Op == wire.OpInspect {
		return i.Inspect(ctx, req.Locator)
	}
	if p, ok := d.(tokens.PINChanger); ok && req.Op == wire.OpPIN {
		file, err := p.ChangePIN(ctx, *req.PIN)
		return wire.PINResult{KeyFile: file}, err
	}
	if w, ok := d.(tokens.Wiper); ok && req.Op == wire.OpWipe {
		return w.Wipe(ctx, *req.Wipe)
	}
	if p, ok := d.(tokens.Prober); ok && req.Op == wire.OpProbe {
		held, err := p.Probe(ctx, *req.Probe)
		return wire.ProbeResult{Held: held}, err
	}
	if a, ok := d.(tokens.Asserter); ok && req.Op == wire.OpMake {
		req.Make.OnTouch = touch
		return a.MakeCredential(ctx, *req.Make)
	}
	if a, ok := d.(tokens.Asserter); ok && req.Op == wire.OpAssert {
		req.Assert.OnTouch = touch
		return a.Assert(ctx, *req.Assert)
	}
	if d, ok := d.(tokens.Diagnoser); ok && req.Op == wire.OpDoctor {
		return d.Diagnose(ctx)
	}
	if w, ok := d.(tokens.Watcher); ok && req.Op == wire.OpWatch {
		return nil, w.Watch(ctx, func(e tokens.Event) { out.event(wire.Answer{Watch: &e}) })
	}
	return nil, tokens.Errorf(tokens.CodeUnsupported, "a %s token cannot do that", req.Kind)
}
