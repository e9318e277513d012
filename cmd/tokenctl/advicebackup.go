package main

import (
	"runtime"
	"strings"
)

// Advice about backups that are made by themselves; see advice.go.

// adviceDestination is how a folder is made one that backups are copied to.
func adviceDestination() string {
	return "`tokenctl backup destination add PATH`, with a folder on another disk, on a stick, or one that is synced"
}

// asItIs begins advice that is a line to be copied: it stands on one of its own,
// not indented and not broken.
const asItIs = "\x00"

// adviceNoTimer is for systems whose timers this program cannot set.
func adviceNoTimer(cron string) []string {
	return []string{"where there is cron, add this line with `crontab -e`:", asItIs + cron,
		"or let anything that runs once an hour, as you, run `tokenctl backup run`"}
}

// adviceDestinationFails is about a folder that backups cannot be copied to.
func adviceDestinationFails(path, reason string) []string {
	const again = ", then `tokenctl backup run`"
	first := "see to it" + again
	switch has := func(s string) bool { return strings.Contains(strings.ToLower(reason), s) }; {
	case has("no space"), has("not enough space"), has("quota"):
		first = "free some space there" + again
	case has("read-only"), has("write protected"):
		first = "make it writable again (a disk or stick with errors becomes read-only)" + again
	case has("permission denied"), has("access is denied"), has("not permitted"):
		first = "let your user write there" + again
	}
	return []string{first, "or copy to another folder, and give this one up: `tokenctl backup destination add PATH`, `tokenctl backup destination remove " + quoted(path) + "`"}
}

// adviceNoFolder is about a folder that is to be a destination and is not there.
func adviceNoFolder(path string) []string {
	return []string{"plug its disk in; or make it: `" + either(runtime.GOOS == "windows", "mkdir ", "mkdir -p ") + quoted(expandHome(path)) + "`, and repeat"}
}

func adviceDestinations() []string {
	return []string{"see which there are: `tokenctl backup destination list`"}
}

func adviceNoDrop() []string {
	return []string{"see how the backups are: `tokenctl backup status`"}
}
