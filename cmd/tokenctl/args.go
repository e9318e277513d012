package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noArgs refuses every argument, and does not repeat it: it may be a secret.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(cmd.CommandPath()+" takes flags only, and "+plural(len(args), "other argument")+" was given",
		adviceStray(cmd.CommandPath(), cmd.Flags().Lookup("secret-file") != nil)...)
}

// named takes arguments by the names that the help calls them; the first need
// of them must be there.
func named(need int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		path := cmd.CommandPath()
		switch {
		case len(args) < need:
			return usage(path+" needs "+strings.Join(names[len(args):need], " and "), adviceHelp(path)...)
		case len(args) > len(names):
			return usage(fmt.Sprintf("%s takes %s, and %d were given", path, plural(len(names), "argument"), len(args)),
				adviceTooMany(path, args, len(names))...)
		}
		for i, a := range args {
			if strings.TrimSpace(a) == "" {
				name, _, _ := strings.Cut(names[i], " (") // without what it may be
				return usage(name+" is empty", adviceHelp(path)...)
			}
		}
		return nil
	}
}

// areFiles says that every word is the path of something that is there: a shell's
// pattern was more than one file, or two were named on purpose.
func areFiles(words []string) bool {
	for _, w := range words {
		if _, err := os.Lstat(w); err != nil {
			return false
		}
	}
	return len(words) > 1
}

// noSuchCommand refuses whatever a group of commands does not know.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	meant := meantCommands(cmd, args[0])
	return usage(fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()),
		adviceCommands(cmd.CommandPath(), args[0], meant)...)
}

// meantCommands are the commands that a word may have been meant for: one of
// that name anywhere, or one with a name like it at this place.
func meantCommands(cmd *cobra.Command, word string) []string {
	var found []string
	add := func(path string) {
		if !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	var walk func(*cobra.Command)
	walk = func(in *cobra.Command) {
		for _, sub := range in.Commands() {
			if sub.IsAvailableCommand() && (strings.EqualFold(sub.Name(), word) || slices.Contains(sub.Aliases, word) || slices.Contains(sub.SuggestFor, word)) {
				add(sub.CommandPath())
			}
			walk(sub)
		}
	}
	if walk(cmd); len(found) == 0 {
		walk(cmd.Root())
	}
	if len(found) > 0 {
		return found
	}
	cmd.SuggestionsMinimumDistance = 2
	for _, s := range cmd.SuggestionsFor(word) {
		add(cmd.CommandPath() + " " + s)
	}
	return found
}

// wrongFlag is what is said of flags that cannot be read. A word before them
// that is no command is the mistake, not the flag after it.
func wrongFlag(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return noSuchCommand(cmd, cmd.Flags().Args())
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		// What follows the letter may be a secret.
		return usage("unknown flag: -"+short[:1], adviceHelp(cmd.CommandPath())...)
	}
	name := unknown.GetSpecifiedName()
	if file := cmd.Flags().Lookup(name + "-file"); file != nil {
		return usage("there is no --"+name+": a secret is never taken from the command line", adviceSecretFlag(file.Name)...)
	}
	return usage("unknown flag: --"+name, adviceHelp(cmd.CommandPath())...)
}

// helpCommand is help that says so when there is no such command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for _, word := range args {
				i := slices.IndexFunc(at.Commands(), func(sub *cobra.Command) bool {
					return sub.Name() == word || sub.HasAlias(word)
				})
				if i < 0 {
					return noSuchCommand(at, []string{word})
				}
				at = at.Commands()[i]
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}
