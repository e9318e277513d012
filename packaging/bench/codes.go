//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// codesWhile times codes that are asked for 100 times a second while f runs. Who asks
// is a process of its own, as it is in earnest: what f does in this one, such as
// decoding megabytes, would hold it up.
func codesWhile(ctx context.Context, socket string, f func() error) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "codes", socket)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	stop, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err = f()
	if err = errors.Join(err, stop.Close(), cmd.Wait()); err != nil {
		return nil, err
	}
	var s sample
	for line := range strings.Lines(out.String()) {
		n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return nil, err
		}
		s = append(s, time.Duration(n))
	}
	if len(s) == 0 {
		return nil, errors.New("no code was asked for meanwhile")
	}
	return s, nil
}

// askCodes is that process: it asks until its input ends, and then writes what each
// code took, in nanoseconds, a line each.
func askCodes(socket string, in io.Reader, out io.Writer) (err error) {
	c := client.New(socket)
	defer c.Close()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	w := bufio.NewWriter(out)
	defer func() { err = errors.Join(err, w.Flush()) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-tick.C:
			began := time.Now()
			if _, err := c.Code(context.Background(), "user50@example.org", ipc.CodeRequest{}); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(w, time.Since(began).Nanoseconds()); err != nil {
				return err
			}
		}
	}
}

// codesBeside times codes beside n processes that have nothing to do with tokend and
// only compute: what the system's scheduler does to them on a machine of few processors,
// whoever keeps it busy.
func codesBeside(ctx context.Context, socket string, n int) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var end []io.Closer
	var wait []func() error
	for range n {
		cmd := exec.CommandContext(ctx, self, "compute")
		cmd.Stderr = os.Stderr
		stop, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return nil, err
		}
		end, wait = append(end, stop), append(wait, cmd.Wait)
	}
	codes, err := codesWhile(ctx, socket, func() error { time.Sleep(5 * time.Second); return nil })
	for i := range end {
		err = errors.Join(err, end[i].Close(), wait[i]())
	}
	return codes, err
}

// compute is such a process: it hashes on one thread until its input ends.
func compute(in io.Reader) {
	runtime.GOMAXPROCS(2) // one for who waits for the end
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	var sum [sha256.Size]byte
	for {
		select {
		case <-ended:
			return
		default:
			sum = sha256.Sum256(sum[:])
		}
	}
}
