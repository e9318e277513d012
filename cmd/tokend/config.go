package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// systemConfig is read by the system's daemon when it is there and --config
// names no other.
const systemConfig = "/etc/tokend/tokend.toml"

// config is the configuration file. The sample, and so the documentation, is
// made from these tags.
type config struct {
	StateDir string `toml:"state_dir" doc:"Where the vaults are kept. Absent: /var/lib/tokend for the system's daemon,\n$XDG_STATE_HOME/tokend or ~/.local/state/tokend for a user's own."`
	Socket   string `toml:"socket" doc:"The socket to listen at. Absent: /run/tokend/tokend.sock for the system's daemon,\n$XDG_RUNTIME_DIR/tokend/tokend.sock for a user's own."`
	Helper   string `toml:"helper" doc:"The absolute path of tokend-helper. Absent: beside tokend, or in a libexec folder."`

	HelperSockets string `toml:"helper_sockets" doc:"The folder of the sockets at which systemd starts tokend-helper as a user of its own, for\nPIV cards and FIDO2 keys; none has tokend start it itself. Absent: /run/tokend-helper for\nthe system's daemon where that is there, else none."`

	Bus       string       `toml:"bus" doc:"The D-Bus message bus to serve on: system, session or none. Absent: none; session for a\nuser's own daemon where $DBUS_SESSION_BUS_ADDRESS is set."`
	LogLevel  string       `toml:"log_level" doc:"debug, info, warn or error. Reloaded on SIGHUP."`
	Session   session      `toml:"session" doc:"When an open vault locks by itself. Reloaded on SIGHUP."`
	Recovery  recovery     `toml:"recovery" doc:"The recovery password. Reloaded on SIGHUP."`
	Backup    backups      `toml:"backup" doc:"The backups that are made by themselves. Reloaded on SIGHUP."`
	Tokens    access       `toml:"tokens" doc:"Who may use the tokens of this machine, and which tokens may be enrolled. Reloaded on\nSIGHUP, but for fido2_devices."`
	Authority authorityKey `toml:"authority" doc:"The authority that can live in this daemon: users, fobs and the verification of passcodes\n(tokenctl admin authority create). Changes at the next start."`
	Mail      mailServer   `toml:"mail" doc:"The mail server through which the authority sends activation links\n(tokenctl admin activation create --mail). Changes at the next start."`
}

type authorityKey struct {
	Key     string `toml:"key" doc:"Where the key of its registry comes from: file, or credential (the systemd credential\ntokend-authority-key)."`
	KeyFile string `toml:"key_file" doc:"The absolute path of the key file. Absent: key in the folder authority of the state folder."`
	Listen  string `toml:"listen" doc:"host:port where devices on other machines reach the authority, over TLS 1.3 with a key\nthat is made for it and that they pin. Absent: nowhere. Nothing but sealed messages is\nserved there."`
	Address string `toml:"address" doc:"host:port that devices are told, where it is another than listen: behind a gateway, or\nwhere listen is every address of the machine."`
}

type session struct {
	IdleLock           duration `toml:"idle_lock" doc:"After this time without use."`
	HardLock           duration `toml:"hard_lock" doc:"After this time in any case."`
	LockOnTokenRemoval bool     `toml:"lock_on_token_removal" doc:"When the token that unlocked it is pulled out."`
}

type recovery struct {
	Reminder duration `toml:"reminder" doc:"After this time without its being typed, status asks whether it is still known;\n\"0s\" never asks."`
}

type backups struct {
	Debounce   duration `toml:"debounce" doc:"How long after a change of the vault one is made."`
	Daily      duration `toml:"daily" doc:"How often one is made, and the newest is looked at, without any change."`
	StaleAfter duration `toml:"stale_after" doc:"How long a destination may be without a fresh backup before it is called stale,\nunless it has a time of its own (tokenctl backup destination add --stale-after)."`
	ProveAfter duration `toml:"prove_after" doc:"How long after the last drill the backups are called unproved. \"0s\" is never."`
}

type access struct {
	Users []string `toml:"users" doc:"Users (names or numbers) who may use tokens without sitting at the machine.\nRoot and whoever has the active session at a seat always may; it matters to the\nsystem's daemon only."`

	FIDO2Devices       []string `toml:"fido2_devices" doc:"Device paths of FIDO2 keys beside those that the system lists."`
	RequireAttestation bool     `toml:"require_attestation" doc:"Enrol only tokens for which a maker vouches that is known or in attestation_roots."`
	AttestationRoots   string   `toml:"attestation_roots" doc:"A PEM file of certificates whose word counts in an attestation, beside that of the\nmakers that tokend knows. Absent: none."`
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
		LogLevel: "info",
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
	}
}

// readConfig reads the file at path; with an empty path and no file at fallback
// the defaults hold.
func readConfig(path, fallback string) (config, error) {
	named := path != ""
	if !named {
		path = fallback
	}
	if path == "" {
		return defaultConfig(), nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		if !named && errors.Is(err, os.ErrNotExist) {
			return defaultConfig(), nil
		}
		return config{}, usageError{fmt.Errorf("cannot read the configuration: %w", err)}
	}
	c, err := parseConfig(string(b))
	if err != nil {
		return config{}, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return c, nil
}

// parseConfig reads a configuration strictly: what it does not know it refuses,
// with the line.
func parseConfig(text string) (config, error) {
	c := defaultConfig()
	meta, err := toml.Decode(text, &c)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return config{}, fmt.Errorf("line %d: %s", parse.Position.Line, parse.Message)
		}
		return config{}, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		return config{}, fmt.Errorf("line %d: there is no setting %q", lineOf(text, unknown[0]), key)
	}
	return c, c.check()
}

