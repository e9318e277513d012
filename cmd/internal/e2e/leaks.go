//go:build linux

package e2e

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Leaks keeps the secrets that the tests of a package hand in, and what the daemons
// of these tests logged: their own logs, audit logs and journals. When all tests have
// ended, none of the secrets must be found in any of it, nor a name of an account. A
// nil one keeps nothing.
type Leaks struct {
	mu sync.Mutex
	// secrets are what to look for, each with the daemons that it belongs to.
	secrets map[string]map[*Daemon]bool
	names   map[string]map[*Daemon]bool
	texts   []logged
}

// logged is what a daemon wrote.
type logged struct {
	of    *Daemon
	where string
	data  []byte
}

// The lengths from which on something is looked for: shorter words are in any text.
const (
	leastSecret = 4
	leastName   = 4
	// longSecret is from where on a secret is looked for in what others wrote, too, and
	// in other codings.
	longSecret = 10
	// mostLogged bounds what is kept of one file, in bytes: its end.
	mostLogged = 8 << 20
)

// Secret registers a secret, which may end with a line feed. nil is nobody's daemon.
func (l *Leaks) Secret(d *Daemon, value string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= leastSecret {
			l.secrets = remember(l.secrets, line, d)
		}
	}
}

// Name registers what an account at a service is called.
func (l *Leaks) Name(d *Daemon, name string) {
	if l == nil || len(name) < leastName {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = remember(l.names, name, d)
}

func remember(m map[string]map[*Daemon]bool, word string, d *Daemon) map[string]map[*Daemon]bool {
	if m == nil {
		m = map[string]map[*Daemon]bool{}
	}
	if m[word] == nil {
		m[word] = map[*Daemon]bool{}
	}
	m[word][d] = true
	return m
}

// Text adds what a daemon wrote.
func (l *Leaks) Text(d *Daemon, where string, data []byte) {
	if l == nil || len(data) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, logged{d, where, bytes.Clone(data[max(0, len(data)-mostLogged):])})
}

// Call registers what a call of tokenctl is given and told: the contents of its
// --…-file flags, the names of accounts, and new links and bypass codes.
func (l *Leaks) Call(d *Daemon, dir, stdin, stdout string, args []string) {
	if l == nil {
		return
	}
	for i, arg := range args {
		flag, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch {
		case !strings.HasPrefix(flag, "--"):
		case strings.HasSuffix(flag, "-file") && !slices.Contains([]string{"--to-file", "--from-file"}, flag):
			text := stdin
			if value != "-" {
				if !filepath.IsAbs(value) {
					value = filepath.Join(dir, value)
				}
				data, _ := os.ReadFile(value)
				text = string(data)
			}
			l.handed(d, flag, text)
		case slices.Contains(args, "account") && (flag == "--issuer" || flag == "--name"):
			l.Name(d, value)
		}
	}
	for _, made := range regexp.MustCompile(`tokend-activation[-:/?=&.\w%]+|\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3,}\b`).FindAllString(stdout, -1) {
		l.Secret(d, made)
	}
}

// handed registers the content of a file that was handed in.
func (l *Leaks) handed(d *Daemon, flag, text string) {
	if flag != "--uri-file" {
		if len(text) < 4096 { // else it is no secret, but a file of many accounts
			l.Secret(d, text)
		}
		return
	}
	for line := range strings.Lines(text) {
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil {
			continue
		}
		l.Secret(d, u.Query().Get("secret"))
		l.Name(d, u.Query().Get("issuer"))
		for part := range strings.SplitSeq(strings.TrimPrefix(u.Path, "/"), ":") {
			l.Name(d, part)
		}
	}
}

// Collect adds the logs and journals of a daemon.
func (l *Leaks) Collect(d *Daemon) {
	if l == nil {
		return
	}
	l.Text(d, "the log of tokend", []byte(d.Log()))
	_ = filepath.WalkDir(filepath.Dir(d.State), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !isLog(e.Name()) {
			return nil // another user's, or gone
		}
		if data, err := os.ReadFile(path); err == nil {
			l.Text(d, e.Name()+" of the state folder", data)
		}
		return nil
	})
}

