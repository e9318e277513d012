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

// ownUID is who runs this process.
func ownUID() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("cannot tell who runs this: %w", err)
	}
	return u.Uid, nil
}

// hangups is nothing: Windows has no SIGHUP.
func hangups() (<-chan os.Signal, func()) { return nil, func() {} }

// activated is nothing: Windows has no socket activation.
func activated() ([]net.Listener, error) { return nil, nil }

func (s *service) notify(string) {}

func (s *service) notifyReady() {}

// watchdog is nothing: Windows has none for services.
func (s *service) watchdog(context.Context) (stop func()) { return func() {} }

// reloads does nothing: Windows has no SIGHUP.
func (s *service) reloads(ctx context.Context, _ <-chan os.Signal) { <-ctx.Done() }
