package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/drill"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// What a restore would do with an account of a backup, beside an open vault.
const (
	DrillSame    = "same"    // it is in the vault as it is
	DrillDiffers = "differs" // it is in the vault with other settings or another secret
	DrillAdded   = "added"   // the vault does not have it
)

// Drilled is one account of a backup that was drilled.
type Drilled struct {
	Account
	drill.Outcome
	// Live is DrillSame, DrillDiffers or DrillAdded; empty where the backup was
	// compared with nothing.
	Live string
	// Differs names what differs: "secret", "name", "digits", …
	Differs []string
}

// DrillReport is what a backup holds, after everything in it was used once.
type DrillReport struct {
	BackupInfo
	Accounts []Drilled
	// SignerProved says that the recovery password vouches for the signer.
	SignerProved bool
	// Known says that this machine knows the vault and its signer.
	Known bool
	// Compared says that there was an open vault to compare with; Missing are its
	// accounts that the backup has not.
	Compared bool
	Missing  []Account
}

// TouchAccounts says how many accounts of the backup are still sealed: those of
// the touch class, where nothing opened it.
func (r *DrillReport) TouchAccounts() (n int) {
	for i := range r.Accounts {
		if r.Accounts[i].State == drill.Sealed {
			n++
		}
	}
	return n
}

// Drill restores a backup into memory and uses every account in it: w opens it,
// touch the touch class where w is a keyslot, and may be zero. live, where it is
// not nil, is compared with it. Nothing is written. ErrNotVouched where the
// backup claims to be of the vault that is known here and another signed it.
func (s *Store) Drill(ctx context.Context, data []byte, w, touch Way, live *Vault) (*DrillReport, error) {
	a, err := archive.Parse(bytes.Clone(data))
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup: %w", err)
	}
	out := &DrillReport{BackupInfo: backupInfo(a, data)}
	if p, err := s.readPin(); err == nil && p.VaultID == a.Header.VaultID {
		if err := p.admitBackup(a, w.Password != nil); err != nil {
			return nil, fmt.Errorf("cannot drill the backup: %w", err)
		}
		out.Known = true
	} else if err != nil && !errors.Is(err, ErrNoPin) {
		return nil, err
	}
	c, err := open(ctx, a, w)
	if err != nil {
		return nil, err
	}
	defer c.Wipe()
	out.SignerProved = c.SignerProved
	for i := range out.Slots {
		if l := c.Labels[out.Slots[i].ID]; l != "" {
			out.Slots[i].Label = l
		}
	}
	key, err := drillTouchKey(ctx, a, c, w, touch)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return out, out.use(c, key, s, live)
}

// use makes a code of every account, and compares them with those of live, which
// is not held up meanwhile.
func (r *DrillReport) use(c *archive.Contents, key []byte, s *Store, live *Vault) error {
	var outcomes []drill.Outcome
	seen := map[int]mark{}
	marks, err := newMarker(s.rand)
	if err != nil {
		return err
	}
	secret.Do(func() {
		outcomes = drill.Prove(c, key, s.now(), func(i int, value []byte) { seen[i] = marks.of(value) })
	})
	var beside *comparison
	if live != nil {
		if beside, err = live.forComparison(c.VaultID, marks); err != nil {
			return err
		}
	}
	r.Accounts = make([]Drilled, 0, len(c.Session().Records))
	for i := range c.Session().Records {
		record := &c.Session().Records[i]
		d := Drilled{Account: accountOf(record.Account), Outcome: outcomes[i]}
		if beside != nil {
			m, ok := seen[i]
			d.Live, d.Differs = beside.compare(record, m, ok)
		}
		r.Accounts = append(r.Accounts, d)
	}
	if beside != nil {
		r.Compared, r.Missing = true, beside.missing()
	}
	return nil
}

// drillTouchKey opens the touch key of a backup, nil where nothing can or none
// is needed.
func drillTouchKey(ctx context.Context, a *archive.Archive, c *archive.Contents, w, touch Way) (key []byte, err error) {
	needed := slices.ContainsFunc(c.Session().Records, func(r archive.Record) bool { return r.Touch != nil })
	switch {
	case !needed:
		return nil, nil
	case w.SlotID == "":
		secret.Do(func() { key, err = c.TouchKey() })
		return key, err
	case touch.SlotID == "":
		return nil, nil
	}
	i := slices.IndexFunc(a.Header.Keyslots, func(k archive.Keyslot) bool { return k.ID == touch.SlotID })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoKeyslot, touch.SlotID)
	}
	k, ok := a.Header.Keyslots[i].Key(archive.ClassTouch)
	if !ok {
		return nil, nil
	}
	l := lockedWrap{*c.Keys().Slot(touch.SlotID).TouchWrap, k, archive.Binding{
		VaultID: a.Header.VaultID, SlotID: touch.SlotID, Class: archive.ClassTouch, Epoch: a.Header.Epoch}}
	shared, err := l.agree(ctx, touch.Exchange)
	if err != nil {
		return nil, err
	}
	secret.Do(func() {
		if key, err = l.open(shared); err == nil {
			err = archive.CheckTouchKey(key, c.Keys().TouchRecipient)
		}
	})
	return key, err
}