// isLog says that a file is an audit log, a log or a journal.
func isLog(name string) bool {
	return strings.HasPrefix(name, "audit.log") || strings.HasSuffix(name, ".log") || strings.Contains(name, "journal") || strings.HasSuffix(name, ".checkpoint")
}

// Found says what was found that must not be there, one a line, without the secret.
func (l *Leaks) Found() []string {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, t := range l.texts {
		for secret, of := range l.secrets {
			if !of[t.of] && len(secret) < longSecret {
				continue
			}
			for coding, needle := range codings(secret) {
				if at := whole(t.data, needle); at >= 0 {
					found = append(found, fmt.Sprintf("%s, in %s: a secret of %d bytes: …%s⟨here⟩", t.where, coding, len(secret), t.data[max(0, at-120):at]))
				}
			}
		}
		for name, of := range l.names {
			if of[t.of] && whole(t.data, []byte(name)) >= 0 {
				found = append(found, fmt.Sprintf("%s: the name %q", t.where, name))
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Searched says how much there was to look for, and in how much.
func (l *Leaks) Searched() (secrets, names, texts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.secrets), len(l.names), len(l.texts)
}

// codings are the ways in which a secret can be written. Short ones are looked for as
// they are.
func codings(secret string) map[string][]byte {
	out := map[string][]byte{"plain text": []byte(secret)}
	if len(secret) < longSecret {
		return out
	}
	raws := map[string][]byte{"": []byte(secret)}
	none := base32.StdEncoding.WithPadding(base32.NoPadding)
	if raw, err := none.DecodeString(strings.ToUpper(strings.TrimRight(secret, "="))); err == nil && len(raw) >= longSecret {
		raws[" of what it decodes to"] = raw
	}
	if raw, err := hex.DecodeString(secret); err == nil && len(raw) >= longSecret {
		raws[" of what it decodes to in hex"] = raw
	}
	for of, raw := range raws {
		if of != "" {
			out["raw bytes"+of] = raw
		}
		out["hex"+of] = []byte(hex.EncodeToString(raw))
		out["capital hex"+of] = bytes.ToUpper(out["hex"+of])
		// What stands before in the same coding shifts it.
		for shift := range 3 {
			out[fmt.Sprint("base64", of, shift)] = shifted(base64.RawStdEncoding.EncodeToString, raw, shift, 6)
			out[fmt.Sprint("base64url", of, shift)] = shifted(base64.RawURLEncoding.EncodeToString, raw, shift, 6)
		}
		for shift := range 5 {
			out[fmt.Sprint("base32", of, shift)] = shifted(none.EncodeToString, raw, shift, 5)
		}
	}
	return out
}

// shifted is what is always the same of bytes encoded with so many others before
// them, in digits of so many bits.
func shifted(encode func([]byte) string, raw []byte, before, bits int) []byte {
	text := encode(append(make([]byte, before), raw...))
	from := (before*8 + bits - 1) / bits
	to := (before + len(raw)) * 8 / bits
	return []byte(text[from:to])
}

// whole is where a word stands by itself, -1 where it does not: as a part of a longer
// word only long ones count. Numbers of processes and sizes are not passcodes.
func whole(data, word []byte) int {
	letter := func(b byte) bool {
		return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b >= 0x80
	}
	for from := 0; ; {
		at := bytes.Index(data[from:], word)
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(word)
		switch {
		case len(word) >= longSecret,
			(at == 0 || !letter(data[at-1])) && (end == len(data) || !letter(data[end])) && !counted(data[:at]):
			return at
		}
		from = at + 1
	}
}

// counted says that what comes after some text is a number of something else.
func counted(before []byte) bool {
	for _, name := range []string{"pid=", "bytes=", "size=", "seq\":", "uid="} {
		if bytes.HasSuffix(before, []byte(name)) {
			return true
		}
	}
	return false
}
