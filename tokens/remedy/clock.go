package remedy

import "io/fs"

// SetClock is the command that sets the clock and keeps it set, or that installs what
// does; empty where neither is known.
func (m Machine) SetClock() string {
	switch m.System {
	case "darwin":
		return "sudo sntp -sS time.apple.com"
	case "windows":
		return "w32tm /resync"
	case "freebsd":
		return "sudo service ntpd onestart"
	case "linux":
		return m.setClockLinux()
	}
	return ""
}

func (m Machine) setClockLinux() string {
	if m.Systemd() {
		if m.hasNTP() {
			return "sudo timedatectl set-ntp true"
		}
		return m.installClock()
	}
	for _, by := range []struct{ name, alone string }{{"chronyd", "sudo chronyd"}, {"ntpd", "sudo ntpd -g"}} {
		switch {
		case !m.Has("usr/sbin/"+by.name, "usr/bin/"+by.name):
		case m.openRC():
			return "sudo rc-service " + by.name + " start"
		default:
			return by.alone
		}
	}
	if m.Has("usr/sbin/ntpdate", "usr/bin/ntpdate") {
		return "sudo ntpdate pool.ntp.org"
	}
	return m.installClock()
}

// hasNTP says whether timedatectl has a service to start.
func (m Machine) hasNTP() bool {
	for _, dir := range []string{"usr/lib/systemd", "lib/systemd", "etc/systemd"} {
		if list, _ := fs.ReadDir(m.Root, dir+"/ntp-units.d"); len(list) > 0 || m.Has(dir+"/systemd-timesyncd") {
			return true
		}
	}
	return false
}

func (m Machine) installClock() string {
	return m.Install(Packages{"chrony", "chrony", "chrony", "chrony", "chrony"})
}
