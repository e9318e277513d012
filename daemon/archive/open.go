package archive

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Contents is a container opened: its accounts, and the keys that a vault needs
// to go on with it.
type Contents struct {
	VaultID    string
	Epoch      uint64
	Generation uint64
	Written    time.Time
	// Signer is who signed it, in hexadecimal; SignerProved says that the
	// recovery password vouches for that.
	Signer       string
	SignerProved bool
	// Accounts are in the user's order.
	Accounts []Account
	// Labels is what the user calls his tokens, by keyslot id.
	Labels map[string]string

	keys     *Keys
	session  *Session
	recovery []byte
	touch    []byte // touch-key.age
}

// Keys are the vault's keys; wiped by Wipe.
func (c *Contents) Keys() *Keys { return c.keys }

// Session is what session.age holds, with managed secrets filled in from
// device.age; wiped by Wipe.
func (c *Contents) Session() *Session { return c.session }

// Wipe overwrites every secret.
func (c *Contents) Wipe() {
	c.keys.Wipe()
	clear(c.recovery)
	for i := range c.session.Records {
		c.session.Records[i].Wipe()
	}
	clear(c.session.Device)
}

// OpenPassword opens with the recovery password, which takes about a second:
// ErrWrongPassword, ErrNoRecovery. The signer is then proved.
func (a *Archive) OpenPassword(pw []byte) (*Contents, error) {
	k, err := a.recoveryKey(pw)
	if err != nil {
		return nil, err
	}
	c, err := a.openRecovery(k.Identity)
	if errors.Is(err, ErrWrongPassword) {
		return nil, damaged("the recovery key of another vault")
	}
	if err != nil {
		return nil, err
	}
	c.SignerProved = true
	return c, nil
}

// RecoveryIdentity opens recovery-key.age alone and checks that it belongs to
// this container.
func (a *Archive) RecoveryIdentity(pw []byte) ([]byte, error) {
	k, err := a.recoveryKey(pw)
	if err != nil {
		return nil, err
	}
	return k.Identity, nil
}

func (a *Archive) recoveryKey(pw []byte) (*RecoveryKey, error) {
	if !a.HasRecovery() {
		return nil, ErrNoRecovery
	}
	k, err := OpenRecoveryKey(a.members[nameRecovery], pw)
	if err != nil {
		return nil, err
	}
	// Whoever does not know the password cannot have written what it names.
	last, err := a.Header.succeed(k.Signer)
	if err == nil && (k.VaultID != a.Header.VaultID || last != a.Manifest.Signer) {
		err = damaged("signed by somebody else than the recovery key names")
	}
	if err != nil {
		clear(k.Identity)
		return nil, err
	}
	return k, nil
}

// OpenRecoveryKey opens with the recovery key itself, AGE-SECRET-KEY-1…, as
// TypedKey takes it: ErrWrongPassword (which is ErrKeyTyped as well where it can be
// nobody's key), ErrNoRecovery.
func (a *Archive) OpenRecoveryKey(typed []byte) (*Contents, error) {
	if !a.HasRecovery() {
		return nil, ErrNoRecovery
	}
	key, err := TypedKey(typed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongPassword, err)
	}
	defer clear(key)
	return a.openRecovery(key)
}

func (a *Archive) openRecovery(identity []byte) (*Contents, error) {
	public, err := Recipient(identity)
	if err != nil {
		return nil, fmt.Errorf("%w: not a recovery key", ErrWrongPassword)
	}
	c, err := a.open(identity)
	if errors.Is(err, ErrWrongKey) {
		return nil, fmt.Errorf("%w: another recovery key", ErrWrongPassword)
	}
	if err != nil {
		return nil, err
	}
	if c.keys.RecoveryRecipient != public {
		c.Wipe()
		return nil, damaged("the recovery key is not the one of its keys")
	}
	c.recovery = bytes.Clone(identity)
	return c, nil
}

// OpenSession opens with the session key, an age identity.
func (a *Archive) OpenSession(identity []byte) (*Contents, error) {
	c, err := a.open(identity)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.keys.SessionKey, identity) {
		c.Wipe()
		return nil, damaged("the session key is not the one of its keys")
	}
	return c, nil
}

func (a *Archive) open(identity []byte) (*Contents, error) {
	keys, err := a.openKeys(identity)
	if err != nil {
		return nil, err
	}
	c := &Contents{VaultID: a.Header.VaultID, Epoch: a.Header.Epoch, Generation: a.Manifest.Generation,
		Written: a.Manifest.Time, Signer: a.Manifest.Signer, keys: keys, touch: a.members[nameTouch],
		session: &Session{}, Labels: map[string]string{}}
	raw, err := Decrypt(a.members[nameSession], identity)
	if err == nil {
		c.session, err = a.dialect.session(raw)
		clear(raw)
	}
	if err == nil && c.session.VaultID != a.Header.VaultID {
		err = damaged("session: of another vault")
	}
	if err == nil {
		err = a.openDevice(c)
	}
	if err != nil {
		keys.Wipe()
		if errors.Is(err, ErrWrongKey) {
			err = damaged("its members are for different keys")
		}
		return nil, err
	}
	for _, s := range keys.Slots {
		c.Labels[s.ID] = s.Label
	}
	c.Accounts = make([]Account, 0, len(c.session.Records))
	for i := range c.session.Records {
		c.Accounts = append(c.Accounts, c.session.Records[i].Account)
	}
	return c, nil
}

