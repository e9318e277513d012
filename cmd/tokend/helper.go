package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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

// helperWait is how long who asks waits for the answer of a helper that has come back.
const helperWait = time.Second

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
	log     *slog.Logger

	mu       sync.Mutex
	state    string
	confined []string
	checked  time.Time
	seen     fs.FileInfo   // of the file that was asked last
	checking chan struct{} // closed when the check that runs has ended; nil without one
	gone     bool          // the file was not there, or not to be trusted, when it was looked at
	back     bool          // and is again, which the check is about
	told     bool          // that it cannot be used
}

// unanswered is the state of a helper that is being asked.
const unanswered = "it has not answered yet"

func newHelperState(path, sockets string, findErr error, log *slog.Logger) *helperState {
	h := &helperState{path: path, sockets: sockets, state: unanswered, log: log}
	if findErr != nil {
		h.state = findErr.Error()
	}
	return h
}

// get is "ok", or what is wrong. Its file is looked at each time. While something is
// wrong that the file does not show, it is asked again now and then; one that has come
// back, or was replaced, is asked at once, and waited for.
func (h *helperState) get() string {
	h.mu.Lock()
	answered := h.look()
	h.mu.Unlock()
	if answered != nil {
		limit := time.NewTimer(helperWait)
		defer limit.Stop()
		select {
		case <-answered:
		case <-limit.C:
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// look looks at the helper's file, and begins to ask it where that is due. It returns
// what says that one that has come back was asked.
func (h *helperState) look() (answered <-chan struct{}) {
	if h.path == "" {
		return nil
	}
	if err := helper.Trust(h.path); err != nil { // it can be removed, or be opened to others
		h.gone, h.back = true, false
		h.set(err.Error(), nil)
		return nil
	}
	now := fileInfo(h.path)
	if h.gone || h.state != "ok" && h.checking == nil && h.seen != nil && !sameFile(h.seen, now) {
		h.gone, h.back, h.state, h.checked = false, true, unanswered, time.Time{}
	}
	if h.state != "ok" && h.checking == nil && time.Since(h.checked) > helperCheckPause {
		h.checking, h.seen = make(chan struct{}), now
		go h.check(h.checking)
	}
	if h.back {
		return h.checking
	}
	return nil
}

// set notes a state, and logs that the helper went or came back.
func (h *helperState) set(state string, confined []string) {
	h.state, h.confined = state, confined
	switch usable := state == "ok"; {
	case usable && h.told:
		h.log.Info("the token helper can be used again, and so can tokens", "helper", h.path)
	case !usable && !h.told:
		h.log.Warn("the token helper cannot be used, and no token without: until it can be, none unlocks a vault, is enrolled, or gives the code of a touch account", "helper", h.path, "err", state, "check", "tokenctl doctor")
	}
	h.told = state != "ok"
}

// keepHelper looks at the helper now and then, also when nobody asks, until ctx ends.
func (s *service) keepHelper(ctx context.Context) {
	tick := time.NewTicker(helperCheckPause)
	defer tick.Stop()
	for {
		s.helper.get()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// confinement is what the kernel keeps the helper from, as the helper says; nil
// as long as it has not been asked.
func (h *helperState) confinement() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.confined
}

func (h *helperState) check(ended chan struct{}) {
	defer close(ended)
	hello, err := helper.Examine(h.path)
	held := append([]string{}, hello.Confined...)
	if err == nil && h.sockets != "" {
		held, err = greet(h.sockets) // which meets the devices
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checked, h.checking, h.back = time.Now(), nil, false
	switch {
	case h.gone: // meanwhile, which was noted
	case err != nil:
		h.set(err.Error(), nil)
	default:
		h.set("ok", held)
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
