package vault

import (
	"fmt"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/archive"
)

// merger compares incoming accounts with a vault's.
type merger struct {
	st       *state
	counters map[string]uint64
	in       *Incoming
	o        MergeOptions
	// sameVault: the accounts' ids mean what they mean here. sameTags: their tags
	// do, too.
	sameVault, sameTags bool
	// The vault's accounts by tag and by name; tags has "" for what cannot be
	// compared.
	tags   []string
	byTag  map[string][]int
	byName map[string][]int
	fold   cases.Caser
	items  []mergeItem
	first  map[string]int // items of this merge by tag, settings and name
	named  map[string]int // numbers of items by the name that they come in with
	taken  map[int]int    // accounts of the vault by the number of the item that changes them
	touch  bool
	step   *archive.Undo // once applied
}

// mergeItem is an item in the making.
type mergeItem struct {
	MergeItem
	rec *archive.Record
	tag string
	at  int // of Existing in the vault, -1 where there is none
	// known: Existing has the same secret, so that only settings are replaced.
	known bool
	// fresh: it brings an account in that is not there.
	fresh bool
	// counter is the one that comes in; hotp only.
	counter uint64
	// raise is what Existing's counter has to be at least, 0 where it is.
	raise uint64
	why   []string
}

func (it *mergeItem) because(format string, args ...any) {
	it.why = append(it.why, fmt.Sprintf(format, args...))
}

// newMerger decides everything. Call it inside secret.Do.
func newMerger(st *state, counters map[string]uint64, in *Incoming, o MergeOptions) (*merger, error) {
	m := &merger{st: st, counters: counters, in: in, o: o, byTag: map[string][]int{}, byName: map[string][]int{},
		fold: cases.Fold(), first: map[string]int{}, named: map[string]int{}, taken: map[int]int{}}
	if b := in.backup; b != nil {
		m.sameVault = b.info.VaultID == st.parts.Header.VaultID
		m.sameTags = m.sameVault && b.tags == st.parts.Header.Epoch
	}
	tagger, err := archive.NewTagger(st.keys.JournalKey)
	if err != nil {
		return nil, err
	}
	defer tagger.Wipe()
	m.tags = make([]string, len(st.records))
	for i := range st.records {
		r := &st.records[i]
		if m.tags[i] = r.Tag; r.Secret != nil {
			m.tags[i] = tagger.Tag(r.Secret)
		}
		if m.tags[i] != "" {
			m.byTag[m.tags[i]] = append(m.byTag[m.tags[i]], i)
		}
		key := m.nameKey(r.Issuer, r.Name)
		m.byName[key] = append(m.byName[key], i)
	}
	m.items = make([]mergeItem, len(in.records))
	for i := range m.items {
		it := &m.items[i]
		it.rec, it.at = &in.records[i], -1
		if it.tag = ""; it.rec.Secret != nil {
			it.tag = tagger.Tag(it.rec.Secret)
		} else if m.sameTags {
			it.tag = it.rec.Tag
		}
		m.compare(i)
	}
	return m, m.decideAll()
}

// nameKey is what two accounts have in common that are called the same.
func (m *merger) nameKey(issuer, name string) string {
	f := func(s string) string { return norm.NFC.String(m.fold.String(norm.NFC.String(s))) }
	return f(issuer) + "\x00" + f(name)
}

func settings(a *archive.Account) string {
	return fmt.Sprintf("%s %s %d %d", a.Type, a.Algorithm, a.Digits, a.Period)
}

// compare finds out what item i is to the vault.
func (m *merger) compare(i int) {
	it := &m.items[i]
	r := it.rec
	it.Action, it.fresh = MergeAdd, true
	it.counter = r.Counter
	it.Account = m.incoming(it)
	key := m.nameKey(r.Issuer, r.Name)
	if it.tag != "" && m.bySecret(it, i, key) {
		return
	}
	if at, ok := m.st.index[r.ID]; ok && m.sameVault {
		m.byID(it, at)
		return
	}
	if at := m.likeliest(it, m.byName[key]); at >= 0 {
		m.sameName(it, at)
	}
}

// bySecret looks among the accounts with the same secret, here and before in the
// list; false where there is none.
func (m *merger) bySecret(it *mergeItem, i int, key string) bool {
	same := m.byTag[it.tag]
	var equal []int
	for _, at := range same {
		if settings(&m.st.records[at].Account) == settings(&it.rec.Account) {
			equal = append(equal, at)
		}
	}
	if at := m.likeliest(it, equal); at >= 0 {
		m.found(it, at)
		return true
	}
	row := it.tag + " " + settings(&it.rec.Account) + " " + key
	if n, again := m.first[row]; again {
		it.Action, it.fresh = MergeSame, false
		it.because("same as item %d", n+1)
		// Of two rows with counters the later one counts.
		first := &m.items[n]
		first.counter = max(first.counter, it.counter)
		first.Account.Counter = first.counter
		return true
	}
	m.first[row] = i
	if at := m.likeliest(it, same); at >= 0 {
		it.known = true
		m.conflict(it, at, "the secret is the same")
		return true
	}
	return false
}

