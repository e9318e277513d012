package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// readers is where cards are put in: those of a private pcscd, or of the machine's.
type readers interface {
	Insert(card *vpiv.Card, reader int) error
	Remove(reader int) error
	Card(reader int) *vpiv.Card
	RestartPCSCD() error
	Close() error
}

// redial is how often a card looks whether the machine's pcscd runs.
const redial = 20 * time.Millisecond

// machineReaders are the readers of vpcd in a pcscd that is not ours, which may
// be started later, and may end: a card that is in one comes back by itself with
// it, as a real card in a real reader does.
type machineReaders struct {
	host string
	port int // of the first reader

	mu  sync.Mutex
	all map[int]*occupied
}

// occupied is a reader with a card in it.
type occupied struct {
	card  *vpiv.Card
	out   context.CancelFunc
	empty chan struct{}
}

// openReaders finds the readers at address; whether they are there shows later.
func openReaders(address string) (*machineReaders, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("cannot understand the address of vpcd: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("cannot understand the port of vpcd: %w", err)
	}
	return &machineReaders{host: host, port: int(port), all: map[int]*occupied{}}, nil
}

// Insert puts a card in; it is there as soon as pcscd is.
func (m *machineReaders) Insert(card *vpiv.Card, reader int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[reader] != nil {
		return fmt.Errorf("cannot insert a card: reader %d holds one", reader)
	}
	ctx, out := context.WithCancel(context.Background())
	o := &occupied{card: card, out: out, empty: make(chan struct{})}
	m.all[reader] = o
	go func() {
		defer close(o.empty)
		address := net.JoinHostPort(m.host, strconv.Itoa(m.port+reader))
		for ctx.Err() == nil {
			stay(ctx, card, address)
			select {
			case <-time.After(redial):
			case <-ctx.Done():
			}
		}
	}()
	return nil
}

// stay has a card in a reader until ctx or the reader ends; it returns at once
// when the reader is not there.
func stay(ctx context.Context, card *vpiv.Card, address string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	in, err := card.Insert(conn)
	if err != nil {
		_ = conn.Close()
		return
	}
	select {
	case <-in.Done():
	case <-ctx.Done():
		in.Remove()
	}
}

// Remove pulls a card out.
func (m *machineReaders) Remove(reader int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.all[reader]
	if o == nil {
		return fmt.Errorf("cannot remove a card: reader %d is empty", reader)
	}
	o.out()
	<-o.empty
	delete(m.all, reader)
	return nil
}

// Card is what a reader holds, nil when it is empty.
func (m *machineReaders) Card(reader int) *vpiv.Card {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.all[reader]; o != nil {
		return o.card
	}
	return nil
}

// RestartPCSCD refuses: the machine's own is its service manager's.
func (m *machineReaders) RestartPCSCD() error {
	return errors.New("pcscd is not ours: systemctl restart pcscd")
}

// Close pulls all cards out.
func (m *machineReaders) Close() error {
	var errs []error
	for reader := range 4 {
		if m.Card(reader) != nil {
			errs = append(errs, m.Remove(reader))
		}
	}
	return errors.Join(errs...)
}
