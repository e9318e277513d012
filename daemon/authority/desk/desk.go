// Package desk is where an authority is spoken to: it implements ipc.Authority
// over the registry (daemon/authority), the policy and an audit chain of the
// authority's own. It says who may do what: callers are known by their OS login,
// and what they may do is their role's. To whoever has no role here the authority
// does not exist.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
)

// The files of an authority's folder, beside the registry's.
const (
	keyName      = "key"
	keyslotsName = "keyslots.json"
	policyName   = "policy.toml"
	auditName    = "audit.log"
)

// Config says where an authority lives and what it works with.
type Config struct {
	// Dir is the authority's folder. It need not exist.
	Dir string
	// Key is where the authority key comes from; nil stands for a file in Dir, which
	// is made together with the authority. Where there is none, and keyslots in Dir
	// hold it, the authority is locked.
	Key store.KeySource
	// Tokens are what keyslots are opened by; nil where the daemon has none.
	Tokens Tokens
	// Opened is told when an authority was made, when one that was locked was unlocked,
	// and when it is locked again; nil stands for nobody.
	Opened func(open bool)
	// Login is the OS login of a uid, or of a SID; empty if it has none.
	Login func(uid string) string
	// GroupsOf are the groups of a login on this host, and HasGroup says whether there
	// is one of that name; nil stands for none, and for yes.
	GroupsOf func(login string) ([]string, error)
	HasGroup func(name string) bool
	// HasLogin says whether this host has a login; nil stands for yes.
	HasLogin func(name string) bool
	// Reach is where the authority can be reached now; nil stands for nowhere.
	Reach func() Reach
	// Mail sends links; nil where no mail server is set up. MailProblem is why the
	// one that is set up cannot be used.
	Mail        Mailer
	MailProblem string
	// Makers make what asks remote verifiers.
	Makers Makers
	// Observe is told of what the audit log is told of, each time: what was done, and
	// how it ended, a word each. Committed is told how long the registry took to be on
	// disk. Nil stands for nobody.
	Observe   func(action, outcome string)
	Committed func(time.Duration)
	// Log is told of what is for whoever runs the daemon; nil stands for
	// slog.DiscardHandler.
	Log *slog.Logger
	// Now, Wait and Deadline are as in authority.Options.
	Now      func() time.Time
	Wait     func(ctx context.Context, d time.Duration) error
	Deadline time.Duration
}

// Desk serves the authority in a folder, if there is one. Its methods are safe
// for concurrent use.
type Desk struct {
	cfg Config
	// changes is held while something is changed for which it was looked whose it
	// is.
	changes sync.Mutex
	// moving is held while the authority is locked, or opened by a token.
	moving  sync.Mutex
	locks   atomic.Uint64 // how often it was locked
	meter   meter
	serving chan struct{} // holds one for each message that is being answered

	mu     sync.Mutex
	office *office // nil while no authority is open
	// locked is the keyslots of an authority that is locked; nil where none is.
	locked *keyslot.Set
	// problem is why the authority that is there is not open.
	problem error
	// log is the office's chain, which is open while the authority is locked, too.
	log    *chain
	closed bool
}

// office is an open authority.
type office struct {
	authority *authority.Authority
	issuer    *issue.Issuer
	chain     *chain
	policy    *policyFile
	verifiers *verifiers
	marks     *marks
	// key is the authority's, for new keyslots.
	key *secret.Buffer
	// byToken says that the key came from a keyslot.
	byToken bool
	// slots are the authority's keyslots, nil where it never had some; the desk's mu
	// guards it.
	slots *keyslot.Set
}

var _ ipc.Authority = (*Desk)(nil)

// New returns the desk of an authority, which Open opens.
func New(c Config) *Desk {
	if c.Key == nil {
		c.Key = store.KeyFile(filepath.Join(c.Dir, keyName))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = authority.Sleep
	}
	if c.Opened == nil {
		c.Opened = func(bool) {}
	}
	if c.Reach == nil {
		c.Reach = func() Reach { return Reach{} }
	}
	return &Desk{cfg: c, serving: make(chan struct{}, maxServed)}
}

// Open opens the authority, if there is one. One that cannot be opened is told of
// to those who may administer it, who by asking have it tried again.
func (d *Desk) Open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tryOpen()
}

// tryOpen is to be called with d.mu held.
func (d *Desk) tryOpen() {
	if d.office != nil || d.closed {
		return
	}
	was, wasLocked := d.problem, d.locked != nil
	d.office, d.locked, d.problem = nil, nil, nil
	d.office, d.locked, d.problem = d.openOffice()
	switch {
	case d.office != nil:
		d.cfg.Log.Info("an authority is open", "dir", d.cfg.Dir, "key", d.cfg.Key.Kind())
	case d.locked != nil && !wasLocked:
		d.cfg.Log.Warn("the authority is locked: a token opens it", "dir", d.cfg.Dir)
	case d.problem != nil && (was == nil || was.Error() != d.problem.Error()):
		d.cfg.Log.Error("the authority cannot be opened", "dir", d.cfg.Dir, "err", d.problem)
	}
}

