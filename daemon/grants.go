package daemon

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// Grants implements [ipc.Grants].
func (d *Daemon) Grants(_ context.Context, _ ipc.Principal) (ipc.GrantList, error) {
	return ipc.GrantList{}, errNoGrants()
}

// SetGrantMode implements [ipc.Grants].
func (d *Daemon) SetGrantMode(_ context.Context, _ ipc.Principal, _ ipc.SetGrantModeRequest) (ipc.GrantList, error) {
	return ipc.GrantList{}, errNoGrants()
}

// AllowGrant implements [ipc.Grants].
func (d *Daemon) AllowGrant(_ context.Context, _ ipc.Principal, _ ipc.AllowRequest) (ipc.GrantList, error) {
	return ipc.GrantList{}, errNoGrants()
}

// RevokeGrants implements [ipc.Grants].
func (d *Daemon) RevokeGrants(_ context.Context, _ ipc.Principal, _ ipc.RevokeGrantsRequest) (ipc.GrantList, error) {
	return ipc.GrantList{}, errNoGrants()
}

// Agent implements [ipc.Agents].
func (d *Daemon) Agent(_ context.Context, _ ipc.Principal, _ string, _ func(ipc.Event) error) error {
	return errNoGrants()
}

// AnswerAgent implements [ipc.Agents].
func (d *Daemon) AnswerAgent(_ context.Context, _ ipc.Principal, _ ipc.AgentAnswer) error {
	return errNoGrants()
}

func errNoGrants() *ipc.Error {
	return ipc.Errorf(ipc.Unsupported, "no agent answers yet")
}
