package main

import (
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

// Advice about moving in and out. Messages say facts; what follows here says what
// to do about them.

func adviceImportWhat() []string {
	return []string{"name the export file of your other product, pictures of its QR codes, or - for standard input",
		"where to find the export: docs/moving.md; a product without one: `tokenctl import --checklist PRODUCT`"}
}

func adviceImportAddress() []string {
	return []string{"put it into a file, or pipe it: `wl-paste | tokenctl import -`",
		"and remove the line from your shell's history"}
}

func adviceImportFolder(path string) []string {
	return []string{"name the files in it: `tokenctl import " + filepath.Join(path, "*") + "`"}
}

// adviceImportConflict is about accounts whose name is taken by another secret.
func adviceImportConflict(again string) []string {
	return []string{"nothing was changed; decide each: --keep (what is there), --replace NAME, --rename NAME=NEW or --leave NAME",
		"see what differs: `" + again + "`"}
}

// adviceImport is what helps with a file that could not be read.
func adviceImport(kind transfer.Kind, file string) []string {
	switch kind {
	case transfer.WrongPassword:
		return []string{"nothing was changed; mind upper case and the keyboard's layout: it is the password that the export was made with"}
	case transfer.PasswordNeeded:
		return adviceNoTerminal("--password-file FILE")
	case transfer.Damaged:
		return []string{"nothing was changed; export once more and copy the file whole, not through a mail or chat"}
	case transfer.NewerVersion:
		return []string{"install a newer tokend, or choose an older or plain format where the product offers one"}
	case transfer.Unsupported, transfer.TooCostly:
		return []string{"docs/moving.md says for each product which export is read"}
	case transfer.TooLarge:
		return []string{"export without icons and attachments, or a single product's entries"}
	case transfer.NoAccounts:
		return []string{"look whether the product exports codes at all, and whether they were chosen",
			"of a picture: take it again, sharp and whole, with a white edge around each code"}
	case transfer.Empty:
		return []string{"the export did not come to its end; export once more"}
	case transfer.Placeholder:
		return []string{"open the folder in its cloud program and have the file kept on this machine, then repeat"}
	case transfer.WebPage:
		return []string{"the download saved a page, perhaps of a login, in place of the file; log in and download once more"}
	case transfer.ListOnly:
		return []string{"there are no secrets in it; to set its accounts up anew, one by one: `tokenctl import --checklist " + file + "`"}
	case transfer.OwnBackup:
		return []string{"bring it into the vault: `tokenctl backup restore " + file + "`"}
	case transfer.UnknownEncrypted:
		return []string{"it may be no export at all, but a file of another kind, or a damaged one: any file of random bytes looks like it",
			"mind which product wrote it and with which password; where it can export without a password, that is read",
			"in a script: --password-file FILE"}
	case transfer.Unknown:
		return []string{"docs/moving.md says for each product which export is read; of some a plain list of otpauth:// addresses can be made"}
	}
	return nil
}

// adviceScreenshot is the way without the desktop's help.
func adviceScreenshot(kind ipc.Kind) []string {
	if kind == ipc.Cancelled {
		return []string{"nothing was changed"}
	}
	return []string{"take one with the desktop's own tool, and read the file: `tokenctl import --screen FILE`",
		"and destroy the file afterwards: there are secrets in it"}
}

// adviceImported is what to do once accounts are in the vault.
func adviceImported(account string, plain []string) []string {
	var lines []string
	if account != "" {
		lines = append(lines, "compare a code with the old app before you remove anything there: tokenctl code \""+account+"\"")
	}
	if len(plain) > 0 {
		what := "the export holds the secrets in the clear; once a code was right, destroy it: " + strings.Join(plain[:min(len(plain), 3)], ", ")
		if len(plain) > 3 {
			what += " and the others"
		}
		lines = append(lines, what, "  also in the trash, in download folders, in mails and on the phone")
	} else {
		lines = append(lines, "the export opens with its password alone; once a code was right, destroy it, or keep it as safe as a backup")
	}
	return lines
}

func adviceChecklistFill() string {
	return "tokenctl import --checklist PRODUCT, or FILE with a name a line"
}

// adviceChecklist is how an account of the checklist is done.
func adviceChecklist() []string {
	return []string{
		"for each: sign in at the service, set the authenticator app up anew, and give what it shows to `tokenctl account add` or `tokenctl import --screen`",
		"keep the old app until the service accepted a code of the new one; accounts in the vault are ticked off by themselves",
	}
}

func adviceChecklistFile() []string {
	return []string{"one name a line: the service, or the service, a colon and your name there",
		"a file with secrets in it is imported: `tokenctl import FILE`"}
}

func adviceChecklistNames() []string {
	return []string{"see the list: `tokenctl import --checklist`"}
}

func adviceChecklistDamaged() []string {
	return []string{"put the file aside and begin anew, or keep the list elsewhere: --checklist-file FILE"}
}

func adviceProducts() []string {
	var names []string
	for _, p := range products() {
		names = append(names, p.words[0])
	}
	return []string{"products: " + strings.Join(names, ", ") + "; any other: `tokenctl import --checklist FILE` with a name a line"}
}

func adviceExportFormat() []string {
	return []string{"--format aegis is sealed with a password; google, qr, otpauth and bitwarden are in the clear"}
}

func adviceExportOutput(pictures bool) []string {
	if pictures {
		return []string{"name a folder: --output FOLDER; at a terminal of enough columns it can be left out"}
	}
	return []string{"name a new file: --output FILE; or - for standard output"}
}

// adviceExportRefused is about accounts that did not leave: those that the format
// cannot express, and managed ones.
func adviceExportRefused(inexpressible, managed bool) []string {
	var lines []string
	if inexpressible {
		lines = append(lines, "what a format cannot express leaves as an otpauth:// address, with --format otpauth or aegis")
	}
	if managed {
		lines = append(lines, "a managed account is for one device alone; another one gets it by `tokenctl reactivate`, or by a link of whoever issued it")
	}
	return lines
}

// adviceExported is what to do with what left.
func adviceExported(sealed, files, counting bool) []string {
	var lines []string
	switch {
	case !files:
		lines = append(lines, "clear the terminal and its history when the other device has it")
	case sealed:
		lines = append(lines, "compare a code in the other product; keep the file and its password apart")
	default:
		lines = append(lines, "compare a code in the other product, then destroy the files: they are in the clear")
	}
	if counting {
		lines = append(lines, "accounts of type hotp count up: use each in one place from now on, or the two get out of step")
	}
	return lines
}
