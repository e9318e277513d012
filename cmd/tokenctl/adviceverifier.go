package main

import (
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

func adviceVerifiers() []string {
	return []string{"verifiers: radius, duo; what is set up: `tokenctl admin verifier show`"}
}

// adviceVerifierFile is about settings that cannot be used.
func adviceVerifierFile(name ipc.VerifierName) []string {
	return []string{"nothing was changed; what the file may say: docs/" + string(name) + ".md, `tokenctl admin verifier set --help`"}
}

// adviceVerifierSet is what to do with a verifier that is set up.
func adviceVerifierSet(v ipc.SetUpVerifier) []string {
	out := []string{"ask whether it answers: `tokenctl admin verifier check " + string(v.Name) + "`"}
	if len(v.Factors) == 0 {
		out = append(out, "it is asked for nothing until the policy names it, in [verifiers]: `tokenctl admin policy show`")
	}
	return out
}

// adviceVerifierDown is about servers of which no answer counted: what it means, and
// what mends each cause once.
func adviceVerifierDown(checks []ipc.VerifierCheck) []string {
	out := []string{"while none of a verifier's servers answers, its factors are refused and nothing is counted against users; others are offered as before"}
	for _, one := range checks {
		for _, s := range one.Servers {
			if line := adviceVerifierProblem(one.Name, s.Problem); !s.OK && !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	return out
}

// adviceVerifierProblem is what mends that a server gave no answer that counts.
func adviceVerifierProblem(name ipc.VerifierName, problem string) string {
	says := func(words string) bool { return strings.Contains(problem, words) }
	switch {
	case name == ipc.VerifierDuo && says("clock"):
		return "set the clock of the authority's machine right" + commandText(remedy.Here().SetClock())
	case name == ipc.VerifierDuo:
		return "compare API host, integration key and secret key with Duo's Admin Panel, and see whether the network leads there: docs/duo.md"
	case says("without Message-Authenticator"):
		return "the server does not sign its answers: FreeRADIUS before 3.2.5 has to be told so in each section, for Status-Server in one of its own: docs/radius.md, \"FreeRADIUS\""
	case says("with the shared secret"):
		return "the secret is another one there, or somebody between forges answers: compare it with the server's clients.conf, and set it anew: `tokenctl admin verifier set radius FILE`"
	case says("from another address"):
		return "the server answers from another address than it is asked at: name that one, or bind it to the one that is named"
	case says("no answer"):
		return "a server is silent to whom it does not know: compare address and port, the authority's address and the secret in its clients.conf, and see its log; one that ignores Status-Server may work all the same: docs/radius.md"
	}
	return "see whether the name and the network lead there, and the server's own log: docs/radius.md"
}

// commandText is a command after what it does; nothing where there is none.
func commandText(command string) string {
	if command == "" {
		return ""
	}
	return ": `" + command + "`"
}

// adviceElsewhere is about a passcode that a verifier elsewhere did not accept, for a
// helper who is told why.
func adviceElsewhere(v ipc.VerifierName, reason string) []string {
	name := verifierText(string(v))
	switch reason {
	case "locked-out":
		return []string{"nothing was accepted; let him in again at " + name + " itself"}
	case "not-enrolled":
		if v == ipc.VerifierDuo {
			return []string{"nothing was accepted; make him an account there: `tokenctl admin verifier enroll duo USER`",
				"or give him a fob that is verified here: `tokenctl admin fob assign SERIAL USER`"}
		}
		return []string{"nothing was accepted; his name has to be known there, or give him a fob that is verified here: `tokenctl admin fob assign SERIAL USER`"}
	}
	return []string{"nothing was accepted; take the fob's next passcode; why it was not good, " + name + "'s own log says"}
}

// adviceChallenged is about what a verifier elsewhere asks for in addition, where nobody
// can be asked.
func adviceChallenged() []string {
	return []string{"nothing was accepted or counted; at a terminal it is asked for: give the command without --no-input and --passcode-file"}
}

// adviceEnrollAt is about an account at a verifier that was not made; nil for what every
// command of an authority says.
func adviceEnrollAt(name ipc.VerifierName, user string, err error) []string {
	switch ipc.KindOf(err) {
	case ipc.AlreadyExists:
		return []string{"nothing was changed; a new phone for him: his user in Duo's Admin Panel, \"Add Phone\"", "what he can use now: `tokenctl admin policy explain " + quoted(user) + "`"}
	case ipc.Unsupported:
		return []string{"nothing was changed; enrol him as the servers' own guide says"}
	case ipc.VerifierDown:
		return []string{"it may have made the account all the same: if the next try says that it knows him, delete the user in Duo's Admin Panel and try again",
			"does it answer? `tokenctl admin verifier check " + string(name) + "`"}
	case ipc.NotFound:
		return []string{"who there is: `tokenctl admin user list`; what is set up: `tokenctl admin verifier show`"}
	}
	return nil
}

// adviceEnrolled is what the user does with his account at Duo.
func adviceEnrolled(inPicture bool) []string {
	return []string{"show it to him alone: in Duo Mobile he adds an account by the QR code" + either(inPicture, "", ", or opens the link on his phone"),
		"then it goes on where Duo did not know him: `tokenctl reactivate ACCOUNT`, on his device"}
}

// adviceEnrolledUnseen is about an account that was made, and cannot be shown.
func adviceEnrolledUnseen(user string) []string {
	return []string{"Duo has made the account, and nobody has seen what takes it over: delete the user " + quoted(user) + " in Duo's Admin Panel, and try again"}
}

// adviceVerifierRefused is about a remote verifier's no; nil for other codes.
func adviceVerifierRefused(s ipc.ManagedStep, again string) []string {
	contact := contactText(s.Authority)
	switch s.Refused.Code {
	case "verifier-unavailable":
		return []string{"nothing was verified and nothing is counted against you: try again in a while, or take another factor: `" + again + " --factor FACTOR`",
			"if that stays so, tell the authority's contact" + contact}
	case "verifier-locked":
		return []string{"nothing was changed; who runs it can let you in again" + contact + "; another factor: `" + again + " --factor FACTOR`"}
	case "not-enrolled":
		var out []string
		for _, a := range s.Refused.Alternatives {
			if a.Kind == "enrolment" && strings.HasPrefix(a.Value, "https://") {
				out = append(out, "enrol there, in a browser or on your phone: "+a.Value)
			}
		}
		if out == nil {
			out = []string{"have the helpdesk enrol you" + contact}
		}
		return append(out, "nothing was changed; then it goes on: `"+again+"`")
	case "reported":
		return []string{"nothing was changed; if it was you who asked, tell the authority's contact" + contact,
			"if it was not, somebody has a backup of your vault and what opens it: change the recovery password"}
	}
	return nil
}
