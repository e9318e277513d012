package backup_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/backup"
	"github.com/tokenbridge/tokend/daemon/vault"
)

// generations makes the backups of the first n generations of a real vault.
func generations(t *testing.T, n int) [][]byte {
	t.Helper()
	dir := t.TempDir()
	s, err := vault.OpenStore(vault.Options{Dir: filepath.Join(dir, "v"), PinFile: filepath.Join(dir, "pin"), ScryptLogN: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	v, err := s.Create(t.Context(), nil, []byte("a recovery password"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Lock()
	var out [][]byte
	for i := range n {
		if i > 0 {
			if _, err := v.Add(t.Context(), []vault.NewAccount{{Account: vault.Account{Name: string(rune('a' + i))}, Secret: []byte("12345678901234567890")}}); err != nil {
				t.Fatal(err)
			}
		}
		data, _, err := s.Backup()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

func TestSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := backup.Open(nil, dir)
	if err != nil {
		t.Fatal(err)
	}
	all := generations(t, 3)
	for _, data := range all {
		for range 2 { // the second time it is there already
			if _, err := s.Put(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "foreign.tokend"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for i, item := range list {
		got, err := s.Get(item)
		if err != nil || !bytes.Equal(got, all[i]) || item.Generation != uint64(i+1) {
			t.Errorf("%+v: %v", item, err)
		}
		if info, err := os.Stat(s.Path(item)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	// Nothing that is no whole backup comes in, or stays in the place of one.
	for _, bad := range [][]byte{nil, []byte("x"), all[0][:len(all[0])-600]} {
		if _, err := s.Put(bad); err == nil {
			t.Error("what is no backup was taken")
		}
	}
	for _, spoil := range []func(string) error{
		func(p string) error { return os.Truncate(p, 0) }, func(p string) error { return os.Truncate(p, 700) },
	} {
		if err := spoil(s.Path(list[2])); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(list[2]); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("a spoilt one is told as %v", err)
		}
		if _, err := s.Put(all[2]); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(list[2]); err != nil || !bytes.Equal(got, all[2]) {
			t.Errorf("it was not mended: %v", err)
		}
	}
	if err := s.Remove(list[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(list[0]); !errors.Is(err, backup.ErrGone) {
		t.Errorf("%v, want gone", err)
	}
}

// faulty is the real file system, of which one operation fails.
type faulty struct {
	vault.OS
	left int // operations until then
	err  error
	tear bool // a write that fails leaves half
}

func (f *faulty) step() error {
	f.left--
	if f.left == 0 {
		return f.err
	}
	return nil
}

func (f *faulty) OpenFile(path string, flag int, perm fs.FileMode) (vault.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := f.step(); err != nil {
			return nil, err
		}
	}
	file, err := f.OS.OpenFile(path, flag, perm)
	if err != nil || flag&os.O_CREATE == 0 {
		return file, err
	}
	return &faultyFile{file, f}, nil
}

func (f *faulty) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.Rename(from, to)
}

func (f *faulty) SyncDir(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.OS.SyncDir(path)
}

type faultyFile struct {
	vault.File
	f *faulty
}

func (w *faultyFile) Write(p []byte) (int, error) {
	if err := w.f.step(); err != nil {
		if w.f.tear {
			n, _ := w.File.Write(p[:len(p)/2])
			return n, err
		}
		return 0, err
	}
	return w.File.Write(p)
}

func (w *faultyFile) Sync() error {
	if err := w.f.step(); err != nil {
		return err
	}
	return w.File.Sync()
}

// Whatever step fails, those from before are whole, what is listed is whole, and
// the next try succeeds.
func TestSpoolSurvivesEveryFault(t *testing.T) {
	all := generations(t, 2)
	failed := 0
	for step := 1; step < 12; step++ {
		for _, tear := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "spool")
			f := &faulty{err: syscall.ENOSPC, tear: tear}
			s, err := backup.Open(f, dir)
			if err != nil {
				t.Fatal(err)
			}
			before, err := s.Put(all[0])
			if err != nil {
				t.Fatal(err)
			}
			f.left = step
			if _, err := s.Put(all[1]); err != nil {
				failed++
				if !errors.Is(err, vault.ErrDiskFull) {
					t.Errorf("step %d: %v", step, err)
				}
			}
			f.left = 0
			again, err := backup.Open(f, dir)
			if err != nil {
				t.Fatal(err)
			}
			list, err := again.List()
			if err != nil || len(list) == 0 || list[0] != before {
				t.Fatalf("step %d: %v, %v", step, list, err)
			}
			for _, i := range list {
				if _, err := again.Get(i); err != nil {
					t.Errorf("step %d: %v", step, err)
				}
			}
			if _, err := again.Put(all[1]); err != nil {
				t.Errorf("step %d: the next try: %v", step, err)
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
				t.Errorf("step %d: %v, %v", step, names, err)
			}
		}
	}
	if failed < 8 {
		t.Errorf("%d faults are too few", failed)
	}
}
