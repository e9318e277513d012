package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/pinentry"
	"github.com/tokenbridge/tokend/ipc"
)

// What starts the agent with a session, as packages ship it: with the programs in
// /usr/bin, and no flags.
//
//go:embed units
var agentUnits embed.FS

// packagedStart is the command in those files.
const packagedStart = "/usr/bin/tokenctl agent"

const (
	agentUnit     = "tokend-agent.service"
	autostartFile = "tokend-agent.desktop"
	launchdFile   = "io.github.tokenbridge.tokend-agent.plist"
	launchdLabel  = "io.github.tokenbridge.tokend-agent"
)

// starter is a way to start the agent with a session.
type starter struct {
	file string   // of units
	path string   // where it goes
	on   []string // the command that starts it now, too; empty where it waits for the next login
	off  []string
	note string // for a starter that does not start now
}

// agentStarter is the one that this session has.
func (c *cli) agentStarter() (starter, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return starter{}, err
	}
	config := c.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	switch runtime.GOOS {
	case "linux":
		if run := c.getenv("XDG_RUNTIME_DIR"); run != "" {
			if isThere(filepath.Join(run, "systemd", "private")) {
				return starter{
					file: agentUnit, path: filepath.Join(config, "systemd", "user", agentUnit),
					on:  []string{"systemctl", "--user", "enable", "--now", agentUnit},
					off: []string{"systemctl", "--user", "disable", "--now", agentUnit},
				}, nil
			}
		}
		return starter{
			file: autostartFile, path: filepath.Join(config, "autostart", autostartFile),
			note: "your desktop starts it at the next login; until then: tokenctl agent",
		}, nil
	case "darwin":
		domain := launchdDomain()
		path := filepath.Join(home, "Library", "LaunchAgents", launchdFile)
		return starter{
			file: launchdFile, path: path,
			on: []string{"launchctl", "bootstrap", domain, path}, off: []string{"launchctl", "bootout", domain + "/" + launchdLabel},
		}, nil
	}
	return starter{}, &ipc.Error{Kind: ipc.Unsupported, Message: "there is no session on this system that could start it"}
}

