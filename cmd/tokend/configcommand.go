package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// configVersion is the version of the documents of config.
const configVersion = 1

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check a configuration, show what holds, or print a sample", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	sample := &cobra.Command{
		Use: "sample", Short: "Print a configuration with every setting explained", Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return writeSample(c.OutOrStdout(), runtime.GOOS) },
	}
	c.AddCommand(configCheckCommand(), configShowCommand(), sample)
	return c
}

// configReport is the --json form of config check.
type configReport struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	// OK says that tokend would use it.
	OK       bool      `json:"ok"`
	Problems []problem `json:"problems"`
}

func configCheckCommand() *cobra.Command {
	var path string
	var asJSON, strict, user bool
	c := &cobra.Command{
		Use: "check [FILE]", Short: "Read a configuration and say what is wrong with it",
		Long: `Read a configuration as serve would, and say with line and setting what keeps it
from being used, and what is dangerous or has no effect, each with what mends it.

The exit code is 0 for a configuration that can be used, 2 for one that cannot be;
with --strict, it is 3 for one with warnings. Where no FILE is named and there is none,
the defaults hold, and it is 0.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return noArguments(nil, args[1:])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				if path != "" && path != args[0] {
					return usageError{errors.New("--config and FILE name two files")}
				}
				path = args[0]
			}
			system := systemUser() && !user
			if path == "" {
				path = usualConfig(system)
				if _, err := os.Stat(path); path == "" || errors.Is(err, os.ErrNotExist) {
					return reportNoConfig(c.OutOrStdout(), path, asJSON)
				}
			}
			return reportConfig(c.OutOrStdout(), checkConfig(path, system), asJSON, strict)
		},
	}
	f := c.Flags()
	f.StringVar(&path, "config", "", "the file to check (default: what serve reads)")
	f.BoolVar(&asJSON, "json", false, "print a JSON document")
	f.BoolVar(&strict, "strict", false, "fail for warnings, too")
	f.BoolVar(&user, "user", false, "check it for a user's own daemon (the default but for root)")
	return c
}

// checkConfig is all that is wrong with a file.
func checkConfig(path string, system bool) configReport {
	r := configReport{Version: configVersion, File: path, Problems: []problem{}}
	add := func(p problem) { r.Problems = append(r.Problems, p) }
	d, err := readConfigFile(path)
	if err != nil {
		fix := fixFile(path, err)
		if errors.Is(err, fs.ErrPermission) && path == usualConfig(true) { // who administers the machine may
			fix = "sudo " + brokenConfig{path: path}.checks()
		}
		add(problem{Level: levelError, Message: "cannot read the configuration: " + err.Error(), Fix: fix})
		return r
	}
	if d.distrust != "" && system {
		add(problem{Level: levelError, Message: d.distrust, Fix: fixDistrust(path)})
	}
	found, readable := d.inspect()
	if readable {
		if system && d.distrust != "" {
			d.info = nil // that was said
		}
		found = namedFiles(d, found, system)
		found = append(found, configWarnings(d, newFlaws(d.keys, found), system)...)
	}
	r.Problems = append(r.Problems, byLine(found)...)
	r.OK = !slices.ContainsFunc(r.Problems, func(p problem) bool { return p.Level == levelError })
	r.Problems = capped(r.Problems)
	return r
}

// namedFiles adds to what was found what is wrong with the files that the settings name.
func namedFiles(d document, found []problem, system bool) []problem {
	f := newFlaws(d.keys, found)
	_, err := readRoots(d.config.Tokens.AttestationRoots)
	for _, err := range each(err) {
		found = f.add(found, settingProblem(d.keys, err), err)
	}
	if path := d.config.Authority.KeyFile; path != "" { // one that is not there is made
		if err := mustBeFile(path); errors.Is(err, errNoFile) {
			err = remedied{error: fmt.Errorf("authority.key_file: %w", err), setting: "authority.key_file", fix: fixFile(path, err)}
			found = f.add(found, settingProblem(d.keys, err), err)
		}
	}
	for _, err := range d.config.Mail.files(os.Getenv("CREDENTIALS_DIRECTORY")) {
		found = f.add(found, mailProblem(d.keys, err, system), err)
	}
	return found
}

// mailProblem is why the mail server cannot be used, which keeps tokend from nothing
// else. What systemd gives the system's service, a shell cannot see.
func mailProblem(keys []keyAt, err error, system bool) problem {
	p := settingProblem(keys, err)
	p.Level, p.Message = levelWarning, "the authority cannot send links by e-mail: "+p.Message
	if system && errors.Is(err, errNoCredential) {
		p.Message = fmt.Sprintf("mail.password_file is missing: whether the service is given the credential %s cannot be told here", mailCredential)
		p.Fix = "systemctl show -p LoadCredential -p LoadCredentialEncrypted tokend"
		if !remedy.Here().Systemd() {
			p.Fix = "write password_file = \"FILE\" below [mail], for no systemd runs here that could give it"
		}
	}
	return p
}

// reportNoConfig says that there is nothing to check: none is needed.
func reportNoConfig(w io.Writer, path string, asJSON bool) error {
	if asJSON {
		return writeJSON(w, configReport{Version: configVersion, File: path, OK: true, Problems: []problem{}})
	}
	_, err := fmt.Fprintf(w, "there is no file at %s, and none is needed: the defaults hold (tokend config sample)\n", path)
	return err
}

// writeJSON writes a document, for people to read as well.
func writeJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(document)
}

// reportConfig writes what was found, and fails where the configuration cannot be
// used.
func reportConfig(w io.Writer, r configReport, asJSON, strict bool) error {
	if asJSON {
		if err := writeJSON(w, r); err != nil {
			return err
		}
	} else {
		for _, p := range r.Problems {
			where := r.File
			if p.Line > 0 {
				where += fmt.Sprintf(":%d", p.Line)
			}
			fmt.Fprintf(w, "%s: %s: %s\n", where, p.Level, p.Message)
			if p.Fix != "" {
				fmt.Fprintf(w, "    mend it: %s\n", remedy.Typed(p.Fix))
			}
		}
		if len(r.Problems) == 0 {
			fmt.Fprintln(w, r.File+": ok")
		}
	}
	switch {
	case !r.OK:
		return usageError{fmt.Errorf("%s cannot be used", r.File)}
	case strict && len(r.Problems) > 0:
		return exitError{3, fmt.Errorf("%s has warnings", r.File)}
	}
	return nil
}

// shownSetting is a setting as it holds, in the --json form of config show.
type shownSetting struct {
	Name string `json:"name"`
	// Value is as in the file, in TOML.
	Value string `json:"value"`
	// Source is "default", "file" or "flag".
	Source string `json:"source"`
	Line   int    `json:"line,omitempty"`
	// Reload says that a change holds from the next SIGHUP on.
	Reload bool `json:"reload"`
}

func configShowCommand() *cobra.Command {
	var o options
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Show every setting as serve would have it, and where each comes from", Args: noArguments,
		Long: `Show every setting as serve would have it with the same flags, and where it comes
from: the default, the file with its line, or a flag. A daemon that runs may go by an
older file: "tokenctl status" says so.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := newService(o, io.Discard)
			if err != nil {
				return err
			}
			return showConfig(c.OutOrStdout(), s, asJSON)
		},
	}
	o.flags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON document")
	return c
}

