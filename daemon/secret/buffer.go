package secret

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// MaxBuffer is the largest Buffer, in bytes. Locked memory is scarce (8 MiB a
// user on many systems) and what belongs there is small.
const MaxBuffer = 16 << 20

// ErrWiped is returned by Use when the buffer has been wiped.
var ErrWiped = errors.New("secret has been wiped")

// Buffer holds secret bytes outside the garbage collector's heap: they are never
// moved or copied by the runtime, are kept out of swap space and core files
// where the operating system allows, and are gone after Wipe. A Buffer must be
// wiped when it is no longer needed, as a file must be closed: one that is
// forgotten keeps its memory, locked, for as long as the process lives.
//
// Every Buffer takes at least one page of memory. Its methods are safe for
// concurrent use; the slice that Bytes returns is not protected against a Wipe
// by somebody else, the one that Use lends is.
type Buffer struct {
	mu     sync.RWMutex
	bytes  []byte
	region region
	wiped  bool
}

// region is one piece of memory from the operating system, whole pages; its
// zero value stands for memory of the heap.
type region struct {
	pages  []byte
	locked bool
}

// NewBuffer returns a buffer of n zero bytes, 0 to MaxBuffer. Where the
// operating system gives no memory of the wanted kind, the buffer is ordinary
// memory: that weakens a protection and stops nobody's work. Locked tells.
func NewBuffer(n int) (*Buffer, error) {
	if n < 0 || n > MaxBuffer {
		return nil, fmt.Errorf("cannot make a secret buffer of %d bytes", n)
	}
	return newBuffer(n), nil
}

// From returns a buffer with a copy of b, and wipes b.
func From(b []byte) *Buffer {
	buf := newBuffer(len(b))
	copy(buf.bytes, b)
	clear(b)
	return buf
}

func newBuffer(n int) *Buffer {
	if n == 0 {
		return &Buffer{}
	}
	r, err := allocate(n)
	if err != nil {
		return &Buffer{bytes: make([]byte, n)}
	}
	return &Buffer{bytes: r.pages[:n:n], region: r}
}

// Bytes returns the secret itself, not a copy; nil after Wipe. The slice reads
// as zeros once the buffer is wiped, and must not be touched any more when the
// Buffer is not referenced either. Where another goroutine may wipe, call Use.
func (b *Buffer) Bytes() []byte {
	if b == nil {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.bytes
}

// Use lends the secret to f; a Wipe waits until f has returned. It fails with
// ErrWiped, without calling f, when the buffer has been wiped, and else with
// what f returns. f must not wipe the buffer nor keep the slice.
func (b *Buffer) Use(f func([]byte) error) error {
	if b == nil {
		return ErrWiped
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.wiped {
		return ErrWiped
	}
	return f(b.bytes)
}

// Len is the number of bytes; 0 after Wipe.
func (b *Buffer) Len() int { return len(b.Bytes()) }

// Locked says whether the memory is kept out of swap space.
func (b *Buffer) Locked() bool {
	if b == nil {
		return false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.region.locked
}

// Wipe overwrites the secret with zeros and unlocks its memory. It may be
// called again, and on nil.
func (b *Buffer) Wipe() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wiped {
		return
	}
	b.wiped = true
	clear(b.bytes)
	r := b.region
	b.bytes, b.region = nil, region{}
	if r.pages == nil {
		return
	}
	unlock(r)
	// The pages go back only when nobody holds the Buffer: whoever still has the
	// slice reads zeros, as with ordinary memory, and not somebody else's data.
	runtime.AddCleanup(b, release, r)
}

// String hides the secret.
func (b *Buffer) String() string { return "[secret]" }

// GoString hides the secret.
func (b *Buffer) GoString() string { return "[secret]" }

// Format hides the secret from every verb.
func (b *Buffer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[secret]")) }

// MarshalText refuses: a secret does not slip into JSON or a log by accident.
func (b *Buffer) MarshalText() ([]byte, error) {
	return nil, errors.New("cannot encode a secret")
}