// lineOf finds the line of a key that the decoder did not take: it keeps no
// positions of those. It follows the tables as they open.
func lineOf(text string, key toml.Key) int {
	table := ""
	want := strings.Join(key[:len(key)-1], ".")
	last := key[len(key)-1]
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(strings.TrimSpace(strings.SplitN(line, "#", 2)[0]), "[] ")
			if table == key.String() {
				return i + 1
			}
			continue
		}
		name := strings.Trim(strings.TrimSpace(strings.SplitN(line, "=", 2)[0]), `"'`)
		if table == want && (name == last || strings.HasPrefix(name, last+".")) || table == "" && name == key.String() {
			return i + 1
		}
	}
	return 1
}

func (c config) check() error {
	for name, path := range map[string]string{"state_dir": c.StateDir, "helper": c.Helper} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("%s must be an absolute path", name)
		}
	}
	if c.HelperSockets != "" && c.HelperSockets != noSockets && !filepath.IsAbs(c.HelperSockets) {
		return fmt.Errorf("helper_sockets must be an absolute path or %s", noSockets)
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if err := c.checkBus(); err != nil {
		return err
	}
	if err := c.Tokens.check(); err != nil {
		return err
	}
	if err := c.Backup.check(); err != nil {
		return err
	}
	if err := errors.Join(c.Authority.check(), c.Mail.check()); err != nil {
		return err
	}
	for name, d := range map[string]duration{"session.idle_lock": c.Session.IdleLock, "session.hard_lock": c.Session.HardLock} {
		if time.Duration(d) < shortestLock || time.Duration(d) > longestLock {
			return fmt.Errorf("%s must lie between %s and %s", name, shortestLock, longestLock)
		}
	}
	if d := time.Duration(c.Recovery.Reminder); d != 0 && d < shortestReminder {
		return fmt.Errorf("recovery.reminder must be 0s or at least %s", shortestReminder)
	}
	return nil
}

func (b backups) check() error {
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
			return fmt.Errorf("backup.%s must lie between %s and %s", f.name, f.least, f.most)
		}
	}
	return nil
}

func (a access) check() error {
	if len(a.FIDO2Devices) > helper.MaxDevices {
		return fmt.Errorf("tokens.fido2_devices can name %d devices", helper.MaxDevices)
	}
	for _, path := range a.FIDO2Devices {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("tokens.fido2_devices must be absolute paths, not %q", path)
		}
	}
	if a.AttestationRoots != "" && !filepath.IsAbs(a.AttestationRoots) {
		return errors.New("tokens.attestation_roots must be an absolute path")
	}
	return nil
}

func (c config) level() (slog.Level, error) {
	var l slog.Level
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return l, l.UnmarshalText([]byte(c.LogLevel))
	}
	return l, fmt.Errorf("log_level must be debug, info, warn or error, not %q", c.LogLevel)
}

// writeSample writes a configuration that says the defaults, with every setting
// explained.
func writeSample(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# The configuration of tokend. What is commented out is as it is without this file.\n")
	sampleTable(&b, "", reflect.ValueOf(defaultConfig()))
	_, err := io.WriteString(w, b.String())
	return err
}

// sampleTable writes a table's own settings first, then its tables.
func sampleTable(b *strings.Builder, table string, v reflect.Value) {
	for _, tables := range []bool{false, true} {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if (f.Type.Kind() == reflect.Struct) != tables {
				continue
			}
			fmt.Fprintf(b, "\n# %s\n", strings.ReplaceAll(f.Tag.Get("doc"), "\n", "\n# "))
			name := f.Tag.Get("toml")
			if tables {
				fmt.Fprintf(b, "[%s]\n", strings.TrimPrefix(table+"."+name, "."))
				sampleTable(b, name, v.Field(i))
				continue
			}
			fmt.Fprintf(b, "#%s = %s\n", name, sampleValue(v.Field(i).Interface()))
		}
	}
}

func sampleValue(v any) string {
	switch v := v.(type) {
	case bool:
		return fmt.Sprint(v)
	case duration:
		s := time.Duration(v).String() // "10m0s"
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return fmt.Sprintf("%q", s)
	case []string:
		return "[]"
	default:
		return fmt.Sprintf("%q", v)
	}
}

// usualConfig is the configuration that is read when none is named: the
// system's, or the user's own. It is empty for a user without a home.
func usualConfig(system bool) string {
	if system {
		return systemConfig
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "tokend", "tokend.toml")
}

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, or print a sample of one", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var path string
	check := &cobra.Command{
		Use: "check", Short: "Read the configuration and say what is wrong with it", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				path = usualConfig(systemUser())
				if _, err := os.Stat(path); err != nil {
					return usageError{fmt.Errorf("there is no configuration at %s, and none is needed; name one with --config", path)}
				}
			}
			read, err := readConfig(path, "")
			if err != nil {
				return err
			}
			if _, err := readRoots(read.Tokens.AttestationRoots); err != nil {
				return usageError{fmt.Errorf("%s: %w", path, err)}
			}
			if _, err := read.Mail.sender(os.Getenv("CREDENTIALS_DIRECTORY")); err != nil {
				return usageError{fmt.Errorf("%s: %w", path, err)}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), path+": ok")
			return err
		},
	}
	check.Flags().StringVar(&path, "config", "", "the file to check (default: what serve reads)")
	sample := &cobra.Command{
		Use: "sample", Short: "Print a configuration with every setting explained", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return writeSample(c.OutOrStdout()) },
	}
	c.AddCommand(check, sample)
	return c
}
