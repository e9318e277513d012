package daemon

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"github.com/tokenbridge/tokend/tokens"
)

// maxAnswers bounds what is remembered of one token. Whoever may use it can have
// it asked for keys, those of any backup among them.
const maxAnswers = 1024

// learned is what a token that does not list its keys answered when it was asked
// for some. It is forgotten when the token goes.
type learned struct {
	answers map[keyName]bool
	held    []tokens.SlotKey
	// former are keys that it held before it was out of sight for a while: it,
	// or another token that says the same of itself. They count for nothing
	// but for noticing that it is another.
	former []tokens.SlotKey
	// lost are keys that it held and holds no more: it was reset.
	lost []tokens.SlotKey
	// failed is why it could not be asked at the last try.
	failed *tokens.Error
	flight *flight
}

// keyName tells keys apart, with what a driver needs to find them.
type keyName [sha256.Size]byte

func nameOf(k tokens.Key) keyName {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(k.Kind), []byte(k.Class), []byte(k.Algorithm), k.Public, k.Params} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return keyName(h.Sum(nil))
}

// asked is a token in one stay in its place.
type asked struct {
	token tokens.Token
	stay  uint64
}

func (a asked) place() place { return place{a.token.Kind, a.token.Locator} }

// whole is the token with the keys that it was found to hold.
func (t *placed) whole() tokens.Token {
	w := t.token
	if len(t.held) > 0 {
		w.Keys = slices.Concat(w.Keys, t.held)
	}
	return w
}

// known is the token with all keys that it may have been known by, for telling
// that it is gone.
func (t *placed) known() tokens.Token {
	w := t.whole()
	if len(t.former) > 0 {
		w.Keys = slices.Concat(w.Keys, t.former)
	}
	return w
}

// follow takes over what was known of the token when it is reported again. One
// that was out of sight meanwhile, and does not list its keys, must prove anew
// what it holds.
func (t *placed) follow(old *placed) {
	switch {
	case !t.token.Unlisted:
		t.stay = old.stay
	case old.away:
		old.end()
		t.former = slices.Concat(old.held, old.former)
	default:
		t.stay, t.learned = old.stay, old.learned
	}
}

// end ends what is being asked of a token that is gone.
func (t *placed) end() {
	if t.flight != nil {
		t.flight.cancel(errTokenGone)
	}
}

// unknown are those of keys that the token was not asked for yet.
func (t *placed) unknown(keys []tokens.Key) []tokens.Key {
	var list []tokens.Key
	for _, k := range keys {
		if _, ok := t.answers[nameOf(k)]; !ok && k.Kind == t.token.Kind {
			list = append(list, k)
		}
	}
	return list
}

func slotKey(k tokens.Key) tokens.SlotKey {
	return tokens.SlotKey{
		Slot: string(k.Class), Algorithm: k.Algorithm, Public: k.Public,
		PINPolicy: tokens.PolicyUnknown, TouchPolicy: tokens.PolicyUnknown,
	}
}

func sameKey(a, b tokens.SlotKey) bool {
	return a.Algorithm == b.Algorithm && bytes.Equal(a.Public, b.Public)
}

func without(list []tokens.SlotKey, k tokens.SlotKey) []tokens.SlotKey {
	return slices.DeleteFunc(slices.Clone(list), func(other tokens.SlotKey) bool { return sameKey(other, k) })
}

func contains(list []tokens.SlotKey, k tokens.SlotKey) bool {
	return slices.ContainsFunc(list, func(other tokens.SlotKey) bool { return sameKey(other, k) })
}

// note takes the answer for one key.
func (t *placed) note(k tokens.Key, held bool) {
	if t.answers == nil {
		t.answers = make(map[keyName]bool)
	}
	if len(t.answers) >= maxAnswers {
		for n, yes := range t.answers {
			if !yes {
				delete(t.answers, n)
			}
		}
	}
	name, seen := nameOf(k), slotKey(k)
	was := t.answers[name]
	t.answers[name] = held
	switch {
	case held && !contains(t.held, seen):
		t.held = append(slices.Clip(t.held), seen)
		t.lost = without(t.lost, seen)
	case !held && was:
		t.held = without(t.held, seen)
		t.lost = append(without(t.lost, seen), seen)
	}
}

// learn takes a token's answers for keys, if it is still there. Where it held
// keys before it was out of sight, and holds none of them now, another token is
// in its place, and that is told.
func (p *presence) learn(a asked, keys []tokens.Key, held []bool) {
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	t := p.placed[a.place()]
	if t == nil || t.stay != a.stay {
		p.mu.Unlock()
		return
	}
	t.failed = nil
	before := t.former
	for i, k := range keys {
		t.note(k, held[i])
		t.former = without(t.former, slotKey(k))
	}
	proved := slices.ContainsFunc(before, func(k tokens.SlotKey) bool { return contains(t.held, k) })
	if proved {
		t.former = nil
	}
	other := len(before) > 0 && len(t.former) == 0 && !proved
	gone, now := t.token, t.whole()
	gone.Keys = slices.Concat(gone.Keys, before)
	p.mu.Unlock()
	if other {
		p.changed(false, gone)
		p.changed(true, now)
	}
}

// unproved ends the patience with a token that was out of sight and did not
// prove what it held before: it counts as pulled out.
func (p *presence) unproved(a asked) {
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.Lock()
	t := p.placed[a.place()]
	if t == nil || t.stay != a.stay || len(t.former) == 0 {
		p.mu.Unlock()
		return
	}
	gone, now := t.token, t.whole()
	gone.Keys = slices.Concat(gone.Keys, t.former)
	t.former = nil
	p.mu.Unlock()
	p.changed(false, gone)
	p.changed(true, now)
}

// answered says whether a token was found to hold k.
func (p *presence) answered(a asked, k tokens.Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.placed[a.place()]
	return t != nil && t.stay == a.stay && t.answers[nameOf(k)]
}

// refuted notes that a token that was taken to hold k does not. The rest of what
// it said counts for nothing then, and it is asked again.
func (p *presence) refuted(t tokens.Token, k tokens.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.placed[place{t.Kind, t.Locator}]
	if now == nil || !now.token.Unlisted {
		return
	}
	now.note(k, false)
	now.held = nil
	for name, yes := range now.answers {
		if yes {
			delete(now.answers, name)
		}
	}
}

// failing notes why a token could not be asked.
func (p *presence) failing(a asked, why *tokens.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.placed[a.place()]; t != nil && t.stay == a.stay {
		t.failed = why
	}
}

// lostKeys are the keys that a token held in this stay and holds no more.
func (p *presence) lostKeys(t tokens.Token) []tokens.SlotKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.placed[place{t.Kind, t.Locator}]; now != nil {
		return slices.Clone(now.lost)
	}
	return nil
}

// askable are the tokens in place that have to be asked for some of keys. Those
// that cannot be used, and those out of sight, are not asked.
func (p *presence) askable(keys []tokens.Key) (fresh, failed []asked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.placed {
		if !t.token.Unlisted || t.token.Problem != nil || t.away || len(t.unknown(keys)) == 0 {
			continue
		}
		if a := (asked{t.token, t.stay}); t.failed == nil {
			fresh = append(fresh, a)
		} else {
			failed = append(failed, a)
		}
	}
	return fresh, failed
}
