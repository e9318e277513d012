//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runConfig runs "tokend config …" and returns its exit code.
func runConfig(args ...string) (out string, code int) {
	var b bytes.Buffer
	c := command()
	c.SetOut(&b)
	c.SetErr(&b)
	c.SetArgs(append([]string{"config"}, args...))
	err := c.Execute()
	var usage usageError
	var exit exitError
	switch {
	case errors.As(err, &usage):
		code = 2
	case errors.As(err, &exit):
		code = exit.code
	case err != nil:
		code = 1
	}
	return b.String(), code
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokend.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigCheckNamesLineSettingAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		setting    string
		fix        string
	}{
		{"misspelt", "\n[session]\nidle_lok = \"5m\"\n", 3, "session.idle_lok", "if session.idle_lock is meant"},
		{"unlike any", "colour_of_the_sky = 1\n", 1, "colour_of_the_sky", "remove the line"},
		{"out of bounds", "[session]\nhard_lock = \"12h\"\nidle_lock = \"0s\"\n", 3, "session.idle_lock", `write idle_lock = "10m"`},
		{"of a table", "log_level = \"info\"\n[mail]\nserver = \"x\"\n", 3, "mail.server", "write server"},
		{"type", "log_level = 4\n", 1, "log_level", `write log_level = "info"`},
		{"duration", "[backup]\n\ndaily = \"soon\"\n", 3, "backup.daily", `write daily = "24h"`},
		{"deep", "\n[tokens]\nusers = [[[[[[\"a\"]]]]]]\n", 3, "", "tokend config sample"},
		{"dots", "a.b.c.d.e.f.g = 1\n", 1, "", "tokend config sample"},
		{"textfile", "[metrics]\ntextfile = \"/tmp/x.txt\"\n", 2, "metrics.textfile", "remove the line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeConfig(t, c.text)
			out, code := runConfig("check", "--json", path)
			var r configReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 2 || r.OK || len(r.Problems) == 0 {
				t.Fatalf("exit code %d, %v: %s", code, err, out)
			}
			if p := r.Problems[0]; p.Line != c.line || p.Setting != c.setting || !strings.Contains(p.Fix, c.fix) || p.Level != levelError {
				t.Errorf("got %+v", p)
			}
			plain, _ := runConfig("check", path)
			if !strings.Contains(plain, fmt.Sprintf("%s:%d: error: ", path, c.line)) || !strings.Contains(plain, "    mend it: ") {
				t.Errorf("it says %s", plain)
			}
		})
	}
}

func TestConfigCheckFindsAll(t *testing.T) {
	_, found := inspectConfig("log_level = \"loud\"\nstate_dir = \"x\"\n[backup]\ndaily = \"0s\"\nstale_after = \"0s\"\n")
	if len(found) != 4 {
		t.Errorf("got %+v", found)
	}
}

func TestConfigCheckWarns(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, setting, want string }{
		{"[tokens]\nusers = [\"nobody-of-this-name\"]\n", "tokens.users", "there is no user"},
		{"[tokens]\nusers = [\"root\"]\n", "tokens.users", "no effect in a user's own daemon"},
		{fmt.Sprintf("[authority]\nkey_file = %q\n", open), "authority.key_file", "holds a secret"},
		{"[session]\nidle_lock = \"13h\"\n", "session.idle_lock", "has no effect"},
		{"[session]\nidle_lock = \"2h\"\n", "session.idle_lock", "stays open for 2h0m0s"},
		{"[session]\nhard_lock = \"48h\"\n", "session.hard_lock", "can stay open"},
		{"[session]\nlock_on_token_removal = false\n", "session.lock_on_token_removal", "locks nothing"},
		{"[recovery]\nreminder = \"0s\"\n", "recovery.reminder", "nobody is ever asked"},
		{"[backup]\nstale_after = \"1h\"\n", "backup.stale_after", "before its next backup"},
		{"[backup]\nprove_after = \"0s\"\n", "backup.prove_after", "ever called unproved"},
		{"[backup]\ndebounce = \"1h\"\ndaily = \"10m\"\n", "backup.debounce", "has no effect"},
		{"bus = \"system\"\n", "bus", "may not have its name"},
		{"helper = \"/nowhere/helper\"\n", "helper", "there is no program"},
		{"[metrics]\ntextfile = \"/nowhere/t.prom\"\n", "metrics.textfile", "there is no folder"},
		{"[metrics]\ninterval = \"10s\"\n", "metrics.interval", "has no effect"},
		{"[tokens]\nfido2_devices = [\"/dev/nothing\"]\n", "tokens.fido2_devices", "nothing is at"},
	} {
		path := writeConfig(t, c.text)
		r := checkConfig(path, false)
		found := false
		for _, p := range r.Problems {
			found = found || p.Level == levelWarning && p.Setting == c.setting && strings.Contains(p.Message, c.want) && p.Fix != "" && p.Line > 0
		}
		if !r.OK || !found {
			t.Errorf("%q: %+v", c.text, r)
		}
		if _, code := runConfig("check", "--user", path); code != 0 {
			t.Errorf("%q: exit code %d", c.text, code)
		}
		if _, code := runConfig("check", "--user", "--strict", path); code != 3 {
			t.Errorf("%q: exit code %d with --strict", c.text, code)
		}
	}
	if r := checkConfig(writeConfig(t, uncommented(t)), true); !r.OK || len(r.Problems) > 1 { // of a folder of the test's
		t.Errorf("of the sample: %+v", r.Problems)
	}
}

