package issue

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/webkey"
	"github.com/tokenbridge/tokend/tokens/tokentest/softkey"
)

// hasKey registers a key.
func (r *rig) hasKey(u authority.User, name string, k *softkey.Key) SecurityKey {
	r.Helper()
	out, err := r.AddSecurityKey("owner", NewSecurityKey{User: u.ID, Name: name, Statement: k.New(u.ID)})
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// hash is what the device asks a key to sign, by what it knows.
func (d *device) hash(o *message.Offer) [32]byte {
	return webkey.ForFactor(d.r.d.KeysHash(), d.keys.Public().DeviceID(), d.before.Conversation, o.Challenge)
}

func (d *device) signed(o *message.Offer, k *softkey.Key) message.RequestBody {
	return &message.Factor{Factor: "security_key", Assertion: k.Statement(d.hash(o))}
}

// TestSecurityKey: a key beside a fob, where the policy asks for two factors.
func TestSecurityKey(t *testing.T) {
	r := newRig(t)
	r.policyIs(strings.Replace(usual, "after_restore", "factors = 2\nafter_restore", 1))
	old := r.active("old", "alice", "vpn")
	key := softkey.New(t)
	shown := r.hasKey(r.alice, "YubiKey", key)
	if shown.Name != "YubiKey" || !shown.UV || shown.Model != "aa010000-0000-0000-0000-000000000000" || !shown.Used.IsZero() {
		t.Errorf("%+v", shown)
	}
	r.reopen()
	fresh := old.restored("new")
	offer := expect[*message.Offer](fresh, fresh.begin(true), true)
	if !slices.Contains(offer.Factors, "security_key") || len(offer.Challenge) != 32 || offer.RelyingTo != webkey.RelyingParty || offer.Required != 2 ||
		len(offer.Credentials) != 1 || !bytes.Equal(offer.Credentials[0], key.ID) {
		t.Fatalf("%+v", offer)
	}
	second := expect[*message.Offer](fresh, fresh.signed(offer, key), false)
	if !slices.Equal(second.Proved, []string{"security_key"}) || slices.Contains(second.Factors, "security_key") || second.Challenge != nil {
		t.Fatalf("%+v", second)
	}
	fresh.refused(fresh.signed(offer, key), false, codeOffered)
	expect[*message.NewSecret](fresh, factor("fob", r.passcode("F1")), false)
	expect[*message.Done](fresh, fresh.proof(), false)
	list, err := r.SecurityKeys("alice")
	if err != nil || len(list) != 1 || list[0].Used.IsZero() || !list[0].Doubted.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestSecurityKeyRefused: whatever is not this key's answer, in this conversation, of
// this device, to this authority.
func TestSecurityKeyRefused(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	bob := r.user("bob", "F2")
	key, bobs := softkey.New(t), softkey.New(t)
	r.hasKey(r.alice, "hers", key)
	r.hasKey(bob, "his", bobs)
	fresh := old.restored("new")
	offer := expect[*message.Offer](fresh, fresh.begin(true), true)
	if len(offer.Credentials) != 1 {
		t.Fatalf("%+v", offer.Credentials)
	}
	// What the same key signs in another conversation, of the same device.
	elsewhere := *fresh
	other := expect[*message.Offer](&elsewhere, elsewhere.begin(true), true)
	there := elsewhere.signed(other, key)
	mine := fresh.signed(offer, key).(*message.Factor)
	for name, b := range map[string]message.RequestBody{
		"nothing":                   &message.Factor{Factor: "security_key"},
		"nonsense":                  &message.Factor{Factor: "security_key", Assertion: []byte("yes")},
		"a passcode":                factor("security_key", message.Secret("123456")),
		"of another conversation":   there,
		"another's key":             fresh.signed(offer, bobs),
		"another's in its name":     fresh.signed(offer, &softkey.Key{TB: t, ID: key.ID, Private: bobs.Private, RelyingParty: webkey.RelyingParty, Flags: 5, Count: 100}),
		"altered":                   &message.Factor{Factor: "security_key", Assertion: append(bytes.Clone(mine.Assertion[:len(mine.Assertion)-1]), mine.Assertion[len(mine.Assertion)-1]^1)},
		"without the PIN":           fresh.signed(offer, &softkey.Key{TB: t, ID: key.ID, Private: key.Private, RelyingParty: webkey.RelyingParty, Flags: softkey.UP, Count: 100}),
		"the statement it was made": &message.Factor{Factor: "security_key", Assertion: key.New(r.alice.ID)},
	} {
		t.Log(name)
		fresh.refused(b, false, codeKey)
		r.clock.pass(time.Minute)
		// Held up by its failures, and still good afterwards.
		r.clock.pass(15 * time.Minute)
		fresh = old.restored("new")
		offer = expect[*message.Offer](fresh, fresh.begin(true), true)
	}
	fresh.refused(fresh.signed(offer, bobs), false, codeKey)
	fresh.refused(fresh.signed(offer, bobs), false, codeThrottle)
	good := fresh.signed(offer, key)
	expect[*message.NewSecret](fresh, good, false)
	// The same assertion for another new device: another conversation.
	thief := old.restored("thief")
	expect[*message.Offer](thief, thief.begin(true), true)
	thief.refused(good, false, codeThrottle)
	r.clock.pass(5 * time.Minute)
	thief.refused(good, false, codeKey)
	if list, err := r.SecurityKeys("bob"); err != nil || !list[0].Used.IsZero() || !list[0].Doubted.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestSecurityKeyCopied: of a key and its copy the one that is behind is refused, and
// the audit has it.
func TestSecurityKeyCopied(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	key := softkey.New(t)
	k := r.hasKey(r.alice, "hers", key)
	copied := *key
	fresh := old.restored("new")
	offer := expect[*message.Offer](fresh, fresh.begin(true), true)
	expect[*message.NewSecret](fresh, fresh.signed(offer, key), false)
	expect[*message.Done](fresh, fresh.proof(), false)
	thief := old.restored("thief")
	offer = expect[*message.Offer](thief, thief.begin(true), true)
	thief.refused(thief.signed(offer, &copied), false, codeKey)
	told := r.told.all("security-key-copied")
	if len(told) != 1 || told[0].OK || told[0].User != r.alice.ID || told[0].Detail != "key="+k.ID || told[0].Device != thief.id() {
		t.Errorf("%+v", told)
	}
	if list, err := r.SecurityKeys("alice"); err != nil || list[0].Doubted.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSecurityKeyRegistry(t *testing.T) {
	r := newRig(t)
	bob := r.user("bob", "F2")
	key := softkey.New(t)
	for name, n := range map[string]struct {
		n    NewSecurityKey
		want authority.ErrorKind
	}{
		"nobody":         {NewSecurityKey{User: "carol", Name: "x", Statement: key.New(r.alice.ID)}, authority.NotFound},
		"for another":    {NewSecurityKey{User: "alice", Name: "x", Statement: key.New(bob.ID)}, authority.Invalid},
		"no name":        {NewSecurityKey{User: "alice", Statement: key.New(r.alice.ID)}, authority.Invalid},
		"a name of many": {NewSecurityKey{User: "alice", Name: strings.Repeat("x", 65), Statement: key.New(r.alice.ID)}, authority.Invalid},
		"no statement":   {NewSecurityKey{User: "alice", Name: "x"}, authority.Invalid},
	} {
		if _, err := r.AddSecurityKey("owner", n.n); kind(err) != n.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	made := r.hasKey(r.alice, "first", key)
	if _, err := r.AddSecurityKey("owner", NewSecurityKey{User: "alice", Name: "again", Statement: key.New(r.alice.ID)}); kind(err) != authority.Exists {
		t.Error(err)
	}
	if _, err := r.AddSecurityKey("owner", NewSecurityKey{User: "bob", Name: "again", Statement: key.New(bob.ID)}); kind(err) != authority.Exists {
		t.Error(err)
	}
	for range MaxSecurityKeys - 1 {
		r.hasKey(r.alice, "more", softkey.NewEd25519(t))
	}
	if _, err := r.AddSecurityKey("owner", NewSecurityKey{User: "alice", Name: "x", Statement: softkey.New(t).New(r.alice.ID)}); kind(err) != authority.TooMany {
		t.Error(err)
	}
	for ref, want := range map[string]authority.ErrorKind{"more": authority.Conflict, "none": authority.NotFound, bob.ID: authority.NotFound} {
		if _, err := r.RemoveSecurityKey("owner", "alice", ref); kind(err) != want {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := r.RemoveSecurityKey("owner", "bob", made.ID); kind(err) != authority.NotFound {
		t.Error(err)
	}
	if gone, err := r.RemoveSecurityKey("owner", "alice", "First"); err != nil || gone.ID != made.ID {
		t.Errorf("%+v, %v", gone, err)
	}
	if held, err := r.Holds("alice"); err != nil || held.SecurityKeys != MaxSecurityKeys-1 {
		t.Errorf("%+v, %v", held, err)
	}
	// It can be registered anew, for somebody else too; and with a user his keys go.
	r.hasKey(bob, "his now", key)
	if err := r.Forget("owner", "bob"); err != nil {
		t.Fatal(err)
	}
	r.hasKey(r.alice, "hers again", key)
	if told := r.told.all("security-key-add"); len(told) != 18 && len(told) == 0 || told[len(told)-1].Detail != "key="+made.ID {
		t.Errorf("%+v", told[len(told)-1])
	}
	for _, e := range r.told.entries {
		if strings.Contains(e.Detail, "first") || strings.Contains(e.Detail, "hers") {
			t.Errorf("a name in the audit: %+v", e)
		}
	}
}

// TestLongestOffer: as many keys as there can be, with ids as long as they can be,
// fit a message.
func TestLongestOffer(t *testing.T) {
	r := newRig(t)
	old := r.active("old", "alice", "vpn")
	for range MaxSecurityKeys {
		k := softkey.New(t)
		k.ID = append(k.ID, make([]byte, 1023-len(k.ID))...)
		r.hasKey(r.alice, "long", k)
	}
	fresh := old.restored("new")
	if offer := expect[*message.Offer](fresh, fresh.begin(true), true); len(offer.Credentials) != MaxSecurityKeys {
		t.Errorf("%d credentials", len(offer.Credentials))
	}
}
