package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/seeds"
	"github.com/tokenbridge/tokend/ipc"
)

// Advice about authorities. Messages say facts; what follows here says what to do
// about them.

// adviceAuthority is what helps with an error of an authority's; nil where the
// kind's own advice does.
func adviceAuthority(e *ipc.Error) []string {
	switch e.Kind {
	case ipc.AuthorityKey:
		if isAuthorityLocked(e) {
			return adviceAuthorityLocked()
		}
		return nil
	case ipc.NotFound:
		return adviceNotThere(e)
	case ipc.PolicyDenied:
		if strings.Contains(e.Message, "nobody may help himself") {
			return []string{"nothing was made; bring your own account back by a factor of yours: `tokenctl reactivate ACCOUNT`",
				"or have somebody else help you, whom the policy lets: `tokenctl admin policy show`"}
		}
		if strings.Contains(e.Message, "a bypass code cannot") {
			return []string{"nothing was made; a link can have a second person's approval: `tokenctl admin activation create USER --account ACCOUNT`"}
		}
		return []string{"nothing was made; ask somebody whom the policy lets help, and see what it says: `tokenctl admin policy show`"}
	case ipc.NotAuthorized:
		if strings.HasPrefix(e.Message, "your roles end") {
			return []string{"nothing was changed; how far your roles reach: `tokenctl status`, `tokenctl admin authority child list`",
				"ask somebody whose role is of the authority above"}
		}
		if strings.Contains(e.Message, "can be the second approver") {
			return []string{"nothing was approved; it takes another person, logged in as himself, whom the policy lets help: `tokenctl admin policy show`"}
		}
		return []string{"nothing was changed; which roles you have: `tokenctl status`",
			"an administrator can give you another, and for administrators and owners an owner: `tokenctl admin user role USER ROLE`"}
	case ipc.AlreadyExists:
		if strings.Contains(e.Message, "fob") {
			return []string{"nothing was changed; see whose it is: `tokenctl admin fob show SERIAL`"}
		}
		if strings.Contains(e.Message, "an authority \"") {
			return []string{"nothing was changed; see which there are: `tokenctl admin authority child list`"}
		}
		if strings.Contains(e.Message, "the group") {
			return []string{"nothing was changed; to change its roles remove it first: `tokenctl admin group remove GROUP`"}
		}
		return []string{"nothing was changed; see what is there: `tokenctl admin authority show`, `tokenctl admin user list`"}
	case ipc.Conflict:
		if strings.Contains(e.Message, "authorit") && !strings.Contains(e.Message, "owner") {
			return []string{"nothing was changed; see who is in it, and what lies beneath it: `tokenctl admin user list --authority NAME`, `tokenctl admin authority child list`"}
		}
		if len(e.Items) > 0 && e.Items[0].Reason == "challenged" {
			return adviceChallenged()
		}
		if lines := adviceConflict(e.Message); lines != nil {
			return lines
		}
		return []string{"nothing was changed; see how it is: `tokenctl admin fob show SERIAL`, `tokenctl admin user show USER`"}
	case ipc.PasscodeInvalid:
		return []string{"nothing was accepted; use the passcode that the fob shows now, once",
			"why it was not, the helpdesk is told: without --quiet"}
	case ipc.PasscodeReused:
		return []string{"nothing was accepted; wait for the fob's next passcode, or press its button again: each is good for one use"}
	case ipc.Throttled:
		return []string{"single passcodes are not looked at for " + waitText(e.RetryAfter) + " more; wait, or prove the fob at once",
			"by two passcodes in a row, with a blank between: \"123456 654321\""}
	}
	return nil
}

// adviceThrottled is about a user whose single passcodes are refused still, after
// one was accepted. What was lifted already is of another fob.
func adviceThrottled(user string, lifted bool) []string {
	row := "two passcodes in a row of " + either(lifted, "that fob", "his") + " lift it, five times a day: `tokenctl admin verify " + quoted(user) + "`, \"123456 654321\""
	return []string{row, "it also ends by itself then; and at any time two in a row are accepted where he logs in"}
}

