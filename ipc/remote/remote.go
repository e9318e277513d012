// Package remote serves an authority to other machines: over TLS 1.3, with a key
// that clients pin, it takes sealed messages and gives sealed answers, and hands
// out the authority's descriptor. It serves nothing else. Who sends a message, and
// what he may, is in the message; so there are no clients to be told apart here but
// by their address, which bounds what one of them can take up.
package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The paths. A message is POSTed as bytes (application/octet-stream), and so is
// its answer; the descriptor is got as bytes. An error is the JSON object of the
// local API, with its HTTP status.
const (
	MessagePath    = "/v1/message"
	DescriptorPath = "/v1/descriptor"
	ContentType    = "application/octet-stream"
)

// MaxMessage is how many bytes a message has at most.
const MaxMessage = 20 << 10

// Config says what is served, and within which bounds. A zero bound takes its
// default.
type Config struct {
	// Message answers a sealed message; from names an address, or a network of them
	// that is one customer's. It fails with an *ipc.Error.
	Message func(ctx context.Context, from string, sealed []byte) ([]byte, error)
	// Descriptor is what devices are told of the authority.
	Descriptor func(from string) ([]byte, error)
	// Certificate is as Certificate made it.
	Certificate tls.Certificate
	// Log is told of what went wrong here; nil stands for slog.DiscardHandler.
	Log *slog.Logger

	Connections     int           // in all; 256
	ConnectionsEach int           // of one address; 8
	HeaderTime      time.Duration // for a handshake, and for a request's head; 5 s
	BodyTime        time.Duration // for a request in all; 10 s
	WriteTime       time.Duration // for an answer, the authority's time included; 30 s
	IdleTime        time.Duration // between two requests of a connection; 15 s
	StopTime        time.Duration // for calls to end after Serve's context has; 5 s
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, n := range []struct {
		to *int
		is int
	}{{&c.Connections, 256}, {&c.ConnectionsEach, 8}} {
		if *n.to == 0 {
			*n.to = n.is
		}
	}
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{
		{&c.HeaderTime, 5 * time.Second}, {&c.BodyTime, 10 * time.Second}, {&c.WriteTime, 30 * time.Second},
		{&c.IdleTime, 15 * time.Second}, {&c.StopTime, 5 * time.Second},
	} {
		if *d.to == 0 {
			*d.to = d.is
		}
	}
	return c
}

// headerBytes is the largest head of a request; net/http allows 4096 more.
const headerBytes = 2048

// Serve answers those who connect to l until ctx ends: then it closes l, cancels
// what is going on, waits StopTime for it to end, and returns nil.
func Serve(ctx context.Context, l net.Listener, c Config) error {
	c = c.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:                      &handler{c},
		ReadHeaderTimeout:            c.HeaderTime,
		ReadTimeout:                  c.BodyTime,
		WriteTimeout:                 c.WriteTime,
		IdleTimeout:                  c.IdleTime,
		MaxHeaderBytes:               headerBytes,
		DisableGeneralOptionsHandler: true,
		Protocols:                    new(http.Protocols),
		// What net/http has to say is of foreign bytes, and there can be much of it.
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	srv.Protocols.SetHTTP1(true)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		end, done := context.WithTimeout(context.WithoutCancel(ctx), c.StopTime)
		defer done()
		if err := srv.Shutdown(end); err != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(tls.NewListener(newBounded(l, c.Connections, c.ConnectionsEach), &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.Certificate}, NextProtos: []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}))
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
