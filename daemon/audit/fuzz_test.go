package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seeds are logs good and bad, for the fuzz targets.
func seeds(f *testing.F) {
	f.Helper()
	data := sampleLog(f, 5)
	all := [][]byte{
		data, data[:len(data)-7], data[:len(data)-1], bytes.Replace(data, []byte("acc"), []byte("aCc"), 1),
		nil, []byte("\n\n"), []byte("{}\n"), append(bytes.Clone(data), "\x00\x00\x00"...), append(bytes.Clone(data), "x\n"...),
		[]byte(`{"seq":18446744073709551615,"time":"0000-01-01T00:00:00.000Z","action":"audit-rotated","ok":true,"prev":"","hash":"` + strings.Repeat("0", 64) + "\"}\n"),
	}
	if len(data) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range all {
		f.Add(s)
	}
}

func FuzzVerify(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := Verify(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(data, []byte("\n"))
		if res.Entries > lines || res.Intact() && res.Entries != lines {
			t.Fatalf("%d lines give %+v", lines, res)
		}
		if torn := int64(len(data) - 1 - bytes.LastIndexByte(data, '\n')); res.Torn != torn {
			t.Fatalf("%d bytes are unfinished, not %d", torn, res.Torn)
		}
	})
}

// FuzzOpen: whatever stands in the file, it opens, takes an entry, and no damage
// that was visible is hidden by that.
func FuzzOpen(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := Verify(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "audit.log")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, clock())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Append(Entry{Action: "after"}); err != nil {
			t.Fatal(err)
		}
		after, err := l.Check()
		if err != nil || after.Entries <= before.Entries || after.Torn != 0 ||
			len(after.Problems)+after.More < len(before.Problems)+before.More {
			t.Fatalf("before %+v, after %+v, %v", before, after, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%v", sync), func(b *testing.B) {
			l, err := Open(filepath.Join(b.TempDir(), "audit.log"), time.Now)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for b.Loop() {
				if err := l.Append(Entry{Action: "code", Object: "0123456789abcdef", By: "1000", OK: true, Sync: sync}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenAndCheckFull(b *testing.B) {
	path := filepath.Join(b.TempDir(), "audit.log")
	l := mustOpen(b, path)
	for l.size < MaxSize-maxLine {
		mustAppend(b, l, Entry{Action: "code", Object: "0123456789abcdef", By: "1000", OK: true})
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			l, err := Open(path, time.Now)
			if err != nil {
				b.Fatal(err)
			}
			_ = l.Close()
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if res, err := l.Check(); err != nil || !res.Intact() {
				b.Fatal(res, err)
			}
		}
	})
}
