package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// scheduleDocument is the --json form of backup schedule.
type scheduleDocument struct {
	Version   int    `json:"version"`
	Installed bool   `json:"installed"`
	Kind      string `json:"kind"`           // "systemd", "launchd", "task"
	Path      string `json:"path,omitempty"` // of the unit or agent
	Command   string `json:"command"`
}

// timer is what runs a command once an hour as the user.
type timer interface {
	// kind and path say what it is.
	kind() string
	path() string
	// install and remove can be repeated. NotFound says that the system has no
	// such timer, or that it does not answer.
	install(ctx context.Context) error
	remove(ctx context.Context) error
	installed() bool
}

func (c *cli) backupScheduleCommand() *cobra.Command {
	sub := func(use, short string, run func(ctx context.Context, t timer) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := c.newTimer()
			if err == nil {
				err = run(cmd.Context(), t)
			}
			if err != nil {
				return fail(use+" the timer for backups", err)
			}
			return c.sayTimer(t)
		}}
	}
	cmd := group("schedule", "Run \"backup run\" once an hour by a timer of yours",
		sub("install", "Install the timer", func(ctx context.Context, t timer) error { return t.install(ctx) }),
		sub("remove", "Remove the timer", func(ctx context.Context, t timer) error { return t.remove(ctx) }),
		sub("status", "Say whether the timer is installed", func(context.Context, timer) error { return nil }))
	cmd.Long = `Run "tokenctl backup run" once an hour as you, while you are logged in: by a systemd
user timer, a launchd agent, or a scheduled task of Windows.`
	return cmd
}

func (c *cli) sayTimer(t timer) error {
	if c.json {
		program, args, err := c.timerCommand()
		if err != nil {
			return fail("tell the timer's command", err)
		}
		return c.printJSON(scheduleDocument{Version: ipc.Version, Installed: t.installed(), Kind: t.kind(), Path: t.path(),
			Command: shellLine(append([]string{program}, args...))})
	}
	c.say("the timer is %s (%s)", either(t.installed(), "installed: backups are copied once an hour", "not installed"), clean(orDash(t.path())))
	return nil
}

// timerCommand is what the timer runs: this program by its absolute path, and the
// socket where that is not the usual one.
func (c *cli) timerCommand() (program string, args []string, err error) {
	if program, err = os.Executable(); err != nil {
		return "", nil, fmt.Errorf("cannot tell this program's path: %w", err)
	}
	if args, err = c.socketFlag(); err != nil {
		return "", nil, err
	}
	return program, append(args, "--no-input", "backup", "run"), nil
}

// socketFlag is the socket, where it is not the usual one, as flags of a command that
// is run from another folder.
func (c *cli) socketFlag() ([]string, error) {
	socket := c.ownSocket()
	if socket == "" {
		return nil, nil
	}
	socket, err := filepath.Abs(socket)
	if err != nil {
		return nil, err
	}
	return []string{"--socket", socket}, nil
}

// scheduleInstalled says whether the timer is there, where that can be told.
func (c *cli) scheduleInstalled() (installed, known bool) {
	t, err := c.newTimer()
	if err != nil {
		return false, false
	}
	return t.installed(), true
}

// offerTimer installs the timer when the user agrees. Where there is none to be had,
// it says what else to do, and goes on.
func (c *cli) offerTimer(ctx context.Context) error {
	t, err := c.newTimer()
	if err != nil {
		return err
	}
	if t.installed() {
		return nil
	}
	yes, err := c.yesNo(ctx, "Copy backups there once an hour, by a timer of yours?", "tokenctl backup schedule install")
	if err != nil || !yes {
		if err == nil {
			c.say("Later: tokenctl backup schedule install")
		}
		return err
	}
	return c.installTimer(ctx, t)
}

