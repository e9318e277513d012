// Tokend-helper does one operation with one token and exits. It is started by
// tokend, or for a connection of tokend's by the service manager, never by hand;
// tokens/helper/wire says what the two say to each other.
//
//	tokend-helper op KIND [DEVICE…]       one request on standard input, one answer, exit
//	tokend-helper watch KIND [DEVICE…]    the same, but the answer is a stream of events
//	tokend-helper hello                   what this build can do, and what it is kept from
//
// The kind of token is on the command line as well as in the request, because
// what the process may do is settled by it before anything else happens (package
// confine); so are the paths of FIDO2 keys that are not found by themselves.
//
// It is the only program of the project that is linked with libpcsclite and libfido2. A
// driver that hangs, leaks or crashes takes one operation down with it, and the
// end of the process gives back what the driver held. It ends when its standard
// input does, so it outlives nobody who waits for it.
package main

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

	"github.com/tokenbridge/tokend/cmd/tokend-helper/internal/confine"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// The exit codes.
const (
	exitDone      = 0
	exitFailed    = 1 // the answer was an error
	exitUsage     = 2
	exitAbandoned = 3 // nobody waits for the answer
)

// abandonGrace is how long an operation may take to let go of its token once
// nobody waits for it. After that the process ends and the PC/SC service resets
// the card.
const abandonGrace = 200 * time.Millisecond

func main() {
	held, err := confine.Start(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tokend-helper:", err)
		exit(exitFailed)
	}
	exit(run(os.Args[1:], held, os.Stdin, os.Stdout, os.Stderr))
}

func run(args, held []string, stdin io.Reader, stdout, stderr io.Writer) int {
	mode := ""
	if len(args) > 0 {
		mode = args[0]
	}
	switch {
	case mode == "hello" && len(args) == 1:
		if err := json.NewEncoder(stdout).Encode(hello(held)); err != nil {
			return exitFailed
		}
		return exitDone
	case (mode == "op" || mode == "watch") && len(args) > 1:
		return serve(mode, tokens.Kind(args[1]), held, stdin, stdout, stderr)
	}
	fmt.Fprintln(stderr, "tokend-helper is started by tokend; it knows: op KIND, watch KIND, hello")
	return exitUsage
}

// answers writes the lines of an answer.
type answers struct {
	mu sync.Mutex
	w  io.Writer
}

func (a *answers) send(line wire.Answer) error {
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	defer clear(b)
	if len(b)+1 > wire.MaxLine {
		b, err = json.Marshal(wire.Answer{Error: tokens.Errorf(tokens.CodeProtocol, "the token's answer is too large")})
		if err != nil {
			return fmt.Errorf("cannot encode the answer: %w", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err = a.w.Write(append(b, '\n'))
	return err
}

// event sends what nothing more depends on. A line that cannot be written means
// that nobody reads; serve notices.
func (a *answers) event(line wire.Answer) { _ = a.send(line) }

// serve reads one request, and answers it unless its sender goes away.
func serve(mode string, kind tokens.Kind, held []string, stdin io.Reader, stdout, stderr io.Writer) int {
	in := bufio.NewReader(stdin)
	req, err := wire.ReadRequest(in)
	if err == nil && ((req.Op == wire.OpWatch) != (mode == "watch") || req.Kind != kind) {
		err = fmt.Errorf("%s %s: %w", mode, kind, wire.ErrFormat)
	}
	out := &answers{w: stdout}
	if err != nil {
		fmt.Fprintln(stderr, "tokend-helper:", err)
		out.event(wire.Answer{Error: tokens.Errorf(tokens.CodeProtocol, "the token helper got a malformed request")})
		return exitFailed
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gone := make(chan struct{})
	go func() {
		// Nothing more is ever sent; what comes is the end, however it comes.
		_, _ = io.Copy(io.Discard, in)
		close(gone)
		cancel()
	}()
	done := make(chan int, 1)
	go func() {
		code := perform(ctx, req, held, out, stderr)
		req.Forget()
		done <- code
	}()
	select {
	case code := <-done:
		return code
	case <-gone:
	}
	select {
	case <-done:
	case <-time.After(abandonGrace):
	}
	return exitAbandoned
}

// perform does the operation and sends its result or error.
func perform(ctx context.Context, req *wire.Request, held []string, out *answers, stderr io.Writer) int {
	result, err := operate(ctx, req, held, out)
	if err != nil {
		fmt.Fprintln(stderr, "tokend-helper:", req.Op, err)
		var told *tokens.Error
		if !errors.As(err, &told) {
			told = tokens.Errorf(tokens.CodeProtocol, "the token driver failed")
		}
		out.event(wire.Answer{Error: told})
		return exitFailed
	}
	defer forget(result)
	b, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(stderr, "tokend-helper:", err)
		return exitFailed
	}
	defer clear(b)
	if err := out.send(wire.Answer{Result: b}); err != nil {
		return exitAbandoned
	}
	return exitDone
}

func forget(result any) {
	if r, ok := result.(wire.AgreeResult); ok {
		clear(r.Shared)
	}
}
