// Package archive is the container of vaults and backups: an uncompressed tar
// of few members, signed as a whole. It reads, checks, opens and builds; it
// knows no paths and no daemon. docs/vault-format.md describes every byte.
//
// Nothing here wipes memory by itself but Contents.Wipe: who handles secrets
// calls it inside daemon/secret.
package archive

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
)

// Version is the format version that this program writes.
const Version = 1

// The formats' names, as they stand in the documents.
const (
	formatVault    = "tokend-vault"
	formatManifest = "tokend-vault-manifest"
	formatKeys     = "tokend-vault-keys"
	formatSession  = "tokend-vault-session"
	formatDevice   = "tokend-vault-device"
)

// The members, in their order.
const (
	nameHeader    = "header.json"
	nameKeys      = "keys.age"
	nameSession   = "session.age"
	nameTouch     = "touch-key.age"
	nameRecovery  = "recovery-key.age"
	nameDevice    = "device.age"
	nameManifest  = "manifest.json"
	nameSignature = "manifest.sig"
	maxMembers    = 8
)

// SessionMember is the name of the member that grows with the accounts.
const SessionMember = nameSession

// The bounds of the format, in bytes or numbers.
const (
	MaxSize       = 64 << 20
	MaxKeyslots   = 64
	MaxSuccession = 1024
	MaxParams     = 4096
	MaxName       = 256
	MaxNote       = 2048
	MaxSecret     = 512
	MaxAccounts   = 20_000
	// MaxPayload is of the decrypted session.age or device.age.
	MaxPayload = 32 << 20
	// MaxDescriptor is of an authority's descriptor, MaxDeviceState of the state in
	// device.age.
	MaxDescriptor  = 8 << 10
	MaxDeviceState = 4 << 20
	maxHeader      = 1 << 20
	maxSmall       = 16 << 10
	issuedKey      = 32
)

// The classes.
const (
	ClassSession = "session"
	ClassTouch   = "touch"
)

// bound is one member's name and size limit.
type bound struct {
	name     string
	max      int
	required bool
}

func bounds() []bound {
	return []bound{
		{nameHeader, maxHeader, true}, {nameKeys, maxHeader, true}, {nameSession, MaxPayload + maxSmall, true},
		{nameTouch, maxSmall, false}, {nameRecovery, maxSmall, false}, {nameDevice, MaxPayload + maxSmall, false},
		{nameManifest, maxSmall, true}, {nameSignature, ed25519.SignatureSize, true},
	}
}

func memberIndex(name string) int {
	return slices.IndexFunc(bounds(), func(b bound) bool { return b.name == name })
}

// Archive is a container whose members, hashes and signature fit together. The
// signature is by the signer that the container names itself: whether that is
// the right one, the caller knows, or opening by recovery password tells.
type Archive struct {
	Header   Header
	Manifest Manifest
	// Version is the format version that the container was written in.
	Version int
	data    []byte
	members map[string][]byte
	dialect dialect
}

// Parse reads a container: ErrNotArchive, ErrDamaged, ErrNewer. The Archive
// aliases data.
func Parse(data []byte) (*Archive, error) { return parse(data, dialects()) }

func parse(data []byte, known map[int]dialect) (*Archive, error) {
	files, unix, err := readTar(data)
	if err != nil {
		return nil, err
	}
	a := &Archive{data: data, members: map[string][]byte{}}
	last := -1
	for _, f := range files {
		at := memberIndex(f.name)
		if at <= last {
			return nil, damaged("member %q is unknown or out of order", f.name)
		}
		if b := bounds()[at]; len(f.data) > b.max {
			return nil, damaged("%s has more than %d bytes", f.name, b.max)
		}
		last = at
		a.members[f.name] = f.data
	}
	version, err := probe(a.members[nameHeader], formatVault)
	if err != nil {
		return nil, err
	}
	if a.dialect, err = choose(known, formatVault, version); err != nil {
		return nil, err
	}
	a.Version = version
	for _, b := range bounds() {
		if b.required && a.members[b.name] == nil {
			return nil, damaged("%s is missing", b.name)
		}
	}
	if err := a.verify(); err != nil {
		return nil, err
	}
	if a.Manifest.Time.Unix() != unix {
		return nil, damaged("its times differ")
	}
	return a, a.decodeHeader()
}

