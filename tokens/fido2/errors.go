//go:build cgo && linux && !nofido2

package fido2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
	"time"

	libfido2 "github.com/keys-pub/go-libfido2"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/fido2/hid"
)

func fail(code tokens.Code, detail string, err error) *tokens.Error {
	return &tokens.Error{Code: code, Tries: -1, Detail: detail, Err: err}
}

// alive fails when ctx has ended.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cancelled(err)
	}
	return nil
}

func cancelled(err error) error {
	return fail(tokens.CodeCancelled, "the operation was cancelled", err)
}

// explainOpen turns a failure of package hid into an error.
func explainOpen(path string, err error) error {
	var told *tokens.Error
	var refused hid.Refusal
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return cancelled(err)
	case errors.Is(err, hid.ErrLocked), errors.Is(err, hid.ErrBusy):
		return fail(tokens.CodeBusy, "another program uses the key", err)
	case errors.Is(err, hid.ErrTimeout):
		return fail(tokens.CodeTimeout, "the key does not answer", err)
	case errors.Is(err, hid.ErrFormat):
		return fail(tokens.CodeProtocol, "the key answers nonsense", err)
	case errors.As(err, &refused):
		return fail(tokens.CodeProtocol, "the key refuses to say what it can do", err)
	case errors.Is(err, fs.ErrPermission):
		return fail(tokens.CodeNoAccess, noAccess(path), err)
	case errors.Is(err, errAnswering), errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENODEV) && !errors.Is(err, fs.ErrNotExist):
		if hid.Usable(path) != nil || errors.Is(err, errAnswering) {
			return fail(tokens.CodeRemoved, "the key was removed during the operation", err)
		}
		return fail(tokens.CodeNotPresent, "there is no such key", err)
	}
	return fail(tokens.CodeNotPresent, "there is no such key", err)
}

