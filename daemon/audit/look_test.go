package audit

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestLook: what Look finds is what Check does, however the log has grown since, and
// it reads no more than is new.
func TestLook(t *testing.T) {
	l, _ := several(t, 60)
	for i := range 40 {
		got, err := l.Look()
		want, err2 := l.Check()
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("after %d more: %+v, want %+v (%v, %v)", i, got, want, err, err2)
		}
		for n := range i % 9 { // more than one file at times
			mustAppend(t, l, Entry{Action: "code", Object: fmt.Sprint(i, n), OK: true})
		}
		w := newWalker(func(Entry, bool) {})
		parts, done, err := l.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if from := l.looked.resume(parts, w); from != len(l.looked.files)-1 || w.res.Last != got.Last {
			t.Errorf("it would begin with file %d of %d, entry %d", from, len(l.looked.files), w.res.Last)
		}
		done()
	}
}

// TestLookAfterChanges: what was changed since the last look is found where that is
// behind the place where it ended, and where a file shows that it was changed.
func TestLookAfterChanges(t *testing.T) {
	flip := func(data []byte) []byte { return bytes.Replace(data, []byte(`"ok":true`), []byte(`"ok":false`), 1) }
	for name, change := range map[string]func(t *testing.T, files []string){
		"a full file": func(t *testing.T, files []string) { overwrite(t, files[1], flip(read(t, files[1]))) },
		"a full file, of the same length": func(t *testing.T, files []string) {
			overwrite(t, files[0], bytes.Replace(read(t, files[0]), []byte(`"code"`), []byte(`"CODE"`), 1))
		},
		"a full file gone": func(t *testing.T, files []string) {
			if err := os.Remove(files[1]); err != nil {
				t.Fatal(err)
			}
		},
		"the last entry": func(t *testing.T, files []string) {
			path := files[len(files)-1]
			data := read(t, path)
			at := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
			overwrite(t, path, append(bytes.Clone(data[:at]), bytes.Replace(data[at:], []byte(`"code"`), []byte(`"CODE"`), 1)...))
		},
		"the newest file, by another": func(t *testing.T, files []string) {
			path := files[len(files)-1]
			data := flip(read(t, path))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, data)
		},
		"what came since": func(t *testing.T, files []string) {
			path := files[len(files)-1]
			overwrite(t, path, append(read(t, path), "no entry\n"...))
		},
	} {
		l, files := several(t, 60)
		if res, err := l.Look(); err != nil || !res.Intact() {
			t.Fatalf("%+v, %v", res, err)
		}
		change(t, files)
		for range 2 { // what is broken is not taken for seen
			if res, err := l.Look(); err != nil || res.Intact() {
				t.Errorf("%s changed: %+v, %v", name, res, err)
			}
		}
	}
}

// TestLookDoesNotReadAgain says what Look does not find: a change of the newest file
// in what was read before. Check finds it.
func TestLookDoesNotReadAgain(t *testing.T) {
	l, files := several(t, 60)
	mustAppend(t, l, Entry{Action: "one"}, Entry{Action: "two"})
	if res, err := l.Look(); err != nil || !res.Intact() {
		t.Fatalf("%+v, %v", res, err)
	}
	path := files[len(files)-1]
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("ENO"), int64(bytes.Index(read(t, path), []byte(`"one"`)))+1); err != nil {
		t.Fatal(err)
	}
	look, err1 := l.Look()
	check, err2 := l.Check()
	if err1 != nil || err2 != nil || !look.Intact() || check.Intact() {
		t.Errorf("a look finds %+v, a check %+v (%v, %v)", look, check, err1, err2)
	}
}

func overwrite(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNewestAndStands(t *testing.T) {
	l, files := several(t, 60)
	entries, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	if e, found, err := l.Newest("code"); err != nil || !found || e.Object != "59" {
		t.Errorf("%+v, %v, %v", e, found, err)
	}
	if e, found, err := l.Newest(ActionRotated); err != nil || !found || !strings.Contains(e.Detail, "vouched-") || files[len(files)-1] != l.path {
		t.Errorf("%+v, %v, %v", e, found, err)
	}
	if e, found, err := l.Newest("cod"); err != nil || found {
		t.Errorf("%+v, %v", e, err)
	}
	for _, e := range entries {
		if s, err := l.Stands(e.Seq, e.Hash); err != nil || s != Held {
			t.Fatalf("entry %d: %s, %v", e.Seq, s, err)
		}
		if s, err := l.Stands(e.Seq, e.Prev); err != nil || s != Rewritten {
			t.Fatalf("another of number %d: %s, %v", e.Seq, s, err)
		}
	}
	last := entries[len(entries)-1]
	if s, err := l.Stands(last.Seq+1, last.Hash); err != nil || s != Cut {
		t.Errorf("one that comes later: %s, %v", s, err)
	}
	first := entries[0]
	second, _, _ := decode(bytes.SplitN(read(t, files[1]), []byte("\n"), 2)[0])
	if err := os.Rename(files[0], files[0]+"-aside"); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Stands(first.Seq, first.Hash); err != nil || s != Before {
		t.Errorf("of a file that is gone: %s, %v", s, err)
	}
	if err := os.Rename(files[0]+"-aside", files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Stands(second.Seq, second.Hash); err != nil || s != Missing {
		t.Errorf("of a file that is gone from the middle: %s, %v", s, err)
	}
}

// BenchmarkLook checks a log of four files of 16 MiB: as a whole, and as a status
// does once it was looked at before.
func BenchmarkLook(b *testing.B) {
	const size = 16 << 20
	l, err := OpenWith(b.TempDir()+"/audit.log", Options{Now: clock(), MaxSize: size})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := Entry{Action: "verify", Object: "0123456789abcdef0123456789abcdef", By: "uid 0", From: "local uid=0 pid=4711", OK: true, Detail: "user=0123456789abcdef0123456789abcdef service=sshd"}
	for full := 0; full < 4; mustAppend(b, l, e) {
		if l.size >= size {
			full++
		}
	}
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			if res, err := l.Check(); err != nil || !res.Intact() {
				b.Fatal(res, err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		if res, err := l.Look(); err != nil || !res.Intact() {
			b.Fatal(res, err)
		}
		for b.Loop() {
			mustAppend(b, l, e)
			if res, err := l.Look(); err != nil || !res.Intact() {
				b.Fatal(res, err)
			}
		}
	})
}
