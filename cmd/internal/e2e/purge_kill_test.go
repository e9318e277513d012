//go:build linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// purgeKills is how often TestKilledInMidPurge kills the daemon.
const purgeKills = 40

// TestKilledInMidPurge kills the daemon while it removes a vault for good: right
// after each of its changes to the state folder, and at any moment. At the next
// start the vault is whole, or nothing of it is left; another user's is as it was.
func TestKilledInMidPurge(t *testing.T) {
	t.Parallel()
	d := NewDaemon(t, plainPrograms(t), []string{"PCSCLITE_CSOCK_NAME=/nonexistent"})
	d.Start()
	pin := File(t, "a long passphrase for it")
	d.OK("", "init", "--token", "soft", "--pin-file", pin, "--recovery-password-file", File(t, "a recovery password"))
	for _, a := range samples(4) {
		d.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", "session")
	}
	var st ipc.Status
	d.JSON(&st, "status")
	d.Stop()
	uid := strconv.Itoa(os.Getuid())
	for from, to := range map[string]string{"users/" + uid: "users/4242", "pins/" + uid + ".json": "pins/4242.json"} {
		copyTree(t, filepath.Join(d.State, from), filepath.Join(d.State, to))
	}
	if err := os.MkdirAll(filepath.Join(d.State, "purging"), 0o700); err != nil {
		t.Fatal(err)
	}
	template := d.State + "-template"
	copyTree(t, d.State, template)
	want := sums(t, template)

	tally := map[string]int{}
	steps := 0
	for n := range purgeKills + 1 {
		if err := os.RemoveAll(d.State); err != nil {
			t.Fatal(err)
		}
		copyTree(t, template, d.State)
		d.Start()
		d.OK("", "status")
		watch := watchMoments(t, d.State)
		watch.drain()
		done := make(chan struct{})
		var r Result
		began := time.Now()
		go func() {
			defer close(done)
			r = d.Ctl("", "purge", "--confirm", st.Vault.ID, "--without-backup")
		}()
		switch n {
		case 0: // in peace, to know how many changes there are
			<-done
			steps = watch.next(time.Now().Add(time.Second))
			t.Logf("a purge makes %d changes in %v", steps, time.Since(began).Round(time.Millisecond))
			if r.Exit != 0 || steps < 10 {
				t.Fatalf("%d changes: %s", steps, r)
			}
		default:
			// Most changes come after the step from which on the vault is gone: half of
			// the kills are around that.
			after := 1 + rand.IntN(steps)
			if n%2 == 0 {
				after = 1 + rand.IntN(2)
			}
			watch.killAfter(d.PID(), after, done)
			d.Kill()
			<-done
		}
		if n == 0 {
			d.Stop()
		}
		d.Start()
		outcome := purged(t, d, uid, want, r)
		tally[outcome]++
		d.Stop()
	}
	t.Logf("%d kills: %v", purgeKills, tally)
	if tally["whole"] < 3 || tally["gone"] < 3 {
		t.Error("too little happened for this to prove anything")
	}
}

// purged says whether the vault is "whole" or "gone", and fails the test where it is
// neither.
func purged(t *testing.T, d *Daemon, uid string, want map[string]string, r Result) string {
	t.Helper()
	var st ipc.Status
	d.JSON(&st, "status")
	now := sums(t, d.State)
	outcome := "gone"
	if st.Vault.State != ipc.VaultNone {
		outcome = "whole"
	}
	if r.Exit == 0 && outcome == "whole" {
		t.Fatalf("it was reported gone, and is not: %s", r)
	}
	for path, sum := range want {
		_, name, mine := strings.Cut(path, uid)
		switch {
		case strings.Contains(path, "4242"):
			if now[path] != sum {
				t.Fatalf("%s is another than it was", path)
			}
		// What the daemon writes by itself meanwhile is not the vault.
		case !mine || strings.HasSuffix(name, "audit.log") || strings.HasSuffix(name, "daemon.json") || strings.Contains(path, "backups"):
		case outcome == "whole" && now[path] != sum:
			t.Fatalf("the vault is there, and %s is another than it was", path)
		}
	}
	if outcome == "whole" {
		if st.Vault.State != ipc.VaultIsLocked || st.Vault.Problem != nil {
			t.Fatalf("%+v", st.Vault)
		}
		return outcome
	}
	for path := range now {
		left := strings.TrimPrefix(path, "users/"+uid+"/")
		if strings.Contains(path, "4242") || path == "lock" || slices.Contains([]string{"audit.log", "daemon.json", "lock"}, left) {
			continue
		}
		t.Fatalf("left is %s", path)
	}
	var log ipc.AuditLog
	d.JSON(&log, "audit", "list")
	if len(log.Entries) != 1 || log.Entries[0].Action != "purge" || !log.Intact {
		t.Fatalf("the audit log is %+v", log)
	}
	return outcome
}

// sums are the contents of all files below a folder.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		if err == nil {
			err = relErr
		}
		m[rel] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// copyTree copies a file or a folder with all that is in it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return os.MkdirAll(target, 0o700)
		case !e.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
