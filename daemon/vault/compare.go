package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// mark stands for a secret while two vaults are compared: it tells whether two
// are the same and nothing else.
type mark [sha256.Size]byte

// marker makes marks under a key that is forgotten with it.
type marker struct{ key [sha256.Size]byte }

func newMarker(rand io.Reader) (*marker, error) {
	m := &marker{}
	if _, err := io.ReadFull(rand, m.key[:]); err != nil {
		return nil, fmt.Errorf("cannot compare: %w", err)
	}
	return m, nil
}

// of is called inside secret.Do.
func (m *marker) of(value []byte) (out mark) {
	h := hmac.New(sha256.New, m.key[:])
	_, _ = h.Write(value)
	h.Sum(out[:0])
	return out
}

// comparison holds a backup's accounts against those of an open vault, as they
// were at one moment.
type comparison struct {
	live []Account
	mark []*mark // of the session class; nil where a touch would be needed
	// own says that both are the same vault: the ids then mean the same accounts.
	own      bool
	byID     map[string]int
	bySecret map[mark]int
	byName   map[string]int
	found    map[int]bool
}

func nameKey(issuer, name string) string {
	return strings.ToLower(issuer) + "\x00" + strings.ToLower(name)
}

// forComparison copies what a comparison looks at; the vault is held for as long
// as that takes, some milliseconds for 10,000 accounts.
func (v *Vault) forComparison(with string, marks *marker) (*comparison, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.st == nil {
		return nil, ErrLocked
	}
	c := &comparison{own: v.st.parts.Header.VaultID == with, byID: map[string]int{}, bySecret: map[mark]int{},
		byName: map[string]int{}, found: map[int]bool{}, mark: make([]*mark, len(v.st.records))}
	for i := range v.st.records {
		r := &v.st.records[i]
		a := accountOf(r.Account)
		if n, ok := v.st.counters[r.ID]; ok {
			a.Counter = n
		}
		c.live = append(c.live, a)
		c.byID[a.ID] = i
		if _, taken := c.byName[nameKey(a.Issuer, a.Name)]; !taken {
			c.byName[nameKey(a.Issuer, a.Name)] = i
		}
	}
	secret.Do(func() {
		for i := range v.st.records {
			if s := v.st.records[i].Secret; s != nil {
				m := marks.of(s)
				c.mark[i] = &m
				c.bySecret[m] = i
			}
		}
	})
	return c, nil
}

// match finds the account of the vault that an account of the backup is.
func (c *comparison) match(r *archive.Record, m mark, opened bool) (int, bool) {
	if j, ok := c.byID[r.ID]; c.own && ok {
		return j, true
	}
	if j, ok := c.bySecret[m]; opened && ok {
		return j, true
	}
	j, ok := c.byName[nameKey(r.Issuer, r.Name)]
	return j, ok && !c.found[j]
}

// compare says what a restore would bring of one account, and what differs. m is
// the mark of its secret where that was opened.
func (c *comparison) compare(r *archive.Record, m mark, opened bool) (string, []string) {
	j, ok := c.match(r, m, opened)
	if !ok {
		return DrillAdded, nil
	}
	c.found[j] = true
	l := c.live[j]
	var differs []string
	add := func(name string, other bool) {
		if other {
			differs = append(differs, name)
		}
	}
	// Within one vault an id means one secret. Of what needs a touch in another
	// vault nothing can be said.
	add("secret", opened && c.mark[j] != nil && *c.mark[j] != m)
	add("issuer", l.Issuer != r.Issuer)
	add("name", l.Name != r.Name)
	add("note", l.Note != r.Note)
	add("class", string(l.Class) != r.Class)
	add("type", l.Type != r.Type)
	add("algorithm", l.Algorithm != r.Algorithm)
	add("digits", l.Digits != r.Digits)
	add("period", l.Period != r.Period)
	add("counter", l.Counter != r.Counter)
	if differs == nil {
		return DrillSame, nil
	}
	return DrillDiffers, differs
}

// missing are the accounts of the vault that no account of the backup is.
func (c *comparison) missing() []Account {
	var out []Account
	for j := range c.live {
		if !c.found[j] {
			out = append(out, c.live[j])
		}
	}
	return out
}
