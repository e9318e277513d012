package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// checkTime is how long tokend may take to check its configuration.
const checkTime = 10 * time.Second

// configFile is a configuration that a daemon reads where no other is named.
type configFile struct {
	path string
	own  bool // of a user's own daemon
}

// configOf is the one that the daemon which does not answer would read, if it is
// there: the machine's, or the user's own.
func configOf(machine bool) (configFile, bool) {
	f := configFile{path: systemConfig()}
	if !machine {
		dir, err := os.UserConfigDir()
		if err != nil {
			return configFile{}, false
		}
		f = configFile{filepath.Join(dir, "tokend", "tokend.toml"), true}
	}
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		return configFile{}, false
	}
	return f, true
}

// systemConfig is what the machine's daemon reads.
func systemConfig() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "tokend", "tokend.toml")
	}
	return "/etc/tokend/tokend.toml"
}

// examine says whether it can be used, and whether that keeps a daemon from starting.
func (f configFile) examine(ctx context.Context) (found ipc.Finding, broken bool) {
	finding := func(level, fix, message string, args ...any) ipc.Finding {
		return ipc.Finding{Code: "config", Level: level, Message: fmt.Sprintf(message, args...), Fix: fix}
	}
	file, err := os.Open(f.path)
	if err == nil {
		_ = file.Close()
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && !f.own:
		return finding(levelNote, "sudo "+adviceConfig(f.path), "you may not read the configuration %s, and whether it can be used is not known", f.path), false
	case err != nil:
		return finding(levelError, adviceConfig(f.path), "the configuration cannot be read, and tokend does not start: %s", err), true
	}
	first, err := f.check(ctx)
	switch {
	case err != nil:
		return finding(levelNote, adviceConfig(f.path), "the configuration %s could not be checked: %s", f.path, err), false
	case first != "":
		return finding(levelError, adviceConfig(f.path), "the configuration %s cannot be used, and tokend does not start: %s", f.path, first), true
	}
	return finding(levelOK, "", "the configuration %s can be used", f.path), false
}

// brokenConfig is the path of a configuration that keeps the machine's daemon, or the
// user's own, from starting; empty where there is none such.
func brokenConfig(ctx context.Context, machine bool) string {
	if f, is := configOf(machine); is {
		if _, broken := f.examine(ctx); broken {
			return f.path
		}
	}
	return ""
}

// check has tokend check it, and returns the first thing that keeps it from being used.
func (f configFile) check(ctx context.Context) (string, error) {
	p, err := findPrograms()
	if p.tokend == "" || !isThere(p.tokend) { // its helper is not needed
		return "", err
	}
	args := []string{"config", "check", "--json", f.path}
	if f.own {
		args = append(args, "--user")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, p.tokend, args...).Output()
	var report struct {
		OK       bool
		Problems []struct {
			Level, Message string
			Line           int
		}
	}
	if bad := json.Unmarshal(out, &report); bad != nil {
		return "", errors.Join(err, bad)
	}
	if report.OK {
		return "", nil
	}
	for _, p := range report.Problems {
		switch {
		case p.Level == levelError && p.Line > 0:
			return fmt.Sprintf("line %d: %s", p.Line, p.Message), nil
		case p.Level == levelError:
			return p.Message, nil
		}
	}
	return "", errors.New("tokend did not say why it cannot be used")
}
