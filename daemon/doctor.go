package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/audit"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// The levels of a finding, worst first.
const (
	levelError   = "error"
	levelWarning = "warning"
	levelNote    = "note"
	levelOK      = "ok"
)

// The free space, in bytes, under which the doctor says so.
const (
	lowSpace  = 64 << 20
	fullSpace = 4 << 20
)

// staleBackup is the age at which a backup is called old.
const staleBackup = 90 * 24 * time.Hour

// checkup gathers findings.
type checkup struct {
	u    *user
	p    ipc.Principal
	list []ipc.Finding
	// told are what drivers found about tokens that are present, by their places.
	told map[place]tokens.Finding
}

func (c *checkup) found(level, code, fix, message string, args ...any) {
	c.list = append(c.list, ipc.Finding{Level: level, Code: code, Fix: fix, Message: fmt.Sprintf(message, args...)})
}

// Doctor implements [ipc.Reporter]. It asks the tokens that are present what
// they are, without PIN or touch.
func (d *Daemon) Doctor(ctx context.Context, p ipc.Principal) (ipc.Findings, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Findings{}, err
	}
	c := &checkup{u: u, p: p, told: make(map[place]tokens.Finding)}
	c.helper()
	c.bus()
	c.config()
	c.services()
	c.diagnose(ctx)
	c.tokens(ctx)
	c.folder()
	c.aside()
	c.space()
	c.clock()
	c.backups()
	c.vault()
	c.audit()
	c.authority()
	rank := map[string]int{levelError: 0, levelWarning: 1, levelNote: 2, levelOK: 3}
	slices.SortStableFunc(c.list, func(a, b ipc.Finding) int { return rank[a.Level] - rank[b.Level] })
	return ipc.Findings{Version: ipc.Version, Findings: c.list}, nil
}

func (c *checkup) helper() {
	if state := c.u.d.helper(); state != "ok" {
		c.found(levelError, "helper", c.helperFix(state), "the token helper cannot be used: %s", state)
		return
	}
	c.found(levelOK, "helper", "", "the token helper works")
	if c.u.d.cfg.HelperConfined != nil {
		c.confined(c.u.d.cfg.HelperConfined())
	}
}

// helperFix is what brings a helper back: what it is linked with, or itself.
func (c *checkup) helperFix(state string) string {
	switch path, open := strings.CutSuffix(state, " can be changed by everybody"); {
	case open:
		return "sudo chmod go-w " + ipc.ShellWord(path[strings.LastIndex(path, " /")+1:])
	case strings.Contains(state, "shared librar"):
		return fixLibraries
	case c.u.d.cfg.HelperFix != nil:
		return c.u.d.cfg.HelperFix()
	}
	return ""
}

// bus is about the message bus, where the daemon is to serve on one. What mends it
// depends on what it says: who else has the name, which policy is not installed.
func (c *checkup) bus() {
	switch state := c.u.d.bus(); state {
	case "":
	case "ok":
		c.found(levelOK, "bus", "", "the daemon serves on D-Bus")
	default:
		c.found(levelWarning, "bus", "", "the daemon does not serve on D-Bus: %s", state)
	}
}

// confined says how far a helper that a hostile token has taken over is kept
// from the rest.
func (c *checkup) confined(words []string) {
	if words == nil {
		return
	}
	has := func(name string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return w == name || strings.HasPrefix(w, name+"-") })
	}
	var lacking []string
	for _, layer := range []struct{ word, without string }{
		{"landlock", "Landlock, which keeps it from files"}, {"seccomp", "seccomp, which keeps it from sockets and other programs"},
	} {
		if !has(layer.word) {
			lacking = append(lacking, layer.without)
		}
	}
	switch {
	case len(lacking) > 0 && runtime.GOOS == "linux":
		c.found(levelNote, "helper-confined", "", "this kernel does not confine the token helper by %s; a hostile token could do more than it need to", strings.Join(lacking, ", nor by "))
	case len(lacking) > 0:
		c.found(levelNote, "helper-confined", "", "this system does not confine the token helper: a hostile token that takes it over has the rights of its user")
	default:
		c.found(levelOK, "helper-confined", "", "the kernel confines the token helper (%s)", strings.Join(words, ", "))
	}
}

