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
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/issue"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// The files of an authority's folder, beside the registry's.
const (
	keyName    = "key"
	policyName = "policy.toml"
	auditName  = "audit.log"
)

// Config says where an authority lives and what it works with.
type Config struct {
	// Dir is the authority's folder. It need not exist.
	Dir string
	// Key is where the authority key comes from; nil stands for a file in Dir, which
	// is made together with the authority.
	Key store.KeySource
	// Login is the OS login of a uid, or of a SID; empty if it has none.
	Login func(uid string) string
	// Reach is where the authority can be reached now; nil stands for nowhere.
	Reach func() Reach
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
	meter   meter
	serving chan struct{} // holds one for each message that is being answered

	mu     sync.Mutex
	office *office // nil while no authority is open
	// problem is why the authority that is there is not open.
	problem error
	closed  bool
}

// office is an open authority.
type office struct {
	authority *authority.Authority
	issuer    *issue.Issuer
	chain     *chain
	policy    *policyFile
}

// by is the office for who calls from there, which the audit then has.
func (o *office) by(from string) *office {
	out := *o
	out.chain = o.chain.by(from)
	out.authority = o.authority.WithAudit(out.chain)
	out.issuer = o.issuer.WithAudit(out.authority, out.chain)
	return &out
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
	was := d.problem
	d.office, d.problem = d.openOffice()
	switch {
	case d.office != nil:
		d.cfg.Log.Info("an authority is open", "dir", d.cfg.Dir, "key", d.cfg.Key.Kind())
	case d.problem != nil && (was == nil || was.Error() != d.problem.Error()):
		d.cfg.Log.Error("the authority cannot be opened", "dir", d.cfg.Dir, "err", d.problem)
	}
}

// openOffice returns nothing where there is no authority.
func (d *Desk) openOffice() (*office, error) {
	if _, err := os.Stat(filepath.Join(d.cfg.Dir, store.FileName)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	o := &office{}
	err := d.furnish(o, func(opts authority.Options) (*authority.Authority, error) { return authority.Open(opts) })
	if errors.Is(err, store.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o.chain.note("authority-open", "policy "+o.policy.current().sum)
	return o, nil
}

// furnish opens what an office has; enter opens or makes the authority itself.
func (d *Desk) furnish(o *office, enter func(authority.Options) (*authority.Authority, error)) (err error) {
	if o.chain, err = openChain(filepath.Join(d.cfg.Dir, auditName), d.cfg.Now, d.cfg.Log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.chain.close())
		}
	}()
	if o.authority, err = enter(authority.Options{
		Dir: d.cfg.Dir, Key: d.cfg.Key, Audit: o.chain, Now: d.cfg.Now, Wait: d.cfg.Wait, Deadline: d.cfg.Deadline,
	}); err != nil {
		return err
	}
	o.policy = readPolicy(filepath.Join(d.cfg.Dir, policyName))
	if p := o.policy.current(); p.problem != nil {
		d.cfg.Log.Error("the authority has no policy that can be used: it leaves nobody anything", "err", p.problem)
	}
	o.issuer, err = issue.New(issue.Options{Registry: o.authority, Audit: o.chain, Policy: o.policy.usable, Now: d.cfg.Now})
	if err != nil {
		return errors.Join(err, o.authority.Close())
	}
	profile, err := o.authority.Profile()
	if err != nil {
		return errors.Join(err, o.authority.Close())
	}
	o.chain.open(profile.ID, o.issuer)
	return nil
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
		if o, _ := d.current(); o != nil {
			o.chain.flush()
			o.chain.daily()
		}
	}
}

// current is the open authority, or why there is none; both are nil where none
// lives here.
func (d *Desk) current() (*office, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.office, d.problem
}

// Close waits for what is being stored. Calls that come later fail.
func (d *Desk) Close() error {
	d.mu.Lock()
	o := d.office
	d.office, d.closed = nil, true
	d.mu.Unlock()
	if o == nil {
		return nil
	}
	err := o.authority.Close()
	o.issuer.Close()
	if err = errors.Join(err, o.chain.close()); err != nil {
		return fmt.Errorf("cannot close the authority: %w", err)
	}
	return nil
}
