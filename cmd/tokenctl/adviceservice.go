package main

// adviceServiceRoot is for who is not root and wants the system's services changed.
func adviceServiceRoot(verb string) []string {
	return []string{"`sudo tokenctl service " + verb + " --system`", "your own daemon needs no root: `tokenctl service " + verb + " --user`"}
}

// adviceServiceInstall is for who wants to start what is not installed.
func adviceServiceInstall(scope string) []string {
	return []string{"install it: `" + serviceCommand("install", scope) + "`"}
}

// serviceCommand is a command of service, for a scope.
func serviceCommand(verb, scope string) string {
	if scope == scopeUser {
		return "tokenctl service " + verb + " --user"
	}
	return "sudo tokenctl service " + verb + " --system"
}

// adviceServicePrograms is for programs that a service cannot be started from.
func adviceServicePrograms() []string {
	return []string{
		"put the programs where root alone can change them, and run that tokenctl:",
		"`sudo install -D -t /usr/local/bin tokend tokenctl` and `sudo install -D -t /usr/local/libexec/tokend tokend-helper`",
		"`sudo /usr/local/bin/tokenctl service install --system`",
	}
}

// adviceServiceBroken is for a service that was installed and could not be started.
func adviceServiceBroken(user bool) []string {
	flag, sudo := "", "sudo "
	if user {
		flag, sudo = "--user ", ""
	}
	return []string{"what it said: `journalctl " + flag + "-u tokend -n 50`", "its configuration: `" + sudo + "tokend config check`"}
}

// adviceServiceAbsent is for a machine or a session in which nothing starts services
// that tokend knows.
func adviceServiceAbsent(user bool) []string {
	return []string{"run it yourself, or have what starts programs here run it: `" + serveByHand(user) + "`",
		"the files that systemd would be given: `tokenctl service install " + either(user, "--user", "--system") + " --print`"}
}

// adviceServiceByHand is for a daemon that nothing here started, and that is to stop.
func adviceServiceByHand() []string {
	return []string{"stop it as it was started: Ctrl-C where it runs, or `kill` its process"}
}

// serveByHand is the command that runs the daemon where nothing else starts it.
func serveByHand(user bool) string {
	return either(user, "tokend serve --user", "sudo tokend serve --system")
}

// serviceNext is the command to go on with.
func serviceNext(st serviceState) string {
	switch {
	case st.Absent != "" && st.Daemon == nil:
		return serveByHand(st.Scope == scopeUser)
	case st.Absent != "":
		return "tokenctl status"
	case !st.Installed:
		return serviceCommand("install", st.Scope)
	case st.Active == "failed" && st.Manager == "systemd":
		return "journalctl " + either(st.Scope == scopeUser, "--user ", "") + "-u tokend -n 50"
	case !st.Enabled:
		return serviceCommand("install", st.Scope)
	case st.Active != "active" && !st.Listening:
		return serviceCommand("start", st.Scope)
	case st.Daemon == nil:
		return "tokenctl doctor"
	}
	return "tokenctl status"
}

// adviceServiceRule is for who is not root and wants the udev rule.
func adviceServiceRule() []string { return []string{"`sudo tokenctl service install --udev`"} }

// adviceBrokenConfig is for a daemon that does not answer, and cannot start with what it
// reads.
func adviceBrokenConfig(path string) []string {
	return []string{"it cannot start with its configuration; what is wrong there: `" + adviceConfig(path) + "`"}
}

// adviceConfig is what says all that is wrong with a configuration, and what mends it.
func adviceConfig(path string) string { return "tokend config check " + quoted(path) }