func TestSystemRefusesAConfigThatOthersWrite(t *testing.T) {
	path := writeConfig(t, "log_level = \"debug\"\n")
	if err := os.Chmod(path, 0o664); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(path, "", true); err == nil || !strings.Contains(err.Error(), "others can write to it (mode 0664)") {
		t.Errorf("the system's daemon: %v", err)
	}
	if d, err := readConfig(path, "", false); err != nil || d.config.LogLevel != "debug" {
		t.Errorf("a user's own: %v", err)
	}
	if r := checkConfig(path, true); r.OK || !strings.Contains(r.Problems[0].Fix, "chmod go-w "+path) {
		t.Errorf("check: %+v", r)
	}
	if r := checkConfig(path, false); !r.OK || len(r.Problems) == 0 || r.Problems[0].Level != levelWarning {
		t.Errorf("check for a user: %+v", r)
	}
	if err := os.Chmod(path, 0o644); err != nil { // the advised command
		t.Fatal(err)
	}
	if _, err := readConfig(path, "", true); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
}

func TestConfigFileIsBounded(t *testing.T) {
	path := writeConfig(t, strings.Repeat("#", maxConfig+1))
	if _, err := readConfig(path, "", false); err == nil || !strings.Contains(err.Error(), "is larger than 65536 bytes") {
		t.Errorf("a long file: %v", err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(fifo, "", false); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a pipe: %v", err)
	}
}

func TestConfigShow(t *testing.T) {
	path := writeConfig(t, "[session]\nidle_lock = \"5m\"\n")
	out, code := runConfig("show", "--user", "--config", path, "--socket", "/run/x/s", "--json")
	var doc struct {
		File     string
		Settings []shownSetting
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || doc.File != path {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	want := map[string]shownSetting{
		"session.idle_lock": {"session.idle_lock", `"5m"`, "file", 2, true},
		"session.hard_lock": {"session.hard_lock", `"12h"`, "default", 0, true},
		"socket":            {"socket", `"/run/x/s"`, "flag", 0, false},
		"log_level":         {"log_level", `"info"`, "default", 0, true},
	}
	for _, s := range doc.Settings {
		if w, is := want[s.Name]; is && w != s {
			t.Errorf("got %+v, want %+v", s, w)
		}
	}
	if len(doc.Settings) != len(settings(defaultConfig())) {
		t.Errorf("%d settings", len(doc.Settings))
	}
	if plain, _ := runConfig("show", "--user", "--config", path); !strings.Contains(plain, `session.idle_lock = "5m"`) || !strings.Contains(plain, path+":2") {
		t.Errorf("it says %s", plain)
	}
}

// TestReloadableSettings: what is marked as changing at a reload is what reload takes.
func TestReloadableSettings(t *testing.T) {
	text := "log_level = \"debug\"\n[session]\nidle_lock = \"1m\"\nhard_lock = \"1h\"\nlock_on_token_removal = false\n[recovery]\nreminder = \"48h\"\n" +
		"[backup]\ndebounce = \"2s\"\ndaily = \"2h\"\nstale_after = \"3h\"\nprove_after = \"4h\"\n[tokens]\nusers = [\"0\"]\nrequire_attestation = true\n"
	c, err := parseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	taken := differing(defaultConfig(), c, true)
	if other := differing(defaultConfig(), c, false); len(other) > 0 {
		t.Errorf("%v would wait for a restart", other)
	}
	for _, s := range settings(defaultConfig()) {
		if s.reload && s.name != "tokens.attestation_roots" && !strings.Contains(strings.Join(taken, " "), s.name) {
			t.Errorf("%s is marked, and this test does not know it", s.name)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("log_level = \"debug\"\n[session]\nidle_lock = \"5m\"\n")
	f.Add("[tokens]\nusers = [\"a\", '''b''']\nfido2_devices = [\"/dev/x\"] # [[[[[\n")
	f.Add("a.b.c.d.e = { x = [1] }\n[[session]]\n")
	f.Add("=\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxConfig {
			return
		}
		c, found := inspectConfig(text)
		if len(found) == 0 && c.check() != nil {
			t.Errorf("a configuration that cannot be used was taken: %q", text)
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range found {
			if p.Line < 0 || p.Line > lines || p.Message == "" {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}
