package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc/dbus"
)

// The buses to serve on.
const (
	busSystem  = "system"
	busSession = "session"
	busNone    = "none"
)

func (c config) checkBus() error {
	switch c.Bus {
	case "", busSystem, busSession, busNone:
		return nil
	}
	return fmt.Errorf("bus must be %s, %s or %s, not %q", busSystem, busSession, busNone, c.Bus)
}

// busAddress is the address of the bus to serve on, empty for none. Where nothing
// is said, a user's own daemon serves on the bus of the session it was started in,
// and the system's daemon on none: its unit says so.
func (s *service) busAddress() (string, error) {
	session := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if session == "autolaunch:" {
		session = ""
	}
	switch s.config.Bus {
	case busSystem:
		if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
			return address, nil
		}
		return "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket", nil
	case busSession:
		if session != "" {
			return session, nil
		}
		if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
			return "unix:path=" + filepath.Join(dir, "bus"), nil
		}
		return "", usageError{errors.New("cannot tell where the session's bus is: DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR are not set")}
	case "":
		if s.mode == daemon.ModeUser {
			return session, nil
		}
	}
	return "", nil
}

// buildBus makes the server on the bus.
func (s *service) buildBus() error {
	address, err := s.busAddress()
	if err != nil {
		return errors.Join(err, s.daemon.Close())
	}
	if address != "" {
		s.bus = dbus.New(dbus.Config{
			Backend: s.daemon, Address: address, System: s.config.Bus == busSystem, Identify: s.admit, Observe: s.observeBus, Log: s.log,
		})
	}
	return nil
}

// busState is how it is with the bus, empty where there is none to serve on.
func (s *service) busState() string {
	if s.bus == nil {
		return ""
	}
	return s.bus.State()
}
