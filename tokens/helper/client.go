// Package helper makes the tokend-helper program look like any token driver.
//
// A Client starts the program itself, or connects to where the service manager
// starts it as another user, the only one who may use devices (Config.Sockets).
//
// As with OpenSSH's ssh-sk-helper, every operation is a process of its own,
// with its PIN on standard input and nothing else of the caller's: no
// environment but an allow-list, no descriptors, a process group to be killed
// by. So a driver that hangs, leaks or crashes in C costs one operation, and a
// touch can be called off at any moment.
package helper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// Default limits of a Client.
const (
	// DefaultTimeout is for operations that may wait for a touch (15 s on a
	// YubiKey) after having waited for another program to let go of the token.
	DefaultTimeout = 60 * time.Second
	// DefaultQuiet is for the part of an operation before it waits for a touch.
	DefaultQuiet = 25 * time.Second
	// DefaultListTimeout is for reading what is there.
	DefaultListTimeout = 30 * time.Second
)

// MaxDevices is how many Devices a Config may have.
const MaxDevices = wire.MaxDevices

// A card goes on waiting for a touch after the program that asked has been
// killed, for 15 s on a YubiKey; until then nobody else can have it.
const (
	abandonedFor      = 16 * time.Second
	abandonedPatience = 20 * time.Second
)

