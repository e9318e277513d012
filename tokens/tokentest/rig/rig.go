//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// FriendlyName is what readers are called unless Options say otherwise: ykman
// looks for this name, and takes the interfaces for those of the token.
const FriendlyName = "Yubico YubiKey OTP+FIDO+CCID"

// maxReaders is pcscd's own limit.
const maxReaders = 16

// firstPort is where vpcd listens for cards, inside the namespace.
const firstPort = 35963

// Options say what a rig is like. The zero value is two readers.
type Options struct {
	// Readers is how many readers there are at least, 1 to 16; 0 means 2. The
	// number is rounded up to an even one, because vpcd makes them in pairs.
	Readers int
	// FriendlyName is what readers are called, without pcscd's numbers. The
	// third and fourth reader have " 2" behind it, and so on.
	FriendlyName string
	// Timeout is how long one step may take (the daemon's start, a card being
	// seen); 0 means 10 s.
	Timeout time.Duration
}

// Rig is a private pcscd and its readers. Its methods are safe for concurrent
// use and run one after the other.
type Rig struct {
	opts   Options
	dir    string
	holder *holder
	names  []string

	mu      sync.Mutex
	slots   []slot
	daemon  string // pcscd's process id
	running bool
	closed  bool
}

// slot is one reader: the card that is meant to be in it, and the card being in
// it, which ends when pcscd does.
type slot struct {
	card     *vpiv.Card
	inserted *vpiv.Inserted
}

// TB is what Start needs of a test; *testing.T, *testing.B and *testing.F have
// it.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start is New for a test: it fails the test when there is no rig to be had,
// and ends the rig with it. A failed test gets pcscd's log.
func Start(tb TB, o Options) *Rig {
	tb.Helper()
	r, err := New(context.Background(), o)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the log of pcscd:\n%s", r.Log())
		}
		if err := r.Close(); err != nil {
			tb.Logf("%v", err)
		}
	})
	return r
}

// New starts a private pcscd with empty readers and returns when it answers. A
// missing program or right is a *MissingError.
func New(ctx context.Context, o Options) (*Rig, error) {
	if o.Readers == 0 {
		o.Readers = 2
	}
	if o.FriendlyName == "" {
		o.FriendlyName = FriendlyName
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Readers < 1 || o.Readers > maxReaders {
		return nil, fmt.Errorf("cannot start pcscd: %d readers are not 1 to %d", o.Readers, maxReaders)
	}
	if strings.ContainsAny(o.FriendlyName, "\"\n") {
		return nil, errors.New("cannot start pcscd: a reader's name holds a quote or a line's end")
	}
	o.Readers += o.Readers % 2
	p, err := findPrograms()
	if err != nil {
		return nil, err
	}
	return newRig(ctx, o, p)
}

func newRig(ctx context.Context, o Options, p programs) (*Rig, error) {
	r := &Rig{opts: o, slots: make([]slot, o.Readers)}
	if err := r.start(ctx, p); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, p programs) error {
	dir, err := makeDir()
	if err != nil {
		return err
	}
	r.dir = dir
	if err := r.configure(p.driver); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if r.holder, err = startHolder(ctx, p, dir); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.startPCSCD(ctx)
}

// maxDir keeps the socket's path within what an address can hold.
const maxDir = 70

// makeDir makes the rig's folder outside /run, which is another one inside.
func makeDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > maxDir || strings.HasPrefix(parent+"/", "/run/") || strings.HasPrefix(parent+"/", "/var/run/") {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return "", fmt.Errorf("cannot make a folder for pcscd: %w", err)
	}
	return dir, nil
}

// configure writes a reader.conf(5) for each pair of readers.
func (r *Rig) configure(driver string) error {
	for _, d := range []string{"conf", "ipc", "dbus", "lib", "none"} {
		if err := os.Mkdir(filepath.Join(r.dir, d), 0o755); err != nil {
			return fmt.Errorf("cannot make a folder for pcscd: %w", err)
		}
	}
	for pair := range r.opts.Readers / 2 {
		port := firstPort + 2*pair
		// pcscd counts readers of different drivers only: the same name twice
		// would be the same reader's name twice.
		friendly, library := r.opts.FriendlyName, driver
		if pair > 0 {
			friendly += fmt.Sprintf(" %d", pair+1)
			var err error
			if library, err = r.copyDriver(driver, pair); err != nil {
				return fmt.Errorf("cannot configure pcscd: %w", err)
			}
		}
		text := fmt.Sprintf("FRIENDLYNAME %q\nDEVICENAME /dev/null:0x%04X\nLIBPATH %s\nCHANNELID 0x%04X\n",
			friendly, port, library, port)
		name := filepath.Join(r.dir, "conf", fmt.Sprintf("vpcd%02d", pair))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot configure pcscd: %w", err)
		}
	}
	return nil
}

// copyDriver makes another library of vpcd: it keeps its two readers in static
// variables.
func (r *Rig) copyDriver(driver string, pair int) (string, error) {
	b, err := os.ReadFile(driver)
	if err != nil {
		return "", err
	}
	name := filepath.Join(r.dir, "lib", fmt.Sprintf("vpcd%02d.so", pair))
	return name, os.WriteFile(name, b, 0o755)
}

// Socket is the path of pcscd's socket; it stays the same when pcscd is
// restarted.
func (r *Rig) Socket() string { return filepath.Join(r.dir, "ipc", "pcscd.comm") }

