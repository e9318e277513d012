package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/metrics"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// memoryLimit is where the collector begins to work harder, in bytes: far above
// what the daemon needs but for a password's derivation.
const memoryLimit = 512 << 20

// options are the flags of serve.
type options struct {
	config, stateDir, socket, helper, bus string
	user, system                          bool
	fido2Devices                          []string
}

// relative says whether a path that the program was started with, or its own, means
// another file in another folder.
func (o options) relative(program string) bool {
	paths := append([]string{o.config, o.stateDir, o.socket, o.helper}, o.fido2Devices...)
	if strings.ContainsRune(program, filepath.Separator) {
		paths = append(paths, program)
	}
	return slices.ContainsFunc(paths, func(p string) bool { return p != "" && !filepath.IsAbs(p) })
}

func serveCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return underManager(context.Background(), o, c.ErrOrStderr())
		},
	}
	o.flags(c.Flags())
	c.MarkFlagsMutuallyExclusive("user", "system")
	return c
}

func (o *options) flags(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "configuration file (default "+systemConfig()+", for a user's own daemon tokend/tokend.toml among his configuration)")
	f.StringVar(&o.stateDir, "state-dir", "", "where the vaults are kept")
	f.StringVar(&o.socket, "socket", "", "the socket to listen at")
	f.StringVar(&o.helper, "helper", "", "the path of tokend-helper")
	f.StringVar(&o.bus, "bus", "", "the D-Bus message bus to serve on: system, session or none (default none, for a user's own daemon in a session with a bus session)")
	f.StringArrayVar(&o.fido2Devices, "fido2-device", nil, "the device path of a FIDO2 key that the system does not list (can be repeated)")
	f.BoolVar(&o.user, "user", false, "serve the user who runs it (the default but for root)")
	f.BoolVar(&o.system, "system", false, "serve every user of the machine (the default for root; another user needs the service manager's socket)")
}

// service is one run of the daemon.
type service struct {
	options    options
	config     config
	fallback   string // where the configuration is looked for
	configured *configured
	metrics    *metrics.Tokend
	server     atomic.Pointer[httpapi.Server]
	mode       daemon.Mode
	log        *slog.Logger
	level      *slog.LevelVar
	helper     *helperState
	helpers    helper.Running
	owner      string // who runs this process
	apart      string // the uid of the helpers that systemd starts; empty for none
	access     *tokenAccess
	roots      [][]byte // of attestations
	daemon     *daemon.Daemon
	desk       *desk.Desk
	door       atomic.Pointer[door] // the authority's; nil until it was opened
	moves      chan moving          // of the door
	doorless   chan struct{}        // closed when nobody keeps the door any more
	bus        *dbus.Server         // nil without one
	manager    manager              // the service manager
}

func newService(o options, stderr io.Writer) (*service, error) {
	s := &service{options: o, mode: daemon.ModeUser, level: new(slog.LevelVar), metrics: metrics.New(), moves: make(chan moving), doorless: make(chan struct{})}
	system := (systemUser() || o.system) && !o.user
	if s.fallback = usualConfig(system); system {
		s.mode = daemon.ModeSystem
	}
	if o.config != "" { // what is advised about it is typed elsewhere
		if path, err := filepath.Abs(o.config); err == nil {
			s.options.config = path
		}
	}
	read, err := readConfig(s.options.config, s.fallback, system)
	if err != nil {
		return nil, err
	}
	if s.config, err = s.override(read.config); err != nil {
		return nil, err
	}
	s.configured = newConfigured(read, s.config)
	s.configured.again = func() error {
		_, _, _, err := s.reread()
		return err
	}
	level, err := s.config.level()
	if err != nil {
		return nil, err
	}
	s.level.Set(level)
	if s.log, err = newLog(s.config.LogFormat, stderr, s.level); err != nil {
		return nil, err
	}
	if s.roots, err = readRoots(s.config.Tokens.AttestationRoots); err != nil {
		return nil, usageError{brokenConfig{read.path, fmt.Errorf("%s: %w", read.path, settingProblem(read.keys, err))}}
	}
	return s, nil
}

