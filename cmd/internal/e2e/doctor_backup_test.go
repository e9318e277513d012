//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

const (
	doctorPass     = "the passphrase of a software token"
	doctorPassword = "a recovery password to remember"
)

// secrets answers what may be asked of the owner of such a vault.
func secrets() []answer {
	return []answer{{`yes to go on`, "yes"}, {`(?i)recovery password`, doctorPassword}, {`Once more`, doctorPassword}, {`(?i)passphrase`, doctorPass}}
}

// newVaultWard is a ward with a vault of one software token, and an account in it.
func newVaultWard(t *testing.T) *ward {
	t.Helper()
	w := newWard(t, nil)
	w.Start()
	w.OK("", "init", "--token", "soft", "--label", "soft", "--pin-file", File(t, doctorPass), "--no-recovery-password")
	a := samples(1)[0]
	w.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", "session")
	return w
}

// later has so much time pass for what the daemon has noted under these keys: a clock
// is everybody's.
func (w *ward) later(passed time.Duration, keys ...string) {
	w.t.Helper()
	w.noted(keys, func(v any) any {
		at, err := time.Parse(time.RFC3339, v.(string))
		w.must(err)
		return at.Add(-passed).Format(time.RFC3339)
	})
}

// noted changes what the daemon has noted under some keys, wherever they are; nil
// removes it.
func (w *ward) noted(keys []string, change func(v any) any) {
	w.t.Helper()
	w.Daemon.Stop()
	path := filepath.Join(w.userFolder(), "daemon.json")
	text, err := os.ReadFile(path)
	w.must(err)
	var doc any
	w.must(json.Unmarshal(text, &doc))
	changed := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for k, x := range v {
				if !slices.Contains(keys, k) {
					walk(x)
					continue
				}
				changed++
				if v[k] = change(x); v[k] == nil {
					delete(v, k)
				}
			}
		}
	}
	walk(doc)
	if changed == 0 {
		w.t.Fatalf("no %q in %s", keys, text)
	}
	text, err = json.Marshal(doc)
	w.must(err)
	w.must(os.WriteFile(path, text, 0o600))
	w.Start()
}

// newDisk is a file system of its own, of so many KiB.
func (w *ward) newDisk(size string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	w.mount(dir, size)
	return dir
}

// newOverlay is a file system of its own that the kernel does not call one in memory.
func (w *ward) newOverlay() string {
	w.t.Helper()
	base := w.newDisk("4m")
	part := func(name string) string { return filepath.Join(base, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		w.must(os.Mkdir(part(name), 0o700))
	}
	options := "lowerdir=" + part("lower") + ",upperdir=" + part("upper") + ",workdir=" + part("work")
	if out, err := exec.Command("mount", "-t", "overlay", "-o", options, "tokend-test", part("merged")).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	w.t.Cleanup(func() { _ = exec.Command("umount", "-l", part("merged")).Run() })
	return part("merged")
}

// mount puts a disk of its own at a folder.
func (w *ward) mount(dir, size string) {
	w.t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=700,size="+size, "tokend-test", dir).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
	w.t.Cleanup(func() {
		w.Daemon.Stop()
		_ = exec.Command("umount", "-l", dir).Run()
	})
}

func (w *ward) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newest is the newest copy of a backup in a folder.
func newest(t *testing.T, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.tokend"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no copies in %s: %v", dir, err)
	}
	slices.SortFunc(list, func(a, b string) int { return modified(t, a).Compare(modified(t, b)) })
	return list[len(list)-1]
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func (w *ward) unlock() {
	w.t.Helper()
	w.OK(doctorPass, "unlock", "--pin-file", "-")
}

// account adds an account, so that the vault has changed.
func (w *ward) account(name string) {
	w.t.Helper()
	w.OK("otpauth://totp/"+name+"?secret=JBSWY3DPEHPK3PXP", "account", "add", "--uri-file", "-", "--class", "session")
}

const days = 24 * time.Hour