// Env is what to add to the environment of a program so that it uses this
// pcscd. The client library reads it once in the life of a process.
func (r *Rig) Env() []string { return []string{"PCSCLITE_CSOCK_NAME=" + r.Socket()} }

// Readers are the names of the readers in pcscd, in the order of their numbers.
func (r *Rig) Readers() []string { return append([]string(nil), r.names...) }

// Reader is the name of the first reader.
func (r *Rig) Reader() string { return r.names[0] }

// Log is what pcscd has logged so far.
func (r *Rig) Log() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Insert puts a card into a reader, counted from 0, and returns when pcscd has
// seen and powered it.
func (r *Rig) Insert(card *vpiv.Card, reader int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(reader); err != nil {
		return fmt.Errorf("cannot insert a card: %w", err)
	}
	s := &r.slots[reader]
	if s.inserted != nil && !s.gone() {
		return fmt.Errorf("cannot insert a card: reader %d holds one", reader)
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	return r.insert(ctx, card, reader)
}

// Remove pulls the card out of a reader and returns when pcscd has noticed. An
// operation of the card ends in the middle.
func (r *Rig) Remove(reader int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(reader); err != nil {
		return fmt.Errorf("cannot remove a card: %w", err)
	}
	s := &r.slots[reader]
	if s.inserted == nil {
		return fmt.Errorf("cannot remove a card: reader %d is empty", reader)
	}
	s.inserted.Remove()
	*s = slot{}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	return r.waitReader(ctx, reader, false)
}

// Card is the card that is in a reader, nil when there is none.
func (r *Rig) Card(reader int) *vpiv.Card {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reader < 0 || reader >= len(r.slots) || r.slots[reader].inserted == nil || r.slots[reader].gone() {
		return nil
	}
	return r.slots[reader].card
}

func (r *Rig) usable(reader int) error {
	switch {
	case r.closed:
		return errors.New("the rig is closed")
	case reader < 0 || reader >= len(r.slots):
		return fmt.Errorf("there is no reader %d", reader)
	case !r.running:
		return errors.New("pcscd does not run")
	}
	return nil
}

// gone says whether the card left the reader by itself.
func (s *slot) gone() bool {
	select {
	case <-s.inserted.Done():
		return true
	default:
		return false
	}
}

// insert connects the card to vpcd's port and waits until pcscd sees it.
func (r *Rig) insert(ctx context.Context, card *vpiv.Card, reader int) error {
	// A card that left by itself may not have been noticed yet; vpcd would
	// take the new connection for the old card going on.
	if err := r.waitReader(ctx, reader, false); err != nil {
		return err
	}
	conn, err := r.holder.dial(ctx, firstPort+reader)
	if err != nil {
		return fmt.Errorf("cannot insert a card: %w", err)
	}
	inserted, err := card.Insert(conn)
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("cannot insert a card: %w", err)
	}
	r.slots[reader] = slot{card: card, inserted: inserted}
	if err := r.waitReader(ctx, reader, true); err != nil {
		inserted.Remove()
		r.slots[reader] = slot{}
		return err
	}
	return nil
}

// StartPCSCD starts pcscd again after KillPCSCD. Cards that were in readers are
// in them again when it returns, having lost power.
func (r *Rig) StartPCSCD() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.running {
		return errors.New("cannot start pcscd: it runs already, or the rig is closed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	return r.startPCSCD(ctx)
}

// KillPCSCD kills pcscd with SIGKILL, as a crash would, and returns when it is
// gone. Cards stay in their readers without power. The socket's file stays too.
func (r *Rig) KillPCSCD() error { return r.endPCSCD("KILL") }

// StopPCSCD ends pcscd with SIGTERM, as an upgrade of its package would.
func (r *Rig) StopPCSCD() error { return r.endPCSCD("TERM") }

// RestartPCSCD is KillPCSCD and StartPCSCD.
func (r *Rig) RestartPCSCD() error {
	if err := r.KillPCSCD(); err != nil {
		return err
	}
	return r.StartPCSCD()
}

func (r *Rig) startPCSCD(ctx context.Context) error {
	pid, err := r.holder.command(ctx, "start")
	if err != nil {
		return fmt.Errorf("cannot start pcscd: %w", err)
	}
	r.daemon = pid
	r.running = true
	if err := r.waitReaders(ctx); err != nil {
		return err
	}
	for i, s := range r.slots {
		if s.card == nil {
			continue
		}
		if err := r.insert(ctx, s.card, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) endPCSCD(signal string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !r.running {
		return errors.New("cannot end pcscd: it does not run")
	}
	for i := range r.slots {
		// A card that left by itself is not in the reader any more; the others
		// will only seem to leave.
		if s := &r.slots[i]; s.inserted != nil && s.gone() {
			*s = slot{}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.opts.Timeout)
	defer cancel()
	if _, err := r.holder.command(ctx, "end "+signal); err != nil {
		return fmt.Errorf("cannot end pcscd: %w", err)
	}
	r.running = false
	for i := range r.slots {
		if s := &r.slots[i]; s.inserted != nil {
			s.inserted.Remove()
			s.inserted = nil
		}
	}
	return nil
}

// Close removes all cards, ends pcscd and removes what the rig wrote. Closing
// twice does nothing.
func (r *Rig) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	for i := range r.slots {
		if r.slots[i].inserted != nil {
			r.slots[i].inserted.Remove()
		}
		r.slots[i] = slot{}
	}
	var err error
	if r.holder != nil {
		err = r.holder.close()
	}
	if r.dir != "" {
		err = errors.Join(err, os.RemoveAll(r.dir))
	}
	return err
}
