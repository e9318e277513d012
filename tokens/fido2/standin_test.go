//go:build cgo && linux && !nofido2

package fido2_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// standIn names the environment variable that has this test program do one
// operation and exit, as tokend-helper does. tokend-helper itself cannot be had
// under umockdev, whose library connects to sockets and reads files, from which
// the helper is kept.
const standIn = "TOKEND_TEST_STAND_IN"

func driveOnce() int {
	in := bufio.NewReader(os.Stdin)
	req, err := wire.ReadRequest(in)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	var mu sync.Mutex
	tell := func(a wire.Answer) {
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(os.Stdout).Encode(a)
	}
	result, err := drive(ctx, req, tell)
	var told *tokens.Error
	if errors.As(err, &told) {
		tell(wire.Answer{Error: told})
		return 1
	}
	b, err := json.Marshal(result)
	if err != nil {
		return 1
	}
	tell(wire.Answer{Result: b})
	return 0
}

func drive(ctx context.Context, req *wire.Request, tell func(wire.Answer)) (any, error) {
	d := fido2.New(fido2.Options{Devices: req.Devices, Patience: 2 * time.Second})
	touch := func() { tell(wire.Answer{Event: wire.EventTouch}) }
	switch req.Op {
	case wire.OpList:
		return d.List(ctx)
	case wire.OpDoctor:
		return d.Diagnose(ctx)
	case wire.OpEnroll:
		req.Enroll.OnTouch = touch
		return d.Enroll(ctx, *req.Enroll)
	case wire.OpAgree:
		req.Agree.OnTouch = touch
		shared, err := d.Agree(ctx, *req.Agree)
		return wire.AgreeResult{Shared: shared}, err
	case wire.OpWatch:
		return nil, d.Watch(ctx, func(e tokens.Event) { tell(wire.Answer{Watch: &e}) })
	}
	return nil, tokens.Errorf(tokens.CodeUnsupported, "no test needs that")
}