// noAccess says who may use a device that we may not.
func noAccess(path string) string {
	st, err := hid.Stat(path)
	if err != nil {
		return "the system does not let this program open " + path
	}
	owner, group := strconv.FormatUint(uint64(st.UID), 10), strconv.FormatUint(uint64(st.GID), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("the system does not let this program open %s (mode %04o, owner %s:%s)", path, st.Mode.Perm(), owner, group)
}

// Statuses of CTAP 2 (CTAP 2.1, section 8.2), and errors of libfido2's own below
// zero, that the driver decides by.
const (
	errTX                  = -1
	errRX                  = -2
	errRXNotCBOR           = -3
	errRXInvalidCBOR       = -4
	errInvalidArgument     = -7
	errUserPresence        = -8
	errInternal            = -9
	statusInvalidCommand   = 0x01
	statusInvalidLength    = 0x03
	statusTimeout          = 0x05
	statusBusy             = 0x06
	statusMissingParameter = 0x14
	statusLimit            = 0x15
	statusInvalidCred      = 0x22
	statusNoAlgorithm      = 0x26
	statusDenied           = 0x27
	statusFull             = 0x28
	statusNoOption         = 0x2b
	statusInvalidOption    = 0x2c
	statusCancelled        = 0x2d
	statusNoCredentials    = 0x2e
	statusUserTimeout      = 0x2f
	statusNotAllowed       = 0x30
	statusPINInvalid       = 0x31
	statusPINBlocked       = 0x32
	statusPINAuthInvalid   = 0x33
	statusPINPaused        = 0x34
	statusPINNotSet        = 0x35
	statusPINRequired      = 0x36
	statusPINPolicy        = 0x37
	statusTooLarge         = 0x39
	statusActionTimeout    = 0x3a
	statusUPRequired       = 0x3b
	statusUVBlocked        = 0x3c
	statusUVInvalid        = 0x3f
	statusOther            = 0x7f
)

// statusOf finds the code in an error of the binding, which has sentinels for
// some codes and a type for the others.
func statusOf(err error) (int, bool) {
	var code libfido2.Error
	if errors.As(err, &code) {
		return code.Code, true
	}
	for _, known := range []struct {
		err  error
		code int
	}{
		{libfido2.ErrTX, errTX},
		{libfido2.ErrRX, errRX},
		{libfido2.ErrRXNotCBOR, errRXNotCBOR},
		{libfido2.ErrRXInvalidCBOR, errRXInvalidCBOR},
		{libfido2.ErrInvalidArgument, errInvalidArgument},
		{libfido2.ErrUserPresenceRequired, errUserPresence},
		{libfido2.ErrInternal, errInternal},
		{libfido2.ErrInvalidCommand, statusInvalidCommand},
		{libfido2.ErrInvalidLength, statusInvalidLength},
		{libfido2.ErrMissingParameter, statusMissingParameter},
		{libfido2.ErrInvalidCredential, statusInvalidCred},
		{libfido2.ErrOperationDenied, statusDenied},
		{libfido2.ErrUnsupportedOption, statusNoOption},
		{libfido2.ErrInvalidOption, statusInvalidOption},
		{libfido2.ErrKeepaliveCancel, statusCancelled},
		{libfido2.ErrNoCredentials, statusNoCredentials},
		{libfido2.ErrNotAllowed, statusNotAllowed},
		{libfido2.ErrPinInvalid, statusPINInvalid},
		{libfido2.ErrPinAuthBlocked, statusPINPaused},
		{libfido2.ErrPinNotSet, statusPINNotSet},
		{libfido2.ErrPinRequired, statusPINRequired},
		{libfido2.ErrPinPolicyViolation, statusPINPolicy},
		{libfido2.ErrActionTimeout, statusActionTimeout},
		{libfido2.ErrUPRequired, statusUPRequired},
		{libfido2.ErrOther, statusOther},
	} {
		if errors.Is(err, known.err) {
			return known.code, true
		}
	}
	return 0, false
}

// explain turns a failure of libfido2 in the middle of an operation into an
// error.
func (k *key) explain(ctx context.Context, err error) error {
	var told *tokens.Error
	switch {
	case errors.As(err, &told):
		return told
	case ctx.Err() != nil:
		return cancelled(err)
	case errors.Is(err, errBound):
		return fail(tokens.CodeTimeout, "the key did not answer in time", err)
	}
	code, ok := statusOf(err)
	if !ok {
		return fail(tokens.CodeProtocol, "the key could not be used", err)
	}
	if code < 0 {
		return k.lost(ctx, err)
	}
	if code >= statusPINInvalid && code <= statusPINPolicy {
		return k.refusedPIN(ctx, code, err)
	}
	if e := explainStatus(code); e != nil {
		e.Err = err
		return e
	}
	return fail(tokens.CodeProtocol, fmt.Sprintf("the key refused with status 0x%02x", code), err)
}

// explainStatus tells the statuses that mean the same in every operation.
func explainStatus(code int) *tokens.Error {
	switch code {
	case statusUserTimeout, statusActionTimeout:
		return tokens.Errorf(tokens.CodeTouchTimeout, "the key was not touched in time")
	case statusDenied, statusUPRequired, statusCancelled:
		return tokens.Errorf(tokens.CodeTouchDenied, "the key refused without a touch")
	case statusUVInvalid:
		return tokens.Errorf(tokens.CodePINRequired, "the finger was not recognised; the key's PIN helps")
	case statusUVBlocked:
		return tokens.Errorf(tokens.CodePINRequired, "the key takes no finger any more until its PIN was given")
	case statusInvalidCred, statusNoCredentials:
		return tokens.Errorf(tokens.CodeWrongToken, "the key does not hold the credential")
	case statusFull:
		return tokens.Errorf(tokens.CodeNoSpace, "the key has no room for another credential")
	case statusNoAlgorithm, statusNoOption, statusInvalidOption, statusInvalidCommand:
		return tokens.Errorf(tokens.CodeUnsupported, "the key does not have what tokend needs of it")
	case statusLimit, statusTooLarge:
		return tokens.Errorf(tokens.CodeUnsupported, "the key cannot take a request of the size that tokend needs")
	case statusBusy:
		return tokens.Errorf(tokens.CodeBusy, "another program uses the key")
	case statusTimeout:
		return tokens.Errorf(tokens.CodeTimeout, "the key did not answer in time")
	}
	return nil
}

// refusedPIN explains a refusal that has to do with the PIN. How many tries are
// left, the key is asked.
func (k *key) refusedPIN(ctx context.Context, code int, cause error) error {
	tries := -1
	if again, err := k.d.greet(context.WithoutCancel(ctx), k.path, true); err == nil {
		tries = again.retries.PIN
		again.close()
	}
	e := &tokens.Error{Tries: tries, Err: cause}
	switch {
	case code == statusPINBlocked, code == statusPINInvalid && tries == 0:
		*e = *pinBlocked()
		e.Err = cause
	case code == statusPINInvalid:
		e.Code, e.Detail = tokens.CodePINInvalid, "wrong PIN"
	case code == statusPINPaused:
		e.Code, e.Detail = tokens.CodePINPaused, pausedDetail
	case code == statusPINNotSet:
		e.Code, e.Detail = tokens.CodePINNotSet, notSetDetail
	case code == statusPINRequired && k.info.Has("clientPin"):
		e.Code, e.Detail = tokens.CodePINRequired, "the key wants its PIN for this"
	case code == statusPINRequired:
		e.Code, e.Detail = tokens.CodePINNotSet, notSetDetail
	case code == statusPINPolicy && k.info.ForcePINChange:
		e.Code, e.Detail = tokens.CodePINChange, changeDetail
	case code == statusPINPolicy:
		e.Code, e.Detail = tokens.CodePINPolicy, "the key does not accept such a PIN"
	default:
		e.Code, e.Detail = tokens.CodeProtocol, "the key did not take the proof of the PIN"
	}
	return e
}

// leaveTime is how long the system may take to notice that a key is gone.
const leaveTime = 500 * time.Millisecond

// lost explains that contact with the key was lost: it is gone, somebody else
// uses it, or it answered nonsense. libfido2 does not tell which.
func (k *key) lost(ctx context.Context, cause error) error {
	for end := time.Now().Add(leaveTime); ; {
		again, err := k.d.greet(ctx, k.path, false)
		if err == nil {
			again.close()
		}
		switch {
		case err == nil && time.Until(end) < leaveTime/2:
			return fail(tokens.CodeProtocol, "the key answers nonsense", cause)
		case errors.Is(err, hid.ErrLocked), errors.Is(err, hid.ErrBusy):
			return fail(tokens.CodeBusy, "another program uses the key", cause)
		case errors.Is(err, hid.ErrTimeout):
			return fail(tokens.CodeTimeout, "the key does not answer any more", cause)
		case errors.Is(err, hid.ErrFormat):
			return fail(tokens.CodeProtocol, "the key answers nonsense", cause)
		case ctx.Err() != nil:
			return cancelled(ctx.Err())
		case err != nil:
			return fail(tokens.CodeRemoved, "the key was removed during the operation", cause)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
