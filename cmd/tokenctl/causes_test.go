package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// ran is how a tokenctl without a terminal ended.
type ran struct {
	out, err string
	exit     int
}

// tokenctl runs the program; socket may be empty for none.
func tokenctl(t *testing.T, socket, home string, args ...string) ran {
	t.Helper()
	cmd := exec.Command("tokenctl", args...)
	if socket == "" {
		socket = filepath.Join(t.TempDir(), "none")
	}
	cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+socket, "HOME="+home, "USERPROFILE="+home, noRaceSleep)
	cmd.Dir = home
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	r := ran{}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.exit = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	r.out, r.err = out.String(), errOut.String()
	return r
}

// served is a fake daemon's socket.
func served(t *testing.T, f *fake) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return serve(t, f, dir)
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zipped(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const aegisPlain = `{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[{"type":"totp","uuid":"x","name":"me","issuer":"GitHub","note":"","icon":null,
"info":{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA1","digits":6,"period":30}}]}}`

func flipped(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 0x10
	return out
}

// TestCauses tells apart, through the built program, every reason for which no
// account is to be had from a file, each with its remedy.
func TestCauses(t *testing.T) {
	backup := sampleBackup(t)
	list, err := archive.EncodeList(archive.List{VaultID: strings.Repeat("ab", 16), Time: time.Unix(1e9, 0), Accounts: []archive.ListedAccount{
		{ID: "0011223344556677", Issuer: "GitHub", Name: "me", Kind: "third-party", Class: "touch", Type: "totp", Algorithm: "SHA1", Digits: 6, Period: 30}}})
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(backup, []byte(`"version":1`), []byte(`"version":2`), 1)
	for name, test := range map[string]struct {
		file string
		data []byte // nil for no file
		exit int
		says []string
	}{
		"no such file":    {"a.tokend", nil, 11, []string{"there is no such file", "may be in the trash", "tokenctl backup find"}},
		"no such folder":  {"nowhere/a.tokend", nil, 11, []string{"there is no such folder", "whether its stick or folder is there"}},
		"empty":           {"a.tokend", []byte{}, 18, []string{"the file is empty: it has not arrived yet", "wait until the folder has synced"}},
		"zeros":           {"a.tokend", make([]byte, 40_000), 11, []string{"has not arrived", "always keep on this device"}},
		"Google's stub":   {"a.tokend.gdoc", []byte(`{"":"WARNING","doc_id":"1x","resource_key":"","email":"me@example.com"}`), 11, []string{"not on this machine", "open it once"}},
		"Git LFS":         {"a.tokend", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"), 11, []string{"not on this machine"}},
		"a log-in page":   {"a.tokend", []byte("<!DOCTYPE html><html><head><title>Sign in</title></head><body><form></form></body></html>"), 18, []string{"a web page", "log in there"}},
		"another product": {"aegis.json", []byte(aegisPlain), 18, []string{"an export of another product (Aegis", "tokenctl import aegis.json"}},
		"packed, zip":     {"a.zip", zipped(t, "in/a.tokend", backup), 18, []string{"a packed file with a backup in it (in/a.tokend)", "unzip a.zip"}},
		"packed, gzip":    {"a.tokend.gz", gzipped(t, backup), 18, []string{"a packed file with a backup in it", "gunzip -k a.tokend.gz"}},
		"list only":       {"l.json", list, 18, []string{"a list of accounts without their secrets", "tokenctl import --checklist"}},
		"something else":  {"a.tokend", []byte("a letter to my aunt, in many words\n"), 18, []string{"not a vault or backup", "it is no backup of tokend"}},
		"newer":           {"a.tokend", newer, 18, []string{"format version 2 is newer than this program", "install that version here"}},
		"cut short":       {"a.tokend", backup[:len(backup)/2], 18, []string{"damaged", "no matter of the password"}},
		"only its head":   {"a.tokend", backup[:700], 18, []string{"damaged: its beginning is changed or cut short"}},
		"flipped head":    {"a.tokend", flipped(backup, 2), 18, []string{"damaged: its beginning is changed or cut short"}},
		"flipped":         {"a.tokend", flipped(backup, len(backup)/2), 18, []string{"damaged", "take another copy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			if test.data != nil {
				put(t, filepath.Join(home, test.file), test.data)
			}
			for _, command := range []string{"verify", "drill", "restore"} {
				socket := ""
				if command == "restore" {
					socket = served(t, newFake())
				}
				r := tokenctl(t, socket, home, "backup", command, test.file)
				if r.exit != test.exit || strings.Contains(r.err, "wrong recovery password") {
					t.Errorf("%s: exit %d\n%s", command, r.exit, r.err)
				}
				for _, want := range test.says {
					if !strings.Contains(r.err, want) {
						t.Errorf("%s does not say %q:\n%s", command, want, r.err)
					}
				}
			}
		})
	}
}

func TestMoreCauses(t *testing.T) {
	home := t.TempDir()
	backup := sampleBackup(t)
	put(t, filepath.Join(home, "Backups", "a.tokend"), backup)
	password := filepath.Join(home, "password")
	put(t, password, []byte(backupPassword+"\n"))
	want := func(r ran, exit int, says ...string) {
		t.Helper()
		if r.exit != exit {
			t.Errorf("exit %d, not %d: %s%s", r.exit, exit, r.out, r.err)
		}
		for _, s := range says {
			if !strings.Contains(r.out+r.err, s) {
				t.Errorf("it does not say %q: %s%s", s, r.out, r.err)
			}
		}
	}
	// iCloud's placeholder stands beside the name that is looked for.
	put(t, filepath.Join(home, "Cloud", ".vault.tokend.icloud"), []byte("bplist00"))
	want(tokenctl(t, "", home, "backup", "inspect", "Cloud/vault.tokend"), 11, "iCloud Drive has it", "always keep on this device")
	want(tokenctl(t, "", home, "backup", "inspect", "Cloud/.vault.tokend.icloud"), 11, "iCloud Drive has it")
	if runtime.GOOS != "windows" && os.Getuid() != 0 {
		put(t, filepath.Join(home, "closed.tokend"), backup)
		if err := os.Chmod(filepath.Join(home, "closed.tokend"), 0); err != nil {
			t.Fatal(err)
		}
		want(tokenctl(t, "", home, "backup", "inspect", "closed.tokend"), 10, "permission denied", "check the permissions")
	}
	// The wrong password is told as such, with which one is meant.
	put(t, filepath.Join(home, "wrong"), []byte("another long password\n"))
	want(tokenctl(t, "", home, "backup", "verify", "Backups/a.tokend", "--recovery-password-file", "wrong"), 18,
		"wrong recovery password", "this one's was set 2026-05-04", "docs/recovery.md")
	// Another vault's, beside one that is open.
	f := newFake()
	f.enrolled(ipc.VaultUnlocked)
	f.add("GitHub", "me", "session", "totp")
	socket := served(t, f)
	r := tokenctl(t, socket, home, "backup", "inspect", "Backups/a.tokend", "--recovery-password-file", password)
	want(r, 0, "it is of another vault than yours here (v1)", "beside your vault: 1 the same, 0 that differ, 1 that a restore would add", "\tsame\n", "\tadded\n")
	// An empty vault.
	empty := emptyBackup(t)
	put(t, filepath.Join(home, "empty.tokend"), empty)
	want(tokenctl(t, "", home, "backup", "verify", "empty.tokend", "--recovery-password-file", password), 0,
		"the vault held no account when it was written", "tokenctl backup find")
	// A folder, and several at once: each is judged, and the worst counts.
	put(t, filepath.Join(home, "Backups", "b.tokend"), backup[:5000])
	r = tokenctl(t, "", home, "backup", "verify", "Backups", "--recovery-password-file", password)
	want(r, 18, "every secret in it was opened and made a code: 2 accounts", "damaged")
	r = tokenctl(t, "", home, "--json", "backup", "verify", "Backups/b.tokend", "Backups/a.tokend", "--recovery-password-file", password)
	var doc severalDocument
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || len(doc.Files) != 2 || doc.Files[0].Cause != causeDamaged ||
		doc.Files[0].Error == nil || !doc.Files[1].Verified || r.exit != 18 {
		t.Errorf("%v: %s", err, r.out)
	}
	if err := os.MkdirAll(filepath.Join(home, "bare"), 0o700); err != nil {
		t.Fatal(err)
	}
	want(tokenctl(t, "", home, "backup", "inspect", "bare"), 2, "no backup is in this folder")
	// In a folder that was meant for a file.
	want(tokenctl(t, "", home, "backup", "drill", "Backups"), 2, "it is a folder", "tokenctl backup find Backups")
}

// emptyBackup is one of a vault without accounts.
func emptyBackup(t *testing.T) []byte {
	t.Helper()
	return backupOf(t, nil)
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	backup := sampleBackup(t)
	other := emptyBackup(t)
	put(t, filepath.Join(home, "Dokumente", "tokend-01234567-laptop-ab12-20260504T120000Z.tokend"), backup)
	put(t, filepath.Join(home, "OneDrive - Firm", "x", "old (1).tokend"), other)
	put(t, filepath.Join(home, "Downloads", "cut.tokend"), backup[:3000])
	put(t, filepath.Join(home, "iCloud", ".far.tokend.icloud"), []byte("bplist00"))
	put(t, filepath.Join(home, ".cache", "hidden.tokend"), backup)
	put(t, filepath.Join(home, "a", "b", "c", "d", "deep.tokend"), backup)
	if err := os.Symlink(home, filepath.Join(home, "Documents")); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	f := newFake()
	f.enrolled(ipc.VaultIsLocked)
	f.status.Vault.ID = strings.Repeat("0123456789abcdef", 2)
	r := tokenctl(t, served(t, f), home, "backup", "find", "--json")
	var doc findDocument
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || r.exit != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	got := map[string]foundBackup{}
	for _, x := range doc.Files {
		if !strings.HasPrefix(x.File, home) {
			continue // of this machine, not of the test
		}
		got[filepath.Base(x.File)] = x
	}
	if len(got) != 4 {
		t.Fatalf("found %+v", got)
	}
	if x := got["tokend-01234567-laptop-ab12-20260504T120000Z.tokend"]; x.State != causeWhole || !x.Own || x.Device != "laptop (ab12)" || x.Written.IsZero() {
		t.Errorf("the whole one: %+v", x)
	}
	if x := got["old (1).tokend"]; x.State != causeWhole || x.Own {
		t.Errorf("of another vault: %+v", x)
	}
	if x := got["cut.tokend"]; x.State != causeDamaged {
		t.Errorf("the one cut short: %+v", x)
	}
	if x := got["far.tokend"]; x.State != causePlaceholder {
		t.Errorf("the placeholder: %+v", x)
	}
	r = tokenctl(t, "", home, "backup", "find", home)
	for _, want := range []string{"they are of 2 different vaults", "2 of 5 cannot be used as they are"} {
		if !strings.Contains(r.err, want) {
			t.Errorf("it does not say %q: %s%s", want, r.out, r.err)
		}
	}
	bare := t.TempDir()
	r = tokenctl(t, "", home, "backup", "find", bare)
	if r.exit != 11 || !strings.Contains(r.err, "let it sync") {
		t.Errorf("nothing found: %+v", r)
	}
}

func TestBackupNamed(t *testing.T) {
	for file, want := range map[string]string{
		"a.tokend": "a.tokend", "A.TOKEND": "A.TOKEND", ".a.tokend.icloud": "a.tokend", "a.tokend.txt": "a.tokend.txt", "a.tokend (1)": "a.tokend (1)",
		"a.tokend.zip": "a.tokend.zip", ".a.tokend": "", "a.tokenders": "", "tokend": "", ".tokend": "", "notes.txt": "", "a.tokend~": "",
	} {
		if name, ok := backupNamed(file); ok != (want != "") || ok && name != want {
			t.Errorf("%s: %q, %v", file, name, ok)
		}
	}
}

func TestDrillHereAndThere(t *testing.T) {
	home := t.TempDir()
	put(t, filepath.Join(home, "a.tokend"), sampleBackup(t))
	put(t, filepath.Join(home, "password"), []byte(backupPassword))
	put(t, filepath.Join(home, "pin"), []byte(fakePIN))
	r := tokenctl(t, "", home, "backup", "drill", "a.tokend", "--recovery-password-file", "password")
	if r.exit != 0 || !strings.Contains(r.err, "proved by recovery password: 2 accounts opened") || !strings.Contains(r.err, "nothing could be recorded") {
		t.Errorf("without a daemon: %+v", r)
	}
	f := newFake()
	f.enrolled(ipc.VaultIsLocked)
	socket := served(t, f)
	r = tokenctl(t, socket, home, "backup", "drill", "a.tokend", "--recovery-password-file", "password")
	if r.exit != 0 || !strings.Contains(r.err, "that is remembered") || !strings.Contains(r.out, "good") {
		t.Errorf("with a daemon: %+v", r)
	}
	r = tokenctl(t, socket, home, "--json", "backup", "drill", "a.tokend", "--recovery-password-file", "password")
	var doc drillDocument
	if err := json.Unmarshal([]byte(r.out), &doc); err != nil || !doc.Proved || doc.File != "a.tokend" || len(doc.Accounts) != 2 {
		t.Errorf("%v: %s", err, r.out)
	}
	// A token that does not open the touch class proves half of it: no success.
	r = tokenctl(t, socket, home, "backup", "drill", "a.tokend", "--token", "any", "--pin-file", "pin")
	if r.exit != 13 || !strings.Contains(r.err, "1 account in it could not be opened by it") || !strings.Contains(r.err, "it needs a touch") || strings.Contains(r.err, "proved by") {
		t.Errorf("half of it: %+v", r)
	}
	// Without a file the newest that is found.
	f.mu.Lock()
	f.status.Vault.ID = strings.Repeat("0123456789abcdef", 2)
	f.mu.Unlock()
	r = tokenctl(t, socket, home, "backup", "drill", "--recovery-password-file", "password")
	if r.exit != 0 || !strings.Contains(r.err, "a.tokend") {
		t.Errorf("the newest: %+v", r)
	}
}

func TestListOnly(t *testing.T) {
	home := t.TempDir()
	f := newFake()
	f.enrolled(ipc.VaultUnlocked)
	f.status.Vault.ID = strings.Repeat("ab", 16)
	f.add("GitHub", "me", "touch", "totp")
	f.accounts[0].ID, f.accounts[0].Note = "0011223344556677", "scratch codes 1234"
	socket := served(t, f)
	r := tokenctl(t, socket, home, "backup", "create", "--list-only", "list.json")
	if r.exit != 0 || !strings.Contains(r.err, "no code can be made from it") {
		t.Fatalf("%+v", r)
	}
	data, err := os.ReadFile(filepath.Join(home, "list.json"))
	if err != nil || bytes.Contains(data, []byte("scratch")) || bytes.Contains(data, []byte("secret\"")) {
		t.Fatalf("%v: %s", err, data)
	}
	if r := tokenctl(t, socket, home, "backup", "create", "--list-only", "list.json"); r.exit != 11 {
		t.Errorf("it was overwritten: %+v", r)
	}
	if r := tokenctl(t, "", home, "backup", "inspect", "list.json"); r.exit != 0 || !strings.Contains(r.out, "GitHub:me") || !strings.Contains(r.err, "It cannot be restored.") {
		t.Errorf("inspect: %+v", r)
	}
}
