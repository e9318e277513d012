package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// A FIDO2 key does not list what it holds. It is asked when it comes, in the
// background, and again before a caller is told that no token fits.
const (
	// seekLimit bounds how long a caller waits for tokens to be asked.
	seekLimit = 5 * time.Second
	// probeLimit bounds one probe, from the token's turn on.
	probeLimit = 10 * time.Second
	// listLimit bounds how long a list waits for tokens that just came.
	listLimit = time.Second
	// tellLimit is how long the news of a token waits for its name.
	tellLimit = 700 * time.Millisecond
	// probeBatch is how many keys a token is asked for at once.
	probeBatch = 32
	// probeRounds is how many probes one caller takes part in: others' too.
	probeRounds = 4
)

// probePauses lie between the tries to ask a token that just came and fails: it
// may be in use by another program.
func probePauses() []time.Duration { return []time.Duration{time.Second, 5 * time.Second} }

var (
	errTokenGone  = errors.New("the token is gone")
	errNobodyAsks = errors.New("nobody waits for the answer any more")
	errTooSlow    = errors.New("the token was too slow to answer")
)

// flight is one probe of a token, for everybody who waits for it.
type flight struct {
	done    chan struct{}
	cancel  context.CancelCauseFunc
	waiters int   // guarded by presence.mu
	err     error // set before done is closed
}

// join is the probe to wait for, nil where all is known or the token is gone.
// The caller who gets keys is the one to run it.
func (p *presence) join(ctx context.Context, a asked, keys []tokens.Key) (f *flight, run context.Context, todo []tokens.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.placed[a.place()]
	if t == nil || t.stay != a.stay || t.away {
		return nil, nil, nil
	}
	if todo = t.unknown(keys); len(todo) == 0 {
		return nil, nil, nil
	}
	if t.flight != nil && t.flight.waiters > 0 { // else it was called off
		t.flight.waiters++
		return t.flight, nil, nil
	}
	run, cancel := context.WithCancelCause(ctx)
	t.flight = &flight{done: make(chan struct{}), cancel: cancel, waiters: 1}
	return t.flight, run, todo
}

// leave ends the wait of one caller; the last one calls the probe off.
func (p *presence) leave(f *flight, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel(why)
	}
}

// slow notes that somebody gave up waiting for a probe; others may wait on.
func (p *presence) slow(a asked, f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.placed[a.place()]; t != nil && t.flight == f {
		t.failed = tokens.Errorf(tokens.CodeTimeout, "it did not answer in time")
	}
}

// landed ends a probe.
func (p *presence) landed(a asked, f *flight, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.placed[a.place()]; t != nil && t.flight == f {
		t.flight = nil
		if err == nil { // it was slow, no more
			t.failed = nil
		}
	}
	f.err = err
	f.cancel(nil)
	close(f.done)
}

// probe asks a token for keys and waits for the answers, for as long as ctx.
func (d *Daemon) probe(ctx context.Context, a asked, keys []tokens.Key) error {
	for range probeRounds {
		f, run, todo := d.presence.join(d.life, a, keys)
		if f == nil {
			return nil
		}
		if run != nil {
			go d.fly(run, a, f, todo)
		}
		select {
		case <-f.done:
			d.presence.leave(f, nil)
			if f.err != nil {
				return f.err
			}
		case <-ctx.Done():
			why := errNobodyAsks
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why = errTooSlow
				d.presence.slow(a, f)
			}
			d.presence.leave(f, why)
			return ctx.Err()
		}
	}
	return tokens.Errorf(tokens.CodeBusy, "others have it asked for other keys all the time")
}

// fly asks a token when its turn comes.
func (d *Daemon) fly(ctx context.Context, a asked, f *flight, keys []tokens.Key) {
	err := d.askToken(ctx, a, keys)
	d.presence.landed(a, f, err)
}

