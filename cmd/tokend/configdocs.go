package main

// onWindows are the texts of settings that are other ones on Windows; the tags of
// config say how it is elsewhere.
func onWindows() map[string]string {
	return map[string]string{
		"state_dir":            "Where the vaults are kept. Absent: %ProgramData%\\tokend for the system's daemon,\n%LocalAppData%\\tokend for a user's own.",
		"socket":               "The named pipe to listen at. Absent: \\\\.\\pipe\\tokend for the system's daemon,\n\\\\.\\pipe\\tokend-SID for a user's own.",
		"helper":               "The absolute path of tokend-helper.exe. Absent: beside tokend.exe.",
		"helper_sockets":       "Not for Windows.",
		"bus":                  "Not for Windows: none.",
		"log_format":           "How the log is written: auto, text or json. auto is the event log where Windows runs the\nservice, and text elsewhere.",
		"authority.key":        "Where the key of its registry comes from: file.",
		"tokens.users":         "Users (names or SIDs) who may use tokens without sitting at the machine.\nThe system, administrators who act as such and whoever has the session at the machine's\nown screen always may; it matters to the system's daemon only.",
		"tokens.fido2_devices": "Not for Windows: FIDO2 keys cannot be used there.",
		"mail.password_file":   "The absolute path of the file with his password, which nobody else can read.",
		"metrics.textfile":     "The absolute path of a file for windows_exporter's textfile collector, such as\nC:\\Program Files\\windows_exporter\\textfile_inputs\\tokend.prom. Absent: none is written.",
	}
}

// withoutSystemd are those that are other ones on macOS and the BSDs.
func withoutSystemd() map[string]string {
	return map[string]string{
		"socket":             "The socket to listen at. Absent: /var/run/tokend/tokend.sock for the system's daemon,\n$XDG_RUNTIME_DIR/tokend/tokend.sock for a user's own.",
		"helper_sockets":     "For Linux alone.",
		"log_format":         "How the log is written: auto, text or json. auto is text.",
		"authority.key":      "Where the key of its registry comes from: file.",
		"mail.password_file": "The absolute path of the file with his password, of mode 0600.",
	}
}

// ownTexts are the texts of settings that differ from the tags' on a system (GOOS),
// and how tokend is told there to read its configuration again.
func ownTexts(system string) (texts map[string]string, reload string) {
	switch system {
	case "linux":
		return nil, "systemctl reload tokend, or SIGHUP"
	case "windows":
		return onWindows(), "sc control tokend paramchange"
	}
	return withoutSystemd(), "SIGHUP"
}
