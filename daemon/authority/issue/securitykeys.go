package issue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/authority/webkey"
)

// SecurityKey is a user's FIDO2 key.
type SecurityKey struct {
	ID, User, Name string
	// Model is the AAGUID, by the key's own word; empty where it tells none.
	Model string
	// UV says that it is used with a PIN or a finger.
	UV      bool
	By      string // who registered it
	Created time.Time
	// Used is when it was a factor last, Doubted when its counter was seen to go
	// back, as that of a copy does; zero: never.
	Used, Doubted time.Time
}

// NewSecurityKey is a key to be registered.
type NewSecurityKey struct {
	User string // a name or an id
	Name string // 1 to 64 bytes
	// Statement is what the key signed (daemon/authority/webkey), for the user's id.
	Statement []byte
}

type securityKeyRecord struct {
	User         string    `cbor:"1,keyasint"`
	Credential   []byte    `cbor:"2,keyasint"`
	Public       []byte    `cbor:"3,keyasint"` // COSE
	RelyingParty string    `cbor:"4,keyasint"`
	Model        [16]byte  `cbor:"5,keyasint"`
	Name         string    `cbor:"6,keyasint"`
	UV           bool      `cbor:"7,keyasint,omitempty"`
	Count        uint32    `cbor:"8,keyasint"`
	By           string    `cbor:"9,keyasint"`
	Created      time.Time `cbor:"10,keyasint"`
	Used         time.Time `cbor:"11,keyasint,omitzero"`
	Doubted      time.Time `cbor:"12,keyasint,omitzero"`
}

func (r securityKeyRecord) credential() webkey.Credential {
	return webkey.Credential{ID: r.Credential, Public: r.Public, Model: r.Model, UV: r.UV, Count: r.Count}
}

func (r securityKeyRecord) shown(id message.ID) SecurityKey {
	k := SecurityKey{ID: id.String(), User: r.User, Name: r.Name, UV: r.UV, By: r.By, Created: r.Created.UTC(), Used: r.Used.UTC(), Doubted: r.Doubted.UTC()}
	if r.Model != [16]byte{} {
		h := hex.EncodeToString(r.Model[:])
		k.Model = strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
	}
	return k
}

// securityKeyID is the id under which a credential is kept, so that none is
// registered twice.
func securityKeyID(credential []byte) message.ID {
	sum := sha256.Sum256(append([]byte("tokend authority security key id v1\n"), credential...))
	return message.ID(sum[:16])
}

// AddSecurityKey registers a user's key. It fails with NotFound, TooMany, with
// Invalid for a statement that is not by a new key for this user, and with Exists
// for a key that is registered already, be it somebody else's.
func (i *Issuer) AddSecurityKey(by string, n NewSecurityKey) (SecurityKey, error) {
	r := securityKeyRecord{Name: n.Name, RelyingParty: webkey.RelyingParty, By: by, Created: i.now()}
	var id message.ID
	err := checkKeyName(n.Name)
	if err == nil {
		err = i.store.Update(func(tx *store.Tx) (err error) {
			id, err = i.addSecurityKey(tx, &r, n)
			return err
		})
	}
	e := authority.Entry{User: r.User}
	if err == nil {
		e.Detail = "key=" + id.String()
	}
	i.admin("security-key-add", by, e, err)
	if err != nil {
		return SecurityKey{}, err
	}
	return r.shown(id), nil
}

func checkKeyName(s string) error {
	if s == "" || len(s) > 64 || s != shown(s, 64) || strings.TrimSpace(s) != s {
		return fail(authority.Invalid, "name", "cannot use name: it is not 1 to 64 bytes that can be shown")
	}
	return nil
}

func (i *Issuer) addSecurityKey(tx *store.Tx, r *securityKeyRecord, n NewSecurityKey) (id message.ID, err error) {
	u, err := i.reg.UserIn(tx, n.User)
	if err != nil {
		return id, err
	}
	r.User = u.ID
	c, err := webkey.ReadNew(n.Statement, webkey.ForNew(u.ID))
	if err != nil {
		return id, fail(authority.Invalid, "statement", "cannot register the key: %s", err)
	}
	r.Credential, r.Public, r.Model, r.UV, r.Count = c.ID, c.Public, c.Model, c.UV, c.Count
	id = securityKeyID(c.ID)
	p, err := portfolioOf(tx, u.ID)
	if err != nil {
		return id, err
	}
	_, found, err := get[securityKeyRecord](tx, securityKeysBucket, id)
	switch {
	case err != nil:
		return id, err
	case found:
		return id, fail(authority.Exists, "statement", "the key is registered already")
	case len(p.Keys) >= MaxSecurityKeys:
		return id, fail(authority.TooMany, "user", "the user has %d security keys", MaxSecurityKeys)
	}
	p.Keys = append(p.Keys, id)
	if err := put(tx, securityKeysBucket, id, *r); err != nil {
		return id, err
	}
	return id, p.put(tx, u.ID)
}

