package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	const limit = 2000
	l, err := OpenSize(path, clock(), limit)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		mustAppend(t, l, Entry{Action: "code", Object: fmt.Sprint(i), OK: true})
		if i%7 == 0 { // restarts in between change nothing
			_ = l.Close()
			if l, err = OpenSize(path, clock(), limit); err != nil {
				t.Fatal(err)
			}
		}
		res, err := l.Check()
		if err != nil || !res.Intact() {
			t.Fatalf("after entry %d: %+v, %v", i, res, err)
		}
		files, _ := filepath.Glob(path + "*")
		for _, p := range files {
			if info, err := os.Stat(p); err == nil && info.Size() > limit+maxLine {
				t.Fatalf("%s has %d bytes", p, info.Size())
			}
		}
	}
	defer l.Close()
	entries, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	res, _ := l.Check()
	if res.First < 2 || entries[0].Action != ActionRotated || entries[len(entries)-1].Object != "59" || len(entries) < 10 {
		t.Fatalf("%+v with %d entries", res, len(entries))
	}
	for i, e := range entries {
		if e.Seq != res.First+uint64(i) {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
	}
	if extra, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(extra) != 2 {
		t.Errorf("files: %v", extra)
	}
	// The older file alone lost: the rest still verifies, and tells where it begins.
	if res := verify(t, read(t, path)); !res.Intact() || res.First <= 1 {
		t.Errorf("the newer file alone: %+v", res)
	}
}

// TestRotationCrash: the states that a crash in rotate leaves.
func TestRotationCrash(t *testing.T) {
	for _, created := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(path+".1", sampleLog(t, 5), 0o600); err != nil {
			t.Fatal(err)
		}
		if created {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l := mustOpen(t, path)
		mustAppend(t, l, Entry{Action: "after"})
		res, err := l.Check()
		if err != nil || !res.Intact() || res.First != 1 || res.Last != 7 {
			t.Errorf("created %v: %+v, %v", created, res, err)
		}
	}
}

