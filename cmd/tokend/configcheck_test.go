//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/BurntSushi/toml"
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
		{"of a table", "log_level = \"info\"\n[mail]\nserver = \"x\"\nfrom = \"it@example.org\"\n", 3, "mail.server", "write server"},
		{"type", "log_level = 4\n", 1, "log_level", `write log_level = "info"`},
		{"duration", "[backup]\n\ndaily = \"soon\"\n", 3, "backup.daily", `write daily = "24h"`},
		{"deep", "\n[tokens]\nusers = [[[[[[\"a\"]]]]]]\n", 3, "", "tokend config sample"},
		{"dots", "a.b.c.d.e.f.g = 1\n", 1, "", "tokend config sample"},
		{"textfile", "[metrics]\ntextfile = \"/tmp/x.txt\"\n", 2, "metrics.textfile", `write textfile = "/var/lib/`},
		{"no address", "[authority]\nlisten = \"0.0.0.0:7443\"\naddress = \"\"\n", 3, "authority.address", `write address = "otp.example.org:7443"`},
		{"address alone", "[authority]\naddress = \"otp.example.org:7443\"\n", 2, "authority.address", `write listen = "`},
		{"no port", "[authority]\nlisten = \"otp.example.org\"\n", 2, "authority.listen", `write listen = "otp.example.org:7443"`},
		{"no host", "[authority]\nlisten = \"443\"\n", 2, "authority.listen", `write listen = "192.0.2.1:443", with the host that is right`},
		{"no such port", "[authority]\nlisten = \":70000\"\n", 2, "authority.listen", `write listen = "192.0.2.1:7443", with the host and the port`},
		{"yes or no", "[session]\nlock_on_token_removal = \"yes\"\n", 2, "session.lock_on_token_removal", "write lock_on_token_removal = true or lock_on_token_removal = false"},
		{"no sender", "[mail]\nserver = \"mail.example.org:587\"\nfrom = \"\"\n", 3, "mail.from", `write from = "IT <it@example.org>"`},
		{"no sender either", "[mail]\nfrom = \"\"\nserver = \"mail\"\n", 2, "mail.from", `write from = "IT <it@example.org>"`},
		{"no server", "[mail]\nserver = \"\"\nfrom = \"it@example.org\"\n", 2, "mail.server", `write server = "mail.example.org:587"`},
		{"no server's line", "\n[mail]\nfrom = \"it@example.org\"\n", 2, "mail.server", `write server = "mail.example.org:587"`},
		{"no server's port", "[mail]\nserver = \"mail.example.com\"\nfrom = \"it@example.org\"\n", 2, "mail.server", `write server = "mail.example.com:587"`},
		{"nobody's password", "[mail]\nserver = \"m.example.org:587\"\nfrom = \"it@example.org\"\npassword_file = \"/p\"\n", 4, "mail.password_file", `write user = "`},
		{"twice", "[session]\nidle_lock = \"5m\"\n\nidle_lock = \"6m\"\n", 4, "session.idle_lock", "keep one of the two lines"},
		{"a table twice", "[session]\nidle_lock = \"5m\"\n[mail]\n[session]\n", 4, "session", "below line 1"},
		{"unquoted", "[session]\n\nidle_lock = 10m\n", 3, "session.idle_lock", `write idle_lock = "10m"`},
		{"a number for a time", "session = { idle_lock = 600 }\n", 1, "session.idle_lock", `write idle_lock = "10m"`},
		{"a text for a list", "[tokens]\nusers = \"alice\"\n", 2, "tokens.users", `write users = ["alice"]`},
		{"a value for a table", "session = 5\n", 1, "session", "write [session] in a line of its own"},
		{"a list of tables", "\n[[session]]\nidle_lock = \"5m\"\n", 2, "session", "write [session]"},
		{"a table that is not", "\n[sessions]\nidle_lock = \"5m\"\n", 2, "sessions", "write [session]"},
		{"a table of capitals", "[Session]\nIdle_Lock = \"1m\"\n", 1, "Session", "write [session]: names are written in small letters"},
		{"a setting of capitals", "[session]\nIdle_Lock = \"1m\"\n", 2, "session.Idle_Lock", "write idle_lock: names are written in small letters"},
		{"of another table", "[mail]\nidle_lock = \"1m\"\n", 2, "mail.idle_lock", "write idle_lock below [session]"},
		{"with its table below it", "[session]\nhard_lock = \"1h\"\nsession.idle_lock = \"5m\"\n", 3, "session.session", `write its settings without "session." before them`},
		{"with its table below another", "[mail]\n\nsession.idle_lock = \"5m\"\n", 3, "mail.session", "write its settings below [session]"},
		{"below a table", "[mail]\nlog_level = \"info\"\n", 2, "mail.log_level", "write log_level above the first table"},
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
			if strings.Contains(plain, "incompatible") || strings.Contains(plain, "destination") {
				t.Errorf("it speaks of the decoder: %s", plain)
			}
			if !strings.Contains(plain, fmt.Sprintf("%s:%d: error: ", path, c.line)) || !strings.Contains(plain, "    mend it: ") {
				t.Errorf("it says %s", plain)
			}
		})
	}
}

