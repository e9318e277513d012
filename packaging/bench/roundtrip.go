//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// clients is how many ask at once for the percentiles under load.
const clients = 8

// serveBare is the least a local HTTP service can cost: it reads the request's
// body and answers with a code's worth of JSON, which it makes once.
func serveBare(socket string) error {
	from := time.Now().Truncate(30 * time.Second)
	answer, err := json.Marshal(ipc.Code{
		Version: ipc.Version, Code: "123456", Period: 30, ValidFrom: from, ValidUntil: from.Add(30 * time.Second),
		Account: ipc.AccountRef{ID: "0123456789abcdef", Issuer: "Service 0", Name: "user0@example.org"},
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
}

// caller asks the service at one socket, over connections that stay open. The
// same code asks the daemon and the bare server.
type caller struct {
	http http.Client
	url  string
}

func newCaller(socket, path string) *caller {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &caller{
		http: http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: clients}},
		url:  "http://tokend" + path,
	}
}

func (c *caller) call(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %d: %s", a.StatusCode, body)
	}
	return nil
}

// together lets n callers ask at the same time, each times times.
func (c *caller) together(ctx context.Context, n, times int) (sample, error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  sample
		fail error
	)
	for range n {
		wg.Go(func() {
			s, err := repeat(times, func() error { return c.call(ctx) })
			mu.Lock()
			defer mu.Unlock()
			all = append(all, s...)
			if err != nil {
				fail = err
			}
		})
	}
	wg.Wait()
	return all, fail
}

func (b *bench) roundTrip(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	socket := filepath.Join(b.dir, "bare")
	server := exec.CommandContext(ctx, self, "bare-server", socket)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if err := listening(socket); err != nil {
		return err
	}
	d, err := b.tokend("roundtrip")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 50); err != nil {
		return err
	}
	code := newCaller(d.socket, "/v1/codes?account="+url.QueryEscape("user25@example.org"))
	bare := newCaller(socket, "/")
	return b.compareRoundTrips(ctx, code, bare)
}

// compareRoundTrips asks both in turns, so that what else the machine does hits
// both alike.
func (b *bench) compareRoundTrips(ctx context.Context, code, bare *caller) error {
	for _, n := range []int{1, clients} {
		var codes, bares sample
		for range 10 {
			s, err := code.together(ctx, n, b.times(500))
			if err != nil {
				return err
			}
			codes = append(codes, s...)
			if s, err = bare.together(ctx, n, b.times(500)); err != nil {
				return err
			}
			bares = append(bares, s...)
		}
		goal := [2]string{"ratio at most 1.5", "-"}
		what := "warm session code over the socket, 1 client"
		if n > 1 {
			goal = [2]string{"-", "under 1 ms"}
			what = fmt.Sprintf("the same, %d clients at once", n)
		}
		b.add(what+", p50", show(codes.median()), "bare net/http "+show(bares.median()),
			ratio(codes.median(), bares.median()), goal[0])
		b.add(what+", p99", show(codes.at(99)), "bare net/http "+show(bares.at(99)),
			ratio(codes.at(99), bares.at(99)), goal[1])
	}
	return nil
}
