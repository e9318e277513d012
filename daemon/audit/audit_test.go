package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock gives a second more at each call.
func clock() func() time.Time {
	t := time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
	return func() time.Time { t = t.Add(time.Second); return t }
}

func mustOpen(t testing.TB, path string) *Log {
	t.Helper()
	l, err := Open(path, clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustAppend(t testing.TB, l *Log, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

// sample is some entries of different shapes.
func sample() []Entry {
	return []Entry{
		{Action: "vault-init", By: "1000", OK: true, Sync: true},
		{Action: "unlock", Object: "slot-7f3a", By: "1000", OK: false, Detail: "token-pin-invalid"},
		{Action: "code", Object: "acc-91", By: "S-1-5-21-1", OK: true, Detail: `<"quotes" & \ ünïcode>`},
		{Action: "lock", By: "tokend", From: "socket uid=1000 pid=4711", OK: true},
	}
}

// sampleLog returns the bytes of a log with n entries.
func sampleLog(t testing.TB, n int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path)
	for i := range n {
		mustAppend(t, l, sample()[i%len(sample())])
	}
	return read(t, path)
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func verify(t testing.TB, data []byte) Result {
	t.Helper()
	res, err := Verify(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestAppendAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path)
	if got, err := l.Read(); err != nil || len(got) != 0 {
		t.Fatalf("a new log has %v, %v", got, err)
	}
	mustAppend(t, l, sample()...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, path)
	mustAppend(t, l, sample()...)
	got, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	want := append(sample(), sample()...)
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	prev := strings.Repeat("0", 64)
	for i, e := range got {
		w := want[i]
		w.Seq, w.Prev, w.Hash, w.Time, w.Sync = uint64(i)+1, prev, e.Hash, e.Time, false
		if e != w {
			t.Errorf("entry %d is %+v, want %+v", i, e, w)
		}
		prev = e.Hash
	}
	if first := time.Date(2026, 3, 1, 11, 0, 1, 123_000_000, time.UTC); !got[0].Time.Equal(first) {
		t.Errorf("the first entry is of %v, want %v", got[0].Time, first)
	}
	if seq, head := l.Head(); seq != 8 || head != prev {
		t.Errorf("head is %d %s", seq, head)
	}
	if info, _ := os.Stat(path); info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

// TestFormat holds the format that the package documents, computed here from the
// text of a line alone.
func TestFormat(t *testing.T) {
	lines := strings.SplitAfter(string(sampleLog(t, 2)), "\n")
	prev := strings.Repeat("0", 64)
	for i, want := range []string{
		`{"seq":1,"time":"2026-03-01T11:00:01.123Z","action":"vault-init","by":"1000","ok":true,"prev":"`,
		`{"seq":2,"time":"2026-03-01T11:00:02.123Z","action":"unlock","object":"slot-7f3a","by":"1000","ok":false,"detail":"token-pin-invalid","prev":"`,
	} {
		body := want + prev + `"}`
		sum := sha256.Sum256([]byte(body))
		prev = hex.EncodeToString(sum[:])
		if line := strings.TrimSuffix(body, "}") + `,"hash":"` + prev + "\"}\n"; lines[i] != line {
			t.Errorf("line %d is\n%s want\n%s", i, lines[i], line)
		}
	}
}

// TestEveryByteFlipped changes each byte of a log in turn: never intact with the
// same head.
func TestEveryByteFlipped(t *testing.T) {
	data := sampleLog(t, 6)
	good := verify(t, data)
	if !good.Intact() || good.Entries != 6 || good.First != 1 || good.Last != 6 || good.Torn != 0 || good.Problem() != "" {
		t.Fatalf("the untouched log: %+v", good)
	}
	for i := range data {
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if res := verify(t, bad); res.Intact() && res.Torn == 0 {
				t.Fatalf("byte %d (%q) flipped by %#x and not noticed: %+v", i, data[i], flip, res)
			}
		}
	}
}

func TestLinesMoved(t *testing.T) {
	lines := bytes.SplitAfter(sampleLog(t, 6), []byte("\n"))[:6]
	for i := range lines {
		without := bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)
		res := verify(t, without)
		if i < 5 && res.Intact() {
			t.Errorf("line %d removed and not noticed", i+1)
		}
		if i == 5 && (res.Head == verify(t, bytes.Join(lines, nil)).Head || res.Last != 5) {
			t.Error("the last line removed and the head is the same")
		}
		if twice := slices.Insert(slices.Clone(lines), i, lines[i]); verify(t, bytes.Join(twice, nil)).Intact() {
			t.Errorf("line %d doubled and not noticed", i+1)
		}
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			if verify(t, bytes.Join(swapped, nil)).Intact() {
				t.Errorf("lines %d and %d swapped and not noticed", i, i+1)
			}
		}
	}
}

// TestRehashedLine is a change by somebody who knows the format but computes only
// the changed line anew.
func TestRehashedLine(t *testing.T) {
	lines := bytes.SplitAfter(sampleLog(t, 4), []byte("\n"))
	e, _, why := decode(bytes.TrimSuffix(lines[1], []byte("\n")))
	if why != "" {
		t.Fatal(why)
	}
	e.OK = true
	var err error
	if lines[1], err = encode(&e); err != nil {
		t.Fatal(err)
	}
	res := verify(t, bytes.Join(lines, nil))
	if res.Problem() != "line 3 does not follow the entry before it" || res.Entries != 4 {
		t.Errorf("%+v", res)
	}
}

func TestProblemsAreNamedAndBounded(t *testing.T) {
	data := sampleLog(t, 2)
	data = append(data, strings.Repeat("x", 100_000)+"\n"...)
	for range MaxProblems + 5 {
		data = append(data, "nonsense\n"...)
	}
	res := verify(t, data)
	if len(res.Problems) != MaxProblems || res.More != 6 || res.Entries != 2 {
		t.Fatalf("%+v", res)
	}
	if want := "line 3 is too long to be an entry (and 25 more)"; res.Problem() != want {
		t.Errorf("says %q, want %q", res.Problem(), want)
	}
	if res := verify(t, append(sampleLog(t, 2), strings.Repeat("x", 100_000)...)); res.Torn != 100_000 || !res.Intact() {
		t.Errorf("a long unfinished line: %+v", res)
	}
}

// TestTornEverywhere cuts a log at every byte, as a crash may, and opens it.
func TestTornEverywhere(t *testing.T) {
	whole := sampleLog(t, 3)
	path := filepath.Join(t.TempDir(), "audit.log")
	for cut := range len(whole) {
		for _, zeros := range []int{0, 5000} {
			torn := append(bytes.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			ended := bytes.Count(whole[:cut], []byte("\n"))
			l := mustOpen(t, path)
			mustAppend(t, l, Entry{Action: "after"})
			entries, err := l.Read()
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			_ = l.Close()
			clean := zeros == 0 && (cut == 0 || whole[cut-1] == '\n')
			complete := zeros == 0 && whole[cut] == '\n'
			want := ended + 1
			if !clean {
				want++
			}
			if complete {
				want++
			}
			if len(entries) != want || entries[len(entries)-1].Action != "after" {
				t.Fatalf("cut at %d with %d zeros: %d entries, want %d: %+v", cut, zeros, len(entries), want, entries)
			}
			if note := slices.ContainsFunc(entries, func(e Entry) bool { return e.Action == ActionRepaired }); note == clean {
				t.Fatalf("cut at %d: repair noted: %v", cut, note)
			}
		}
	}
}

// TestDamagedEnd: what is not a crash's doing is kept, noted when it is found and
// not again, and stays visible.
func TestDamagedEnd(t *testing.T) {
	good := sampleLog(t, 3)
	for name, c := range map[string]struct {
		data  string
		kept  int // bytes at the beginning
		notes int
	}{
		"nonsense line":  {string(good) + "nonsense\n", len(good) + 9, 1},
		"long line":      {string(good) + strings.Repeat("y", 3*tail) + "\n", len(good) + 3*tail + 1, 1},
		"long and torn":  {string(good) + strings.Repeat("y", 3*tail), len(good) + 3*tail, 2},
		"zeros":          {string(good) + strings.Repeat("\x00", 3*tail), len(good) + 3*tail, 2},
		"nonsense, torn": {string(good) + "nonsense\n{\"seq\":", len(good) + 9, 1},
		"edited line":    {strings.Replace(string(good), "acc-91", "acc-92", 1), len(good), 1},
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(path, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			l := mustOpen(t, path)
			mustAppend(t, l, Entry{Action: "after"})
			entries, err := l.Read()
			if !errors.Is(err, ErrBroken) {
				t.Errorf("%s: damage was hidden: %v", name, err)
			}
			res, err := l.Check()
			if err != nil || len(res.Problems) != 1 || res.Torn != 0 || int(res.Last) != len(entries) {
				t.Errorf("%s: %+v, %v", name, res, err)
			}
			notes := 0
			for _, e := range entries {
				if e.Action == ActionDamaged {
					notes++
				}
			}
			if notes != c.notes {
				t.Errorf("%s: noted %d times, want %d: %+v", name, notes, c.notes, entries)
			}
			if !strings.HasPrefix(string(read(t, path)), c.data[:c.kept]) {
				t.Errorf("%s: evidence is gone", name)
			}
			_ = l.Close()
		}
	}
}

func TestBrokenMiddleStaysVisible(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	data := bytes.Replace(sampleLog(t, 4), []byte("slot-7f3a"), []byte("slot-7f3b"), 1)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, path)
	mustAppend(t, l, Entry{Action: "after"})
	entries, err := l.Read()
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "line 2 does not have the hash it states") {
		t.Errorf("Read says %v", err)
	}
	if len(entries) != 5 {
		t.Errorf("%d entries can be read, want 5", len(entries))
	}
}

