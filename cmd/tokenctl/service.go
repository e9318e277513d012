package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
)

const serviceHelp = `Have the system start tokend, and start it again when it has ended.

  --system   one daemon for every user of the machine, as root's service: the default
             for root. On Linux it runs as the user tokend, without devices and network,
             and tokend-helper, as another user, is the only one who uses tokens.
  --user     your own daemon, with your rights, in your session: the default for you.

The services are systemd's on Linux, launchd's on macOS, and the service manager's on
Windows (--system alone). Where a package has brought the units, install enables them
and writes nothing. Removing never removes a vault.`

type serviceFlags struct {
	user, system, print, network, udev bool
	root                               string
}

func (c *cli) serviceCommand() *cobra.Command {
	f := &serviceFlags{}
	verb := func(use, short string, run func(context.Context, *cli, serviceManager) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			if f.udev {
				return c.installRule(cmd.Context(), f)
			}
			m, err := c.serviceManager(f)
			if err != nil {
				return fail(either(use == "status", tellService, use+" the service"), err)
			}
			return run(cmd.Context(), c, m)
		}}
	}
	install := verb("install", "Have tokend started from now on", func(ctx context.Context, c *cli, m serviceManager) error {
		return c.installService(ctx, f, m)
	})
	uninstall := verb("uninstall", "Have it not started any more; vaults stay", func(ctx context.Context, c *cli, m serviceManager) error {
		return c.uninstallService(ctx, f, m)
	})
	uninstall.Flags().BoolVar(&f.print, "print", false, "show what would be removed and the commands, and do nothing")
	install.Flags().BoolVar(&f.print, "print", false, "show the files and the commands, and do nothing")
	install.Flags().BoolVar(&f.network, "network", false, "give the daemon a network, for an authority that needs one (systemd, --system)")
	install.Flags().BoolVar(&f.udev, "udev", false, "install the udev rule for FIDO2 keys and nothing else, for who sits at the machine and runs a daemon of his own")
	install.MarkFlagsMutuallyExclusive("udev", "network")
	cmd := group("service", "Have the system start tokend, and see how it is", install, uninstall,
		verb("start", "Start it now", func(ctx context.Context, c *cli, m serviceManager) error { return c.moveService(ctx, f, m, true) }),
		verb("stop", "Stop it now; it starts again with the machine or the session", func(ctx context.Context, c *cli, m serviceManager) error {
			return c.moveService(ctx, f, m, false)
		}),
		verb("status", "Show whether it is installed, enabled and running", func(ctx context.Context, c *cli, m serviceManager) error {
			return c.showService(ctx, m)
		}),
	)
	cmd.Long = serviceHelp
	cmd.Example = "  sudo tokenctl service install\n  tokenctl service install --user\n  tokenctl service status"
	p := cmd.PersistentFlags()
	p.BoolVar(&f.user, "user", false, "your own daemon")
	p.BoolVar(&f.system, "system", false, "the system's daemon")
	p.StringVar(&f.root, "root", "", "")
	_ = p.MarkHidden("root") // for who builds packages and images
	cmd.MarkFlagsMutuallyExclusive("user", "system")
	return cmd
}

// serviceManager is what starts services on this system.
type serviceManager interface {
	// plan returns the files of an installation and the commands that follow.
	plan(network bool) (servicePlan, error)
	install(ctx context.Context, p servicePlan) error
	// removal returns what uninstall would do.
	removal(ctx context.Context) (serviceRemoval, error)
	uninstall(ctx context.Context, r serviceRemoval) error
	start(ctx context.Context) error
	stop(ctx context.Context) error
	state(ctx context.Context) (serviceState, error)
}

// servicePlan is what an installation does.
type servicePlan struct {
	Version  int           `json:"version"`
	Files    []serviceFile `json:"files"`
	Commands [][]string    `json:"commands"`
	packaged bool          // a package has brought the files
	refused  error         // why it is not done, and only shown
}

// serviceRemoval is what taking an installation away does.
type serviceRemoval struct {
	Version  int        `json:"version"`
	First    [][]string `json:"first"` // before the files are removed
	Files    []string   `json:"files"`
	Kept     []string   `json:"kept"` // they were changed by hand
	Then     [][]string `json:"then"`
	packaged bool       // its files are a package's, and stay
}

// nothing says that nothing was installed.
func (r serviceRemoval) nothing() bool { return len(r.First)+len(r.Files)+len(r.Kept) == 0 }

