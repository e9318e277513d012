package archive

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Header is header.json: what is needed to find a way into the container. It is
// readable by anybody; Parse has checked it against the manifest.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// VaultID is 32 hexadecimal digits.
	VaultID string `json:"vault_id"`
	// Epoch counts the rotations of the keys, from 1.
	Epoch uint64 `json:"epoch"`
	// RecoverySet is when the recovery password was set; zero if never.
	RecoverySet time.Time `json:"recovery_set,omitzero"`
	Keyslots    []Keyslot `json:"keyslots"`
	// Succession leads from the signer that recovery-key.age names to the
	// present one, oldest first.
	Succession []Succession `json:"succession,omitempty"`
}

// Keyslot is one token's way to the session key.
type Keyslot struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // "piv", "fido2", "soft"
	// Model and Serial tell a person which token it is.
	Model  string `json:"model,omitempty"`
	Serial string `json:"serial,omitempty"`
	// Label is made of Kind, Model and Serial; what the user calls the token is
	// sealed in keys.age.
	Label string    `json:"-"`
	Added time.Time `json:"added"`
	Keys  []Key     `json:"keys"`
	// SessionWrap is the session key, sealed to the key of class "session".
	SessionWrap Wrap `json:"session_wrap"`
}

// Key returns the slot's key of a class.
func (k Keyslot) Key(class string) (Key, bool) {
	for _, key := range k.Keys {
		if key.Class == class {
			return key, true
		}
	}
	return Key{}, false
}

// Key is the public half of one class key of a keyslot.
type Key struct {
	Kind      string          `json:"-"` // the keyslot's
	Class     string          `json:"class"`
	Algorithm string          `json:"algorithm"` // "P-256", "P-384", "X25519"
	Public    []byte          `json:"public"`    // as crypto/ecdh encodes it
	Params    json.RawMessage `json:"params,omitempty"`
}

// Succession is one signer's word that another one follows it, given when the
// keys were rotated.
type Succession struct {
	Epoch     uint64 `json:"epoch"` // the first of To
	From      string `json:"from"`
	To        string `json:"to"`
	Signature []byte `json:"signature"`
}

// Manifest is manifest.json: what the signature covers.
type Manifest struct {
	Format     string    `json:"format"`
	Version    int       `json:"version"`
	VaultID    string    `json:"vault_id"`
	Epoch      uint64    `json:"epoch"`
	Generation uint64    `json:"generation"` // counts the writes, from 1
	Time       time.Time `json:"time"`
	// Signer is the Ed25519 public key in hexadecimal.
	Signer  string   `json:"signer"`
	Members []Member `json:"members"`
}

// Member is one member's name, size in bytes and SHA-256 in hexadecimal.
type Member struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func (h *Header) check() error {
	if h.Format != formatVault || !isHex(h.VaultID, 16) || h.Epoch == 0 {
		return damaged("header: no format, vault id or epoch")
	}
	if len(h.Keyslots) > MaxKeyslots || len(h.Succession) > MaxSuccession {
		return damaged("header: too many entries")
	}
	seen := map[string]bool{}
	for i := range h.Keyslots {
		k := &h.Keyslots[i]
		if seen[k.ID] {
			return damaged("header: keyslot %q twice", k.ID)
		}
		seen[k.ID] = true
		if err := k.Check(); err != nil {
			return damaged("header: %w", err)
		}
	}
	for _, s := range h.Succession {
		if !isHex(s.From, ed25519.PublicKeySize) || !isHex(s.To, ed25519.PublicKeySize) ||
			len(s.Signature) != ed25519.SignatureSize {
			return damaged("header: a succession that is none")
		}
	}
	return nil
}

// Check completes a keyslot and says what of it is outside the format.
func (k *Keyslot) Check() error {
	if !ValidSlotID(k.ID) || !slotKinds(k.Kind) || !text(k.Model) || !text(k.Serial) {
		return fmt.Errorf("keyslot: no id or kind, or a model that is too long or no plain text")
	}
	k.Label = describe(k.Kind, k.Model, k.Serial)
	classes := map[string]bool{}
	for i := range k.Keys {
		key := &k.Keys[i]
		key.Kind = k.Kind
		if classes[key.Class] || key.Class != ClassSession && key.Class != ClassTouch {
			return fmt.Errorf("keyslot %s: class unknown or twice", k.ID)
		}
		classes[key.Class] = true
		if _, err := key.public(); err != nil {
			return fmt.Errorf("keyslot %s: %w", k.ID, err)
		}
		if err := checkParams(key.Params); err != nil {
			return fmt.Errorf("keyslot %s: %w", k.ID, err)
		}
	}
	if !classes[ClassSession] {
		return fmt.Errorf("keyslot %s: no key for the session class", k.ID)
	}
	return nil
}