// byID compares with the account of the same id in the same vault, whose secret is
// not the same or cannot be seen: an id always means one secret.
func (m *merger) byID(it *mergeItem, at int) {
	if it.tag != "" && m.tags[at] != "" {
		m.conflict(it, at, "")
		return
	}
	it.known = true
	if settings(&m.st.records[at].Account) == settings(&it.rec.Account) {
		m.found(it, at)
	} else {
		m.conflict(it, at, "")
	}
	it.because("secret not compared")
}

// sameName compares with an account that is called the same.
func (m *merger) sameName(it *mergeItem, at int) {
	r := &m.st.records[at]
	compared := it.tag != "" && m.tags[at] != ""
	if !compared && r.Kind == Managed && it.rec.Kind == Managed && settings(&r.Account) == settings(&it.rec.Account) {
		m.found(it, at)
		it.because("secret not compared")
		return
	}
	why := ""
	if !compared {
		why = "secret not compared"
	}
	m.conflict(it, at, why)
	if compared {
		it.Differs = append([]string{"secret"}, it.Differs...)
	}
	if n := len(m.byName[m.nameKey(r.Issuer, r.Name)]); n > 1 {
		it.because("%d accounts are called so", n)
	}
}

// likeliest picks among accounts of the vault the one with the same id, else the
// same name, else the first; -1 where there is none.
func (m *merger) likeliest(it *mergeItem, list []int) int {
	best := -1
	for _, at := range list {
		r := &m.st.records[at]
		if m.sameVault && r.ID == it.rec.ID {
			return at
		}
		if best < 0 || m.called(best, it) < m.called(at, it) {
			best = at
		}
	}
	return best
}

// called says how alike the names are: 2 for the same, 1 for the same issuer.
func (m *merger) called(at int, it *mergeItem) int {
	r := &m.st.records[at]
	switch {
	case r.Issuer == it.rec.Issuer && r.Name == it.rec.Name:
		return 2
	case r.Issuer == it.rec.Issuer:
		return 1
	}
	return 0
}

func (m *merger) existing(it *mergeItem, at int) {
	it.at, it.fresh = at, false
	a := m.account(at)
	it.Existing = &a
	it.Differs = differences(&a, it.rec)
}

// incoming is an account as it comes in, with its id where that is free.
func (m *merger) incoming(it *mergeItem) Account {
	a := accountOf(it.rec.Account)
	a.Counter = it.counter
	if _, taken := m.st.index[a.ID]; taken {
		a.ID = ""
	}
	return a
}

// account is an account of the vault with its counter as it is now.
func (m *merger) account(at int) Account { return counted(&m.st.records[at], m.counters) }

// found: the account is there, whatever it is called.
func (m *merger) found(it *mergeItem, at int) {
	m.existing(it, at)
	it.Action, it.known = MergeSame, true
	e := it.Existing
	it.Account = *e
	if e.Issuer != it.rec.Issuer || e.Name != it.rec.Name {
		it.because("%s is known as %s", title(it.rec.Account), title(archiveAccount(*e)))
	}
	if it.rec.Type == "hotp" && it.rec.Counter > e.Counter {
		it.raise, it.Account.Counter = it.rec.Counter, it.rec.Counter
		it.because("its counter goes from %d to %d", e.Counter, it.rec.Counter)
	}
}

func (m *merger) conflict(it *mergeItem, at int, why string) {
	m.existing(it, at)
	it.Action = MergeConflict
	if why != "" {
		it.because("%s", why)
	}
}

// differences names what two accounts differ by, the secret left aside.
func differences(a *Account, r *archive.Record) []string {
	var out []string
	for _, d := range []struct {
		name  string
		equal bool
	}{
		{"issuer", a.Issuer == r.Issuer},
		{"name", a.Name == r.Name},
		{"note", a.Note == r.Note || r.Note == ""},
		{"type", a.Type == r.Type},
		{"algorithm", a.Algorithm == r.Algorithm},
		{"digits", a.Digits == r.Digits},
		{"period", a.Period == r.Period},
		{"kind", a.Kind == r.Kind},
	} {
		if !d.equal {
			out = append(out, d.name)
		}
	}
	return out
}

// merged is the outcome as callers see it.
func (m *merger) merged() Merged {
	out := Merged{Source: m.o.Source, Items: make([]MergeItem, len(m.items)), Touch: m.touch}
	for i := range m.items {
		it := &m.items[i]
		it.Reason = strings.Join(it.why, "; ")
		out.Items[i] = it.MergeItem
	}
	return out
}

// changes says whether there is anything to write.
func (m *merger) changes() bool {
	for i := range m.items {
		switch it := &m.items[i]; it.Action {
		case MergeAdd, MergeReplace, MergeRename:
			return true
		case MergeSame:
			if it.raise > 0 {
				return true
			}
		}
	}
	return false
}

// whole says whether a touch account's sealed secret can be taken over as it is.
func (m *merger) whole(r *archive.Record) bool {
	return m.sameTags && r.Touch != nil && r.Tag != "" && m.in.backup.recipient == m.st.keys.TouchRecipient
}

// unread says whether a secret is there and not open.
func unread(r *archive.Record) bool { return r.Touch != nil && r.Secret == nil }

// undecided counts the conflicts that stay ones whatever a touch opens.
func (m *merger) undecided() (n int) {
	for i := range m.items {
		if it := &m.items[i]; it.Action == MergeConflict && !(unread(it.rec) && it.tag == "") {
			n++
		}
	}
	return n
}
