//go:build linux

package memory

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// TestInterrupted has the daemon read and refuse passwords so long that it is
// interrupted in every step of that: what a thread has in its registers when a
// signal comes is written to memory. The passwords repeat eight bytes, so that a
// piece of any register is found, wherever it begins.
func TestInterrupted(t *testing.T) {
	if e2e.NeedRoot(t) {
		return
	}
	b := &bench{t: t, ctx: t.Context(), pw: random(20)}
	b.Daemon = e2e.NewDaemon(t, shipped(t), nil)
	b.Start()
	b.c = client.New(b.Socket)
	t.Cleanup(b.c.Close)
	_, err := b.c.Init(b.ctx, ipc.InitRequest{RecoveryPassword: ipc.Secret(b.pw)})
	b.must(err)
	long := random(8)
	for i := range long {
		b.needles = append(b.needles, Needle{"long password", "turned", []byte(long[i:] + long[:i])})
	}
	const clients, each, repeated = 4, 40, 80000
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c := client.New(b.Socket)
			defer c.Close()
			for range each {
				_, err := c.RotateRecovery(b.ctx, ipc.SetRecoveryRequest{Auth: b.password(), Password: ipc.Secret(strings.Repeat(long, repeated))})
				if !errors.Is(err, &ipc.Error{Kind: ipc.InvalidArgument}) {
					t.Errorf("a password of %d bytes: %v", len(long)*repeated, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.lookUntil("after long passwords", settled, "long password").none(t, "long password")
}
