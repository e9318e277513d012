package daemon

import (
	"errors"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/managed"
	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// managedError maps the failures of conversations with authorities.
func managedError(err error) *ipc.Error {
	var already *ipc.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(err, managed.ErrNoConversation):
		return fault(ipc.NotFound, err, "there is no such conversation with an authority")
	case errors.Is(err, managed.ErrNotNow):
		return fault(ipc.Conflict, err, "%s", err)
	case errors.Is(err, managed.ErrTooMany):
		return fault(ipc.Busy, err, "too much is under way with authorities")
	case errors.Is(err, managed.ErrNoAuthority):
		return fault(ipc.NotFound, err, "%s", managed.ErrNoAuthority)
	case errors.Is(err, vault.ErrNotIssued):
		return fault(ipc.InvalidArgument, err, "no authority that is known here has issued the account")
	case errors.Is(err, vault.ErrDamaged):
		return fault(ipc.VaultDamaged, err, "what is under way with authorities is damaged; the accounts are as they were")
	case errors.Is(err, message.ErrNewer):
		return fault(ipc.NewerVersion, err, "a newer version of tokend wrote what is under way with authorities; it was left as it is")
	}
	return messageError(err, "the request")
}

// messageError maps what can be wrong with what an authority or a device has
// written; it says of what.
func messageError(err error, what string) *ipc.Error {
	for _, row := range []struct {
		is   error
		kind ipc.Kind
		text string
	}{
		{message.ErrTooLarge, ipc.InvalidArgument, "is too large"},
		{message.ErrMalformed, ipc.InvalidArgument, "is not as its format has it"},
		{message.ErrDamaged, ipc.InvalidArgument, "was cut or changed on its way"},
		{message.ErrForged, ipc.InvalidArgument, "is not signed by who should have signed it"},
		{message.ErrNewer, ipc.NewerVersion, "was made by a newer version of tokend"},
		{message.ErrDowngraded, ipc.NewerVersion, "is of an older version than both sides know"},
		{message.ErrWrongAuthority, ipc.InvalidArgument, "is another authority's"},
		{message.ErrOtherDevice, ipc.InvalidArgument, "is for another device, or for this one before its vault was restored"},
		{message.ErrOtherRequest, ipc.InvalidArgument, "answers nothing that waits here"},
		{message.ErrExpired, ipc.InvalidArgument, "is too old"},
		{message.ErrTooEarly, ipc.InvalidArgument, "was made in the future, by this machine's clock"},
		{message.ErrReplayed, ipc.InvalidArgument, "came before"},
		{message.ErrReordered, ipc.InvalidArgument, "is not the next of its conversation"},
		{message.ErrUnexpected, ipc.InvalidArgument, "is not what was asked for"},
	} {
		if errors.Is(err, row.is) {
			return fault(row.kind, err, "%s %s; nothing was changed", what, row.text)
		}
	}
	return mapError(err)
}

// linkError is what is wrong with an activation link, or with how it was used.
func linkError(err error) error {
	const what = "the activation link"
	switch {
	case errors.Is(err, message.ErrWrongAuthority):
		return fault(ipc.InvalidArgument, err, "the descriptor is another authority's than the activation link's; nothing was changed")
	case errors.Is(err, message.ErrExpired):
		return fault(ipc.ActivationBad, err, "%s is too old; nothing was changed", what)
	case errors.Is(err, message.ErrMalformed):
		return fault(ipc.InvalidArgument, err, "this is no activation link; nothing was changed")
	case errors.Is(err, message.ErrTooLarge), errors.Is(err, message.ErrDamaged), errors.Is(err, message.ErrNewer):
		return messageError(err, what)
	}
	return err
}

// answerError is what is wrong with a sealed answer. What is wrong with the vault
// stays as it is.
func answerError(err error) error {
	switch {
	case errors.Is(err, vault.ErrDamaged), errors.Is(err, vault.ErrInvalid):
		return err
	}
	return messageError(err, "the answer")
}
