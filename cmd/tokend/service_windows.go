package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
)

// systemUser says whether this process serves the machine by default: only
// when it runs as the local system account.
func systemUser() bool {
	uid, err := ownUID()
	return err == nil && uid == "S-1-5-18"
}

// systemState is where the system's daemon keeps vaults.
func systemState() string { return filepath.Join(os.Getenv("ProgramData"), "tokend") }

// userState is where a user's own daemon does: where programs keep what stays on
// this machine and that nobody else can read.
func userState() (string, error) {
	dir, err := os.UserCacheDir() // %LocalAppData%
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "tokend"), nil
}

// systemConfig is read by the system's daemon when it is there and --config
// names no other.
func systemConfig() string { return filepath.Join(systemState(), "tokend.toml") }

// ownUID is who runs this process.
func ownUID() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("cannot tell who runs this: %w", err)
	}
	return u.Uid, nil
}

// activated is nothing: Windows has no socket activation.
func activated() ([]net.Listener, error) { return nil, nil }

func (s *service) notify(string) {}

// watchdog is nothing: Windows has none for services.
func (s *service) watchdog(context.Context) (stop func()) { return func() {} }

// reloads reads the configuration again when the service manager says that it has
// changed (sc control tokend paramchange).
func (s *service) reloads(ctx context.Context, changed <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			s.reload()
		}
	}
}

// manage is the command that has this process reloaded or restarted. One that the
// service manager has not started reads its configuration at its start alone.
func (s *service) manage(verb string) string {
	switch managed := s.manager.ready != nil; {
	case managed && verb == "reload":
		return "sc control tokend paramchange"
	case managed:
		return "net stop tokend && net start tokend"
	}
	return fmt.Sprintf("taskkill /f /pid %d && tokend serve", os.Getpid())
}

// mayWrite is for systems that have sudo.
func mayWrite(string) bool { return true }
