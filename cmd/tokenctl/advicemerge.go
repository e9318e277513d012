package main

import "github.com/tokenbridge/tokend/ipc"

// adviceApply says how a plan that was shown is done.
func adviceApply(again string, conflicts int) string {
	if conflicts > 0 {
		return "decide the conflicts (--keep, --replace NAME, --rename NAME=NEW, --leave NAME) and do it: `" + again + " --apply`"
	}
	return "do it: `" + again + " --apply`"
}

// adviceItemNumber is about a flag that names no one item.
func adviceItemNumber(flag string) []string {
	return []string{"name it by its number in the plan: " + flag + " 3; without --apply the plan is only shown"}
}

// adviceMerge is for a backup that cannot be brought into a vault that is there.
func adviceMerge(k ipc.Kind, path, signer string) []string {
	switch k {
	case ipc.Conflict:
		return []string{"decide them: --keep for what is there, --replace NAME, --rename NAME=NEW, --leave NAME; NAME is an item's number or name"}
	case ipc.WrongPassword:
		return []string{"nothing was changed; the backup opens with the recovery password of the time when it was made",
			"where the vault has another, open it first: `tokenctl unlock`"}
	case ipc.AlreadyExists, ipc.InvalidArgument:
		return []string{"nothing was changed; without --apply the plan is shown, with the numbers of its items"}
	case ipc.VaultDamaged:
		return []string{"repair the vault first: `tokenctl vault recover`"}
	}
	return adviceRestore(k, path, signer)
}

// adviceUndo is for a step that cannot be taken back.
func adviceUndo() []string {
	return []string{"`tokenctl backup undo --list` shows what can be taken back: imports and restores of 30 days, until a token is revoked or the recovery key rotated"}
}
