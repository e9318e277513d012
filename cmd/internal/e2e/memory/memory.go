//go:build linux

// Package memory searches the memory of a running process for secrets that the
// searcher knows, in all forms in which a program may hold them. Its tests are
// about what the built daemon still holds, and when.
package memory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Needle is one secret in one form.
type Needle struct {
	Kind  string // what it is: "touch key", "PIN"
	Form  string // how it is written down: "raw", "base32"
	Bytes []byte // at least shortest
}

// shortest is the least length of a needle, in bytes; from twice as much on,
// either half of it is looked for as well.
const shortest = 8

// Hit is one place where a needle, or a half of it, was found.
type Hit struct {
	*Needle
	Part    string // "whole", "head" or "tail"
	Address uint64
	Mapping string // the mapping's line in /proc/PID/maps
	// Around is what the memory holds about the place, for finding its source.
	Around []byte
}

// Search is the result of a search: what was found, and how much was looked at.
type Search struct {
	Hits []Hit
	// Bytes is how much was looked at: resident pages of writable mappings.
	Bytes int64
}

// Count counts the hits of a kind; every kind when kind is empty.
func (s *Search) Count(kind string) int {
	n := 0
	for i := range s.Hits {
		if kind == "" || s.Hits[i].Kind == kind {
			n++
		}
	}
	return n
}

// Table says how often each kind was found, form by form.
func (s *Search) Table() string {
	counts := map[string]int{}
	for i := range s.Hits {
		h := &s.Hits[i]
		counts[h.Kind+", "+h.Form+", "+h.Part]++
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "  %5d  %s\n", counts[k], k)
	}
	return b.String()
}

// place is where the bytes of an index entry lie in a needle.
type place struct {
	needle *Needle
	tail   int // 0 for the beginning, else where the second half begins
}

// index finds needles by eight of their bytes.
type index struct {
	filter []uint64 // a bit for each hash that occurs
	places map[uint64][]place
	around int // the longest needle
}

const filterBits = 20

func hash(x uint64) uint64 { return (x * 0x9e3779b97f4a7c15) >> (64 - filterBits) }

func newIndex(needles []Needle) (*index, error) {
	x := &index{filter: make([]uint64, 1<<filterBits/64), places: map[uint64][]place{}}
	add := func(n *Needle, at int) {
		k := binary.LittleEndian.Uint64(n.Bytes[at:])
		x.filter[hash(k)/64] |= 1 << (hash(k) % 64)
		x.places[k] = append(x.places[k], place{n, at})
	}
	for i := range needles {
		n := &needles[i]
		if len(n.Bytes) < shortest {
			return nil, fmt.Errorf("the needle %s, %s has only %d bytes", n.Kind, n.Form, len(n.Bytes))
		}
		add(n, 0)
		if len(n.Bytes) >= 2*shortest {
			add(n, len(n.Bytes)/2)
		}
		x.around = max(x.around, len(n.Bytes))
	}
	return x, nil
}

// find looks through b; only what begins in b[from:to] counts. No other goroutine
// has to do with b or x, and the race detector would make the process that is
// searched stand still for ten times as long.
//
//go:norace
func (x *index) find(b []byte, from, to int, found func(p place, at int, part string)) {
	for i := from; i < to && i+8 <= len(b); i++ {
		k := binary.LittleEndian.Uint64(b[i:])
		h := hash(k)
		if k == 0 || x.filter[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, p := range x.places[k] {
			n := p.needle.Bytes
			half := n
			if len(n) >= 2*shortest {
				half = n[:len(n)/2]
			}
			switch {
			case p.tail == 0 && bytes.HasPrefix(b[i:], n):
				found(p, i, "whole")
			case p.tail == 0 && bytes.HasPrefix(b[i:], half):
				found(p, i, "head")
			case p.tail != 0 && bytes.HasPrefix(b[i:], n[p.tail:]) && !bytes.HasSuffix(b[:i], n[:p.tail]):
				found(p, i, "tail")
			}
		}
	}
}

// Process stops the process, searches all its writable memory for the needles,
// and lets it go on. The caller must be root or its parent's equal: the process
// may have made itself undumpable.
func Process(pid int, needles []Needle) (s *Search, err error) {
	x, err := newIndex(needles)
	if err != nil {
		return nil, err
	}
	if err := stop(pid); err != nil {
		return nil, err
	}
	defer func() {
		if e := syscall.Kill(pid, syscall.SIGCONT); e != nil && err == nil {
			err = fmt.Errorf("cannot let the process go on: %w", e)
		}
	}()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot read the process's mappings: %w", err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot read the process's memory: %w", err)
	}
	defer mem.Close()
	pages, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot read which pages there are: %w", err)
	}
	defer pages.Close()
	s = &Search{}
	for line := range strings.Lines(string(list)) {
		var lo, hi uint64
		var perm string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &perm); n == 3 && strings.HasPrefix(perm, "rw") {
			r := region{lo, hi, strings.TrimSpace(line)}
			if err := r.search(s, x, mem, pages); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// stop stops all threads of the process and waits until they are.
func stop(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("cannot stop the process: %w", err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return fmt.Errorf("cannot read the process's threads: %w", err)
		}
		running := 0
		for _, t := range tasks {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, t.Name()))
			if i := bytes.LastIndexByte(b, ')'); err == nil && i >= 0 && i+2 < len(b) && b[i+2] != 'T' {
				running++
			}
		}
		if running == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d threads do not stop", running)
		}
		time.Sleep(time.Millisecond)
	}
}

// region is one mapping of a process.
type region struct {
	lo, hi uint64
	line   string
}

// window is how much is looked at in one piece, bytes.
const window = 1 << 20

// search looks through the pages that are there: those never touched hold
// nothing, and reading them would make them be there.
func (r region) search(s *Search, x *index, mem, pages *os.File) error {
	size := uint64(os.Getpagesize())
	flags := make([]byte, 8*((r.hi-r.lo)/size))
	if n, err := pages.ReadAt(flags, int64(r.lo/size*8)); n != len(flags) {
		return fmt.Errorf("cannot read the pages of %s: %w", r.line, err)
	}
	const inMemoryOrSwap = 3 << 62
	there := func(i uint64) bool { return binary.LittleEndian.Uint64(flags[8*i:])&inMemoryOrSwap != 0 }
	for i, n := uint64(0), uint64(len(flags)/8); i < n; {
		if !there(i) {
			i++
			continue
		}
		begin := i
		for i < n && there(i) {
			i++
		}
		if err := r.run(s, x, mem, r.lo+begin*size, r.lo+i*size); err != nil {
			return err
		}
	}
	return nil
}

// run looks through pages that follow each other.
func (r region) run(s *Search, x *index, mem *os.File, lo, hi uint64) error {
	s.Bytes += int64(hi - lo)
	margin := uint64(max(x.around, 64))
	for at := lo; at < hi; at += window {
		begin := max(lo, at-min(at, margin))
		end := min(hi, at+window+margin)
		b := make([]byte, end-begin)
		if _, err := mem.ReadAt(b, int64(begin)); err != nil {
			return fmt.Errorf("cannot read %x-%x of %s: %w", begin, end, r.line, err)
		}
		x.find(b, int(at-begin), int(min(hi, at+window)-begin), func(p place, i int, part string) {
			around := bytes.Clone(b[max(0, i-64):min(len(b), i+128)])
			s.Hits = append(s.Hits, Hit{p.needle, part, begin + uint64(i), r.line, around})
		})
	}
	return nil
}
