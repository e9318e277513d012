package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/tokenbridge/tokend/daemon"
)

// What Windows calls an address that is in use; syscall has a number of its own.
const wsaAddressInUse = syscall.Errno(10048)

// lowPorts are those that not everybody may listen at.
const lowPorts = 1024

// portFix is the command that tells which program has the port of an address, or that
// lets this one have it; empty where err is about something else. unit says that systemd
// started this one as the machine's.
func portFix(err error, address, system string, unit bool) string {
	_, port, bad := splitAddress(listenSetting, address, usualPort)
	switch {
	case err == nil || bad != nil:
		return ""
	case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaAddressInUse):
		switch system {
		case "linux":
			return fmt.Sprintf("sudo ss -ltnp 'sport = :%d'", port)
		case "windows":
			return fmt.Sprintf("netstat -ano | findstr :%d", port)
		}
		return fmt.Sprintf("sudo lsof -nP -iTCP:%d -sTCP:LISTEN", port)
	case port >= lowPorts || !errors.Is(err, fs.ErrPermission) || system != "linux":
		return ""
	case unit:
		return dropIn(`'[Service]\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n'`, "port") + " && sudo systemctl restart tokend"
	}
	return fmt.Sprintf("sudo sysctl -w net.ipv4.ip_unprivileged_port_start=%d", port)
}

// dropIn is the commands that add to systemd's unit of the service what printf makes of
// its words, in a file of a name.
func dropIn(printf, name string) string {
	return "printf " + printf + " | sudo install -D -m 644 /dev/stdin /etc/systemd/system/tokend.service.d/" + name + ".conf && sudo systemctl daemon-reload"
}

// doorFix is portFix for the door of this process.
func (s *service) doorFix(err error) string {
	return portFix(err, s.config.Authority.Listen, runtime.GOOS, s.mode == daemon.ModeSystem && os.Getenv("NOTIFY_SOCKET") != "")
}
