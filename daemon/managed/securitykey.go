package managed

import (
	"fmt"
	"slices"

	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/webkey"
)

// KeyFactor is the factor that a security key answers, with an assertion in the
// place of a passcode.
const KeyFactor = "security_key"

// KeyQuestion is what a security key is to sign, and by which of its credentials.
type KeyQuestion struct {
	Hash        [32]byte
	Credentials [][]byte
}

// KeyQuestion says what an authority has asked a security key in a conversation. It
// is made here of what this device knows: what an authority passes on of another's
// question makes another hash. It fails with ErrNotNow where no key is asked, and
// with message.ErrUnexpected where the authority names another party than those keys
// answer to. It writes nothing.
func (d *Device) KeyQuestion(conversation string) (KeyQuestion, error) {
	var out KeyQuestion
	err := d.Vault.ViewDevice(func(raw []byte) error {
		st, err := decodeState(raw)
		if err != nil {
			return err
		}
		defer st.wipe()
		st.sweep(d.Now())
		t, err := st.find(conversation)
		if err != nil {
			return err
		}
		o := t.Offer
		switch {
		case !t.open() || t.Phase != Choose && t.Phase != Challenged || t.Sealed != nil || o == nil:
			return fmt.Errorf("%w: it is %s", ErrNotNow, t.Phase)
		case !slices.Contains(o.Factors, KeyFactor) || len(o.Challenge) == 0 || len(o.Credentials) == 0:
			return fmt.Errorf("%w: no security key is asked for", ErrNotNow)
		case o.RelyingTo != webkey.RelyingParty:
			return fmt.Errorf("cannot ask a security key: %w", message.ErrUnexpected)
		}
		keys, err := message.KeysOf(st.Seed)
		if err != nil {
			return err
		}
		defer clear(keys.Sign)
		out.Hash = webkey.ForFactor(t.Pending.Authority, keys.Public().DeviceID(), t.Pending.Conversation, o.Challenge)
		for _, c := range o.Credentials {
			out.Credentials = append(out.Credentials, slices.Clone(c))
		}
		return nil
	})
	return out, err
}
