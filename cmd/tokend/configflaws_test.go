//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestConfigCheckTellsAllAtOnce: of every kind, in the order of the lines, by people's
// form and by the document.
func TestConfigCheckTellsAllAtOnce(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	lines := []struct{ text, problem string }{
		{"log_level = 4", "error: log_level takes a text"},
		{"colour = 1", `error: there is no setting "colour"`},
		{"bus = \"system\"", "warning: a user's own daemon may not have its name"},
		{"state_dir = \"here\"", "error: state_dir must be an absolute path"},
		{"[session]", ""},
		{"idle_lok = \"5m\"", `error: there is no setting "session.idle_lok"`},
		{"hard_lock = \"0s\"", "error: session.hard_lock must lie between"},
		{"lock_on_token_removal = false", "warning: pulling out the token locks nothing"},
		{"[tokens]", ""},
		{"fido2_devices = [\"x\"]", "error: tokens.fido2_devices must be absolute paths"},
		{fmt.Sprintf("attestation_roots = %q", none), "error: cannot read tokens.attestation_roots"},
		{"[authority]", ""},
		{"key = \"token\"", "error: authority.key must be file or credential"},
		{"listen = \"otp.example.org\"", "error: authority.listen must be host:port"},
		{"address = \":7443\"", "error: authority.address must name a host"},
		{"[mail]", ""},
		{"tls = \"none\"", "error: mail.tls must be starttls or tls"},
		{"server = \"x\"", "error: mail.server must be host:port"},
		{"from = \"nobody\"", "error: mail.from: the sender must be"},
		{"user = \"it\"", ""},
		{fmt.Sprintf("ca_file = %q", none), "warning: the authority cannot send links by e-mail: cannot read mail.ca_file"},
		{fmt.Sprintf("template = %q", none), "warning: the authority cannot send links by e-mail: cannot use mail.template"},
		{fmt.Sprintf("password_file = %q", none), "warning: the authority cannot send links by e-mail: cannot read the password for the mail server"},
		{"[sesion]", "error: there is no table [sesion]"},
	}
	var text, want []string
	for i, l := range lines {
		if text = append(text, l.text); l.problem != "" {
			want = append(want, fmt.Sprintf(":%d: %s", i+1, l.problem))
		}
	}
	path := writeConfig(t, strings.Join(text, "\n")+"\n")
	r := checkConfig(path, false)
	var got []string
	for _, p := range r.Problems {
		if got = append(got, fmt.Sprintf(":%d: %s: %s", p.Line, p.Level, p.Message)); p.Fix == "" {
			t.Errorf("nothing mends %+v", p)
		}
	}
	plain, _ := runConfig("check", "--user", path)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) || !strings.Contains(plain, path+got[i]+"\n") {
			t.Fatalf("problem %d is another:\n%s\nwant\n%s\nin words\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"), plain)
		}
	}
}

// TestConfigCheckTellsNoConsequences: what follows from a name that is misspelt or a value
// of another kind is not told, for it is mended with that.
func TestConfigCheckTellsNoConsequences(t *testing.T) {
	for _, text := range []string{
		"[mail]\nsever = \"mail.example.org:587\"\nfrom = \"it@example.org\"\n",
		"[mail]\nserver = 587\nfrom = \"it@example.org\"\n",
		"[mail]\nserver = \"mail.example.org:587\"\nfrm = \"it@example.org\"\n",
		"[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\nuser = 5\npassword_file = \"/p\"\n",
		"[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\nuser = \"it\"\npasword_file = \"/p\"\n",
		"[authority]\nlisen = \"192.0.2.1:7443\"\naddress = \"otp.example.org:7443\"\n",
		"[authority]\nlisten = [\"192.0.2.1:7443\"]\naddress = \"otp.example.org:7443\"\n",
		"[authority]\nlisten = \":7443\"\nadr = \"otp.example.org:7443\"\n",
		"[session]\nidle_lock = \"13h\"\nhard_lock = 24\n",
		"[backup]\ndaily = \"soon\"\nstale_after = \"1h\"\n",
		"[metrics]\ntextfle = \"/tmp/t.prom\"\ninterval = \"10s\"\n",
		"[tokens]\nattestation_roots = \"roots.pem\"\n",
		"session = 5\n",
	} {
		if r := checkConfig(writeConfig(t, text), false); len(r.Problems) != 1 || r.OK {
			t.Errorf("%q: got %+v", text, r.Problems)
		}
	}
}

// TestConfigCheckTellsThatThereIsMore: not all of thousands of lines.
func TestConfigCheckTellsThatThereIsMore(t *testing.T) {
	var text strings.Builder
	for i := range 3 * maxProblems {
		fmt.Fprintf(&text, "nothing%d = 1\n", i)
	}
	r := checkConfig(writeConfig(t, text.String()), false)
	if last := r.Problems[len(r.Problems)-1]; len(r.Problems) != maxProblems+1 || last.Level != levelError || !strings.HasPrefix(last.Message, fmt.Sprint(2*maxProblems, " more problems")) || r.Problems[maxProblems-1].Line != maxProblems {
		t.Errorf("%d problems, at last %+v", len(r.Problems), last)
	}
}

// TestConfigNamesFiles: a pipe, a device and a folder are told of each setting that names
// a file, and are not waited for.
func TestConfigNamesFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	mail := "[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\nuser = \"it\"\n"
	good := writeConfig(t, "a word for the mail server\n")
	for _, path := range []string{fifo, "/dev/zero", t.TempDir()} {
		for setting, text := range map[string]string{
			"tokens.attestation_roots": fmt.Sprintf("[tokens]\nattestation_roots = %q\n", path),
			"authority.key_file":       fmt.Sprintf("[authority]\nkey_file = %q\n", path),
			"mail.ca_file":             mail + fmt.Sprintf("password_file = %q\nca_file = %q\n", good, path),
			"mail.template":            mail + fmt.Sprintf("password_file = %q\ntemplate = %q\n", good, path),
			"mail.password_file":       mail + fmt.Sprintf("password_file = %q\n", path),
		} {
			r := checkConfig(writeConfig(t, text), false)
			if without := strings.HasPrefix(setting, "mail."); len(r.Problems) != 1 || r.OK != without { // which tokend starts without
				t.Errorf("%s: %+v", setting, r)
				continue
			}
			p := r.Problems[0]
			if p.Setting != setting || p.Line != strings.Count(text, "\n") || !strings.Contains(p.Message, path+" is no file") || !strings.HasPrefix(p.Fix, "name a file: "+path+" is ") || !strings.HasSuffix(p.Fix, "; what is there: ls -ld "+path) {
				t.Errorf("%s: %+v", setting, p)
			}
		}
	}
	if _, err := newService(options{config: writeConfig(t, fmt.Sprintf("[tokens]\nattestation_roots = %q\n", fifo)), user: true}, os.Stderr); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("serve: %v", err)
	}
}
