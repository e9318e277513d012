package main

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

func adviceDestinations() []string {
	return []string{"see which there are: `tokenctl backup destination list`"}
}

func adviceNoDrop() []string {
	return []string{"see how the backups are: `tokenctl backup status`"}
}