// agentFile is a file of units for this program at its place, with its flags.
func agentFile(name string, words []string) ([]byte, error) {
	b, err := agentUnits.ReadFile("units/" + name)
	if err != nil {
		return nil, err
	}
	if name == launchdFile {
		var list strings.Builder
		for _, w := range words {
			fmt.Fprintf(&list, "\t\t<string>%s</string>\n", xmlText(w))
		}
		return bytes.Replace(b, []byte("\t\t<string>/usr/bin/tokenctl</string>\n\t\t<string>agent</string>\n"), []byte(list.String()), 1), nil
	}
	command := systemdCommand(words)
	if name == autostartFile {
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = desktopWord(w)
		}
		command = strings.Join(quoted, " ")
	}
	return bytes.Replace(b, []byte(packagedStart), []byte(command), 1), nil
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// desktopWord is a word of Exec (Desktop Entry Specification, "The Exec key").
func desktopWord(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	if !strings.ContainsAny(s, " \t\n\"'\\><~|&;$*?#()`") {
		return s
	}
	// Once for the key, and once for strings in general.
	s = strings.NewReplacer(`\`, `\\\\`, `"`, `\\"`, "`", "\\\\`", `$`, `\\$`).Replace(s)
	return `"` + s + `"`
}

// agentCommandLine is how the agent is started by a session.
func (c *cli) agentCommandLine(f *agentFlags) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := []string{self, "agent"}
	if f.pinentry != "" {
		words = append(words, "--pinentry", f.pinentry)
	}
	if f.scope != string(ipc.Grant10Min) {
		words = append(words, "--consent-for", f.scope)
	}
	socket, err := c.socketFlag()
	if err != nil {
		return nil, err
	}
	words = append(words, socket...)
	for _, w := range words {
		if strings.ContainsAny(w, "\n\r") {
			return nil, errors.New("a path with a line break in it cannot be written into a unit")
		}
	}
	return words, nil
}

func (c *cli) installAgent(ctx context.Context, f *agentFlags) error {
	const doing = "have the agent started with your session"
	s, err := c.agentStarter()
	if err != nil {
		return fail(doing, err)
	}
	words, err := c.agentCommandLine(f)
	if err != nil {
		return fail(doing, err)
	}
	b, err := agentFile(s.file, words)
	if err != nil {
		return fail(doing, err)
	}
	if err := replaceUnit(s.path, string(b)); err != nil {
		return fileFailure("write "+s.path, err)
	}
	if s.file == agentUnit {
		if err := manager(ctx, "systemctl", "--user", "daemon-reload"); err != nil {
			return fail(doing, err)
		}
	}
	if len(s.on) > 0 {
		if s.file == launchdFile {
			_ = manager(ctx, s.off[0], s.off[1:]...) // one that runs is not replaced
		}
		if err := manager(ctx, s.on[0], s.on[1:]...); err != nil {
			return fail(doing, err)
		}
	}
	c.say("written: %s", s.path)
	c.sayNoPinentry(f.pinentry)
	if s.note != "" {
		c.say("%s", s.note)
		return nil
	}
	c.say("the agent runs, and starts with your session from now on")
	return nil
}

// sayNoPinentry warns where the agent will find no pinentry to ask with.
func (c *cli) sayNoPinentry(name string) {
	// Where it will be started there can be a desktop, or a terminal.
	if _, err := pinentry.Find(name, pinentry.Environment{Graphical: true, TTY: "/dev/tty"}); err != nil {
		c.say("it will not be able to ask for PINs: %s", clean(err.Error()))
		c.hints(adviceNoPinentry())
	}
}

// hints says what to do about what was said.
func (c *cli) hints(list []string) {
	for _, h := range list {
		c.say("  %s", h)
	}
}

func (c *cli) removeAgent(ctx context.Context) error {
	const doing = "have the agent not started any more"
	s, err := c.agentStarter()
	if err != nil {
		return fail(doing, err)
	}
	if len(s.off) > 0 {
		if err := manager(ctx, s.off[0], s.off[1:]...); err != nil {
			c.say("%s", clean(err.Error()))
		}
	}
	err = os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.say("it was not installed: there is no %s", s.path)
		return nil
	}
	if err != nil {
		return fileFailure("remove "+s.path, err)
	}
	if s.file == agentUnit {
		_ = manager(ctx, "systemctl", "--user", "daemon-reload")
	}
	c.say("removed: %s", s.path)
	return nil
}

// agentDocument is the --json form of agent status.
type agentDocument struct {
	Version   int         `json:"version"`
	Installed bool        `json:"installed"`
	Path      string      `json:"path"` // of the unit, autostart file or launchd agent
	Agents    []ipc.Agent `json:"agents"`
}

// sayAgent says whether the agent is installed, and which run.
func (c *cli) sayAgent(ctx context.Context) error {
	const doing = "tell of the agent"
	s, err := c.agentStarter()
	if err != nil {
		return fail(doing, err)
	}
	list, err := c.daemon().Grants(ctx)
	if err != nil {
		return fail(doing, err)
	}
	doc := agentDocument{Version: ipc.Version, Installed: isThere(s.path), Path: s.path, Agents: list.Agents}
	if c.json {
		return c.printJSON(doc)
	}
	c.say("the agent is %s (%s)", either(doc.Installed, "installed: it starts with your session", "not installed"), clean(s.path))
	for _, a := range list.Agents {
		c.say("%s", agentLine(a))
	}
	if len(list.Agents) == 0 {
		unit := ""
		if s.file == agentUnit {
			unit = agentUnit
		}
		c.say("no agent runs")
		c.hints(adviceAgentStart(doc.Installed, unit))
	}
	return nil
}

// agentLine is what is known of an agent that runs.
func agentLine(a ipc.Agent) string {
	return fmt.Sprintf("an agent runs: process %d%s, it can ask or tell of: %s",
		a.PID, either(a.Session == "", "", " in session "+clean(a.Session)), either(len(a.Can) == 0, "nothing", clean(strings.Join(a.Can, ", "))))
}
