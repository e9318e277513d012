package vfido

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Port is a place to put keys in: a path that libfido2 opens as if it were a
// hidraw device while a key is in it. Behind it is a raw pseudo-terminal, a new
// one for each insertion; a process should have it open once at a time, for
// unlike with a hidraw device all readers share what there is to read. Where the
// kernel has uhid, it can be a real hidraw device instead.
//
// A process that leads a session without a terminal gets the pseudo-terminal as
// its controlling one when libfido2 opens it, and SIGHUP when the key is pulled
// out: start such programs without Setsid.
type Port struct {
	link string
	make func() (outlet, error)

	// change is held for the whole of an insertion or removal, mu for looks.
	change sync.Mutex
	mu     sync.Mutex
	key    *Key
	outlet outlet
	cut    context.CancelFunc
	ended  chan struct{}
}

// outlet is what a key in a port speaks through: output reports are read from it,
// input reports written to it.
type outlet interface {
	io.ReadWriter
	// at is the path that clients open.
	at() string
	close()
}

// NewPort makes an empty port. While a key is in it, link is a symbolic link
// to its pseudo-terminal, in a folder that must exist; with "", Path is that of
// the pseudo-terminal itself and another after each insertion.
func NewPort(link string) *Port {
	return &Port{link: link, make: func() (outlet, error) { return openLine() }}
}

// NewHIDPort makes an empty port of which the kernel makes a hidraw device while
// a key is in it, as of a key on USB: udev and all others see it. It takes
// /dev/uhid, and thus root.
func NewHIDPort() *Port {
	return &Port{make: func() (outlet, error) { return openUHID() }}
}

// Path is what to give to libfido2; "" when there is no link and no key.
func (p *Port) Path() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != "" || p.outlet == nil {
		return p.link
	}
	return p.outlet.at()
}

// Key is the key that is in the port, nil when none is.
func (p *Port) Key() *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key
}

// Insert puts a key in and gives it power. It fails when the port or the key
// is taken.
func (p *Port) Insert(k *Key) error {
	p.change.Lock()
	defer p.change.Unlock()
	if p.Key() != nil {
		return errors.New("cannot insert a key: there is one in the port")
	}
	k.mu.Lock()
	taken := k.inserted
	k.inserted = true
	k.mu.Unlock()
	if taken {
		return errors.New("cannot insert a key: it is in another port")
	}
	l, err := p.open(k)
	if err != nil {
		k.release()
		return err
	}
	ctx, cut := context.WithCancel(context.Background())
	ended := make(chan struct{})
	p.mu.Lock()
	p.key, p.outlet, p.cut, p.ended = k, l, cut, ended
	p.mu.Unlock()
	go func() {
		defer close(ended)
		_ = k.Serve(ctx, l) // it ends with the outlet, or pulls it out
		p.gone(l)
		k.release()
	}()
	return nil
}

// open makes the outlet and the link to it.
func (p *Port) open(k *Key) (outlet, error) {
	if err := k.PowerCycle(); err != nil {
		return nil, err
	}
	l, err := p.make()
	if err != nil || p.link == "" {
		return l, err
	}
	// The link appears at once, so that nobody sees half of a change.
	tmp := p.link + ".new"
	err = os.Symlink(l.at(), tmp)
	if err == nil {
		err = os.Rename(tmp, p.link)
	}
	if err != nil {
		l.close()
		_ = os.Remove(tmp)
		return nil, fmt.Errorf("cannot link to a key: %w", err)
	}
	return l, nil
}

func (k *Key) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inserted = false
	if k.u2f != nil {
		k.u2f.cancel()
		k.u2f = nil
	}
}

// gone takes the outlet away: first its name, then itself.
func (p *Port) gone(l outlet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outlet != l {
		return
	}
	if p.link != "" {
		if to, err := os.Readlink(p.link); err == nil && to == l.at() {
			_ = os.Remove(p.link)
		}
	}
	l.close()
	p.cut()
	p.key, p.outlet = nil, nil
}

// Remove pulls the key out, whatever it is doing; whoever has it open gets
// errors. It is no error when there is none.
func (p *Port) Remove() error {
	p.change.Lock()
	defer p.change.Unlock()
	p.mu.Lock()
	l, ended := p.outlet, p.ended
	p.mu.Unlock()
	if ended == nil {
		return nil
	}
	if l != nil {
		p.gone(l)
	}
	select {
	case <-ended:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("cannot remove a key: it does not end what it does")
	}
}
