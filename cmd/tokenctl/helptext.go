package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is the number of columns that help is written for; a narrower
// terminal gets as many as it has.
const helpWidth = 80

// leastHelp is the width below which help is not broken further: flags and what
// they mean stand side by side.
const leastHelp = 40

func (c *cli) helpColumns() int {
	if c.outTTY && c.outWidth != nil {
		if w := c.outWidth(); leastHelp <= w && w < helpWidth {
			return w
		}
	}
	return helpWidth
}

// help shows the help of a command.
func (c *cli) help(cmd *cobra.Command, _ []string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	out := cmd.OutOrStdout()
	for _, l := range reflowed(text, c.helpColumns()) {
		_, _ = fmt.Fprintln(out, l)
	}
	_, _ = fmt.Fprintln(out)
	c.writeUsage(out, cmd)
}

func (c *cli) usage(cmd *cobra.Command) error {
	c.writeUsage(cmd.OutOrStderr(), cmd)
	return nil
}

// writeUsage writes how a command is called, and its flags.
func (c *cli) writeUsage(out io.Writer, cmd *cobra.Command) {
	w := c.helpColumns()
	section := func(head string, lines ...string) {
		_, _ = fmt.Fprintf(out, "%s:\n%s\n", head, strings.Join(lines, "\n"))
	}
	lines := hanging("  ", "    ", cmd.UseLine(), w)
	if cmd.HasAvailableSubCommands() {
		lines = append(lines, "  "+cmd.CommandPath()+" [command]")
	}
	section("Usage", lines...)
	next := func() { _, _ = fmt.Fprintln(out) }
	if len(cmd.Aliases) > 0 {
		next()
		section("Aliases", "  "+cmd.NameAndAliases())
	}
	if cmd.HasExample() {
		next()
		section("Examples", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		next()
		section("Available Commands", commandLines(cmd, w)...)
	}
	if cmd.HasAvailableLocalFlags() {
		next()
		section("Flags", strings.TrimRight(cmd.LocalFlags().FlagUsagesWrapped(w), "\n"))
	}
	if cmd.HasAvailableInheritedFlags() {
		next()
		section("Global Flags", strings.TrimRight(cmd.InheritedFlags().FlagUsagesWrapped(w), "\n"))
	}
	if cmd.HasAvailableSubCommands() {
		next()
		for _, l := range hanging("", "", fmt.Sprintf("Use \"%s [command] --help\" for more information about a command.", cmd.CommandPath()), w) {
			_, _ = fmt.Fprintln(out, l)
		}
	}
}

// commandLines are the commands of a group, each with what it does.
func commandLines(cmd *cobra.Command, w int) []string {
	var lines []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			first := fmt.Sprintf("  %-*s ", sub.NamePadding(), sub.Name())
			lines = append(lines, hanging(first, strings.Repeat(" ", len(first)), sub.Short, w)...)
		}
	}
	return lines
}
