//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestFullDisk fills a small file system under a vault: nothing that was
// reported done is lost, the failure says so, and work goes on as soon as
// there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	d := NewDaemon(t, programs(t), nil)
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	mount("mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "tokend-test", d.State)
	t.Cleanup(func() {
		d.Stop()
		mount("umount", "-l", d.State)
	})
	d.Start()
	pass := File(t, "a passphrase for a full disk")
	d.OK("", "init", "--token", "soft", "--pin-file", pass, "--no-recovery-password")
	hotp := samples(5)[4]
	d.OK(hotp.uri(), "account", "add", "--uri-file", "-", "--class", "session")

	want := map[string]bool{hotp.name: true}
	var full Result
	for i := range 2000 {
		a := sample{name: fmt.Sprintf("account %04d with quite a long name, to fill the disk the sooner %0100d", i, i), typ: "totp", alg: "SHA1", digits: 6, period: 30, secret: hotp.secret}
		r := d.Ctl(a.uri(), "account", "add", "--uri-file", "-", "--class", "session")
		if r.Exit != 0 {
			full = r
			break
		}
		want[a.name] = true
	}
	if full.Exit != 23 {
		t.Fatalf("want the disk full: %s", full)
	}
	t.Logf("after %d accounts: %s", len(want), full)

	check := func() {
		t.Helper()
		var list ipc.AccountList
		d.JSON(&list, "account", "list")
		if len(list.Accounts) != len(want) {
			t.Errorf("%d accounts, want %d", len(list.Accounts), len(want))
		}
		for _, a := range list.Accounts {
			if !want[a.Name] {
				t.Errorf("%q was never reported added", a.Name)
			}
		}
	}
	check() // what the daemon holds is what is on disk
	// The last bytes too, so that not even a HOTP counter can be written.
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(d.State, "ballast"), "bs=4k").CombinedOutput(); err == nil {
		t.Fatalf("the disk is not full: %s", out)
	}
	counters := map[uint64]bool{}
	code := func() Result {
		var c ipc.Code
		r := d.Ctl("", "--json", "code", hotp.name)
		if r.Exit == 0 {
			if err := unmarshal(r.Stdout, &c); err != nil || c.Counter == nil || counters[*c.Counter] {
				t.Errorf("a counter twice, or none: %v: %s", err, r)
			} else {
				counters[*c.Counter] = true
			}
		}
		return r
	}
	var refused Result
	for range 500 {
		if refused = code(); refused.Exit != 0 {
			break
		}
	}
	if refused.Exit != 23 {
		t.Errorf("want the disk full for a HOTP code: %s", refused)
	}
	d.Kill()
	d.Start()
	d.OK("", "unlock", "--pin-file", pass)
	check()
	if err := os.Remove(filepath.Join(d.State, "ballast")); err != nil {
		t.Fatal(err)
	}
	mount("mount", "-o", "remount,size=4m", d.State)
	if r := code(); r.Exit != 0 {
		t.Errorf("with room again: %s", r)
	}
	a := sample{name: "after", typ: "totp", alg: "SHA1", digits: 6, period: 30, secret: hotp.secret}
	d.OK(a.uri(), "account", "add", "--uri-file", "-", "--class", "session")
	want[a.name] = true
	check()
}
