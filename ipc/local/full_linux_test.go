package local

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestDialWaitsForRoom has others fill the queue of those who wait to be accepted: who
// comes then waits, and is not sent away.
func TestDialWaitsForRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := mustListen(t, path, Options{})
	for full := false; !full; {
		c, err := net.Dial("unix", path)
		full = errors.Is(err, syscall.EAGAIN)
		if err != nil && !full {
			t.Fatal(err)
		}
		if err == nil {
			defer c.Close()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := Dial(ctx, path); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		if err == nil {
			_ = c.Close()
		}
		t.Errorf("with a full queue: %v", err)
	}
	dialled := make(chan error, 1)
	go func() {
		c, err := Dial(t.Context(), path)
		if err == nil {
			err = c.Close()
		}
		dialled <- err
	}()
	select {
	case err := <-dialled:
		t.Fatalf("with a full queue: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	if err := <-dialled; err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
