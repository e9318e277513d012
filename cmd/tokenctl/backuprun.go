package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

const backupRunHelp = `Copy the newest backup that the daemon made to every destination that lacks it: as
a new file, mode 0600, synced and read back. Nothing is overwritten. The copy of
it that an earlier run made is read again, as is that of the newest backup that was
opened: one that is gone, empty or changed is told and made anew, and a damaged
file is renamed, never deleted. Then what a destination need not keep is removed:
files of this vault and this device alone, never the newest backup that was opened,
never what a drop in accounts protects. Of the older copies that stay each is looked
for and one is read, another one each time; what was lost is told.

A destination that is not there, such as a stick, is passed over; where none is
there and the newest backup is in the daemon's folder alone, one line says so. One
that is full, read-only or hangs does not keep the others waiting. It works while
the vault is locked and says nothing when there is nothing to say: it is what the
timer runs (tokenctl backup schedule). The exit code is 22 when backups are stale
or failing.`

// defaultTimeout is how long one destination may take.
const defaultTimeout = 2 * time.Minute

// runDocument is the --json form of backup run.
type runDocument struct {
	Version int              `json:"version"`
	OK      bool             `json:"ok"`
	Runs    []runDestination `json:"destinations"`
	// Problems are those of the backup status afterwards.
	Problems []ipc.BackupProblem `json:"problems"`
	// uncopied says that no destination was there and the newest backup has no copy.
	uncopied bool

	// Destinations are how they are afterwards, for what is said of problems.
	Destinations []ipc.Destination `json:"-"`
}

type runDestination struct {
	Path    string               `json:"path"`
	State   ipc.DestinationState `json:"state"`
	Reason  string               `json:"reason,omitempty"`
	Written []ipc.KnownCopy      `json:"written"`
	Seen    int                  `json:"seen"`
	Lost    []ipc.LostCopy       `json:"lost"`
	Removed []string             `json:"removed"`
	// NoCheckpoint is why there is no checkpoint of the audit log beside the copy.
	NoCheckpoint string `json:"no_checkpoint,omitempty"`
}

func (c *cli) backupRunCommand() *cobra.Command {
	timeout := defaultTimeout
	cmd := &cobra.Command{
		Use: "run", Short: "Copy the newest backup to every destination", Long: backupRunHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usage("--timeout is longer than nothing")
			}
			return c.backupRun(cmd.Context(), timeout)
		},
	}
	spanFlag(cmd.Flags(), &timeout, "timeout", defaultTimeout, "how long one destination may take")
	return cmd
}

func (c *cli) backupRun(ctx context.Context, timeout time.Duration) error {
	doc, err := c.carry(ctx, timeout)
	if err != nil {
		return fail("copy the backups", err)
	}
	if c.json {
		if err := c.printJSON(doc); err != nil {
			return err
		}
	} else {
		c.sayRun(doc)
	}
	if !doc.OK {
		return silent{ipc.BackupStale.Info().Exit}
	}
	return nil
}

// carry does one run, alone.
func (c *cli) carry(ctx context.Context, timeout time.Duration) (runDocument, error) {
	unlock, err := c.lockRun(ctx, timeout)
	if err != nil {
		return runDocument{}, err
	}
	defer unlock()
	plan, err := c.daemon().PlanBackupRun(ctx, ipc.BackupRunRequest{})
	if err != nil {
		return runDocument{}, err
	}
	runner := &copies.Runner{FS: copies.OS{}, Now: c.now, Fetch: c.fetcher()}
	results, reported := make([]copies.Result, len(plan.Destinations)), make([]error, len(plan.Destinations))
	var wg sync.WaitGroup
	for i, d := range plan.Destinations {
		wg.Go(func() {
			limited, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			results[i] = runner.Run(limited, jobOf(plan, d))
			// At once: this program can be killed before the others are done.
			_, reported[i] = c.daemon().ReportBackupRun(ctx, reportOf(plan, d, results[i]))
		})
	}
	wg.Wait()
	doc := runDocument{Version: ipc.Version, Runs: []runDestination{}}
	for i, d := range plan.Destinations {
		doc.Runs = append(doc.Runs, runOf(plan, d, results[i]))
	}
	if err := errors.Join(reported...); err != nil {
		return doc, err
	}
	st, err := c.daemon().BackupStatus(ctx)
	if err != nil {
		return doc, err
	}
	doc.Problems, doc.Destinations = st.Problems, st.Destinations
	doc.OK = runOK(doc)
	doc.uncopied = uncopied(doc.Runs, st.Newest)
	return doc, nil
}

