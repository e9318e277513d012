package main

import (
	"os"
	"path/filepath"

	kardianos "github.com/kardianos/service"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// configure is the service as Windows is to have it: as the local system account, and
// started again when it fails.
func (p *platformService) configure(found programs) (*kardianos.Config, error) {
	if p.status.Scope == scopeUser {
		return nil, &ipc.Error{Kind: ipc.Unsupported, Message: "Windows starts services for the whole machine alone; your own daemon is started by tokend serve --user"}
	}
	p.status.Manager, p.status.Socket = "windows", local.SystemSocket()
	p.status.State = filepath.Join(os.Getenv("ProgramData"), "tokend")
	return &kardianos.Config{
		Name: "tokend", DisplayName: "tokend", Executable: found.tokend, Arguments: []string{"serve"},
		Description: "Two-factor codes from vaults whose keys live in security tokens",
		Option:      kardianos.KeyValue{"OnFailure": "restart", "OnFailureDelayDuration": "1s", "OnFailureResetPeriod": 60},
	}, nil
}
