//go:build unix && !linux

package local

import "github.com/tokenbridge/tokend/ipc"

// Describe completes p by the short name of process p.PID; this system tells no
// more. pidfd is for Linux.
func Describe(p ipc.Principal, _ int) ipc.Principal {
	p.Program = printable(programName(p.PID))
	return p
}

func describePeer(p ipc.Principal, _ int, _ uint32) ipc.Principal { return Describe(p, -1) }

func describeNamed(p ipc.Principal, _ uint32) ipc.Principal { return Describe(p, -1) }
