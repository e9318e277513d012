package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// configured knows which configuration holds, and what of the file does not yet.
type configured struct {
	read  document // as it was read at the start
	start config   // with flags

	mu    sync.Mutex
	state ipc.ConfigState
	// failing is what could not be started or written, by its setting.
	failing map[string]ipc.ConfigFailure
	info    fs.FileInfo // of the file that was read last, whether it was taken or not
	// again reads it once more and takes nothing: why it cannot be used now.
	again func() error
	// mail looks at the mail server's files once more, and takes nothing.
	mail func() (fix string, err error)
}

func newConfigured(d document, effective config) *configured {
	c := &configured{read: d, start: effective, info: d.info, failing: make(map[string]ipc.ConfigFailure)}
	c.state = ipc.ConfigState{Loaded: ipc.WireTime(time.Now())}
	if d.info != nil {
		c.state.File = d.path
	}
	return c
}

// get is how it stands now: the file may be another one than was read, and one that was
// not taken, or what it names, may have been mended since.
func (c *configured) get() ipc.ConfigState {
	st := c.known()
	if c.again != nil && (st.Problem != "" || st.Changed) {
		refused := st.Problem != ""
		if err := c.again(); err != nil {
			st.Problem = err.Error()
		} else {
			st.Mended = refused
		}
	}
	for i, f := range st.Failing {
		if f.Setting == mailSettings && c.mail != nil {
			st.Failing[i] = c.mailNow(f)
		}
	}
	return st
}

// mailNow is why no mail is sent, as its files are now: they are read at the start alone.
func (c *configured) mailNow(f ipc.ConfigFailure) ipc.ConfigFailure {
	fix, err := c.mail()
	if err != nil {
		return ipc.ConfigFailure{Setting: f.Setting, Problem: err.Error(), Fix: fix}
	}
	return ipc.ConfigFailure{Setting: f.Setting, Problem: "what was wrong at the start is mended, and is read with the next one"}
}

// checks is the command that checks the file, to be followed by what reads it; empty
// where there is no file.
func (c *configured) checks() string {
	if c.read.info == nil {
		return ""
	}
	return brokenConfig{path: c.read.path}.checks() + " && "
}

// known is get without a look into the file.
func (c *configured) known() ipc.ConfigState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.state
	out.Waits, out.Failing = slices.Clone(c.state.Waits), nil
	for _, name := range slices.Sorted(maps.Keys(c.failing)) {
		out.Failing = append(out.Failing, c.failing[name])
	}
	if c.read.path != "" {
		out.Changed = !sameFile(c.info, fileInfo(c.read.path))
	}
	return out
}

// fails notes that what a setting names could not be started or written; a nil err, that
// it could. It says whether that is news.
func (c *configured) fails(setting string, err error, fix string) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, failed := c.failing[setting]
	if err == nil {
		delete(c.failing, setting)
		return failed
	}
	c.failing[setting] = ipc.ConfigFailure{Setting: setting, Problem: err.Error(), Fix: fix}
	return was.Problem != err.Error()
}

// sameFile says whether a file is still what it was; nil stands for none.
func sameFile(was, is fs.FileInfo) bool {
	if was == nil || is == nil {
		return was == nil && is == nil
	}
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime()) && was.Mode() == is.Mode()
}

// fileInfo is nil where there is no file, or it cannot be looked at.
func fileInfo(path string) fs.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

// refused notes that the file was not taken.
func (c *configured) refused(info fs.FileInfo, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Problem, c.info = err.Error(), info
}

// taken notes that it was, and what of it waits for the next start. It says whether
// the time before it was not.
func (c *configured) taken(d document, waits []string) (mended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mended = c.state.Problem != ""
	c.info = d.info
	c.state = ipc.ConfigState{Loaded: ipc.WireTime(time.Now()), Waits: waits}
	if d.info != nil {
		c.state.File = d.path
	}
	return mended
}

// differing names the settings that differ, of those that a reload changes or of the
// others.
func differing(a, b config, reload bool) []string {
	var names []string
	other := settings(b)
	for i, s := range settings(a) {
		if s.reload == reload && !reflect.DeepEqual(s.value.Interface(), other[i].value.Interface()) {
			names = append(names, s.name)
		}
	}
	return names
}

// reload reads the configuration again and takes what can change while running.
// Where anything is wrong with it, all stays as it was.
func (s *service) reload() {
	path := s.configured.read.path
	before := fileInfo(path) // what is put there while it is read counts as changed
	d, next, roots, err := s.reread()
	if err != nil {
		s.configured.refused(before, err)
		check := brokenConfig{path: path}.checks()
		s.notify("STATUS=the configuration was not reloaded: " + check + " says why")
		s.log.Error("the configuration was not reloaded, and what was read before holds", "err", err, "check", check)
		return
	}
	took, waits := differing(s.config, next, true), differing(s.configured.start, next, false)
	old := s.config
	s.config.Session, s.config.Recovery, s.config.LogLevel, s.config.Backup = next.Session, next.Recovery, next.LogLevel, next.Backup
	s.config.Tokens = next.Tokens
	s.config.Tokens.FIDO2Devices, s.roots = old.Tokens.FIDO2Devices, roots
	if level, err := s.config.level(); err == nil { // which was checked
		s.level.Set(level)
	}
	s.setAccess()
	s.daemon.SetLimits(s.limits())
	s.daemon.SetAttestation(s.attestation())
	s.daemon.SetBackupRules(s.backupRules())
	if s.configured.taken(d, waits) {
		s.notify("STATUS=")
	}
	s.log.Info("the configuration was reloaded", "changed", strings.Join(took, ", "))
	s.moveDoor(!s.desk.Locked())
	if len(waits) > 0 {
		s.log.Warn("settings of the configuration change at the next start", "settings", strings.Join(waits, ", "))
	}
}

// reread reads what reload needs. A configuration that was read before and is gone
// is not the same as none.
func (s *service) reread() (d document, next config, roots [][]byte, err error) {
	if d, err = readConfig(s.options.config, s.fallback, s.mode == daemon.ModeSystem); err != nil {
		return d, next, nil, err
	}
	if s.configured.known().File != "" && d.info == nil {
		return d, next, nil, fmt.Errorf("%s is gone", s.configured.read.path)
	}
	if next, err = s.override(d.config); err != nil {
		return d, next, nil, err
	}
	roots, err = readRoots(next.Tokens.AttestationRoots)
	return d, next, roots, err
}
