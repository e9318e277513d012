package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// subject is whom and what a command is about, as far as it is known: the words
// SERIAL and USER in advice stand for these.
type subject struct{ serial, user string }

// filled puts what is known into advice. What says how the caller gets another role
// is about the caller.
func (s subject) filled(hints []string) []string {
	out := slices.Clone(hints)
	for i, h := range out {
		if strings.Contains(h, "user role USER") {
			continue
		}
		for word, known := range map[string]string{"SERIAL": s.serial, "USER": s.user} {
			if known != "" {
				out[i] = regexp.MustCompile(`\b`+word+`\b`).ReplaceAllLiteralString(out[i], quoted(known))
			}
		}
	}
	return out
}

// deskFailOf is deskFail for a command about a user or a fob.
func deskFailOf(s subject, doing string, err error) error {
	var e *ipc.Error
	var f *failure
	if !errors.As(err, &f) && errors.As(err, &e) {
		if hints := adviceAuthority(e); hints != nil {
			return failWith(doing, err, s.filled(hints)...)
		}
	}
	return fail(doing, err)
}

// withFob adds the fob that a refusal names; a verifier elsewhere names itself there.
func (s subject) withFob(err error) subject {
	var e *ipc.Error
	if errors.As(err, &e) && len(e.Items) > 0 && e.Items[0].ID != "" {
		s.serial = e.Items[0].Name
	}
	return s
}

// filledFail is deskFailOf with other advice.
func filledFail(s subject, doing string, err error, hints []string) error {
	return failWith(doing, err, s.filled(hints)...)
}

// ofFobs is the subject of a command about several fobs: the one that the error names.
func ofFobs(err error, user string, serials ...string) subject {
	var e *ipc.Error
	if errors.As(err, &e) {
		for _, s := range serials {
			if strings.Contains(e.Message, `"`+s+`"`) {
				return subject{s, user}
			}
		}
	}
	return subject{user: user}
}
