package issue

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// inNamespace runs the calling test again in a mount namespace of its own, as
// root there, and says whether this is that run.
func inNamespace(t *testing.T) bool {
	const mark = "ISSUE_TEST_IN_NAMESPACE"
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

// TestFullDisk fills a real file system at every step of a reactivation: the step
// fails, and the same request works when there is space again, with the same
// passcode and the same activation.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	disk := t.TempDir()
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	r := newRig(t)
	r.Issuer.Close()
	if err := r.reg.Close(); err != nil {
		t.Fatal(err)
	}
	// bbolt's file grows in steps: where nothing is free, the next change fails.
	dir := filepath.Join(disk, "authority")
	if err := os.CopyFS(dir, os.DirFS(r.o.Dir)); err != nil {
		t.Fatal(err)
	}
	r.o.Dir = dir
	var err error
	if r.reg, err = authority.Open(r.o); err != nil {
		t.Fatal(err)
	}
	r.start()
	ballast := filepath.Join(disk, "ballast")
	step := func(d *device, b message.RequestBody, first bool) message.Result {
		t.Helper()
		d.seal(b, first)
		fill(t, r, ballast)
		if _, err := r.Serve(t.Context(), d.sealed); !errors.Is(err, store.ErrFull) {
			t.Errorf("with a full disk: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		answer, err := r.Serve(t.Context(), d.sealed)
		if err != nil {
			t.Fatal(err)
		}
		return d.open(answer)
	}
	old := r.device("old")
	step(old, activation(old, r.link("alice", "vpn")), true)
	if res, ok := step(old, old.proof(), false).(*message.Done); !ok {
		t.Fatalf("%+v", res)
	}
	fresh := old.restored("new")
	step(fresh, fresh.begin(true), true)
	if res, ok := step(fresh, factor("fob", r.passcode("F1")), false).(*message.NewSecret); !ok {
		t.Fatalf("%+v", res)
	}
	if !old.logsIn() {
		t.Error("the old device does not log in")
	}
	if res, ok := step(fresh, fresh.proof(), false).(*message.Done); !ok || len(res.Revoked) != 1 {
		t.Fatalf("%+v", res)
	}
	if !fresh.logsIn() || old.logsIn() {
		t.Error("who logs in")
	}
}

// fill leaves no space, in the file system nor in the registry's file.
func fill(t *testing.T, r *rig, ballast string) {
	t.Helper()
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	_ = f.Close()
	// Small changes find room where large ones do not.
	n := 0
	for _, size := range []int{3000, 10} {
		for err = nil; err == nil; n++ {
			err = r.reg.Store().Update(func(tx *store.Tx) error {
				key := message.ID{0xfe, byte(n >> 8), byte(n)}
				return tx.Put(conversationsBucket, key[:], make([]byte, size))
			})
		}
		if !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
	}
}
