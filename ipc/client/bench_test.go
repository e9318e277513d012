package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

// coder answers with a code at once: what is measured is the way there.
type coder struct{ ipc.Backend }

func (coder) Code(_ context.Context, _ ipc.Principal, _ string, _ ipc.CodeRequest) (ipc.Code, error) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return ipc.Code{
		Version: 1, Account: ipc.AccountRef{ID: "a1", Issuer: "Example", Name: "alice@example.com"}, Code: "492039",
		ValidFrom: at, ValidUntil: at.Add(30 * time.Second), Period: 30,
	}, nil
}

func serveCoder(b *testing.B) string {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "s")
	l, err := local.Listen(socket, local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = httpapi.New(httpapi.Config{Backend: coder{}}).Serve(ctx, l)
	}()
	b.Cleanup(func() { cancel(); <-done })
	return socket
}

// netHTTP is the standard library's client on a unix socket.
func netHTTP(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
}

// BenchmarkBareNetHTTP is the yardstick: net/http on both ends, no work.
func BenchmarkBareNetHTTP(b *testing.B) {
	socket := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	c := netHTTP(socket)
	for b.Loop() {
		r, err := c.Get("http://tokend/")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
}

// BenchmarkCodeNetHTTP is a code from this server by net/http's client.
func BenchmarkCodeNetHTTP(b *testing.B) {
	c := netHTTP(serveCoder(b))
	for b.Loop() {
		r, err := c.Post("http://tokend/v1/codes?account=a1", "application/json", strings.NewReader(`{"fresh":false}`))
		if err != nil {
			b.Fatal(err)
		}
		var code ipc.Code
		if err := json.NewDecoder(r.Body).Decode(&code); err != nil || code.Code != "492039" {
			b.Fatal(code, err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
}

// BenchmarkCode is a code by this package's client.
func BenchmarkCode(b *testing.B) {
	c := client.New(serveCoder(b))
	defer c.Close()
	for b.Loop() {
		code, err := c.Code(context.Background(), "a1", ipc.CodeRequest{})
		if err != nil || code.Code != "492039" {
			b.Fatal(code, err)
		}
	}
}

// BenchmarkCodeCold is the same with a connection for each code, as a tokenctl
// process has it.
func BenchmarkCodeCold(b *testing.B) {
	socket := serveCoder(b)
	for b.Loop() {
		c := client.New(socket)
		if _, err := c.Code(context.Background(), "a1", ipc.CodeRequest{}); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkCode8Clients and BenchmarkBareNetHTTP8Clients tell the 99th
// percentile of a call's time while eight clients ask as fast as they can.
func BenchmarkCode8Clients(b *testing.B) {
	socket := serveCoder(b)
	eightClients(b, func() func() error {
		c := client.New(socket)
		return func() error {
			_, err := c.Code(context.Background(), "a1", ipc.CodeRequest{})
			return err
		}
	})
}

func BenchmarkBareNetHTTP8Clients(b *testing.B) {
	socket := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	eightClients(b, func() func() error {
		c := netHTTP(socket)
		return func() error {
			r, err := c.Get("http://tokend/")
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, r.Body)
			return r.Body.Close()
		}
	})
}

func eightClients(b *testing.B, connect func() (call func() error)) {
	b.Helper()
	const clients = 8
	took := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	n := max(1, b.N/clients)
	for i := range clients {
		wg.Go(func() {
			call := connect()
			for range n {
				start := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	}
}
