package main

import "github.com/tokenbridge/tokend/ipc"

// Advice about leaving: removing accounts, purging the vault, and what is left on
// tokens.

// adviceBringBack is how an account comes back from a backup.
const adviceBringBack = "tokenctl backup restore FILE shows what is missing here, and adds it"

// adviceTimerGone removes the timer of backups, which has nothing to copy any more.
const adviceTimerGone = "tokenctl backup schedule remove"

// adviceAgentGone removes what starts the agent, which has nothing to ask about any
// more.
const adviceAgentGone = "tokenctl agent remove"

// adviceUnbacked is about a vault that would be lost for good; missing are the
// flags that say so.
func adviceUnbacked(v ipc.Vault, missing string) []string {
	a := []string{"a backup first, with the vault unlocked: `tokenctl backup create FILE`, and prove that it opens: `tokenctl backup drill FILE`"}
	if v.RecoverySet.IsZero() {
		a = append(a, "so that it opens without a token: `tokenctl recovery set-password`, before it is made")
	}
	return append(a, "if nothing in it is worth keeping: "+missing)
}

func adviceConfirmID(id string) []string {
	return []string{"nothing was removed; give it as it is: --confirm " + quoted(id)}
}

// adviceNothingToPurge is about a purge where there is no vault.
func adviceNothingToPurge(left bool) []string {
	if left {
		return []string{"what is left of one is said above, with the command that removes it"}
	}
	return []string{"nothing has to be removed; uninstalling: docs/leaving.md"}
}

// adviceWipe is the command that removes left-over keys from a token.
func adviceWipe(t ipc.TokenRef, present bool) string {
	if !present || t.ID == "" {
		return "plug it in, then: tokenctl token list"
	}
	return "tokenctl token wipe " + quoted(t.ID)
}

// adviceWipeSlots removes keys of which only the token tells that tokend made them.
func adviceWipeSlots(t ipc.Token, slots []string) string {
	line := "tokenctl token wipe " + quoted(t.ID)
	for _, s := range slots {
		line += " --slot " + quoted(s)
	}
	return line
}

// adviceWipeOther is about a token on which nothing is that is known to be left.
func adviceWipeOther(id string) []string {
	return []string{"nothing was changed; `tokenctl token info " + quoted(id) + "` shows the keys on it, and which of them tokend made",
		"those of a vault that is gone with all that was known of it: name their slots, --slot 82 --slot 83"}
}

// adviceUninstall is what is left to do for who leaves for good. The system's
// daemon has other users' vaults: that is its administrator's to remove.
func adviceUninstall(mode, state string, installed []string, keys bool) []string {
	var a []string
	if mode == "user" && state != "" {
		line := "  rm -r " + quoted(state)
		if keys {
			line += "   (when the keys are wiped: it knows them)"
		}
		a = append(a, line)
	}
	for _, path := range installed {
		a = append(a, "  rm -r "+quoted(path))
	}
	if len(a) == 0 {
		return nil
	}
	return append([]string{"to remove what tokend leaves behind, too: end it, then"}, a...)
}
