//go:build unix

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

const socketName = "tokend.sock"

// SystemSocket is the path of the system daemon's socket.
func SystemSocket() string {
	if runtime.GOOS == "linux" {
		return "/run/tokend/" + socketName
	}
	return "/var/run/tokend/" + socketName
}

// UserSocket is the path of the caller's own daemon's socket:
// $XDG_RUNTIME_DIR/tokend/tokend.sock, and where that variable is not set
// ~/.local/state/tokend/run/tokend.sock.
func UserSocket() (string, error) {
	if dir := runtimeDir(); dir != "" {
		return filepath.Join(dir, "tokend", socketName), nil
	}
	return stateSocket()
}

// runtimeDir ignores a relative path, as the XDG base directory specification
// demands.
func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return dir
	}
	return ""
}

func stateSocket() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where the user's own socket lies: %w", err)
	}
	if !filepath.IsAbs(home) {
		return "", errors.New("cannot tell where the user's own socket lies: the home folder's path is not absolute")
	}
	return filepath.Join(home, ".local", "state", "tokend", "run", socketName), nil
}

// userSockets has more than UserSocket, because a client need not share its
// environment with the daemon: cron and su set no XDG_RUNTIME_DIR.
func userSockets() []string {
	var list []string
	if dir := runtimeDir(); dir != "" {
		list = append(list, filepath.Join(dir, "tokend", socketName))
	} else if runtime.GOOS == "linux" {
		list = append(list, filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "tokend", socketName))
	}
	if s, err := stateSocket(); err == nil {
		list = append(list, s)
	}
	return list
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
