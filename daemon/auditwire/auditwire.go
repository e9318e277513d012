// Package auditwire says in the API's words what an audit log says: for the users'
// logs, which the daemon keeps, and for the authority's, which its desk does.
package auditwire

import (
	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/ipc"
)

// Entry is an entry of a log.
func Entry(e audit.Entry) ipc.AuditEntry {
	return ipc.AuditEntry{Seq: e.Seq, Time: ipc.WireTime(e.Time), Action: e.Action, Object: e.Object, By: e.By, From: e.From,
		OK: e.OK, Detail: e.Detail, Hash: e.Hash}
}

// Entries are several of them; none is an empty list.
func Entries(list []audit.Entry) []ipc.AuditEntry {
	out := make([]ipc.AuditEntry, 0, len(list))
	for _, e := range list {
		out = append(out, Entry(e))
	}
	return out
}

// Checkpoint is what was signed of a log.
func Checkpoint(c audit.Checkpoint) ipc.AuditCheckpoint {
	return ipc.AuditCheckpoint{Version: ipc.Version, Checkpoint: c.String(), Chain: c.Chain, Seq: c.Seq, Hash: c.Hash,
		Time: ipc.WireTime(c.Time), Signer: c.Signer}
}

// Verdicts are how a log stands to checkpoints; none is an empty list. One that
// could not be read has no time.
func Verdicts(list []audit.Compared) []ipc.CheckpointVerdict {
	out := make([]ipc.CheckpointVerdict, 0, len(list))
	for _, v := range list {
		one := ipc.CheckpointVerdict{Standing: ipc.CheckpointStanding(v.Standing), Chain: v.Chain, Seq: v.Seq, Signer: v.Signer}
		if v.Standing != audit.Unreadable {
			one.Time = ipc.WireTime(v.Time)
		}
		out = append(out, one)
	}
	return out
}