// TestConfigCheckNamesTheLine: every kind of error is told at the line with the mark, and
// nothing else.
func TestConfigCheckNamesTheLine(t *testing.T) {
	const mark = "<<"
	for _, text := range []string{
		"[session<<\nidle_lock = \"1m\"\n", "[session<<", "[session<<\n", "[session # x<<\n", "[[session<<\n\n", "[[session]<<\n\n", "[]<<\n", "[<<\n", "[session.<<\nx = 1", "[.x]<<\n", "[session] x<<\n", "[\"session<<\nx = 1\n",
		"[session<<\r\nidle_lock = \"1m\"\r\n", "[mail]\nserver = \"m.example.org:587\"\n[session<<\nidle_lock = \"1m\"\n",
		"=<<\n", "log_level<<\nbus = \"none\"\n", "log_level<<", "log_level =<<\nbus = \"none\"\n", "log_level =<<", "log level = \"x\"<<\n", "log_level: \"x\"<<\n", "a..b = 1<<\n", ".a = 1<<\n", "a. = 1<<\n\n", "\"a = 1<<\n\n",
		"log_level = \"info<<\nbus = \"x\"\n", "log_level = \"info<<", "log_level = 'info<<\n", "log_level = \"\"\"info<<\n\nbus = 1\n", "log_level = '''info<<\n\n", "log_level = \"a\" \"b\"<<\n", "log_level = info<<\n", "log_level = \"a\\<<",
		"log_level = \"in\\qfo\"<<\n", "log_level = \"\"\"\nin\n\\qfo<<\"\"\"\n", "log_level = \"\\ud800\"<<\n\n", "log_level = \"\\ud8<<\n\n",
		"x = 10m<<\n", "x = 1_<<\n", "x = 01<<\n", "x = +<<\n", "x = 0b2<<\n", "x = 0b<<\n", "x = 1e<<\n", "x = 2026-13-01<<\n", "x = 99999999999999999999<<\n",
		"[tokens]\nusers = [\"a\"<<\nrequire_attestation = true\n", "[tokens]\nusers = [\"a\",<<\nrequire_attestation = true\n", "[tokens]\nusers = [<<\n\"a\"\n\n[mail]\nserver = \"x\"\n", "[tokens]\nusers = [\n[\"a\"] [\"b\"]<<\n]\n", "[tokens]\nusers = [\"a\"<<\n\n", "[tokens]\nusers = [\n\"a\" \"b\"<<]\n", "[tokens]\nusers = [\"a\",,]<<\n", "[tokens]\nusers = [\n\"a\",\n\"a\\q\",<<\n]\n",
		"session = { idle_lock = \"1m\"<<\nx = 1\n", "session = {\nidle_lock = \"1m\"\nhard_lock = \"1h\"<<\n}\n", "session = { idle_lock = \"1m\"<<\n\n", "session = { idle_lock = \"1m\", idle_lock = \"2m\"<<\n}\n",
		"\x01<<\n", "x = \"\x01\"<<\n", "# \x01<<\n", "x = \"\xff\"<<\n", "# a\rb<<\n",
		"bus.x = 1<<\nbus.y = 2\nbus = 1<<\n", "bus = 1<<\nbus.y = 2<<\n", "bus = 1<<\n[bus]<<\n", "bus = 1<<\n\n[bus.x]<<\n\n", "[a]<<\n[[a]]<<\n\n", "[[a]]<<\n[a]<<\n\n",
		"colour = 1<<\n", "[a.b.c]<<\nx = 1\n", "a.b.c = 1<<\n", "[session]\nidle_lock = \"1m\"\nhard_lock.x = 1<<\n", "[session]\n\n[session.idle_lock]<<\nx = 1\n", "session.idle_lock = \"0s\"<<\n",
		"[mail]<<\n\nfrom = \"it@example.org\"\n", "[tokens]\nusers = [ # x\n\"a\"]\nattestation_roots = \"x\"<<\n", "[backup]\ndaily = \"\"\"<<soon\n\"\"\"\n",
	} {
		for _, before := range []string{"", "\n# x\n\n", "\ufeff\n"} {
			var want, got []int
			parts := strings.SplitAfter(before+text, mark)
			for i := range len(parts) - 1 {
				want = append(want, 1+strings.Count(strings.Join(parts[:i+1], ""), "\n"))
			}
			plain := strings.ReplaceAll(before+text, mark, "")
			_, found := inspectConfig(plain)
			for _, p := range found {
				got = append(got, p.Line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: got %+v, want lines %d", plain, found, want)
			}
		}
	}
}

// TestConfigCheckSaysWhatIsThere: of a wrong type what is taken and what was found, and
// of what is there twice both lines.
func TestConfigCheckSaysWhatIsThere(t *testing.T) {
	for text, want := range map[string]string{
		"[session]\nidle_lock = 600\n":                             `session.idle_lock takes a time, such as "10m", and this is the number 600`,
		"[session]\nlock_on_token_removal = \"yes\"\n":             `session.lock_on_token_removal takes true or false, and this is the text "yes"`,
		"[mail]\npassword_file = 12345678\n":                       `mail.password_file takes a text, such as "/etc/tokend/mail-password", and this is a number`,
		"[tokens]\nusers = [1]\n":                                  `tokens.users takes a list of texts, such as ["alice"], and this is a list with a number`,
		"log_level = 2026-01-01\n":                                 `log_level takes a text, such as "info", and this is a date or time of day`,
		"[session]\nidle_lock = \"1m\"\n\nidle_lock = \"2m\"\n":    "session.idle_lock is there twice, in lines 2 and 4",
		"session.idle_lock = \"1m\"\nsession.idle_lock = \"2m\"\n": "session.idle_lock is there twice, in lines 1 and 2",
		"[session]\n[backup]\n[session]\nhard_lock = \"1h\"\n":     "the table [session] is there twice, in lines 1 and 3",
		"session = { idle_lock = \"1m\" }\n[session]\n":            "the table [session] is there twice, in lines 1 and 2",
	} {
		if _, err := parseConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want it to say %s", text, err, want)
		}
	}
}

