package archive

import (
	"bytes"
	"fmt"
	"strconv"
)

const blockSize = 512

// file is one member of a container.
type file struct {
	name string
	data []byte
}

// buildTar writes the members as a POSIX ustar archive in the one form that
// readTar accepts: mode 0600, no owner, one time for all, two zero blocks at
// the end.
func buildTar(files []file, unix int64) []byte {
	size := 2 * blockSize
	for _, f := range files {
		size += blockSize + padded(len(f.data))
	}
	out := make([]byte, 0, size)
	for _, f := range files {
		out = append(out, tarHeader(f.name, len(f.data), unix)...)
		out = append(out, f.data...)
		out = append(out, make([]byte, padded(len(f.data))-len(f.data))...)
	}
	return append(out, make([]byte, 2*blockSize)...)
}

func padded(n int) int { return (n + blockSize - 1) / blockSize * blockSize }

// tarHeader makes a ustar header block (IEEE 1003.1, pax, "ustar Interchange
// Format"). It is written by hand because every byte of it is compared on
// reading, so it must never change with a library.
func tarHeader(name string, size int, unix int64) []byte {
	h := make([]byte, blockSize)
	copy(h[0:100], name)
	copy(h[100:], "0000600\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", size, unix))
	copy(h[148:], "        ")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x000000000\x00")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// readTar splits a container into its members, which alias data. Whatever
// buildTar would not have written byte for byte is refused, so that nothing can
// hide in headers, padding or after the end.
func readTar(data []byte) ([]file, int64, error) {
	if len(data) < 3*blockSize || !IsHead(data) {
		if looksOurs(data) {
			return nil, 0, damaged("its beginning is changed or cut short")
		}
		return nil, 0, ErrNotArchive
	}
	if len(data) > MaxSize {
		return nil, 0, damaged("more than %d bytes", MaxSize)
	}
	unix, err := octal(data[136:147])
	if err != nil {
		return nil, 0, damaged("no time in its first member")
	}
	var files []file
	for pos := 0; pos+blockSize <= len(data) && data[pos] != 0; {
		head := data[pos : pos+blockSize]
		name, _, _ := bytes.Cut(head[:100], []byte{0})
		size, err := octal(head[124:135])
		if err != nil || size > int64(len(data)-pos-blockSize) {
			return nil, 0, damaged("cut short")
		}
		if len(files) == maxMembers {
			return nil, 0, damaged("too many members")
		}
		start := pos + blockSize
		files = append(files, file{string(name), data[start : start+int(size) : start+int(size)]})
		pos = start + padded(int(size))
	}
	if end := data[len(data)-2*blockSize:]; len(data)%blockSize != 0 || len(bytes.Trim(end, "\x00")) > 0 {
		return nil, 0, damaged("cut short, or its end is changed")
	}
	if !isTarOf(data, files, unix) {
		return nil, 0, damaged("not as it was written")
	}
	return files, unix, nil
}

// isTarOf says whether data is what buildTar makes of files. It compares in place:
// a large container need not be built once more for it.
func isTarOf(data []byte, files []file, unix int64) bool {
	next := func(want []byte) bool {
		rest, ok := bytes.CutPrefix(data, want)
		data = rest
		return ok
	}
	for _, f := range files {
		var padding [blockSize]byte
		if !next(tarHeader(f.name, len(f.data), unix)) || !next(f.data) || !next(padding[:padded(len(f.data))-len(f.data)]) {
			return false
		}
	}
	return next(make([]byte, 2*blockSize)) && len(data) == 0
}

// octal reads a field of eleven digits; a sign is none of them.
func octal(b []byte) (int64, error) {
	n, err := strconv.ParseUint(string(b), 8, 62)
	return int64(n), err
}

// IsHead says whether bytes begin as a container does; the first 512 are looked
// at.
func IsHead(data []byte) bool {
	return len(data) >= blockSize && bytes.Equal(data[257:263], []byte("ustar\x00")) && bytes.HasPrefix(data, []byte(nameHeader+"\x00"))
}

// looksOurs says that bytes which do not begin as a container does were one:
// they are the first few bytes of one, or have the names of its members in them.
// So a file that is damaged is called that, wherever the damage is.
func looksOurs(data []byte) bool {
	head := []byte(nameHeader + "\x00")
	if n := min(len(data), len(head)); n > 0 && bytes.Equal(data[:n], head[:n]) {
		return true
	}
	found := 0
	for _, b := range bounds() {
		if bytes.Contains(data, []byte(b.name+"\x00")) {
			found++
		}
	}
	return found >= 2
}