// openOffice returns nothing where there is no authority, and keyslots where they
// alone hold its key.
func (d *Desk) openOffice() (*office, *keyslot.Set, error) {
	if _, err := os.Stat(filepath.Join(d.cfg.Dir, store.FileName)); errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	slots, slotsErr := d.readKeyslots()
	key, err := d.cfg.Key.Key()
	if errors.Is(err, store.ErrNoKey) {
		switch {
		case slotsErr != nil:
			err = slotsErr
		case slots != nil && len(slots.Slots) > 0:
			_, err = d.openLog()
			return nil, slots, err
		}
	}
	if err != nil {
		return nil, nil, err
	}
	o := &office{key: key}
	err = d.furnish(o, func(opts authority.Options) (*authority.Authority, error) { return authority.Open(opts) })
	if err == nil {
		err = d.settle(o, slots, "")
	}
	if err != nil {
		if err = d.vacate(o, err); errors.Is(err, store.ErrNone) {
			err = nil
		}
		return nil, nil, err
	}
	o.chain.note("authority-open", "policy "+o.policy.current().sum)
	return o, nil, nil
}

// openLog is to be called with d.mu held.
func (d *Desk) openLog() (_ *chain, err error) {
	if d.log == nil {
		d.log, err = openChain(filepath.Join(d.cfg.Dir, auditName), d.cfg.Now, d.cfg.Log)
		if err == nil {
			d.log.observe = d.cfg.Observe
		}
	}
	return d.log, err
}

// furnish opens what an office has, whose key is there; enter opens or makes the
// authority itself. What it has opened when it fails, vacate closes.
func (d *Desk) furnish(o *office, enter func(authority.Options) (*authority.Authority, error)) (err error) {
	if o.chain, err = d.openLog(); err != nil {
		return err
	}
	if o.authority, err = enter(authority.Options{
		Dir: d.cfg.Dir, Key: heldKey{d, o}, Audit: o.chain, GroupsOf: d.cfg.GroupsOf, Now: d.cfg.Now, Wait: d.cfg.Wait, Deadline: d.cfg.Deadline,
	}); err != nil {
		return err
	}
	if d.cfg.Committed != nil {
		o.authority.Store().OnCommit(d.cfg.Committed)
	}
	o.policy = readPolicy(filepath.Join(d.cfg.Dir, policyName))
	if p := o.policy.current(); p.problem != nil {
		d.cfg.Log.Error("the authority has no policy that can be used: it leaves nobody anything", "err", p.problem)
	}
	if o.verifiers, err = openVerifiers(o.authority.Store(), d.cfg); err != nil {
		return err
	}
	o.issuer, err = issue.New(issue.Options{Registry: o.authority, Audit: o.chain, Policy: o.policy.usable, Now: d.cfg.Now,
		Remote: o.verifiers.get, Trouble: o.verifiers.failed})
	if err != nil {
		return err
	}
	profile, err := o.authority.Profile()
	if err != nil {
		return err
	}
	o.chain.open(profile.ID, o.issuer)
	o.marks, err = openMarks(o.authority.Store(), o.chain.ledger, d.cfg.Log)
	return err
}

// vacate closes an office that is not to be opened, for a reason, which it returns.
func (d *Desk) vacate(o *office, reason error) error {
	err := errors.Join(reason, o.close())
	if d.log != nil && d.locked == nil && d.office == nil {
		err = errors.Join(err, d.log.close())
		d.log = nil
	}
	return err
}

// close waits for what is being stored; the chain stays open.
func (o *office) close() (err error) {
	if o.marks != nil {
		o.chain.flush()
		o.marks.keep(true)
	}
	if o.chain != nil {
		o.chain.lock()
	}
	if o.authority != nil {
		err = o.authority.Close()
	}
	if o.issuer != nil {
		o.issuer.Close()
	}
	if o.verifiers != nil {
		o.verifiers.close()
	}
	o.key.Wipe()
	return err
}

// flushEvery is how long failures of one kind are counted before the audit chain
// is told how many there were.
const flushEvery = time.Minute

// Run keeps the audit chain up to date until ctx ends.
func (d *Desk) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.keepUp()
	}
}

// keepUp writes to the chain what is due.
func (d *Desk) keepUp() {
	d.mu.Lock()
	o, log := d.office, d.log
	d.mu.Unlock()
	if log != nil {
		log.flush()
		log.daily()
	}
	if o != nil {
		o.marks.keep(false)
	}
}

// current is the open authority, or why there is none; both are nil where none
// lives here.
func (d *Desk) current() (*office, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked != nil {
		return nil, errLocked()
	}
	return d.office, d.problem
}

// Close waits for what is being stored. Calls that come later fail.
func (d *Desk) Close() error {
	d.mu.Lock()
	o, log := d.office, d.log
	d.office, d.locked, d.log, d.closed = nil, nil, nil, true
	d.mu.Unlock()
	var err error
	if o != nil {
		err = o.close()
	}
	if log != nil {
		err = errors.Join(err, log.close())
	}
	if err != nil {
		return fmt.Errorf("cannot close the authority: %w", err)
	}
	return nil
}
