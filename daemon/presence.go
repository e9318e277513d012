package daemon

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/tokens"
)

// removalGrace is how long a token may be out of sight because the service
// that knows of it (pcscd) went away, before it counts as pulled out.
const removalGrace = 3 * time.Second

// readyWait is how long a call waits for the first report on the tokens that
// are plugged in, after the daemon or the service that knows them started.
const readyWait = 2 * time.Second

// presence knows which tokens are plugged in, from the reports of watchers. It
// answers lists without touching a card.
type presence struct {
	grace   time.Duration
	changed func(inserted bool, t tokens.Token)
	// unlisted, where set, is told of a token that does not list its keys
	// instead, when it comes (fresh) or comes back.
	unlisted func(a asked, fresh bool)

	order sync.Mutex // one report at a time, changed included

	mu     sync.Mutex
	placed map[place]*placed
	kinds  map[tokens.Kind]*watched
	stays  uint64 // numbers the stays of tokens in their places
}

// place is where a token is.
type place struct {
	kind    tokens.Kind
	locator string
}

// placed is a token in its place, as it was reported. away is set while the
// service that saw it is lost. stay tells one token in a place from the next,
// where nothing that the token says does.
type placed struct {
	token tokens.Token
	away  bool
	stay  uint64
	learned
}

// watched is what is known of one kind's watcher.
type watched struct {
	ready  chan struct{} // closed when the tokens present are known
	lost   bool
	since  time.Time // of the loss
	detail string
	losses int
	// never says that this build cannot watch such tokens.
	never bool
}

func newPresence(kinds []tokens.Kind, grace time.Duration, changed func(bool, tokens.Token)) *presence {
	p := &presence{
		grace: grace, changed: changed,
		placed: make(map[place]*placed), kinds: make(map[tokens.Kind]*watched),
	}
	for _, k := range kinds {
		p.kinds[k] = &watched{ready: make(chan struct{})}
	}
	return p
}

// handle takes one report of a watcher.
func (p *presence) handle(e tokens.Event) {
	p.order.Lock()
	defer p.order.Unlock()
	switch e.Type {
	case tokens.EventReady:
		p.ready(e.Kind)
	case tokens.EventInserted:
		p.inserted(e.Token)
	case tokens.EventRemoved:
		p.removed(place{e.Token.Kind, e.Token.Locator})
	case tokens.EventServiceLost:
		p.lost(e.Kind, e.Detail)
	}
}

func (p *presence) ready(kind tokens.Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.kinds[kind]
	if w == nil {
		return
	}
	w.lost, w.detail = false, ""
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
}

func (p *presence) inserted(t tokens.Token) {
	at := place{t.Kind, t.Locator}
	p.mu.Lock()
	old := p.placed[at]
	from := old
	back := old != nil && same(old.token, t)
	if !back { // it may have come back in another reader
		for where, other := range p.placed {
			if other.away && where.kind == t.Kind && same(other.token, t) {
				delete(p.placed, where)
				from, back = other, true
				break
			}
		}
	}
	now := &placed{token: t}
	if back {
		now.follow(from)
	}
	if now.stay == 0 {
		p.stays++
		now.stay = p.stays
	}
	displaced := old != nil && !same(old.token, t)
	p.placed[at] = now
	p.mu.Unlock()
	if displaced {
		old.end()
		p.changed(false, old.known())
	}
	switch {
	case t.Unlisted && p.unlisted != nil:
		p.unlisted(asked{token: t, stay: now.stay}, !back)
	case !back:
		p.changed(true, t)
	}
}

func (p *presence) removed(at place) {
	p.mu.Lock()
	old := p.placed[at]
	delete(p.placed, at)
	p.mu.Unlock()
	if old != nil {
		old.end()
		p.changed(false, old.known())
	}
}

func (p *presence) lost(kind tokens.Kind, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.kinds[kind]
	if w == nil {
		return
	}
	w.lost, w.since, w.detail = true, time.Now(), detail
	select {
	case <-w.ready:
		w.ready = make(chan struct{})
	default:
	}
	any := false
	for at, t := range p.placed {
		if at.kind == kind {
			t.away, any = true, true
		}
	}
	if any {
		w.losses++
		loss := w.losses
		time.AfterFunc(p.grace, func() { p.giveUp(kind, loss) })
	}
}

// giveUp takes the tokens that did not come back for pulled out.
func (p *presence) giveUp(kind tokens.Kind, loss int) {
	p.order.Lock()
	defer p.order.Unlock()
	var gone []tokens.Token
	p.mu.Lock()
	if w := p.kinds[kind]; w != nil && w.losses == loss {
		for at, t := range p.placed {
			if at.kind == kind && t.away {
				t.end()
				gone = append(gone, t.known())
				delete(p.placed, at)
			}
		}
	}
	p.mu.Unlock()
	for _, t := range gone {
		p.changed(false, t)
	}
}

