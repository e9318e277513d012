package audit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// Newest finds the last entry of an action, in files from the newest on. Entries of
// others are not checked on the way.
func (l *Log) Newest(action string) (e Entry, found bool, err error) {
	quoted, err := appendMember(nil, "action", clean(action, MaxAction), nil)
	if err != nil {
		return Entry{}, false, err
	}
	err = l.backwards(func(line []byte) bool { return bytes.Contains(line, quoted) }, func(x Entry) bool {
		if x.Action == action {
			e, found = x, true
		}
		return found
	})
	return e, found, err
}

// Stands says how the log stands to an entry that it once had, as Compare does:
// Held, Rewritten, Cut, Missing or Before. It reads the one file that has the number.
func (l *Log) Stands(seq uint64, hash string) (Standing, error) {
	if last, _ := l.Head(); seq > last {
		return Cut, nil
	}
	prefix := []byte(`{"seq":` + strconv.FormatUint(seq, 10) + `,`)
	got, earliest := "", uint64(0)
	err := l.backwards(func(line []byte) bool { return bytes.HasPrefix(line, prefix) }, func(x Entry) bool {
		got = x.Hash
		return true
	})
	if err != nil {
		return "", err
	}
	if got == "" {
		earliest, err = l.earliest()
	}
	switch {
	case err != nil:
		return "", err
	case got == hash:
		return Held, nil
	case got != "":
		return Rewritten, nil
	case seq < earliest:
		return Before, nil
	}
	return Missing, nil
}

// earliest is the number of the first entry of the oldest file.
func (l *Log) earliest() (uint64, error) {
	parts, done, err := l.snapshot()
	if err != nil {
		return 0, err
	}
	defer done()
	for _, p := range parts {
		if e, ok := firstEntry(p.file); ok {
			return e.Seq, nil
		}
	}
	return 0, nil
}

// backwards shows those entries of each file that a look at their lines lets through,
// of the newest file first, until one of a file was what was looked for.
func (l *Log) backwards(fits func(line []byte) bool, show func(Entry) bool) error {
	parts, done, err := l.snapshot()
	if err != nil {
		return err
	}
	defer done()
	for _, p := range slices.Backward(parts) {
		found := false
		in := bufio.NewReaderSize(p, maxLine)
		for {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				_, err = skipLine(in)
				line = nil
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if len(line) == 0 || !fits(line) {
				continue
			}
			if e, _, why := decode(line[:len(line)-1]); why == "" {
				found = show(e) || found
			}
		}
		if found {
			return nil
		}
	}
	return nil
}