// Config says how a Client runs the program.
type Config struct {
	// Path is the absolute path of tokend-helper.
	Path string
	// Sockets is the folder of the sockets at which the service manager starts the
	// program, for each connection one; empty means that the Client starts it
	// itself, from Path. Env and Running are for that alone.
	Sockets string
	// Kind is the family of tokens that the Client drives.
	Kind tokens.Kind
	// Devices are paths of FIDO2 keys beside those that the system lists.
	Devices []string
	// Env is the program's whole environment, "NAME=value"; nil means what
	// Environment returns.
	Env []string
	// Timeout and ListTimeout bound an operation; enrolling a FIDO2 key may take
	// as much for each of its touches. Quiet bounds how long an operation may
	// neither answer nor say what it waits for. Zero means the defaults.
	Timeout, ListTimeout, Quiet time.Duration
	// Running knows the processes of this Client; nil means that nobody asks.
	// Several Clients can share it.
	Running *Running
	// Guard runs f, in its own goroutine, so that what f handled stays neither in
	// registers nor on the stack: daemon/secret's Do. Requests are written and
	// answers taken apart in it. Nil means that f is merely called.
	Guard func(f func())
	// Observe is told of each operation: what it was, how it ended, how long it took,
	// and whether it waited for a touch. Nil means nobody.
	Observe func(Observation)
	// Log gets what the program writes to its standard error and how it ended;
	// nil means nobody does.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Client is a token driver whose operations run in the tokend-helper program.
// It is safe for concurrent use; operations on one token are the caller's to
// queue. Every error is a *tokens.Error.
type Client struct {
	cfg Config

	mu        sync.Mutex
	abandoned map[string]time.Time // by locator: when an operation was killed
}

var (
	_ tokens.Driver     = (*Client)(nil)
	_ tokens.Inspector  = (*Client)(nil)
	_ tokens.PINChanger = (*Client)(nil)
	_ tokens.Wiper      = (*Client)(nil)
	_ tokens.Watcher    = (*Client)(nil)
	_ tokens.Prober     = (*Client)(nil)
	_ tokens.Diagnoser  = (*Client)(nil)
	_ tokens.Asserter   = (*Client)(nil)
)

// New returns a Client. Whether the program is there and of the right version
// is Check's question.
func New(cfg Config) *Client {
	if cfg.Env == nil {
		cfg.Env = Environment()
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Quiet <= 0 {
		cfg.Quiet = DefaultQuiet
	}
	if cfg.ListTimeout <= 0 {
		cfg.ListTimeout = DefaultListTimeout
	}
	if cfg.Guard == nil {
		cfg.Guard = func(f func()) { f() }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, abandoned: make(map[string]time.Time)}
}

// List implements tokens.Driver.
func (c *Client) List(ctx context.Context) ([]tokens.Token, error) {
	var out []tokens.Token
	req := wire.Request{Op: wire.OpList}
	if err := c.call(ctx, req, call{timeout: c.cfg.ListTimeout}, &out); err != nil {
		return nil, err
	}
	if len(out) > wire.MaxTokens {
		return nil, protocolError("it listed too many tokens")
	}
	for i := range out {
		if err := c.checkToken(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Enroll implements tokens.Driver.
func (c *Client) Enroll(ctx context.Context, r tokens.EnrollRequest) (tokens.Enrollment, error) {
	var out tokens.Enrollment
	req := wire.Request{Op: wire.OpEnroll, Enroll: &r}
	timeout := c.cfg.Timeout
	if c.cfg.Kind == tokens.KindFIDO2 {
		timeout *= time.Duration(2*len(r.Classes) + 1) // two touches a class, and one more
	}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: timeout, onTouch: r.OnTouch, onBusy: r.OnBusy}, &out); err != nil {
		return tokens.Enrollment{}, err
	}
	if err := c.checkEnrollment(&out, r); err != nil {
		return tokens.Enrollment{}, err
	}
	return out, nil
}

// Agree implements tokens.Driver.
func (c *Client) Agree(ctx context.Context, r tokens.AgreeRequest) ([]byte, error) {
	var out wire.AgreeResult
	curve := r.Key.Algorithm.Curve()
	if curve == nil {
		return nil, tokens.Errorf(tokens.CodeInvalid, "the key's algorithm is not known")
	}
	// Checked here too: a helper that has been taken over must not choose what
	// the token multiplies.
	if _, err := curve.NewPublicKey(r.Peer); err != nil {
		return nil, tokens.Errorf(tokens.CodeInvalid, "the peer's key is not a point of %s", r.Key.Algorithm)
	}
	req := wire.Request{Op: wire.OpAgree, Agree: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: c.cfg.Timeout, onTouch: r.OnTouch, onBusy: r.OnBusy}, &out); err != nil {
		return nil, err
	}
	if len(out.Shared) != sharedSize(r.Key.Algorithm) {
		clear(out.Shared)
		return nil, protocolError("its shared secret has the wrong size")
	}
	return out.Shared, nil
}

// Inspect implements tokens.Inspector.
func (c *Client) Inspect(ctx context.Context, locator string) (tokens.Details, error) {
	var out tokens.Details
	req := wire.Request{Op: wire.OpInspect, Locator: locator}
	if err := c.call(ctx, req, call{locator: locator, timeout: c.cfg.ListTimeout}, &out); err != nil {
		return tokens.Details{}, err
	}
	if err := c.checkTokenAt(&out.Token, locator); err != nil {
		return tokens.Details{}, err
	}
	checkAttestation(out.Attestation)
	return out, checkFacts(out.Facts)
}

// ChangePIN implements tokens.PINChanger.
func (c *Client) ChangePIN(ctx context.Context, r tokens.PINRequest) ([]byte, error) {
	var out wire.PINResult
	req := wire.Request{Op: wire.OpPIN, PIN: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: c.cfg.Timeout}, &out); err != nil {
		return nil, err
	}
	if len(out.KeyFile) > wire.MaxKeyFile {
		return nil, protocolError("its key file is too large")
	}
	return out.KeyFile, nil
}

// Wipe implements tokens.Wiper.
func (c *Client) Wipe(ctx context.Context, r tokens.WipeRequest) ([]string, error) {
	var out []string
	req := wire.Request{Op: wire.OpWipe, Wipe: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: c.cfg.Timeout}, &out); err != nil {
		return nil, err
	}
	if len(out) > wire.MaxKeys {
		return nil, protocolError("it named too many places")
	}
	for i := range out {
		out[i] = wire.Text(out[i])
	}
	return out, nil
}

// Probe implements tokens.Prober.
func (c *Client) Probe(ctx context.Context, r tokens.ProbeRequest) ([]bool, error) {
	var out wire.ProbeResult
	req := wire.Request{Op: wire.OpProbe, Probe: &r}
	if err := c.call(ctx, req, call{locator: r.Locator, timeout: c.cfg.ListTimeout}, &out); err != nil {
		return nil, err
	}
	if len(out.Held) != len(r.Keys) {
		return nil, protocolError("it answered for another number of keys")
	}
	return out.Held, nil
}

// Diagnose implements tokens.Diagnoser.
func (c *Client) Diagnose(ctx context.Context) ([]tokens.Finding, error) {
	var out []tokens.Finding
	if err := c.call(ctx, wire.Request{Op: wire.OpDoctor}, call{timeout: c.cfg.ListTimeout}, &out); err != nil {
		return nil, err
	}
	if len(out) > wire.MaxFacts {
		return nil, protocolError("it found too much")
	}
	for i := range out {
		checkFinding(&out[i])
	}
	return out, nil
}

// sharedSize is the length of an ECDH result, in bytes.
func sharedSize(a tokens.Algorithm) int {
	if a == tokens.P384 {
		return 48
	}
	return 32
}
