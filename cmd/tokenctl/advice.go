package main

import (
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// All advice that tokenctl gives lives in the files advice*.go: about tokens in
// advicetoken.go, about agents and consent in adviceagent.go, about backups that
// are made by themselves in advicebackup.go, about files and passwords that are lost in adviceloss.go, about files in
// advicefile.go. Messages say facts; what follows here says what to do about them.

// advise is [advise], with what this run knows.
func (c *cli) advise(e *ipc.Error) []string {
	switch {
	case local.Nobody() != "" && (e.Kind == ipc.Unreachable || e.Kind == ipc.NotAuthorized):
		return adviceNobody(local.Nobody())
	case e.Kind == ipc.InvalidArgument && c.ran != "":
		return adviceHelp(c.ran)
	case e.Kind == ipc.Unreachable && c.getenv != nil:
		return adviceUnreachable(c.ownSocket())
	}
	return advise(e)
}

// advise is what a person can do about an error, one sentence a line. It knows
// every kind of ipc.Kinds.
func advise(e *ipc.Error) []string {
	if a := adviseToken(e); a != nil {
		return a
	}
	if a := adviseVault(e); a != nil {
		return a
	}
	return adviseRest(e)
}

// unchanged begins the advice for a failure that left everything as it was.
const unchanged = "nothing was changed"

// adviceOnly is advice without the word that nothing was changed, where that is
// said already or nothing was tried.
func adviceOnly(advice []string, known bool) []string {
	if !known {
		return advice
	}
	var rest []string
	for _, a := range advice {
		if a != unchanged {
			rest = append(rest, strings.TrimPrefix(a, unchanged+"; "))
		}
	}
	return rest
}

func adviseVault(e *ipc.Error) []string {
	switch e.Kind {
	case ipc.NoVault:
		return []string{"make one: `tokenctl quickstart` asks step by step, `tokenctl init` is for scripts",
			"or bring one back: `tokenctl backup restore FILE`"}
	case ipc.AccountInactive:
		return adviceInactive("tokenctl reactivate ACCOUNT")
	case ipc.VaultLocked:
		if strings.Contains(e.Message, "the agent") || strings.Contains(e.Message, noAgent) {
			return append([]string{"unlock it: `tokenctl unlock`"}, adviceWhichAgent()...)
		}
		return []string{"unlock it: `tokenctl unlock` (in a script: `tokenctl unlock --pin-file FILE`, or --recovery-password-file FILE)"}
	case ipc.VaultDamaged:
		switch {
		case strings.Contains(e.Message, "no good generation"):
			return []string{"bring a backup back: `tokenctl backup restore FILE`; the damaged files are put aside, not deleted"}
		case strings.Contains(e.Message, "was removed while"):
			return []string{"what is unlocked is still in memory: note down what matters, `tokenctl account show ACCOUNT --qr`",
				"then `tokenctl lock`, and bring a backup back: `tokenctl backup restore FILE`"}
		}
		return []string{"nothing was overwritten; see what is left: `tokenctl vault recover`",
			"if nothing is, bring a backup back: `tokenctl backup restore FILE` puts the damaged files aside"}
	case ipc.VaultReplaced:
		return []string{"this is not the vault this daemon knew: somebody put another in its place, or a folder was copied; nothing of it was used",
			"put your own back, or see what is left of it here: `tokenctl vault recover`",
			"if nothing is, bring a backup back: `tokenctl backup restore FILE` puts what is there aside"}
	case ipc.VaultRolledBack:
		if strings.Contains(e.Message, " is over") {
			return []string{"a copy from before the keys were changed lies where the newer vault was; a token revoked since would open it, so it was not used and never will be",
				"put the newer one back, or see what is left of it here: `tokenctl vault recover`",
				"if nothing is, bring a backup back: `tokenctl backup restore FILE` puts what is there aside"}
		}
		return []string{"an older copy of the vault lies where a newer one was (a restored snapshot does that); it was not used",
			"put the newer one back, or go on from the older one: `tokenctl vault recover`"}
	case ipc.BackupDamaged:
		return []string{"the file was changed or cut short, and nothing of it was used; take another copy",
			"`tokenctl backup inspect FILE` says of any copy whether it is whole"}
	case ipc.BackupUnknown:
		return []string{"compare the fingerprint with the one you noted; if it is yours, add --signer FINGERPRINT and repeat",
			"`tokenctl backup inspect FILE` says of any copy which vault it is of and who signed it"}
	case ipc.WrongPassword:
		return []string{"nothing was changed; mind upper case, the keyboard's layout, and passwords from an earlier date",
			"`tokenctl status` says when the recovery password was set; an enrolled token opens without it"}
	case ipc.NewerVersion:
		return []string{"a newer tokend wrote this, and it was left alone; install that version here"}
	case ipc.AuthorityDamaged:
		return []string{"nothing was changed; put back a copy of the authority's folder, or see `tokenctl doctor`"}
	case ipc.AuthorityKey:
		return []string{"the registry is whole, and opens with its own key: see `tokenctl doctor`"}
	case ipc.LastKeyslot:
		return []string{"add another way first: `tokenctl token enroll` or `tokenctl recovery set-password`"}
	case ipc.BackupStale:
		return []string{"make one now: `tokenctl backup create FILE`"}
	}
	return nil
}

func adviseRest(e *ipc.Error) []string {
	switch e.Kind {
	case ipc.InvalidArgument:
		return []string{"see `tokenctl help`, or any command with --help"}
	case ipc.Unsupported:
		return []string{"this version cannot do it; `tokenctl version` shows which answers"}
	case ipc.NotAuthorized:
		if isDenied(e) {
			return adviceDenied("")
		}
		return []string{"your user may not do this; at the machine itself, or as root, it may be allowed"}
	case ipc.ConsentRequired:
		return adviceConsent(e, "", false)
	case ipc.NotFound:
		if len(e.Items) > 0 {
			return []string{"give one of these, by the id at the beginning of its line"}
		}
		return []string{"see what there is: `tokenctl account list`, `tokenctl token list`"}
	case ipc.AlreadyExists:
		return []string{"nothing was overwritten; choose another name, or change what is there"}
	case ipc.Ambiguous:
		return []string{"give more of the name, `issuer:name`, or the id at the beginning of the line"}
	case ipc.AmbiguousToken:
		return []string{"say which: --token with the id at the beginning of a line, or the name after it"}
	case ipc.Cancelled:
		return []string{"what was asked for was not done; repeat it when you like"}
	case ipc.PasscodeInvalid:
		return []string{"use the passcode that the fob shows now"}
	case ipc.PasscodeReused:
		return []string{"wait for the fob's next passcode: each is good for one use"}
	case ipc.Throttled:
		return []string{"wait " + waitText(e.RetryAfter) + " and repeat"}
	case ipc.PolicyDenied:
		return []string{"your organisation's policy forbids it; ask an administrator which ways it leaves"}
	case ipc.ActivationBad:
		return []string{"the activation was used, has expired, or is for something else; ask for a new one"}
	case ipc.Conflict:
		return []string{"nothing was changed; look at the items above and say which is meant"}
	case ipc.RowsSkipped:
		return []string{"the rest was taken over; mend the rows above and repeat"}
	case ipc.Unreachable:
		return adviceUnreachable("")
	case ipc.VerifierDown:
		if isAuthorityLocked(e) {
			return adviceAuthorityLocked()
		}
		return []string{"nothing was accepted; the server that verifies has to be reachable: repeat later"}
	case ipc.MailFailed:
		return []string{"nothing was sent, and what it was about is undone; repeat later"}
	case ipc.DiskFull:
		return []string{"nothing was lost and nothing was changed; free some space and repeat"}
	case ipc.Busy:
		return []string{"nothing was changed; wait " + waitText(e.RetryAfter) + " and repeat"}
	}
	return []string{"nothing more is known here; the daemon's log has the cause, `tokenctl doctor` looks for it"}
}

// adviceUnreachable is how to start the daemon so that it listens where it is
// looked for.
func adviceUnreachable(socket string) []string {
	return []string{"start it, in a terminal of its own: `" + adviceServe(socket) + "`",
		"another socket: --socket PATH or TOKEND_SOCKET; `tokenctl doctor` looks for what is wrong"}
}

// adviceNobody is for who runs this as the overflow uid, to whom no daemon answers.
func adviceNobody(uid string) []string {
	return []string{"your uid, " + uid + ", stands for everybody who has no number here: no daemon serves it, and none of its own is trusted; run this as another user, such as `sudo -u USER tokenctl status`"}
}

// adviceServe is the command that starts the daemon.
func adviceServe(socket string) string {
	if socket == "" {
		return "tokend serve --user"
	}
	return "tokend serve --user --socket " + quoted(socket)
}

// adviceStart starts a daemon that does not answer: the machine's, where one is
// installed and no other socket was named.
func adviceStart(socket string, installed bool) string {
	if socket == "" && installed {
		return "sudo tokenctl service start"
	}
	return adviceServe(socket)
}

// adviceServiceFiles puts in place what a machine's tokend needs of the system.
const adviceServiceFiles = "sudo tokenctl service install"

// adviceSocketRights is for a socket that may not be connected to. systemd makes the
// machine's anew, for everybody; another one is somebody else's.
func adviceSocketRights(socket string, system bool) string {
	if system {
		return "sudo systemctl restart tokend.socket"
	}
	return "ls -ld " + quoted(filepath.Dir(socket)) + " " + quoted(socket)
}

// quoted is s as a word of a command.
func quoted(s string) string { return ipc.ShellWord(s) }

// idOf is a token's id as the argument of a command.
func idOf(t *ipc.TokenRef) string {
	if t == nil || t.ID == "" {
		return ""
	}
	return " " + quoted(t.ID)
}

// adviceHelp points at a command's own help.
func adviceHelp(command string) []string {
	return []string{"see `" + command + " --help`"}
}

// adviceStray is about words where a command takes flags only. Where it takes a
// secret, that may be what was typed.
func adviceStray(command string, secret bool) []string {
	if !secret {
		return adviceHelp(command)
	}
	return []string{"a secret is asked for, hidden, or comes from a file: --secret-file FILE; a picture of a QR code: --qr FILE",
		"if it was the secret: it is in the shell's history now, take it out there"}
}

// adviceSecretFlag is about a secret as the value of a flag.
func adviceSecretFlag(file string) []string {
	return []string{"leave it out to be asked, or give it with --" + file + " FILE (- is standard input)",
		"what was typed is in the shell's history now: take it out there"}
}

// adviceCommands says which command may have been meant.
func adviceCommands(group, word string, meant []string) []string {
	a := make([]string, 0, len(meant)+1)
	for _, m := range meant {
		a = append(a, "did you mean: `"+m+"`")
	}
	if len(meant) == 0 && group == "tokenctl" {
		a = append(a, "a code: `tokenctl code "+quoted(word)+"`")
	}
	return append(a, adviceHelp(group)...)
}

// adviceWhichToken is about a command that takes a token's name, and found
// several.
func adviceWhichToken(command string) []string {
	return []string{"say which, by the id at the beginning of a line or the name after it: `" + command + " TOKEN`"}
}

func adviceNoToken() []string {
	return []string{"`tokenctl token list` shows names and ids"}
}

// adviceNoTerminal names the flag that takes the place of a question.
func adviceNoTerminal(flag string) []string {
	return []string{"there is no terminal to ask at (or --no-input is set); give it with " + flag}
}

func adviceFilesOnly() []string {
	return []string{"a file's secret is tried once; correct the file and repeat"}
}

// adviceMalformed is about a PIN that cannot be the token's.
func adviceMalformed() []string {
	return []string{"nothing was tried, and no try was spent; correct it and repeat"}
}

func adviceTwoFromStdin() []string {
	return []string{"standard input can carry one secret; put the other into a file"}
}

func adviceVaultExists() []string {
	return []string{"nothing was changed; `tokenctl status` shows the vault",
		"another token for it: `tokenctl token enroll`; the recovery password: `tokenctl recovery set-password`"}
}

func adviceDuplicate() []string {
	return []string{"nothing was overwritten; choose another --name, or keep both: --allow-duplicate"}
}

func adviceNarrow() []string {
	return []string{"make the window wider, or the letters smaller, and repeat"}
}

// adviceNoClipboard is about a clipboard that cannot be reached: where there is
// no graphical session, no program helps.
func adviceNoClipboard(session bool) []string {
	if !session {
		return []string{"no code was made; run it inside your graphical session, or let the terminal do it, where it can: --copy=terminal"}
	}
	return []string{"no code was made; install wl-clipboard (Wayland) or xclip (X11)",
		"or let the terminal do it, where it can: --copy=terminal"}
}

// adviceAccount is for a list to pick from where nobody can.
func adviceAccount() []string {
	return []string{"name the account: `tokenctl code ACCOUNT`; their names: `tokenctl account list`",
		"the codes of all: `tokenctl code --all`"}
}

// adviceNoAccount is about a code that was wanted where no account is.
func adviceNoAccount() []string {
	return []string{"add one: `tokenctl account add`, or all of another app: `tokenctl import FILE...`"}
}

// adviceCopyTerminal is for a list whose codes cannot be copied.
const adviceCopyTerminal = "with --copy=terminal the terminal does it, where it can"

func adviceMigrationQR() []string {
	return []string{"this is the picture of an export of Google Authenticator, which holds many accounts in a form of its own",
		"bring them all in, with all pictures of the export at once: `tokenctl import FILE...`"}
}

func adviceNoQR() []string {
	return []string{"take the picture so that the whole code and the white edge around it are in it, straight and sharp",
		"or copy the secret that the service shows beside it: `tokenctl account add --issuer … --name …`"}
}

func adviceBase32() []string {
	return []string{"copy it again from where the service shows it; groups, spaces and small letters are fine",
		"a 0, 1 or 8 in it is usually a letter misread: O, I or L, B"}
}

// adviceAgree is about a change that an enrolled token has to agree to; flag is
// that of the recovery password.
func adviceAgree(e *ipc.Error, flag string) []string {
	if noTokenCan(e) {
		return []string{"nothing was changed; no token is enrolled that can agree, so the recovery password has to:",
			"run it at a terminal to be asked for it, or give it with " + flag + " FILE"}
	}
	return []string{"nothing was changed; plug an enrolled token in and repeat, for it has to agree",
		"without any: run it at a terminal to be asked for the recovery password, or give it with " + flag + " FILE"}
}

// noTokenCan says that a failure is not about a token that is away: none is
// enrolled that could do it.
func noTokenCan(e *ipc.Error) bool {
	return e.Kind == ipc.NoKeyslot && strings.HasPrefix(e.Message, "no token opens ")
}

// adviceNothingLeft is about a vault that recover cannot mend.
func adviceNothingLeft() []string {
	return []string{"nothing was overwritten; bring a backup back: `tokenctl backup restore FILE` puts what is there aside"}
}

// adviceOtherQR is about a picture that was read well, and is none of an account.
func adviceOtherQR() []string {
	return []string{"it is another QR code, such as a web address or one to log in with; nothing was opened",
		"take the one that the service shows when an authenticator app is set up there, or the secret beside it: `tokenctl account add`"}
}

func adviceManyQR() []string {
	return []string{"cut the picture so that one code is in it, and repeat for each"}
}

func adviceNotArchive() []string {
	return []string{"it is no backup of tokend: check that this is the right file, and whether it was copied to the end",
		"a file in a cloud folder may not have been downloaded yet"}
}

func adviceWrongBackupPassword() []string {
	return []string{"a backup opens with the recovery password of the time when it was made, which is shown above",
		"a token that was enrolled then opens it too: --token any"}
}

func adviceNoRecoveryInBackup() []string {
	return []string{"no recovery password was set when it was made: only the tokens shown above open it: --token TOKEN, or --token any"}
}

func adviceVerifyByToken() []string {
	return []string{"add --token any, with the daemon running and a token plugged in"}
}

func adviceDamagedOnWay() []string {
	return []string{"nothing was written; repeat, and if it happens again see the daemon's log"}
}

func adviceBadDisk() []string {
	return []string{"the bad file was removed; the disk or stick may be failing: write the backup to another"}
}

// adviceRestore is about a backup that could not be restored, where the kind's
// own advice would speak of a vault that is not there.
func adviceRestore(k ipc.Kind, path, signer string) []string {
	recovery := "or with the recovery password of the time when it was made: `tokenctl backup restore " + quoted(path) + " --recovery`"
	switch k {
	case ipc.TokenNotPresent, ipc.NoKeyslot, ipc.TokenRemoved, ipc.TokenFailed:
		return []string{"nothing was changed; plug in a token that was enrolled when it was made, and repeat", recovery}
	case ipc.TokenService:
		return []string{adviceCardService(remedy.Here()), recovery}
	case ipc.PINBlocked:
		return []string{"nothing was changed; plug in another token that was enrolled when it was made, and repeat", recovery}
	case ipc.WrongPassword:
		return []string{"nothing was changed; mind upper case, the keyboard's layout, and that it opens with the password of the time when it was made",
			"a token that was enrolled then opens it, too"}
	case ipc.AlreadyExists:
		return []string{"nothing was changed; `tokenctl status` shows the vault; one that is damaged has to be locked first: `tokenctl lock`"}
	case ipc.VaultReplaced, ipc.BackupUnknown:
		return []string{"nothing was changed: another vault is here, or was, than the one this backup is of",
			"if you know the fingerprint as yours: `tokenctl backup restore " + quoted(path) + " --signer " + quoted(signer) + "`"}
	}
	return nil
}

// adviceSigner says where a fingerprint is found.
func adviceSigner() []string {
	return []string{"`tokenctl status` showed it as \"signed by\" where the vault was, and `tokenctl backup inspect FILE` shows a backup's"}
}

func adviceNoRecovery() []string {
	return []string{"set one: `tokenctl recovery set-password`"}
}

func adviceOtherSigner() []string {
	return []string{"the file is whole, but another vault's key signed it: do not restore it unless you know why"}
}

func adviceKinds() []string {
	return []string{"--token piv for a card such as a YubiKey, --token fido2 for a FIDO2 security key, --token soft for a file sealed by a passphrase"}
}

// adviceFlags is about flags that another kind of token has.
func adviceFlags(kind string) []string {
	switch kind {
	case kindFIDO2:
		return []string{"which FIDO2 key is meant: --device PATH, or its id; slots, algorithm and management key are a PIV card's"}
	case "piv":
		return []string{"which card is meant: --reader READER, or its id; --device is for --token fido2"}
	}
	return adviceKinds()
}

func adviceSample() []string {
	return []string{"run it at a terminal to be asked, or give --sample to see every step with a throwaway vault and sample input",
		"a vault for real use in a script: `tokenctl init --token …`"}
}

// adviceFactory is where every factory secret is named, with what changes it.
const adviceFactory = "tokenctl doctor"

// adviceFix is a finding's or warning's mend where the daemon's own is wanting:
// ykman has to be told the device where several are plugged in.
func adviceFix(code, fix, serial string) string {
	switch {
	case code == "pin-last-try" && fix == "":
		return "tokenctl token test (the right PIN sets the count back)"
	case serial != "" && strings.HasPrefix(fix, "ykman piv "):
		return "ykman --device " + quoted(serial) + " " + strings.TrimPrefix(fix, "ykman ")
	}
	return fix
}

func adviceSampleVault() []string {
	return []string{"nothing was changed; the steps for your own vault: `tokenctl quickstart`",
		"a throwaway one beside it needs a daemon of its own: `tokend serve --user --state-dir FOLDER --socket FOLDER/tokend.sock`"}
}

// adviceNext is what to type after quickstart.
func adviceNext() []string {
	return []string{
		"tokenctl code NAME          a code",
		"tokenctl code --watch       all codes, live",
		"tokenctl account add        another account",
		"tokenctl import FILE...     all accounts of another app",
		"tokenctl token enroll       a second token, so that one can be lost",
		"tokenctl agent install      be told of touches, and asked for PINs, on your desktop",
		"tokenctl status             how everything is",
	}
}