// several is a log of several full files, all of them kept; each begins with the
// words of vouch.
func several(t *testing.T, entries int) (*Log, []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := OpenWith(path, Options{Now: clock(), MaxSize: 2000, Vouch: func(seq uint64, hash string) string {
		return fmt.Sprintf("vouched-%d-%s", seq, hash)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	for i := range entries {
		mustAppend(t, l, Entry{Action: "code", Object: fmt.Sprint(i), OK: true})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := l.olderFiles()
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	return l, append(files, path)
}

func TestAllFilesAreKept(t *testing.T) {
	l, files := several(t, 60)
	entries, err := l.Read()
	if err != nil || entries[0].Seq != 1 || entries[len(entries)-1].Object != "59" {
		t.Fatalf("%d entries from %d, %v", len(entries), entries[0].Seq, err)
	}
	id, rotated := entries[0].Hash[:32], 0
	for i, e := range entries {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
		if e.Action == ActionRotated {
			rotated++
			if want := fmt.Sprintf("vouched-%d-%s", e.Seq-1, e.Prev); e.Detail != want || e.Object != id {
				t.Errorf("a file begins with %+v, want %s and %s", e, id, want)
			}
		}
	}
	if rotated != len(files)-1 || l.ID() != id {
		t.Errorf("%d files begin with a rotation, of %d; id %s, want %s", rotated, len(files), l.ID(), id)
	}
}

// TestFilesGone: old files may be moved away, and the rest holds from there on. One
// from the middle may not, nor may a piece of one.
func TestFilesGone(t *testing.T) {
	l, files := several(t, 80)
	whole, err := l.Check()
	if err != nil || !whole.Intact() {
		t.Fatalf("%+v, %v", whole, err)
	}
	aside := filepath.Join(t.TempDir(), "aside")
	for i, path := range files[:len(files)-1] {
		if err := os.Rename(path, aside); err != nil {
			t.Fatal(err)
		}
		res, err := l.Check()
		switch {
		case err != nil:
			t.Fatal(err)
		case i == 0 && (!res.Intact() || res.First < 2 || res.Last != whole.Last || res.Head != whole.Head):
			t.Errorf("the oldest file moved away: %+v", res)
		case i > 0 && (len(res.Problems) != 1 || !strings.Contains(res.Problem(), "are missing, as when a file between is gone")):
			t.Errorf("file %d of %d removed: %s", i+1, len(files), res.Problem())
		}
		if err := os.Rename(aside, path); err != nil {
			t.Fatal(err)
		}
	}
	data := read(t, files[1])
	if err := os.WriteFile(files[1], data[:len(data)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	res, err := l.Check()
	if err != nil || res.Intact() || res.Torn != 0 || !strings.Contains(res.Problem(), "of "+filepath.Base(files[1])+" is cut short") {
		t.Errorf("a full file cut: %s, %v", res.Problem(), err)
	}
}

// TestFileBoundaries does at each file what an attacker can who has no key: the file
// removed, exchanged with the next, cut, emptied, and put back as it was earlier.
// Each is found by itself or, where the end is missing alone, by a checkpoint that
// was kept elsewhere.
func TestFileBoundaries(t *testing.T) {
	base, paths := several(t, 80)
	key := testKey("owner")
	point := mustCheckpoint(t, base, "", key)
	owner := Owner{Signs: func(s string) bool { return s == key.Signer() }}
	newest := len(paths) - 1
	early := read(t, paths[newest])
	early = early[:strings.Index(string(early), "\n")+1]
	for i := range paths {
		for name, c := range map[string]struct {
			do       func(paths []string)
			intact   bool // by itself
			standing Standing
		}{
			"removed": {func(p []string) { remove(t, p[i]) }, i == 0 || i == newest, either(i == newest, Cut, Held)},
			"emptied": {func(p []string) { overwrite(t, p[i], nil) }, i == 0 || i == newest, either(i == newest, Cut, Held)},
			"cut in a line": {func(p []string) { data := read(t, p[i]); overwrite(t, p[i], data[:len(data)-7]) }, i == newest,
				either(i == newest, Cut, Held)},
			"cut between lines": {func(p []string) { overwrite(t, p[i], lessLastLine(read(t, p[i]))) }, i == newest, either(i == newest, Cut, Held)},
			"exchanged": {func(p []string) {
				other := (i + 1) % len(p)
				a, b := read(t, p[i]), read(t, p[other])
				overwrite(t, p[i], b)
				overwrite(t, p[other], a)
			}, false, ""},
			"put back as it was": {func(p []string) { overwrite(t, p[newest], early) }, true, Cut},
		} {
			log, copied := copyOf(t, paths)
			c.do(copied)
			res, list, err := log.Compare(Owner{Chain: base.ID(), Signs: owner.Signs}, []Checkpoint{point})
			if err != nil {
				t.Fatal(err)
			}
			if res.Intact() != c.intact || c.standing != "" && list[0] != c.standing || c.intact && list[0] == Held && i > 0 {
				t.Errorf("file %d of %d %s: intact %v, checkpoint %s (%s)", i+1, len(paths), name, res.Intact(), list[0], res.Problem())
			}
		}
	}
}

func either(yes bool, a, b Standing) Standing {
	if yes {
		return a
	}
	return b
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func lessLastLine(data []byte) []byte {
	return data[:strings.LastIndex(string(data[:len(data)-1]), "\n")+1]
}

// copyOf is a log of copies of files, the newest last. It is as it stands on the
// disk: nothing was opened, and so nothing repaired.
func copyOf(t *testing.T, paths []string) (*Log, []string) {
	t.Helper()
	dir := t.TempDir()
	var out []string
	for _, p := range paths {
		to := filepath.Join(dir, filepath.Base(p))
		overwrite(t, to, read(t, p))
		out = append(out, to)
	}
	return &Log{path: out[len(out)-1], now: clock()}, out
}

// TestForeignFilesBeside: what is named alike and is no file of the log is left
// alone, and nothing is written over.
func TestForeignFilesBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for _, name := range []string{".1", ".01", ".old", ".-1", ".2.gz"} {
		if err := os.WriteFile(path+name, []byte("somebody's\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, sampleLog(t, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenSize(path, clock(), 500)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		mustAppend(t, l, Entry{Action: "code"})
	}
	for _, name := range []string{".1", ".01", ".old", ".-1", ".2.gz"} {
		if got := string(read(t, path+name)); got != "somebody's\n" {
			t.Errorf("%s is now %q", name, got)
		}
	}
	if data := read(t, path); len(data) < 4*100 || !strings.HasPrefix(string(data), `{"seq":1,`) {
		t.Errorf("the log is now\n%s", data)
	}
}
