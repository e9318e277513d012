//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// TestNoHelperAsClient has the program that watches for tokens ask the daemon for
// its accounts, itself and by a child: both are refused, where anybody else of
// the same user is answered. (The real helper cannot even connect; see
// cmd/tokend-helper/internal/confine.)
func TestNoHelperAsClient(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket := filepath.Join(dir, "run", "s")
	ask := func(to string) string {
		return fmt.Sprintf("curl -s -m 5 -o %[1]s/%[2]s.part -w '%%{http_code}' --unix-socket %[3]s http://tokend/v1/status", dir, to, socket)
	}
	hijacked := filepath.Join(dir, "hijacked")
	script := fmt.Sprintf(`#!/bin/sh
case $1 in hello) exec %[1]s/tokend-helper hello ;; esac
exec 3>&1 # the answer does not end before the process does
[ -S %[2]s ] || exit 1
%[3]s >%[4]s/child.code && mv %[4]s/child.part %[4]s/child
%[5]s >%[4]s/self.code
`, bin, socket, ask("child"), dir, "exec "+ask("self"))
	if err := os.WriteFile(hijacked, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--helper", hijacked,
		"--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	var s ipc.Status
	await(t, "the socket", func() bool { return r.get("status", &s) == nil })
	for _, who := range []string{"child", "self"} {
		var code []byte
		await(t, who+"'s answer", func() bool {
			var err error
			code, err = os.ReadFile(filepath.Join(dir, who+".code"))
			return err == nil && len(code) >= 3
		})
		if string(code) != "403" {
			t.Errorf("%s: the daemon answered with %s", who, code)
		}
	}
	said, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(said), string(ipc.NotAuthorized)) {
		t.Errorf("the daemon said %s", said)
	}
	if err := r.get("status", &s); err != nil {
		t.Errorf("the user himself is refused: %v", err)
	}
	if !strings.Contains(r.stderr.String(), "a token helper tried to use the vault") {
		t.Error("the daemon's log says nothing of it")
	}
}

// TestDoctorSaysHowTheHelperIsConfined asks the whole daemon with the real helper.
func TestDoctorSaysHowTheHelperIsConfined(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	socket := filepath.Join(dir, "run", "s")
	r := launch(t, exec.Command(filepath.Join(bin, "tokend"), "serve", "--user", "--state-dir", filepath.Join(dir, "state"), "--socket", socket), socket)
	var f ipc.Findings
	await(t, "a finding", func() bool {
		if r.get("doctor", &f) != nil {
			return false
		}
		for _, found := range f.Findings {
			if found.Code == "helper-confined" {
				if !strings.Contains(found.Message, "onfine") || found.Level != "ok" && found.Level != "note" {
					t.Errorf("finding %+v", found)
				}
				t.Log(found.Message)
				return true
			}
		}
		return false
	})
}