func (d *Daemon) askToken(ctx context.Context, a asked, keys []tokens.Key) error {
	prober, ok := d.cfg.Drivers[a.token.Kind].(tokens.Prober)
	if !ok {
		return tokens.Errorf(tokens.CodeUnsupported, "such tokens cannot be asked what they hold")
	}
	leave, err := d.queues.enter(ctx, a.token.Locator, "", func(int) {})
	if err != nil {
		return err
	}
	defer leave()
	turn, stop := context.WithTimeoutCause(ctx, probeLimit, errTooSlow)
	defer stop()
	for batch := range slices.Chunk(keys, probeBatch) {
		held, err := prober.Probe(turn, tokens.ProbeRequest{Locator: a.token.Locator, Keys: batch})
		if err == nil && len(held) != len(batch) {
			err = tokens.Errorf(tokens.CodeProtocol, "it answered for another number of keys")
		}
		if err != nil {
			d.probeFailed(turn, a, err)
			return err
		}
		d.presence.learn(a, batch, held)
	}
	return nil
}

// probeFailed remembers why a token could not be asked, unless that was not its
// own fault.
func (d *Daemon) probeFailed(ctx context.Context, a asked, err error) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTooSlow):
		err = tokens.Errorf(tokens.CodeTimeout, "it did not answer in time")
	case cause != nil:
		return
	}
	var te *tokens.Error
	if !errors.As(err, &te) {
		te = &tokens.Error{Code: tokens.CodeProtocol, Tries: -1, Detail: "cannot ask it what it holds", Err: err}
	}
	if te.Code == tokens.CodeNotPresent || te.Code == tokens.CodeRemoved {
		return // its removal will be told
	}
	d.log.Warn("cannot ask a token which keys it holds", "kind", string(a.token.Kind), "place", a.token.Locator, "err", err)
	d.presence.failing(a, te)
}

// arrived asks a token that came, or came back, for the keys of everybody who may
// use it, and tells of it when its name is known or that takes too long.
func (d *Daemon) arrived(a asked, fresh bool) {
	if _, ok := d.cfg.Drivers[a.token.Kind].(tokens.Prober); !ok {
		if fresh {
			d.tellToken(ipc.EventTokenInserted, a.token)
		}
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.askArrived(a)
	}()
	if fresh {
		go d.tellArrived(a, done)
	}
}

// askArrived asks until there is an answer, or it is hopeless.
func (d *Daemon) askArrived(a asked) {
	for n := 0; ; n++ {
		keys := d.keysOf(a.token.Kind)
		if a.token.Problem != nil || len(keys) == 0 || d.probe(d.life, a, keys) == nil {
			break
		}
		if n == len(probePauses()) || !d.sleep(probePauses()[n]) || d.presence.stay(a.token) != a.stay {
			break
		}
	}
	d.presence.unproved(a) // does nothing to one that has proved it
}

// sleep waits, and says whether the daemon still runs.
func (d *Daemon) sleep(t time.Duration) bool {
	select {
	case <-time.After(t):
		return true
	case <-d.life.Done():
		return false
	}
}

// tellArrived tells of a token once its keyslot is known. Where that takes long
// it is told first as what it is, and once more by its name.
func (d *Daemon) tellArrived(a asked, known <-chan struct{}) {
	select {
	case <-known:
	case <-time.After(tellLimit):
		d.tellStay(a, func(*user, tokens.Token) bool { return true })
		select {
		case <-known:
		case <-d.life.Done():
			return
		}
		d.tellStay(a, func(u *user, t tokens.Token) bool { return u.enrolled(t) })
		return
	case <-d.life.Done():
		return
	}
	d.tellStay(a, func(*user, tokens.Token) bool { return true })
}

// tellStay tells that a token is there, if it still is.
func (d *Daemon) tellStay(a asked, whom func(*user, tokens.Token) bool) {
	for _, t := range d.presence.all() {
		if t.Kind == a.token.Kind && t.Locator == a.token.Locator && d.presence.stay(t) == a.stay {
			d.tellTokenIf(ipc.EventTokenInserted, t, whom)
		}
	}
}

// keysOf are the keys of one kind in the vaults of all who may use tokens here.
func (d *Daemon) keysOf(kind tokens.Kind) []tokens.Key {
	d.meetUsers()
	var keys []tokens.Key
	for _, u := range d.everyUser() {
		p, err := d.Identify(ipc.Principal{UID: u.uid})
		if err == nil && d.mayUseTokens(p) {
			keys = append(keys, keysOf(u.slots(), kind)...)
		}
	}
	return keys
}

