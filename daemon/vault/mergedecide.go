package vault

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// decideAll applies the decisions and says how each account comes in.
func (m *merger) decideAll() error {
	for n := range m.o.Decide {
		if n < 1 || n > len(m.items) {
			return &ItemError{n, fmt.Errorf("%w: there is no such item", ErrInvalid)}
		}
	}
	for i := range m.items {
		it := &m.items[i]
		d, named := m.o.Decide[i+1]
		if !named && m.o.Keep && it.Action == MergeConflict {
			d, named = Decision{Action: MergeKeep}, true
		}
		if named {
			if err := m.decide(it, i+1, d); err != nil {
				return &ItemError{i + 1, err}
			}
		}
	}
	for i := range m.items {
		m.shape(&m.items[i], i+1)
	}
	return m.checkNames()
}

// checkNames refuses a name that was asked for and goes to another item as well.
func (m *merger) checkNames() error {
	for i := range m.items {
		it := &m.items[i]
		if it.Action != MergeRename {
			continue
		}
		if other := m.named[m.nameKey(it.Account.Issuer, it.Account.Name)]; other != i+1 {
			return &ItemError{i + 1, fmt.Errorf("%w: item %d is called so", ErrNameTaken, other)}
		}
	}
	return nil
}

// decide applies one decision.
func (m *merger) decide(it *mergeItem, n int, d Decision) error {
	switch d.Action {
	case MergeLeave:
		it.Action, it.fresh, it.raise = MergeLeave, false, 0
		return nil
	case MergeKeep:
		if it.Action == MergeAdd {
			return fmt.Errorf("%w: there is nothing that could be kept", ErrInvalid)
		}
		if it.Action == MergeConflict {
			it.Action = MergeKeep
		}
		return nil
	case MergeReplace:
		return m.replace(it, n)
	case MergeRename:
		return m.rename(it, n, d)
	}
	return fmt.Errorf("%w: there is no decision %q", ErrInvalid, d.Action)
}

// replace: it takes the place of what is there. Where that has the same secret it
// takes the name.
func (m *merger) replace(it *mergeItem, n int) error {
	if it.at < 0 {
		if it.Action == MergeSame { // as another item, which is what counts
			return nil
		}
		return fmt.Errorf("%w: there is nothing that could be replaced", ErrInvalid)
	}
	if it.Action == MergeSame && len(it.Differs) == 0 {
		return nil
	}
	if err := m.claim(it, n); err != nil {
		return err
	}
	if it.known && it.rec.Kind != it.Existing.Kind {
		return fmt.Errorf("%w: one of the two is managed", ErrInvalid)
	}
	e := it.Existing
	it.Action = MergeReplace
	it.Account = m.incoming(it)
	a := &it.Account
	if a.Note == "" {
		a.Note = e.Note
	}
	a.NoExport = a.NoExport || e.NoExport
	if it.known {
		a.ID, a.Class, a.Created, a.Inactive = e.ID, e.Class, e.Created, e.Inactive
		if a.Type == "hotp" && e.Type == "hotp" {
			a.Counter = max(a.Counter, e.Counter)
		}
		return nil
	}
	it.fresh = true
	return nil
}

// claim says that item n changes an account of the vault, which no two may.
func (m *merger) claim(it *mergeItem, n int) error {
	if other, ok := m.taken[it.at]; ok {
		return fmt.Errorf("%w: item %d changes the same account", ErrInvalid, other)
	}
	m.taken[it.at] = n
	return nil
}

// rename: it comes in under another name, beside what is there. Where that is the
// same account it gets the name.
func (m *merger) rename(it *mergeItem, n int, d Decision) error {
	issuer, name := norm.NFC.String(d.Issuer), norm.NFC.String(d.Name)
	if name == "" {
		name = issuer
	}
	probe := archiveAccount(it.Account)
	probe.ID, probe.Created, probe.Issuer, probe.Name = "0000000000000000", time.Unix(0, 0), issuer, name
	if err := probe.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key := m.nameKey(issuer, name)
	for _, at := range m.byName[key] {
		if at != it.at || it.Action != MergeSame {
			return fmt.Errorf("%w: %s", ErrNameTaken, title(archiveAccount(m.account(at))))
		}
	}
	switch {
	case it.Action == MergeSame && it.at < 0:
		return fmt.Errorf("%w: the same is to be had by another item", ErrInvalid)
	case it.Action == MergeSame:
		if err := m.claim(it, n); err != nil {
			return err
		}
	default:
		it.fresh = true // beside what is there, also where the secret is the same
		it.Account = m.incoming(it)
	}
	it.Action = MergeRename
	it.Account.Issuer, it.Account.Name = issuer, name
	return nil
}

// shape says how an account comes in: its class, its counter, whether it is
// active, and what a touch is needed for.
func (m *merger) shape(it *mergeItem, n int) {
	r := it.rec
	left := it.Action == MergeLeave || it.Action == MergeKeep
	if unread(r) && it.tag == "" && !left && !m.seenByID(it) {
		m.touch = true // compared when it is applied
	}
	if it.fresh || it.Action == MergeRename || it.Action == MergeReplace {
		m.name(it, n)
	}
	if !it.fresh {
		return
	}
	a := &it.Account
	if r.Kind == Managed {
		a.Inactive = true
		it.because("inactive: its secret is for the device that it was issued to alone")
	}
	if r.Class == archive.ClassTouch && !m.guards(r) {
		a.Class = archive.ClassSession
		it.because("class session: no token here guards by touch")
	}
	if unread(r) && (a.Class == archive.ClassSession || !m.whole(r)) {
		m.touch = true
	}
	if a.Type == "hotp" && m.o.Margin > 0 && r.Kind != Managed {
		a.Counter += min(m.o.Margin, math.MaxUint64-a.Counter)
		it.because("its counter skips %d: codes may have been made since", m.o.Margin)
	}
}

// name notes what an item will be called. A name that was asked for comes first.
func (m *merger) name(it *mergeItem, n int) {
	key := m.nameKey(it.Account.Issuer, it.Account.Name)
	other, taken := m.named[key]
	switch {
	case !taken:
		m.named[key] = n
	case it.Action != MergeRename && m.items[other-1].Action != MergeRename:
		it.because("item %d is called the same", other)
	case it.Action != MergeRename:
		m.named[key] = n // which refuses the other one
	}
}

// seenByID: within a vault an account that is known by its id needs no secret.
func (m *merger) seenByID(it *mergeItem) bool {
	return m.sameVault && it.Existing != nil && it.Existing.ID == it.rec.ID && it.Action == MergeSame
}

// guards says whether an account can be of the touch class here.
func (m *merger) guards(r *archive.Record) bool {
	if m.st.keys.TouchRecipient == "" {
		return false
	}
	return hasTouchSlot(m.st.parts.Header.Keyslots) || m.whole(r)
}