// SecurityKeys lists a user's keys in the order in which they were registered.
func (i *Issuer) SecurityKeys(user string) ([]SecurityKey, error) {
	ids := func(p portfolio) []message.ID { return p.Keys }
	return ofUser(i, user, securityKeysBucket, ids, func(_ *store.Tx, id message.ID, r securityKeyRecord) (SecurityKey, error) {
		return r.shown(id), nil
	})
}

// RemoveSecurityKey forgets one of a user's keys, which ref names by its id or, where
// no other has it, its name. It fails with NotFound, and with Conflict for a name that
// several have.
func (i *Issuer) RemoveSecurityKey(by, user, ref string) (SecurityKey, error) {
	var gone SecurityKey
	e := authority.Entry{}
	err := i.store.Update(func(tx *store.Tx) error {
		u, err := i.reg.UserIn(tx, user)
		if err != nil {
			return err
		}
		e = authority.Entry{User: u.ID}
		p, err := portfolioOf(tx, u.ID)
		if err != nil {
			return err
		}
		id, r, err := findSecurityKey(tx, p, ref)
		if err != nil {
			return err
		}
		gone, e.Detail = r.shown(id), "key="+id.String()
		p.Keys = slices.DeleteFunc(p.Keys, func(x message.ID) bool { return x == id })
		if err := tx.Delete(securityKeysBucket, id[:]); err != nil {
			return err
		}
		return p.put(tx, u.ID)
	})
	i.admin("security-key-remove", by, e, err)
	return gone, err
}

func findSecurityKey(tx *store.Tx, p portfolio, ref string) (id message.ID, found securityKeyRecord, err error) {
	asked, isID := parseID(ref)
	n := 0
	for _, x := range p.Keys {
		r, there, err := get[securityKeyRecord](tx, securityKeysBucket, x)
		switch {
		case err != nil:
			return id, r, err
		case there && isID && x == asked:
			return x, r, nil
		case there && fold(r.Name) == fold(ref):
			id, found = x, r
			n++
		}
	}
	switch n {
	case 0:
		return id, found, fail(authority.NotFound, "key", "the user has no such security key")
	case 1:
		return id, found, nil
	}
	return id, found, fail(authority.Conflict, "key", "the user has %d security keys of that name", n)
}

// credentials are the ids of a user's credentials.
func (s *step) credentials() (out [][]byte, err error) {
	for _, id := range s.mine.Keys {
		r, found, err := get[securityKeyRecord](s.tx, securityKeysBucket, id)
		if err != nil {
			return nil, err
		}
		if found {
			out = append(out, r.Credential)
		}
	}
	return out, nil
}

// securityKey takes the assertion of a key of the user's, once. A counter that goes
// back is that of a copy, or of a key whose copy was here: it is refused and noted.
// As a bypass code's, no failure before keeps a right answer out.
func (i *Issuer) securityKey(s *step, assertion []byte) (message.Result, error) {
	named, _ := webkey.Named(assertion) // what names nothing is found nowhere
	id := securityKeyID(named)
	r, found, err := get[securityKeyRecord](s.tx, securityKeysBucket, id)
	if err != nil {
		return nil, err
	}
	if found && r.User == s.user.ID && len(s.talk.Challenge) > 0 {
		hash := webkey.ForFactor(i.keys.self.KeysHash(), s.device(), s.o.Conversation, s.talk.Challenge)
		count, bad := r.credential().Check(assertion, hash)
		switch {
		case bad == nil:
			r.Count, r.Used, s.talk.Challenge = count, s.now, nil
			if err := put(s.tx, securityKeysBucket, id, r); err != nil {
				return nil, err
			}
			return i.proved(s, policy.SecurityKey)
		case errors.Is(bad, webkey.ErrCounter):
			r.Doubted = s.now
			if err := put(s.tx, securityKeysBucket, id, r); err != nil {
				return nil, err
			}
			s.tell("security-key-copied", false, "key="+id.String())
		}
	}
	return i.wrong(s, serviceKey, codeKey, "this is not the answer of a security key of yours")
}
