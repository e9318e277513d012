package vault

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/tokens"
)

// inNamespace runs the calling test again in a mount namespace of its own, as
// root there, and says whether this is that run.
func inNamespace(t *testing.T) bool {
	const mark = "VAULT_TEST_IN_NAMESPACE"
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

// TestReallyFullDisk fills a real file system of 512 KiB.
func TestReallyFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	mountTiny(t, dir)
	r := newRig(t)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.opt.Dir = filepath.Join(dir, "vault")
	r.opt.PinFile = filepath.Join(dir, "pins", "1.json")
	r.store = nil
	r.open()
	v := r.create()
	a := r.add(v, newAccounts(1, tokens.ClassSession, "hotp")...)
	ballast := filepath.Join(dir, "ballast")
	writeAll(t, ballast, make([]byte, 160<<10))
	fillDisk(t, v, ballast)
	want := v.Accounts()
	_, err := v.Add(t.Context(), newAccounts(1, tokens.ClassSession, ""))
	wantErr(t, err, ErrDiskFull)
	_, err = v.RevokeSlot(t.Context(), "one", passwordWay())
	wantErr(t, err, ErrDiskFull)
	if got := v.Accounts(); !reflect.DeepEqual(got, want) {
		t.Fatal("what is in memory changed")
	}
	v.Lock()
	v = r.unlock(r.key.way("one"))
	if got := v.Accounts(); !reflect.DeepEqual(got, want) {
		t.Fatal("what is on disk changed")
	}
	// The journal may still fit into its last page; if not, it says so and
	// nothing is handed out.
	next := uint64(0)
	for range 200 {
		n, err := v.NextCounter(a[0].ID)
		if err != nil {
			wantErr(t, err, ErrDiskFull)
			break
		}
		if n != next {
			t.Fatalf("counter %d, not %d", n, next)
		}
		next++
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if n, err := v.NextCounter(a[0].ID); err != nil || n != next {
		t.Fatalf("with room again: counter %d, %v", n, err)
	}
	if _, err := v.Remove(t.Context(), want[1].ID); err != nil {
		t.Fatal(err)
	}
	v.Lock()
}

// fillDisk adds accounts until there is no room, and then takes the rest.
func fillDisk(t *testing.T, v *Vault, ballast string) {
	var full error
	for i := 0; full == nil; i++ {
		if i > 1000 {
			t.Fatal("512 KiB hold a thousand accounts and their generations")
		}
		_, full = v.Add(t.Context(), newAccounts(20, tokens.ClassTouch, "totp"))
	}
	wantErr(t, full, ErrDiskFull)
	// Not a byte more for anybody.
	f, err := os.OpenFile(ballast, os.O_WRONLY|os.O_APPEND, 0)
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_ = f.Close()
}

// mountTiny mounts a file system of 512 KiB for the time of the test.
func mountTiny(t *testing.T, dir string) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("cannot make the mounts private: %v", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,mode=700"); err != nil {
		t.Fatalf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("cannot unmount: %v", err)
		}
	})
}
