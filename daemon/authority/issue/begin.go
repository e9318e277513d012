package issue

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/webkey"
)

// begin says which factors there are for an account.
func (i *Issuer) begin(s *step, b *message.Begin) (message.Result, error) {
	id, ok := parseID(s.o.Account)
	if !ok {
		return i.unknown(s), nil
	}
	r, found, err := get[accountRecord](s.tx, accountsBucket, id)
	r.wipe()
	if err != nil || !found || !slices.Contains(r.Keys, s.key) {
		return i.unknown(s), err
	}
	s.talk = conversation{Kind: message.KindBegin, Stage: choosing, User: r.User, Account: id, Device: b.DeviceName, Restored: b.Restored,
		Until: s.now.Add(s.life()), Key: s.key}
	if s.talk.Reference, err = i.newReference(); err != nil {
		return nil, err
	}
	ok, err = i.loadUser(s, r.User)
	if err == nil && ok {
		ok, err = i.loadAccount(s, id)
	}
	if err == nil && ok {
		ok, err = i.ownDevice(s)
	}
	if err != nil || !ok {
		s.tell("reactivate-begin", false, codeRefused)
		return i.unknown(s), err
	}
	// Who has the key and never had a secret has it from a backup, whatever he says.
	if s.account.find(s.device(), Active) == nil && s.account.find(s.device(), Revoked) == nil {
		s.talk.Restored = true
	}
	return i.proceed(s, "reactivate-begin")
}

// life is how long the conversation may take.
func (s *step) life() time.Duration {
	if s.o.Files {
		return message.MaxFiles
	}
	return conversationLife
}

// proceed goes on with what was proved so far: the secret, or what is asked for
// next. kind is what the audit has this step under.
func (i *Issuer) proceed(s *step, kind string) (message.Result, error) {
	d, err := i.decide(s)
	if err != nil {
		return nil, err
	}
	if d.Outcome != policy.Offered {
		s.tell(kind, false, string(d.Outcome))
		return i.left(s, d)
	}
	offer := &message.Offer{Required: d.Required, Proved: s.talk.Proved, Denials: denials(d), OldDevice: string(d.OldDevice), Until: s.talk.Until.Unix()}
	proved := 0
	for _, o := range d.Offers {
		if slices.Contains(s.talk.Proved, string(o.Factor)) {
			proved++
			continue
		}
		offer.Factors = append(offer.Factors, string(o.Factor))
		offer.By = append(offer.By, string(o.Verifiers[0]))
	}
	if !slices.ContainsFunc(offer.By, func(v string) bool { return v != string(policy.Local) }) {
		offer.By = nil // as devices expect it that know of nobody else
	}
	s.tell(kind, true, fmt.Sprintf("proved=%d of %d", proved, d.Required))
	if proved >= d.Required {
		return i.newSecret(s, d, s.talk.Key, message.ID{})
	}
	return offer, i.challenge(s, offer)
}

// challenge adds to an offer what a security key is asked.
func (i *Issuer) challenge(s *step, offer *message.Offer) (err error) {
	if !slices.Contains(offer.Factors, string(policy.SecurityKey)) {
		return nil
	}
	s.talk.Challenge = make([]byte, 32)
	if _, err := io.ReadFull(i.random, s.talk.Challenge); err != nil {
		return fmt.Errorf("cannot make a challenge: %w", err)
	}
	offer.Challenge, offer.RelyingTo = s.talk.Challenge, webkey.RelyingParty
	offer.Credentials, err = s.credentials()
	return err
}

// decide asks the policy, as things are now.
func (i *Issuer) decide(s *step) (policy.Decision, error) {
	has, err := i.holdings(s)
	if err != nil {
		return policy.Decision{}, err
	}
	var unknown []policy.Factor
	for _, f := range s.talk.Unknown {
		unknown = append(unknown, policy.Factor(f))
	}
	for _, f := range s.talk.Proved {
		// What was proved counts, though the code is used up.
		has[policy.Factor(f)] = policy.Holding{Working: 1}
	}
	d := policy.Decide(i.policy(), policy.Subject{User: person(s.user), Account: s.account.Label, Restored: s.talk.Restored,
		Device: policy.Device{ID: s.device().String(), Name: s.talk.Device}, Has: has, Ready: i.Ready, Unknown: unknown})
	for n := range d.Denials {
		if x := &d.Denials[n]; x.Cause == policy.NoneAssigned && slices.Contains(unknown, x.Factor) {
			x.Reason = "who verifies it does not know you"
		}
	}
	return d, nil
}

// Ready says whether a remote verifier is set up.
func (i *Issuer) Ready(v policy.Verifier) bool { return i.remote(v) != nil }

// person is a user as the policy knows him.
func person(u authority.User) policy.Person {
	p := policy.Person{ID: u.ID, Name: u.Name, Groups: u.Groups, Authorities: u.Authorities}
	for _, r := range u.Roles {
		p.Roles = append(p.Roles, policy.Role(r))
	}
	return p
}

// holdings are what the user has of each factor that can be verified.
func (i *Issuer) holdings(s *step) (map[policy.Factor]policy.Holding, error) {
	has := map[policy.Factor]policy.Holding{}
	count := func(f policy.Factor, works bool) {
		h := has[f]
		if works {
			h.Working++
		} else {
			h.Broken++
		}
		has[f] = h
	}
	for _, f := range s.user.Fobs {
		count(policy.Fob, f.Works(s.now))
	}
	for _, id := range s.mine.Devices {
		d, found, err := get[deviceRecord](s.tx, devicesBucket, id)
		if err != nil {
			return nil, err
		}
		if found && id != s.device() {
			count(policy.OtherDevice, d.State == Active)
		}
	}
	for _, id := range s.mine.Bypass {
		b, found, err := get[bypassRecord](s.tx, bypassBucket, id)
		if err != nil {
			return nil, err
		}
		if found {
			count(policy.BypassCode, b.State == Open && s.now.Before(b.Expires))
		}
	}
	credentials, err := s.credentials()
	for range credentials {
		count(policy.SecurityKey, true)
	}
	return has, err
}
