package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

func (c *cli) backupListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the backups that are known: where they are, and what is known of each", Args: noArgs,
		Long: `List the backups that the daemon knows of, the newest first. Three things are told
apart: written (copies that were synced, read back and found equal), opened
(decrypted with the session key and compared with the vault), and proved (restored
into memory by a drill).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.daemon().BackupList(cmd.Context())
			if err != nil {
				return fail("list the backups", err)
			}
			if c.json {
				return c.printJSON(list)
			}
			away, err := c.absentDestinations(cmd.Context())
			if err != nil {
				return fail("list the destinations", err)
			}
			t := &table{head: []string{"MADE", "ACCOUNTS", "OPENED", "PROVED", "COPIES", "OPENS WITH"}, flexible: 4, below: []int{5, 4, 3}}
			for _, b := range list.Backups {
				t.add(b.Made.Local().Format("2006-01-02 15:04:05"), accountsText(b.Accounts), dateText(b.Opened), proofText(b),
					copiesText(b, away), orDash(strings.Join(b.OpenedBy, ", ")))
			}
			c.show(t)
			if len(list.Backups) == 0 {
				c.say("no backup is known yet")
			}
			return nil
		},
	}
}

func accountsText(n int) string {
	if n < 0 {
		return "?"
	}
	return fmt.Sprint(n)
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateOnly)
}

func proofText(b ipc.KnownBackup) string {
	if b.Proved.IsZero() {
		return "-"
	}
	return dateText(b.Proved) + " by " + orDash(b.ProvedBy)
}

// absentDestinations are the ids of the destinations that are not there now.
func (c *cli) absentDestinations(ctx context.Context) (map[string]bool, error) {
	list, err := c.daemon().Destinations(ctx)
	away := map[string]bool{}
	for _, d := range list.Destinations {
		away[d.ID] = isAway(d)
	}
	return away, err
}

// copiesText says where a backup is; what was lost is told too, and what is in a
// destination that is away.
func copiesText(b ipc.KnownBackup, away map[string]bool) string {
	var parts []string
	for _, c := range b.Copies {
		switch {
		case c.Lost != "":
			parts = append(parts, c.Path+" (lost: "+c.Lost+")")
		case away[c.Destination]:
			parts = append(parts, c.Path+" (not there now)")
		default:
			parts = append(parts, c.Path)
		}
	}
	if b.Spooled {
		parts = append(parts, either(len(parts) == 0, "only in the daemon's folder", "the daemon's folder"))
	}
	if b.Protected {
		parts = append(parts, "protected: it has accounts that later ones have not")
	}
	return orDash(strings.Join(parts, ", "))
}

func (c *cli) backupStatusCommand() *cobra.Command {
	var agree bool
	cmd := &cobra.Command{
		Use: "status", Short: "Say whether the backups are as they should be", Args: noArgs,
		Long: `Say how the backups and their destinations are, and what to do about what is wrong.
For monitoring: the exit code is 0 when all is well and 22 when backups are
missing, stale, failing, not proved for too long, or suddenly lack accounts; --json
has the same. It works while the vault is locked.

