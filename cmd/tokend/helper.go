package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// helperCheckPause is how long a helper that cannot be used is left alone
// before it is looked at again.
const helperCheckPause = 5 * time.Second

// helperName is the name of the program's file.
func helperName() string {
	if runtime.GOOS == "windows" {
		return "tokend-helper.exe"
	}
	return "tokend-helper"
}

// findHelper is the absolute path of tokend-helper: the one configured, else
// the first of the usual places that has it. With an error it is where one would be
// found, by this process too, once it is put there.
func findHelper(configured string) (string, error) {
	if configured != "" {
		path, err := filepath.Abs(configured)
		if err != nil {
			return "", fmt.Errorf("cannot find the helper: %w", err)
		}
		return path, nil
	}
	var places []string
	if own, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(own); err == nil {
			own = real
		}
		dir := filepath.Dir(own)
		places = append(places, dir, filepath.Join(dir, "..", "libexec", "tokend"), filepath.Join(dir, "..", "libexec"),
			filepath.Join(dir, "..", "lib", "tokend"))
	}
	if runtime.GOOS != "windows" {
		places = append(places, "/usr/libexec/tokend", "/usr/libexec", "/usr/lib/tokend",
			"/usr/local/libexec/tokend", "/usr/local/libexec", "/usr/local/lib/tokend")
	}
	for _, dir := range places {
		path := filepath.Join(dir, helperName())
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return usualHelper(places), errors.New("tokend-helper was not found")
}

// usualHelper is the place for a helper among the places that are looked at: beside
// tokend, but for programs that nobody calls by name not among those in a bin.
func usualHelper(places []string) string {
	if len(places) == 0 {
		return ""
	}
	dir := places[0]
	if filepath.Base(dir) == "bin" && len(places) > 1 {
		dir = places[1]
	}
	return filepath.Join(dir, helperName())
}

// helperFix is the command that puts a helper in place. It is found there without a
// restart. Where one is there for a daemon that systemd hands its helpers, it is the
// units that lack.
func (s *service) helperFix() string {
	path := s.helper.path
	_, err := os.Stat(path)
	switch {
	case path == "", err == nil && s.helper.sockets != "":
		return "sudo tokenctl service install"
	case runtime.GOOS == "windows":
		return "copy PATH " + ipc.ShellWord(path)
	}
	dir, sudo := filepath.Dir(path), ""
	if s.mode == daemon.ModeSystem || !mayWrite(dir) {
		sudo = "sudo "
	}
	command := sudo + "cp PATH " + ipc.ShellWord(path)
	if _, err := os.Stat(dir); err != nil {
		command = sudo + "mkdir -p " + ipc.ShellWord(dir) + " && " + command
	}
	return command
}

// helperState knows whether the helper can be used. It is asked in the
// background: a daemon answers before its helper has.
type helperState struct {
	path    string
	sockets string // of the helpers that systemd starts; empty for none

	mu       sync.Mutex
	state    string
	confined []string
	checked  time.Time
	checking bool
}

func newHelperState(path, sockets string, findErr error) *helperState {
	h := &helperState{path: path, sockets: sockets, state: "it has not answered yet"}
	if findErr != nil {
		h.state = findErr.Error()
	}
	return h
}

// get is "ok", or what is wrong. While something is, it is looked at again now
// and then, so that an installed helper is found without a restart.
func (h *helperState) get() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == "ok" && h.path != "" && time.Since(h.checked) > helperCheckPause {
		h.checked = time.Now()
		if err := helper.Trust(h.path); err != nil { // it can be removed, or be opened to others
			h.state, h.confined = err.Error(), nil
		}
	}
	if h.state != "ok" && h.path != "" && !h.checking && time.Since(h.checked) > helperCheckPause {
		h.checking = true
		go h.check()
	}
	return h.state
}

// confinement is what the kernel keeps the helper from, as the helper says; nil
// as long as it has not been asked.
func (h *helperState) confinement() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.confined
}

func (h *helperState) check() {
	hello, err := helper.Examine(h.path)
	held := append([]string{}, hello.Confined...)
	if err == nil && h.sockets != "" {
		held, err = greet(h.sockets) // which meets the devices
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.checked, h.checking = "ok", time.Now(), false
	h.confined = held
	if err != nil {
		h.state, h.confined = err.Error(), nil
	}
}

// reason is the cause that an error of a token's driver wraps, else the error.
func reason(err error) error {
	var told *tokens.Error
	if errors.As(err, &told) && told.Err != nil {
		return told.Err
	}
	return err
}
