//go:build windows || (cgo && (linux || darwin))

package piv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	gopiv "github.com/go-piv/piv-go/v2/piv"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/piv/pcsc"
)

func fail(code tokens.Code, detail string, err error) *tokens.Error {
	return &tokens.Error{Code: code, Tries: -1, Detail: detail, Err: err}
}

// calmly calls piv-go, which trusts the length of what a card answers: where it
// panics over that, the card's answer made no sense. Only its calls belong in f.
func calmly(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fail(tokens.CodeProtocol, "the card answered nonsense", fmt.Errorf("piv-go: %v", p))
		}
	}()
	return f()
}

// alive fails when ctx has ended.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fail(tokens.CodeCancelled, "the operation was cancelled", err)
	}
	return nil
}

// pcscError finds the PC/SC code in an error. The type of piv-go's is not
// exported, and not always wrapped, so its text has to do.
func pcscError(err error) (pcsc.Error, bool) {
	var code pcsc.Error
	if errors.As(err, &code) {
		return code, true
	}
	text := strings.ToLower(err.Error())
	for _, known := range []struct {
		text string
		code pcsc.Error
	}{
		{"because of other connections outstanding", pcsc.ErrSharing},
		{"no smart card is currently in the device", pcsc.ErrNoCard},
		{"specified reader name is not recognized", pcsc.ErrUnknownReader},
		{"reader is not currently available for use", pcsc.ErrReaderUnavailable},
		{"cannot find a smart card reader", pcsc.ErrNoReaders},
		{"end a non-existent transaction", pcsc.ErrNotTransacted},
		{"smart card has been removed", pcsc.ErrRemoved},
		{"power has been removed from the smart card", pcsc.ErrUnpowered},
		{"smart card has been reset", pcsc.ErrReset},
		{"not responding to a reset", pcsc.ErrUnresponsive},
		{"resource manager is not running", pcsc.ErrNoService},
		{"resource manager has shut down", pcsc.ErrServiceStopped},
		{"internal communications error", pcsc.ErrComm},
		{"communications error with the smart card", pcsc.ErrCommDataLost},
		{"supplied handle was invalid", pcsc.ErrInvalidHandle},
		{"requested protocols are incompatible", pcsc.ErrProtoMismatch},
		{"because of a security violation", pcsc.ErrSecurity},
	} {
		if strings.Contains(text, known.text) {
			return known.code, true
		}
	}
	return 0, false
}

// status finds the card's status word in an error.
func status(err error) (pcsc.Status, bool) {
	var raw pcsc.Status
	if errors.As(err, &raw) {
		return raw, true
	}
	var card interface{ Status() uint16 }
	if errors.As(err, &card) {
		return pcsc.Status(card.Status()), true
	}
	return 0, false
}

// Status words (SP 800-73-4 part 2, table 2).
const (
	swNotSatisfied pcsc.Status = 0x6982
	swBlocked      pcsc.Status = 0x6983
	swWrongData    pcsc.Status = 0x6A80
	swNotSupported pcsc.Status = 0x6A81
	swNotFound     pcsc.Status = 0x6A82
	swNoReference  pcsc.Status = 0x6A88
	swWrongP1P2    pcsc.Status = 0x6B00
	swNoSuchINS    pcsc.Status = 0x6D00
)

// missing says whether the card answered that it has no such thing.
func missing(err error) bool {
	s, ok := status(err)
	return ok && (s == swNotFound || s == swNoReference)
}

// triesLeft reads a refused PIN or PUK: 63Cx, or 630x on older YubiKeys.
func triesLeft(s pcsc.Status) (int, bool) {
	switch {
	case s == swBlocked:
		return 0, true
	case s&0xfff0 == 0x63c0, s&0xfff0 == 0x6300:
		return int(s & 0xf), true
	}
	return 0, false
}

// refusedPIN turns a refused PIN (or PUK: what names it) into an error.
func (d *Driver) refusedPIN(reader, what string, err error) error {
	var auth gopiv.AuthErr
	s, ok := status(err)
	tries, counted := triesLeft(s)
	switch {
	case ok && counted && tries == 0, !ok && errors.As(err, &auth) && auth.Retries == 0:
		return &tokens.Error{Code: tokens.CodePINBlocked, Tries: 0, Detail: "the card's " + what + " is blocked", Err: err}
	case ok && counted:
		return &tokens.Error{Code: tokens.CodePINInvalid, Tries: tries, Detail: "wrong " + what, Err: err}
	case ok && s == swWrongData:
		return fail(tokens.CodeInvalid, "the card does not accept such a "+what, err)
	}
	return d.explain(reader, err)
}