// aside names what restores put aside: it is kept for who needs it, is never
// removed by itself, and what was revoked may still open it.
func (c *checkup) aside() {
	found, err := filepath.Glob(filepath.Join(c.u.dir, "aside-*"))
	if err != nil {
		return // the pattern is right
	}
	for _, path := range found {
		c.found(levelNote, "put-aside", c.u.d.asOwner("rm -r "+ipc.ShellWord(path)), "what a restore put aside is in %s; remove it when nobody needs it", path)
	}
}

// folder checks who can read the state.
func (c *checkup) folder() {
	open, mend, err := exposed(c.u.dir)
	switch {
	case err != nil && c.u.notesOf() == nil:
		return // no folder, nothing to read
	case err != nil:
		c.found(levelError, "state-folder", "", "the state folder cannot be read")
	case open > 0:
		what := "1 file"
		if open > 1 {
			what = fmt.Sprintf("%d files", open)
		}
		c.found(levelError, "state-folder", c.u.d.asOwner(mend), "%s of the state folder can be read by others", what)
	default:
		c.found(levelOK, "state-folder", "", "only the daemon can read the state folder")
	}
}

func (c *checkup) space() {
	free, err := freeSpace(c.u.d.cfg.StateDir)
	switch {
	case err != nil:
		c.found(levelNote, "disk", "", "the free space of the state folder is not known")
	case free < fullSpace:
		c.found(levelError, "disk", "df -h "+ipc.ShellWord(c.u.d.cfg.StateDir), "the disk of the state folder is full")
	case free < lowSpace:
		c.found(levelWarning, "disk", "df -h "+ipc.ShellWord(c.u.d.cfg.StateDir), "the disk of the state folder has %d MiB left", free>>20)
	default:
		c.found(levelOK, "disk", "", "the disk of the state folder has room")
	}
}

// clock compares the time with what is known to have passed: codes are made of
// it.
func (c *checkup) clock() {
	now := c.u.d.now()
	floor := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	if store, err := c.u.storeIfAny(); err == nil && store != nil && store.Exists() {
		if head, err := store.Head(); err == nil && head.Written.After(floor) {
			floor = head.Written
		}
	}
	if now.Before(floor.Add(-time.Minute)) {
		c.found(levelError, "clock", remedy.Here().SetClock(), "the clock is behind: the vault was written later than now")
		return
	}
	c.found(levelOK, "clock", "", "the clock is plausible")
}

func (c *checkup) vault() {
	info := c.u.vaultInfo()
	if info.State == ipc.VaultNone && c.u.d.authority(c.p) != nil {
		c.found(levelOK, "vault", "", "there is no vault of yours, and the authority needs none")
		return
	}
	if info.State == ipc.VaultNone {
		c.found(levelNote, "vault", "tokenctl quickstart", "there is no vault")
		return
	}
	if info.Problem != nil {
		c.found(levelError, "vault", c.u.wayBack(), "%s", info.Problem.Message)
	} else {
		c.found(levelOK, "vault", "", "the vault is %s", info.State)
	}
	for _, w := range c.u.warnings(c.p) {
		if slices.ContainsFunc(c.list, func(f ipc.Finding) bool { return f.Message == w.Message }) || w.Code == "helper" || w.Code == "token-service" || w.Code == codeConfig {
			continue
		}
		level := levelWarning
		if w.Code == string(tokens.WarnNoTouch) {
			level = levelNote
		}
		c.found(level, w.Code, w.Fix, "%s", w.Message)
	}
	if !info.LastBackup.IsZero() {
		c.found(levelOK, "last-backup", "", "a backup was copied out of the daemon's folder on %s", info.LastBackup.Format(time.DateOnly))
	}
	if !info.RecoverySet.IsZero() {
		c.found(levelOK, "recovery-password", "", "a recovery password was set on %s", info.RecoverySet.Format(time.DateOnly))
	}
}

func (c *checkup) audit() {
	log, problem, err := c.u.chain()
	if err == nil && log == nil && problem == "" {
		return
	}
	var res audit.Result
	if err == nil && log != nil {
		res, err = log.Look()
	}
	if !res.Intact() {
		problem = res.Problem()
	}
	switch {
	case err != nil:
		c.found(levelError, "audit", "", "the audit log cannot be read")
	case problem != "":
		c.found(levelError, "audit", "tokenctl audit verify", "the audit log is not intact: %s", problem)
	case res.Entries > 0:
		c.found(levelOK, "audit", "", "the audit log is intact")
	}
}
