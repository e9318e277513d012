package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs the calling test again in a mount namespace of its own, as
// root there, and says whether this is that run.
func inNamespace(t *testing.T) bool {
	const mark = "STORE_TEST_IN_NAMESPACE"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Geteuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("in a mount namespace: %v\n%s", err, out)
	}
	return false
}

// TestFullDisk fills a real file system of 1 MiB: what does not fit is refused,
// all that was stored stays, and with space again it goes on.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	disk := t.TempDir()
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Create(filepath.Join(disk, "authority"), key(1), "things")
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	store := func() error {
		return s.Update(func(tx *Tx) error {
			k, err := s.Key("things", fmt.Sprint(stored))
			if err != nil {
				return err
			}
			return tx.Put("things", k[:], thing{Name: fmt.Sprint(stored), Secret: make([]byte, 2000)})
		})
	}
	for err = store(); err == nil && stored < 10000; err = store() {
		stored++
	}
	if !errors.Is(err, ErrFull) || stored < 100 {
		t.Fatalf("after %d: %v", stored, err)
	}
	t.Logf("full after %d: %v", stored, err)
	for range 20 {
		if err := store(); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	whole := func() {
		t.Helper()
		for i := range stored {
			if _, found, err := get(s, fmt.Sprint(i)); err != nil || !found {
				t.Fatalf("%d of %d: %v, %v", i, stored, found, err)
			}
		}
	}
	whole()
	_ = os.Remove(ballast)
	if err := store(); err != nil {
		t.Fatal("with space again:", err)
	}
	stored++
	whole()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(filepath.Join(disk, "authority"), key(1)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	whole()
}
