package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/desktop"
	"github.com/tokenbridge/tokend/cmd/tokenctl/pinentry"
	"github.com/tokenbridge/tokend/ipc"
)

// envPinentry is the environment variable that stands for --pinentry.
const envPinentry = "TOKEND_PINENTRY"

const agentHelp = `Run in your session, so that programs without a terminal get codes and you see
what waits for you. It

  - tells you, by a notification, which token is to be touched, for which account,
    and which program asks;
  - asks for PINs and for your consent, through pinentry (whichever is installed) and
    the notification's buttons, for calls that wait for it: tokenctl code
    --interaction agent, and whoever asks so over the API;
  - locks the vault when the session is locked or ends, and before the machine sleeps;
  - runs "tokenctl backup run" when the daemon says that it is time.

One runs in a session; a second says so and ends. It needs no rights that you do not
have. Without it everything works at a terminal. "tokenctl agent install" starts it
with your session from now on, with the flags that are given.`

type agentFlags struct {
	pinentry string
	scope    string
	verbose  bool
}

func (c *cli) agentCommand() *cobra.Command {
	f := &agentFlags{}
	cmd := &cobra.Command{
		Use: "agent", Short: "Ask you, in your session, for PINs, touches and consent", Long: agentHelp, Args: noSuchCommand,
		Example: "  tokenctl agent install\n  tokenctl agent --pinentry pinentry-qt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(c); err != nil {
				return err
			}
			return c.runAgent(cmd.Context(), f)
		},
	}
	cmd.AddCommand(
		&cobra.Command{Use: "install", Short: "Start it with your session from now on", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if err := f.check(c); err != nil {
					return err
				}
				return c.installAgent(cmd.Context(), f)
			}},
		&cobra.Command{Use: "remove", Short: "Do not start it with your session any more", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return c.removeAgent(cmd.Context()) }},
		&cobra.Command{Use: "status", Short: "Say whether it is installed, and runs", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return c.sayAgent(cmd.Context()) }},
	)
	fl := cmd.PersistentFlags()
	fl.StringVar(&f.pinentry, "pinentry", "", "ask with this `PROGRAM` (also "+envPinentry+"); without it the best that is installed")
	fl.StringVar(&f.scope, "consent-for", string(ipc.Grant10Min), "how long a yes in pinentry holds: `once`, 10min or lock")
	fl.BoolVar(&f.verbose, "verbose", false, "say more of the desktop's services")
	return cmd
}

func (f *agentFlags) check(c *cli) error {
	f.pinentry = cmp.Or(f.pinentry, c.getenv(envPinentry))
	if ipc.GrantScope(f.scope).Valid() {
		return nil
	}
	return usage("--consent-for can be once, 10min or lock")
}

// runAgent is the agent until its session ends.
func (c *cli) runAgent(ctx context.Context, f *agentFlags) error {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level}))
	a := &agent{
		c: c, scope: ipc.GrantScope(f.scope), again: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		open: map[string]func(){},
	}
	var err error
	if a.pin, err = c.findPinentry(ctx, f.pinentry); err != nil {
		c.say("cannot ask for PINs: %s", clean(err.Error()))
		c.hints(adviceNoPinentry())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stay := c.untilSignalled(cancel)
	if runtime.GOOS == "linux" {
		a.notes = desktop.NewNotifier("tokend", log, func(desktop.Abilities) { a.changed() })
		a.work.Go(func() { a.notes.Run(ctx) })
		a.login = desktop.NewLogin(c.getenv("XDG_SESSION_ID"), log, a.leave, a.changed)
		a.work.Go(func() { a.login.Run(ctx) })
		a.settle()
	}
	err = a.follow(ctx)
	cancel()
	a.work.Wait()
	if ipc.KindOf(err) == ipc.AlreadyExists {
		return failWith("be the agent of this session", err, adviceAgentTaken()...)
	}
	if err == nil && a.mine && !stay() {
		// However the session ended: what it opened is closed.
		a.leave(context.WithoutCancel(ctx), "the session ends")
	}
	return fail("be the agent of this session", err)
}

// settle waits until it is known what the desktop can do, a second at most.
func (a *agent) settle() {
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for !a.desktop().Notify || !a.login.Heard() {
		select {
		case <-a.again:
		case <-limit.C:
			return
		}
	}
}

// untilSignalled ends the agent where its terminal or its session goes. stay
// says that a person ended it with Ctrl-C, who may want the vault open.
func (c *cli) untilSignalled(end func()) (stay func() bool) {
	interrupted, gone := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	signal.Notify(gone, syscall.SIGHUP)
	go func() {
		<-gone
		end()
	}()
	return func() bool { return len(interrupted) > 0 }
}

// findPinentry is the pinentry to ask with, nil and why where there is none that
// answers.
func (c *cli) findPinentry(ctx context.Context, name string) (*pinentry.Program, error) {
	tty := c.terminalPath()
	display := c.getenv("DISPLAY")
	e := pinentry.Environment{TTY: tty, Graphical: display != "" || c.getenv("WAYLAND_DISPLAY") != "" || runtime.GOOS == "darwin"}
	path, err := pinentry.Find(name, e)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(path)
	if tty == "" && (strings.Contains(base, "tty") || strings.Contains(base, "curses")) {
		return nil, fmt.Errorf("%s needs a terminal, and there is none (GPG_TTY names one)", base)
	}
	p := &pinentry.Program{
		Path: path, TTY: tty, Term: cmp.Or(c.getenv("TERM"), "dumb"), Display: display,
		Locale: cmp.Or(c.getenv("LC_ALL"), c.getenv("LC_CTYPE"), c.getenv("LANG")),
	}
	if err := p.Probe(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// terminalPath is the terminal that a pinentry can use, empty for none.
func (c *cli) terminalPath() string {
	if tty := c.getenv("GPG_TTY"); tty != "" {
		return tty
	}
	if !c.inTTY || c.noInput {
		return ""
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", c.in.Fd()))
	if err != nil {
		return "/dev/tty"
	}
	return path
}