func TestTextsAreCleaned(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "audit.log"))
	mustAppend(t, l,
		Entry{Action: strings.Repeat("a", 500), Object: strings.Repeat("\x00", 500), By: strings.Repeat("<", 500), Detail: strings.Repeat("ü", 5000)},
		Entry{Action: "x", Detail: "line\nbreak \x1b[2J \u202e \xff \u2028"})
	got, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	if e := got[0]; len(e.Action) > MaxAction || len(e.Object) > MaxID || len(e.By) > MaxID || len(e.Detail) > MaxDetail || !strings.HasSuffix(e.Detail, "ü…") {
		t.Errorf("not cut: %+v", e)
	}
	if want := "line\ufffdbreak \ufffd[2J \ufffd \ufffd \ufffd"; got[1].Detail != want {
		t.Errorf("detail %q, want %q", got[1].Detail, want)
	}
	if err := l.Append(Entry{}); err == nil {
		t.Error("an entry without an action was taken")
	}
}

func TestBrokenClock(t *testing.T) {
	for _, at := range []time.Time{time.Unix(1<<40, 0), time.Unix(-1<<50, 0), {}} {
		l, err := Open(filepath.Join(t.TempDir(), "audit.log"), func() time.Time { return at })
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, Entry{Action: "x"})
		if _, err := l.Read(); err != nil {
			t.Errorf("%v: %v", at, err)
		}
		_ = l.Close()
	}
}

