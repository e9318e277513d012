//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens/helper"
)

// TestConfigCheckLooksAtPlaces: what serve does not start with is an error, what it starts
// without a warning; serve fails with just the first.
func TestConfigCheckLooksAtPlaces(t *testing.T) {
	dir := t.TempDir()
	file, folder, open := filepath.Join(dir, "file"), filepath.Join(dir, "folder.prom"), filepath.Join(dir, "open")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{folder: 0o700, open: 0o777} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ table, setting, path, level, want string }{
		{"", "state_dir", file, levelError, file + " is no folder"},
		{"", "state_dir", file + "/in", levelError, file + " is no folder"},
		{"", "state_dir", open, levelError, "others can write to " + open},
		{"", "socket", file, levelError, "the file " + file + ", which is no socket"},
		{"", "socket", folder, levelError, "the folder " + folder},
		{"", "socket", file + "/s", levelError, file + " is no folder"},
		{"", "socket", open + "/s", levelError, "others can write to its folder " + open},
		{"", "socket", "/" + strings.Repeat("s", 200), levelError, "201 bytes long"},
		{"", "socket", "s", levelError, "socket must be an absolute path"},
		{"", "helper", file, levelWarning, "is not executable"},
		{"", "helper", folder, levelWarning, "is not a file"},
		{"[metrics]\n", "textfile", folder, levelWarning, folder + " is a folder"},
		{"[metrics]\n", "textfile", file + "/t.prom", levelWarning, file + " is no folder"},
		{"[tokens]\n", "fido2_devices", file, levelWarning, file + " is no device"},
	} {
		value := fmt.Sprintf("%q", c.path)
		if c.setting == "fido2_devices" {
			value = "[" + value + "]"
		}
		path := writeConfig(t, c.table+c.setting+" = "+value+"\n")
		r := checkConfig(path, false)
		if len(r.Problems) != 1 || r.Problems[0].Level != c.level || r.Problems[0].Line != strings.Count(c.table, "\n")+1 || !strings.Contains(r.Problems[0].Message, c.want) || r.Problems[0].Fix == "" {
			t.Errorf("%s = %s: %+v", c.setting, c.path, r.Problems)
		}
		if err := starts(t, path); (err != nil) != (c.level == levelError) {
			t.Errorf("%s = %s: serve: %v", c.setting, c.path, err)
		}
	}
	good := fmt.Sprintf("state_dir = %q\nsocket = %q\n[tokens]\nfido2_devices = [\"/dev/null\"]\n", filepath.Join(dir, "state"), filepath.Join(dir, "new", "s"))
	if r := checkConfig(writeConfig(t, good), false); len(r.Problems) > 0 {
		t.Errorf("what can be made: %+v", r.Problems)
	}
}

// starts makes a daemon of a file, and listens, as serve does.
func starts(t *testing.T, path string) error {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	s, err := newService(options{config: path, user: true, bus: "none"}, io.Discard)
	if err != nil {
		return err
	}
	if err := s.build(); err != nil {
		return err
	}
	defer func() { _ = s.daemon.Close() }()
	listeners, err := s.listen(nil)
	for _, l := range listeners {
		_ = l.Close()
	}
	return err
}

// TestPlacesAreMended: by the commands that are told, all at once.
func TestPlacesAreMended(t *testing.T) {
	dir := t.TempDir()
	program, state := filepath.Join(dir, "in it", "tokend-helper"), filepath.Join(dir, "state")
	for path, mode := range map[string]os.FileMode{filepath.Dir(program): 0o777, state: 0o777} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Chmod(path, 0o700) }()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(program, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o666); err != nil {
		t.Fatal(err)
	}
	path := writeConfig(t, fmt.Sprintf("helper = %q\nstate_dir = %q\n", program, state))
	r := checkConfig(path, false)
	if len(r.Problems) != 2 || r.OK {
		t.Fatalf("got %+v", r)
	}
	for _, p := range r.Problems {
		if out, err := exec.Command("sh", "-c", strings.ReplaceAll(p.Fix, "sudo ", "")).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", p.Fix, err, out)
		}
	}
	if r = checkConfig(path, false); len(r.Problems) > 0 {
		t.Errorf("mended: %+v", r.Problems)
	}
	if err := helper.Trust(program); err != nil {
		t.Error(err)
	}
}

// TestRemediesSayWhatToDo: a command that only looks is not all that is said.
func TestRemediesSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		fmt.Sprintf("[tokens]\nattestation_roots = %q\n", filepath.Join(dir, "none")):     "put it there, or write its right place; what is there: ls -l " + dir,
		fmt.Sprintf("[tokens]\nattestation_roots = %q\n", filepath.Join(dir, "no", "ne")): "put it there, or write its right place; what is there: ls -l " + dir,
		fmt.Sprintf("[tokens]\nattestation_roots = %q\n", dir):                            "name a file: " + dir + " is a folder; what is there: ls -ld " + dir,
		"[tokens]\nfido2_devices = [\"/dev/nothing\"]\n":                                  "plug the key in, or write its right place; what is there: ls -l /dev",
		fmt.Sprintf("helper = %q\n", dir):                                                 "write the path of tokend-helper, or remove the line: it is looked for beside tokend",
		"[tokens]\nusers = [\"no such user\"]\n":                                          "write the name of a user of this machine, or remove it; " + allUsers(runtime.GOOS),
	} {
		r := checkConfig(writeConfig(t, text), strings.Contains(text, "users"))
		if !slices.ContainsFunc(r.Problems, func(p problem) bool { return p.Fix == want }) {
			t.Errorf("%q: got %+v, want %s", text, r.Problems, want)
		}
	}
}
