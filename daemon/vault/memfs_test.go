package vault

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

var errCrash = errors.New("the machine is off")

// memFS is a file system that forgets: after a power failure it has the names
// that were there at the last SyncDir of their folder and the bytes that were
// there at the last Sync of their file. Any one operation can be made to fail.
type memFS struct {
	names   map[string]*memNode // as a running program sees them
	durable map[string]*memNode // as they are after a power failure
	dirs    map[string]bool
	locked  map[string]bool

	ops   int
	fault func(op string) error // asked before each operation that changes something
	short bool                  // a failing write leaves half of its bytes
	log   []string
}

type memNode struct{ data, synced []byte }

func newMemFS() *memFS {
	return &memFS{names: map[string]*memNode{}, durable: map[string]*memNode{}, dirs: map[string]bool{}, locked: map[string]bool{}}
}

// snapshot copies the running view, as a second program would find it.
func (m *memFS) snapshot() *memFS {
	out := newMemFS()
	out.dirs = maps.Clone(m.dirs)
	seen := map[*memNode]*memNode{}
	clone := func(n *memNode) *memNode {
		if seen[n] == nil {
			seen[n] = &memNode{slices.Clone(n.data), slices.Clone(n.synced)}
		}
		return seen[n]
	}
	for k, n := range m.names {
		out.names[k] = clone(n)
	}
	for k, n := range m.durable {
		out.durable[k] = clone(n)
	}
	return out
}

// reboot is the file system after a power failure (lose) or a kill.
func (m *memFS) reboot(lose bool) *memFS {
	out := m.snapshot()
	if lose {
		out.names = maps.Clone(out.durable)
		for _, n := range out.names {
			n.data = slices.Clone(n.synced)
		}
	}
	return out
}

func (m *memFS) step(op, path string) error {
	m.ops++
	m.log = append(m.log, op+" "+filepath.Base(path))
	if m.fault != nil {
		return m.fault(op)
	}
	return nil
}

func (m *memFS) MkdirAll(path string, _ fs.FileMode) error {
	m.dirs[path] = true
	return nil
}

func (m *memFS) OpenFile(path string, flag int, _ fs.FileMode) (File, error) {
	n := m.names[path]
	if flag&os.O_CREATE == 0 {
		if n == nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return &memFile{fs: m, path: path, node: n}, nil
	}
	if err := m.step("create", path); err != nil {
		return nil, err
	}
	if n == nil {
		n = &memNode{}
		m.names[path] = n
	}
	if flag&os.O_TRUNC != 0 {
		n.data = nil
	}
	return &memFile{fs: m, path: path, node: n}, nil
}

func (m *memFS) Link(from, to string) error {
	if err := m.step("link", to); err != nil {
		return err
	}
	if m.names[from] == nil {
		return fs.ErrNotExist
	}
	if m.names[to] != nil {
		return fs.ErrExist
	}
	m.names[to] = m.names[from]
	return nil
}

func (m *memFS) Rename(from, to string) error {
	if err := m.step("rename", to); err != nil {
		return err
	}
	if m.names[from] == nil {
		return fs.ErrNotExist
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memFS) Remove(path string) error {
	if m.names[path] == nil {
		return fs.ErrNotExist
	}
	if err := m.step("remove", path); err != nil {
		return err
	}
	delete(m.names, path)
	return nil
}

func (m *memFS) ReadDir(path string) ([]string, error) {
	path = filepath.Clean(path) // in the way of this system, as those of files are
	var out []string
	for name := range m.names {
		if filepath.Dir(name) == path {
			out = append(out, filepath.Base(name))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *memFS) SyncDir(path string) error {
	path = filepath.Clean(path) // in the way of this system, as those of files are
	if err := m.step("syncdir", path); err != nil {
		return err
	}
	for name := range m.durable {
		if filepath.Dir(name) == path && m.names[name] == nil {
			delete(m.durable, name)
		}
	}
	for name, n := range m.names {
		if filepath.Dir(name) == path {
			m.durable[name] = n
		}
	}
	return nil
}

type memLock struct {
	fs   *memFS
	path string
}

func (l memLock) Close() error { delete(l.fs.locked, l.path); return nil }

func (m *memFS) Lock(path string) (io.Closer, error) {
	if m.locked[path] {
		return nil, ErrBusy
	}
	m.locked[path] = true
	return memLock{m, path}, nil
}

type memFile struct {
	fs   *memFS
	path string
	node *memNode
	pos  int64
}

func (f *memFile) Read(p []byte) (int, error) {
	if f.pos >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[f.pos:])
	f.pos += int64(n)
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	err := f.fs.step("write", f.path)
	if err != nil {
		if !f.fs.short {
			return 0, err
		}
		p = p[:len(p)/2]
	}
	if end := int(at) + len(p); end > len(f.node.data) {
		f.node.data = append(f.node.data, make([]byte, end-len(f.node.data))...)
	}
	copy(f.node.data[at:], p)
	return len(p), err
}

func (f *memFile) Sync() error {
	if err := f.fs.step("sync", f.path); err != nil {
		return err
	}
	f.node.synced = slices.Clone(f.node.data)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.fs.step("truncate", f.path); err != nil {
		return err
	}
	if int64(len(f.node.data)) > size {
		f.node.data = f.node.data[:size]
	}
	return nil
}

func (f *memFile) Close() error { return nil }

// needsRoom says which operations a full disk stops.
func needsRoom(op string) bool {
	return strings.Contains("create write sync link rename syncdir", op)
}

// errNoSpace is what the system says of a full disk.
var errNoSpace = map[bool]syscall.Errno{
	true:  112, // ERROR_DISK_FULL
	false: syscall.ENOSPC,
}[runtime.GOOS == "windows"]
