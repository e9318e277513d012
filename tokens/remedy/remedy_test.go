package remedy_test

import (
	"testing"
	"testing/fstest"

	"github.com/tokenbridge/tokend/tokens/remedy"
)

// with is a machine that has these files.
func with(system string, files ...string) remedy.Machine {
	root := fstest.MapFS{}
	for _, f := range files {
		root[f] = &fstest.MapFile{}
	}
	return remedy.Machine{System: system, Root: root}
}

const systemd = "run/systemd/system/x"

// TestCards: the service for cards is started by whatever starts services.
func TestCards(t *testing.T) {
	for _, c := range []struct {
		m              remedy.Machine
		start, restart string
	}{
		{with("linux", systemd), "sudo systemctl enable --now pcscd.socket", "sudo systemctl restart pcscd"},
		{with("linux", systemd, "sbin/openrc-run"), "sudo systemctl enable --now pcscd.socket", "sudo systemctl restart pcscd"},
		{with("linux", "sbin/openrc-run"), "sudo rc-service pcscd start", "sudo rc-service pcscd restart"},
		{with("linux", "usr/sbin/openrc-run"), "sudo rc-service pcscd start", "sudo rc-service pcscd restart"},
		{with("linux"), "sudo pcscd", "sudo pkill -x pcscd; sleep 1; sudo pcscd"},
		{with("darwin"), "", ""},
		{with("windows"), "", ""},
	} {
		if start, restart := c.m.StartCards(), c.m.RestartCards(); start != c.start || restart != c.restart {
			t.Errorf("%+v: %q, %q; not %q, %q", c.m, start, restart, c.start, c.restart)
		}
	}
}

func TestInstall(t *testing.T) {
	p := remedy.Packages{Debian: "a", Fedora: "b", SUSE: "c", Arch: "d"}
	for program, want := range map[string]string{
		"usr/bin/apt-get": "sudo apt-get install a", "usr/bin/dnf": "sudo dnf install b", "usr/bin/zypper": "sudo zypper install c",
		"usr/bin/pacman": "sudo pacman -S d", "sbin/apk": "", "usr/bin/other": "",
	} {
		if got := with("linux", program).Install(p); got != want {
			t.Errorf("with %s: %q, not %q", program, got, want)
		}
	}
}

// TestSetClock: what sets the clock is there, or is installed.
func TestSetClock(t *testing.T) {
	const apt = "usr/bin/apt-get"
	for _, c := range []struct {
		m    remedy.Machine
		want string
	}{
		{with("linux", systemd, apt, "usr/lib/systemd/systemd-timesyncd"), "sudo timedatectl set-ntp true"},
		{with("linux", systemd, apt, "usr/lib/systemd/ntp-units.d/50-chronyd.list"), "sudo timedatectl set-ntp true"},
		{with("linux", systemd, apt, "usr/bin/timedatectl"), "sudo apt-get install chrony"},
		{with("linux", apt, "usr/bin/timedatectl"), "sudo apt-get install chrony"},
		{with("linux", apt, "usr/sbin/chronyd"), "sudo chronyd"},
		{with("linux", "sbin/apk", "sbin/openrc-run", "usr/sbin/chronyd"), "sudo rc-service chronyd start"},
		{with("linux", "sbin/apk", "sbin/openrc-run", "usr/sbin/ntpd"), "sudo rc-service ntpd start"},
		{with("linux", "usr/sbin/ntpd", "usr/sbin/ntpdate"), "sudo ntpd -g"},
		{with("linux", apt, "usr/sbin/ntpdate"), "sudo ntpdate pool.ntp.org"},
		{with("linux", "sbin/apk"), "sudo apk add chrony"},
		{with("linux"), ""},
		{with("darwin"), "sudo sntp -sS time.apple.com"},
		{with("windows"), "w32tm /resync"},
		{with("freebsd"), "sudo service ntpd onestart"},
		{with("plan9"), ""},
	} {
		if got := c.m.SetClock(); got != c.want {
			t.Errorf("%+v: %q, not %q", c.m, got, c.want)
		}
	}
}