// uncopied says that no destination was there, and that the newest backup has no
// copy outside of the daemon's folder.
func uncopied(runs []runDestination, newest *ipc.KnownBackup) bool {
	there := func(r runDestination) bool { return r.State != ipc.DestinationAbsent }
	whole := func(b ipc.BackupCopy) bool { return b.Lost == "" }
	return len(runs) > 0 && !slices.ContainsFunc(runs, there) && newest != nil && !slices.ContainsFunc(newest.Copies, whole)
}

// runOK says that nothing is stale or failing. That nobody has done a drill for long
// is for the status to tell, not for whoever copies.
func runOK(doc runDocument) bool {
	for _, r := range doc.Runs {
		if len(r.Lost) > 0 {
			return false
		}
	}
	return !slices.ContainsFunc(doc.Problems, func(p ipc.BackupProblem) bool { return p.Urgent && p.Code != ipc.BackupUnproved })
}

// lockRun waits until no other run of this user is at work. Where no lock can be
// had, none is needed: names are new for each run.
func (c *cli) lockRun(ctx context.Context, timeout time.Duration) (unlock func(), err error) {
	none := func() {}
	dir, err := os.UserCacheDir()
	if err != nil {
		return none, nil
	}
	dir = filepath.Join(dir, "tokend")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return none, nil
	}
	sum := sha256.Sum256([]byte(c.socketPath()))
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	var l io.Closer
	l, err = copies.Lock(ctx, filepath.Join(dir, "backup-run-"+hex.EncodeToString(sum[:4])+".lock"))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return none, &ipc.Error{Kind: ipc.Busy, Message: "another run is at work and does not end"}
	case errors.Is(err, context.Canceled):
		return none, err
	case err != nil:
		return none, nil
	}
	return func() { _ = l.Close() }, nil
}

// fetcher gets each backup once, however many destinations want it.
func (c *cli) fetcher() func(context.Context, string) ([]byte, error) {
	var mu sync.Mutex
	got := make(map[string][]byte)
	return func(ctx context.Context, sum string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if data := got[sum]; data != nil {
			return data, nil
		}
		b, err := c.daemon().SpooledBackup(ctx, ipc.SpooledBackupRequest{SHA256: sum})
		if err != nil {
			return nil, err
		}
		got[sum] = b.Data
		return b.Data, nil
	}
}

// jobOf is what a plan means for the one who opens the folder.
func jobOf(plan ipc.BackupRun, d ipc.PlannedDestination) copies.Job {
	j := copies.Job{
		Folder: d.Destination.Path, VaultID: plan.VaultID, Device: plan.Device, Protected: d.Protected,
		Mount: d.Destination.Mount, Keep: max(1, d.Destination.Keep), KeepFor: time.Duration(d.Destination.KeepDays) * 24 * time.Hour,
		PointPrefix: checkpointPrefix,
	}
	if points := checkpointsIn(plan.Checkpoint); len(points) == 1 && points[0] == plan.Checkpoint {
		j.Point = plan.Checkpoint
	}
	for _, sum := range d.Wanted {
		for _, b := range plan.Backups {
			if b.SHA256 == sum {
				j.Wanted = append(j.Wanted, copies.Backup{SHA256: sum, Name: safeName(b.Name)})
			}
		}
	}
	here := func(list []ipc.KnownCopy) (out []copies.Copy) {
		for _, k := range list {
			// What was told of this folder once is nowhere else.
			if filepath.Dir(k.Path) == filepath.Clean(d.Destination.Path) {
				out = append(out, copies.Copy{Path: k.Path, SHA256: k.SHA256, Size: k.Bytes})
			}
		}
		return out
	}
	j.Known, j.Older = here(d.Known), here(d.Older)
	return j
}

func knownCopies(list []copies.Copy) []ipc.KnownCopy {
	out := []ipc.KnownCopy{}
	for _, c := range list {
		out = append(out, ipc.KnownCopy{Path: c.Path, SHA256: c.SHA256, Bytes: c.Size})
	}
	return out
}

func lostCopies(list []copies.Lost) []ipc.LostCopy {
	out := []ipc.LostCopy{}
	for _, l := range list {
		out = append(out, ipc.LostCopy{Path: l.Path, What: l.What, Kept: l.Kept})
	}
	return out
}

