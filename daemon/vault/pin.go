package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tokenbridge/tokend/daemon/archive"
)

const (
	pinFormat  = "tokend-pin"
	pinVersion = 1
	pinLimit   = 64 << 10
)

// pin says which vault is the right one. It lies outside the vault's folder and
// is believed.
type pin struct {
	Format     string `json:"format"`
	Version    int    `json:"version"`
	VaultID    string `json:"vault_id"`
	Signer     string `json:"signer"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"` // the highest seen
	// Next is announced before a vault with another signer is written, so that
	// a crash in between leaves a vault that is either the one or the other.
	Next *pinNext `json:"next,omitempty"`
	// Former are signers of earlier epochs: what they signed is not another's
	// vault, but an old one.
	Former []string `json:"former,omitempty"`
}

type pinNext struct {
	Signer     string `json:"signer"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
}

// maxFormer bounds the signers remembered.
const maxFormer = 256

func (s *Store) readPin() (*pin, error) {
	raw, err := readFile(s.fs, s.pinFile, pinLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoPin
	}
	if err != nil {
		return nil, diskError("read the pin", err)
	}
	var p pin
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || p.Format != pinFormat {
		return nil, fmt.Errorf("%w: the pin file is damaged", ErrNoPin)
	}
	if p.Version != pinVersion {
		return nil, &archive.NewerError{What: pinFormat, Version: p.Version}
	}
	return &p, nil
}

// Known is what this device knows of its vault without looking at the vault's
// file: for telling what was, where that file cannot be used. ErrNoPin where it
// knows nothing.
func (s *Store) Known() (Head, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.readPin()
	if err != nil {
		return Head{}, err
	}
	return Head{VaultID: p.VaultID, Signer: p.Signer, Epoch: p.Epoch, Generation: p.Generation}, nil
}

func (s *Store) writePin(p pin) error {
	p.Format, p.Version = pinFormat, pinVersion
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("cannot write the pin: %w", err)
	}
	_, err = replaceFile(s.fs, s.pinFile, raw)
	return diskError("write the pin", err)
}

// admit says whether a container is the pinned vault at its newest. With older
// it may be an earlier generation of the same epoch: the one that stands in for
// a damaged newest.
func (p *pin) admit(m archive.Manifest, older bool) error {
	if m.VaultID != p.VaultID {
		return fmt.Errorf("%w: it is vault %s, not %s", ErrReplaced, m.VaultID, p.VaultID)
	}
	if n := p.Next; n != nil && m.Signer == n.Signer && m.Epoch == n.Epoch && (m.Generation >= n.Generation || older) {
		return nil
	}
	if slices.Contains(p.Former, m.Signer) {
		return fmt.Errorf("%w: epoch %d is over, the vault is in epoch %d", ErrRolledBack, m.Epoch, p.Epoch)
	}
	if m.Signer != p.Signer || m.Epoch != p.Epoch {
		return fmt.Errorf("%w: it is signed by %s, not by %s", ErrReplaced, m.Signer, p.Signer)
	}
	if m.Generation < p.Generation && !older {
		return fmt.Errorf("%w: generation %d, not %d", ErrRolledBack, m.Generation, p.Generation)
	}
	return nil
}

// admitBackup says whether a backup of the pinned vault is one that was made of
// it: signed as the pin says, or as in an epoch that is over. proved says that
// the recovery password is going to vouch for the signer; a signer that follows
// from an earlier one counts only where the pin's own is among those, for the
// keys of an earlier epoch are known to whoever had a token that was revoked.
func (p *pin) admitBackup(a *archive.Archive, proved bool) error {
	m := a.Manifest
	switch {
	case m.Signer == p.Signer && m.Epoch == p.Epoch, p.Next != nil && m.Signer == p.Next.Signer && m.Epoch == p.Next.Epoch:
		return nil
	case slices.Contains(p.Former, m.Signer) && m.Epoch < p.Epoch:
		return nil
	case proved && len(a.Header.Succession) == 0:
		return nil
	case proved && slices.ContainsFunc(a.Header.Succession, func(s archive.Succession) bool { return s.From == p.Signer }):
		return nil
	}
	return fmt.Errorf("%w: %s is not known to have signed epoch %d of its vault", ErrNotVouched, m.Signer, m.Epoch)
}

// follow is the pin that goes with a container, after it was written or found to
// be the one announced. Once in memory it is right even where writing it failed:
// the file then still admits the container.
func (p *pin) follow(m archive.Manifest) pin {
	out := pin{VaultID: m.VaultID, Signer: m.Signer, Epoch: m.Epoch, Generation: m.Generation}
	if p != nil && p.VaultID == m.VaultID {
		out.Former = p.Former
		if p.Signer != m.Signer {
			out.Former = append(slices.Clone(p.Former), p.Signer)
		}
		// A backup of an earlier epoch that was restored is the vault now.
		out.Former = slices.DeleteFunc(slices.Clone(out.Former), func(s string) bool { return s == m.Signer })
		if len(out.Former) > maxFormer {
			out.Former = out.Former[len(out.Former)-maxFormer:]
		}
	}
	return out
}