// openKeys opens keys.age and holds it against header and manifest: only who
// can decrypt can know the signing key, so only he can have signed.
func (a *Archive) openKeys(identity []byte) (*Keys, error) {
	raw, err := Decrypt(a.members[nameKeys], identity)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	keys, err := a.dialect.keys(raw)
	if err != nil {
		return nil, err
	}
	if err := a.checkKeys(keys); err != nil {
		keys.Wipe()
		return nil, err
	}
	return keys, nil
}

func (a *Archive) checkKeys(keys *Keys) error {
	if keys.VaultID != a.Header.VaultID || keys.Epoch != a.Header.Epoch {
		return damaged("keys: of another vault or epoch")
	}
	if Signer(keys.SigningKey) != a.Manifest.Signer {
		return damaged("signed with another key than its own")
	}
	if len(keys.Slots) != len(a.Header.Keyslots) {
		return damaged("keys: other keyslots than the header's")
	}
	for _, s := range a.Header.Keyslots {
		sealed := keys.Slot(s.ID)
		_, touch := s.Key(ClassTouch)
		if sealed == nil || (sealed.TouchWrap != nil) != touch {
			return damaged("keys: keyslot %s", s.ID)
		}
	}
	if (keys.RecoveryRecipient != "") != a.HasRecovery() ||
		(keys.TouchRecipient != "" && a.HasRecovery()) != (a.members[nameTouch] != nil) {
		return damaged("keys: recipients and members do not fit")
	}
	return nil
}

func (a *Archive) openDevice(c *Contents) error {
	found := &device{}
	if a.HasDevice() {
		raw, err := Decrypt(a.members[nameDevice], c.keys.SessionKey)
		if err != nil {
			return err
		}
		found, err = a.dialect.device(raw)
		clear(raw)
		if err != nil {
			return err
		}
	}
	c.session.Device = found.state
	n := 0
	for i := range c.session.Records {
		r := &c.session.Records[i]
		if r.Kind != Managed {
			continue
		}
		s, ok := found.secrets[r.ID]
		if r.Inactive = !ok; !ok {
			continue
		}
		n++
		if err := checkSecret(r.Class, s.Secret, s.Touch); err != nil {
			return damaged("device: %w", err)
		}
		r.Secret, r.Touch = s.Secret, s.Touch
	}
	if n != len(found.secrets) {
		return damaged("device: secrets of unknown accounts")
	}
	return nil
}

// TouchKey is the touch key, where the container was opened by the recovery
// password or key; ErrWrongKey otherwise.
func (c *Contents) TouchKey() ([]byte, error) {
	if c.recovery == nil || c.touch == nil {
		return nil, fmt.Errorf("the touch class: %w", ErrWrongKey)
	}
	key, err := Decrypt(c.touch, c.recovery)
	if err != nil {
		return nil, damaged("touch key: %w", err)
	}
	return key, CheckTouchKey(key, c.keys.TouchRecipient)
}

// CheckTouchKey says whether a key is the private half of the touch recipient.
func CheckTouchKey(key []byte, recipient string) error {
	public, err := Recipient(key)
	if err != nil || public != recipient {
		clear(key)
		return damaged("the touch key is not the one of its keys")
	}
	return nil
}

// CheckTouch opens every touch secret, and so proves that all of them can be.
// It needs the recovery password or key, and 0.2 ms an account.
func (c *Contents) CheckTouch() error {
	if c.keys.TouchRecipient == "" {
		return nil
	}
	key, err := c.TouchKey()
	if err != nil {
		return err
	}
	defer clear(key)
	for i := range c.session.Records {
		if r := &c.session.Records[i]; r.Touch != nil {
			secret, err := Decrypt(r.Touch, key)
			clear(secret)
			if err != nil {
				return damaged("account %s: its secret does not open", r.ID)
			}
		}
	}
	return nil
}

// Salvage reads the accounts of a damaged container as far as that goes; nil
// when it does not. What it returns was encrypted to the vault's keys but is
// vouched for by nobody: it is for showing what may be lost.
func Salvage(data, sessionKey []byte) []Account {
	i := bytes.Index(data, append([]byte(nameSession), 0))
	if i < 0 || i%blockSize != 0 || i+blockSize > len(data) {
		return nil
	}
	size, err := octal(data[i+124 : i+135])
	start := i + blockSize
	if err != nil || size < 0 || size > int64(len(data)-start) {
		return nil
	}
	raw, err := Decrypt(data[start:start+int(size)], sessionKey)
	if err != nil {
		return nil
	}
	defer clear(raw)
	s, err := sessionV1(raw)
	if err != nil {
		return nil
	}
	out := make([]Account, 0, len(s.Records))
	for i := range s.Records {
		out = append(out, s.Records[i].Account)
		s.Records[i].Wipe()
	}
	return out
}