// serviceState is how the service is; the --json form of status.
type serviceState struct {
	Version   int         `json:"version"`
	Manager   string      `json:"manager"`          // systemd, launchd or windows
	Absent    string      `json:"absent,omitempty"` // why that manager starts nothing here
	Scope     string      `json:"scope"`            // system or user
	Installed bool        `json:"installed"`
	Packaged  bool        `json:"packaged"` // by a package
	Enabled   bool        `json:"enabled"`  // starts with the machine or the session
	Active    string      `json:"active"`   // the manager's word: active, failed, …
	Since     time.Time   `json:"since,omitzero"`
	Listening bool        `json:"listening"` // its socket starts it
	Socket    string      `json:"socket"`
	State     string      `json:"state"` // the folder of vaults
	Tokenctl  string      `json:"tokenctl"`
	Daemon    *ipc.Daemon `json:"daemon,omitempty"` // who answers at the socket
	Next      string      `json:"next,omitempty"`   // the command to go on with
}

// scoped is system or user, by the flags and by who asks.
func (f *serviceFlags) scoped() string {
	if f.system || !f.user && (f.root != "" || isAdmin()) {
		return scopeSystem
	}
	return scopeUser
}

const (
	scopeSystem = "system"
	scopeUser   = "user"
)

// isAdmin says whether this user may change the system's services. On Windows only
// trying tells.
func isAdmin() bool { return runtime.GOOS == "windows" || os.Geteuid() == 0 }

// mayChange refuses who cannot change the system's services, before anything is
// done by halves.
func mayChange(scope, verb string) error {
	if scope != scopeSystem || isAdmin() {
		return nil
	}
	return &hinted{
		err:   &ipc.Error{Kind: ipc.NotAuthorized, Message: "only root can do that for the whole machine"},
		hints: adviceServiceRoot(verb),
	}
}

func (c *cli) installService(ctx context.Context, f *serviceFlags, m serviceManager) error {
	const doing = "install the service"
	p, err := m.plan(f.network)
	if err != nil {
		return fail(doing, err)
	}
	if f.print {
		if p.refused != nil {
			c.say("this is only shown; install refuses it: %s", p.refused)
		}
		return c.showServicePlan(p)
	}
	if f.root == "" && p.refused == nil {
		p.refused = mayChange(f.scoped(), "install")
	}
	if p.refused != nil {
		return fail(doing, p.refused)
	}
	if err := m.install(ctx, p); err != nil {
		return fail(doing, err)
	}
	for _, file := range p.Files {
		c.say("written: %s", file.Path)
	}
	if p.packaged {
		c.say("the files are a package's; the service is enabled")
	}
	if f.root != "" {
		return nil
	}
	return c.sayService(ctx, m)
}

// showServicePlan prints what an installation would do.
func (c *cli) showServicePlan(p servicePlan) error {
	p.Version = ipc.Version
	if c.json {
		return c.printJSON(p)
	}
	for _, file := range p.Files {
		c.print("==> %s", file.Path)
		c.print("%s", strings.TrimSuffix(file.Text, "\n"))
	}
	if len(p.Commands) > 0 {
		c.print("==> then")
	}
	for _, words := range p.Commands {
		c.print("%s", shellLine(words))
	}
	return nil
}

// showServiceRemoval prints what removing would do.
func (c *cli) showServiceRemoval(r serviceRemoval) error {
	r.Version = ipc.Version
	if c.json {
		return c.printJSON(r)
	}
	lines := func(head string, commands [][]string, files []string) {
		if len(commands)+len(files) > 0 {
			c.print("==> %s", head)
		}
		for _, words := range commands {
			c.print("%s", shellLine(words))
		}
		for _, file := range files {
			c.print("%s", file)
		}
	}
	if r.nothing() {
		c.say("%s", nothingInstalled)
		return nil
	}
	lines("first", r.First, nil)
	lines("removed", nil, r.Files)
	lines("kept, for it was changed by hand", nil, r.Kept)
	lines("then", r.Then, nil)
	return nil
}

const (
	tellService      = "tell how the service is"
	nothingInstalled = "nothing is installed here, and there is nothing to remove"
)

func (c *cli) uninstallService(ctx context.Context, f *serviceFlags, m serviceManager) error {
	const doing = "uninstall the service"
	r, err := m.removal(ctx)
	if err != nil {
		return fail(doing, err)
	}
	if f.print {
		return c.showServiceRemoval(r)
	}
	if f.root == "" {
		if err := mayChange(f.scoped(), "uninstall"); err != nil {
			return fail(doing, err)
		}
	}
	st, err := m.state(ctx)
	if err != nil {
		return fail(doing, err)
	}
	if err := m.uninstall(ctx, r); err != nil {
		return fail(doing, err)
	}
	for _, file := range r.Kept {
		c.say("kept, for it was changed by hand: %s", file)
	}
	switch {
	case r.nothing():
		c.say("%s", nothingInstalled)
		return nil
	case r.packaged:
		c.say("tokend is not started any more; its files are a package's, and stay until that is removed")
	case st.Installed:
		c.say("tokend is not started any more, and its files are removed")
	default: // leftovers, or the udev rule alone
		for _, file := range r.Files {
			c.say("removed: %s", file)
		}
		c.say("the service itself was not installed")
	}
	c.say("the vaults stay where they are: %s", st.State)
	return nil
}

