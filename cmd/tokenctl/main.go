// Tokenctl is the command-line program for the vault that tokend keeps: it
// makes codes, keeps accounts and tokens, and makes and restores backups.
//
// It speaks with the daemon over its socket and opens the user's own files
// (backups, secret files, pictures) itself, with the user's rights. It links
// neither the drivers of tokens nor the vault: what it knows of a backup is
// the container format alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/tokenbridge/tokend/daemon/secret"
)

func main() {
	// It reads PINs, passwords and secrets: no core files, no debuggers of other
	// programs. Where that cannot be had it is no reason not to work.
	_ = secret.HardenProcess()
	os.Exit(run(context.Background(), os.Args[1:], newCLI()))
}

// run executes one command line and answers with the exit code. Ctrl-C ends the
// context; the daemon sees its client go and stops what it did for it.
func run(ctx context.Context, args []string, c *cli) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.heedSignals = sync.OnceFunc(func() {
		heard, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(heard, func() {
			cancel()
			// A second Ctrl-C ends whatever does not heed the first.
			stop()
		})
	})
	if !quickCode(args) {
		c.heedSignals()
	}
	root := c.root(args)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	c.ran = cmd.CommandPath()
	return c.report(ctx, err)
}