func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := OpenSize(path, time.Now, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if err := l.Append(Entry{Action: "code", By: fmt.Sprint(w), Object: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					if _, err := l.Read(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	res, err := l.Check()
	if err != nil || !res.Intact() || res.Last < 400 {
		t.Fatalf("%+v, %v", res, err)
	}
}

// TestForeignChange: somebody else appends to or shortens the open file. Nothing
// of his is overwritten, and the log goes on.
func TestForeignChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path)
	mustAppend(t, l, sample()...)
	if err := os.WriteFile(path, append(read(t, path), "somebody was here\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, Entry{Action: "after"})
	if data := string(read(t, path)); !strings.Contains(data, "somebody was here\n{\"seq\":5") {
		t.Errorf("the file is now:\n%s", data)
	}
	if _, err := l.Read(); !errors.Is(err, ErrBroken) {
		t.Errorf("Read says %v", err)
	}
}

func TestClosed(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "audit.log"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("the second Close says %v", err)
	}
	if err := l.Append(Entry{Action: "x"}); !errors.Is(err, errClosed) {
		t.Errorf("Append says %v", err)
	}
	if _, err := l.Read(); !errors.Is(err, errClosed) {
		t.Errorf("Read says %v", err)
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing", "audit.log")} {
		if l, err := Open(path, time.Now); err == nil {
			_ = l.Close()
			t.Errorf("%s was opened", path)
		}
	}
}
