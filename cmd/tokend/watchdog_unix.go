//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/tokenbridge/tokend/ipc/local"
)

// watchdogParts is how often in its time the service manager is told that all is
// well: two may get lost.
const watchdogParts = 3

// watchdog tells the service manager, where it wants to be told, that the daemon
// answers, for as long as it does. The function it returns ends that.
func (s *service) watchdog(ctx context.Context) (stop func()) {
	within, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("cannot tell how often the service manager wants to hear of this", "err", err)
	}
	if err != nil || within <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		s.pat(ctx, within/watchdogParts, func(ctx context.Context) error { return answers(ctx, s.config.Socket) })
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// pat tells the service manager each time that check finds nothing.
func (s *service) pat(ctx context.Context, every time.Duration, check func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		limit, stop := context.WithTimeout(ctx, every)
		err := check(limit)
		stop()
		switch {
		case err == nil:
			s.notify(sd.SdNotifyWatchdog)
		case ctx.Err() == nil:
			s.log.Error("the daemon does not answer itself", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// answers asks the daemon at the socket for its status, as any client does: what
// accepts connections, what handles requests and what every caller waits for work, or
// it fails. It has a place of its own among the connections (httpapi.Config.Own).
func answers(ctx context.Context, socket string) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return local.Dial(ctx, socket)
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tokend/v1/status", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	return err
}
