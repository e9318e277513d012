package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// sayLeaving says what a purge loses and what remains where.
func (c *cli) sayLeaving(r *remains) {
	if r.Vault.State == ipc.VaultNone {
		c.say("There is no vault here.")
		c.sayLeftovers(r)
		return
	}
	c.say("Purging removes vault %s from this machine for good.", clean(vaultName(r.Vault)))
	c.say("")
	c.say("Lost:")
	c.sayLost(r)
	c.say("")
	c.say("What remains:")
	c.sayLeftBackups(r)
	c.sayLeftTokens(r.Tokens)
	c.say("- One entry of the audit log, that the vault was purged%s.", either(hasSlots(r.Tokens), "; and the public keys that are left on tokens, so that they can be wiped", ""))
	for _, path := range r.Here.Installed {
		c.say("- %s", clean(path))
	}
	if r.Here.Timer != "" {
		c.say("- The timer that copies backups: %s", clean(r.Here.Timer))
	}
	if r.Here.Agent != "" {
		c.say("- What starts the agent with your session: %s", clean(r.Here.Agent))
	}
	c.say("")
	c.say("A deleted file can survive on an SSD or in a snapshot of the disk. It is sealed: whoever finds it needs an enrolled token with its PIN, or the recovery password, as for a backup.")
}

// vaultName is a vault's id, or that it cannot be read.
func vaultName(v ipc.Vault) string {
	if v.ID == "" {
		return "(whose id cannot be read)"
	}
	return v.ID
}

// mostNamed is how many accounts are named one by one.
const mostNamed = 50

// sayLost says what goes and comes back from a backup at most.
func (c *cli) sayLost(r *remains) {
	switch {
	case !r.Listed:
		c.say("- All accounts in it. It is locked, so nobody can say which; to see them: tokenctl unlock")
	case len(r.Accounts) == 0:
		c.say("- No account: there is none in it.")
	default:
		c.say("- %s:", plural(len(r.Accounts), "account"))
		for i, a := range r.Accounts {
			if i == mostNamed {
				c.say("    and %d more: tokenctl account list", len(r.Accounts)-mostNamed)
				break
			}
			c.say("    %s%s", accountName(a.Issuer, a.Name), lostText(r.Leaving, a))
		}
	}
	if r.Changes > 0 {
		c.say("- %s since the last backup from which it could be restored.", plural(r.Changes, "change"))
	}
	if len(r.Here.Destinations) > 0 {
		c.say("- Which folders backups are copied to, and when backups were proved; no backup has that:")
		for _, path := range r.Here.Destinations {
			c.say("    %s", clean(path))
		}
	}
	for _, f := range r.Files {
		if text := lostFiles(f); text != "" {
			c.say("- %s", text)
		}
	}
}

// lostText is what else there is to know of an account that goes.
func lostText(left ipc.Leaving, a ipc.Account) string {
	switch {
	case a.Kind == "managed":
		return " (managed: tokenctl reactivate, or whoever issued it, brings it back)"
	case slices.Contains(left.Counting, a.ID):
		return " (its counter may be ahead of the newest backup: after a restore the service may want a resync)"
	}
	return ""
}

// lostFiles is what goes with the vault.
func lostFiles(f ipc.LeftFiles) string {
	switch f.Kind {
	case "soft":
		return plural(f.Count, "key file") + " of software tokens: those open nothing any more, no backup either"
	case "generations":
		return plural(f.Count, "earlier state") + " of the vault"
	case "aside":
		return "what a restore put aside: " + clean(f.Path)
	case "undo":
		return plural(f.Count, "undo snapshot") + " of restores and imports"
	case "spool":
		return plural(f.Count, "backup") + " that the daemon keeps itself (copies elsewhere stay)"
	case "grants":
		return "the grant modes: which programs need your consent"
	case "audit":
		return "the audit log"
	}
	return ""
}

