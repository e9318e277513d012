package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// What goes on holding accounts that are removed.

// heldAlike are removed accounts that the same backups hold.
type heldAlike struct {
	names []string
	ipc.RemovedAccount
}

// alike puts accounts together that the same holds.
func alike(list []ipc.RemovedAccount) []heldAlike {
	var out []heldAlike
	for _, a := range list {
		name := accountName(a.Account.Issuer, a.Account.Name)
		i := slices.IndexFunc(out, func(h heldAlike) bool {
			return slices.Equal(h.InBackups, a.InBackups) && h.InSpool == a.InSpool && slices.Equal(h.InUndo, a.InUndo)
		})
		if i < 0 {
			out = append(out, heldAlike{RemovedAccount: a})
			i = len(out) - 1
		}
		out[i].names = append(out[i].names, name)
	}
	return out
}

// sayHolders says what goes on holding accounts, once for all that the same holds.
func (c *cli) sayHolders(list []ipc.RemovedAccount) {
	groups := alike(list)
	for _, h := range groups {
		them := either(len(h.names) == 1, "it", "them")
		if len(groups) > 1 {
			them = strings.Join(h.names, ", ")
		}
		var held []string
		for _, b := range h.InBackups {
			held = append(held, backupText(b))
		}
		if h.InSpool > 0 {
			held = append(held, fmt.Sprintf("%s that the daemon keeps itself, until newer ones take the place: tokenctl backup list", plural(h.InSpool, "backup")))
		}
		if n := len(h.InUndo); n > 0 {
			held = append(held, plural(n, "undo snapshot")+" of restores and imports on this machine: tokenctl backup undo --list")
		}
		if len(held) == 0 {
			c.say("no backup that the daemon knows of holds %s", them)
			continue
		}
		c.say("what should still hold %s:", them)
		for _, line := range held {
			c.say("  %s", line)
		}
	}
}

// sayCopied says when a backup was last copied out of the daemon's folder.
func (c *cli) sayCopied(r ipc.RemoveAccountsResult) {
	if r.LastBackup.IsZero() {
		c.say("No backup of this vault was ever copied out of the daemon's folder.")
		return
	}
	c.say("A backup was last copied out of the daemon's folder %s.", ago(c.now(), r.LastBackup))
}

// sayCannotRestore says how what was removed comes back, where it can.
func (c *cli) sayCannotRestore(r ipc.RemoveAccountsResult) {
	held := 0
	for _, a := range r.Accounts {
		if len(a.InBackups) > 0 {
			held++
		}
	}
	if held > 0 {
		// The daemon goes by when each was made; an account that came from another
		// vault, or a clock that was wrong, can make that say too much.
		c.say("to see for sure: tokenctl backup inspect FILE")
		c.say("to bring %s back: %s", either(len(r.Accounts) == 1, "it", fmt.Sprintf("%d of them", held)), adviceBringBack)
	}
}
