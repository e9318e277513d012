package vault

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// Incoming is accounts that Merge may bring into a vault: those of a backup, or
// of another product. Their secrets lie in memory of their own until Wipe.
type Incoming struct {
	records []archive.Record
	arena   *secret.Buffer // holds what the records' Secret point at
	backup  *backupSide    // nil where they come from another product
}

// backupSide is what is known of the backup that accounts come from. None of it
// is secret.
type backupSide struct {
	info   BackupInfo
	proved bool
	// tags is the epoch of the caller's vault whose tags the backup's are, 0 where
	// they are another's.
	tags      uint64
	recipient string // of its touch key
	header    archive.Header
	slots     []archive.SlotSecret
	touchKey  []byte // touch-key.age
	recovery  []byte // recovery-key.age
}

// NewIncoming takes accounts of another product, in the order of the plan. A
// secret is copied and has 1 to 512 bytes.
func NewIncoming(list []NewAccount) (*Incoming, error) {
	in := &Incoming{}
	for i, n := range list {
		r := archive.Record{Account: archiveAccount(n.Account), Secret: n.Secret}
		r.ID, r.Kind, r.Inactive = "", ThirdParty, false
		tidy(&r.Account)
		probe := r.Account
		probe.ID, probe.Created = "0000000000000000", time.Unix(0, 0)
		if err := probe.Check(); err != nil {
			return nil, &ItemError{i + 1, fmt.Errorf("%w: %w", ErrInvalid, err)}
		}
		if len(n.Secret) < 1 || len(n.Secret) > archive.MaxSecret {
			return nil, &ItemError{i + 1, fmt.Errorf("%w: a secret has 1 to %d bytes", ErrInvalid, archive.MaxSecret)}
		}
		in.records = append(in.records, r)
	}
	return in, in.keep()
}

// OpenBackup opens a backup, of this vault or another, to merge it. One of this
// vault has to be vouched for as in Restore: ErrNotVouched. With the recovery
// password or key its touch class is opened, too. Without a way it is opened by
// what opens this vault; see OpensBackup.
func (v *Vault) OpenBackup(ctx context.Context, data []byte, w Way, signer string) (*Incoming, error) {
	a, err := archive.Parse(bytes.Clone(data))
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup: %w", err)
	}
	if _, err := v.store.vouched(a, nil, signer, w.Password != nil); err != nil {
		return nil, fmt.Errorf("cannot merge: %w", err)
	}
	var c *archive.Contents
	if w.IsZero() {
		err = ErrLocked
		v.view(func(st *state) { secret.Do(func() { c, err = a.OpenSession(st.keys.SessionKey) }) })
	} else {
		c, err = open(ctx, a, w)
	}
	if err != nil {
		return nil, err
	}
	in := &Incoming{}
	secret.Do(func() { err = in.take(v, a, data, c, w) })
	if err != nil {
		in.Wipe()
		return nil, err
	}
	return in, nil
}

// OpensBackup says that a backup is of this vault and epoch: then who has the vault
// open needs nothing else to open it.
func (v *Vault) OpensBackup(data []byte) (yes bool) {
	h, err := HeadOf(data)
	v.view(func(st *state) {
		own := st.parts.Header
		yes = err == nil && h.VaultID == own.VaultID && h.Epoch == own.Epoch && h.Signer == st.manifest.Signer
	})
	return yes
}

