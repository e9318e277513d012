//go:build linux

package e2e

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// as runs tokenctl as another user of the machine.
func (d *Daemon) as(uid int, stdin string, args ...string) Result {
	u := fmt.Sprint(uid)
	argv := append([]string{"--reuid=" + u, "--regid=" + u, "--clear-groups", d.Programs.Path("tokenctl"), "--socket", d.Socket}, args...)
	cmd := exec.Command("setpriv", argv...)
	cmd.Env = append(d.Programs.Env(), "PATH="+os.Getenv("PATH"), "HOME=/nonexistent")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	r := Result{Args: args, Stdout: out.String(), Stderr: errOut.String(), Exit: cmd.ProcessState.ExitCode()}
	if err != nil && r.Exit < 0 {
		r.Stderr += err.Error()
	}
	return r
}

// TestOtherUsersLearnNothing runs a system daemon for two users: what one has is
// to the other as if it were not there.
func TestOtherUsersLearnNothing(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	const zoey, bob, overflow = 10001, 10002, 65534
	d := NewDaemon(t, programs(t), nil)
	d.System = true
	for _, dir := range []string{filepath.Dir(d.Socket), d.Programs.Dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.Start()
	ok := func(r Result) Result {
		t.Helper()
		if r.Exit != 0 {
			t.Fatalf("%s", r)
		}
		return r
	}
	ok(d.as(zoey, "zoey's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--label", "Zoeystoken", "--no-recovery-password"))
	a := sample{name: "zoey@bank", typ: "totp", alg: "SHA1", digits: 6, period: 30, secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	uri := strings.ReplaceAll(a.uri(), "Example", "Zoeysbank")
	ok(d.as(zoey, uri, "account", "add", "--uri-file", "-", "--class", "session"))
	list := ok(d.as(zoey, "", "--json", "account", "list"))
	id := between(list.Stdout, `"id":"`, `"`)
	if id == "" || !strings.Contains(list.Stdout, "Zoeysbank") {
		t.Fatalf("zoey cannot see her own account: %s", list)
	}

	compare := func(name string, one, other Result, x, y string) {
		t.Helper()
		if one.Exit != other.Exit || strings.ReplaceAll(one.Stdout+one.Stderr, x, y) != other.Stdout+other.Stderr {
			t.Errorf("%s: there and not there differ:\n%s\n%s", name, one, other)
		}
	}
	vault := func() {
		t.Helper()
		const nobodys = "00000000000000ff"
		for _, args := range [][]string{{"code"}, {"account", "show"}, {"account", "remove", "--yes"}} {
			with := func(s string) []string { return append(append([]string{"--no-input"}, args...), s) }
			compare(strings.Join(args, " "), d.as(bob, "", with(id)...), d.as(bob, "", with(nobodys)...), id, nobodys)
			compare(strings.Join(args, " "), d.as(bob, "", with("Zoeysbank")...), d.as(bob, "", with("Qqqqsbank")...), "Zoeysbank", "Qqqqsbank")
		}
		for _, args := range [][]string{{"status"}, {"account", "list"}, {"token", "list"}, {"doctor"}, {"audit", "list"}, {"backup", "create", "/dev/null/x"}} {
			for _, format := range [][]string{nil, {"--json"}} {
				r := d.as(bob, "", append(format, args...)...)
				for _, w := range []string{"zoey", "Zoey", id} {
					if strings.Contains(r.Stdout+r.Stderr, w) {
						t.Errorf("bob reads %q: %s", w, r)
					}
				}
			}
		}
	}
	vault() // bob has no vault
	ok(d.as(bob, "bob's long passphrase", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password"))
	vault() // bob has one, unlocked
	ok(d.as(bob, "", "lock"))
	vault() // and locked
	if r := d.as(bob, "zoey's long passphrase", "unlock", "--pin-file", "-"); r.Exit == 0 {
		t.Errorf("zoey's passphrase opens bob's vault: %s", r)
	}
	if r := d.as(zoey, "", "code", id); r.Exit != 0 {
		t.Errorf("bob's doings reached ann: %s", r)
	}
	if r := d.as(overflow, "", "status"); r.Exit != 10 || !strings.Contains(r.Stderr, "your uid, 65534, stands for everybody") || strings.Contains(r.Stderr, "tokend serve") {
		t.Errorf("to the overflow uid: %s", r)
	}
	if r := d.as(overflow, "", "doctor"); r.Exit != 10 || !strings.Contains(r.Stdout, "run this as another user") || strings.Contains(r.Stdout, "tokend serve") {
		t.Errorf("the doctor, to the overflow uid: %s", r)
	}
}

func between(s, from, to string) string {
	_, s, ok := strings.Cut(strings.ReplaceAll(s, `": "`, `":"`), from)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestNoSecretLeaks looks for every secret of a day's work in all places where
// it must not be: logs, arguments, environments, files, core files.
func TestNoSecretLeaks(t *testing.T) {
	t.Parallel()
	const pin, password = "a-passphrase-to-look-for", "a-recovery-password-to-look-for"
	raw := []byte("an OTP secret to look for, of 40 bytes!!")
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	needles := map[string][]byte{
		"the passphrase": []byte(pin), "the recovery password": []byte(password), "the raw secret": raw,
		"the secret in base32": []byte(secret), "the secret in hex": []byte(hex.EncodeToString(raw)),
		"the secret in base64": []byte(base64.RawStdEncoding.EncodeToString(raw)),
		"a private key":        []byte("AGE-SECRET-KEY-1"),
	}
	look := func(where string, b []byte) {
		t.Helper()
		for what, n := range needles {
			if bytes.Contains(b, n) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}

	cwd := t.TempDir()
	d := NewDaemon(t, programs(t), nil)
	d.Dir, d.CoreFiles = cwd, true
	d.Start()

	// Processes come and go: watch their arguments and environments meanwhile.
	stop := make(chan struct{})
	var watch sync.WaitGroup
	seen := map[string]int{}
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			procs, _ := filepath.Glob("/proc/[0-9]*")
			for _, p := range procs {
				comm, err := os.ReadFile(p + "/comm")
				if err != nil || !bytes.HasPrefix(comm, []byte("token")) {
					continue
				}
				for _, f := range []string{"cmdline", "environ"} {
					if b, err := os.ReadFile(filepath.Join(p, f)); err == nil {
						seen[strings.TrimSpace(string(comm))]++
						look(p+"/"+f+" of "+string(comm), b)
					}
				}
			}
		}
	})

	var said strings.Builder
	do := func(exit int, stdin string, args ...string) {
		t.Helper()
		r := d.Ctl(stdin, args...)
		if r.Exit != exit {
			t.Fatalf("want exit %d: %s", exit, r)
		}
		said.WriteString(r.Stdout + r.Stderr)
	}
	pinFile, pwFile := File(t, pin), File(t, password)
	do(0, "", "init", "--token", "soft", "--pin-file", pinFile, "--recovery-password-file", pwFile)
	uri := "otpauth://totp/Bank:me?secret=" + secret
	do(0, uri, "account", "add", "--uri-file", "-", "--class", "session")
	do(11, uri, "account", "add", "--uri-file", "-", "--class", "session")
	do(2, uri+"&digits=99", "account", "add", "--uri-file", "-")
	do(2, uri+"1", "account", "add", "--uri-file", "-")
	do(0, "", "code", "Bank")
	do(0, "", "lock")
	do(14, pin+"x", "unlock", "--pin-file", "-")
	do(18, password+"x", "unlock", "--recovery-password-file", "-")
	do(0, "", "unlock", "--recovery-password-file", pwFile)
	do(0, "", "backup", "create", filepath.Join(d.State, "backup"))
	do(0, "", "backup", "verify", filepath.Join(d.State, "backup"), "--recovery-password-file", pwFile)
	do(0, "", "lock")
	do(0, "", "unlock", "--pin-file", pinFile)
	close(stop)
	watch.Wait()
	if seen["tokend"] == 0 || seen["tokenctl"] == 0 || seen["tokend-helper"] == 0 {
		t.Errorf("the watch saw too little to prove anything: %v", seen)
	}
	look("what tokenctl said", []byte(said.String()))

	// Killed as if it had crashed, with core files allowed to its parent.
	if err := d.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	<-d.done
	look("the daemon's log", []byte(d.Log()))
	cores, _ := filepath.Glob(filepath.Join(cwd, "*"))
	if len(cores) != 0 {
		t.Errorf("the daemon left %v", cores)
	}
	files := 0
	err := filepath.WalkDir(d.State, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		look(path, b)
		if i, err := e.Info(); err == nil && i.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, i.Mode())
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("looked into %d files: %v", files, err)
	}
}