func reportOf(plan ipc.BackupRun, d ipc.PlannedDestination, r copies.Result) ipc.BackupRunReport {
	report := ipc.BackupRunReport{
		Destination: d.Destination.ID, State: ipc.DestinationState(r.State), Reason: clean(r.Reason),
		Seen: knownCopies(r.Seen), Lost: lostCopies(r.Lost), Removed: append([]string{}, r.Removed...),
		Elsewhere: d.Destination.Kind == copies.KindSync || r.Volume != "" && r.Volume != plan.Volume,
		Memory:    r.State == copies.OK && copies.Memory(d.Destination.Path),
	}
	if len(d.Wanted) == 0 && r.State == copies.OK {
		report.State, report.Reason = ipc.DestinationFailing, "there is no backup to copy"
	}
	return report
}

func runOf(plan ipc.BackupRun, d ipc.PlannedDestination, r copies.Result) runDestination {
	report := reportOf(plan, d, r)
	return runDestination{
		Path: d.Destination.Path, State: report.State, Reason: report.Reason, Written: knownCopies(r.Written),
		Seen: len(r.Seen), Lost: report.Lost, Removed: report.Removed, NoCheckpoint: clean(r.NoPoint),
	}
}

// sayRun tells what a person should know. Where all is as it was, a timer's journal
// stays empty.
func (c *cli) sayRun(doc runDocument) {
	for _, r := range doc.Runs {
		for _, l := range r.Lost {
			kept := ""
			if l.Kept != "" {
				kept = "; kept as " + clean(l.Kept)
			}
			c.say("warning: %s: %s%s", clean(l.Path), clean(l.What), kept)
		}
		if r.NoCheckpoint != "" {
			c.say("warning: %s: the backup is there; a checkpoint of the audit log beside it could not be: %s", clean(r.Path), r.NoCheckpoint)
		}
		for _, w := range r.Written {
			c.print("%s  %s", w.SHA256, clean(w.Path))
		}
		switch r.State {
		case ipc.DestinationFailing:
			c.say("cannot copy the backup to %s: %s", clean(r.Path), clean(r.Reason))
			for _, h := range adviceDestinationFails(r.Path, r.Reason) {
				c.say("  %s", clean(h))
			}
		case ipc.DestinationAbsent:
			if c.errTTY {
				c.say("%s: %s; passed over", clean(r.Path), clean(r.Reason))
			}
		default:
			if c.errTTY {
				c.say("%s has the newest backup%s", clean(r.Path), either(len(r.Removed) > 0, fmt.Sprintf("; %s removed", plural(len(r.Removed), "old one")), ""))
			}
		}
	}
	for _, p := range doc.Problems {
		if p.Urgent && p.Code != ipc.BackupUnproved && p.Code != ipc.BackupFailing {
			c.sayProblem(p, doc.Destinations)
		}
	}
	if doc.uncopied {
		c.say("nothing was copied: %s; the newest backup is in the daemon's own folder alone",
			either(len(doc.Runs) == 1, "the destination is not there now", "none of the destinations is there now"))
	}
	if len(doc.Runs) == 0 && c.errTTY {
		c.say("there is no destination: %s", adviceDestination())
	}
}

// sayProblem tells of a problem. Of a destination that fails there is more to say
// than the daemon does, which does not look into it.
func (c *cli) sayProblem(p ipc.BackupProblem, destinations []ipc.Destination) {
	at := slices.IndexFunc(destinations, func(d ipc.Destination) bool { return d.ID == p.Destination })
	if p.Code == ipc.BackupFailing && at >= 0 {
		d := destinations[at]
		c.say("problem: backups cannot be copied to %s since %s: %s", clean(d.Path), ago(c.now(), d.Since), clean(d.Reason))
		for _, h := range adviceDestinationFails(d.Path, d.Reason) {
			c.say("  %s", clean(h))
		}
		return
	}
	c.say("%s: %s", either(p.Urgent, "problem", "note"), clean(p.Message))
	if p.Fix != "" {
		c.say("  mend it: %s", clean(remedy.Typed(p.Fix)))
	}
}

// elsewhere says that a file lies on another file system than the vault, or where
// another program copies it to another machine. What is not known is no.
func (c *cli) elsewhere(ctx context.Context, path string) bool {
	dir := filepath.Dir(path)
	if copies.Known(dir).Kind == copies.KindSync {
		return true
	}
	st, err := c.daemon().BackupStatus(ctx)
	here := copies.OS{}.Volume(dir)
	return err == nil && here != "" && st.Volume != "" && here != st.Volume
}
