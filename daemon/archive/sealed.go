package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"filippo.io/age"
	"golang.org/x/text/unicode/norm"
)

// The work factors of recovery passwords, as base-2 logarithms of scrypt's N.
const (
	DefaultScryptLogN = 18 // what age itself takes: about a second, 256 MiB
	maxScryptLogN     = 20 // what is tried on reading: 1 GiB
)

// maxTouchBlob bounds one touch secret's age file.
const maxTouchBlob = 1024

// NormalizePassword is the form of a password that is used: Unicode NFC.
func NormalizePassword(pw []byte) []byte { return norm.NFC.Bytes(pw) }

// NewPassword normalises a password that is to be set, and refuses one that is
// not valid UTF-8 or not 10 to 128 code points.
func NewPassword(pw []byte) ([]byte, error) {
	if !utf8.Valid(pw) {
		return nil, ErrPasswordRule
	}
	out := NormalizePassword(pw)
	if n := utf8.RuneCount(out); n < 10 || n > 128 {
		return nil, ErrPasswordRule
	}
	return out, nil
}

// NewIdentity makes an age X25519 identity and its recipient.
func NewIdentity() (identity []byte, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", fmt.Errorf("cannot make a key: %w", err)
	}
	return []byte(id.String()), id.Recipient().String(), nil
}

// Recipient is the public half of an age X25519 identity.
func Recipient(identity []byte) (string, error) {
	id, err := parseIdentity(identity)
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

func parseIdentity(identity []byte) (*age.X25519Identity, error) {
	id, err := age.ParseX25519Identity(string(bytes.TrimSpace(identity)))
	if err != nil {
		return nil, fmt.Errorf("%w: not an age identity", ErrWrongKey) // age's error quotes it
	}
	return id, nil
}

// Encrypt makes an age file to X25519 recipients; empty ones are passed over.
func Encrypt(plaintext []byte, recipients ...string) ([]byte, error) {
	var to []age.Recipient
	for _, r := range recipients {
		if r == "" {
			continue
		}
		p, err := age.ParseX25519Recipient(r)
		if err != nil {
			return nil, fmt.Errorf("cannot encrypt: %w", err)
		}
		to = append(to, p)
	}
	return encrypt(plaintext, to)
}

func encrypt(plaintext []byte, to []age.Recipient) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, len(plaintext)+len(plaintext)/4096+1024))
	w, err := age.Encrypt(out, to...)
	if err != nil {
		return nil, fmt.Errorf("cannot encrypt: %w", err)
	}
	if _, err := w.Write(plaintext); err != nil {
		return nil, fmt.Errorf("cannot encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// Decrypt opens an age file with an X25519 identity: ErrWrongKey when it is for
// somebody else, ErrDamaged otherwise.
func Decrypt(data, identity []byte) ([]byte, error) {
	id, err := parseIdentity(identity)
	if err != nil {
		return nil, err
	}
	return decrypt(data, id)
}

// maxAgeHeader bounds, in bytes, the header of an age file: ours have two
// recipients and some 300 bytes. Each recipient costs an operation on a curve,
// and a file of many megabytes has room for hundreds of thousands.
const maxAgeHeader = 4096

// checkAgeHeader refuses an age file whose header does not end in time.
func checkAgeHeader(data []byte) error {
	head := data[:min(len(data), maxAgeHeader)]
	if !bytes.HasPrefix(head, []byte("age-encryption.org/v1\n")) || !bytes.Contains(head, []byte("\n--- ")) {
		return damaged("age: no header, or one of more than %d bytes", maxAgeHeader)
	}
	return nil
}

func decrypt(data []byte, id age.Identity) ([]byte, error) {
	if err := checkAgeHeader(data); err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(data), id)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, damaged("age: %w", err)
	}
	// One buffer of the right size: growing would leave copies behind.
	out := make([]byte, len(data))
	n, err := io.ReadFull(r, out)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		clear(out)
		return nil, damaged("age: %w", err)
	}
	return out[:n], nil
}

// RecoveryKey is what recovery-key.age holds.
type RecoveryKey struct {
	VaultID string
	// Signer is the vault's signer when the password was set.
	Signer   string
	Created  time.Time
	Identity []byte
}

// SealRecoveryKey encrypts the recovery key to a password, which NewPassword
// has passed, as an identity file that age itself understands.
func SealRecoveryKey(k RecoveryKey, password []byte, logN int) ([]byte, error) {
	to, err := age.NewScryptRecipient(string(password))
	if err != nil {
		return nil, fmt.Errorf("cannot encrypt the recovery key: %w", err)
	}
	to.SetWorkFactor(logN)
	public, err := Recipient(k.Identity)
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, "# tokend recovery key\n# vault: %s\n# signer: %s\n# created: %s\n# public key: %s\n%s\n",
		k.VaultID, k.Signer, k.Created.UTC().Format(time.RFC3339), public, k.Identity)
	defer clear(text)
	return encrypt(text, []age.Recipient{to})
}

// OpenRecoveryKey opens the bytes of recovery-key.age: ErrWrongPassword. It is
// slow on purpose: about a second. Archive.OpenPassword also checks what the
// file says of its vault.
func OpenRecoveryKey(data, password []byte) (*RecoveryKey, error) {
	id, err := age.NewScryptIdentity(string(NormalizePassword(password)))
	if err != nil {
		return nil, ErrWrongPassword // it was empty
	}
	id.SetMaxWorkFactor(maxScryptLogN)
	text, err := decrypt(data, id)
	if errors.Is(err, ErrWrongKey) {
		return nil, ErrWrongPassword
	}
	if err != nil {
		return nil, fmt.Errorf("recovery key: %w", err)
	}
	defer clear(text)
	return parseRecoveryKey(text)
}

func parseRecoveryKey(text []byte) (*RecoveryKey, error) {
	k := &RecoveryKey{}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		comment, isComment := bytes.CutPrefix(line, []byte("# "))
		if !isComment {
			if k.Identity != nil || len(line) > 128 {
				return nil, damaged("recovery key: more than one key")
			}
			k.Identity = bytes.Clone(line)
			continue
		}
		name, value, _ := strings.Cut(string(comment), ": ")
		switch name {
		case "vault":
			k.VaultID = value
		case "signer":
			k.Signer = value
		case "created":
			k.Created, _ = time.Parse(time.RFC3339, value)
		}
	}
	if k.Identity == nil || !isHex(k.VaultID, 16) || !isHex(k.Signer, 32) || k.Created.IsZero() {
		return nil, damaged("recovery key: vault, signer or key is missing")
	}
	return k, nil
}
