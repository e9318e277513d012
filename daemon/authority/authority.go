// Package authority is who issues managed accounts and verifies passcodes: the
// registry of users and of their fobs, and the verifier with its throttle. It
// knows neither callers nor protocols: who may do what is decided by whoever
// calls it, who names himself in by, an id that goes into the audit.
//
// Everything is kept in one file, sealed (daemon/authority/store), and every
// change is on disk when a method returns.
package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/secret"
)

// DefaultDeadline is how long after its beginning a failed Verify is answered.
const DefaultDeadline = 250 * time.Millisecond

// Options say where an authority lives and what it works with.
type Options struct {
	// Dir is the folder of the registry, of mode 0700.
	Dir string
	// Key is where the authority key comes from.
	Key store.KeySource
	// Audit is told of what is done. It must be given.
	Audit Auditor
	// GroupsOf are the groups of a login on the authority's own host; none of a login
	// that there is not. If nil, nobody is in a group.
	GroupsOf func(login string) ([]string, error)
	// Now is the wall clock; time.Now if nil.
	Now func() time.Time
	// Wait waits for a time or until ctx ends, whose cause it then returns. If nil,
	// it is a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Deadline is when failures are answered; DefaultDeadline if 0.
	Deadline time.Duration
}

// Authority is an open authority. Its methods are safe for concurrent use. They
// fail with an *Error where the caller can do better, with the errors of
// daemon/authority/store, and with the cause of a context that ended.
type Authority struct {
	store    *store.Store
	source   string
	root     string // the id of the authority itself
	audit    Auditor
	now      func() time.Time
	wait     func(context.Context, time.Duration) error
	deadline time.Duration
	groupsOf func(login string) ([]string, error)

	serials *catalog      // of fobs
	names   *catalog      // of users
	trees   *cached[Tree] // each call of somebody's wants it
	pairs   *pairs
}

// The buckets of the registry.
const (
	selfBucket    = "authority" // one record under selfKey, and the throttle's
	usersBucket   = "users"     // by id
	namesBucket   = "names"     // of users, folded: the id
	loginsBucket  = "logins"    // of users: the id
	fobsBucket    = "fobs"      // by serial number, folded
	publicBucket  = "public-ids"
	triesBucket   = "tries" // failures by service and user
	triesByAge    = "tries-by-age"
	groupsBucket  = "groups" // that give roles, by name; older registries lack it
	selfKey       = "self"
	keyslotsKey   = "keyslots" // in selfBucket: the file of keyslots as it was last
	triesCountKey = "tries"

	authoritiesBucket = "authorities" // that have a parent, by id; older registries lack it
)

func buckets() []string {
	return []string{selfBucket, usersBucket, namesBucket, loginsBucket, fobsBucket, publicBucket, triesBucket, triesByAge}
}

