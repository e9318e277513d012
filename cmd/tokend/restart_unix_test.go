//go:build unix

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// TestRestartEndsNothingInVain: where the check before it fails, nothing is ended and
// nothing is waited for. This process would be what is ended.
func TestRestartEndsNothingInVain(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s := &service{mode: daemon.ModeUser}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := exec.CommandContext(ctx, "sh", "-c", "false && "+s.manage("restart")).Run(); err == nil || ctx.Err() != nil {
		t.Errorf("%s: %v, %v", s.manage("restart"), err, ctx.Err())
	}
}

// TestRestartIsOfTheSameFiles: who types it may be in another folder.
func TestRestartIsOfTheSameFiles(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	there := " && cd " + ipc.ShellWord(dir) + " && "
	for o, want := range map[*options]bool{
		{}:                                  false,
		{stateDir: "/s", config: "/c.toml"}: false,
		{stateDir: "s"}:                     true,
		{config: "c.toml", stateDir: "/s"}:  true,
		{socket: "./sock"}:                  true,
		{helper: "../tokend-helper"}:        true,
		{fido2Devices: []string{"/dev/a", "dev"}}: true,
	} {
		s := &service{mode: daemon.ModeUser, options: *o}
		if got := s.manage("restart"); strings.Contains(got, there) != want {
			t.Errorf("%+v: %s", *o, got)
		}
	}
	if !(options{}).relative("bin/tokend") || (options{}).relative("tokend") || (options{}).relative("/usr/bin/tokend") {
		t.Error("the program's own place")
	}
}