func showConfig(w io.Writer, s *service, asJSON bool) error {
	read := s.configured.read
	flagged := map[string]bool{
		"state_dir": s.options.stateDir != "", "socket": s.options.socket != "", "helper": s.options.helper != "", "bus": s.options.bus != "",
		"tokens.fido2_devices": len(s.options.fido2Devices) > 0,
	}
	out := struct {
		Version  int            `json:"version"`
		File     string         `json:"file,omitempty"`
		Mode     daemon.Mode    `json:"mode"`
		Settings []shownSetting `json:"settings"`
	}{Version: configVersion, Mode: s.mode}
	if read.info != nil {
		out.File = read.path
	}
	for _, set := range settings(s.config) {
		x := shownSetting{Name: set.name, Value: set.text(), Source: "default", Line: read.line(set.name), Reload: set.reload}
		switch {
		case flagged[set.name]:
			x.Source, x.Line = "flag", 0
		case x.Line > 0:
			x.Source = "file"
		}
		out.Settings = append(out.Settings, x)
	}
	if asJSON {
		return writeJSON(w, out)
	}
	if out.File == "" {
		fmt.Fprintf(w, "# there is no file at %s\n", read.path)
	}
	for _, x := range out.Settings {
		source := x.Source
		if x.Line > 0 {
			source = fmt.Sprintf("%s:%d", out.File, x.Line)
		}
		if _, err := fmt.Fprintf(w, "%-60s # %s\n", x.Name+" = "+x.Value, source); err != nil {
			return err
		}
	}
	return nil
}
