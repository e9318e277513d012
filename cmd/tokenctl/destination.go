package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
	"github.com/tokenbridge/tokend/ipc"
)

const destinationHelp = `Backups are copied to folders of yours: on another disk, on a stick, or in one that
another program copies to another machine (OneDrive, iCloud Drive, Dropbox, Google
Drive, Nextcloud, Syncthing). Several devices can share one: each has names of its
own and removes no others.`

func (c *cli) backupDestinationCommand() *cobra.Command {
	cmd := group("destination", "Say where backups are copied to",
		c.destinationAddCommand(), c.destinationListCommand(), c.destinationRemoveCommand())
	cmd.Long = destinationHelp
	return cmd
}

func (c *cli) destinationAddCommand() *cobra.Command {
	var keep, keepFor, stale int
	cmd := &cobra.Command{
		Use: "add PATH", Short: "Copy backups to a folder from now on", Args: named(1, "PATH"),
		Long: `Copy backups to a folder from now on, and once at once. The folder must be there
now; later it may be absent, as a stick is. Adding it again changes how many are kept.`,
		Example: "  tokenctl backup destination add ~/Nextcloud/backups\n  tokenctl backup destination add /media/me/STICK --keep 10 --keep-for 365",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := c.addDestination(cmd.Context(), ipc.AddDestinationRequest{Path: args[0], Keep: keep, KeepDays: keepFor, StaleDays: stale})
			if err != nil {
				return err
			}
			if c.json {
				return c.addedJSON(cmd.Context(), d)
			}
			return c.firstRun(cmd.Context(), d)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&keep, "keep", 30, "keep the newest `N` backups of this device")
	fl.IntVar(&keepFor, "keep-for", 0, "and none more than `DAYS` older than the newest (0: for ever)")
	fl.IntVar(&stale, "stale-after", 0, "call it stale after `DAYS` without success (0: 3, on a stick 30)")
	return cmd
}

// addDestination makes a folder a destination.
func (c *cli) addDestination(ctx context.Context, r ipc.AddDestinationRequest) (ipc.Destination, error) {
	doing := "add the destination " + r.Path
	path, err := filepath.Abs(expandHome(r.Path))
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return ipc.Destination{}, failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "there is no such folder"}, adviceNoFolder(r.Path)...)
	}
	if err != nil {
		return ipc.Destination{}, fileFailure(doing, err)
	}
	if info, err := os.Stat(path); err != nil {
		return ipc.Destination{}, fileFailure(doing, err)
	} else if !info.IsDir() {
		return ipc.Destination{}, usage(clean(path) + " is not a folder")
	}
	place := copies.Known(path)
	r.Path, r.Kind, r.Service = path, place.Kind, place.Service
	if r.Mount = (copies.OS{}).Mount(path); r.Mount == filepath.Dir(r.Mount) {
		r.Mount = "" // the system's own is always there
	}
	r.Elsewhere, r.Memory = c.elsewhere(ctx, filepath.Join(path, "x")), copies.Memory(path)
	d, err := c.daemon().AddDestination(ctx, r)
	return d, fail(doing, err)
}

// firstRun copies to a destination that was just added, and says what is to be
// known of it.
func (c *cli) firstRun(ctx context.Context, d ipc.Destination) error {
	doc, err := c.carry(ctx, defaultTimeout)
	if err != nil {
		return fail("copy the backups", err)
	}
	ok := c.sayAdded(doc, d)
	switch {
	case d.Memory:
		c.say("warning: %s is in memory and not on a disk: the backups there are gone after a restart of the machine", clean(d.Path))
		c.say("  add one on a disk, and then: `tokenctl backup destination remove %s`", quoted(d.Path))
	case !d.Elsewhere:
		c.say("it is on the file system of the vault: add one on another disk, a stick, or in a folder that is synced")
	}
	if installed, known := c.scheduleInstalled(); known && !installed {
		c.say("nothing copies there by itself yet: `tokenctl backup schedule install`")
	}
	if !ok {
		return silent{ipc.BackupStale.Info().Exit}
	}
	return nil
}

// sayAdded tells how the first run went for a destination that was just added, and
// says whether well. How others are is for "backup status" to tell.
func (c *cli) sayAdded(doc runDocument, d ipc.Destination) bool {
	own, ok := ofDestination(doc, d)
	kind := ""
	if d.Service != "" {
		kind = " (" + d.Service + " copies it to other machines)"
	}
	if ok {
		c.say("backups are copied to %s%s; the newest %s of this device are kept there", clean(d.Path), clean(kind), plural(d.Keep, "backup"))
	} else {
		c.say("%s is noted as a destination%s, and the first copy failed; each run tries again", clean(d.Path), clean(kind))
	}
	c.sayRun(own)
	others := 0
	for _, r := range doc.Runs {
		if r.Path != d.Path && r.State == ipc.DestinationFailing {
			others++
		}
	}
	if others > 0 {
		c.say("%s failing: `tokenctl backup status`", either(others == 1, "another destination is", fmt.Sprintf("%d other destinations are", others)))
	}
	return ok
}

