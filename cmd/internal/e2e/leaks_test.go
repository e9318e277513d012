//go:build linux

package e2e

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLeaksAreFound plants a secret in each way in which it could be written, in a log
// where much else is, and expects the search to find it; and to find nothing where
// there is nothing.
func TestLeaksAreFound(t *testing.T) {
	const pin, code, password, name = "482915", "12345678", "a password to look for", "me@bank.example"
	seed := "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	raw, err := base32.StdEncoding.DecodeString(seed)
	if err != nil {
		t.Fatal(err)
	}
	b32 := base32.StdEncoding.WithPadding(base32.NoPadding)
	for what, text := range map[string]struct {
		text string
		bad  bool
	}{
		"a PIN":                          {"pin " + pin + ".", true},
		"a PIN in JSON":                  {`{"detail":"` + pin + `"}`, true},
		"the number of a process":        {"from local uid=1000 pid=" + pin, false},
		"a longer number":                {"seq 1" + pin, false},
		"a hash with the PIN in it":      {"ab" + pin + "cd", false},
		"a passcode":                     {"passcode=" + code, true},
		"a password":                     {`err="wrong: ` + password + `"`, true},
		"a password in base64":           {"x=" + base64.StdEncoding.EncodeToString([]byte(password)), true},
		"in base64, after something":     {"x=" + base64.StdEncoding.EncodeToString([]byte("u:"+password+"!")), true},
		"in base64url, after something":  {"x=" + base64.RawURLEncoding.EncodeToString([]byte("u"+password)), true},
		"in hex":                         {hex.EncodeToString([]byte("x" + password)), true},
		"in capital hex":                 {strings.ToUpper(hex.EncodeToString([]byte(password))), true},
		"in base32":                      {b32.EncodeToString([]byte(password)), true},
		"in base32, after something":     {b32.EncodeToString([]byte("xyz" + password + "z")), true},
		"a seed":                         {"otpauth://totp/x?secret=" + seed, true},
		"the bytes of a seed":            {"…" + string(raw) + "…", true},
		"the bytes of a seed, in hex":    {hex.EncodeToString(raw), true},
		"the bytes of a seed, in base64": {base64.StdEncoding.EncodeToString(raw), true},
		"an account":                     {`account "` + name + `" code`, true},
		"the account of another":         {`account "alice@other.example" code`, false},
		"nothing":                        {"account 0123456789abcdef0123456789abcdef code", false},
	} {
		dir := t.TempDir()
		d := &Daemon{tb: t, State: filepath.Join(dir, "state"), log: &Buffer{}}
		other := &Daemon{tb: t}
		l := &Leaks{}
		l.Call(d, "", password+"\n", "", []string{"unlock", "--recovery-password-file", "-"})
		l.Call(d, "", "", "", []string{"unlock", "--pin-file", File(t, pin)})
		l.Call(d, "", "", "", []string{"admin", "verify", "--passcode-file=" + File(t, code+"\n")})
		l.Call(d, "", "", "", []string{"account", "add", "--uri-file", File(t, "otpauth://totp/Bank%20AG:"+name+"?secret="+seed+"\n")})
		l.Call(other, "", "", "", []string{"account", "add", "--name", "alice@other.example"})
		long := strings.Repeat(`{"seq":1,"time":"2026-11-29T12:00:00.000Z","action":"code","ok":true}`+"\n", 100)
		for _, file := range []string{"", "users/1000/audit.log", "users/1000/audit.log.50231", "authority/audit.log", "users/1000/counters.journal"} {
			path := filepath.Join(d.State, "x", file)
			if file == "" {
				_, _ = d.log.Write([]byte(long + text.text))
			} else if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			} else if err := os.WriteFile(path, []byte(long+text.text+"\n"+long), 0o600); err != nil {
				t.Fatal(err)
			}
			l.Collect(d)
			if found := l.Found(); len(found) > 0 != text.bad {
				t.Errorf("%s in %q: %q", what, file, found)
			}
			l.texts, d.log = nil, &Buffer{}
			_ = os.Remove(path)
		}
	}
}
