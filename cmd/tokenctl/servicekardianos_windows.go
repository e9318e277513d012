package main

import (
	"errors"
	"os"
	"path/filepath"

	kardianos "github.com/kardianos/service"
	"golang.org/x/sys/windows/svc/eventlog"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

// serviceName is the service's name, and the event log's for the daemon.
const serviceName = "tokend"

// configure is the service as Windows is to have it: as the local system account, and
// started again when it fails.
func (p *platformService) configure(found programs) (*kardianos.Config, error) {
	if p.status.Scope == scopeUser {
		return nil, &ipc.Error{Kind: ipc.Unsupported, Message: "Windows starts services for the whole machine alone; your own daemon is started by tokend serve --user"}
	}
	p.status.Manager, p.status.Socket = "windows", local.SystemSocket()
	p.status.State = filepath.Join(os.Getenv("ProgramData"), "tokend")
	return &kardianos.Config{
		// The name is tokend's in the event log too, where installing makes it known.
		Name: serviceName, DisplayName: "tokend", Executable: found.tokend, Arguments: []string{"serve"},
		Description: "Two-factor codes from vaults whose keys live in security tokens",
		Option:      kardianos.KeyValue{"OnFailure": "restart", "OnFailureDelayDuration": "1s", "OnFailureResetPeriod": 60},
	}, nil
}

// beforeRemoval makes the daemon known to the event log, where it is not because the
// service was installed by hand: removing would fail for that, when the service is
// gone already.
func beforeRemoval(s kardianos.Service) {
	if _, err := s.Status(); errors.Is(err, kardianos.ErrNotInstalled) {
		return
	}
	_ = eventlog.InstallAsEventCreate(serviceName, eventlog.Error|eventlog.Warning|eventlog.Info) // it fails where all is well
}

// unloading are the commands that do what removing does.
func (p *platformService) unloading() [][]string {
	return [][]string{{"sc.exe", "stop", serviceName}, {"sc.exe", "delete", serviceName}}
}