// sayLeftBackups names the backups that remain, and what they are worth.
func (c *cli) sayLeftBackups(r *remains) {
	if len(r.Backups) == 0 {
		c.say("- No backup is known outside of the daemon's folder. One that was copied elsewhere stays there.")
		return
	}
	c.say("- Backups, which stay where they are, the newest first:")
	var folders []string
	for i, b := range slices.Backward(r.Backups) {
		if len(r.Backups)-i <= mostBackups {
			c.say("    %s", clean(b.Path))
			c.say("      %s", strings.Join(backupWorth(c, b, r.Here.Backups[i]), "; "))
		} else if dir := filepath.Dir(b.Path); !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	if n := len(r.Backups) - mostBackups; n > 0 {
		c.say("    and %d more in %s", n, clean(strings.Join(folders, ", ")))
	}
}

// mostBackups is how many backups are named one by one.
const mostBackups = 8

// backupWorth says in a few words what a backup is worth.
func backupWorth(c *cli, b ipc.LeftBackup, seen seenBackup) []string {
	words := []string{"of " + b.Made.Local().Format("2006-01-02 15:04")}
	if b.Accounts >= 0 {
		words[0] += " with " + plural(b.Accounts, "account")
	}
	switch {
	case !seen.Whole:
		words = append(words, seen.Problem)
	case !b.Proved.IsZero():
		words = append(words, "proved "+ago(c.now(), b.Proved))
	case !b.Opened.IsZero():
		words = append(words, "opened "+ago(c.now(), b.Opened))
	default:
		words = append(words, "never opened")
	}
	if len(b.OpenedBy) == 0 {
		return append(words, "nothing opens it any more")
	}
	return append(words, "opens with "+clean(strings.Join(b.OpenedBy, ", ")))
}

func hasSlots(list []ipc.LeftToken) bool {
	return slices.ContainsFunc(list, func(t ipc.LeftToken) bool { return len(t.Slots) > 0 })
}

// sayLeftTokens says what stays on which token.
func (c *cli) sayLeftTokens(list []ipc.LeftToken) {
	for _, t := range list {
		switch name := leftName(t); {
		case len(t.Slots) > 0:
			c.say("- Keys on %s: %s. They open no vault here then.", name, slotsText(t.Slots))
		case t.Token.Kind == kindFIDO2:
			c.say("- Nothing on %s: a FIDO2 key keeps nothing of a vault.", name)
		case t.Token.Kind == "piv":
			c.say("- On %s the keys that were there before it was enrolled.", name)
		}
	}
}

// leftName is how a token is called on which keys remain.
func leftName(t ipc.LeftToken) string {
	if t.Token.ID == "" {
		return "PIV cards that are not plugged in, of revoked keyslots or of a vault that is gone"
	}
	return tokenName(&t.Token)
}

func slotsText(slots []string) string {
	return either(len(slots) == 1, "slot ", "slots ") + clean(strings.Join(slots, ", "))
}

// sayLeftovers says what is left on tokens where there is no vault.
func (c *cli) sayLeftovers(r *remains) {
	for _, t := range r.Tokens {
		if len(t.Slots) > 0 {
			c.say("Left on %s: keys in %s, which open nothing here.", leftName(t), slotsText(t.Slots))
			c.say("  remove them: %s", adviceWipe(t.Token, t.Present))
		}
	}
	if r.Here.Timer != "" {
		c.say("Left: the timer that copies backups; remove it: %s", adviceTimerGone)
	}
	if r.Here.Agent != "" {
		c.say("Left: what starts the agent with your session; remove it: %s", adviceAgentGone)
	}
	for _, path := range r.Here.Installed {
		c.say("Left: %s", clean(path))
	}
}

// sayPurged says what was done and which commands go on from here.
func (c *cli) sayPurged(res ipc.PurgeResult, r *remains) {
	c.say("")
	c.say("purged: vault %s is gone from this machine", clean(vaultName(r.Vault)))
	for _, w := range res.Warnings {
		c.say("warning: %s", clean(w.Message))
	}
	for _, t := range res.Left.Tokens {
		if len(t.Slots) > 0 {
			c.say("to remove the keys in %s from %s: %s", slotsText(t.Slots), leftName(t), adviceWipe(t.Token, t.Present))
		}
	}
	if r.Here.Timer != "" {
		c.say("to remove the timer that copies backups: %s", adviceTimerGone)
	}
	if r.Here.Agent != "" {
		c.say("to remove what starts the agent with your session: %s", adviceAgentGone)
	}
	for i, b := range slices.Backward(r.Here.Backups) {
		if b.Whole && len(r.Backups[i].OpenedBy) > 0 {
			c.say("to have it back: tokenctl backup restore %s", quoted(clean(b.Path)))
			break
		}
	}
	for _, line := range adviceUninstall(r.mode, stateFolder(res.Left.Files), r.Here.Installed, hasSlots(res.Left.Tokens)) {
		c.say("%s", line)
	}
}

// stateFolder is the daemon's state folder, as far as the list of files tells.
func stateFolder(files []ipc.LeftFiles) string {
	for _, f := range files {
		if f.Kind == "vault" && f.Path != "" {
			return filepath.Dir(filepath.Dir(f.Path))
		}
	}
	return ""
}

// sayLeftOver names the tokens with keys that open nothing here any more.
func (c *cli) sayLeftOver(list []ipc.Token) {
	for _, t := range list {
		if len(t.Left) > 0 {
			c.say("left over on %s: %s (of a revoked keyslot, an interrupted enrolment, or a vault that was purged)", tokenLabel(t), slotsText(t.Left))
			c.say("  remove them: %s", adviceWipe(ipc.TokenRef{ID: t.ID}, t.Present))
		}
	}
}
