package archive

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"
)

// Parts is what a container is built from. The age members are the bytes as
// they stand in the container; those that did not change are taken over from
// the generation before.
type Parts struct {
	Header      Header // Format and Version are filled in
	Generation  uint64
	Time        time.Time
	Keys        []byte
	Session     []byte
	TouchKey    []byte
	RecoveryKey []byte
	Device      []byte
	SigningKey  ed25519.PrivateKey
	// Known are hashes of members taken over unchanged, to save hashing again.
	Known map[string]Member
}

// Parts returns the members as they are, to build the next generation from.
func (a *Archive) Parts() Parts {
	p := Parts{Header: a.Header, Generation: a.Manifest.Generation, Time: a.Manifest.Time,
		Keys: a.members[nameKeys], Session: a.members[nameSession], TouchKey: a.members[nameTouch],
		RecoveryKey: a.members[nameRecovery], Device: a.members[nameDevice]}
	return p
}

// Build makes a container and checks it by the rules of reading that cost
// nothing: bounds and the header's own sense.
func Build(p Parts) ([]byte, Manifest, error) {
	h := p.Header
	h.Format, h.Version = formatVault, Version
	if h.Keyslots == nil {
		h.Keyslots = []Keyslot{}
	}
	if err := h.check(); err != nil {
		return nil, Manifest{}, fmt.Errorf("cannot build a vault: %w", err)
	}
	header, err := json.Marshal(h)
	if err != nil {
		return nil, Manifest{}, fmt.Errorf("cannot build a vault: %w", err)
	}
	if _, err := headerV1(header); err != nil {
		return nil, Manifest{}, fmt.Errorf("cannot build a vault: %w", err)
	}
	m := Manifest{Format: formatManifest, Version: 1, VaultID: h.VaultID, Epoch: h.Epoch, Generation: p.Generation,
		Time: p.Time.UTC().Truncate(time.Second), Signer: Signer(p.SigningKey)}
	var files []file
	for _, f := range []file{{nameHeader, header}, {nameKeys, p.Keys}, {nameSession, p.Session},
		{nameTouch, p.TouchKey}, {nameRecovery, p.RecoveryKey}, {nameDevice, p.Device}} {
		b := bounds()[memberIndex(f.name)]
		if f.data == nil && !b.required {
			continue
		}
		if len(f.data) > b.max || len(f.data) == 0 {
			return nil, m, fmt.Errorf("cannot build a vault: %w: %s has %d bytes", ErrTooLarge, f.name, len(f.data))
		}
		entry, known := p.Known[f.name]
		if !known {
			entry = Member{f.name, int64(len(f.data)), Sum(f.data)}
		}
		m.Members = append(m.Members, entry)
		files = append(files, f)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, m, fmt.Errorf("cannot build a vault: %w", err)
	}
	files = append(files, file{nameManifest, manifest}, file{nameSignature, sign(p.SigningKey, manifest)})
	out := buildTar(files, m.Time.Unix())
	if len(out) > MaxSize {
		return nil, m, fmt.Errorf("cannot build a vault: %w: %d bytes", ErrTooLarge, len(out))
	}
	return out, m, nil
}
