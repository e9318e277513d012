package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"

	kardianos "github.com/kardianos/service"
)

// serviceName is what the service is called (tokenctl service install).
const serviceName = "tokend"

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

// managed is the daemon as Windows' service manager starts and stops it.
type managed struct {
	s     *service
	stop  context.CancelFunc
	ended chan error
}

// Start implements [kardianos.Interface]: it must not wait.
func (m *managed) Start(kardianos.Service) error {
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		err := m.s.run(ctx)
		m.ended <- err
		if err != nil && ctx.Err() == nil {
			m.s.log.Error("the daemon ends", "err", err)
			os.Exit(1) //nolint:forbidigo // so that the manager starts it again, as it does what fails
		}
	}()
	return nil
}

// Stop implements [kardianos.Interface].
func (m *managed) Stop(kardianos.Service) error {
	m.stop()
	return <-m.ended
}

// runUnderManager serves until it is told to stop, by the service manager where that
// has started it.
func (s *service) runUnderManager() error {
	if kardianos.Interactive() {
		return s.run(context.Background())
	}
	m := &managed{s: s, ended: make(chan error, 1)}
	service, err := kardianos.New(m, &kardianos.Config{Name: serviceName})
	if err != nil {
		return fmt.Errorf("cannot speak with the service manager: %w", err)
	}
	return service.Run()
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
