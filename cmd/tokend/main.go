// Command tokend is the daemon: it keeps the vaults of two-factor accounts and
// answers on a local socket. It is the only place where the parts of the daemon
// meet: flags, configuration, sockets, signals.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/commandtree"
)

// version is set by the linker; a build without it says what the module knows.
var version = ""

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "tokend:", err)
		var broken brokenConfig
		if errors.As(err, &broken) {
			fmt.Fprintln(os.Stderr, "what is wrong with it, and what mends it:", broken.checks())
		}
		var usage usageError
		if errors.As(err, &usage) {
			os.Exit(2)
		}
		var exit exitError
		if errors.As(err, &exit) {
			os.Exit(exit.code)
		}
		os.Exit(1)
	}
}

// usageError is a mistake on the command line or in the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// exitError has an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }

func (e exitError) Unwrap() error { return e.err }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "tokend",
		Short:         "Two-factor codes from a vault whose keys live in a security token",
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			DisableDefaultCmd: true,
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), configCommand(), versionCommand(), commandtree.Subcommand())
	return root
}

// noArguments refuses what is no flag.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "tokend", buildVersion())
			return err
		},
	}
}

// buildVersion is what this program calls itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return v
}