// meetUsers makes known who has a folder, so that his tokens are recognised
// before he asks for anything.
func (d *Daemon) meetUsers() {
	folders, err := os.ReadDir(filepath.Join(d.cfg.StateDir, "users"))
	if err != nil {
		return
	}
	for _, f := range folders {
		p := ipc.Principal{UID: f.Name()}
		if known, err := d.Identify(p); err == nil && f.IsDir() && d.mayUseTokens(known) {
			_, _ = d.user(&p) // fails only while the daemon stops
		}
	}
}

// keysOf are the keys of one kind of keyslots.
func keysOf(slots []vault.Slot, kind tokens.Kind) []tokens.Key {
	var keys []tokens.Key
	for _, s := range slots {
		if s.Kind == kind {
			keys = append(keys, s.Keys...)
		}
	}
	return keys
}

// probed are the keys of slots that tokens have to be asked for.
func (d *Daemon) probed(slots []vault.Slot) []tokens.Key {
	var keys []tokens.Key
	for kind, driver := range d.cfg.Drivers {
		if _, ok := driver.(tokens.Prober); ok {
			keys = append(keys, keysOf(slots, kind)...)
		}
	}
	return keys
}

// seek has the tokens that are present asked whether they hold keys of slots, all
// at once. It returns as soon as one does, or with all when every token has
// answered; and after seekLimit in any case.
func (u *user) seek(ctx context.Context, p ipc.Principal, slots []vault.Slot, all bool) {
	keys := u.d.probed(slots)
	if len(keys) == 0 || !u.d.mayUseTokens(p) {
		return
	}
	ctx, stop := context.WithTimeout(ctx, seekLimit)
	defer stop()
	fresh, failed := u.d.presence.askable(keys)
	if u.ask(ctx, fresh, keys, all) && !all {
		return
	}
	u.ask(ctx, failed, keys, all) // it may have been busy
}

// seekAt has some tokens asked for the user's keys.
func (u *user) seekAt(ctx context.Context, which []tokens.Token) {
	keys := u.d.probed(u.slots())
	fresh, failed := u.d.presence.askable(keys)
	list := slices.DeleteFunc(append(fresh, failed...), func(a asked) bool {
		return !slices.ContainsFunc(which, func(t tokens.Token) bool { return a.place() == place{t.Kind, t.Locator} })
	})
	ctx, stop := context.WithTimeout(ctx, seekLimit)
	defer stop()
	u.ask(ctx, list, keys, true)
}

// ask asks tokens for keys and says whether one was found to hold some.
func (u *user) ask(ctx context.Context, list []asked, keys []tokens.Key, all bool) bool {
	found := func() bool {
		_, ok := u.d.presence.holder(keys...)
		return ok
	}
	answered := make(chan struct{}, len(list))
	for _, a := range list {
		go func() {
			_ = u.d.probe(ctx, a, keys) // a failure is remembered with the token
			answered <- struct{}{}
		}()
	}
	for range list {
		<-answered // no later than the end of ctx
		if !all && found() {
			return true
		}
	}
	return found()
}

// unanswered are the tokens that may hold keys of slots, for all that is known.
func (u *user) unanswered(p ipc.Principal, slots []vault.Slot) []asked {
	if !u.d.mayUseTokens(p) {
		return nil
	}
	fresh, failed := u.d.presence.askable(u.d.probed(slots))
	return append(fresh, failed...)
}

// recognise has tokens that nobody asked yet asked for the user's keys, and waits
// a short while for the answers.
func (u *user) recognise(ctx context.Context, p ipc.Principal) {
	if !u.d.mayUseTokens(p) {
		return
	}
	keys := u.d.probed(u.slots())
	if len(keys) == 0 {
		return
	}
	fresh, _ := u.d.presence.askable(keys)
	if len(fresh) == 0 {
		return
	}
	ctx, stop := context.WithTimeout(ctx, listLimit)
	defer stop()
	answered := make(chan struct{}, len(fresh))
	for _, a := range fresh {
		go func() {
			_ = u.d.probe(u.d.life, a, keys)
			answered <- struct{}{}
		}()
	}
	for range fresh {
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
	}
}