// refresh replaces what a token that is still in its place says of itself, after
// an operation that changed it. What it was asked stays.
func (p *presence) refresh(t tokens.Token) {
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.placed[place{t.Kind, t.Locator}]; old != nil {
		t.ID = old.token.ID // which may have been made distinct from another's
		t.Unlisted = old.token.Unlisted
		old.token = t
	}
}

// all is the tokens in place, in the order of their places.
func (p *presence) all() []tokens.Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]tokens.Token, 0, len(p.placed))
	for at, t := range p.placed {
		list = append(list, p.describe(at, t))
	}
	slices.SortFunc(list, func(a, b tokens.Token) int {
		return strings.Compare(string(a.Kind)+a.Locator, string(b.Kind)+b.Locator)
	})
	return list
}

func (p *presence) describe(at place, t *placed) tokens.Token {
	seen := t.whole()
	if w := p.kinds[at.kind]; t.away && w != nil && seen.Problem == nil {
		seen.Problem = tokens.Errorf(tokens.CodeNoService, "%s does not answer", serviceName(at.kind))
	}
	if seen.Problem == nil {
		seen.Problem = t.failed
	}
	return seen
}

// holder is the token in place that holds one of keys.
func (p *presence) holder(keys ...tokens.Key) (tokens.Token, bool) {
	for _, t := range p.all() {
		if holds(t, keys...) {
			return t, true
		}
	}
	return tokens.Token{}, false
}

// stay is which stay in its place a token has now, 0 where it is gone.
func (p *presence) stay(t tokens.Token) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.placed[place{t.Kind, t.Locator}]; now != nil {
		return now.stay
	}
	return 0
}

// still says whether t, in that stay, is where it was: an operation that goes by
// the place, and not by a key, can have waited for its turn while the token was
// exchanged.
func (p *presence) still(t tokens.Token, stay uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.placed[place{t.Kind, t.Locator}]
	switch {
	case now == nil:
		return tokens.Errorf(tokens.CodeNotPresent, "the token was pulled out")
	case now.token.Unlisted:
		if now.stay != stay || now.away {
			return tokens.Errorf(tokens.CodeNotPresent, "another token may be in its place")
		}
	case now.token.Kind == t.Kind && now.token.Serial == t.Serial && t.Serial != "" && t.Serial != "0":
		return nil // its keys may be others by now
	case !same(now.token, t):
		return tokens.Errorf(tokens.CodeNotPresent, "another token is in its place")
	}
	return nil
}

// cannot notes that this build cannot watch a kind: nobody need wait for it.
func (p *presence) cannot(kind tokens.Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.kinds[kind]; w != nil {
		w.never = true
	}
}

// watchable says whether this build can watch a kind, as far as is known.
func (p *presence) watchable(kind tokens.Kind) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.kinds[kind]
	return w != nil && !w.never
}

// settled waits, for a bounded time, until the watchers have said which tokens
// are there.
func (p *presence) settled(ctx context.Context) {
	p.mu.Lock()
	var waiting []chan struct{}
	for _, w := range p.kinds {
		if !w.never && (!w.lost || time.Since(w.since) < p.grace) {
			waiting = append(waiting, w.ready)
		}
	}
	p.mu.Unlock()
	limit := time.NewTimer(readyWait)
	defer limit.Stop()
	for _, ready := range waiting {
		select {
		case <-ready:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// service says whether kind's watcher works, and what is wrong if not.
func (p *presence) service(kind tokens.Kind) (ok bool, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.kinds[kind]
	if w == nil {
		return false, "nothing watches for such tokens"
	}
	if w.lost {
		return false, w.detail
	}
	select {
	case <-w.ready:
		return true, ""
	default:
		return false, "the tokens present have not been reported yet"
	}
}

// down says what is wrong with the service that knows kind's tokens, nothing
// while it works or may be about to come back.
func (p *presence) down(kind tokens.Kind) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.kinds[kind]
	if w == nil || !w.lost || time.Since(w.since) < p.grace && !w.never {
		return ""
	}
	if w.detail == "" {
		return "it does not answer"
	}
	return w.detail
}

// holds says whether t holds one of keys: by public key, because serial numbers
// can be 0, missing or shared.
func holds(t tokens.Token, keys ...tokens.Key) bool {
	for _, k := range keys {
		if k.Kind != t.Kind {
			continue
		}
		for _, have := range t.Keys {
			if have.Algorithm == k.Algorithm && bytes.Equal(have.Public, k.Public) {
				return true
			}
		}
	}
	return false
}

// same says whether two reports are of one token, as far as reports tell.
func same(a, b tokens.Token) bool {
	if a.Kind != b.Kind || a.Serial != b.Serial || a.Unlisted != b.Unlisted {
		return false
	}
	if a.Unlisted { // what it holds is asked anew, see placed.follow
		return a.ID == b.ID
	}
	if len(a.Keys) == 0 && len(b.Keys) == 0 {
		return a.ID == b.ID
	}
	for _, k := range a.Keys {
		for _, other := range b.Keys {
			if bytes.Equal(k.Public, other.Public) {
				return true
			}
		}
	}
	return false
}