// adviceConflict is about users, links and codes that are not as they would have to
// be; nil where it is about something else.
func adviceConflict(message string) []string {
	switch {
	case strings.Contains(message, "the user is disabled"):
		return []string{"nothing was made; if he may come back: `tokenctl admin user edit USER --enable`"}
	case strings.Contains(message, "bypass code"):
		return []string{"nothing was changed; how it is with each: `tokenctl admin bypass list USER`"}
	case strings.Contains(message, "waits for nobody's approval"):
		return []string{"nothing was changed, and nothing has to be; how it is with each: `tokenctl admin activation list USER`"}
	case strings.Contains(message, "activation is used"):
		return []string{"nothing was changed; which device has it: `tokenctl admin activation list USER`; to take it from there: `tokenctl admin device revoke ID`"}
	case strings.Contains(message, "activation"), strings.Contains(message, "approver"):
		return []string{"nothing was changed; how it is with each: `tokenctl admin activation list USER`"}
	}
	return nil
}

// adviceUserKey is about a security key that made no credential; nil where it is
// about something that is told otherwise.
func adviceUserKey(err error) []string {
	var e *ipc.Error
	if errors.As(err, &e) && e.Kind == ipc.TokenNotPresent {
		return []string{"nothing was registered; plug the user's key into the machine on which tokend runs, and repeat",
			"which are seen: `tokenctl token list`"}
	}
	return nil
}

// adviceNotThere is about what an authority does not have.
func adviceNotThere(e *ipc.Error) []string {
	switch {
	case strings.HasPrefix(e.Message, "no authority"):
		return []string{"make one, as root or as the owner of your own daemon: `tokenctl admin authority create NAME`",
			"if there is one, it does not know you as a user, or another daemon has it: ask its administrator, or see --socket PATH"}
	case strings.HasPrefix(e.Message, "there is no authority"), strings.Contains(e.Message, "child authority"), strings.Contains(e.Message, "such authority"):
		return []string{"nothing was changed; see which there are: `tokenctl admin authority child list`"}
	case strings.Contains(e.Message, "verifier"):
		return []string{"nothing was changed; see what is set up: `tokenctl admin verifier show`"}
	case strings.Contains(e.Message, "fob"):
		return []string{"nothing was changed; see which there are: `tokenctl admin fob list`"}
	}
	if strings.Contains(e.Message, "group") {
		return []string{"nothing was changed; see which have roles: `tokenctl admin group list`"}
	}
	for _, thing := range []struct{ word, command string }{{"activation", "activation"}, {"bypass code", "bypass"}, {"device", "device"}} {
		if strings.Contains(e.Message, thing.word) {
			return []string{"nothing was changed; see which there are: `tokenctl admin " + thing.command + " list USER`"}
		}
	}
	return []string{"nothing was changed; see who there is: `tokenctl admin user list`"}
}

// adviceRemoved is where what was done about a user who was removed is found.
func adviceRemoved(id string) []string {
	return []string{"what was done by him and about him stays in the audit, under his id: `tokenctl admin audit list --user " + id + "`"}
}

func adviceRoles() []string {
	return []string{"roles: user, verifier, helpdesk, admin, owner; what each may do: `tokenctl admin --help`"}
}

// adviceCreated is what to do once there is an authority.
func adviceCreated(byToken bool) []string {
	return []string{
		"next: tokenctl admin fob import FILE, tokenctl admin user add USER, tokenctl admin fob assign SERIAL USER",
		either(byToken, "one token alone opens it: add a second one, `tokenctl admin authority key add --token TOKEN`",
			"copy the key to a safe place, apart from backups of the registry: docs/authority.md"),
	}
}

// adviceActivation is what to do with a new activation.
func adviceActivation(a ipc.Activation) []string {
	out := []string{"give it to nobody but its user: it is good once; to make it useless: `tokenctl admin activation revoke " + a.ID + "`"}
	if a.State == ipc.CodeWaiting {
		out = append(out, "the policy asks for a second person before it can be used: `tokenctl admin activation approve "+a.ID+"`")
	}
	return out
}

// adviceMail is about a link that was not sent by e-mail; nil where it is about
// something else.
func adviceMail(user string, err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	byHand := "or hand the link over: the same command with --qr FILE in place of --mail"
	switch {
	case e.Kind == ipc.MailFailed:
		return []string{adviceMailProblem(e), byHand}
	case e.Kind == ipc.Unsupported && strings.Contains(e.Message, "mail server"):
		return []string{"nothing was made; [mail] in tokend.toml says through which server, and as whom: docs/authority.md", byHand}
	case e.Kind == ipc.InvalidArgument && strings.Contains(e.Message, "e-mail address"):
		return []string{"nothing was made; an administrator can note his address: `tokenctl admin user edit " + quoted(user) + " --email ADDRESS`", byHand}
	}
	return nil
}

