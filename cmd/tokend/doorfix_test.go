package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// refused is what listening fails with.
func refused(err error) error {
	return fmt.Errorf("cannot listen: %w", &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", err)})
}

// TestPortFix: of a port that is taken the fix tells who has it; of one that is refused,
// what grants it. Nothing is restarted for what a restart does not mend.
func TestPortFix(t *testing.T) {
	for _, c := range []struct {
		err             error
		address, system string
		unit            bool
		want            string
	}{
		{refused(syscall.EADDRINUSE), "0.0.0.0:8443", "linux", true, "sudo ss -ltnp 'sport = :8443'"},
		{refused(syscall.EADDRINUSE), "[::]:443", "linux", false, "sudo ss -ltnp 'sport = :443'"},
		{refused(syscall.EADDRINUSE), "0.0.0.0:8443", "darwin", false, "sudo lsof -nP -iTCP:8443 -sTCP:LISTEN"},
		{refused(wsaAddressInUse), "0.0.0.0:8443", "windows", false, "netstat -ano | findstr :8443"},
		{refused(syscall.EACCES), "0.0.0.0:443", "linux", false, "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=443"},
		{refused(syscall.EACCES), "0.0.0.0:8443", "linux", false, ""},
		{refused(syscall.EACCES), "0.0.0.0:443", "darwin", false, ""},
		{refused(syscall.EADDRNOTAVAIL), "192.0.2.1:443", "linux", false, ""},
		{nil, "192.0.2.1:443", "linux", false, ""},
	} {
		if got := portFix(c.err, c.address, c.system, c.unit); got != c.want {
			t.Errorf("%v at %s on %s: %q, not %q", c.err, c.address, c.system, got, c.want)
		}
	}
	got := portFix(refused(syscall.EACCES), "0.0.0.0:443", "linux", true)
	for _, want := range []string{"AmbientCapabilities=CAP_NET_BIND_SERVICE", "/etc/systemd/system/tokend.service.d/", "daemon-reload", "restart tokend"} {
		if !strings.Contains(got, want) {
			t.Errorf("to systemd's: %q lacks %q", got, want)
		}
	}
}