// verify checks the signature first and then every member against the manifest.
func (a *Archive) verify() error {
	raw := a.members[nameManifest]
	version, err := probe(raw, formatManifest)
	if err != nil {
		return err
	}
	if version > Version {
		return &NewerError{formatManifest, version}
	}
	if err := decodeStrict(raw, &a.Manifest); err != nil {
		return damaged("manifest: %w", err)
	}
	if err := a.Manifest.check(); err != nil {
		return err
	}
	key, err := signerKey(a.Manifest.Signer)
	if err != nil {
		return err
	}
	if !ed25519.Verify(key, raw, a.members[nameSignature]) {
		return damaged("the signature is wrong")
	}
	listed := map[string]bool{nameManifest: true, nameSignature: true}
	for _, m := range a.Manifest.Members {
		listed[m.Name] = true
		data, there := a.members[m.Name]
		if !there && m.Name == nameDevice {
			continue // a backup: the very same manifest, without this member
		}
		if !there || int64(len(data)) != m.Size || Sum(data) != m.SHA256 {
			return damaged("%s is missing or changed", m.Name)
		}
	}
	for name := range a.members {
		if !listed[name] {
			return damaged("%s is not in the manifest", name)
		}
	}
	return nil
}

func (a *Archive) decodeHeader() error {
	h, err := a.dialect.header(a.members[nameHeader])
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	if h.VaultID != a.Manifest.VaultID || h.Epoch != a.Manifest.Epoch {
		return damaged("header and manifest are of different vaults")
	}
	if a.HasRecovery() == h.RecoverySet.IsZero() || a.members[nameTouch] != nil && !a.HasRecovery() {
		return damaged("the recovery key is missing or too many")
	}
	a.Header = h
	return nil
}

// HasRecovery says that a recovery password opens the container.
func (a *Archive) HasRecovery() bool { return a.members[nameRecovery] != nil }

// HasDevice says that the secrets of managed accounts are in it: a vault, not a
// backup.
func (a *Archive) HasDevice() bool { return a.members[nameDevice] != nil }

// Backup returns the container without what must not leave the device; the
// signature is the same. Where there is none of that it is the very bytes that
// were parsed, so the caller must not change it.
func (a *Archive) Backup() []byte {
	if !a.HasDevice() {
		return a.data
	}
	var files []file
	for _, b := range bounds() {
		if data := a.members[b.name]; data != nil && b.name != nameDevice {
			files = append(files, file{b.name, data})
		}
	}
	return buildTar(files, a.Manifest.Time.Unix())
}

// probe reads format and version of a document and nothing else, so that a
// newer document is refused by name whatever else it holds.
func probe(raw []byte, format string) (int, error) {
	var d struct {
		Format  string `json:"format"`
		Version *int   `json:"version"`
	}
	if raw == nil {
		return 0, damaged("%s is missing", format)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return 0, damaged("%s: %w", format, redact(err))
	}
	if d.Format != format || d.Version == nil || *d.Version < 0 {
		return 0, damaged("%s: format or version is missing", format)
	}
	return *d.Version, nil
}

// hashPiece is how much is hashed in one step, in bytes: the runtime, which now and
// then has to stop everybody, must wait for the end of a step.
const hashPiece = 64 << 10

// Sum is the SHA-256 of data, in hexadecimal.
func Sum(data []byte) string {
	h := sha256.New()
	for piece := range slices.Chunk(data, hashPiece) {
		_, _ = h.Write(piece)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// IsDamage says that err is about the bytes and not about keys or versions.
func IsDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotArchive) }
