package desk

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// What the audit calls marks, and what was found by them.
const (
	actMark  = "registry-mark"
	actOlder = "registry-older"
	actCut   = "audit-cut"
	actKnown = "registry-accept"
)

// marksBucket has the markRecord, under marksKey.
const (
	marksBucket = "marks"
	marksKey    = "audit"
)

// markEvery is how long what leaves the audit chain longer, but changes no more than
// counters, waits for a mark.
const markEvery = 10 * time.Minute

// markRecord is what the registry remembers of the audit chain.
type markRecord struct {
	// Number is of the newest mark. It is here before the chain has it.
	Number uint64 `cbor:"1,keyasint"`
	// Seq and Hash are of the entry of the newest mark that is known to be on disk.
	Seq  uint64 `cbor:"2,keyasint,omitempty"`
	Hash string `cbor:"3,keyasint,omitempty"`
	// Older is since when it is known that the registry went back to an older copy, and
	// Cut since when that the chain is not the one that it was. Zero: nothing of the kind,
	// or an owner has said that he knows.
	Older time.Time `cbor:"4,keyasint,omitempty"`
	Cut   time.Time `cbor:"5,keyasint,omitempty"`
}

// marks tie the registry and the audit chain to each other: both number what they
// have in common, so that one of them which was put back to an older copy is told by
// the other. Where both were put back together nothing here tells; a checkpoint does
// that was kept elsewhere.
type marks struct {
	store *store.Store
	chain *ledger
	tell  *slog.Logger

	mu     sync.Mutex
	record markRecord
	when   time.Time // of the last mark
}

// openMarks looks whether registry and chain belong together.
func openMarks(s *store.Store, chain *ledger, tell *slog.Logger) (*marks, error) {
	m := &marks{store: s, chain: chain, tell: tell, when: chain.now()}
	if err := s.Ensure(marksBucket); err != nil {
		return nil, err
	}
	err := s.View(func(tx *store.Tx) error {
		_, err := tx.Get(marksBucket, []byte(marksKey), &m.record)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, m.compare()
}

// compare finds what does not fit, and remembers it.
func (m *marks) compare() error {
	now := m.record
	newest, found, err := m.chain.log.Newest(actMark)
	standing := audit.Before
	if err == nil && now.Seq > 0 {
		standing, err = m.chain.log.Stands(now.Seq, now.Hash)
	}
	if err != nil { // no reason for refusing everybody; the warnings tell that it cannot be read
		m.tell.Error("cannot compare the authority's registry with its audit log", "err", err)
		return nil
	}
	if number := markNumber(newest); found && number > now.Number {
		m.tell.Error("the authority's registry is an older copy: what was used or revoked since counts again",
			"registry", now.Number, "audit", number)
		m.chain.append(audit.Entry{Action: actOlder, By: "tokend", Detail: fmt.Sprintf("registry=%d audit=%d", now.Number, number), Sync: true})
		now.Number, now.Older = number, m.chain.now().UTC()
	} else if standing != audit.Held && standing != audit.Before {
		m.tell.Error("the authority's audit log is not the one that its registry knows", "entry", now.Seq, "standing", string(standing))
		m.chain.append(audit.Entry{Action: actCut, By: "tokend", Detail: fmt.Sprintf("entry=%d %s", now.Seq, standing), Sync: true})
		now.Seq, now.Hash, now.Cut = 0, "", m.chain.now().UTC()
	}
	if now == m.record {
		return nil
	}
	return m.put(now)
}

// markNumber is the number that an entry of a mark states.
func markNumber(e audit.Entry) uint64 {
	text, _ := strings.CutPrefix(e.Detail, "number=")
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	return n
}

func (m *marks) put(r markRecord) error {
	err := m.store.Update(func(tx *store.Tx) error { return tx.Put(marksBucket, []byte(marksKey), r) })
	if err == nil {
		m.record = r
	}
	return err
}

// keep makes a mark when one is due: soon after something was done, and a while
// after there were passcodes. At the end of an office one is made of whatever has none.
func (m *marks) keep(end bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seq, _ := m.chain.log.Head()
	soon := m.chain.done.Swap(false) || end || m.chain.now().Sub(m.when).Abs() >= markEvery
	if seq == m.record.Seq || !soon {
		return
	}
	if err := m.mark(); err != nil && !errors.Is(err, store.ErrClosed) {
		m.tell.Error("cannot mark in the authority's registry how far its audit log is", "err", err)
	}
	m.when = m.chain.now()
}

// mark numbers the registry, then the chain, and then tells the registry where. A
// crash in between leaves the registry ahead, and what it knows of the chain true.
func (m *marks) mark() error {
	r := m.record
	r.Number++
	if err := m.put(r); err != nil {
		return err
	}
	e, err := m.chain.put(audit.Entry{Action: actMark, By: "tokend", OK: true, Detail: fmt.Sprintf("number=%d", r.Number), Sync: true})
	if err != nil {
		return err
	}
	r.Seq, r.Hash = e.Seq, e.Hash
	return m.put(r)
}

// accept forgets what was found, for an owner who knows of it.
func (m *marks) accept() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record
	r.Older, r.Cut = time.Time{}, time.Time{}
	if r == m.record {
		return nil
	}
	return m.put(r)
}

// cut says that the chain is not the one that the registry knows, in words; empty
// where nothing of the kind was found, or an owner knows it.
func (m *marks) cut() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.Cut.IsZero() {
		return ""
	}
	return "its end was cut off, or an older copy of it put back, as was found on " + m.record.Cut.Format(time.DateOnly)
}

// past are the entries of what was found before, the newest of each kind, whoever
// has accepted it since; and that the registry is an older copy.
func (m *marks) past() (list []ipc.Warning, err error) {
	for _, x := range []struct{ action, code, what string }{
		{actCut, "authority-audit-was-cut", "before it the end was cut off, or an older copy put back"},
		{actOlder, "authority-was-older", "then the registry was an older copy than the chain, which itself is as it was"},
	} {
		e, found, err := m.chain.log.Newest(x.action)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, ipc.Warning{Code: x.code, Message: fmt.Sprintf("entry %d of %s is %q: %s", e.Seq, e.Time.Format(time.DateOnly), x.action, x.what)})
		}
	}
	return list, nil
}

// warnings say what was found and nobody has accepted yet.
func (m *marks) warnings() (list []ipc.Warning) {
	m.mu.Lock()
	r := m.record
	m.mu.Unlock()
	if !r.Older.IsZero() {
		list = append(list, ipc.Warning{Code: "authority-older", Fix: "tokenctl admin fob burn --all --margin 20",
			Message: "the authority's registry is an older copy, as was found on " + r.Older.Format(time.DateOnly) +
				": passcodes and codes that were used since, and devices that were revoked, count again (see `tokenctl admin audit list` for what that was)"})
	}
	if !r.Cut.IsZero() {
		list = append(list, ipc.Warning{Code: "authority-audit-cut", Fix: "tokenctl admin audit verify --checkpoint FILE",
			Message: "the authority's audit log is not the one that its registry knows, as was found on " + r.Cut.Format(time.DateOnly) +
				": its end was cut off, or an older copy of it put back"})
	}
	return list
}
