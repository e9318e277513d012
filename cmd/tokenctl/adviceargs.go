package main

import "strings"

// adviceTooMany is about more words than a command takes.
func adviceTooMany(command string, args []string, takes int) []string {
	if areFiles(args) {
		return []string{"it takes one file at a time: `" + command + " " + quoted(args[0]) + "`; a pattern like *.tokend may mean several"}
	}
	if takes == 1 {
		return []string{"a name with spaces goes into quotes: `" + command + " " + quoted(strings.Join(args, " ")) + "`"}
	}
	return append([]string{"a name with spaces goes into quotes"}, adviceHelp(command)...)
}
