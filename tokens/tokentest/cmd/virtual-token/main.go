// Command virtual-token runs a private pcscd with virtual PIV cards in its
// readers, and virtual FIDO2 keys on pseudo-terminals, for trying tokend and
// other programs by hand, without hardware. It prints what to export so that
// they find pcscd, and the paths of the FIDO2 keys, and reads commands; cards
// and keys live as long as it does, in memory alone, unless told otherwise. On a machine of its own it
// puts them where real ones are: into the readers of the machine's pcscd, and on
// hidraw devices.
package main

import (
	"context"
	"errors"
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
	flags.IntVar(&o.cards, "cards", 1, "how many cards, 0 to 4; all are inserted")
	flags.StringVar(&o.firmware, "firmware", "5.4.3", "firmware version of the cards")
	flags.BoolVar(&o.plain, "plain", false, "PIV cards without Yubico's extensions")
	flags.IntVar(&o.keys, "fido2", 0, "how many FIDO2 keys, 0 to 4; all are inserted")
	flags.StringVar(&o.keyPIN, "fido2-pin", "", "PIN of the FIDO2 keys; none by default")
	flags.StringVar(&o.keyVersion, "fido2-version", "2.1", "what the FIDO2 keys speak: 2.1, 2.0 or u2f")
	flags.StringVar(&o.keyProtocols, "fido2-protocols", "", "PIN/UV auth protocols of the FIDO2 keys in their order: 1, 2, or 2,1")
	flags.BoolVar(&o.keyFinger, "fido2-uv", false, "FIDO2 keys with a fingerprint reader")
	flags.BoolVar(&o.keyAlways, "fido2-always-uv", false, "FIDO2 keys that want PIN or finger for everything")
	flags.BoolVar(&o.hid, "uhid", false, "FIDO2 keys as hidraw devices of the kernel's, through /dev/uhid (root)")
	flags.StringVar(&o.saved, "fido2-saved", "", "`FOLDER` where the FIDO2 keys are kept until the next time")
	flags.StringVar(&o.vpcd, "vpcd", "", "cards in the readers of a pcscd that is there, at vpcd's `ADDRESS` (such as localhost:35963)")
	flags.StringVar(&o.touch, "touch", "yes", "answer to touches: yes, no, never, ask, or a number of milliseconds")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp): // it was asked for, and shown
		return 0
	case err != nil:
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

	keys                             int
	keyPIN, keyVersion, keyProtocols string
	keyFinger, keyAlways             bool

	hid         bool
	saved, vpcd string
}
