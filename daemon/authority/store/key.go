package store

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tokenbridge/tokend/daemon/secret"
)

const (
	// KeySize is the length of an authority key, in bytes.
	KeySize = 32
	// CredentialName is the systemd credential that holds an authority key.
	CredentialName = "tokend-authority-key"

	// keyPrefix begins the one line of a key file, so that no other file is taken
	// for a key: not even one of another key.
	keyPrefix  = "tokend-authority-key-1:"
	maxKeyFile = 256
)

// KeySource is where an authority's key comes from.
type KeySource interface {
	// Key returns the key, the caller's to wipe. It fails with ErrNoKey where
	// there is none.
	Key() (*secret.Buffer, error)
	// Kind is a word for status and documents: "key-file", "credential", or of a key
	// that a token holds "keyslot".
	Kind() string
}

// KeyFile is the path of a file with the key, which only its owner may read.
type KeyFile string

// Kind is "key-file".
func (KeyFile) Kind() string { return "key-file" }

// Key reads the file. It fails with ErrNoKey, ErrNotAKey or ErrKeyExposed.
func (f KeyFile) Key() (*secret.Buffer, error) {
	return readKey(string(f), checkPrivate)
}

// Create makes the file, mode 0600, with a new key, whole or not at all. It fails
// with an error that is os.ErrExist where there is a file: a key is never replaced.
// An empty file is no key, and gives way.
func (f KeyFile) Create() (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot make the file of the authority key: %w", err)
		}
	}()
	var key [KeySize]byte
	defer clear(key[:])
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	line := append(base64.StdEncoding.AppendEncode([]byte(keyPrefix), key[:]), '\n')
	defer clear(line)
	made := string(f) + ".new" // one that a crash has left is written over
	if err := writeSynced(made, line); err != nil {
		return errors.Join(err, os.Remove(made))
	}
	// Unlike renaming, a link does not take the place of a file that is there.
	err = os.Link(made, string(f))
	if errors.Is(err, os.ErrExist) && isEmpty(string(f)) {
		err = os.Rename(made, string(f))
		return errors.Join(err, syncFolderOf(string(f)))
	}
	return errors.Join(err, os.Remove(made), syncFolderOf(string(f)))
}

// Remove removes the file for good.
func (f KeyFile) Remove() error {
	err := os.Remove(string(f))
	if err == nil {
		err = syncFolderOf(string(f))
	}
	if err != nil {
		return fmt.Errorf("cannot remove the file of the authority key: %w", err)
	}
	return nil
}

// NewKey is a new authority key, which is stored nowhere.
func NewKey() (*secret.Buffer, error) {
	var key [KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("cannot make an authority key: %w", err)
	}
	return secret.From(key[:]), nil
}

func isEmpty(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == 0
}

// Credential is the folder of a systemd service's credentials, which the manager
// gives it as $CREDENTIALS_DIRECTORY and which nobody else can read. The one
// named CredentialName holds what a key file holds.
type Credential string

// Kind is "credential".
func (Credential) Kind() string { return "credential" }

// Key reads the credential. It fails with ErrNoKey or ErrNotAKey.
func (c Credential) Key() (*secret.Buffer, error) {
	if c == "" {
		return nil, fmt.Errorf("cannot read the credential %s: %w", CredentialName, ErrNoKey)
	}
	// The mode is the manager's business; with an access list it looks like the
	// group's.
	return readKey(filepath.Join(string(c), CredentialName), func(os.FileInfo) error { return nil })
}

func readKey(path string, check func(os.FileInfo) error) (*secret.Buffer, error) {
	key, err := openKey(path, check)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority key from %s: %w", path, err)
	}
	return key, nil
}

func openKey(path string, check func(os.FileInfo) error) (*secret.Buffer, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err == nil && !info.Mode().IsRegular() { // a pipe would be waited for
		return nil, ErrNotAKey
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrNotAKey
	}
	if err := check(info); err != nil {
		return nil, err
	}
	text := make([]byte, maxKeyFile)
	defer clear(text)
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return parseKey(text[:n])
}

// parseKey reads the line of a key file; it need not end.
func parseKey(text []byte) (*secret.Buffer, error) {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	if len(text) < len(keyPrefix) || string(text[:len(keyPrefix)]) != keyPrefix {
		return nil, ErrNotAKey
	}
	text = text[len(keyPrefix):]
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	defer clear(raw)
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	if err != nil || n != KeySize {
		return nil, ErrNotAKey
	}
	return secret.From(raw[:n]), nil
}