// doctorBackups has a person lose, one after the other, all that backups are made of.
func doctorBackups(t *testing.T) *ward {
	w := newVaultWard(t)
	disk, near, stick := w.newOverlay(), filepath.Join(w.State, "..", "copies"), w.newDisk("64k")
	for _, dir := range []string{near} {
		w.must(os.Mkdir(dir, 0o700))
	}
	spool := filepath.Join(w.userFolder(), "backups")
	hand := filepath.Join(disk, "by hand.tokend")
	for _, f := range []finding{
		{code: "no-backup", level: "warning", fill: map[string]string{"PATH": near}},
		{code: "backup-same-disk", level: "warning", fill: map[string]string{"PATH": disk}},
		{code: "backup-stale", level: "warning", about: near,
			cause: func(w *ward) { w.later(10*days, "last_success", "last_try", "added") }},
		{code: "backup-failing", level: "error", about: stick,
			cause: func(w *ward) {
				w.must(os.WriteFile(filepath.Join(stick, "holiday.mp4"), make([]byte, 60<<10), 0o600))
				w.Fails(22, "", []string{"backup", "destination", "add", stick}, "no space")
			},
			hand: func(w *ward, _ ipc.Finding) { w.must(os.Remove(filepath.Join(stick, "holiday.mp4"))) }},
		{code: "backup-absent", level: "note", about: near,
			cause: func(w *ward) { w.must(os.Rename(near, near+" pulled out")); w.Ctl("", "backup", "run") },
			hand:  func(w *ward, _ ipc.Finding) { w.must(os.Rename(near+" pulled out", near)) }},
		{code: "backup-lost", level: "warning", about: disk,
			cause: func(w *ward) {
				w.must(os.Remove(newest(w.t, disk)))
				w.Fails(22, "", []string{"backup", "run"}, "")
			}},
		{code: "backup-unopened", level: "warning", about: "does not open",
			cause: func(w *ward) { // made while it was locked, and damaged before it was opened
				w.unlock()
				w.account("unopened")
				w.Kill()
				w.Start()
				Eventually(w.t, patience, func() error {
					var list ipc.BackupList
					if w.JSON(&list, "backup", "list"); len(list.Backups) == 0 || !list.Backups[0].Opened.IsZero() {
						return errors.New("no backup was made at the start")
					}
					return nil
				})
				w.must(os.WriteFile(newest(w.t, spool), []byte("nothing"), 0o600))
				w.unlock()
			}},
		{code: "backup-unopened", level: "warning", about: "was ever opened", says: secrets(),
			cause: func(w *ward) {
				w.noted([]string{"opened"}, func(any) any { return nil })
				w.later(10*days, "spool_since")
			}},
		{code: "backup-spool", level: "error",
			cause: func(w *ward) {
				w.unlock()
				w.must(os.Rename(spool, spool+".away"))
				w.must(os.WriteFile(spool, nil, 0o600))
				w.account("spool")
				w.Ctl("", "backup", "run")
			},
			hand: func(w *ward, _ ipc.Finding) { w.must(os.Remove(spool)); w.must(os.Rename(spool+".away", spool)) }},
		{code: "backup-unproved", level: "note", about: "yet"},
		{code: "backup-unproved", level: "warning", about: "last drill",
			cause: func(w *ward) { w.later(200*days, "proved") }},
		{code: "backup-tokens-only", level: "note", says: secrets()},
		{code: "backup-in-memory", level: "warning", about: stick},
	} {
		if f.code == "backup-unproved" {
			f.says = secrets()
		}
		w.prove(f)
	}
	// By hand alone, from here on.
	for _, dir := range []string{near, disk} {
		w.OK("", "backup", "destination", "remove", dir)
	}
	for i := range 12 {
		w.account(fmt.Sprintf("many%d", i))
	}
	for _, f := range []finding{
		{code: "no-backup-destination", level: "warning", fill: map[string]string{"PATH": disk}},
		{code: "accounts-dropped", level: "error",
			cause: func(w *ward) {
				w.OK("", "backup", "run")
				for i := range 12 {
					w.OK("", "account", "remove", fmt.Sprintf("many%d", i), "--yes")
				}
				w.OK("", "backup", "destination", "remove", disk)
				w.Ctl("", "backup", "run")
			}},
		{code: "backup-stale", level: "note", about: "was changed since", fill: map[string]string{"FILE": "'" + hand + "'"}},
	} {
		w.prove(f)
	}
	return w
}