// Create makes an authority. Of p, ID and Created are made. It fails with
// store.ErrExists where there is one.
func Create(by string, o Options, p Profile) (*Authority, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	key, err := o.Key.Key()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	s, err := begin(o.Dir, key)
	if err != nil {
		return nil, err
	}
	a := newAuthority(o, s)
	p.ID, p.Created = newID().String(), a.now().UTC()
	a.root = p.ID
	err = s.Ensure(groupsBucket, authoritiesBucket)
	if err == nil {
		err = s.Update(func(tx *store.Tx) error { return tx.Put(selfBucket, []byte(selfKey), recordOf(p)) })
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	a.audit.Audit(Entry{Kind: "authority-create", By: by, OK: true})
	return a, nil
}

// begin makes a registry, or takes one that a crash left before there was an
// authority in it.
func begin(dir string, key *secret.Buffer) (*store.Store, error) {
	s, err := store.Create(dir, key, buckets()...)
	if !errors.Is(err, store.ErrExists) {
		return s, err
	}
	left, openErr := store.Open(dir, key)
	if openErr != nil {
		return nil, err
	}
	if empty, viewErr := isEmpty(left); viewErr != nil || !empty {
		return nil, errors.Join(err, left.Close())
	}
	return left, nil
}

// isEmpty says that nothing was ever stored in a registry.
func isEmpty(s *store.Store) (empty bool, err error) {
	err = s.View(func(tx *store.Tx) error {
		for _, bucket := range buckets() {
			if first, err := tx.First(bucket); err != nil || first != nil {
				return err
			}
		}
		empty = true
		return nil
	})
	return empty, err
}

// Open opens the authority in o.Dir. It fails with the errors of
// daemon/authority/store: ErrNone, ErrInUse, ErrWrongKey, ErrDamaged and others.
func Open(o Options) (*Authority, error) {
	key, err := o.Key.Key()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	s, err := store.Open(o.Dir, key)
	if err != nil {
		return nil, err
	}
	if empty, err := isEmpty(s); err == nil && empty {
		_ = s.Close()
		return nil, fmt.Errorf("cannot open the authority: %w", store.ErrNone)
	}
	a := newAuthority(o, s)
	self, err := a.Profile()
	if err == nil {
		err = s.Ensure(groupsBucket, authoritiesBucket)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	a.root = self.ID
	return a, nil
}

func newAuthority(o Options, s *store.Store) *Authority {
	a := &Authority{store: s, source: o.Key.Kind(), audit: o.Audit, now: o.Now, wait: o.Wait, deadline: o.Deadline, groupsOf: o.GroupsOf,
		serials: &catalog{}, names: &catalog{}, trees: &cached[Tree]{}, pairs: &pairs{}}
	if a.now == nil {
		a.now = time.Now
	}
	if a.wait == nil {
		a.wait = Sleep
	}
	if a.deadline == 0 {
		a.deadline = DefaultDeadline
	}
	return a
}

// Sleep waits for d, or until ctx ends, whose cause it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for what is being stored.
func (a *Authority) Close() error { return a.store.Close() }

// KeySource is the kind of place the authority key came from.
func (a *Authority) KeySource() string { return a.source }

// Size is how large the registry's file is, in bytes.
func (a *Authority) Size() (int64, error) { return a.store.Size() }

// Profile is what an authority says of itself.
type Profile struct {
	ID      string
	Name    string // 1 to 256 characters
	Contact string // whom people turn to, up to 256 characters
	Portal  string // the address of a page for them, up to 256 characters
	Created time.Time
}

func (p Profile) validate() error {
	if p.Name == "" {
		return invalid("name", "there is none")
	}
	return errors.Join(checkText("name", p.Name), checkText("contact", p.Contact), checkText("portal", p.Portal))
}

// Profile returns what the authority says of itself.
func (a *Authority) Profile() (Profile, error) {
	var p Profile
	err := a.store.View(func(tx *store.Tx) (err error) {
		p, err = a.profile(tx)
		return err
	})
	return p, err
}

func (a *Authority) profile(tx *store.Tx) (Profile, error) {
	var r profileRecord
	found, err := tx.Get(selfBucket, []byte(selfKey), &r)
	if err == nil && !found {
		err = fmt.Errorf("%w: the authority's own record is missing", store.ErrDamaged)
	}
	return r.profile(), err
}

// SetProfile replaces name, contact and portal. It fails with Exists where a child
// authority has the name.
func (a *Authority) SetProfile(by string, p Profile) (Profile, error) {
	if err := p.validate(); err != nil {
		return Profile{}, err
	}
	old, err := a.Profile()
	if err != nil {
		return Profile{}, err
	}
	p.ID, p.Created = old.ID, old.Created // they never change
	err = a.store.Update(func(tx *store.Tx) error {
		t, err := a.tree(tx)
		if err != nil {
			return err
		}
		for _, c := range t.children {
			if fold(c.Name) == fold(p.Name) {
				return failure(Exists, "name", "a child authority has the name %q", p.Name)
			}
		}
		return tx.Put(selfBucket, []byte(selfKey), recordOf(p))
	})
	a.trees.changed()
	a.told("authority-edit", by, err)
	return p, err
}

// Keyslots is the file of keyslots that was kept last; nil if none was.
func (a *Authority) Keyslots() ([]byte, error) {
	var r keyslotsRecord
	err := a.store.View(func(tx *store.Tx) error {
		_, err := tx.Get(selfBucket, []byte(keyslotsKey), &r)
		return err
	})
	return r.File, err
}

// KeepKeyslots keeps a copy of the file of keyslots, which lies beside the registry,
// so that an older one in its place is known for that.
func (a *Authority) KeepKeyslots(file []byte) error {
	return a.store.Update(func(tx *store.Tx) error {
		return tx.Put(selfBucket, []byte(keyslotsKey), keyslotsRecord{File: file})
	})
}

// told audits what concerns neither a user nor a fob.
func (a *Authority) told(kind, by string, err error) {
	a.audit.Audit(Entry{Kind: kind, By: by, OK: err == nil, Detail: Why(err)})
}
