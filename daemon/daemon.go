// Package daemon keeps the vaults of the machine's users: who may do what, which
// vault is open and for how long, who waits for which token, and what everybody
// is told. It implements [ipc.Backend] and knows nothing of sockets.
//
// Every method takes the caller as the kernel names him. His uid selects his
// own vault and nothing else; what belongs to others answers like what does not
// exist.
package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenbridge/tokend/daemon/metrics"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// Mode says whom a daemon serves.
type Mode string

// The modes.
const (
	ModeSystem Mode = "system" // every user of the machine
	ModeUser   Mode = "user"   // the user that runs it
)

// The limits of a session where the configuration says nothing.
const (
	DefaultIdleLimit = 10 * time.Minute
	DefaultHardLimit = 12 * time.Hour
)

// Config is what a Daemon needs. The zero value of a field means its default.
type Config struct {
	// StateDir is where vaults are kept; it is made with mode 0700.
	StateDir string
	// Mode is ModeUser when empty.
	Mode Mode
	// Owner is the uid that a user's own daemon serves; required in ModeUser.
	Owner string
	// Version and Socket are told in Status.
	Version, Socket string
	// Drivers operate tokens, by kind. Watchers report which are plugged in;
	// a kind without a watcher, but for the software token, is never present.
	Drivers  map[tokens.Kind]tokens.Driver
	Watchers map[tokens.Kind]tokens.Watcher
	// Helper says whether tokens can be used: "ok", or what is wrong. Nil is ok.
	Helper func() string
	// HelperFix is the command that puts a helper in place that is missing or does not
	// work, with PATH for where a good one lies. Nil is none.
	HelperFix func() string
	// HelperConfined is what the system keeps tokend-helper from, a word each as
	// the helper names them; nil as long as that is not known.
	HelperConfined func() []string
	// Bus says whether the daemon serves on a message bus: "ok", what is wrong, or
	// nothing where it is not to. Nil stands for nothing.
	Bus func() string
	// Metrics counts; nil counts nothing. Gather looks up what others than the daemon
	// know of its figures; nil stands for nothing.
	Metrics *metrics.Tokend
	Gather  func()
	// Configuration says which configuration holds; nil where there is none to tell
	// of.
	Configuration func() ipc.ConfigState
	// Manage is the command that has whoever runs the daemon do something with it:
	// "reload" or "restart". Nil stands for a plain one of systemd.
	Manage func(verb string) string
	// Authority tells of the authority that lives beside the vaults; nil where none
	// can.
	Authority AuthorityReporter
	// MayUseTokens says whether a caller may see and use the hardware tokens of
	// this machine. Nil lets everybody.
	MayUseTokens func(ipc.Principal) bool
	// Limits and Attestation are the parts of the configuration that can change
	// while running.
	Limits      Limits
	Attestation Attestation
	// RemovalGrace is how long a token may be out of sight because pcscd was
	// restarted; 3 s when 0.
	RemovalGrace time.Duration
	// Backups is a part of the configuration that can change while running, too.
	Backups BackupRules
	// ScryptLogN is the cost of the recovery password; the vault's own default
	// when 0.
	ScryptLogN int
	// AskLimit is how long a call waits for one answer to a question that an
	// agent puts to the user; 2 min when 0.
	AskLimit time.Duration
	Clock    Clock
	Rand     io.Reader
	Log      *slog.Logger
}

// Limits say when a session ends by itself.
type Limits struct {
	// Idle is how long an unlocked vault may go unused; 10 min when 0.
	Idle time.Duration
	// Hard is how long it may be open at all; 12 h when 0.
	Hard time.Duration
	// KeepOnRemoval leaves a vault open when the token that unlocked it is
	// pulled out.
	KeepOnRemoval bool
	// RecoveryReminder is after how long without the recovery password being typed
	// Status asks whether it is still known: DefaultRecoveryReminder when 0, never
	// when negative.
	RecoveryReminder time.Duration
}

// Daemon is the running service. Its methods may be called by many goroutines.
type Daemon struct {
	cfg      Config
	clock    Clock
	log      *slog.Logger
	limits   atomic.Pointer[Limits]
	attest   atomic.Pointer[Attestation]
	rules    atomic.Pointer[BackupRules]
	presence *presence
	queues   queues
	hub      hub
	slow     gate // slow key derivations at once, over all users
	started  time.Time
	lock     io.Closer // on the state folder

	closed    chan struct{}
	closeOnce sync.Once
	life      context.Context // ends when the daemon is closed
	end       context.CancelFunc
	operation atomic.Uint64 // numbers waits
	collect   chan struct{} // asks for what secrets left on the heap to be collected
	swappable sync.Once     // says that memory could not be locked

	figures figures

	mu    sync.Mutex
	users map[string]*user
}

