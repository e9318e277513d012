package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/daemon/authority/webkey"
	"github.com/tokenbridge/tokend/daemon/managed"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// MakeSecurityKey implements [ipc.Tokens]. It has nothing to do with the caller's
// vault: he needs none.
func (d *Daemon) MakeSecurityKey(ctx context.Context, p ipc.Principal, r ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error) {
	defer r.PIN.Wipe()
	u, err := d.user(&p)
	if err != nil {
		return ipc.MadeSecurityKey{}, err
	}
	if idOf(r.UserID).String() != r.UserID {
		return ipc.MadeSecurityKey{}, ipc.Errorf(ipc.InvalidArgument, "the user's id is none that an authority gives")
	}
	list, err := u.securityKeys(ctx, p, r.Locator)
	if err != nil {
		return ipc.MadeSecurityKey{}, err
	}
	if len(list) > 1 {
		return ipc.MadeSecurityKey{}, severalKeys(list)
	}
	made, err := u.makeSecurityKey(ctx, p, list[0], r)
	u.auditResult(p, "security-key-make", "", err)
	return made, err
}

func (u *user) makeSecurityKey(ctx context.Context, p ipc.Principal, t tokens.Token, r ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error) {
	hash := webkey.ForNew(r.UserID)
	var made tokens.NewCredential
	err := u.onSecurityKey(ctx, t, cause{who: p}, func(ctx context.Context, a tokens.Asserter, tell telling) (err error) {
		made, err = a.MakeCredential(ctx, tokens.CredentialRequest{Locator: t.Locator, Hash: hash[:], PIN: pinOrNone(r.PIN),
			SpendLastTry: r.SpendLastTry, OnTouch: tell.touch, OnBusy: tell.busy})
		return err
	})
	if err != nil {
		return ipc.MadeSecurityKey{}, mapError(err)
	}
	statement, err := webkey.EncodeNew(made.AuthData, statementOf(made.Proof))
	if err == nil {
		_, err = webkey.ReadNew(statement, hash) // what no authority would take is no key
	}
	if err != nil {
		return ipc.MadeSecurityKey{}, fault(ipc.TokenFailed, err, "the key made a credential that it cannot sign by")
	}
	return ipc.MadeSecurityKey{Version: ipc.Version, Statement: statement, Token: *u.tokenRef(t)}, nil
}

func statementOf(a tokens.Assertion) webkey.Assertion {
	return webkey.Assertion{Credential: a.Credential, AuthData: a.AuthData, Signature: a.Signature}
}

// pinOrNone is a PIN as drivers have it: nil where nobody was asked.
func pinOrNone(s ipc.Secret) []byte {
	if len(s) == 0 {
		return nil
	}
	return s
}

// securityKeys are the FIDO2 keys that may be meant, at least one: those that
// locator names, or all that are plugged in.
func (u *user) securityKeys(ctx context.Context, p ipc.Principal, locator string) ([]tokens.Token, error) {
	const kind = tokens.KindFIDO2
	if u.d.cfg.Drivers[kind] == nil {
		return nil, u.noDriver(kind, ipc.TokenRef{Kind: string(kind)})
	}
	if !u.d.mayUseTokens(p) {
		return nil, ipc.Errorf(ipc.TokenNotPresent, "no security key is plugged in")
	}
	if len(u.match(locator)) == 0 {
		u.d.presence.settled(ctx)
	}
	found := u.match(locator)
	switch {
	case len(found) > 0:
		return found, nil
	case u.serviceDown(kind) != nil:
		return nil, u.serviceDown(kind)
	case locator != "":
		return nil, ipc.Errorf(ipc.TokenNotPresent, "no such security key is plugged in")
	}
	if err := u.d.blind(ctx, kind); err != nil {
		return nil, err
	}
	return nil, ipc.Errorf(ipc.TokenNotPresent, "no security key is plugged in")
}

func (u *user) match(locator string) (out []tokens.Token) {
	for _, t := range u.d.presence.all() {
		ref := u.tokenRef(t)
		named := locator == "" || slices.Contains([]string{t.ID, t.Locator, t.Serial, ref.ID, ref.Label}, locator)
		if t.Kind == tokens.KindFIDO2 && named {
			out = append(out, t)
		}
	}
	return out
}

func severalKeys(list []tokens.Token) error {
	x := ipc.Errorf(ipc.AmbiguousToken, "several security keys are plugged in; a key's id or device names one")
	for _, t := range list {
		x.Items = append(x.Items, ipc.Item{ID: t.ID, Name: t.Locator, Reason: strings.TrimSpace(t.Model + " " + t.Serial)})
	}
	return x
}

// onSecurityKey has a key do something when its turn comes.
func (u *user) onSecurityKey(ctx context.Context, t tokens.Token, c cause, f func(ctx context.Context, a tokens.Asserter, tell telling) error) error {
	ref := *u.tokenRef(t)
	asserter, ok := u.d.cfg.Drivers[t.Kind].(tokens.Asserter)
	if !ok {
		return u.noDriver(t.Kind, ref)
	}
	if t.Problem != nil {
		return tokenError(t.Problem, ref)
	}
	stay := u.d.presence.stay(t)
	return u.onToken(ctx, t.Locator, ref, c, func(ctx context.Context, tell telling) error {
		if err := u.d.presence.still(t, stay); err != nil {
			return err
		}
		return f(ctx, asserter, tell)
	})
}

// answerByKey has a security key answer what an authority asks in a conversation.
// The vault is not held meanwhile: a touch may take long. Of several keys it is the
// first that holds one of the credentials; the others see neither PIN nor touch.
func (u *user) answerByKey(ctx context.Context, p ipc.Principal, conversation string, r ipc.GiveFactorRequest) ([]byte, error) {
	s, err := u.open(true)
	if err != nil {
		return nil, err
	}
	q, err := s.device(u.d).KeyQuestion(conversation)
	if err != nil {
		return nil, managedError(err)
	}
	list, err := u.securityKeys(ctx, p, r.Locator)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		said, err := u.assert(ctx, p, t, q, pinOrNone(r.PIN))
		if errors.Is(err, &tokens.Error{Code: tokens.CodeWrongToken}) || errors.Is(err, &tokens.Error{Code: tokens.CodeUnsupported}) {
			continue
		}
		if err != nil {
			return nil, mapError(err)
		}
		statement, err := statementOf(said).Encode()
		if err != nil {
			return nil, fault(ipc.TokenFailed, err, "the key answered nonsense")
		}
		return statement, nil
	}
	return nil, ipc.Errorf(ipc.NoKeyslot, "no security key that is plugged in is registered for you at the authority")
}

func (u *user) assert(ctx context.Context, p ipc.Principal, t tokens.Token, q managed.KeyQuestion, pin []byte) (said tokens.Assertion, err error) {
	err = u.onSecurityKey(ctx, t, cause{who: p}, func(ctx context.Context, a tokens.Asserter, tell telling) error {
		said, err = a.Assert(ctx, tokens.AssertRequest{Locator: t.Locator, Hash: q.Hash[:], Credentials: q.Credentials, PIN: pin,
			OnTouch: tell.touch, OnBusy: tell.busy})
		return err
	})
	return said, err
}
