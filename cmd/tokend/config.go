package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// config is the configuration file. The sample, and so the documentation, is
// made from these tags.
type config struct {
	StateDir string `toml:"state_dir" doc:"Where the vaults are kept. Absent: /var/lib/tokend for the system's daemon,\n$XDG_STATE_HOME/tokend or ~/.local/state/tokend for a user's own."`
	Socket   string `toml:"socket" doc:"The socket to listen at. Absent: /run/tokend/tokend.sock for the system's daemon,\n$XDG_RUNTIME_DIR/tokend/tokend.sock for a user's own."`
	Helper   string `toml:"helper" doc:"The absolute path of tokend-helper. Absent: beside tokend, or in a libexec folder."`

	HelperSockets string `toml:"helper_sockets" doc:"The folder of the sockets at which systemd starts tokend-helper as a user of its own, for\nPIV cards and FIDO2 keys; none has tokend start it itself. Absent: /run/tokend-helper for\nthe system's daemon where that is there, else none."`

	Bus       string       `toml:"bus" doc:"The D-Bus message bus to serve on: system, session or none. Absent: none; session for a\nuser's own daemon where $DBUS_SESSION_BUS_ADDRESS is set."`
	LogLevel  string       `toml:"log_level" reload:"yes" doc:"debug, info, warn or error."`
	LogFormat string       `toml:"log_format" doc:"How the log is written: auto, text, json or journal. auto is the journal where systemd\nreads it, the event log where Windows runs the service, and text elsewhere."`
	Session   session      `toml:"session" doc:"When an open vault locks by itself."`
	Recovery  recovery     `toml:"recovery" doc:"The recovery password."`
	Backup    backups      `toml:"backup" doc:"The backups that are made by themselves."`
	Tokens    access       `toml:"tokens" doc:"Who may use the tokens of this machine, and which tokens may be enrolled."`
	Authority authorityKey `toml:"authority" doc:"The authority that can live in this daemon: users, fobs and the verification of passcodes\n(tokenctl admin authority create)."`
	Mail      mailServer   `toml:"mail" doc:"The mail server through which the authority sends activation links\n(tokenctl admin activation create --mail)."`
	Metrics   figures      `toml:"metrics" doc:"Figures for monitoring, beside those of the socket (docs/monitoring.md)."`
}

type authorityKey struct {
	Key     string `toml:"key" doc:"Where the key of its registry comes from: file, or credential (the systemd credential\ntokend-authority-key)."`
	KeyFile string `toml:"key_file" doc:"The absolute path of the key file. Absent: key in the folder authority of the state folder."`
	Listen  string `toml:"listen" doc:"host:port where devices on other machines reach the authority, over TLS 1.3 with a key\nthat is made for it and that they pin. Absent: nowhere. Nothing but sealed messages is\nserved there."`
	Address string `toml:"address" doc:"host:port that devices are told, where it is another than listen: behind a gateway, or\nwhere listen is every address of the machine."`
}

type session struct {
	IdleLock           duration `toml:"idle_lock" reload:"yes" doc:"After this time without use."`
	HardLock           duration `toml:"hard_lock" reload:"yes" doc:"After this time in any case."`
	LockOnTokenRemoval bool     `toml:"lock_on_token_removal" reload:"yes" doc:"When the token that unlocked it is pulled out."`
}

type recovery struct {
	Reminder duration `toml:"reminder" reload:"yes" doc:"After this time without its being typed, status asks whether it is still known;\n\"0s\" never asks."`
}

type backups struct {
	Debounce   duration `toml:"debounce" reload:"yes" doc:"How long after a change of the vault one is made."`
	Daily      duration `toml:"daily" reload:"yes" doc:"How often one is made, and the newest is looked at, without any change."`
	StaleAfter duration `toml:"stale_after" reload:"yes" doc:"How long a destination may be without a fresh backup before it is called stale,\nunless it has a time of its own (tokenctl backup destination add --stale-after)."`
	ProveAfter duration `toml:"prove_after" reload:"yes" doc:"How long after the last drill the backups are called unproved. \"0s\" is never."`
}

type access struct {
	Users []string `toml:"users" reload:"yes" doc:"Users (names or numbers) who may use tokens without sitting at the machine.\nRoot and whoever has the active session at a seat always may; it matters to the\nsystem's daemon only."`

	FIDO2Devices       []string `toml:"fido2_devices" doc:"Device paths of FIDO2 keys beside those that the system lists."`
	RequireAttestation bool     `toml:"require_attestation" reload:"yes" doc:"Enrol only tokens for which a maker vouches that is known or in attestation_roots."`
	AttestationRoots   string   `toml:"attestation_roots" reload:"yes" doc:"A PEM file of certificates whose word counts in an attestation, beside that of the\nmakers that tokend knows. Absent: none."`
}

type figures struct {
	Textfile string   `toml:"textfile" doc:"The absolute path of a file for node_exporter's textfile collector, such as\n/var/lib/prometheus/node-exporter/tokend.prom. Absent: none is written."`
	Interval duration `toml:"interval" doc:"How often it is written."`
}