var _ ipc.Backend = (*Daemon)(nil)

// ErrInUse says that another daemon works on the same state folder.
var ErrInUse = errors.New("another daemon uses the state folder")

// New makes the daemon of a state folder. It opens no vault yet. It fails with
// ErrInUse where another daemon has the folder.
func New(cfg Config) (*Daemon, error) {
	if cfg.Mode == "" {
		cfg.Mode = ModeUser
	}
	if cfg.Mode != ModeUser && cfg.Mode != ModeSystem {
		return nil, fmt.Errorf("cannot start in mode %q", cfg.Mode)
	}
	if cfg.Mode == ModeUser && cfg.Owner == "" {
		return nil, errors.New("cannot start a user's daemon without its owner")
	}
	if cfg.Clock.Now == nil || cfg.Clock.Elapsed == nil {
		cfg.Clock = SystemClock()
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Metrics == nil {
		cfg.Metrics = &metrics.Tokend{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.RemovalGrace == 0 {
		cfg.RemovalGrace = removalGrace
	}
	d := &Daemon{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log,
		slow:    make(gate, max(1, runtime.GOMAXPROCS(0)-1)),
		closed:  make(chan struct{}),
		collect: make(chan struct{}, 1),
		users:   make(map[string]*user),
	}
	d.SetLimits(cfg.Limits)
	d.SetAttestation(cfg.Attestation)
	d.SetBackupRules(cfg.Backups)
	d.started = d.now()
	d.life, d.end = context.WithCancel(context.Background())
	d.presence = newPresence(watchedKinds(cfg.Watchers), cfg.RemovalGrace, d.tokenChanged)
	d.presence.unlisted = d.arrived
	if err := d.openState(); err != nil {
		return nil, err
	}
	return d, nil
}

func watchedKinds(watchers map[tokens.Kind]tokens.Watcher) []tokens.Kind {
	var kinds []tokens.Kind
	for k := range watchers {
		kinds = append(kinds, k)
	}
	return kinds
}

// openState makes the state folder and takes it for this daemon. One that others
// can write to is refused: what lies there is believed (the pins), and followed.
func (d *Daemon) openState() error {
	for _, dir := range []string{d.cfg.StateDir, filepath.Join(d.cfg.StateDir, "users"), filepath.Join(d.cfg.StateDir, "pins")} {
		if err := makeFolder(dir); err != nil {
			return fmt.Errorf("cannot make the state folder: %w", err)
		}
		if err := checkOwner(dir); err != nil {
			return fmt.Errorf("cannot use the state folder: %w", err)
		}
	}
	lock, err := lockFile(filepath.Join(d.cfg.StateDir, "lock"))
	if err != nil {
		return err
	}
	d.lock = lock
	d.finishPurges()
	return nil
}

// SetLimits changes when sessions end, for those that are open too.
func (d *Daemon) SetLimits(l Limits) {
	if l.Idle <= 0 {
		l.Idle = DefaultIdleLimit
	}
	if l.Hard <= 0 {
		l.Hard = DefaultHardLimit
	}
	d.limits.Store(&l)
}

// Attestation says which tokens may be enrolled.
type Attestation struct {
	// Required refuses a token for which no maker vouches that is known or in
	// Roots.
	Required bool
	// Roots are certificates (DER) whose word counts beside that of the makers
	// whom the drivers know.
	Roots [][]byte
}

// SetAttestation changes what is asked of tokens that are enrolled from now on.
func (d *Daemon) SetAttestation(a Attestation) { d.attest.Store(&a) }

func (d *Daemon) now() time.Time { return d.clock.Now() }

// expiryCheck is how often open sessions are compared with their limits. Every
// use compares too, so this only bounds how long keys stay in memory unused.
const expiryCheck = 2 * time.Second

// A watcher that failed is left alone for a second, and longer each time it
// fails at once, as where the build cannot do it.
const (
	watchRetry   = time.Second
	longestRetry = time.Minute
	watchedLong  = 10 * time.Second
)

// Run watches tokens and ends sessions until ctx ends or the daemon is closed.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for kind, w := range d.cfg.Watchers {
		wg.Go(func() { d.watch(ctx, kind, w) })
	}
	wg.Go(func() { d.collector(ctx) })
	wg.Go(func() { d.keepBackups(ctx) })
	tick := time.NewTicker(expiryCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-d.closed:
			cancel()
			wg.Wait()
			return nil
		case <-tick.C:
			d.expire()
			d.checkpoints()
		}
	}
}

