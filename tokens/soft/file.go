package soft

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tokenbridge/tokend/tokens"
)

// The names in a key file.
const (
	fileFormat  = "tokend software token"
	fileVersion = 1
	kdfName     = "argon2id"
	aeadName    = "xchacha20-poly1305"
)

// The sizes in a key file, in bytes.
const (
	seedSize    = 32
	saltSize    = 16
	maxFile     = 4096
	minSaltSize = 16
	maxSaltSize = 64
)

// What a file may ask of the reader. A hostile file costs at most maxWork
// memory passes over kibibytes, about 10 s on one slow core.
const (
	minMemory = 8 << 10 // KiB
	maxMemory = 1 << 20 // KiB
	maxPasses = 32
	maxLanes  = 16
	maxWork   = 4 << 20 // KiB × passes
)

// Cost is what Argon2id costs (RFC 9106): Memory in KiB, Passes over it, and
// Lanes computed in parallel.
type Cost struct {
	Memory uint32
	Passes uint32
	Lanes  uint8
}

// DefaultCost is the second recommended choice of RFC 9106, section 4: 64 MiB,
// 3 passes, 4 lanes.
func DefaultCost() Cost { return Cost{Memory: 64 << 10, Passes: 3, Lanes: 4} }

func (c Cost) valid() bool {
	return c.Memory >= minMemory && c.Memory <= maxMemory &&
		c.Passes >= 1 && c.Passes <= maxPasses &&
		c.Lanes >= 1 && c.Lanes <= maxLanes &&
		uint64(c.Memory)*uint64(c.Passes) <= maxWork
}

// file is the key file: JSON, all of it but the seed in the clear. The seal
// covers every other member, so none can be changed unnoticed.
type file struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	KDF     string `json:"kdf"`
	Memory  uint32 `json:"memory_kib"`
	Passes  uint32 `json:"passes"`
	Lanes   uint8  `json:"lanes"`
	Salt    []byte `json:"salt"`
	AEAD    string `json:"aead"`
	Nonce   []byte `json:"nonce"`
	Public  []byte `json:"public"`
	Sealed  []byte `json:"sealed"`
}

// seal makes a key file for an X25519 private key.
func seal(rand io.Reader, cost Cost, seed, pass []byte) (*file, error) {
	if !cost.valid() {
		return nil, errors.New("the cost of the passphrase is out of bounds")
	}
	private, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, err
	}
	f := &file{
		Format: fileFormat, Version: fileVersion,
		KDF: kdfName, Memory: cost.Memory, Passes: cost.Passes, Lanes: cost.Lanes,
		Salt: make([]byte, saltSize),
		AEAD: aeadName, Nonce: make([]byte, chacha20poly1305.NonceSizeX),
		Public: private.PublicKey().Bytes(),
	}
	if _, err := io.ReadFull(rand, f.Salt); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(rand, f.Nonce); err != nil {
		return nil, err
	}
	aead, err := f.cipher(pass)
	if err != nil {
		return nil, err
	}
	f.Sealed = aead.Seal(nil, f.Nonce, seed, f.bound())
	return f, nil
}

func (f *file) encode() ([]byte, error) {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// parse reads a key file and checks everything but the seal.
func parse(b []byte) (*file, error) {
	bad := func(what string) error {
		return tokens.Errorf(tokens.CodeInvalid, "the software token's key file is damaged: %s", what)
	}
	if len(b) == 0 {
		return nil, tokens.Errorf(tokens.CodeInvalid, "the software token's key file is missing")
	}
	if len(b) > maxFile {
		return nil, bad("it is too large")
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Format != fileFormat {
		return nil, bad("it is not a key file")
	}
	if head.Version != fileVersion {
		return nil, tokens.Errorf(tokens.CodeUnsupported, "the software token's key file has version %d, not %d", head.Version, fileVersion)
	}
	f := new(file)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, bad("it has another form")
	}
	cost := Cost{Memory: f.Memory, Passes: f.Passes, Lanes: f.Lanes}
	switch {
	case f.KDF != kdfName || f.AEAD != aeadName:
		return nil, bad("its cryptography is not known")
	case !cost.valid():
		return nil, bad("the cost of its passphrase is out of bounds")
	case len(f.Salt) < minSaltSize || len(f.Salt) > maxSaltSize,
		len(f.Nonce) != chacha20poly1305.NonceSizeX,
		len(f.Public) != seedSize,
		len(f.Sealed) != seedSize+chacha20poly1305.Overhead:
		return nil, bad("a member has the wrong size")
	}
	return f, nil
}

// openWith returns the private key; the caller wipes it.
func (f *file) openWith(pin []byte) ([]byte, error) {
	if pin == nil {
		return nil, tokens.Errorf(tokens.CodePINRequired, "the software token needs its passphrase")
	}
	wrong := tokens.Errorf(tokens.CodePINInvalid, "wrong passphrase")
	pass, ok := normalise(pin)
	if !ok {
		return nil, wrong
	}
	defer clear(pass)
	aead, err := f.cipher(pass)
	if err != nil {
		return nil, failure("cannot open the key file", err)
	}
	// A wrong passphrase and a damaged file cannot be told apart here.
	seed, err := aead.Open(nil, f.Nonce, f.Sealed, f.bound())
	if err != nil {
		return nil, wrong
	}
	private, err := ecdh.X25519().NewPrivateKey(seed)
	if err != nil || !bytes.Equal(private.PublicKey().Bytes(), f.Public) {
		clear(seed)
		return nil, tokens.Errorf(tokens.CodeInvalid, "the software token's key file is damaged: its keys do not match")
	}
	return seed, nil
}

func (f *file) cipher(pass []byte) (cipher.AEAD, error) {
	key := argon2.IDKey(pass, f.Salt, f.Passes, f.Memory, f.Lanes, chacha20poly1305.KeySize)
	defer clear(key)
	return chacha20poly1305.NewX(key)
}

// bound is what the seal covers beside the seed: every other member, each with
// its length before it.
func (f *file) bound() []byte {
	var b []byte
	for _, member := range [][]byte{
		[]byte(f.Format), fmt.Append(nil, f.Version),
		[]byte(f.KDF), fmt.Append(nil, f.Memory), fmt.Append(nil, f.Passes), fmt.Append(nil, f.Lanes), f.Salt,
		[]byte(f.AEAD), f.Public,
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(member)))
		b = append(b, member...)
	}
	return b
}
