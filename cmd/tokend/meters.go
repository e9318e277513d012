package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// outcomeOK is the outcome of what succeeded, in the figures.
const outcomeOK = "ok"

// observeCall counts a call over the socket.
func (s *service) observeCall(o httpapi.Observation) {
	if o.Refused {
		s.metrics.Refused.Inc("local")
		return
	}
	s.metrics.Requests.Inc("http", cmp.Or(string(o.Kind), outcomeOK))
	if !o.Stream {
		s.metrics.RequestTime.Observe(o.Took.Seconds(), cmp.Or(string(o.Access), "none"))
	}
}

// observeBus counts a call over D-Bus.
func (s *service) observeBus(k ipc.Kind) {
	s.metrics.Requests.Inc("dbus", cmp.Or(string(k), outcomeOK))
}

// observeToken counts operations with tokens of a kind.
func (s *service) observeToken(kind tokens.Kind) func(helper.Observation) {
	return func(o helper.Observation) {
		s.metrics.TokenOperations.Inc(string(kind), o.Operation, cmp.Or(string(o.Outcome), outcomeOK))
		s.metrics.TokenOperationTime.Observe(o.Took.Seconds(), string(kind), o.Operation)
		if o.Touched {
			s.metrics.TouchWaits.Inc(string(kind))
		}
	}
}

// observeAuthority counts what is done at the authority.
func (s *service) observeAuthority(action, outcome string) {
	s.metrics.AuthorityActions.Inc(action, outcome)
}

func (s *service) observeCommit(took time.Duration) { s.metrics.StoreCommits.Observe(took.Seconds()) }

// gather looks up the figures that this program alone knows.
func (s *service) gather() {
	if server := s.server.Load(); server != nil {
		s.metrics.Connections.Set(float64(server.Connections()), "local")
	}
	s.metrics.AuthorityUp.Clear()
	switch s.desk.Stands() {
	case desk.Serves:
		s.metrics.AuthorityUp.Set(1)
	case desk.Fails:
		s.metrics.AuthorityUp.Set(0)
	}
}

// metered makes what asks a verifier, and counts how that answers.
func (s *service) metered(kind string, v remote.Verifier, err error) (remote.Verifier, error) {
	if err != nil {
		return nil, err
	}
	m := &meteredVerifier{v, kind, s}
	if e, ok := v.(remote.Enroller); ok {
		return &meteredEnroller{m, e}, nil
	}
	return m, nil
}

// meteredEnroller is a verifier that makes accounts besides.
type meteredEnroller struct {
	*meteredVerifier
	enroller remote.Enroller
}

// Enroll implements [remote.Enroller].
func (v *meteredEnroller) Enroll(ctx context.Context, user string) (remote.Enrolment, error) {
	start := time.Now()
	e, err := v.enroller.Enroll(ctx, user)
	if errors.Is(err, remote.ErrEnrolled) { // an answer like others
		v.count(ctx, start, "refused", nil)
	} else {
		v.count(ctx, start, "enrolled", err)
	}
	return e, err
}

// meteredVerifier is a verifier whose answers are counted.
type meteredVerifier struct {
	remote.Verifier
	kind string
	s    *service
}

// Begin implements [remote.Verifier].
func (v *meteredVerifier) Begin(ctx context.Context, q remote.Question) (remote.Answer, error) {
	start := time.Now()
	a, err := v.Verifier.Begin(ctx, q)
	v.count(ctx, start, string(a.State), err)
	return a, err
}

// Continue implements [remote.Verifier].
func (v *meteredVerifier) Continue(ctx context.Context, token, passcode []byte) (remote.Answer, error) {
	start := time.Now()
	a, err := v.Verifier.Continue(ctx, token, passcode)
	v.count(ctx, start, string(a.State), err)
	return a, err
}

// Check implements [remote.Verifier].
func (v *meteredVerifier) Check(ctx context.Context) error {
	start := time.Now()
	err := v.Verifier.Check(ctx)
	v.count(ctx, start, "checked", err)
	return err
}

func (v *meteredVerifier) count(ctx context.Context, start time.Time, state string, err error) {
	if err != nil {
		if state = "failed"; errors.As(err, new(*remote.Unavailable)) {
			state = "unavailable"
		}
		if ctx.Err() != nil { // who asked went away: that says nothing of the verifier
			state = "given-up"
		}
	}
	m := v.s.metrics
	m.VerifierAnswers.Inc(v.kind, state)
	m.VerifierTime.Observe(time.Since(start).Seconds(), v.kind)
	if state != "given-up" {
		m.VerifierUp.Bool(state != "unavailable" && state != "failed", v.kind)
	}
}

// keepTextfile writes the figures to the file that is configured until ctx ends, and
// takes it away then: nothing is to look as if this daemon still ran.
func (s *service) keepTextfile(ctx context.Context) {
	path := s.config.Metrics.Textfile
	if path == "" {
		return
	}
	tick := time.NewTicker(time.Duration(s.config.Metrics.Interval))
	defer tick.Stop()
	for {
		err := s.writeTextfile(path)
		switch news := s.configured.fails("metrics.textfile", err, s.fixTextfile(path, err)); {
		case news && err != nil: // once, not each minute
			s.log.Error("the figures cannot be written to metrics.textfile", "err", err)
		case news:
			s.log.Info("the figures are written to metrics.textfile again")
		}
		select {
		case <-ctx.Done():
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				s.log.Warn("cannot take metrics.textfile away", "err", err)
			}
			return
		case <-tick.C:
		}
	}
}

// makeFolder is the command that makes a folder in which the daemon can write.
func makeFolder(path string, system bool) string {
	if runtime.GOOS == "windows" {
		return `mkdir "` + path + `"`
	}
	if !system {
		return "mkdir -p " + ipc.ShellWord(path)
	}
	return "sudo install -d -m 775 -g " + serviceGroup() + " " + ipc.ShellWord(path)
}

// fixTextfile is the command that lets the file be written. The system's service may write
// where its unit says, and as its user may.
func (s *service) fixTextfile(path string, err error) string {
	dir := ipc.ShellWord(filepath.Dir(path))
	system := s.mode == daemon.ModeSystem
	switch {
	case err == nil || runtime.GOOS == "windows":
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return makeFolder(filepath.Dir(path), system)
	case errors.Is(err, syscall.EROFS) && system:
		return dropIn(`'[Service]\nReadWritePaths=%s\n' `+dir, "textfile") + " && " + s.configured.checks() + s.manage("restart")
	case errors.Is(err, fs.ErrPermission) && system:
		return fmt.Sprintf("sudo chgrp %d %s && sudo chmod g+w %[2]s", os.Getegid(), dir)
	}
	return "ls -ld " + dir
}

// writeTextfile replaces the file in one step: who reads it sees one that is whole.
func (s *service) writeTextfile(path string) error {
	text, err := s.daemon.Figures()
	if err != nil {
		return err
	}
	// The collector reads what ends in .prom alone.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		if perr := new(fs.PathError); errors.As(err, &perr) {
			perr.Path = filepath.Dir(path) // the name is another one each time
		}
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
