//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// keptVault is a daemon with a vault that the recovery password alone opens.
func keptVault(t *testing.T, p Programs) *Daemon {
	t.Helper()
	home := t.TempDir()
	d := NewDaemon(t, p, []string{"HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_CONFIG_HOME=" + home})
	d.Start()
	d.OK("", "init", "--token", "none", "--recovery-password-file", File(t, "a password for backups"))
	d.OK(samples(1)[0].uri(), "account", "add", "--uri-file", "-")
	return d
}

// TestBackupRunsAtOnce starts many runs at the same time: each backup is written
// once.
func TestBackupRunsAtOnce(t *testing.T) {
	t.Parallel()
	d := keptVault(t, programs(t))
	dir := t.TempDir()
	d.OK("", "backup", "destination", "add", dir)
	for i := range 3 {
		d.OK("", "account", "edit", samples(1)[0].name, "--note", strings.Repeat("x", i+1))
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if r := d.Ctl("", "backup", "run"); r.Exit != 0 {
					t.Errorf("%s", r)
				}
			})
		}
		wg.Wait()
		if list := globAll(t, filepath.Join(dir, "*.tokend")); len(list) != i+2 {
			t.Fatalf("after %d changes: %v", i+1, list)
		}
	}
}

// TestFrozenDestination has a destination whose file system does not answer, which
// is what a dead network folder does: the other is served, the run ends in its time
// and says which it was.
func TestFrozenDestination(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	d := keptVault(t, programs(t))
	dir := t.TempDir()
	image, frozen, good := filepath.Join(dir, "image"), filepath.Join(dir, "frozen"), filepath.Join(dir, "good")
	for _, p := range []string{frozen, good} {
		if err := os.Mkdir(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) error {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Logf("%v: %v: %s", args, err, out)
		}
		return err
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<20); err != nil {
		t.Fatal(err)
	}
	if command("mkfs.ext4", "-q", image) != nil || command("mount", "-o", "loop", image, frozen) != nil {
		t.Log("no file system can be mounted from a file here; package copies tries those that hang by itself")
		return
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", frozen).Run() })
	d.OK("", "backup", "destination", "add", frozen)
	d.OK("", "backup", "destination", "add", good)
	d.OK("", "account", "edit", samples(1)[0].name, "--note", "changed")
	if err := command("fsfreeze", "-f", frozen); err != nil {
		t.Log("it cannot be frozen here")
		return
	}
	// What waits for the frozen disk cannot end, and the program with it: its answer
	// is read from its output.
	cmd := exec.Command(d.Programs.Path("tokenctl"), "--socket", d.Socket, "backup", "run", "--timeout", "2s")
	cmd.Env = append(os.Environ(), d.Env...)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	thawed := false
	thaw := func() {
		if !thawed {
			thawed = command("fsfreeze", "-u", frozen) == nil
		}
	}
	t.Cleanup(thaw)
	Eventually(t, time.Minute, func() error {
		var st ipc.BackupStatus
		r := d.Ctl("", "--json", "backup", "status")
		if err := json.Unmarshal([]byte(r.Stdout), &st); err != nil {
			return err
		}
		for _, to := range st.Destinations {
			if (to.Path == good) != (to.State == ipc.DestinationOK) || to.Path == frozen && to.Reason != "it did not answer in time" {
				return fmt.Errorf("%s", r)
			}
		}
		return nil
	})
	thaw()
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 22 {
		b, _ := os.ReadFile(out.Name())
		t.Errorf("exit %d: %s", cmd.ProcessState.ExitCode(), b)
	}
	d.OK("", "backup", "run")
	if list := globAll(t, filepath.Join(frozen, "*.tokend")); len(list) != 2 {
		t.Errorf("after it thawed: %v", list)
	}
}