func (c *cli) moveService(ctx context.Context, f *serviceFlags, m serviceManager, on bool) error {
	verb, move := "stop", m.stop
	if on {
		verb, move = "start", m.start
	}
	if err := mayChange(f.scoped(), verb); err != nil {
		return fail(verb+" the service", err)
	}
	st, err := m.state(ctx)
	if err == nil && st.Absent != "" && !on {
		err = &hinted{err: &ipc.Error{Kind: ipc.Unsupported, Message: st.Absent}, hints: adviceServiceByHand()}
	}
	if err == nil && !st.Installed && st.Absent == "" {
		err = &hinted{err: &ipc.Error{Kind: ipc.NotFound, Message: "it is not installed"}, hints: adviceServiceInstall(st.Scope)}
	}
	if err == nil {
		err = move(ctx)
	}
	if err != nil {
		return fail(verb+" the service", err)
	}
	if on {
		return c.sayService(ctx, m)
	}
	c.say("stopped; it starts again with the %s, and by \"tokenctl service start\"", either(st.Scope == scopeUser, "session", "machine"))
	return nil
}

// sayService tells in a line how the service is, after something was done to it.
func (c *cli) sayService(ctx context.Context, m serviceManager) error {
	st, err := c.serviceState(ctx, m)
	if err != nil {
		return fail(tellService, err)
	}
	c.say("%s", activeText(st, c.now()))
	if st.Next != "" {
		c.say("next: %s", st.Next)
	}
	return nil
}

// serviceState is the manager's word, completed by the daemon's.
func (c *cli) serviceState(ctx context.Context, m serviceManager) (serviceState, error) {
	st, err := m.state(ctx)
	if err != nil {
		return st, err
	}
	st.Version, st.Tokenctl = ipc.Version, buildVersion()
	if answer, err := c.dial(st.Socket).Status(ctx); err == nil {
		st.Daemon = &answer.Daemon
	}
	st.Next = serviceNext(st)
	if st.Daemon == nil { // perhaps for what it reads
		if path := brokenConfig(ctx, st.Scope == scopeSystem); path != "" {
			st.Next = adviceConfig(path) + " && " + st.Next
		}
		if uid := local.Nobody(); uid != "" { // whom none that he starts would serve
			st.Next = "sudo -u USER tokenctl service status"
		}
	}
	return st, nil
}

// showService is the command status. It is no failure that the service does not run.
func (c *cli) showService(ctx context.Context, m serviceManager) error {
	st, err := c.serviceState(ctx, m)
	if err != nil {
		return fail(tellService, err)
	}
	if c.json {
		return c.printJSON(st)
	}
	t := &table{head: []string{"", ""}, flexible: 1}
	t.add("service", st.Manager+", "+either(st.Scope == scopeUser, "your own", "the system's"))
	if st.Absent != "" {
		t.add(st.Manager, "does not run here: "+st.Absent)
	}
	t.add("installed", either(!st.Installed, "no", either(st.Packaged, "yes, by a package", "yes")))
	t.add("enabled", either(st.Enabled, "yes: it starts with the "+either(st.Scope == scopeUser, "session", "machine"), "no"))
	t.add("running", activeText(st, c.now()))
	t.add("socket", st.Socket+either(st.Listening, " (open)", ""))
	t.add("vaults", st.State)
	t.add("tokenctl", st.Tokenctl)
	if st.Daemon != nil {
		t.add("tokend", fmt.Sprintf("%s, process %d", clean(st.Daemon.Version), st.Daemon.PID))
	}
	if st.Next != "" {
		t.add("next", st.Next)
	}
	c.showPairs(t)
	return nil
}

// activeText says whether the service runs, and since when.
func activeText(st serviceState, now time.Time) string {
	switch {
	case st.Absent != "" && st.Daemon != nil:
		return "it answers; " + st.Manager + " did not start it"
	case st.Absent != "":
		return "nobody answers at its socket"
	case !st.Installed:
		return "it is not installed"
	case st.Active == "active" && !st.Since.IsZero():
		return "it runs, since " + ago(now, st.Since)
	case st.Active == "active":
		return "it runs"
	case st.Active == "failed":
		return "it has failed"
	case st.Listening:
		return "it does not run, and starts when somebody asks"
	}
	return "it does not run"
}
