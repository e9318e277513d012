package main

import (
	"errors"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// adviceChainBroken is about a chain that does not verify; others says what is not
// affected.
func adviceChainBroken(others string) []string {
	return []string{"entries were changed or lost after they were written; what stands before that place is whole",
		"compare with a copy kept elsewhere; " + others + " are not affected"}
}

// adviceAuditFilter is about entries that were asked for by what there is not; nil
// where it is about something else.
func adviceAuditFilter(err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch {
	case e.Kind == ipc.NotFound && strings.HasPrefix(e.Message, "there is no user"):
		return []string{"see who there is: `tokenctl admin user list`; root is --by \"uid 0\", the daemon itself --by tokend",
			"of who was removed the audit has the id and no name: `tokenctl admin audit list --kind user-remove` has when and by whom, and then --user ID"}
	case e.Kind == ipc.InvalidArgument && len(e.Items) > 0 && e.Items[0].Reason == "kind":
		var kinds []string
		for _, i := range e.Items {
			kinds = append(kinds, i.ID)
		}
		return []string{"one of these, or what stands before a \"-\" of several: " + strings.Join(kinds, ", ")}
	case e.Kind == ipc.InvalidArgument && strings.Contains(e.Message, "given by its id"):
		return []string{"the ids of accounts and devices are in `tokenctl --json admin user show USER`"}
	}
	return nil
}

// adviceCheckpoint says what it means that a chain does not stand to a checkpoint
// as it should, and what to do; owner is "authority" or "vault".
func adviceCheckpoint(s ipc.CheckpointStanding, owner string) []string {
	switch s {
	case ipc.CheckpointCut:
		return []string{"the chain had this entry when the checkpoint was signed, and ends before it now: its end was cut off, or an older copy of the daemon's folder was put back",
			"look into a copy of the folder from after that time; nobody but who may write the daemon's files can have done it"}
	case ipc.CheckpointRewritten:
		return []string{"the chain had another entry of this number when the checkpoint was signed: what is there now was written later",
			"entries up to the newest checkpoint that is held are as they were; look into a copy of the folder for the rest"}
	case ipc.CheckpointMissing:
		return []string{"the chain goes on after this entry and does not have it any more as it was: it was changed or taken out, or a file from the middle was moved away",
			"put the file back beside the others, or look into a copy of the daemon's folder"}
	case ipc.CheckpointBefore:
		return []string{"the entry was in an older file, which was moved away; of what is here the checkpoint says nothing",
			"put the older files back beside audit.log, under their own names, or take a later checkpoint"}
	case ipc.CheckpointOther:
		return []string{"checkpoints hold for one chain only: this is another user's, another machine's or an authority's, or the chain here was made anew since",
			"take a checkpoint that was made here: see the daemon's log of the time"}
	case ipc.CheckpointReplaced:
		return []string{"the key of this " + owner + " has signed it, for another chain: the chain here was begun anew since, as after a purge or when its files were removed, or the same vault lies on another machine",
			"a chain that follows a purge says in its first entry what it follows: tokenctl audit list"}
	case ipc.CheckpointUnknown:
		return []string{"a key has signed it that is not, and as far as is known was not, the one of this " + owner + ": somebody made it up, or it is from before the recovery password was set anew and the keys rotated",
			"it proves nothing, in either direction; take a later one"}
	case ipc.CheckpointForged:
		return []string{"the signature is not of what stands before it: the text was changed, or made up",
			"it proves nothing; take the text from where it was kept first"}
	case ipc.CheckpointUnreadable:
		return []string{"it begins as a checkpoint and is none: it was cut short or wrapped on its way",
			"take the text from where it was kept first, on one line"}
	}
	return nil
}

// adviceNoCheckpoint is about a file without one.
func adviceNoCheckpoint(command string) []string {
	return []string{"a checkpoint is one word that begins with tokend-checkpoint-1., as in the daemon's log",
		"make one: " + command + " checkpoint > FILE; or take the log: journalctl -u tokend -g 'audit checkpoint' > FILE"}
}

// adviceCheckpointMade is said when a checkpoint was made.
func adviceCheckpointMade(command string) []string {
	return []string{"keep it where who may write the daemon's files cannot: on paper, in a mail, on another machine",
		"to compare later: " + command + " verify --checkpoint FILE"}
}

// adviceTime is about a time that is none.
func adviceTime() []string {
	return []string{"give a day (2026-11-29), a time (\"2026-11-29 14:30\"), one of RFC 3339, or how long ago (90m, 36h, 7d)"}
}