// TestExamplesCanBeUsed: what is proposed is taken, and no setting is without.
func TestExamplesCanBeUsed(t *testing.T) {
	for _, system := range []string{runtime.GOOS, "windows"} {
		known := examples(system)
		for _, s := range settings(defaultConfig()) {
			if s.text() == `""` && known[s.name] == "" {
				t.Errorf("%s has no example", s.name)
			}
			if known[s.name] != "" {
				text := s.name + " = " + known[s.name]
				if _, found := inspectConfig(text); len(found) > 0 && found[0].Setting == s.name && (system == runtime.GOOS && !strings.Contains(found[0].Message, "is for")) {
					t.Errorf("%s: %v", text, found[0])
				}
			}
			delete(known, s.name)
		}
		if len(known) > 0 {
			t.Errorf("examples of no setting: %v", known)
		}
	}
}

// TestMailPasswordFileIsMended: with the line of the setting, and a command that does it.
func TestMailPasswordFileIsMended(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "mail password")
	if err := os.WriteFile(secret, []byte("x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := writeConfig(t, fmt.Sprintf("[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\nuser = \"it\"\npassword_file = %q\n", secret))
	r := checkConfig(path, false)
	if len(r.Problems) == 0 || r.Problems[0].Line != 5 || r.Problems[0].Setting != "mail.password_file" || r.Problems[0].Level != levelWarning || !r.OK || !strings.Contains(r.Problems[0].Message, "cannot send links by e-mail: ") || !strings.Contains(r.Problems[0].Fix, "chmod 600 '"+secret+"'") {
		t.Fatalf("got %+v", r)
	}
	if out, err := exec.Command("sh", "-c", strings.ReplaceAll(r.Problems[0].Fix, "sudo ", "")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r = checkConfig(path, false); !r.OK || len(r.Problems) > 0 {
		t.Errorf("mended: %+v", r)
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if r = checkConfig(path, false); !r.OK || len(r.Problems) != 1 || r.Problems[0].Line != 5 || !strings.Contains(r.Problems[0].Fix, "chmod 600 ") {
		t.Errorf("without the file: %+v", r)
	}
}

// TestConfigCheckWithoutAFile: none is needed, and one that is named has to be there.
func TestConfigCheckWithoutAFile(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	out, code := runConfig("check", "--user")
	if want := "there is no file at " + filepath.Join(home, "tokend", "tokend.toml"); code != 0 || !strings.Contains(out, want) {
		t.Errorf("exit code %d: %s", code, out)
	}
	out, code = runConfig("check", "--user", "--json")
	var r configReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.OK || r.Problems == nil {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if out, code = runConfig("check", "--user", filepath.Join(home, "none.toml")); code != 2 || !strings.Contains(out, "no such file") {
		t.Errorf("of one that is named: exit code %d: %s", code, out)
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
		{"[tokens]\nusers = [\"nobody-of-this-name\"]\n", "tokens.users", "no effect in a user's own daemon"},
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

// TestConfigShowKnowsEveryWay: whatever way of TOML a setting is given in, it is the
// file's; and check, show and the daemon take no other case of letters.
func TestConfigShowKnowsEveryWay(t *testing.T) {
	for _, text := range []string{"session = { idle_lock = \"1m\" }\n", "session . idle_lock = \"1m\"\n", "[ session ] # x\n\"idle_lock\" = '1m'\n"} {
		if out, _ := runConfig("show", "--user", "--config", writeConfig(t, text)); !strings.Contains(out, `session.idle_lock = "1m" `) || strings.Count(out, "tokend.toml:") != 1 {
			t.Errorf("%q: %s", text, out)
		}
	}
	path := writeConfig(t, "[Session]\nIdle_Lock = \"1m\"\n")
	for _, args := range [][]string{{"check", "--user", path}, {"show", "--user", "--config", path}} {
		if out, code := runConfig(args...); code != 2 {
			t.Errorf("%s: exit code %d: %s", args[0], code, out)
		}
	}
	if _, err := newService(options{config: path, user: true}, io.Discard); err == nil || !strings.Contains(err.Error(), "there is no table [Session]") {
		t.Errorf("serve: %v", err)
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
	f.Add("# a\nsession = { idle_lock = \"5m\", 'hard_lock' = '''1h''' }\n\"log_level\" = \"info\" # x = 1\n[ tokens ]\nusers = [\n\"a=b\", # c\n]\nmail . user = \"\"\"a\n[b]\nc = 1\"\"\"\n")
	f.Add("[session]\nidle_lock = \"1m\"\nidle_lock = \"2m\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxConfig {
			return
		}
		c, found := inspectConfig(text)
		if meta, err := toml.Decode(text, new(map[string]any)); err == nil && len(found) == 0 {
			for _, key := range meta.Keys() {
				if name := strings.Join(key, "."); len(linesOf(keysOf(text), name)) == 0 && meta.Type(key...) != "Hash" {
					t.Errorf("%s is not found in %q", name, text)
				}
			}
			for _, k := range keysOf(text) {
				if !meta.IsDefined(strings.Split(k.name, ".")...) {
					t.Errorf("there is no %s in %q", k.name, text)
				}
			}
		}
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

// TestUnknownUsersAreTold: once each, and where it does not matter who they are, only that.
func TestUnknownUsersAreTold(t *testing.T) {
	path := writeConfig(t, "[tokens]\nusers = [\"no such user\", \"no such user\"]\n")
	for system, want := range map[bool]string{true: "there is no user \"no such user\"", false: "tokens.users has no effect in a user's own daemon"} {
		var said []string
		for _, p := range checkConfig(path, system).Problems {
			if p.Setting == "tokens.users" {
				said = append(said, p.Message)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("of the system's: %v: %q", system, said)
		}
	}
}
