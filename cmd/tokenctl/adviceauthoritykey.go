package main

import (
	"errors"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// isAuthorityLocked says that a call failed because a token has to open the
// authority first.
func isAuthorityLocked(e *ipc.Error) bool {
	return strings.HasPrefix(e.Message, "the authority is locked")
}

func adviceAuthorityLocked() []string {
	return []string{"nothing was done; root, or who added one of its tokens, opens it: `tokenctl admin authority unlock`"}
}

// adviceAuthorityKey is about what opens an authority; nil where other advice does.
func adviceAuthorityKey(err error) []string {
	var e *ipc.Error
	if !errors.As(err, &e) {
		return nil
	}
	const list = "which tokens open it: `tokenctl admin authority key list`"
	switch e.Kind {
	case ipc.TokenNotPresent, ipc.TokenRemoved:
		return []string{"nothing was changed; plug the token in and repeat", list}
	case ipc.NoKeyslot:
		switch {
		case strings.HasPrefix(e.Message, "your vault"):
			return []string{"nothing was changed; enrol the token in your vault first: `tokenctl quickstart`, or with a vault `tokenctl token enroll`"}
		case strings.Contains(e.Message, "was removed"):
			return []string{"nothing was changed, and the file is the newest again; use another token", list}
		}
		return []string{"nothing was changed; plug in one of its tokens and repeat", list}
	case ipc.AuthorityKey:
		switch {
		case isAuthorityLocked(e):
			return adviceAuthorityLocked()
		case strings.Contains(e.Message, "keyslots"):
			return []string{"nothing was changed, and the registry is whole; put a copy of authority/keyslots.json back, in tokend's state folder, and repeat",
				"or use another of its tokens: `tokenctl admin authority key list`"}
		}
	case ipc.NotAuthorized:
		return []string{"nothing was changed; ask root, or who added one of its tokens"}
	case ipc.NotFound:
		if strings.Contains(e.Message, "key") {
			return []string{"nothing was changed; see which there are: `tokenctl admin authority key list`"}
		}
	case ipc.AlreadyExists:
		if strings.Contains(e.Message, "token") {
			return []string{"nothing was changed; " + list}
		}
	case ipc.Conflict:
		return []string{"nothing was changed; see what holds the key: `tokenctl admin authority key list`",
			"a key file that no authority needs has to be moved away first, a credential be taken out of tokend.toml and the service's unit"}
	case ipc.LastKeyslot:
		return []string{"nothing was changed; add another first: `tokenctl admin authority key add --token TOKEN`"}
	}
	return nil
}
