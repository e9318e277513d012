package transfer

import (
	"net/url"
	"testing"
)

// Ente's plain export is addresses, one a line, with what it keeps beside them in
// a parameter of its own; what is in its bin is no account.
var _ = addFixtures(func(testing.TB) []fixture {
	display := func(text string) string { return "&codeDisplay=" + url.QueryEscape(text) }
	return []fixture{{
		name: "Ente, plain", format: "otpauth addresses", want: []string{wantAnna(), wantSteam()},
		data: text(annaURI(), display(`{"pinned":true,"trashed":false,"lastUsedAt":0,"tapCount":0,"tags":["work"],"note":"spare","position":0}`), "\n\n",
			steamURI(), display(`{"pinned":false,"trashed":false,"tags":[]}`), "\n",
			bankURI(), display(`{"trashed":true}`), "\n"),
	}}
})