// installTimer installs the timer; that there is none to be had ends nothing.
func (c *cli) installTimer(ctx context.Context, t timer) error {
	err := t.install(ctx)
	if ipc.KindOf(err) == ipc.Unsupported {
		e := asError(ctx, err)
		c.explain(err, e)
		return nil
	}
	if err == nil {
		c.say("backups are copied once an hour from now on")
	}
	return err
}

// noTimer says that this system has no timer that answers, and what else there is.
func (c *cli) noTimer(why string) error {
	program, args, err := c.timerCommand()
	if err != nil {
		return err
	}
	line := "17 * * * * " + shellLine(append([]string{program}, args...))
	return failWith("install a timer", &ipc.Error{Kind: ipc.Unsupported, Message: why}, adviceNoTimer(line)...)
}

// offerDestination proposes where backups can be copied to, and the timer that does
// it. A user may decline.
func (c *cli) offerDestination(ctx context.Context) error {
	list, err := c.daemon().Destinations(ctx)
	if err != nil {
		return err
	}
	if len(list.Destinations) > 0 {
		return c.offerTimer(ctx)
	}
	c.say("The daemon makes backups by itself. So that they outlive this disk, they can be copied to another one, to a stick, or to a folder that is synced to another machine.")
	found := c.proposals()
	def := "skip"
	for i, p := range found {
		c.say("  found: %s (%s)", clean(p.Path), clean(either(p.Service != "", p.Service, "a stick or disk")))
		if i == 0 {
			def = p.Path
		}
	}
	for {
		path, err := c.ask(ctx, "Folder for copies of backups (or skip)", def, "tokenctl backup destination add PATH")
		if err != nil {
			return err
		}
		if path == "" || saysSkip(path) {
			c.say("Later: tokenctl backup destination add PATH")
			return nil
		}
		d, err := c.addDestination(ctx, ipc.AddDestinationRequest{Path: path})
		if err == nil {
			return errors.Join(c.shownRun(ctx, d), c.offerTimer(ctx))
		}
		var e *ipc.Error
		if !errors.As(err, &e) || e.Kind == ipc.Cancelled || e.Kind == ipc.Unreachable {
			return err
		}
		c.explain(err, e)
	}
}

// saysSkip says whether the answer to a question for a path is that there is to be
// none. A file of such a name is ./no.
func saysSkip(answer string) bool {
	return slices.Contains([]string{"skip", "n", "no", "none"}, strings.ToLower(answer))
}

// shownRun is firstRun where what is stale was shown and ends nothing.
func (c *cli) shownRun(ctx context.Context, d ipc.Destination) error {
	err := c.firstRun(ctx, d)
	var s silent
	if errors.As(err, &s) {
		return nil
	}
	return err
}

// backupFlags are those by which init sets up backups without asking.
type backupFlags struct {
	to    []string
	timer bool
}

func (f *backupFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.to, "backup-to", nil, "copy backups to the folder `PATH` from now on (can be repeated)")
	fl.BoolVar(&f.timer, "backup-timer", false, "install the timer that copies them once an hour")
}

// setUp makes the vault's backups go where the flags say; without any it asks, at a
// terminal.
func (f *backupFlags) setUp(ctx context.Context, c *cli) error {
	if len(f.to) == 0 && !f.timer {
		if c.json || !c.canAsk() {
			return nil
		}
		return fail("set up backups", c.offerDestination(ctx))
	}
	var added []ipc.Destination
	for _, path := range f.to {
		d, err := c.addDestination(ctx, ipc.AddDestinationRequest{Path: path})
		if err != nil {
			return err
		}
		added = append(added, d)
	}
	if len(added) > 0 {
		doc, err := c.carry(ctx, defaultTimeout)
		if err != nil {
			return fail("copy the backups", err)
		}
		for _, d := range added {
			c.sayAdded(doc, d)
		}
	}
	if !f.timer {
		return nil
	}
	t, err := c.newTimer()
	if err == nil {
		err = c.installTimer(ctx, t)
	}
	return fail("install the timer for backups", err)
}
