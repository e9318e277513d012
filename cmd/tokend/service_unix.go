//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"
)

// systemUser says whether this process serves the machine by default.
func systemUser() bool { return os.Geteuid() == 0 }

// systemState is where the system's daemon keeps vaults.
func systemState() string { return "/var/lib/tokend" }

// ownUID is who runs this process.
func ownUID() (string, error) { return strconv.Itoa(os.Geteuid()), nil }

// activated is the sockets that the service manager hands over.
func activated() ([]net.Listener, error) {
	given, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take the service manager's sockets: %w", err)
	}
	var list []net.Listener
	for _, l := range given {
		if l == nil {
			continue
		}
		if l.Addr().Network() != "unix" {
			return nil, fmt.Errorf("the service manager handed over a socket of %s, not a unix socket", l.Addr().Network())
		}
		list = append(list, l)
	}
	return list, nil
}

// runUnderManager serves until it is told to stop: service managers tell it by signals.
func (s *service) runUnderManager() error { return s.run(context.Background()) }

// hangups is the channel of SIGHUP, which asks for a reload.
func hangups() (<-chan os.Signal, func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	return hangup, func() { signal.Stop(hangup) }
}

// notify tells the service manager, where there is one.
func (s *service) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		s.log.Warn("cannot notify the service manager", "err", err)
	}
}

func (s *service) notifyReady() { s.notify(sd.SdNotifyReady) }

// reloads reads the configuration again at each SIGHUP.
func (s *service) reloads(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			s.notify(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec())
			s.reload()
			s.notifyReady()
		}
	}
}
