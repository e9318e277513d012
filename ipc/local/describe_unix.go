//go:build unix && !linux

package local

import "github.com/tokenbridge/tokend/ipc"

// describe completes p by the short name of process p.PID; this system tells no
// more.
func describe(p ipc.Principal) ipc.Principal {
	p.Program = printable(programName(p.PID))
	return p
}

func describePeer(p ipc.Principal, _ int, _ uint32) ipc.Principal { return describe(p) }

func describeNamed(p ipc.Principal, _ uint32) ipc.Principal { return describe(p) }
