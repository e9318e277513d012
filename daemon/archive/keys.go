package archive

import (
	"crypto/ed25519"
	"encoding/base64"
)

// Keys is what keys.age holds: everything secret of the vault that is not an
// account. It is a member of its own, so that a new keyslot does not cost
// encrypting all accounts again.
type Keys struct {
	VaultID string
	Epoch   uint64
	// SessionKey is an age identity; here for whoever came by the recovery key.
	SessionKey []byte
	// SigningKey signs the manifest.
	SigningKey ed25519.PrivateKey
	// JournalKey authenticates the counter journal; 32 bytes.
	JournalKey []byte
	// TouchRecipient is the public half of the touch key, empty when the vault
	// has no touch class; RecoveryRecipient of the recovery key likewise.
	TouchRecipient    string
	RecoveryRecipient string
	Slots             []SlotSecret
}

// SlotSecret is what of a keyslot is sealed.
type SlotSecret struct {
	ID    string
	Label string // what the user calls the token
	// TouchWrap is the touch key, sealed to the slot's key of class "touch".
	TouchWrap *Wrap
}

// Slot finds a keyslot's sealed part.
func (k *Keys) Slot(id string) *SlotSecret {
	for i := range k.Slots {
		if k.Slots[i].ID == id {
			return &k.Slots[i]
		}
	}
	return nil
}

// Wipe overwrites the keys.
func (k *Keys) Wipe() {
	clear(k.SessionKey)
	clear(k.SigningKey)
	clear(k.JournalKey)
}

// rawString is a JSON string without escapes, taken as bytes so that it can be
// wiped.
type rawString []byte

func (r *rawString) UnmarshalJSON(raw []byte) error {
	if len(raw) < 2 || raw[0] != '"' {
		return &fieldError{"a key that is no string"}
	}
	*r = append([]byte(nil), raw[1:len(raw)-1]...)
	return nil
}

type keysDoc struct {
	Format            string    `json:"format"`
	Version           int       `json:"version"`
	VaultID           string    `json:"vault_id"`
	Epoch             uint64    `json:"epoch"`
	SessionKey        rawString `json:"session_key"`
	SigningKey        []byte    `json:"signing_key"`
	JournalKey        []byte    `json:"journal_key"`
	TouchRecipient    string    `json:"touch_recipient"`
	RecoveryRecipient string    `json:"recovery_recipient"`
	Slots             []slotDoc `json:"slots"`
}

type slotDoc struct {
	ID        string `json:"id"`
	Label     string `json:"label"`
	TouchWrap *Wrap  `json:"touch_wrap"`
}

func keysV1(raw []byte) (*Keys, error) {
	var d keysDoc
	if err := decodeStrict(raw, &d); err != nil {
		return nil, damaged("keys: %w", err)
	}
	if d.Format != formatKeys || d.Version != 1 || len(d.SigningKey) != ed25519.SeedSize || len(d.JournalKey) != 32 {
		return nil, damaged("keys: no format, version or keys")
	}
	k := &Keys{VaultID: d.VaultID, Epoch: d.Epoch, SessionKey: d.SessionKey,
		SigningKey: ed25519.NewKeyFromSeed(d.SigningKey), JournalKey: d.JournalKey,
		TouchRecipient: d.TouchRecipient, RecoveryRecipient: d.RecoveryRecipient}
	clear(d.SigningKey)
	for _, s := range d.Slots {
		if k.Slot(s.ID) != nil || !Label(s.Label) || s.TouchWrap != nil && d.TouchRecipient == "" {
			return nil, damaged("keys: keyslot %q", s.ID)
		}
		k.Slots = append(k.Slots, SlotSecret(s))
	}
	return k, nil
}

// EncodeKeys writes keys.age's JSON.
func EncodeKeys(k *Keys) ([]byte, error) {
	w := &jsonWriter{buf: make([]byte, 0, 1024+768*len(k.Slots))}
	w.open('{')
	w.str("format", formatKeys)
	w.num("version", 1)
	w.str("vault_id", k.VaultID)
	w.num("epoch", k.Epoch)
	w.name("session_key")
	w.buf = append(append(append(w.buf, '"'), k.SessionKey...), '"')
	w.comma = true
	w.name("signing_key")
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, k.SigningKey[:ed25519.SeedSize])
	w.buf = append(w.buf, '"')
	w.comma = true
	w.bytes("journal_key", k.JournalKey)
	w.opt("touch_recipient", k.TouchRecipient, "")
	w.opt("recovery_recipient", k.RecoveryRecipient, "")
	w.name("slots")
	w.open('[')
	for _, s := range k.Slots {
		w.open('{')
		w.str("id", s.ID)
		w.opt("label", s.Label, "")
		if s.TouchWrap != nil {
			w.name("touch_wrap")
			w.open('{')
			w.bytes("enc", s.TouchWrap.Enc)
			w.bytes("ct", s.TouchWrap.CT)
			w.close('}')
		}
		w.close('}')
	}
	w.close(']')
	w.close('}')
	return w.done()
}
