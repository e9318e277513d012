//go:build !darwin && !windows

package main

import (
	"runtime"

	"github.com/tokenbridge/tokend/ipc"
)

// serviceManager is systemd, on Linux.
func (c *cli) serviceManager(f *serviceFlags) (serviceManager, error) {
	if runtime.GOOS != "linux" {
		return nil, &hinted{
			err:   &ipc.Error{Kind: ipc.Unsupported, Message: "tokend knows no service manager of this system"},
			hints: adviceServiceAbsent(f.scoped() == scopeUser)[:1],
		}
	}
	return c.newSystemd(f)
}