func adviceMailProblem(e *ipc.Error) string {
	reason := ""
	if len(e.Items) > 0 {
		reason = e.Items[0].Reason
	}
	switch reason {
	case "no-tls", "certificate":
		return "without TLS to a server that is known no link is sent; see [mail] in tokend.toml, `tls` and `ca_file`"
	case "login":
		return "see [mail] in tokend.toml, `user` and `password_file`"
	case "refused":
		return "see whether the address is right: `tokenctl admin user show USER`; the server's own log says more"
	}
	return "repeat it later: another link is made then; what is wrong the daemon's log says"
}

// adviceNotOffered is about a bypass code that the policy holds back, because its user
// has these fobs, or something else.
func adviceNotOffered(user string, made ipc.MadeBypassCode, fobs []ipc.UserFob) []string {
	var out []string
	for _, f := range fobs {
		if f.State == ipc.FobActive && strings.Contains(made.NotOffered, "fob") {
			serial := quoted(f.Serial)
			out = append(out, "fob "+clean(f.Serial)+" is at home: `tokenctl admin fob disable "+serial+"`; lost: `tokenctl admin fob lost "+serial+"`")
		}
	}
	if strings.Contains(made.NotOffered, "device") {
		out = append(out, "another device of his can agree to the new one: `tokenctl device approve` there; if it is lost: `tokenctl admin device list "+quoted(user)+"`, `tokenctl admin device revoke ID`")
	}
	return append(out, "then the code is good; what is offered then: `tokenctl admin policy explain "+quoted(user)+"`",
		"until then it lies open; to end it: `tokenctl admin bypass revoke "+made.Bypass.ID+"`")
}

// adviceTakeBack is about an activation whose link nobody got to see.
func adviceTakeBack(id string) []string {
	return []string{"the link was made, and nobody has it: `tokenctl admin activation revoke " + id + "`, then make another"}
}

func adviceUnassign(serial string) []string {
	return []string{"say from whom: `tokenctl admin fob unassign " + quoted(serial) + " USER`, or --all"}
}

// adviceResync is about a resync that failed.
func adviceResync(err error, own bool) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Kind {
	case ipc.PasscodeInvalid:
		return []string{"nothing was changed but the number of tries, five a day; give " + either(own, "three", "two") + " passcodes that follow one another, none left out",
			"if that fails again, it is another fob, or broken: give him another with `tokenctl admin fob replace SERIAL WITH`"}
	case ipc.Throttled:
		return []string{"nothing was changed; tomorrow it can be tried again, or give him another fob: `tokenctl admin fob replace SERIAL WITH`"}
	}
	return adviceAuthority(e)
}

func advicePolicyFile() []string {
	return []string{"begin with the one in force: `tokenctl admin policy show`"}
}

// advicePolicySet is about a policy that was refused.
func advicePolicySet(path string) []string {
	return []string{"the policy in force stays; what mends it: `tokenctl admin policy check " + quoted(path) + "`"}
}

// adviceFobApply is how a plan is carried out.
func adviceFobApply(command string) string { return "to import them: " + command + " --apply" }

// adviceFobType is about a file that does not tell counter from time.
func adviceFobType() []string {
	return []string{"nothing was changed; their maker's paper says which: --type hotp (by counter, a button is pressed) or --type totp (by time)"}
}

// adviceFobRows is about rows of an import that came to nothing.
func adviceFobRows() []string {
	return []string{"mend the rows above and repeat: what is in already stays as it is"}
}

// adviceFobsIn is what to do once fobs are in the registry.
func adviceFobsIn(path string) []string {
	lines := []string{"give them to people: tokenctl admin fob assign SERIAL USER"}
	if path != "" {
		lines = append(lines, "the file holds the seeds: keep it under lock and key, off this machine, or destroy it: "+path)
	}
	return lines
}

