//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// systemUser says whether this process serves the machine by default.
func systemUser() bool { return os.Geteuid() == 0 }

// systemState is where the system's daemon keeps vaults.
func systemState() string { return "/var/lib/tokend" }

// userState is where a user's own daemon does.
func userState() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tokend"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "tokend"), nil
}

// systemConfig is read by the system's daemon when it is there and --config
// names no other.
func systemConfig() string { return "/etc/tokend/tokend.toml" }

// manager is nothing: systemd is told by messages, launchd nothing.
type manager struct{}

// underManager runs the daemon: service managers tell it to stop by signals.
func underManager(ctx context.Context, o options, stderr io.Writer) error {
	s, err := newService(o, stderr)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

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

// hangups is the channel of SIGHUP, which asks for a reload.
func (manager) hangups() (<-chan os.Signal, func()) {
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

// manage is the command that has this process reloaded or restarted: by systemd where
// it told where to report to.
func (s *service) manage(verb string) string {
	switch system := s.mode == daemon.ModeSystem; {
	case os.Getenv("NOTIFY_SOCKET") != "" && system:
		return "sudo systemctl " + verb + " tokend"
	case os.Getenv("NOTIFY_SOCKET") != "":
		return "systemctl --user " + verb + " tokend"
	case verb == "reload":
		return fmt.Sprintf("kill -HUP %d", os.Getpid())
	}
	words := make([]string, len(os.Args))
	for i, w := range os.Args {
		words[i] = ipc.ShellWord(w)
	}
	again := strings.Join(words, " ")
	if dir, err := os.Getwd(); err == nil && s.options.relative(os.Args[0]) {
		again = "cd " + ipc.ShellWord(dir) + " && " + again
	}
	// As it was started; a second one does not start before the first has ended, nor
	// where anything before it fails, such as the check that stands in front.
	return fmt.Sprintf("kill %d && while kill -0 %[1]d 2>/dev/null; do sleep 0.1; done && %s", os.Getpid(), again)
}

// mayWrite says whether this process may make files in a folder, or in the nearest one
// above it that is there.
func mayWrite(dir string) bool {
	for !isFolder(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return unix.Access(dir, unix.W_OK) == nil
}

func isFolder(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}
