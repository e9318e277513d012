package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// newTimer is the timer of this system.
func (c *cli) newTimer() (timer, error) {
	program, args, err := c.timerCommand()
	if err != nil {
		return nil, err
	}
	command := append([]string{program}, args...)
	switch runtime.GOOS {
	case "darwin":
		home, err := os.UserHomeDir()
		return &agentTimer{c: c, home: home, command: command}, err
	case "windows":
		return &taskTimer{c: c, command: command}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	return &systemdTimer{c: c, dir: filepath.Join(dir, "systemd", "user"), command: command}, nil
}

// manager runs a program of the system, which answers in bounded time.
func manager(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		if text := strings.TrimSpace(string(out)); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}

// replaceUnit puts a file of the user's own configuration in place.
func replaceUnit(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func removeUnit(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// systemdTimer is a timer and a service of the user's systemd.
type systemdTimer struct {
	c       *cli
	dir     string
	command []string
}

const (
	systemdService = "tokend-backup.service"
	systemdUnit    = "tokend-backup.timer"
)

func (t *systemdTimer) kind() string    { return "systemd" }
func (t *systemdTimer) path() string    { return filepath.Join(t.dir, systemdUnit) }
func (t *systemdTimer) installed() bool { return isThere(t.path()) }

func (t *systemdTimer) install(ctx context.Context) error {
	if err := manager(ctx, "systemctl", "--user", "show-environment"); err != nil {
		return t.c.noTimer("no systemd of yours answers here")
	}
	for name, text := range map[string]string{systemdService: systemdServiceText(t.command), systemdUnit: systemdTimerText()} {
		if err := replaceUnit(filepath.Join(t.dir, name), text); err != nil {
			return fileFailure("write "+filepath.Join(t.dir, name), err)
		}
	}
	if err := manager(ctx, "systemctl", "--user", "daemon-reload"); err != nil {
		return err
	}
	return manager(ctx, "systemctl", "--user", "enable", "--now", systemdUnit)
}

func (t *systemdTimer) remove(ctx context.Context) error {
	var errs []error
	if t.installed() {
		// Where no systemd answers there is nothing to stop, and the files go anyway.
		if manager(ctx, "systemctl", "--user", "show-environment") == nil {
			errs = append(errs, manager(ctx, "systemctl", "--user", "disable", "--now", systemdUnit))
		}
	}
	for _, name := range []string{systemdUnit, systemdService} {
		errs = append(errs, removeUnit(filepath.Join(t.dir, name)))
	}
	return errors.Join(errs...)
}

// systemdServiceText is the service. Its exit code 22 makes it failed, which is
// where people look.
func systemdServiceText(command []string) string {
	return `[Unit]
Description=Copy the backups of the two-factor vault
Documentation=man:tokenctl(1)

[Service]
Type=oneshot
ExecStart=` + systemdCommand(command) + `
TimeoutStartSec=30min
Nice=10
IOSchedulingClass=idle
`
}

func systemdTimerText() string {
	return `[Unit]
Description=Copy the backups of the two-factor vault once an hour

[Timer]
OnStartupSec=2min
OnCalendar=hourly
RandomizedDelaySec=5min
Persistent=true

[Install]
WantedBy=timers.target
`
}

// systemdCommand is a command line for a unit. In the program's own path systemd
// takes a dollar for what it is, and two for two.
func systemdCommand(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		if words[i] = systemdWord(w); i == 0 {
			words[i] = strings.ReplaceAll(words[i], "$$", "$")
		}
	}
	return strings.Join(words, " ")
}

// systemdWord quotes a word of a command line for a unit.
func systemdWord(w string) string {
	w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`, "\t", `\t`).Replace(w)
	if w == "" || strings.ContainsAny(w, " ';\\\"") {
		return `"` + w + `"`
	}
	return w
}

// agentTimer is an agent of launchd.
type agentTimer struct {
	c       *cli
	home    string
	command []string
}

const agentLabel = "io.github.tokenbridge.tokend.backup"

func (t *agentTimer) kind() string { return "launchd" }
func (t *agentTimer) path() string {
	return filepath.Join(t.home, "Library", "LaunchAgents", agentLabel+".plist")
}
func (t *agentTimer) installed() bool { return isThere(t.path()) }

// launchdDomain is where launchd keeps what runs in the user's session.
func launchdDomain() string { return "gui/" + strconv.Itoa(os.Getuid()) }

func (t *agentTimer) install(ctx context.Context) error {
	if err := replaceUnit(t.path(), agentText(t.command)); err != nil {
		return fileFailure("write "+t.path(), err)
	}
	// One that is loaded already is loaded anew; there need not be one.
	_ = manager(ctx, "launchctl", "bootout", launchdDomain()+"/"+agentLabel)
	if err := manager(ctx, "launchctl", "bootstrap", launchdDomain(), t.path()); err != nil {
		return errors.Join(t.c.noTimer("launchd does not take the agent: "+err.Error()), removeUnit(t.path()))
	}
	return nil
}

func (t *agentTimer) remove(ctx context.Context) error {
	if t.installed() {
		_ = manager(ctx, "launchctl", "bootout", launchdDomain()+"/"+agentLabel)
	}
	return removeUnit(t.path())
}

func agentText(command []string) string {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + agentLabel + `</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, w := range command {
		b.WriteString("\t\t<string>")
		_ = xml.EscapeText(&b, []byte(w)) // a buffer takes everything
		b.WriteString("</string>\n")
	}
	b.WriteString(`	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>StartInterval</key>
	<integer>3600</integer>
	<key>ProcessType</key>
	<string>Background</string>
</dict>
</plist>
`)
	return b.String()
}

// taskTimer is a scheduled task of Windows.
type taskTimer struct {
	c       *cli
	command []string
}

const taskName = "tokend backup"

func (t *taskTimer) kind() string { return "task" }
func (t *taskTimer) path() string { return taskName }
func (t *taskTimer) installed() bool {
	return manager(context.Background(), "schtasks", "/Query", "/TN", taskName) == nil
}

func (t *taskTimer) install(ctx context.Context) error {
	err := manager(ctx, "schtasks", "/Create", "/F", "/SC", "HOURLY", "/TN", taskName, "/TR", windowsLine(t.command))
	if err != nil {
		return t.c.noTimer("the task scheduler does not take the task: " + err.Error())
	}
	return nil
}

func (t *taskTimer) remove(ctx context.Context) error {
	if !t.installed() {
		return nil
	}
	return manager(ctx, "schtasks", "/Delete", "/F", "/TN", taskName)
}

// windowsLine is a command line for Windows, where no word holds a quote.
func windowsLine(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = w
		if strings.ContainsAny(w, " \t") {
			words[i] = `"` + w + `"`
		}
	}
	return strings.Join(words, " ")
}

// shellLine is a command line for a shell.
func shellLine(command []string) string {
	words := make([]string, len(command))
	for i, w := range command {
		words[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@"
