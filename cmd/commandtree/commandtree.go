// Package commandtree tells what commands a program has, as a document that manual
// pages are written from. The program itself tells it, so that they cannot differ.
package commandtree

import (
	"encoding/json"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Name is the hidden command that prints the document.
const Name = "__describe"

// Command is a command of a program, with all below it.
type Command struct {
	Path     string    `json:"path"` // "tokenctl account add"
	Line     string    `json:"line"` // how it is called
	Short    string    `json:"short"`
	Long     string    `json:"long,omitempty"`
	Example  string    `json:"example,omitempty"`
	Aliases  []string  `json:"aliases,omitempty"`
	Flags    []Flag    `json:"flags,omitempty"` // its own, and those that it gives to all below it
	Commands []Command `json:"commands,omitempty"`
}

// Flag is a flag of a command.
type Flag struct {
	Name      string `json:"name"`
	Shorthand string `json:"shorthand,omitempty"`
	Value     string `json:"value,omitempty"` // what its value is called, empty where it takes none
	Usage     string `json:"usage"`
	Default   string `json:"default,omitempty"`
}

// Subcommand is the hidden command, to be added to the root it then tells of.
func Subcommand() *cobra.Command {
	return &cobra.Command{
		Use: Name, Short: "Print what commands there are, as JSON", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(Of(cmd.Root()))
		},
	}
}

// Of describes a command and all below it that are not hidden.
func Of(cmd *cobra.Command) Command {
	out := Command{
		Path: cmd.CommandPath(), Line: cmd.UseLine(), Short: cmd.Short, Long: cmd.Long, Example: cmd.Example, Aliases: cmd.Aliases,
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		out.Flags = append(out.Flags, Flag{Name: f.Name, Shorthand: f.Shorthand, Value: value, Usage: usage, Default: preset(f)})
	})
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			out.Commands = append(out.Commands, Of(sub))
		}
	}
	return out
}

// preset is the value that a flag has when it is not given, empty where that goes
// without saying.
func preset(f *pflag.Flag) string {
	switch f.DefValue {
	case "false", "0", "[]", "0s":
		return ""
	}
	return f.DefValue
}