// explainOpen turns a failure to connect to a card into an error.
func explainOpen(err error) error {
	if code, ok := pcscError(err); ok {
		switch code {
		case pcsc.ErrSharing:
			return fail(tokens.CodeBusy, "another program holds the card", err)
		case pcsc.ErrNoCard, pcsc.ErrUnknownReader, pcsc.ErrNoReaders, pcsc.ErrReaderUnavailable, pcsc.ErrRemoved:
			return fail(tokens.CodeNotPresent, "there is no card in the reader", err)
		case pcsc.ErrProtoMismatch:
			return fail(tokens.CodeUnsupported, "the card does not speak the protocol T=1", err)
		case pcsc.ErrUnresponsive, pcsc.ErrUnpowered:
			return fail(tokens.CodeUnsupported, "the card does not answer the reader", err)
		case pcsc.ErrSecurity:
			return fail(tokens.CodeNoService, "the PC/SC service does not let this program use the card", err)
		}
		if pcsc.ServiceGone(code) {
			return fail(tokens.CodeNoService, "the PC/SC service does not answer", err)
		}
		return fail(tokens.CodeProtocol, "cannot connect to the card", err)
	}
	if s, ok := status(err); ok {
		if strings.Contains(err.Error(), "selecting piv applet") {
			return fail(tokens.CodeUnsupported, "not a PIV card", err)
		}
		if s == swNoSuchINS || strings.Contains(err.Error(), "getting yubikey version") {
			return fail(tokens.CodeUnsupported, noExtensions, err)
		}
	}
	return fail(tokens.CodeProtocol, "cannot connect to the card", err)
}

// explainOpenIn is explainOpen, but tells a card that is being pulled out from
// one that answers nonsense.
func (d *Driver) explainOpenIn(reader string, err error) error {
	told := explainOpen(err)
	if errors.Is(told, &tokens.Error{Code: tokens.CodeProtocol}) && d.leaves(reader) {
		return fail(tokens.CodeRemoved, "the card was removed during the operation", err)
	}
	return told
}

const noExtensions = "the card does not have Yubico's extensions of PIV, which tokend needs"

// explain turns a failure in the middle of an operation into an error.
func (d *Driver) explain(reader string, err error) error {
	var told *tokens.Error
	if errors.As(err, &told) {
		return told
	}
	removed := fail(tokens.CodeRemoved, "the card was removed during the operation", err)
	if code, ok := pcscError(err); ok {
		switch code {
		case pcsc.ErrRemoved, pcsc.ErrNotTransacted, pcsc.ErrUnpowered, pcsc.ErrNoCard, pcsc.ErrUnknownReader, pcsc.ErrReaderUnavailable, pcsc.ErrNoReaders:
			if d.serviceGone() {
				return fail(tokens.CodeNoService, "the PC/SC service went away during the operation", err)
			}
			return removed
		case pcsc.ErrSharing:
			return fail(tokens.CodeBusy, "another program holds the card", err)
		case pcsc.ErrReset:
			return fail(tokens.CodeBusy, "another program reset the card during the operation", err)
		}
		if pcsc.ServiceGone(code) {
			return fail(tokens.CodeNoService, "the PC/SC service went away during the operation", err)
		}
		if d.leaves(reader) {
			return removed
		}
		return fail(tokens.CodeProtocol, "lost contact with the card", err)
	}
	if _, ok := status(err); ok {
		return fail(tokens.CodeProtocol, "the card refused", err)
	}
	// A card that is pulled out can also end in an answer of no bytes.
	if d.leaves(reader) {
		return removed
	}
	return fail(tokens.CodeProtocol, "the card answered nonsense", err)
}

// serviceGone says whether the service cannot be reached now.
func (d *Driver) serviceGone() bool {
	x, err := pcsc.Open()
	if err != nil {
		return true
	}
	x.Close()
	return false
}

// leaveTime is how long the service may take to notice that a card is gone.
const leaveTime = 700 * time.Millisecond

// leaves says whether the card is gone, or about to be found gone.
func (d *Driver) leaves(reader string) bool {
	x, err := pcsc.Open()
	if err != nil {
		return false
	}
	defer x.Close()
	state := []pcsc.Reader{{Name: reader}}
	for end := d.o.Now().Add(leaveTime); ; {
		err := x.Wait(state, max(end.Sub(d.o.Now()), 0))
		if errors.Is(err, pcsc.ErrUnknownReader) || err == nil && !state[0].New.Present() {
			return true
		}
		if err != nil || !d.o.Now().Before(end) {
			return false
		}
		state[0].Current = state[0].New &^ pcsc.StateChanged
	}
}

// present says whether a card is in the reader now.
func (d *Driver) present(reader string) bool {
	x, err := pcsc.Open()
	if err != nil {
		return false
	}
	defer x.Close()
	state := []pcsc.Reader{{Name: reader}}
	return x.Wait(state, 0) == nil && state[0].New.Present()
}
