package issue

import (
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
)

const (
	// bypassSize is the random bytes of a bypass code: 80 bits, 16 letters.
	bypassSize   = 10
	bypassLength = 16
)

// BypassCode is a bypass code, without what is typed.
type BypassCode struct {
	ID, User, By     string
	Created, Expires time.Time
	State            CodeState
}

// CreateBypass makes a bypass code, which is returned this once, as
// "ABCD-EFGH-JKMN-PQRS". It is good for one factor of one reactivation, for life,
// which is at most and by default what the policy says. It fails with NotFound,
// TooMany, and Conflict as CreateActivation does.
func (i *Issuer) CreateBypass(by, user string, valid time.Duration) (BypassCode, message.Secret, error) {
	now := i.now()
	b := bypassRecord{By: by, Created: now, Expires: now.Add(life(valid, i.lifetimes().BypassCode)), State: Open}
	var id message.ID
	raw := make([]byte, bypassSize)
	defer clear(raw)
	err := i.make(&id, raw)
	letters := crockford().AppendEncode(nil, raw)
	if err == nil {
		b.Sum, err = i.keys.sum(serviceBypass, id, letters)
	}
	if err == nil {
		err = i.store.Update(func(tx *store.Tx) error { return i.addBypass(tx, id, &b, user) })
	}
	i.admin("bypass-create", by, authority.Entry{User: b.User, Detail: id.String()}, err)
	if err != nil {
		clear(letters)
		return BypassCode{}, nil, err
	}
	code := slices.Concat(letters[:4], []byte("-"), letters[4:8], []byte("-"), letters[8:12], []byte("-"), letters[12:])
	clear(letters)
	return b.shown(id, now), code, nil
}

func (b bypassRecord) shown(id message.ID, now time.Time) BypassCode {
	return BypassCode{ID: id.String(), User: b.User, By: b.By, Created: b.Created.UTC(), Expires: b.Expires.UTC(), State: current(b.State, b.Expires, now)}
}

func (i *Issuer) addBypass(tx *store.Tx, id message.ID, b *bypassRecord, user string) error {
	u, p, err := i.beneficiary(tx, b.By, user)
	if err != nil {
		return err
	}
	b.User = u.ID
	open, err := i.liveBypass(tx, p, b.Created)
	if err != nil {
		return err
	}
	if len(open) >= MaxBypassCodes {
		return fail(authority.TooMany, "bypass-code", "the user has %d bypass codes that were not used", MaxBypassCodes)
	}
	// The last dead ones stay for the list.
	for len(p.Bypass) >= 2*MaxBypassCodes {
		n := slices.IndexFunc(p.Bypass, func(x message.ID) bool { return !slices.Contains(open, x) })
		if err := tx.Delete(bypassBucket, p.Bypass[n][:]); err != nil {
			return err
		}
		p.Bypass = slices.Delete(p.Bypass, n, n+1)
	}
	p.Bypass = append(p.Bypass, id)
	if err := put(tx, bypassBucket, id, *b); err != nil {
		return err
	}
	return p.put(tx, u.ID)
}

// liveBypass are the codes that can be used.
func (i *Issuer) liveBypass(tx *store.Tx, p portfolio, now time.Time) (out []message.ID, err error) {
	for _, id := range p.Bypass {
		b, found, err := get[bypassRecord](tx, bypassBucket, id)
		if err != nil {
			return nil, err
		}
		if found && b.State == Open && now.Before(b.Expires) {
			out = append(out, id)
		}
	}
	return out, nil
}

// BypassCodes lists a user's bypass codes, old ones too, in the order in which
// they were made.
func (i *Issuer) BypassCodes(user string) ([]BypassCode, error) {
	ids := func(p portfolio) []message.ID { return p.Bypass }
	return ofUser(i, user, bypassBucket, ids, func(_ *store.Tx, id message.ID, b bypassRecord) (BypassCode, error) {
		return b.shown(id, i.now()), nil
	})
}

// RevokeBypass makes a bypass code useless. It fails with NotFound, and with
// Conflict for one that is used.
func (i *Issuer) RevokeBypass(by, ref string) error {
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		id, ok := parseID(ref)
		b, found, err := get[bypassRecord](tx, bypassBucket, id)
		if err != nil {
			return err
		}
		if !ok || !found {
			return fail(authority.NotFound, "bypass-code", "there is no such bypass code")
		}
		e = authority.Entry{User: b.User, Detail: ref}
		if b.State == Used {
			return fail(authority.Conflict, "bypass-code", "the bypass code is used")
		}
		b.State = Off
		return put(tx, bypassBucket, id, b)
	})
	i.admin("bypass-revoke", by, e, err)
	return err
}

// bypass tries a bypass code, and uses it up in the same step. A right one is taken
// whatever failed before: no number of tries guesses it, and so wrong ones of
// somebody else must not keep it out.
func (i *Issuer) bypass(s *step, typed []byte) (message.Result, error) {
	letters := readBypass(typed)
	defer clear(letters)
	live, err := i.liveBypass(s.tx, s.mine, s.now)
	if err != nil {
		return nil, err
	}
	for _, id := range live {
		b, _, err := get[bypassRecord](s.tx, bypassBucket, id)
		if err != nil {
			return nil, err
		}
		sum, err := i.keys.sum(serviceBypass, id, letters)
		if err != nil {
			return nil, err
		}
		if len(letters) != bypassLength || !same(sum, b.Sum) {
			continue
		}
		b.State = Used
		if err := put(s.tx, bypassBucket, id, b); err != nil {
			return nil, err
		}
		s.tell("bypass-use", true, id.String())
		return i.proved(s, policy.BypassCode)
	}
	return i.wrong(s, serviceBypass, codeBypass, "this bypass code is not good")
}

// readBypass takes a code as people write it: in any case, with blanks and
// hyphens, O for 0, I and L for 1.
func readBypass(typed []byte) []byte {
	out := make([]byte, 0, len(typed))
	for _, c := range typed {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch {
		case strings.IndexByte(" -\t\r\n", c) >= 0:
			continue
		case c == 'O':
			c = '0'
		case c == 'I' || c == 'L':
			c = '1'
		}
		out = append(out, c)
	}
	return out
}