--agree says that accounts were meant to be so few, after an alarm: until then the
backup from before is removed nowhere. Of copies that were lost it is told until
then, too, and for a week at most.`,
		Example: "  tokenctl backup status\n  tokenctl --json backup status | jq .ok",
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.daemon().BackupStatus(cmd.Context())
			if err == nil && agree {
				st, err = c.agreeToDrop(cmd.Context(), st)
			}
			if err != nil {
				return fail("read the status of the backups", err)
			}
			if c.json {
				if err := c.printJSON(st); err != nil {
					return err
				}
			} else {
				c.sayBackupStatus(st)
			}
			if !st.OK {
				return silent{ipc.BackupStale.Info().Exit}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&agree, "agree", false, "agree to a sharp drop in accounts, and have seen what copies were lost")
	return cmd
}

func (c *cli) agreeToDrop(ctx context.Context, st ipc.BackupStatus) (ipc.BackupStatus, error) {
	var r ipc.AgreeToDropRequest
	for _, p := range st.Problems {
		if p.Code == ipc.BackupLost {
			r.Lost = append(r.Lost, p.Destination)
		}
	}
	drop := st.Drop
	switch {
	case drop != nil:
		r.Before = drop.Before
	case len(r.Lost) == 0:
		return st, failWith("agree", &ipc.Error{Kind: ipc.NotFound, Message: "there is no drop in accounts, and no lost copy, to agree to"}, adviceNoDrop()...)
	}
	st, err := c.daemon().AgreeToDrop(ctx, r)
	if err == nil && drop != nil {
		c.say("agreed: %s instead of %d; the backup from before is kept as long as any other", plural(drop.Has, "account"), drop.Had)
	}
	if err == nil && len(r.Lost) > 0 {
		c.say("seen: what was lost is told no more")
	}
	return st, err
}

func (c *cli) sayBackupStatus(st ipc.BackupStatus) {
	t := &table{head: []string{"", ""}, flexible: 1}
	newest := "none"
	if b := st.Newest; b != nil {
		newest = ago(c.now(), b.Made)
		if b.Accounts >= 0 {
			newest += ", " + plural(b.Accounts, "account")
		}
		if st.Pending {
			newest += "; the vault was changed since, and another follows"
		}
	}
	t.add("newest backup", newest)
	t.add("opened and compared", momentOf(c.now(), st.Opened, func(b *ipc.KnownBackup) time.Time { return b.Opened }))
	t.add("proved by a drill", momentOf(c.now(), st.Proved, func(b *ipc.KnownBackup) time.Time { return b.Proved }))
	t.add("in the daemon's folder", plural(st.Spooled, "backup"))
	for _, d := range st.Destinations {
		t.add("destination", d.Path+": "+destinationText(d, c.now()))
	}
	c.showPairs(t)
	for _, p := range st.Problems {
		c.sayProblem(p, st.Destinations)
	}
}

// momentOf is when something of a backup was, with the backup if that is another
// day's.
func momentOf(now time.Time, b *ipc.KnownBackup, when func(*ipc.KnownBackup) time.Time) string {
	if b == nil {
		return "never"
	}
	return ago(now, when(b)) + ", the backup of " + b.Made.Local().Format("2006-01-02 15:04")
}

// isAway says that a destination is not there; one that was away for long is stale, and
// has the reason of its being away.
func isAway(d ipc.Destination) bool {
	return d.State == ipc.DestinationAbsent || d.State == ipc.DestinationStale && d.Reason != ""
}

// destinationText is how a destination is, in a line.
func destinationText(d ipc.Destination, now time.Time) string {
	s := string(d.State)
	switch d.State {
	case ipc.DestinationOK:
		s = "has the newest backup"
	case ipc.DestinationNew:
		s = "nothing was copied there yet"
	case ipc.DestinationAbsent:
		s = "not there since " + ago(now, d.Since)
	case ipc.DestinationStale:
		if isAway(d) {
			s = "stale, and not there since " + ago(now, d.Since)
		}
	case ipc.DestinationFailing:
		s = "failing since " + ago(now, d.Since) + ": " + d.Reason
	}
	if !d.LastSuccess.IsZero() {
		s += ", last success " + ago(now, d.LastSuccess)
	}
	if isAway(d) {
		return s + ", and then it had " + plural(d.Copies, "backup")
	}
	return s + ", " + plural(d.Copies, "backup")
}

// backupsText is how the backups are, in a line of the status.
func backupsText(b *ipc.BackupSummary, now time.Time) string {
	if b.Newest.IsZero() {
		return "none yet"
	}
	return fmt.Sprintf("newest %s, %s; %s: tokenctl backup status", ago(now, b.Newest), plural(b.Destinations, "destination"), either(b.OK, "as they should be", "something is wrong"))
}
