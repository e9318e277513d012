// Package issue is the part of an authority that issues managed accounts: it
// answers the requests of devices (daemon/authority/message), keeps the accounts
// and the devices that have them, makes activations and bypass codes, and
// verifies the codes of managed accounts. Its records lie in the authority's own
// file; what a request does, the place of its conversation and the bytes of its
// answer are stored in one step, so that the same request again gets the same
// answer, after a crash as well.
//
// # How an account comes to a device
//
// An administrator creates an activation, for a new account or one there is. The
// first device that uses it is the only one that can, until it expires. It gets a
// secret of its own, which is pending: good for nothing but the proof, a code
// made with it. With the proof the device becomes active, and the activation is
// used up. Until then every device that had the account works as before. After
// it, they are revoked or kept as the policy says, in the same step: at no time is
// there no device with a secret that works.
//
// With a restored vault the account's reactivation key takes the place of the
// activation. It alone brings back nothing: factors follow, as many as the policy
// asks for. Which there are is decided anew at every step.
// A policy that revokes leaves an account on one device, also where the old one
// has approved the new one.
//
// Security keys are registered by whoever may and has the user's key before him; the
// user then signs a challenge with it. A challenge is good for one conversation of one
// device, and until it was answered.
//
// Remote verifiers (daemon/authority/remote) are asked between two steps: the first
// notes that one is asked, the second decides everything anew and stores what became
// of it. What was accepted in between and not stored was not accepted. A verifier that
// takes its time is asked on while the device asks again.
//
// # What strangers learn
//
// Who has neither an account's reactivation key nor the secret of an activation
// learns nothing: an account that does not exist and a signature by a wrong key
// fail with one error; an activation that does not exist, is used, revoked,
// expired or another device's, and a wrong secret of it, get one answer, as do
// devices that are not known or another user's, whether they ask or are named. All failures are answered at the
// authority's deadline.
//
// The package knows neither callers nor carriers. Who may do what as an
// administrator is decided by whoever calls, except that nobody helps himself.
package issue

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

// Registry is what is asked of an authority; an *authority.Authority is one.
type Registry interface {
	Store() *store.Store
	Profile() (authority.Profile, error)
	User(ref string) (authority.User, error)
	UserIn(tx *store.Tx, ref string) (authority.User, error)
	Recognises(tx *store.Tx, user string, passcode []byte) (bool, error)
	VerifyIn(at authority.Attempt, then func(tx *store.Tx, v authority.Verdict) error) (authority.Verdict, error)
	Waits(tx *store.Tx, service, who string, now time.Time) (time.Duration, error)
	Stranger(name string) (string, error)
	Failed(tx *store.Tx, service, who string, now time.Time) error
	PasscodeWaits(tx *store.Tx, service, user string, now time.Time) (time.Duration, error)
	PasscodeFailed(tx *store.Tx, service, user string, now time.Time) error
	HoldBack(ctx context.Context, begun time.Time) error
}

// Options are what an Issuer works with.
type Options struct {
	Registry Registry
	// Audit is told of what is done. It must be given.
	Audit authority.Auditor
	// Policy returns the policy that holds; nil denies everything.
	Policy func() *policy.Policy
	// Remote returns a verifier that is asked over the network; nil where it is not
	// set up. It may change at any time. If it is nil itself, none is.
	Remote func(policy.Verifier) remote.Verifier
	// Trouble is told why a remote verifier gave no answer that counts; may be nil.
	Trouble func(v policy.Verifier, err error)
	// Patience is how long a request waits for a remote verifier before it is answered
	// that it has to be asked for again; a few seconds if 0.
	Patience time.Duration
	// Now is the wall clock, the registry's own; time.Now if nil.
	Now func() time.Time
	// Random is where secrets, ids and numbers come from; crypto/rand if nil.
	Random io.Reader
}

// Issuer issues managed accounts. Its methods are safe for concurrent use. They
// fail with an *authority.Error where the caller can do better, and with the
// errors of daemon/authority/store.
type Issuer struct {
	reg    Registry
	store  *store.Store
	audit  authority.Auditor
	policy func() *policy.Policy
	now    func() time.Time
	random io.Reader
	keys   *keyring
	remote func(policy.Verifier) remote.Verifier
	asked  *asked
	// trouble is told why a remote verifier gave no answer; may be nil.
	trouble func(policy.Verifier, error)
	// nobody is a key that signs nothing: unknown accounts are looked at with it.
	nobody ed25519.PublicKey
}

// New makes what is missing in the registry, its keys as well the first time.
func New(o Options) (*Issuer, error) {
	i := &Issuer{reg: o.Registry, store: o.Registry.Store(), audit: o.Audit, policy: o.Policy, now: o.Now, random: o.Random}
	if i.now == nil {
		i.now = time.Now
	}
	if i.random == nil {
		i.random = rand.Reader
	}
	if i.remote = o.Remote; i.remote == nil {
		i.remote = func(policy.Verifier) remote.Verifier { return nil }
	}
	i.asked, i.trouble = newAsked(o), o.Trouble
	if err := i.store.Ensure(buckets()...); err != nil {
		return nil, err
	}
	var err error
	if i.nobody, _, err = ed25519.GenerateKey(i.random); err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	profile, err := i.reg.Profile()
	if err != nil {
		return nil, err
	}
	i.keys, err = i.openKeys(profile)
	return i, err
}

// Close gives up what remote verifiers are asked, and forgets the keys.
func (i *Issuer) Close() {
	i.asked.close()
	i.keys.wipe()
}

func fail(kind authority.ErrorKind, field, format string, args ...any) error {
	return &authority.Error{Kind: kind, Field: field, Problem: fmt.Sprintf(format, args...)}
}
