package main

import (
	"strings"

	"github.com/tokenbridge/tokend/ipc"
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

func adviceVerifierDown() []string {
	return []string{"while none of a verifier's servers answers, its factors are refused and nothing is counted against users; others are offered as before",
		"compare address, secret or key and the clocks, and look into the server's log: docs/radius.md, docs/duo.md"}
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
		return append(out, "nothing was changed; then it goes on: `"+again+"`")
	case "reported":
		return []string{"nothing was changed; if it was you who asked, tell the authority's contact" + contact,
			"if it was not, somebody has a backup of your vault and what opens it: change the recovery password"}
	}
	return nil
}
