package desktop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The bounds of a message that is listened to, in bytes. One with a longer head
// is passed over; an answer with a longer body ends the connection.
const (
	maxHead = 64 << 10
	maxBody = 4 << 20
)

// wire is a connection to a bus as godbus sees it. Everybody on the system's bus
// can send everybody signals, whether those asked for any or not, and godbus
// decodes all that comes: some of it makes it end the connection, some the whole
// program, and descriptors that come along stay open. So nothing passes but
// answers, and signals of the bus and of the one service that is listened to.
type wire struct {
	*net.UnixConn
	// descriptors says that answers may bring one.
	descriptors bool
	begun       bool
	rest        []byte // of the message being read

	mu      sync.Mutex
	service string   // unique name
	file    *os.File // came with the last answer and was not fetched
}

// listen names the connection whose signals pass beside those of the bus.
func (w *wire) listen(service string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.service = service
}

// fetch is the descriptor that came with the last answer, nil for none.
func (w *wire) fetch() *os.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.file
	w.file = nil
	return f
}

// Close is io.Closer's.
func (w *wire) Close() error {
	w.keep(nil)
	return w.UnixConn.Close()
}

// keep has f fetched instead of what was there before.
func (w *wire) keep(f *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file = f
}

// begin is what ends the text of the authentication.
const begin = "BEGIN\r\n"

// Write notes where messages begin, and asks for descriptors before.
func (w *wire) Write(p []byte) (int, error) {
	if !w.begun && string(p) == begin {
		if w.descriptors {
			if err := w.negotiate(); err != nil {
				return 0, err
			}
		}
		w.begun = true
	}
	return w.UnixConn.Write(p)
}

// negotiate asks the bus to pass descriptors. One that does not passes none.
func (w *wire) negotiate() error {
	if _, err := w.UnixConn.Write([]byte("NEGOTIATE_UNIX_FD\r\n")); err != nil {
		return err
	}
	for range maxLine {
		var b [1]byte
		if _, err := io.ReadFull(w.UnixConn, b[:]); err != nil {
			return err
		}
		if b[0] == '\n' {
			return nil
		}
	}
	return errNoMessage
}

// maxLine is the longest line of the authentication, in bytes.
const maxLine = 16 << 10

// Read hands on the messages that pass.
func (w *wire) Read(p []byte) (int, error) {
	if !w.begun {
		return w.UnixConn.Read(p)
	}
	for len(w.rest) == 0 {
		r := &reader{c: w.UnixConn}
		m, err := w.message(r)
		r.close()
		if err != nil {
			return 0, err
		}
		w.rest = m
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// message reads one message; it is nil for one that does not pass.
func (w *wire) message(r *reader) ([]byte, error) {
	m, kind, err := readMessage(r, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.service
	})
	if m != nil && kind == typeReply && len(r.fds) > 0 {
		w.keep(os.NewFile(uintptr(r.fds[0]), "from the bus"))
		r.fds = r.fds[1:]
	}
	return m, err
}

// errNoMessage is for what can be no message: the bus is none.
var errNoMessage = errors.New("the bus sends what is no message")

// D-Bus specification, "Message Format": the parts of a head, the types of
// messages, the field that tells the sender.
const (
	headSize     = 16
	bodyLength   = 4
	fieldsLength = 12

	typeReply   = 2
	typeError   = 3
	typeSignal  = 4
	fieldSender = 7
)

const busName = "org.freedesktop.DBus"

// readMessage reads one message, whole if it is an answer or a signal of the
// bus's or the service's, who is asked for once it is there. It keeps nothing of
// another, and no more than maxBody of any. Its errors are those of r, and
// errNoMessage.
func readMessage(r io.Reader, service func() string) (m []byte, kind byte, err error) {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, 0, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch head[0] {
	case 'l':
	case 'B':
		order = binary.BigEndian
	default:
		return nil, 0, errNoMessage
	}
	fields, body := int64(order.Uint32(head[fieldsLength:])), int64(order.Uint32(head[bodyLength:]))
	padded := (fields + 7) &^ 7
	if fields > maxHead {
		_, err := io.CopyN(io.Discard, r, padded+body)
		return nil, 0, err
	}
	m = make([]byte, headSize+padded)
	copy(m, head)
	if _, err := io.ReadFull(r, m[headSize:]); err != nil {
		return nil, 0, err
	}
	if kind = m[1]; !passes(kind, senderOf(m[headSize:headSize+fields], order), service()) {
		_, err := io.CopyN(io.Discard, r, body)
		return nil, 0, err
	}
	if body > maxBody {
		return nil, 0, errNoMessage
	}
	whole := bytes.NewBuffer(m) // it grows with what comes
	if _, err := io.CopyN(whole, r, body); err != nil {
		return nil, 0, err
	}
	return whole.Bytes(), kind, nil
}

func passes(kind byte, sender, service string) bool {
	switch kind {
	case typeReply, typeError: // nobody is asked but the bus and the service
		return true
	case typeSignal:
		return sender == busName || sender != "" && sender == service
	}
	return false
}

// senderOf finds who sent a message, whom the bus names, in the fields of its
// head; empty where there is none.
func senderOf(fields []byte, order binary.ByteOrder) string {
	for at := 0; at+4 <= len(fields); {
		var end int
		code, sig := fields[at], fields[at+2]
		if fields[at+1] != 1 || fields[at+3] != 0 {
			return "" // no field that there is has a longer type
		}
		at += 4
		switch sig {
		case 's', 'o':
			if at+4 > len(fields) {
				return ""
			}
			n := order.Uint32(fields[at:])
			at += 4
			if uint64(n) >= uint64(len(fields)-at) {
				return ""
			}
			end = at + int(n)
		case 'g':
			if at == len(fields) || int(fields[at]) >= len(fields)-at-1 {
				return ""
			}
			end = at + 1 + int(fields[at])
		case 'u':
			end = at + 3
		default:
			return ""
		}
		if code == fieldSender && sig == 's' {
			return string(fields[at:end])
		}
		at = (end + 1 + 7) &^ 7
	}
	return ""
}

// reader reads from a connection, descriptors included.
type reader struct {
	c   *net.UnixConn
	fds []int
}

// oobSize is room for as many descriptors as can come at one time.
const oobSize = 4 << 10

func (r *reader) Read(p []byte) (int, error) {
	oob := make([]byte, oobSize)
	n, have, _, _, err := r.c.ReadMsgUnix(p, oob)
	r.fds = append(r.fds, descriptors(oob[:have])...)
	return n, err
}

// close lets go of the descriptors that nobody wanted.
func (r *reader) close() {
	for _, fd := range r.fds {
		_ = os.NewFile(uintptr(fd), "").Close()
	}
}

// dialTime is how long a bus may take to take a connection, and to let it in.
const dialTime = 10 * time.Second
