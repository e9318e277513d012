package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/tokenbridge/tokend/ipc"
)

// From here on a session is long enough to be said so.
const (
	longIdle = time.Hour
	longHard = 24 * time.Hour
)

// lint gathers what somebody should know of settings that are right by themselves: what
// serve does not start with is an error, all else a warning.
type lint struct {
	config
	d      document
	flaws  flaws // of what nothing more is said
	system bool
	list   []problem
}

// configWarnings is what is dangerous or without effect in those settings of a
// configuration that can be used.
func configWarnings(d document, f flaws, system bool) []problem {
	l := &lint{config: d.config, d: d, flaws: f, system: system}
	l.file()
	l.users()
	l.sessions()
	l.backups()
	l.buses()
	l.secrets()
	l.places()
	return l.list
}

func (l *lint) warn(setting, fix, message string, args ...any) {
	l.say(levelWarning, setting, fix, message, args...)
}

// fail is about what serve does not start with.
func (l *lint) fail(setting, fix, message string, args ...any) {
	l.say(levelError, setting, fix, message, args...)
}

func (l *lint) say(level, setting, fix, message string, args ...any) {
	if setting != "" && l.flaws.blame(setting) {
		return
	}
	l.list = append(l.list, problem{Level: level, Line: l.d.line(setting), Setting: setting, Fix: fix, Message: fmt.Sprintf(message, args...)})
}

// file is about who can change the file itself.
func (l *lint) file() {
	if l.d.info == nil {
		return
	}
	if l.d.distrust != "" {
		l.warn("", fixDistrust(l.d.path), "%s, and the system's daemon refuses it then", l.d.distrust)
	}
	if who := mayNotRead(l.d.info); l.system && who != "" && l.d.info.Mode()&0o044 == 0 {
		l.fail("", "sudo chmod a+r "+ipc.ShellWord(l.d.path), "the service runs as %s, who cannot read %s, and does not start then", who, l.d.path)
	}
	dir := filepath.Dir(l.d.path)
	if info, err := os.Stat(dir); err == nil && info.Mode()&os.ModeSticky == 0 {
		if why := distrustAt(dir, info); why != "" {
			l.warn("", fixDistrust(dir), "%s can be replaced by others: of its folder, %s", l.d.path, why)
		}
	}
}

func (l *lint) users() {
	if !l.system { // where it does not matter who they are
		if len(l.Tokens.Users) > 0 {
			l.warn("tokens.users", "remove the line", "tokens.users has no effect in a user's own daemon, which serves him alone")
		}
		return
	}
	unknown := new(tokenAccess).set(l.Tokens.Users)
	slices.Sort(unknown)
	for _, name := range slices.Compact(unknown) {
		l.warn("tokens.users", "write the name of a user of this machine, or remove it; "+allUsers(runtime.GOOS), "there is no user %q, and so nobody is let in by it", name)
	}
}

// allUsers is the command that shows the users of a machine on a system (GOOS).
func allUsers(system string) string {
	switch system {
	case "windows":
		return "all there are: net user"
	case "darwin":
		return "all there are: dscl . -list /Users"
	}
	return "all there are: getent passwd"
}

func (l *lint) sessions() {
	idle, hard := time.Duration(l.Session.IdleLock), time.Duration(l.Session.HardLock)
	if idle > hard && !l.flaws.blame("session.hard_lock") {
		l.warn("session.idle_lock", "make it shorter than session.hard_lock", "session.idle_lock has no effect: session.hard_lock comes first")
	}
	if idle > longIdle && hard > longIdle && !l.flaws.blame("session.hard_lock") {
		l.warn("session.idle_lock", `write idle_lock = "10m"`, "an open vault that nobody uses stays open for %s, for whoever comes to the machine", min(idle, hard))
	}
	if hard > longHard {
		l.warn("session.hard_lock", `write hard_lock = "12h"`, "an open vault can stay open for %s", hard)
	}
	if !l.Session.LockOnTokenRemoval {
		l.warn("session.lock_on_token_removal", "write lock_on_token_removal = true", "pulling out the token locks nothing")
	}
	if l.Recovery.Reminder == 0 {
		l.warn("recovery.reminder", `write reminder = "2160h"`, "nobody is ever asked whether he still knows his recovery password")
	}
}

func (l *lint) backups() {
	b := l.Backup
	daily := !l.flaws.blame("backup.daily")
	if b.StaleAfter <= b.Daily && daily {
		l.warn("backup.stale_after", "make it longer than backup.daily", "every destination is called stale before its next backup is due")
	}
	if b.Debounce > b.Daily && daily {
		l.warn("backup.debounce", "make it shorter than backup.daily", "backup.debounce has no effect: backup.daily comes first")
	}
	if b.ProveAfter == 0 {
		l.warn("backup.prove_after", `write prove_after = "4320h"`, "no backup is ever called unproved")
	}
}

func (l *lint) buses() {
	switch {
	case l.Bus == busSession && l.system:
		l.warn("bus", `write bus = "system"`, "the system's daemon would serve on the bus of one session")
	case l.Bus == busSystem && !l.system:
		l.warn("bus", `write bus = "session"`, "a user's own daemon may not have its name on the system's bus, unless its policy was changed")
	}
}

// secrets is about files that nobody else should read.
func (l *lint) secrets() {
	if path := l.Authority.KeyFile; path != "" { // of the mail server's password, who reads it says so
		if info, err := os.Stat(path); err == nil && exposed(info) {
			l.warn("authority.key_file", giveTo(path), "others can read %s, which holds a secret (mode %#o)", path, info.Mode().Perm())
		}
	}
	for _, secret := range []struct{ setting, path string }{{"authority.key_file", l.Authority.KeyFile}, {"mail.password_file", l.Mail.PasswordFile}} {
		if info, err := os.Stat(secret.path); secret.path != "" && l.system && err == nil {
			if who := mayNotRead(info); who != "" {
				l.warn(secret.setting, giveTo(secret.path), "the service runs as %s, who cannot read %s if its owner alone can", who, secret.path)
			}
		}
	}
	if l.Authority.Key == keyInCredential && os.Getenv("CREDENTIALS_DIRECTORY") == "" && l.d.line("authority.key") > 0 && !l.system {
		l.warn("authority.key", `write key = "file"`, "a user's own daemon is given no credential by systemd unless its unit says so")
	}
}
