package copies_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
	"github.com/tokenbridge/tokend/daemon/vault"
)

const testDevice = "0badcafe"

// set is backups of one vault, the oldest first, and what knows them.
type set struct {
	t     *testing.T
	id    string
	data  map[string][]byte // by checksum
	order []copies.Backup
	now   time.Time
}

// shared says that others may read a file, as far as its mode tells: on Windows that is
// said by access lists, which a file has from its folder.
func shared(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm() != 0o600
}

func newSet(t *testing.T, n int) *set {
	t.Helper()
	dir := t.TempDir()
	store, err := vault.OpenStore(vault.Options{Dir: filepath.Join(dir, "v"), PinFile: filepath.Join(dir, "pin"), ScryptLogN: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	v, err := store.Create(t.Context(), nil, []byte("a recovery password"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Lock()
	s := &set{t: t, data: map[string][]byte{}, now: time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)}
	for i := range n {
		if _, err := v.Add(t.Context(), []vault.NewAccount{{Account: vault.Account{Name: fmt.Sprint("a", i)}, Secret: []byte("12345678901234567890")}}); err != nil {
			t.Fatal(err)
		}
		data, info, err := store.Backup()
		if err != nil {
			t.Fatal(err)
		}
		s.id = info.VaultID
		at := s.now.AddDate(0, 0, i-n)
		s.data[info.SHA256] = data
		s.order = append(s.order, copies.Backup{SHA256: info.SHA256, Name: "tokend-" + info.VaultID[:8] + "-host-" + testDevice + "-" + at.Format("20060102T150405Z") + ".tokend"})
	}
	return s
}

func (s *set) runner(fsys copies.FS) *copies.Runner {
	return &copies.Runner{FS: fsys, Now: func() time.Time { return s.now }, Fetch: func(_ context.Context, sum string) ([]byte, error) {
		if d := s.data[sum]; d != nil {
			return d, nil
		}
		return nil, errors.New("not here")
	}}
}

// job wants the newest n of the set.
func (s *set) job(dir string, n int) copies.Job {
	return copies.Job{Folder: dir, VaultID: s.id, Device: testDevice, Keep: 30, Wanted: s.order[len(s.order)-n:]}
}

// fill brings all of the set to a folder.
func (s *set) fill(dir string) []copies.Copy {
	s.t.Helper()
	res := s.runner(copies.OS{}).Run(s.t.Context(), s.job(dir, len(s.order)))
	if res.State != copies.OK || len(res.Written) != len(s.order) {
		s.t.Fatalf("%+v", res)
	}
	return res.Seen
}

// whole checks that every file with a backup's name is one, and counts them.
func (s *set) whole(dir string) int {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.tokend"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range list {
		data, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if s.data[hex.EncodeToString(sum[:])] == nil {
			s.t.Errorf("%s has %d bytes and is no backup of these", path, len(data))
		}
	}
	return len(list)
}

func TestCopyIsNewWholeAndPrivate(t *testing.T) {
	s, dir := newSet(t, 1), t.TempDir()
	taken := filepath.Join(dir, s.order[0].Name)
	if err := os.WriteFile(taken, []byte("somebody else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		res := s.runner(copies.OS{}).Run(t.Context(), s.job(dir, 1))
		if res.State != copies.OK || len(res.Seen) != 1 || len(res.Written) != 1-i {
			t.Fatalf("run %d: %+v", i, res)
		}
		path := res.Seen[0].Path
		if path != strings.TrimSuffix(taken, ".tokend")+"-2.tokend" {
			t.Errorf("it went to %s", path)
		}
		if info, err := os.Stat(path); err != nil || shared(info) {
			t.Errorf("%v, %v", info, err)
		}
	}
	if b, err := os.ReadFile(taken); err != nil || string(b) != "somebody else's" {
		t.Errorf("what was there was touched: %q, %v", b, err)
	}
}

// What became of copies of earlier runs is found, told, and mended; what is damaged
// stays under another name.
func TestLostCopies(t *testing.T) {
	s := newSet(t, 1)
	for what, spoil := range map[string]func(string) error{
		"it is gone":             os.Remove,
		"it is empty":            func(p string) error { return os.Truncate(p, 0) },
		"its bytes were changed": func(p string) error { return os.Truncate(p, 1000) },
	} {
		dir := t.TempDir()
		known := s.fill(dir)
		if err := spoil(known[0].Path); err != nil {
			t.Fatal(err)
		}
		j := s.job(dir, 1)
		j.Known = known
		res := s.runner(copies.OS{}).Run(t.Context(), j)
		if res.State != copies.OK || len(res.Lost) != 1 || res.Lost[0].What != what || len(res.Written) != 1 || s.whole(dir) != 1 {
			t.Errorf("%s: %+v", what, res)
			continue
		}
		_, err := os.Stat(known[0].Path + ".damaged")
		if kept := err == nil; kept != (what != "it is gone") || kept && res.Lost[0].Kept != known[0].Path+".damaged" {
			t.Errorf("%s: kept as %+v, %v", what, res.Lost[0], err)
		}
	}
}

func TestRotation(t *testing.T) {
	s := newSet(t, 8)
	foreign := map[string][]byte{
		"tokend-" + s.id[:8] + "-phone-deadbeef-20200101T000000Z.tokend":          s.data[s.order[0].SHA256],
		"tokend-" + s.id[:8] + "-host-" + testDevice + "-20200102T000000Z.tokend": []byte("no backup"),
		"tokend-00000000-host-" + testDevice + "-20200101T000000Z.tokend":         s.data[s.order[0].SHA256],
		"holiday.jpg": []byte("a picture"),
	}
	left := func(keep, days int, protected ...string) []int {
		t.Helper()
		dir := t.TempDir()
		s.fill(dir)
		for name, data := range foreign {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j := s.job(dir, 1)
		j.Keep, j.KeepFor, j.Protected = keep, time.Duration(days)*24*time.Hour, protected
		res := s.runner(copies.OS{}).Run(t.Context(), j)
		if res.State != copies.OK {
			t.Fatalf("%+v", res)
		}
		for name, data := range foreign {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != string(data) {
				t.Errorf("%s was touched: %v", name, err)
			}
		}
		var out []int
		for i, b := range s.order {
			if _, err := os.Stat(filepath.Join(dir, b.Name)); err == nil {
				out = append(out, i)
			}
		}
		if len(out)+len(res.Removed) != len(s.order) {
			t.Errorf("left %v, and %v are told to be removed", out, res.Removed)
		}
		return out
	}
	if got := left(3, 0); !slices.Equal(got, []int{5, 6, 7}) {
		t.Errorf("by count: %v", got)
	}
	if got := left(3, 0, s.order[1].SHA256, s.order[7].SHA256); !slices.Equal(got, []int{1, 5, 6, 7}) {
		t.Errorf("with a protected one: %v", got)
	}
	if got := left(30, 4); !slices.Equal(got, []int{3, 4, 5, 6, 7}) {
		t.Errorf("by age: %v", got)
	}
	s.now = s.now.AddDate(10, 0, 0) // a clock that is wrong, or a vault that nobody changed
	if got := left(30, 4); !slices.Equal(got, []int{3, 4, 5, 6, 7}) {
		t.Errorf("after ten years without a backup: %v", got)
	}
	if got := left(1, 0); !slices.Equal(got, []int{7}) {
		t.Errorf("the newest does not stay: %v", got)
	}
}

// What is damaged, empty or not ours does not take the place of a whole backup.
func TestRotationCountsWholeOnes(t *testing.T) {
	s, dir := newSet(t, 6), t.TempDir()
	s.fill(dir)
	for name, data := range map[string]string{
		s.order[4].Name: "", s.order[3].Name: "damaged",
		"tokend-" + s.id[:8] + "-host-" + testDevice + "-20990101T000000Z.tokend": "of a time to come",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := s.job(dir, 1)
	j.Keep = 3
	res := s.runner(copies.OS{}).Run(t.Context(), j)
	if res.State != copies.OK || len(res.Removed) != 1 || filepath.Base(res.Removed[0]) != s.order[0].Name {
		t.Errorf("%+v", res)
	}
	for _, i := range []int{1, 2, 5} {
		if data, err := os.ReadFile(filepath.Join(dir, s.order[i].Name)); err != nil || string(data) != string(s.data[s.order[i].SHA256]) {
			t.Errorf("a whole one is gone, %d: %v", i, err)
		}
	}
}

func TestAbsentAndOther(t *testing.T) {
	s, dir := newSet(t, 1), t.TempDir()
	run := func(j copies.Job) copies.Result { return s.runner(copies.OS{}).Run(t.Context(), j) }
	if res := run(s.job(filepath.Join(dir, "gone"), 1)); res.State != copies.Absent {
		t.Errorf("%+v", res)
	}
	j := s.job(dir, 1)
	j.Mount = filepath.Join(dir, "stick")
	if res := run(j); res.State != copies.Absent || s.whole(dir) != 0 {
		t.Errorf("where nothing is mounted: %+v", res)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if res := run(s.job(file, 1)); res.State != copies.Failing {
		t.Errorf("a file: %+v", res)
	}
	lost := s.job(dir, 1)
	lost.Wanted = []copies.Backup{{SHA256: strings.Repeat("0", 64), Name: s.order[0].Name}}
	if res := run(lost); res.State != copies.Failing || s.whole(dir) != 0 {
		t.Errorf("without bytes: %+v", res)
	}
}

// Left-over temporary files of this device go when they are old; others' stay.
func TestTidies(t *testing.T) {
	s, dir := newSet(t, 1), t.TempDir()
	s.now = time.Now()
	for name, age := range map[string]time.Duration{
		".tokend-" + testDevice + "-old.tmp": time.Hour, ".tokend-" + testDevice + "-new.tmp": 0, ".tokend-deadbeef-old.tmp": time.Hour,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, s.now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if res := s.runner(copies.OS{}).Run(t.Context(), s.job(dir, 1)); res.State != copies.OK {
		t.Fatalf("%+v", res)
	}
	names, err := filepath.Glob(filepath.Join(dir, ".tokend-*"))
	if err != nil || len(names) != 2 || strings.Contains(strings.Join(names, " "), testDevice+"-old") {
		t.Errorf("%v, %v", names, err)
	}
}

// faulty is the real file system, of which one step fails, or never ends.
type faulty struct {
	copies.OS
	mu   sync.Mutex
	left int
	err  error
	hang chan struct{} // where not nil, the step waits for it instead
	all  bool          // every step from then on
	tear bool
}

func (f *faulty) step() error {
	f.mu.Lock()
	f.left--
	hit := f.left == 0 || f.all && f.left < 0
	f.mu.Unlock()
	if !hit {
		return nil
	}
	if f.hang != nil {
		<-f.hang
		return nil
	}
	return f.err
}

func (f *faulty) Stat(path string) (fs.FileInfo, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.OS.Stat(path)
}

func (f *faulty) ReadDir(path string) ([]string, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.OS.ReadDir(path)
}

func (f *faulty) ReadFile(path string, limit int64) ([]byte, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.OS.ReadFile(path, limit)
}

func (f *faulty) WriteNew(path string, data []byte) error {
	if err := f.step(); err != nil {
		if f.tear {
			return errors.Join(err, f.OS.WriteNew(path, data[:len(data)/2]))
		}
		return err
	}
	return f.OS.WriteNew(path, data)
}

func (f *faulty) Place(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.Place(from, to)
}

func (f *faulty) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.Rename(from, to)
}

func (f *faulty) Remove(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.Remove(path)
}

func (f *faulty) SyncDir(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.SyncDir(path)
}

// Whatever step fails, for once or for good: success is told only where the newest
// backup is there, whole; no torn file has a backup's name; what was there stays;
// and the next run mends it.
func TestEveryFault(t *testing.T) {
	s := newSet(t, 4)
	failed := 0
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, syscall.ENOENT} {
		for step := 1; step < 30; step++ {
			for mode := range 4 {
				dir := t.TempDir()
				older := s.job(dir, 3)
				older.Wanted = s.order[:3]
				first := s.runner(copies.OS{}).Run(t.Context(), older)
				j := s.job(dir, 1)
				j.Known, j.Older, j.Keep = first.Seen[2:], first.Seen[:2], 2
				f := &faulty{left: step, err: err, all: mode&1 != 0, tear: mode&2 != 0}
				res := s.runner(f).Run(t.Context(), j)
				newest := filepath.Join(dir, s.order[3].Name)
				_, statErr := os.Stat(newest)
				if res.State == copies.OK && statErr != nil {
					t.Errorf("%v at step %d: success, and it is not there", err, step)
				}
				if res.State != copies.OK {
					failed++
				}
				if n := s.whole(dir); n < 2 {
					t.Errorf("%v at step %d: %d are left", err, step, n)
				}
				if res := s.runner(copies.OS{}).Run(t.Context(), j); res.State != copies.OK || s.whole(dir) < 2 {
					t.Errorf("%v at step %d: the next run: %+v", err, step, res)
				}
			}
		}
	}
	if failed < 50 {
		t.Errorf("%d faults are too few", failed)
	}
}

// A file system that does not answer holds nobody up for longer than it may.
func TestHangs(t *testing.T) {
	s := newSet(t, 2)
	for step := 1; step < 12; step++ {
		release := make(chan struct{})
		f := &faulty{left: step, hang: release}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan copies.Result, 1)
		dir := t.TempDir()
		go func() { done <- s.runner(f).Run(ctx, s.job(dir, 2)) }()
		select {
		case <-done: // it needs no more steps than that
			close(release)
			cancel()
			continue
		case <-time.After(20 * time.Millisecond):
		}
		cancel()
		if res := <-done; res.State != copies.Failing || res.Reason == "" {
			t.Errorf("step %d: %+v", step, res)
		}
		close(release)
	}
}

func TestLockIsForOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := copies.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if _, err := copies.Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one got it: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = copies.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestPlaces(t *testing.T) {
	home := t.TempDir()
	for _, dir := range []string{"OneDrive", "Dropbox/backups", "Nextcloud", "plain", "Sync/.stfolder", "Documents", "Library/CloudStorage/GoogleDrive-me", "work/sub"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "work", ".sync_0123.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"OneDrive": "OneDrive", "Dropbox/backups": "Dropbox", "Nextcloud": "Nextcloud", "plain": "", "Sync": "Syncthing",
		"Library/CloudStorage/GoogleDrive-me": "Google Drive", "work/sub": "Nextcloud",
	} {
		if p := copies.Known(filepath.Join(home, dir)); p.Service != want || (want != "") != (p.Kind == copies.KindSync) {
			t.Errorf("%s: %+v, want %q", dir, p, want)
		}
	}
	if p := copies.Known("/media/me/STICK/backups"); p.Kind != copies.KindRemovable {
		t.Errorf("%+v", p)
	}
	var found []string
	for _, p := range copies.Find(home, "me", func(string) string { return "" }) {
		if strings.HasPrefix(p.Path, home) {
			found = append(found, p.Service)
		}
	}
	slices.Sort(found)
	if want := []string{"Dropbox", "Google Drive", "Nextcloud", "OneDrive", "Syncthing"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}