// duration is a time.Duration written as "10m".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as \"10m\"", b)
	}
	*d = duration(v)
	return nil
}

// The bounds of the session limits.
const (
	shortestLock = time.Second
	longestLock  = 30 * 24 * time.Hour
)

// shortestReminder bounds how often a person is asked for the recovery password.
const shortestReminder = 24 * time.Hour

func defaultConfig() config {
	return config{
		LogLevel: "info", LogFormat: logAuto,
		Session: session{
			IdleLock: duration(10 * time.Minute), HardLock: duration(12 * time.Hour), LockOnTokenRemoval: true,
		},
		Recovery: recovery{Reminder: duration(daemon.DefaultRecoveryReminder)},
		Backup: backups{
			Debounce: duration(30 * time.Second), Daily: duration(24 * time.Hour),
			StaleAfter: duration(72 * time.Hour), ProveAfter: duration(180 * 24 * time.Hour),
		},
		Tokens:    access{Users: []string{}, FIDO2Devices: []string{}},
		Authority: authorityKey{Key: keyInFile},
		Mail:      mailServer{TLS: mailStartTLS},
		Metrics:   figures{Interval: duration(time.Minute)},
	}
}

// check is all that is wrong with the settings, each error beginning with the name
// of its setting.
func (c config) check() error {
	var all []error
	for name, path := range map[string]string{"state_dir": c.StateDir, "socket": c.Socket, "helper": c.Helper} {
		if path != "" && !filepath.IsAbs(path) {
			all = append(all, fmt.Errorf("%s must be an absolute path", name))
		}
	}
	if c.HelperSockets != "" && c.HelperSockets != noSockets && !filepath.IsAbs(c.HelperSockets) {
		all = append(all, fmt.Errorf("helper_sockets must be an absolute path or %s", noSockets))
	}
	_, level := c.level()
	all = append(all, level, c.checkFormat(), c.checkBus(), c.Tokens.check(), c.Backup.check(), c.Authority.check(), c.Mail.check(), c.Metrics.check())
	for name, d := range map[string]duration{"session.idle_lock": c.Session.IdleLock, "session.hard_lock": c.Session.HardLock} {
		if time.Duration(d) < shortestLock || time.Duration(d) > longestLock {
			all = append(all, fmt.Errorf("%s must lie between %s and %s", name, shortestLock, longestLock))
		}
	}
	if d := time.Duration(c.Recovery.Reminder); d != 0 && d < shortestReminder {
		all = append(all, fmt.Errorf("recovery.reminder must be 0s or at least %s", shortestReminder))
	}
	return errors.Join(all...)
}

// The bounds of metrics.interval.
const (
	shortestInterval = 5 * time.Second
	longestInterval  = time.Hour
)

func (f figures) check() error {
	var all []error
	if f.Textfile != "" && !filepath.IsAbs(f.Textfile) {
		all = append(all, errors.New("metrics.textfile must be an absolute path"))
	}
	if f.Textfile != "" && !strings.HasSuffix(f.Textfile, ".prom") {
		all = append(all, errors.New("metrics.textfile must end in .prom, for the collector reads no other file"))
	}
	if d := time.Duration(f.Interval); d < shortestInterval || d > longestInterval {
		all = append(all, fmt.Errorf("metrics.interval must lie between %s and %s", shortestInterval, longestInterval))
	}
	return errors.Join(all...)
}

func (b backups) check() error {
	var all []error
	for _, f := range []struct {
		name        string
		value       duration
		least, most time.Duration
	}{
		{"debounce", b.Debounce, time.Second, time.Hour},
		{"daily", b.Daily, time.Minute, 30 * 24 * time.Hour},
		{"stale_after", b.StaleAfter, time.Minute, 366 * 24 * time.Hour},
		{"prove_after", b.ProveAfter, 0, 100 * 366 * 24 * time.Hour},
	} {
		if d := time.Duration(f.value); d < f.least || d > f.most {
			all = append(all, fmt.Errorf("backup.%s must lie between %s and %s", f.name, f.least, f.most))
		}
	}
	return errors.Join(all...)
}

func (a access) check() error {
	var all []error
	if len(a.FIDO2Devices) > helper.MaxDevices {
		all = append(all, fmt.Errorf("tokens.fido2_devices can name %d devices", helper.MaxDevices))
	}
	for _, path := range a.FIDO2Devices {
		if !filepath.IsAbs(path) {
			all = append(all, fmt.Errorf("tokens.fido2_devices must be absolute paths, not %q", path))
		}
	}
	if a.AttestationRoots != "" && !filepath.IsAbs(a.AttestationRoots) {
		all = append(all, errors.New("tokens.attestation_roots must be an absolute path"))
	}
	return errors.Join(all...)
}

func (c config) level() (slog.Level, error) {
	var l slog.Level
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return l, l.UnmarshalText([]byte(c.LogLevel))
	}
	return l, fmt.Errorf("log_level must be debug, info, warn or error, not %q", c.LogLevel)
}