// ofDestination is what a run did for one destination, and whether all is well
// there.
func ofDestination(doc runDocument, d ipc.Destination) (own runDocument, ok bool) {
	ok = true
	own.Destinations = doc.Destinations
	for _, r := range doc.Runs {
		if r.Path == d.Path {
			own.Runs = append(own.Runs, r)
			ok = ok && r.State != ipc.DestinationFailing && len(r.Lost) == 0
		}
	}
	for _, p := range doc.Problems {
		if p.Destination == "" || p.Destination == d.ID {
			own.Problems = append(own.Problems, p)
		}
	}
	return own, ok
}

// addedJSON does the first run, and prints the destination as it is then.
func (c *cli) addedJSON(ctx context.Context, d ipc.Destination) error {
	doc, err := c.carry(ctx, defaultTimeout)
	if err != nil {
		return fail("copy the backups", err)
	}
	list, err := c.daemon().Destinations(ctx)
	if err != nil {
		return fail("list the destinations", err)
	}
	for _, now := range list.Destinations {
		if now.ID == d.ID {
			d = now
		}
	}
	if err := c.printJSON(d); err != nil {
		return err
	}
	if _, ok := ofDestination(doc, d); !ok {
		return silent{ipc.BackupStale.Info().Exit}
	}
	return nil
}

func (c *cli) destinationListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the folders that backups are copied to", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().Destinations(cmd.Context())
			if err != nil {
				return fail("list the destinations", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			t := &table{head: []string{"ID", "STATE", "LAST SUCCESS", "KEEPS", "PATH"}, flexible: 4}
			for _, d := range list.Destinations {
				keeps := fmt.Sprint(d.Keep)
				if d.KeepDays > 0 {
					keeps += ", " + plural(d.KeepDays, "day")
				}
				t.add(d.ID, string(d.State), ago(c.now(), d.LastSuccess), keeps, d.Path)
			}
			c.show(t)
			if len(list.Destinations) == 0 {
				c.say("there is none: %s", adviceDestination())
				c.sayProposals()
			}
			return nil
		},
	}
}

// whatStays says what becomes of the backups in a destination that is one no more.
func whatStays(d ipc.Destination) string {
	backups := plural(d.Copies, "backup")
	switch {
	case isAway(d) && !d.Elsewhere: // nor is what is in memory
		return "the folder is gone, and " + backups + " with it"
	case d.Memory:
		return "the " + backups + " there " + either(d.Copies == 1, "counts", "count") + " no more: a restart of the machine ends what is in memory"
	case isAway(d):
		return "it is not there now; the " + backups + " that it had " + either(d.Copies == 1, "stays", "stay")
	}
	return "the " + backups + " there " + either(d.Copies == 1, "stays", "stay")
}

func (c *cli) destinationRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove PATH", Short: "Copy backups to a folder no more; its files stay", Args: named(1, "PATH or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			doing := "remove the destination " + args[0]
			list, err := c.daemon().Destinations(cmd.Context())
			if err != nil {
				return fail(doing, err)
			}
			path, err := filepath.Abs(expandHome(args[0]))
			if err != nil {
				path = args[0]
			}
			at := slices.IndexFunc(list.Destinations, func(d ipc.Destination) bool {
				return d.ID == args[0] || d.Path == args[0] || d.Path == path
			})
			if at < 0 {
				return failWith(doing, &ipc.Error{Kind: ipc.NotFound, Message: "there is no such destination"}, adviceDestinations()...)
			}
			d := list.Destinations[at]
			if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) && d.State != ipc.DestinationAbsent {
				// The last run saw it; what is known of its copies is to be true.
				_, err = c.daemon().ReportBackupRun(cmd.Context(), ipc.BackupRunReport{
					Destination: d.ID, State: ipc.DestinationAbsent, Reason: "the folder is not there",
					Seen: []ipc.KnownCopy{}, Lost: []ipc.LostCopy{}, Removed: []string{},
				})
				if d.State = ipc.DestinationAbsent; err != nil {
					return fail(doing, err)
				}
			}
			left, err := c.daemon().RemoveDestination(cmd.Context(), d.ID, ipc.RemoveDestinationRequest{Confirm: d.ID})
			if err != nil {
				return fail(doing, err)
			}
			if c.json {
				return c.printJSON(left)
			}
			c.say("backups are copied to %s no more; %s", clean(d.Path), whatStays(d))
			return nil
		},
	}
}

// proposals are the folders on this machine that suit backups.
func (c *cli) proposals() []copies.Place {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	return copies.Find(home, filepath.Base(home), c.getenv)
}

func (c *cli) sayProposals() {
	for _, p := range c.proposals() {
		c.say("  found here: %s (%s)", clean(p.Path), either(p.Service != "", p.Service, "a stick or disk"))
	}
}
