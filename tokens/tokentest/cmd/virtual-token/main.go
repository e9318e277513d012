// Command virtual-token runs a private pcscd with virtual PIV cards in its
// readers, for trying tokend and other PC/SC programs by hand, without
// hardware. It prints what to export so that they find it, and reads commands;
// the cards live as long as it does, in memory alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program; it returns the exit code: 0, 1 when it cannot work here,
// 2 when it was called wrongly.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("virtual-token", flag.ContinueOnError)
	flags.SetOutput(errOut)
	o := options{}
	flags.IntVar(&o.cards, "cards", 1, "how many cards, 1 to 4; all are inserted")
	flags.StringVar(&o.firmware, "firmware", "5.4.3", "firmware version of the cards")
	flags.BoolVar(&o.plain, "plain", false, "PIV cards without Yubico's extensions")
	flags.StringVar(&o.touch, "touch", "yes", "answer to touches: yes, no, never, ask, or a number of milliseconds")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errOut, "unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, o, in, out); err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	return 0
}

// options are what the command line says.
type options struct {
	cards    int
	firmware string
	plain    bool
	touch    string
}
