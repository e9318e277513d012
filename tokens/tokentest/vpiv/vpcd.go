package vpiv

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

// Controls of vpcd's protocol: messages of one byte.
const (
	vpcdOff   byte = 0
	vpcdOn    byte = 1
	vpcdReset byte = 2
	vpcdATR   byte = 4
)

// ErrInserted says that the card is in a reader already.
var ErrInserted = errors.New("the card is in a reader already")

// Inserted is a card in a reader.
type Inserted struct {
	card *Card
	conn io.ReadWriteCloser
	cut  context.CancelFunc
	done chan struct{}
}

// Insert puts the card into the reader at the other end of conn, which speaks
// vpcd's protocol: messages of a two-byte big-endian length and the payload.
// The card takes conn over and closes it when it leaves the reader.
func (c *Card) Insert(conn io.ReadWriteCloser) (*Inserted, error) {
	ctx, cut := context.WithCancel(context.Background())
	i := &Inserted{card: c, conn: conn, cut: cut, done: make(chan struct{})}
	c.mu.Lock()
	if c.inserted != nil {
		c.mu.Unlock()
		cut()
		return nil, ErrInserted
	}
	c.inserted = i
	c.mu.Unlock()
	c.PowerCycle()
	go i.serve(ctx)
	return i, nil
}

// Remove pulls the card out, in the middle of what it is doing, and returns
// when it is out. Keys, objects and tries stay on the card. Removing it twice
// does nothing.
func (i *Inserted) Remove() {
	i.eject()
	<-i.done
}

// Done is closed when the card has left the reader, for whatever reason: the
// reader may have gone.
func (i *Inserted) Done() <-chan struct{} { return i.done }

func (i *Inserted) eject() {
	i.cut()
	_ = i.conn.Close() // the other end sees it; there is nobody else to tell
}

// serve answers until the connection ends. Messages are read ahead so that a
// reader that goes away cuts the power of a card that is waiting for a touch.
func (i *Inserted) serve(ctx context.Context) {
	defer func() {
		i.eject()
		i.card.mu.Lock()
		i.card.inserted = nil
		i.card.mu.Unlock()
		i.card.PowerCycle()
		close(i.done)
	}()
	messages := make(chan []byte)
	go func() {
		defer i.cut()
		for {
			m, err := readMessage(i.conn)
			if err != nil {
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case m := <-messages:
			if !i.handle(ctx, m) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// handle answers one message; false when the card is out.
func (i *Inserted) handle(ctx context.Context, m []byte) bool {
	if len(m) != 1 {
		out, ok := i.card.transmit(ctx, m)
		return ok && writeMessage(i.conn, out) == nil
	}
	switch m[0] {
	case vpcdATR:
		return writeMessage(i.conn, i.card.opts.ATR) == nil
	case vpcdOff, vpcdOn, vpcdReset:
		i.card.PowerCycle()
	}
	return true
}

func readMessage(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(n[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

func writeMessage(w io.Writer, m []byte) error {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(m)))
	_, err := w.Write(append(b, m...))
	return err
}
