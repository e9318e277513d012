//go:build linux

// Command guest runs inside the virtual machine of "make test-machine": there it
// is the scenario, the user who sits at the machine, and the users who come by
// ssh. What it finds it tells the host, step by step.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx := context.Background()
	var err error
	switch {
	case len(args) == 0:
		err = play()
	case args[0] == "session":
		err = serveSession(ctx)
	case args[0] == "connect" && len(args) == 2:
		var d net.Dialer
		_, err = d.DialContext(ctx, "unix", args[1])
	case args[0] == "run":
		err = serveJob(ctx, os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("unknown part %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
