package desk

import (
	"context"
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
)

// failed is an error as it is answered.
func (d *Desk) failed(err error) error {
	e := failed(err)
	if e.Kind == ipc.AuthorityDamaged {
		d.cfg.Log.Error("the authority is damaged", "err", err)
	}
	return e
}

// failed is the answer to an error; its cause is for the log.
func failed(err error) *ipc.Error {
	var told *ipc.Error
	var own *authority.Error
	var down *remote.Unavailable
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &own):
		return &ipc.Error{Kind: kindOf(own.Kind), Message: own.Problem}
	case errors.As(err, &down):
		return &ipc.Error{Kind: ipc.VerifierDown, Message: shownVerifier(policy.Verifier(down.Verifier)) + " gave no answer that counts: nothing was accepted, and nothing is counted", Err: err}
	case errors.Is(err, issue.ErrBusy):
		return &ipc.Error{Kind: ipc.Busy, Message: err.Error(), RetryAfter: 2}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &ipc.Error{Kind: ipc.Cancelled, Message: "the call was cancelled", Err: err}
	}
	for _, k := range []struct {
		is      error
		kind    ipc.Kind
		message string
	}{
		{store.ErrInUse, ipc.Busy, "another process has the authority's registry open"},
		{store.ErrWrongKey, ipc.AuthorityKey, "the authority's registry is sealed by another key than the one that was found"},
		{store.ErrNoKey, ipc.AuthorityKey, "the authority key is not in its place"},
		{store.ErrKeyExposed, ipc.AuthorityKey, "the file of the authority key belongs to somebody else, or others may read or replace it"},
		{store.ErrNotAKey, ipc.AuthorityKey, "what is in the place of the authority key is no authority key"},
		{store.ErrNewer, ipc.NewerVersion, "a newer version of tokend wrote the authority's registry; it was left as it is"},
		{store.ErrFull, ipc.DiskFull, "the disk is full; the authority is as it was before"},
		{store.ErrDamaged, ipc.AuthorityDamaged, "the authority's registry is damaged; it was left as it is"},
		{store.ErrExists, ipc.AlreadyExists, "there is an authority already; it was left as it is"},
		{keyslot.ErrDamaged, ipc.AuthorityKey, "the file of the authority's keyslots is damaged; it was left as it is"},
		{keyslot.ErrNewer, ipc.NewerVersion, "a newer version of tokend wrote the file of the authority's keyslots; it was left as it is"},
		{keyslot.ErrWrongKey, ipc.AuthorityKey, "what the file of keyslots holds for this token is not the authority's key"},
		{keyslot.ErrNone, ipc.NotFound, "the authority has no such key"},
		{keyslot.ErrThere, ipc.AlreadyExists, "the token opens the authority already"},
		{keyslot.ErrFull, ipc.Conflict, "the authority has as many keyslots as it can have"},
		{store.ErrClosed, ipc.Cancelled, "the authority was locked, or the daemon is stopping"},
		{secret.ErrWiped, ipc.Cancelled, "the authority was locked, or the daemon is stopping"},
	} {
		if errors.Is(err, k.is) {
			return &ipc.Error{Kind: k.kind, Message: k.message, Err: err}
		}
	}
	return &ipc.Error{Kind: ipc.Internal, Message: "the authority failed; the daemon's log says why", Err: err}
}

func kindOf(k authority.ErrorKind) ipc.Kind {
	switch k {
	case authority.NotFound:
		return ipc.NotFound
	case authority.Exists:
		return ipc.AlreadyExists
	case authority.Invalid:
		return ipc.InvalidArgument
	case authority.Conflict, authority.TooMany:
		return ipc.Conflict
	case authority.Refused:
		return ipc.PasscodeInvalid
	}
	return ipc.Internal
}