// take moves a backup's accounts over; c is wiped. Call it inside secret.Do.
func (in *Incoming) take(v *Vault, a *archive.Archive, data []byte, c *archive.Contents, w Way) error {
	defer c.Wipe()
	k, parts := c.Keys(), a.Parts()
	b := &backupSide{info: backupInfo(a, data), proved: c.SignerProved, recipient: k.TouchRecipient,
		header: a.Header, slots: slices.Clone(k.Slots), touchKey: parts.TouchKey, recovery: parts.RecoveryKey}
	own := ErrLocked
	v.view(func(st *state) {
		own = nil
		h := st.parts.Header
		if b.info.VaultID == h.VaultID && b.info.Epoch == h.Epoch && bytes.Equal(k.JournalKey, st.keys.JournalKey) {
			b.tags = h.Epoch
		}
	})
	if own != nil {
		return own
	}
	in.backup = b
	in.records = slices.Clone(c.Session().Records)
	for i := range in.records {
		if r := &in.records[i]; r.Kind == Managed { // its secret stays with its device
			clear(r.Secret)
			r.Secret, r.Touch, r.Inactive = nil, nil, true
		}
	}
	if err := in.keep(); err != nil {
		return err
	}
	if w.Password == nil && w.RecoveryKey == nil || !in.wantsTouch(v) {
		return nil
	}
	key, err := c.TouchKey()
	if err != nil {
		return err
	}
	defer clear(key)
	return in.openTouch(key)
}

// wantsTouch says whether there is a touch account that can be neither compared
// nor taken over as it is sealed.
func (in *Incoming) wantsTouch(v *Vault) (yes bool) {
	v.view(func(st *state) {
		whole := in.backup.tags == st.parts.Header.Epoch && in.backup.recipient == st.keys.TouchRecipient
		for i := range in.records {
			r := &in.records[i]
			yes = yes || r.Touch != nil && r.Secret == nil && (!whole || r.Tag == "")
		}
	})
	return yes
}

// OpenTouch opens the secrets of a backup's touch accounts by one of its own
// keyslots, or its recovery password or key.
func (in *Incoming) OpenTouch(ctx context.Context, w Way) error {
	b := in.backup
	if b == nil {
		return nil
	}
	if err := w.check(); err != nil {
		return fmt.Errorf("cannot open the touch class: %w", err)
	}
	keys := archive.Keys{TouchRecipient: b.recipient, Slots: b.slots}
	t, err := touchLockOf(&b.header, &keys, b.touchKey, b.recovery, w)
	if err != nil {
		return err
	}
	return t.with(ctx, w, in.openTouch)
}

// openTouch opens what the touch key opens. Call it inside secret.Do.
func (in *Incoming) openTouch(key []byte) error {
	var err error
	for i := range in.records {
		r := &in.records[i]
		if r.Touch == nil || r.Secret != nil {
			continue
		}
		if r.Secret, err = archive.Decrypt(r.Touch, key); err != nil {
			return fmt.Errorf("account %s: %w", r.ID, err)
		}
		if len(r.Secret) < 1 || len(r.Secret) > archive.MaxSecret {
			return fmt.Errorf("%w: account %s: a secret has 1 to %d bytes", ErrDamaged, r.ID, archive.MaxSecret)
		}
	}
	return in.keep()
}

// keep moves the secrets to locked memory.
func (in *Incoming) keep() error {
	n := 0
	for i := range in.records {
		n += secretSize(&in.records[i])
	}
	arena, err := secret.NewBuffer(n)
	if err != nil {
		return fmt.Errorf("cannot keep the secrets: %w", err)
	}
	rest := arena.Bytes()
	old := in.arena
	for i := range in.records {
		r := &in.records[i]
		was := *r
		rest = moveSecrets(r, rest)
		if in.backup != nil {
			was.Wipe() // of an import it is the caller's
		}
	}
	in.arena = arena
	if old != nil {
		old.Wipe()
	}
	return nil
}

// Wipe overwrites the secrets.
func (in *Incoming) Wipe() {
	if in.arena != nil {
		in.arena.Wipe()
	}
	in.records = nil
}

// Info says which backup the accounts come from; zero for an import. proved says
// that the way it was opened vouches for its signer.
func (in *Incoming) Info() (info BackupInfo, proved bool) {
	if in.backup == nil {
		return BackupInfo{}, false
	}
	return in.backup.info, in.backup.proved
}

// Len is how many accounts there are.
func (in *Incoming) Len() int { return len(in.records) }
