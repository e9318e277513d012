package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/commandtree"
)

const rootHelp = `Tokenctl speaks with tokend, which keeps your two-factor accounts in a vault
that opens with a hardware token.

  tokenctl quickstart          set everything up, step by step
  tokenctl code github         a code
  tokenctl code                a code picked from a list
  tokenctl code --watch        all codes, live

Codes and lists go to standard output, everything said to you to standard
error. On a terminal a list is a table; in a pipe it is one line a row, fields
between tabs, without heading. --json prints the daemon's own document.

Secrets are asked for without being shown, or read from a file (--pin-file and
the like; - is standard input). They are never taken from the command line or
the environment. Without a terminal nothing is asked: the command fails with
exit code 2 and names the flag that is missing.

Exit codes: 0 done; 2 wrong command line; 10 not allowed; 11 not found, exists
already, or ambiguous; 12 vault locked; 13 token missing or not enrolled;
14 PIN; 15 no touch, or cancelled; 16 passcode; 17 too many tries; 18 damaged,
wrong password, or too new; 19 policy; 20 conflict; 21 daemon not reachable;
22 backup too old; 23 disk full or a server not reachable; 1 anything else.`

// root builds the command tree. Commands are cheap; whatever costs time is made
// when a command runs.
func (c *cli) root(args []string) *cobra.Command {
	version := false
	versionCommand := c.versionCommand()
	root := &cobra.Command{
		Use:               "tokenctl",
		Short:             "Codes from a vault whose keys live in a hardware token",
		Long:              rootHelp,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return versionCommand.RunE(cmd, nil)
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(helpCommand())
	root.SetHelpFunc(c.help)
	root.SetUsageFunc(c.usage)
	root.Flags().BoolVar(&version, "version", false, "show the version, as the command does")
	root.SetOut(c.out)
	root.SetErr(c.err)
	p := root.PersistentFlags()
	p.StringVar(&c.socket, "socket", "", "the daemon's socket `PATH` (also TOKEND_SOCKET)")
	p.BoolVar(&c.json, "json", false, "print the daemon's document as JSON")
	p.BoolVar(&c.noInput, "no-input", false, "never ask; fail and name the missing flag")
	if plainCode(args) {
		root.AddCommand(c.codeCommand())
		return root
	}
	root.AddCommand(
		c.codeCommand(), c.accountCommand(), c.quickstartCommand(), c.initCommand(),
		c.unlockCommand(), c.lockCommand(), c.statusCommand(), c.doctorCommand(),
		c.tokenCommand(), c.recoveryCommand(), c.vaultCommand(), c.backupCommand(),
		c.importCommand(), c.exportCommand(),
		c.activateCommand(), c.reactivateCommand(), c.deviceCommand(), c.grantCommand(), c.agentCommand(), c.adminCommand(),
		c.eventsCommand(), c.auditCommand(), versionCommand, c.completionCommand(),
		c.serviceCommand(), c.purgeCommand(), c.clearClipboardCommand(), commandtree.Subcommand(),
	)
	return root
}

// plainCode says that the command line begins with "code", which is run most of
// all and by scripts: the other commands need not be built for it.
func plainCode(args []string) bool { return len(args) > 0 && args[0] == "code" }

// quickCode says that the command line is "code NAME" and no more. That is over
// before anybody presses Ctrl-C, which then ends the program as it ends any; to
// listen for it costs a tenth of such a run. It is listened for from the moment
// that something is waited for: the daemon's answer, or the person's.
func quickCode(args []string) bool {
	return len(args) == 2 && args[0] == "code" && !strings.HasPrefix(args[1], "-")
}

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}
