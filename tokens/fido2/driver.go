//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

// Driver is the tokens.Driver of FIDO2 keys.
type Driver struct {
	o Options
}

var (
	_ tokens.Driver     = (*Driver)(nil)
	_ tokens.Inspector  = (*Driver)(nil)
	_ tokens.PINChanger = (*Driver)(nil)
	_ tokens.Wiper      = (*Driver)(nil)
	_ tokens.Watcher    = (*Driver)(nil)
	_ tokens.Prober     = (*Driver)(nil)
	_ tokens.Diagnoser  = (*Driver)(nil)
	_ tokens.Asserter   = (*Driver)(nil)
)

// New returns a Driver.
func New(o Options) *Driver {
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Answer <= 0 {
		o.Answer = DefaultAnswer
	}
	if o.Touch <= 0 {
		o.Touch = DefaultTouch
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Driver{o: o}
}

// Missing says why this build cannot drive FIDO2 keys; it is empty where it can.
func Missing() string { return "" }

// key is a security key that has answered.
type key struct {
	d       *Driver
	path    string
	info    *hid.Info
	retries hid.Retries
	version [3]byte
	dev     *libfido2.Device
	// port has the device open that has answered, and target is where dev finds
	// it; both are there after open alone.
	port   *hid.Port
	target string
	// pinTaken says that the key has taken the PIN in this operation.
	pinTaken bool
}

// close lets go of the device.
func (k *key) close() {
	if k.port != nil {
		k.port.Close()
		k.port = nil
	}
}

// allowed says whether a path may be opened at all: a request must not make us
// write to what is no key.
func (d *Driver) allowed(path string) bool {
	return hid.IsNode(path) || slices.Contains(d.o.Devices, path)
}

// greet asks a key what it can do, within bounded time, and retries as far as
// asked for. It fails with what package hid fails with. The caller closes it.
func (d *Driver) greet(ctx context.Context, path string, retries bool) (_ *key, err error) {
	port, err := hid.Open(ctx, path, time.Now().Add(d.o.Answer))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			port.Close()
		}
	}()
	k := &key{
		d: d, path: path, port: port, version: port.Firmware, retries: hid.Retries{PIN: -1, UV: -1},
	}
	if !port.CTAP2 {
		return k, nil
	}
	if k.info, err = port.Info(ctx, time.Now().Add(d.o.Answer)); err != nil {
		return nil, answering(err)
	}
	if retries {
		if k.retries, err = port.Retries(ctx, k.info, time.Now().Add(d.o.Answer)); err != nil {
			return nil, answering(err)
		}
	}
	return k, nil
}

// errAnswering marks the failure of a key that had answered before.
var errAnswering = errors.New("during the operation")

func answering(err error) error { return fmt.Errorf("%w: %w", errAnswering, err) }

// patiently repeats f while another program uses the key.
func (d *Driver) patiently(ctx context.Context, onBusy func(), f func() error) error {
	end := d.o.Now().Add(d.o.Patience)
	told := false
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f()
		if !errors.Is(err, hid.ErrLocked) && !errors.Is(err, hid.ErrBusy) || !d.o.Now().Before(end) {
			return err
		}
		// A program that is about to let go is not worth telling of.
		if !told && pause >= 100*time.Millisecond {
			told = true
			for _, tell := range []func(){d.o.OnBusy, onBusy} {
				if tell != nil {
					tell()
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// open finds a key, waits until nobody else uses it, and makes sure that it can
// be used. The caller closes it. libfido2 opens the device anew for each step, by
// its name; until it is closed, no other device gets that.
func (d *Driver) open(ctx context.Context, path string, retries bool, onBusy func()) (_ *key, err error) {
	k, err := d.reach(ctx, path, retries, onBusy)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if problem := k.problem(); problem != nil && problem.Code == tokens.CodeUnsupported {
		return nil, problem
	}
	if err := k.port.Release(); err != nil {
		return nil, explainOpen(path, answering(err))
	}
	k.target = resolved(path)
	if err := k.still(); err != nil {
		return nil, err
	}
	if k.dev, err = libfido2.NewDevice(k.target); err != nil {
		return nil, fail(tokens.CodeNotPresent, "there is no such key", err)
	}
	return k, nil
}

// resolved is where a configured path leads to now: a symbolic link may lead
// elsewhere a moment later. What the system names is named so by root alone.
func resolved(path string) string {
	if !hid.IsNode(path) {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			return target
		}
	}
	return path
}

// still fails when another device is where the key was.
func (k *key) still() error {
	if k.port.At(k.target) {
		return nil
	}
	return tokens.Errorf(tokens.CodeRemoved, "the key was removed during the operation")
}

// meet asks a key that need not be of use, and lets go of it.
func (d *Driver) meet(ctx context.Context, path string, retries bool) (*key, error) {
	k, err := d.reach(ctx, path, retries, nil)
	if err == nil {
		k.close()
	}
	return k, err
}

// reach waits until a key can be asked, and leaves it open.
func (d *Driver) reach(ctx context.Context, path string, retries bool, onBusy func()) (*key, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if !d.allowed(path) {
		return nil, tokens.Errorf(tokens.CodeNotPresent, "there is no such key")
	}
	var k *key
	err := d.patiently(ctx, onBusy, func() (err error) {
		k, err = d.greet(ctx, path, retries)
		return err
	})
	if err != nil {
		return nil, explainOpen(path, err)
	}
	return k, nil
}

// Cancelling is repeated every cancelAgain, because libfido2 loses what comes
// before the device is open, and given up after cancelGrace: a helper that is
// told to end has 200 ms.
const (
	cancelAgain = 15 * time.Millisecond
	cancelGrace = 150 * time.Millisecond
)

// errBound says that a key took longer than it may.
var errBound = errors.New("the time is up")

// run does f, which calls libfido2, for at most so long. When it returns before f
// has, the key was told to give up; f goes on until the key or the process ends,
// and nothing that it writes may be read.
func (k *key) run(ctx context.Context, bound time.Duration, f func() error) error {
	return k.runTelling(ctx, bound, nil, f)
}

// runTelling is run for a step that waits for a touch, which tell makes known.
func (k *key) runTelling(ctx context.Context, bound time.Duration, tell *announcement, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := k.still()
	if err != nil {
		return err
	}
	due := tell.start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f()
	}()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	why := errBound
	for waiting := true; waiting; {
		select {
		case <-done:
			tell.ended(err)
			return err
		case <-due:
			tell.now()
			continue
		case <-ctx.Done():
			why = ctx.Err()
		case <-timer.C:
		}
		waiting = false
	}
	grace := time.After(cancelGrace)
	for {
		hid.Sync()
		_ = k.dev.Cancel() // what is already over cannot be cancelled
		hid.Sync()
		select {
		case <-done:
			return why
		case <-grace:
			return why
		case <-time.After(cancelAgain):
		}
	}
}

// random returns n random bytes.
func (d *Driver) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := readFull(d.o.Random, b); err != nil {
		return nil, fail(tokens.CodeProtocol, "cannot get random bytes", err)
	}
	return b, nil
}