func (d *Daemon) watch(ctx context.Context, kind tokens.Kind, w tokens.Watcher) {
	pause := watchRetry
	for {
		began := time.Now()
		err := w.Watch(ctx, d.presence.handle)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, &tokens.Error{Code: tokens.CodeUnsupported}) { // trying again would not change the build
			d.log.Info("tokens of this kind are not watched", "kind", string(kind), "detail", err.Error())
			d.presence.handle(tokens.Event{Type: tokens.EventServiceLost, Kind: kind, Detail: err.Error()})
			d.presence.cannot(kind)
			return
		}
		detail := "the watcher of tokens ended"
		if err != nil {
			detail = err.Error()
		}
		if time.Since(began) > watchedLong {
			pause = watchRetry
		}
		d.log.Warn("token watcher ended", "kind", string(kind), "detail", detail)
		d.presence.handle(tokens.Event{Type: tokens.EventServiceLost, Kind: kind, Detail: detail})
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestRetry)
	}
}

// collectDelay lets the call that used a secret end before its memory is
// collected, and calls that follow each other share a collection.
const collectDelay = 20 * time.Millisecond

// collector erases what secrets have left on the heap and gives the memory back,
// away from the callers.
func (d *Daemon) collector(ctx context.Context) {
	var r release
	var due <-chan time.Time // nil while there is nothing to give back
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
			secret.Release()
			r, due = release{}, nil
			continue
		case <-d.collect:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(collectDelay):
		}
		// Who asks from here on is served by the next round.
		select {
		case <-d.collect:
		default:
		}
		secret.Collect()
		due = time.After(r.collected(time.Now()))
	}
}

// Settle is told by who carries calls that one with secrets in it has been
// answered. What is left of them on the heap is erased when the collector finds
// it, which otherwise can take two minutes; so it is made to look soon.
func (d *Daemon) Settle() { d.collectSoon() }

func (d *Daemon) collectSoon() {
	select {
	case d.collect <- struct{}{}:
	default:
	}
}

// Close locks every vault and gives the state folder back. Calls under way end
// with Cancelled.
func (d *Daemon) Close() error {
	var err error
	d.closeOnce.Do(func() {
		close(d.closed)
		d.end()
		for _, u := range d.everyUser() {
			err = errors.Join(err, u.close())
		}
		secret.Collect()
		if d.lock != nil {
			err = errors.Join(err, d.lock.Close())
		}
	})
	return err
}

// LockAll locks every vault and says why: the machine suspends, a login session
// ends.
func (d *Daemon) LockAll(reason string) {
	for _, u := range d.everyUser() {
		u.lock(reason)
	}
}

// LockUser does the same to the vault of one user, by his uid or SID.
func (d *Daemon) LockUser(uid, reason string) {
	d.mu.Lock()
	u := d.users[uid]
	d.mu.Unlock()
	if u != nil {
		u.lock(reason)
	}
}

func (d *Daemon) everyUser() []*user {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*user, 0, len(d.users))
	for _, u := range d.users {
		all = append(all, u)
	}
	return all
}

// Identify completes a caller that a socket names: it says whether he may
// administer, and refuses those whom this daemon does not serve.
func (d *Daemon) Identify(p ipc.Principal) (ipc.Principal, error) {
	if !validUID(p.UID) {
		return p, ipc.Errorf(ipc.NotAuthorized, "the caller is not known")
	}
	if d.cfg.Mode == ModeUser && p.UID != d.cfg.Owner {
		return p, ipc.Errorf(ipc.NotAuthorized, "this daemon serves another user")
	}
	p.Admin = administers(p) || d.cfg.Mode == ModeUser
	return p, nil
}

// mayUseTokens says whether p sees the hardware tokens of this machine.
func (d *Daemon) mayUseTokens(p ipc.Principal) bool {
	return d.cfg.Mode == ModeUser || p.Admin || d.cfg.MayUseTokens == nil || d.cfg.MayUseTokens(p)
}

// user is the caller's part of the daemon; it completes p.
func (d *Daemon) user(p *ipc.Principal) (*user, error) {
	known, err := d.Identify(*p)
	if err != nil {
		return nil, err
	}
	*p = known
	select {
	case <-d.closed:
		return nil, errClosing()
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[p.UID]
	if u == nil {
		u = newUser(d, p.UID)
		d.users[p.UID] = u
	}
	return u, nil
}

// validUID says whether a uid or SID may name a folder.
func validUID(uid string) bool {
	if uid == "" || len(uid) > 190 {
		return false
	}
	for _, c := range []byte(uid) {
		digit, letter := c >= '0' && c <= '9', c >= 'A' && c <= 'Z'
		if !digit && !letter && c != '-' {
			return false
		}
	}
	return true
}
