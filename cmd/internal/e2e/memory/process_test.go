//go:build linux

package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/cmd/internal/e2e"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// wantLocked sees that what the search found of keys and secrets lies in memory
// that the kernel neither swaps (lo) nor dumps (dd).
func (b *bench) wantLocked(s *Search) {
	b.t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", b.PID()))
	b.must(err)
	defer f.Close()
	flags, key := map[string]string{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if field, _, _ := strings.Cut(lines.Text(), " "); strings.Contains(field, "-") {
			key = field
		}
		if rest, ok := strings.CutPrefix(lines.Text(), "VmFlags: "); ok {
			flags[key] = " " + strings.TrimSpace(rest) + " "
		}
	}
	for i := range s.Hits {
		h := &s.Hits[i]
		if h.Kind == "name" {
			continue
		}
		where, _, _ := strings.Cut(h.Mapping, " ")
		for _, flag := range []string{" lo ", " dd "} {
			if !strings.Contains(flags[where], flag) {
				b.t.Errorf("%s, %s lies in %s with the flags %q", h.Kind, h.Form, where, flags[where])
			}
		}
	}
	if n := statusKiB(b.t, b.PID(), "VmLck"); n == 0 {
		b.t.Error("the daemon has no locked memory")
	}
}

// statusKiB reads a size from /proc/PID/status.
func statusKiB(t *testing.T, pid int, name string) (n int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "\n"+name+":")
	if _, err := fmt.Sscan(rest, &n); !ok || err != nil {
		t.Fatalf("no %s: %v", name, err)
	}
	return n
}

// wantNoHelper sees that no helper but those that watch is left.
func (b *bench) wantNoHelper() {
	b.t.Helper()
	e2e.Eventually(b.t, 5*time.Second, func() error {
		for _, args := range children(b.PID()) {
			if strings.Contains(args, "tokend-helper") && !strings.Contains(args, "tokend-helper watch ") {
				return errors.New("still there: " + args)
			}
		}
		return nil
	})
}

// children are the command lines of a process's children.
func children(pid int) []string {
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range all {
		stat, err := os.ReadFile(f)
		_, rest, ok := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if n, _ := fmt.Sscan(rest, &state, &parent); err != nil || !ok || n != 2 || parent != pid {
			continue
		}
		if args, err := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline")); err == nil {
			out = append(out, strings.TrimRight(strings.ReplaceAll(string(args), "\x00", " "), " "))
		}
	}
	return out
}

// TestNoCoreFiles kills each program as if it had crashed, with core files
// allowed to its parent and as a user who is not root.
func TestNoCoreFiles(t *testing.T) {
	if e2e.NeedRoot(t) {
		return
	}
	p := shipped(t)
	dir, err := os.MkdirTemp("", "tokend-core-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{dir, p.Dir, filepath.Dir(p.Dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65533
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"tokend":        {"serve", "--user", "--bus", "none", "--state-dir", dir + "/state", "--socket", dir + "/s"},
		"tokenctl":      {"--socket", dir + "/none", "init", "--token", "soft", "--pin-file", "-"},
		"tokend-helper": {"op"},
		"cat":           nil, // the control: this one may be looked into
	} {
		t.Run(name, func(t *testing.T) {
			program := p.Path(name)
			if name == "cat" {
				program = "/bin/cat"
			}
			argv := append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh", program}, args...)
			cmd := exec.Command("sh", argv...)
			cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir, "PATH=/usr/bin:/bin"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hardened := name != "cat"
			e2e.Eventually(t, 10*time.Second, func() error { return wantHardened(cmd.Process.Pid, name, hardened) })
			if err := cmd.Process.Signal(syscall.SIGSEGV); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if hardened && (status.CoreDump() || cmd.ProcessState.Success()) {
				t.Errorf("it ended with %v, core %v: %s", cmd.ProcessState, status.CoreDump(), out.String())
			}
			cores, _ := filepath.Glob(filepath.Join(dir, "core*"))
			if hardened && len(cores) > 0 {
				t.Errorf("it left %v", cores)
			}
			for _, c := range cores {
				_ = os.Remove(c)
			}
		})
	}
}

// wantHardened sees that the process is the program, may not write core files,
// and is not dumpable: its files in /proc then belong to root. A process that is
// not dumpable is not given to a collector of core files through a pipe either.
func wantHardened(pid int, name string, hardened bool) error {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil || strings.TrimSpace(string(comm)) != name {
		return fmt.Errorf("it is still %q: %w", comm, errors.Join(err, fs.ErrNotExist))
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return err
	}
	_, core, _ := strings.Cut(string(limits), "Max core file size")
	if fields := strings.Fields(core); len(fields) < 2 || (fields[0] == "0" && fields[1] == "0") != hardened {
		return fmt.Errorf("core files: %.40q", core)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return err
	}
	if root := info.Sys().(*syscall.Stat_t).Uid == 0; root != hardened {
		return fmt.Errorf("its memory can be read: %v", !root)
	}
	return nil
}

// TestNoLockedMemory runs a daemon that may lock no memory: it says so, once,
// and does its work.
func TestNoLockedMemory(t *testing.T) {
	if e2e.NeedRoot(t) {
		return
	}
	p := shipped(t)
	dir := t.TempDir()
	for _, name := range []string{"tokenctl", "tokend-helper"} {
		if err := os.Symlink(p.Path(name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// Root may lock what it likes, unless it gives that up.
	script := "#!/bin/sh\nulimit -l 0\nexec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock '" + p.Path("tokend") + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "tokend"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, ctx: t.Context(), pw: random(20)}
	b.Daemon = e2e.NewDaemon(t, e2e.Programs{Dir: dir}, nil)
	b.Start()
	b.c = client.New(b.Socket)
	t.Cleanup(b.c.Close)
	b.needles = Text("recovery password", b.pw)
	_, err := b.c.Init(b.ctx, ipc.InitRequest{RecoveryPassword: ipc.Secret(b.pw)})
	b.must(err)
	a := b.newAccount("session")
	added, err := b.c.AddAccounts(b.ctx, ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: ipc.Secret(a.uri()), Class: a.class}}})
	b.must(err)
	for range 2 {
		b.must(b.c.Lock(b.ctx))
		_, err = b.c.Unlock(b.ctx, ipc.UnlockRequest{Auth: b.password()})
		b.must(err)
		_, err = b.c.Code(b.ctx, added.Accounts[0].ID, ipc.CodeRequest{})
		b.must(err)
	}
	if n := statusKiB(t, b.PID(), "VmLck"); n != 0 {
		t.Errorf("%d KiB are locked: the test proves nothing", n)
	}
	if n := strings.Count(b.Log(), "RLIMIT_MEMLOCK"); n != 1 {
		t.Errorf("it was said %d times, want once:\n%s", n, b.Log())
	}
	// What is not locked is wiped all the same.
	b.must(b.c.Lock(b.ctx))
	kinds := append(touchKinds(), sessionKinds()...)
	b.lookUntil("locked, without locked memory", settled, kinds...).none(t, kinds...)
}
