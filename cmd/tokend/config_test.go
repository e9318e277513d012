package main

import (
	"bytes"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// inspectConfig reads a text, and says what keeps it from being used.
func inspectConfig(text string) (config, []problem) {
	d := document{text: text, keys: keysOf(text)}
	found, _ := d.inspect()
	return d.config, found
}

// parseConfig reads a text, or says the first of that.
func parseConfig(text string) (config, error) {
	c, found := inspectConfig(text)
	if len(found) > 0 {
		return config{}, found[0]
	}
	return c, nil
}

// uncommented is the sample with every setting taken out of its comment.
func uncommented(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeSample(&b, runtime.GOOS); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(b.String(), "\n") {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") {
			line = rest
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestSampleSaysTheDefaults(t *testing.T) {
	text := uncommented(t)
	c, err := parseConfig(text)
	if err != nil {
		t.Fatalf("the sample does not parse: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(c, defaultConfig()) {
		t.Errorf("the sample says %+v, the defaults are %+v", c, defaultConfig())
	}
	for _, name := range []string{"state_dir", "idle_lock = \"10m\"", "hard_lock = \"12h\"", "lock_on_token_removal = true", "[tokens]"} {
		if !strings.Contains(text, name) {
			t.Errorf("the sample does not mention %s", name)
		}
	}
}

// TestSampleIsForItsSystem: none names what another system has, and no text is for a
// setting that there is not.
func TestSampleIsForItsSystem(t *testing.T) {
	for system, strange := range map[string][]string{
		"linux":   {"%ProgramData%", `\\.\pipe`, "sc control"},
		"darwin":  {"%ProgramData%", " /run/", "systemctl", "systemd", "journal"},
		"windows": {"/var/", "/run/", "~/", "$XDG", "SIGHUP", "systemctl", "systemd", "journal", "Root", "0600"},
	} {
		var b bytes.Buffer
		if err := writeSample(&b, system); err != nil {
			t.Fatal(err)
		}
		for _, word := range strange {
			if strings.Contains(b.String(), word) {
				t.Errorf("the sample for %s names %q:\n%s", system, word, b.String())
			}
		}
		texts, _ := ownTexts(system)
		for name := range texts {
			if !slices.ContainsFunc(settings(defaultConfig()), func(s setting) bool { return s.name == name }) {
				t.Errorf("%s: there is no setting %s", system, name)
			}
		}
	}
}

func TestConfigIsStrict(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown", "log_level = \"info\"\ncolour = 1\n", `line 2: there is no setting "colour"`},
		{"unknown in table", "[session]\nidle_lock = \"5m\"\nidle = \"5m\"\n", `line 3: there is no setting "session.idle"`},
		{"unknown table", "\n[sesion]\nidle_lock = \"5m\"\n", "line 2"},
		{"syntax", "log_level = \"info\"\n=\n", "line 2"},
		{"type", "log_level = 4\n", "line 1"},
		{"duration", "[session]\nidle_lock = \"soon\"\n", "session.idle_lock takes a time"},
		{"too short", "[session]\nidle_lock = \"0s\"\n", "session.idle_lock must lie"},
		{"level", "log_level = \"loud\"\n", "log_level must be"},
		{"relative device", "[tokens]\nfido2_devices = [\"hidraw0\"]\n", "tokens.fido2_devices must be absolute"},
		{"relative roots", "[tokens]\nattestation_roots = \"roots.pem\"\n", "tokens.attestation_roots must be an absolute path"},
		{"key", "[authority]\nkey = \"token\"\n", "authority.key must be file or credential"},
		{"relative key", "[authority]\nkey_file = \"key\"\n", "authority.key_file must be an absolute path"},
		{"two keys", "[authority]\nkey = \"credential\"\nkey_file = \"/key\"\n", "authority.key_file is for the key \"file\" alone"},
		{"no port", "[authority]\nlisten = \"example.org\"\n", "authority.listen must be host:port, not"},
		{"any port", "[authority]\nlisten = \"127.0.0.1:0\"\n", "authority.listen must be host:port, not"},
		{"everywhere", "[authority]\nlisten = \":7443\"\n", "authority.address must say where devices connect to"},
		{"nowhere", "[authority]\nlisten = \":7443\"\naddress = \"[::]:7443\"\n", "authority.address must name a host"},
		{"an odd host", "[authority]\nlisten = \"ex_ample.org:7443\"\n", "authority.listen is not an address that a link can name"},
		{"address alone", "[authority]\naddress = \"example.org:7443\"\n", "authority.address is for authority.listen alone"},
		{"mail in the clear", "[mail]\ntls = \"none\"\n", "mail.tls must be starttls or tls"},
		{"mail from nowhere", "[mail]\nfrom = \"it@example.org\"\n", "mail.server is missing"},
		{"mail without a port", "[mail]\nserver = \"mail.example.org\"\nfrom = \"it@example.org\"\n", "mail.server must be host:port"},
		{"mail from nobody", "[mail]\nserver = \"mail.example.org:587\"\n", "mail.from: the sender must be"},
		{"mail of two", "[mail]\nserver = \"mail.example.org:587\"\nfrom = \"a@example.org, b@example.org\"\n", "mail.from: the sender must be"},
		{"relative template", "[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\ntemplate = \"letter\"\n", "mail.template must be an absolute path"},
		{"nobody's password", "[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\npassword_file = \"/p\"\n", "mail.password_file is for mail.user alone"},
		{"a mail setting", "[mail]\nstarttls = true\n", "line 2: there is no setting \"mail.starttls\""},
		{"relative", "state_dir = \"here\"\n", "state_dir must be an absolute path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

func TestConfigIsTaken(t *testing.T) {
	c, err := parseConfig("log_level = \"debug\"\n[session]\nidle_lock = \"90s\"\nlock_on_token_removal = false\n[tokens]\nusers = [\"0\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	if time.Duration(c.Session.IdleLock) != 90*time.Second || c.Session.LockOnTokenRemoval || c.LogLevel != "debug" || len(c.Tokens.Users) != 1 {
		t.Errorf("got %+v", c)
	}
	if time.Duration(c.Session.HardLock) != 12*time.Hour {
		t.Errorf("an absent setting became %v", time.Duration(c.Session.HardLock))
	}
}
