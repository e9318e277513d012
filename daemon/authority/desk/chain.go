package desk

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/daemon/auditwire"
	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/ipc"
)

// chainSize is how large a file of the chain may grow, in bytes: some 50,000
// entries. All files are kept; administrators move old ones away.
const chainSize = 16 << 20

// maxKinds is how many kinds of failures a minute are told apart. Of each the
// first is an entry, and at the end how many followed: so that nobody fills
// the disk, or hides an entry among many, by failing often.
const maxKinds = 256

// chain is the authority's audit log, for one caller. It is an authority.Auditor.
type chain struct {
	*ledger
	// from is where the caller calls from; empty for the daemon itself.
	from string
}

// ledger is what the chains of all callers write to.
type ledger struct {
	log  *audit.Log
	now  func() time.Time
	tell *slog.Logger
	// observe is told of each entry, the ones that are counted only, too; nil for
	// nobody.
	observe func(action, outcome string)
	// done says that something was done since the last mark, other than verifying.
	done atomic.Bool

	mu        sync.Mutex
	since     time.Time
	counts    map[failure]int
	err       error  // of the last entry
	self      keys   // nil until the authority is open
	authority string // its id
	told      told
}

// failure is a kind of failure.
// The reference is in it, so that what a user was told to say is found, as long as
// there are few: half of the kinds are for what has none.
type failure struct{ action, by, user, fob, holders, account, service, reference, reason string }

func openChain(path string, now func() time.Time, tell *slog.Logger) (*chain, error) {
	l := &ledger{now: now, tell: tell, counts: map[failure]int{}}
	log, err := audit.OpenWith(path, audit.Options{Now: now, MaxSize: chainSize, Vouch: l.vouch})
	if err != nil {
		return nil, fmt.Errorf("cannot open the authority's audit log: %w", err)
	}
	l.log = log
	return &chain{ledger: l}, nil
}

// by is the chain for who calls from there.
func (c *chain) by(from string) *chain {
	if c == nil {
		return nil
	}
	return &chain{c.ledger, from}
}

// Audit implements authority.Auditor.
func (c *chain) Audit(e authority.Entry) {
	e.From = c.from
	if c.observe != nil {
		c.observe(e.Kind, outcome(e))
	}
	rest := e.Holders
	for {
		e.Holders, rest = rest[:min(len(rest), maxHolders)], rest[min(len(rest), maxHolders):]
		if e.OK || c.first(e) {
			c.append(entry(e))
		}
		if len(rest) == 0 {
			break
		}
	}
	if e.OK && e.Kind != actVerify {
		c.done.Store(true)
	}
}

// maxHolders is how many users of a fob an entry names; where there are more, there
// is another entry.
const maxHolders = 8

// outcome is how something ended, as a word without anything that somebody chose:
// "ok", a reason as "wrong" or "throttled", or else "failed".
func outcome(e authority.Entry) string {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' }
	switch word, _, _ := strings.Cut(e.Detail, " "); {
	case e.OK:
		return "ok"
	case word == "" || len(word) > maxOutcome || strings.ContainsFunc(word, odd):
		return "failed"
	default:
		return word
	}
}

// maxOutcome is the longest word of an outcome, in bytes.
const maxOutcome = 24

// entry is what stands in the log: the object is the fob, or else the user.
func entry(e authority.Entry) audit.Entry {
	out := audit.Entry{Action: e.Kind, By: e.By, From: e.From, Object: e.Fob, OK: e.OK, Sync: e.Kind != actVerify}
	var words []string
	switch {
	case e.Fob == "":
		out.Object = e.User
	case e.User != "":
		words = append(words, "user="+e.User)
	}
	for _, id := range e.Holders {
		words = append(words, "user="+id)
	}
	for _, w := range []struct{ name, value string }{
		{"account", e.Account}, {"device", e.Device}, {"reference", e.Reference}, {"service", short(e.Service)},
	} {
		if w.value != "" {
			words = append(words, w.name+"="+w.value)
		}
	}
	if e.Detail != "" {
		words = append(words, e.Detail)
	}
	out.Detail = strings.Join(words, " ")
	return out
}

// short bounds what a caller calls his service.
func short(s string) string { return s[:min(len(s), 64)] }

// first says whether a failure is the first of its kind since the last flush, and
// counts it.
func (c *ledger) first(e authority.Entry) bool {
	c.mu.Lock()
	due := c.now().Sub(c.since).Abs() >= flushEvery
	c.mu.Unlock()
	if due {
		c.flush()
	}
	k := failure{e.Kind, e.By, e.User, e.Fob, strings.Join(e.Holders, " "), e.Account, short(e.Service), e.Reference, e.Detail}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.counts[k]; !known && len(c.counts) >= maxKinds/2 {
		k.reference = ""
	}
	if _, known := c.counts[k]; !known && len(c.counts) >= maxKinds {
		k = failure{action: e.Kind, reason: "others"}
	}
	c.counts[k]++
	return c.counts[k] == 1
}

// flush writes how many failures there were beyond the first of each kind.
func (c *ledger) flush() {
	c.mu.Lock()
	counts := c.counts
	c.counts, c.since = map[failure]int{}, c.now()
	c.mu.Unlock()
	for k, n := range counts {
		if n > 1 {
			c.append(entry(authority.Entry{Kind: k.action, By: k.by, User: k.user, Fob: k.fob, Holders: strings.Fields(k.holders), Account: k.account, Service: k.service,
				Reference: k.reference, Detail: fmt.Sprintf("%s repeated=%d", k.reason, n-1)}))
		}
	}
}

// note writes what the daemon itself did.
func (c *ledger) note(action, detail string) {
	c.append(audit.Entry{Action: action, By: "tokend", OK: true, Detail: detail})
}

func (c *ledger) append(e audit.Entry) { _, _ = c.put(e) } // a failure is told

// put writes an entry, and returns it as it was written.
func (c *ledger) put(e audit.Entry) (audit.Entry, error) {
	e, err := c.log.Put(e)
	c.mu.Lock()
	was := c.err
	c.err = err
	c.mu.Unlock()
	if err != nil && was == nil { // once, not for every passcode
		c.tell.Error("cannot write the authority's audit log", "err", err)
	}
	return e, err
}

// problem is what is wrong with the chain, in words; empty if nothing is. r is
// what reading it found.
func (c *ledger) problem(r audit.Result) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return "the log cannot be written"
	}
	return r.Problem()
}

// page is the entries that are asked for.
func (c *ledger) page(q audit.Query) (ipc.AuditPage, error) {
	found, err := c.log.Find(q)
	if err != nil {
		return ipc.AuditPage{}, fmt.Errorf("cannot read the authority's audit log: %w", err)
	}
	out := ipc.AuditPage{Version: ipc.Version, Entries: auditwire.Entries(found.Entries), More: found.More}
	out.Problem = c.problem(found.Result)
	out.Intact = out.Problem == ""
	return out, nil
}

func (c *ledger) close() error {
	c.flush()
	return c.log.Close()
}