// paramsDepth is how deep params stand in the header.
const paramsDepth = 6

func checkParams(raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	s := scanner{data: raw}
	if len(raw) > MaxParams || !json.Valid(raw) || s.value(paramsDepth, true) != nil {
		return fmt.Errorf("parameters of more than %d bytes, or not strict JSON", MaxParams)
	}
	return nil
}

func (k Key) curve() (ecdh.Curve, error) {
	switch k.Algorithm {
	case "P-256":
		return ecdh.P256(), nil
	case "P-384":
		return ecdh.P384(), nil
	case "X25519":
		return ecdh.X25519(), nil
	}
	return nil, fmt.Errorf("unknown algorithm %q", k.Algorithm)
}

func (k Key) public() (*ecdh.PublicKey, error) {
	c, err := k.curve()
	if err != nil {
		return nil, err
	}
	p, err := c.NewPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("no %s public key: %w", k.Algorithm, err)
	}
	return p, nil
}

func describe(kind, model, serial string) string {
	s := model
	if s == "" {
		s = kind + " token"
		if kind == "soft" {
			s = "software token"
		}
	}
	if serial != "" {
		s += " (" + serial + ")"
	}
	return s
}

func slotKinds(kind string) bool { return kind == "piv" || kind == "fido2" || kind == "soft" }

// ValidSlotID says that id is 1 to 64 of a-z, 0-9 and '-': it also names a file.
func ValidSlotID(id string) bool {
	for _, c := range []byte(id) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}

// isHex says that s is n bytes in lower-case hexadecimal.
func isHex(s string, n int) bool {
	return len(s) == 2*n && strings.Trim(s, "0123456789abcdef") == ""
}

func signerKey(s string) (ed25519.PublicKey, error) {
	if !isHex(s, ed25519.PublicKeySize) {
		return nil, damaged("no signer")
	}
	b, _ := hex.DecodeString(s)
	return b, nil
}

func (m *Manifest) check() error {
	if m.Format != formatManifest || m.Generation == 0 || m.Time.IsZero() || len(m.Members) > maxMembers {
		return damaged("manifest: no format, generation or time")
	}
	last := -1
	for _, e := range m.Members {
		at := memberIndex(e.Name)
		if at <= last || e.Name == nameManifest || e.Name == nameSignature || !isHex(e.SHA256, 32) || e.Size < 0 {
			return damaged("manifest: member %q", e.Name)
		}
		last = at
	}
	return nil
}

// succeed follows the succession from one signer and returns where it ends.
func (h *Header) succeed(from string) (string, error) {
	cur := from
	for _, s := range h.Succession {
		if s.From != cur {
			return "", damaged("succession: a gap")
		}
		key, err := signerKey(s.From)
		if err != nil {
			return "", err
		}
		if !ed25519.Verify(key, successionMessage(h.VaultID, s.Epoch, s.From, s.To), s.Signature) {
			return "", damaged("succession: wrong signature")
		}
		cur = s.To
	}
	return cur, nil
}

func successionMessage(vault string, epoch uint64, from, to string) []byte {
	return fmt.Appendf(nil, "tokend vault v1 succession\n%s\n%d\n%s\n%s\n", vault, epoch, from, to)
}

// Succeed signs, with the present signing key, that next signs from epoch on.
func Succeed(vaultID string, epoch uint64, old, next ed25519.PrivateKey) Succession {
	from, to := Signer(old), Signer(next)
	return Succession{epoch, from, to, sign(old, successionMessage(vaultID, epoch, from, to))}
}

// sign signs with a copy of the key: crypto/ed25519 keeps a weak pointer to the
// one it is given, which crashes for memory that is not the Go heap's.
func sign(k ed25519.PrivateKey, message []byte) []byte {
	tmp := slices.Clone(k)
	defer clear(tmp)
	return ed25519.Sign(tmp, message)
}

// Signer is the public half of a signing key in hexadecimal.
func Signer(k ed25519.PrivateKey) string {
	return hex.EncodeToString(k[ed25519.SeedSize:])
}
