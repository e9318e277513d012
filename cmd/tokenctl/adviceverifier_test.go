package main

import (
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// What is said of a server that gives no answer names the cause, and each once.
func TestAdviceVerifierDown(t *testing.T) {
	for problem, want := range map[string]string{
		"no answer within 5s": "silent to whom it does not know",
		"no answer within 5s that counts; an answer without Message-Authenticator came (2)":                              "has to be told so in each section",
		"no answer within 5s that counts; an answer that was not made for this question with the shared secret came (1)": "the secret is another one there",
		"no answer within 5s that counts; an answer from another address came (3)":                                       "from another address than it is asked at",
		"cannot resolve radius.example.org: no such host":                                                                "the name and the network",
	} {
		bad := ipc.VerifierServerCheck{Server: "a:1", Problem: problem}
		got := adviceVerifierDown([]ipc.VerifierCheck{{Name: ipc.VerifierRadius, Servers: []ipc.VerifierServerCheck{{Server: "b:1", OK: true}, bad, bad}}})
		if len(got) != 2 || !strings.Contains(got[1], want) {
			t.Errorf("%s: %q", problem, got)
		}
	}
}