// override lets flags stand above the file, and fills in what neither says.
func (s *service) override(c config) (config, error) {
	for _, o := range []struct {
		flag    string
		setting *string
	}{{s.options.stateDir, &c.StateDir}, {s.options.socket, &c.Socket}} {
		if o.flag == "" {
			continue
		}
		path, err := filepath.Abs(o.flag)
		if err != nil {
			return c, usageError{err}
		}
		*o.setting = path
	}
	if s.options.helper != "" {
		c.Helper = s.options.helper
	}
	if s.options.bus != "" {
		c.Bus = s.options.bus
	}
	if err := c.checkBus(); err != nil {
		return c, usageError{err}
	}
	var err error
	if c.Tokens, err = s.addDevices(c.Tokens); err != nil {
		return c, err
	}
	if c.StateDir == "" {
		if c.StateDir, err = defaultState(s.mode); err != nil {
			return c, err
		}
	}
	if c.Socket == "" {
		if s.mode == daemon.ModeSystem {
			c.Socket = local.SystemSocket()
		} else if c.Socket, err = local.UserSocket(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// addDevices adds the FIDO2 keys that flags name to those of the file.
func (s *service) addDevices(t access) (access, error) {
	t.FIDO2Devices = slices.Clone(t.FIDO2Devices)
	for _, name := range s.options.fido2Devices {
		path, err := filepath.Abs(name)
		if err != nil || name == "" {
			return t, usageError{fmt.Errorf("%q is not the path of a FIDO2 key", name)}
		}
		if !slices.Contains(t.FIDO2Devices, path) {
			t.FIDO2Devices = append(t.FIDO2Devices, path)
		}
	}
	if err := t.check(); err != nil {
		return t, usageError{err}
	}
	return t, nil
}

// defaultState is where vaults are kept when nobody says.
func defaultState(m daemon.Mode) (string, error) {
	if m == daemon.ModeSystem {
		return systemState(), nil
	}
	dir, err := userState()
	if err != nil {
		return "", fmt.Errorf("cannot tell where to keep the vault: %w", err)
	}
	return dir, nil
}

// setAccess lets the configured users use tokens.
func (s *service) setAccess() {
	for _, name := range s.access.set(s.config.Tokens.Users) {
		s.log.Warn("tokens.users names somebody who is not there", "user", name)
	}
}

func (s *service) limits() daemon.Limits {
	reminder := time.Duration(s.config.Recovery.Reminder)
	if reminder == 0 {
		reminder = -1
	}
	return daemon.Limits{
		Idle: time.Duration(s.config.Session.IdleLock), Hard: time.Duration(s.config.Session.HardLock),
		KeepOnRemoval: !s.config.Session.LockOnTokenRemoval, RecoveryReminder: reminder,
	}
}

func (s *service) backupRules() daemon.BackupRules {
	b := s.config.Backup
	r := daemon.BackupRules{
		Debounce: time.Duration(b.Debounce), Daily: time.Duration(b.Daily),
		StaleAfter: time.Duration(b.StaleAfter), ProveAfter: time.Duration(b.ProveAfter),
	}
	if r.ProveAfter == 0 {
		r.ProveAfter = -1
	}
	return r
}

func (s *service) attestation() daemon.Attestation {
	return daemon.Attestation{Required: s.config.Tokens.RequireAttestation, Roots: s.roots}
}

// build makes the daemon of the parts.
func (s *service) build() error {
	var err error
	if s.owner, err = ownUID(); err != nil {
		return err
	}
	path, findErr := findHelper(s.config.Helper)
	sockets := s.helperSockets()
	if sockets != "" {
		s.apart = helperUID()
	}
	s.helper = newHelperState(path, sockets, findErr, s.log)
	s.access = &tokenAccess{seats: seatDir}
	s.setAccess()
	s.desk = s.newDesk()
	cfg := daemon.Config{
		StateDir: s.config.StateDir, Mode: s.mode, Owner: s.owner, Version: buildVersion(), Socket: s.config.Socket,
		Helper: s.helper.get, HelperFix: s.helperFix, HelperConfined: s.helper.confinement, Bus: s.busState, Configuration: s.configured.get, Metrics: s.metrics, Gather: s.gather, Manage: s.manage, MayUseTokens: s.access.allowed, Limits: s.limits(), Attestation: s.attestation(), Backups: s.backupRules(), Log: s.log,
		Authority: s.desk,
	}
	s.addDrivers(&cfg, path, sockets)
	if s.daemon, err = daemon.New(cfg); errors.Is(err, daemon.ErrInUse) {
		return fmt.Errorf("cannot start: %w (%s)", err, s.config.StateDir)
	}
	if err != nil {
		return err
	}
	s.desk.Open() // now that the state folder is ours
	return s.buildBus()
}

// run serves until it is told to stop.
func (s *service) run(ctx context.Context) (err error) {
	listening := false
	defer func() { // after all else has ended
		if listening {
			s.log.Info("ended", "why", whyEnded(ctx, err))
		}
	}()
	debug.SetMemoryLimit(memoryLimit)
	if err := secret.HardenProcess(); err != nil {
		s.log.Warn("cannot keep the process's memory out of core files", "err", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup, quiet := s.manager.hangups() // before anybody is told that it is ready
	defer quiet()
	given, err := activated()
	if err != nil {
		return err
	}
	if len(given) > 0 {
		s.config.Socket = given[0].Addr().String()
	}
	if s.mode == daemon.ModeSystem && !systemUser() && len(given) == 0 {
		return errors.New("only root can open a socket for every user of the machine, and the service manager gave none: programs speak with nobody else's")
	}
	if err := s.build(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.desk.Close(), s.daemon.Close()) }()
	moreThreads() // after the daemon has counted the processors for key derivations
	listeners, err := s.listen(given)
	if err != nil {
		return err
	}
	s.openDoor(ctx, !s.desk.Locked())
	listening = true
	s.log.Info("listening", "socket", s.config.Socket, "mode", string(s.mode), "version", buildVersion())
	s.notifyReady()
	defer s.notify("STOPPING=1")
	defer s.watchdog(ctx)()
	return s.serve(ctx, listeners, hangup)
}

// whyEnded says why a run is over: a failure, a signal, or the service manager, which
// elsewhere than on Windows is a signal, too.
func whyEnded(ctx context.Context, err error) string {
	switch cause := context.Cause(ctx); {
	case err != nil:
		return err.Error()
	case cause != nil && cause != context.Canceled: //nolint:errorlint // a signal is one, too
		return cause.Error()
	}
	return "the service manager"
}

// serve answers on all listeners until ctx ends or one of them fails.
func (s *service) serve(ctx context.Context, listeners []net.Listener, hangup <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := httpapi.New(httpapi.Config{
		Backend: s.daemon, Authority: s.desk, Log: s.log, Settle: s.daemon.Settle, Guard: secret.Do, Identify: s.identify, Own: s.owner,
		Metrics: s.daemon.Metrics, Observe: s.observeCall,
	})
	s.server.Store(server)
	var wg sync.WaitGroup
	wg.Go(func() { s.reloads(ctx, hangup) })
	wg.Go(func() { _ = s.daemon.Run(ctx) })
	wg.Go(func() { s.desk.Run(ctx) })
	wg.Go(func() { s.keepDoor(ctx) })
	wg.Go(func() { s.keepHelper(ctx) })
	wg.Go(func() { s.keepTextfile(ctx) })
	if s.bus != nil {
		wg.Go(func() { s.bus.Run(ctx) })
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		wg.Go(func() { failed <- server.Serve(ctx, l) })
	}
	var err error
	for range listeners {
		if e := <-failed; e != nil && ctx.Err() == nil {
			err = e
		}
		cancel()
	}
	wg.Wait()
	return err
}

// identify names a caller. The daemon's own helpers are none: one that speaks
// here has been taken over by a token.
func (s *service) identify(c net.Conn) (ipc.Principal, error) {
	p, err := local.Principal(c)
	if err != nil {
		return p, err
	}
	return s.admit(p)
}

// admit says whether a caller is served, and completes him.
func (s *service) admit(p ipc.Principal) (ipc.Principal, error) {
	if s.helpers.Has(p.PID) || s.apart != "" && p.UID == s.apart {
		s.log.Error("a token helper tried to use the vault: it is no longer under control", "pid", p.PID)
		return p, ipc.Errorf(ipc.NotAuthorized, "a token helper may not use the vault")
	}
	return s.daemon.Identify(p)
}

// listen takes the sockets that the service manager gave, or opens its own.
func (s *service) listen(given []net.Listener) ([]net.Listener, error) {
	if len(given) > 0 {
		return given, nil
	}
	o := local.Options{}
	if s.mode == daemon.ModeSystem {
		// Everybody may connect; who he is the kernel says.
		o = local.Options{Mode: 0o666, DirMode: 0o755}
	}
	l, err := local.Listen(s.config.Socket, o)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}