// adviceSeeds is what helps with a seed file that could not be read.
func adviceSeeds(kind seeds.Kind) []string {
	switch kind {
	case seeds.WrongKey:
		return []string{"nothing was changed; it is the key or passphrase that the maker sent apart from the file"}
	case seeds.KeyNeeded:
		return adviceNoTerminal("--key-file FILE, or --password-file FILE for a passphrase")
	case seeds.Damaged:
		return []string{"nothing was changed; copy the file again, whole, or have the maker send it once more"}
	case seeds.NewerVersion:
		return []string{"nothing was changed; install a newer tokend, or have the maker send an older format"}
	case seeds.Packed:
		return []string{"nothing was changed; unpack or decrypt it with the program that its maker names, then repeat"}
	case seeds.TooLarge, seeds.TooCostly:
		return []string{"nothing was changed; have it sent in smaller parts, or as docs/fobs.md has it"}
	case seeds.WebPage:
		return []string{"nothing was changed; the download saved a page, perhaps of a login, in place of the file"}
	}
	return []string{"nothing was changed; docs/fobs.md says which files are read, and how a plain CSV looks"}
}

// adviceSeedKey says which flag the other kind of key is given with.
func adviceSeedKey(passphrase bool) []string {
	if passphrase {
		return []string{"nothing was changed; give it with --password-file FILE"}
	}
	return []string{"nothing was changed; give it with --key-file FILE"}
}

// adviceFobBroken is about an import that ended in its middle.
func adviceFobBroken(added int) []string {
	return []string{plural(added, "fob") + " of it are in, and stay; repeat the command when that is mended: what is in already is left as it is"}
}

// adviceAttended is about a passcode that was not accepted, for a helper who is
// told why.
func adviceAttended(err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	elsewhere := len(e.Items) > 0 && slices.Contains(allVerifiers(), ipc.VerifierName(e.Items[0].Name))
	if e.Kind == ipc.Throttled && elsewhere {
		return []string{"it was not sent to " + verifierText(e.Items[0].Name) + ", and will not be for " + waitText(e.RetryAfter) + " more: only waiting helps, two in a row prove nothing there"}
	}
	if e.Kind != ipc.PasscodeInvalid || len(e.Items) == 0 {
		return adviceAuthority(e)
	}
	if elsewhere {
		return adviceElsewhere(ipc.VerifierName(e.Items[0].Name), e.Items[0].Reason)
	}
	switch e.Items[0].Reason {
	case "unknown-user":
		return []string{"nothing was accepted; see who there is: `tokenctl admin user list`"}
	case "disabled-user":
		return []string{"nothing was accepted; if he may come back: `tokenctl admin user edit USER --enable`"}
	case "no-fob", "unassigned", "unfit":
		return []string{"nothing was accepted; see which fobs he has, and compare with the number on the one in his hand: `tokenctl admin user show USER`"}
	case "lost", "disabled":
		return []string{"nothing was accepted; if it is in his hand: `tokenctl admin fob enable SERIAL`, else give him another: `tokenctl admin fob replace SERIAL WITH`"}
	case "expired":
		return []string{"nothing was accepted; give him another: `tokenctl admin fob replace SERIAL WITH`"}
	case "unreadable":
		return []string{"nothing was accepted, and it counts as no failure; type what the fob shows, and nothing else"}
	case "wrong":
		return []string{"nothing was accepted; compare the number on the fob with `tokenctl admin user show USER`, and take its next passcode",
			"if that is wrong, too, it may have gone astray: with the person before you, `tokenctl admin fob resync SERIAL`"}
	}
	return adviceAuthority(e)
}

// adviceCode is about a code of a managed account that was not accepted.
func adviceCode(err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	reason := ""
	if len(e.Items) > 0 {
		reason = e.Items[0].Reason
	}
	switch {
	case e.Kind == ipc.PasscodeReused:
		return []string{"nothing was accepted; wait until the device shows the next code: each is good for one use"}
	case e.Kind == ipc.Throttled:
		return []string{"codes are not looked at for " + waitText(e.RetryAfter) + " more; wait, or make sure who tries"}
	case e.Kind != ipc.PasscodeInvalid:
		return adviceAuthority(e)
	case reason == "unknown-user" || reason == "disabled-user":
		return adviceAttended(err)
	case reason == "no-account" || reason == "pending":
		return []string{"nothing was accepted; which devices have which accounts: `tokenctl admin device list USER`"}
	}
	return []string{"nothing was accepted; type what `tokenctl code ACCOUNT` on the user's device shows now, once",
		"if that is wrong, too: is the device still active (`tokenctl admin device list USER`), and is its clock right?"}
}
