package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// adviceAfterLoss is about a vault that came back without its tokens: which still
// open it, and every backup until now.
func adviceAfterLoss(gone []ipc.Token) []string {
	a := []string{"no token that opens this vault is plugged in. To have one here, plug it in, then:"}
	if len(gone) > 0 {
		names := make([]string, len(gone))
		for i, t := range gone {
			names[i] = tokenLabel(t)
		}
		plug := "plug another one in and enrol it:"
		if !slices.ContainsFunc(gone, func(t ipc.Token) bool { return t.Kind != "soft" }) {
			// Its key is a file, which no backup holds.
			plug = "enrol another token:"
		}
		a = []string{"the vault still opens with " + strings.Join(names, ", ") + ", which is not here. If it is lost, " + plug}
	}
	a = append(a, "  tokenctl token enroll")
	if len(gone) > 0 {
		a = append(a, "and then take the lost one's way into the vault away:")
	}
	for _, t := range gone {
		a = append(a, "  tokenctl token revoke "+quoted(cmp.Or(t.Label, t.ID)))
	}
	return a
}

// adviceCause is what to do about a file from which no backup can be had.
func adviceCause(b *backupFile) []string {
	const look = "look for backups in the usual places: `tokenctl backup find`"
	switch b.problem.cause {
	case causeMissing:
		return []string{"check the path, and whether its stick or folder is there; a backup that was deleted may be in the trash", look}
	case causeFolder:
		return []string{"give a file in it; what is there: `tokenctl backup find " + quoted(b.path) + "`"}
	case causeUnreadable:
		return []string{"your user may not open it, or its disk fails; check the permissions of the file and of its folder, or take another copy"}
	case causePlaceholder:
		return []string{"open it once in the file manager, or choose \"always keep on this device\" there, wait until it has arrived, and repeat",
			"offline, nothing of it is here: take a copy from the machine that wrote it, or from the service's web page"}
	case causeEmpty:
		return []string{"wait until the folder has synced, and repeat; where it stays empty, its copying was cut off: take another copy", look}
	case causePage:
		return []string{"the download was answered with a page, often because nobody was logged in; log in there and fetch the file itself"}
	case causeExport:
		return []string{"bring its accounts in: `tokenctl import " + quoted(b.path) + "`"}
	case causePacked:
		return []string{"unpack it first (" + unpack(b.path) + "), and give the file that comes out"}
	case causeListOnly:
		return []string{"it tells which services to visit: `tokenctl backup inspect " + quoted(b.path) + "` shows it, `tokenctl import --checklist` ticks them off",
			"a backup beside it can be restored: `tokenctl backup find`"}
	case causeNewer:
		return []string{"a newer tokend wrote this, and it was left alone; install that version here"}
	case causeDamaged:
		return []string{"the file was changed or cut short, and nothing of it was used; it is no matter of the password: take another copy", look}
	}
	return append(adviceNotArchive(), look)
}

// unpack is the command that unpacks a file.
func unpack(path string) string {
	if strings.EqualFold(filepath.Ext(path), ".gz") {
		return "`gunzip -k " + quoted(path) + "`"
	}
	return "`unzip " + quoted(path) + "`, or its folder in the file manager"
}

// adviceNoAccounts is about a backup that is whole, opens, and has no account in
// it.
func adviceNoAccounts() string {
	return "it is whole, and the vault held no account when it was written: look for a later one with `tokenctl backup find`"
}

// adviceDrillByDaemon is about what only the daemon can do.
func adviceDrillByDaemon() []string {
	return []string{"a token needs the daemon: start it, or drill with the recovery password or key: --recovery, --recovery-key-file FILE"}
}

// adviceAnyToken is about --token with something else than a token's name.
func adviceAnyToken() []string {
	return []string{"whichever token is plugged in: --token any"}
}

// adviceSealed is about accounts that a drill could not use.
func adviceSealed() []string {
	return []string{"repeat with a token that guards accounts by touch (--token NAME), or with the recovery password (--recovery)"}
}

// adviceBroken is about accounts of a backup that are of no use.
func adviceBroken() []string {
	return []string{"the file is as it was written, so no other copy of it helps: set these accounts up anew while you can still log in",
		"then make a new backup: `tokenctl backup create FILE`"}
}

// adviceWhichBackup is about a drill that was not told which backup is meant.
func adviceWhichBackup() []string {
	return []string{"name it: `tokenctl backup drill FILE`; make one: `tokenctl backup create FILE`"}
}

// adviceKeyTyped is about a recovery key that was mistyped.
func adviceKeyTyped() []string {
	return []string{"nothing was tried: compare it with the paper, group by group; spaces and small letters are fine",
		"there is no letter O, I or B in it: those are 0, L (or 1, which is L too) and 8"}
}

// adviceKeyShown is about a recovery key that stands on the screen.
func adviceKeyShown() string {
	return "clear the terminal and its history when it is on paper"
}

// adviceCheckedWrong is about a recovery password that was wrong when it was
// asked for to see whether it is still known.
func adviceCheckedWrong(set, others string) []string {
	hints := []string{"nothing was changed; mind upper case and the keyboard's layout: the one in force was set " + set}
	if others != "" {
		hints = append(hints, "what else opens the vault: "+others)
	}
	return append(hints, "if it is lost, set another while a token still opens the vault: `tokenctl recovery set-password`")
}

// adviceLostPassword is about a backup whose password is not known, with what
// else opens it.
func adviceLostPassword(set string, tokens []string) []string {
	hints := []string{"a backup opens with the recovery password of the time when it was made: this one's was set " + set + "; mind upper case and the keyboard's layout"}
	if len(tokens) > 0 {
		hints = append(hints, "so does a token that was enrolled then: "+strings.Join(tokens, ", ")+" (--token any), or the recovery key if it was printed (--recovery-key-file)")
	} else {
		hints = append(hints, "so does the recovery key, if it was printed: --recovery-key-file")
	}
	return append(hints, "with none of these nobody can open it: see docs/recovery.md for what is left to do")
}

// adviceNoneFound is about a search that found nothing.
func adviceNoneFound(complete bool) []string {
	hints := []string{"plug in the stick, log in to the cloud's folder and let it sync, then repeat; a folder of your own: `tokenctl backup find DIR`"}
	if !complete {
		hints = append(hints, "not everything was looked through: name the folder")
	}
	return append(hints, "a renamed backup is one all the same: `tokenctl backup inspect FILE`")
}
