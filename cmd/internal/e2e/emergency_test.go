//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// commands are the shell commands of docs/backup-format.md in order: those for the
// password, and those for the printed key in the place of one of them.
func commands(t *testing.T) (all []string, byKey string) {
	t.Helper()
	for _, b := range blocks(t, "backup-format.md") {
		switch {
		case b.lang != "sh":
		case b.label == "key":
			byKey = b.text
		default:
			all = append(all, b.text)
		}
	}
	if len(all) != 6 || byKey == "" || !strings.Contains(all[1], "recovery-key.age") || !strings.Contains(all[5], "rm -rf") {
		t.Fatalf("the document has other commands than this test knows: %q, %q", all, byKey)
	}
	return all, byKey
}

// TestEmergencyRecovery types what docs/backup-format.md says, with Debian's tar,
// age, jq and oathtool, on a backup of the built programs with accounts of every
// kind.
func TestEmergencyRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t, yubikey())
	b.init()
	accounts := samples(12)
	for _, a := range accounts {
		b.add(a)
	}
	b.OK("otpauth://steam/Steam:gamer?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Steam&algorithm=SHA1&digits=5&period=30", "account", "add", "--uri-file", "-")
	b.OK("otpauth://totp/A%20%26%20B%2F%C3%BC:me%3F?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=A%20%26%20B%2F%C3%BC", "account", "add", "--uri-file", "-")
	backup := filepath.Join(t.TempDir(), "backup.tokend")
	b.OK("", "backup", "create", backup)
	key := strings.TrimSpace(b.OK("", "recovery", "show-key", "--yes", "--recovery-password-file", b.password).Stdout)
	all, byKey := commands(t)
	t.Run("password", func(t *testing.T) {
		rescue(t, backup, all, b.passwordText, accounts)
	})
	t.Run("printed key", func(t *testing.T) {
		typed := strings.ToLower(key[:16]) + " " + strings.ToLower(key[16:40]) + " " + key[40:]
		withKey := append([]string{all[0], "printf '%s\\n' '" + typed + "' | " + byKey}, all[2:]...)
		rescue(t, backup, withKey, "", accounts)
	})
}

// rescue runs the commands up to the last, which cleans up, looks at what came
// out, and runs the last.
func rescue(t *testing.T, backup string, all []string, password string, accounts []sample) {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "backup.tokend"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	last := len(all) - 1
	said := atShell(t, dir, "set -eu\n"+strings.Join(all[:last], "\n")+"\necho reached the end\n", password)
	if !strings.Contains(said, "reached the end") {
		t.Fatalf("the commands failed:\n%s", said)
	}
	lines, err := os.ReadFile(filepath.Join(dir, "rescue", "accounts.txt"))
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	uris := strings.Split(strings.TrimSpace(string(lines)), "\n")
	if len(uris) != len(accounts)+2 {
		t.Fatalf("%d addresses of %d accounts\n%s", len(uris), len(accounts)+2, lines)
	}
	for i, a := range accounts {
		checkRescued(t, uris[i], a)
	}
	if u, err := url.Parse(uris[len(accounts)]); err != nil || u.Host != "steam" || u.Query().Get("digits") != "5" {
		t.Errorf("Steam: %s, %v", uris[len(accounts)], err)
	}
	if u, err := url.Parse(uris[len(accounts)+1]); err != nil || u.Query().Get("issuer") != "A & B/ü" || u.Path != "/A & B/ü:me?" {
		t.Errorf("odd names: %s, %v", uris[len(accounts)+1], err)
	}
	for _, a := range accounts {
		if a.digits > 8 {
			continue
		}
		m := regexp.MustCompile(regexp.QuoteMeta(strings.ReplaceAll(a.name, "@", "%40")) + `  ([0-9]{6,8})\b`).FindStringSubmatch(said)
		if m == nil {
			t.Errorf("no code of %s in\n%s", a.name, said)
		} else if a.typ == "totp" {
			checkNear(t, a, m[1])
		}
	}
	if said := atShell(t, filepath.Join(dir, "rescue"), "set -eu\n"+all[last], ""); said != "" {
		t.Errorf("cleaning up says %q", said)
	}
	if _, err := os.Stat(filepath.Join(dir, "rescue")); err == nil {
		t.Error("the folder is left")
	}
}

func checkRescued(t *testing.T, uri string, a sample) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	want := url.Values{"secret": {a.secret}, "issuer": {"Example"}, "algorithm": {a.alg}, "digits": {fmt.Sprint(a.digits)}}
	if a.typ == "hotp" {
		n, err := strconv.ParseUint(q.Get("counter"), 10, 64)
		if err != nil || n != a.counter+8 {
			t.Errorf("%s: counter %s", a.name, q.Get("counter"))
		}
		want.Set("counter", q.Get("counter"))
	} else {
		want.Set("period", fmt.Sprint(a.period))
	}
	if u.Host != a.typ || u.Path != "/Example:"+a.name || q.Encode() != want.Encode() {
		t.Errorf("%s came out as %s, want %s", a.name, uri, want.Encode())
	}
}

// checkNear compares a code with those of the last minutes: the script ran a
// moment ago.
func checkNear(t *testing.T, a sample, code string) {
	t.Helper()
	args := []string{"-b", "-d", fmt.Sprint(a.digits), "--totp=" + strings.ToLower(a.alg), "-s", fmt.Sprintf("%ds", a.period),
		"-N", time.Now().Add(-10 * time.Minute).UTC().Format("2006-01-02 15:04:05 UTC"), "-w", "45", "-"}
	cmd := exec.Command("oathtool", args...)
	cmd.Stdin = strings.NewReader(a.secret)
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), code) {
		t.Errorf("%s: code %s is none of the last minutes (%v)", a.name, code, err)
	}
}

// atShell runs a script in sh on a terminal and answers age's question.
func atShell(t *testing.T, dir, script, password string) string {
	t.Helper()
	path := File(t, script)
	cmd := exec.Command("sh", path)
	cmd.Dir = dir
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	guard := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	var said bytes.Buffer
	buf := make([]byte, 4096)
	asked := false
	for {
		n, err := tty.Read(buf)
		said.Write(buf[:n])
		if !asked && bytes.Contains(said.Bytes(), []byte("passphrase")) {
			asked = true
			if _, err := tty.Write([]byte(password + "\n")); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // the terminal is closed at the end
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the script ended with %v:\n%s", err, said.String())
	}
	return strings.ReplaceAll(said.String(), "\r\n", "\n")
}
