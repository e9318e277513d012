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
	"github.com/tokenbridge/tokend/ipc/client"
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

// caller asks one service for one code, n clients at a time.
type caller struct {
	name string
	// client returns what one client calls; it is used by one goroutine.
	client func() (call func(context.Context) error)
}

// netHTTP calls with the standard library's client, over connections that stay
// open: the same code for the daemon and for the bare server.
func netHTTP(name, socket, path string) caller {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: clients}}
	url := "http://tokend" + path
	return caller{name, func() func(context.Context) error {
		return func(ctx context.Context) error { return post(ctx, c, url) }
	}}
}

func post(ctx context.Context, c *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := c.Do(r)
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

// ours calls with the client of this project, a connection for each.
func ours(name, socket, account string) caller {
	return caller{name, func() func(context.Context) error {
		c := client.New(socket)
		return func(ctx context.Context) error {
			_, err := c.Code(ctx, account, ipc.CodeRequest{})
			return err
		}
	}}
}

// load is how clients ask: n of them, times calls each, at the pace of one call
// in every; without a pace each asks again as soon as it has its answer.
type load struct {
	n, times int
	every    time.Duration
}

func (c caller) under(ctx context.Context, l load) (sample, error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  sample
		fail error
	)
	for i := range l.n {
		wg.Go(func() {
			// Out of step, as people are.
			next := time.Now().Add(l.every * time.Duration(i) / time.Duration(l.n))
			call := c.client()
			s, err := repeat(l.times, func() error { return call(ctx) }, func() {
				if l.every > 0 {
					time.Sleep(time.Until(next))
					next = next.Add(l.every)
				}
			})
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
	const account = "user25@example.org"
	return b.compareRoundTrips(ctx,
		netHTTP("bare net/http", socket, "/"),
		netHTTP("by net/http's client", d.socket, "/v1/codes?account="+url.QueryEscape(account)),
		ours("by this project's client", d.socket, account))
}

// compareRoundTrips asks all in turns, so that what else the machine does hits
// all alike.
func (b *bench) compareRoundTrips(ctx context.Context, bare caller, codes ...caller) error {
	const pace = 10 * time.Millisecond
	for _, m := range []struct {
		what     string
		load     load
		p50, p99 string // goals
	}{
		{"1 client", load{1, b.times(500), 0}, "ratio at most 1.5", "-"},
		{"8 clients, each 100 a second", load{clients, b.times(50), pace}, "-", "under 1 ms"},
		{"8 clients without a pause", load{clients, b.times(500), 0}, "-", "-"},
	} {
		samples := map[string]sample{}
		for range 10 {
			for _, c := range append([]caller{bare}, codes...) {
				s, err := c.under(ctx, m.load)
				if err != nil {
					return err
				}
				samples[c.name] = append(samples[c.name], s...)
			}
		}
		least := samples[bare.name]
		for _, c := range codes {
			s := samples[c.name]
			what := "warm session code, " + m.what + ", " + c.name
			b.add(what+", p50", show(s.median()), bare.name+" "+show(least.median()), ratio(s.median(), least.median()), m.p50)
			b.add(what+", p99", show(s.at(99)), bare.name+" "+show(least.at(99)), ratio(s.at(99), least.at(99)), m.p99)
		}
	}
	return nil
}
