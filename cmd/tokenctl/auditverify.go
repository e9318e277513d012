package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/copies"
	"github.com/tokenbridge/tokend/ipc"
)

// maxCheckpointFile is how much of a log is looked through for checkpoints.
const maxCheckpointFile = 256 << 20

// comparedAtOnce is how many checkpoints the daemon takes.
const comparedAtOnce = 1000

func (c *cli) verifyAuditCommand(of func() chain) *cobra.Command {
	var files []string
	o := of()
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that entries were not changed, cut off or written anew", Args: noArgs,
		Long: `Check ` + o.what + `. By itself that finds accidental and partial changes;
whoever may write the daemon's files can still rewrite the whole of it, or cut off its
end. With checkpoints that were kept elsewhere that is found as well: a FILE is
whatever text has some in it, such as what "` + o.command + ` checkpoint" printed, the
file beside a backup, or an export of the daemon's log; of a folder all files beside
backups in it are taken.

Exit codes: 0 all is as it was; 18 something was changed, cut off or written anew; 2 a
checkpoint is forged or damaged; 20 it is of another chain of this ` + o.owner + `, or signed
by another key; 11 none says anything of this chain.`,
		Example: "  " + o.command + " verify\n  " + o.command + " verify --checkpoint checkpoint-2026-11-29\n" +
			"  journalctl -u tokend | " + o.command + " verify --checkpoint -",
		RunE: func(cmd *cobra.Command, _ []string) error { return c.verifyAudit(cmd.Context(), o, files) },
	}
	cmd.Flags().StringArrayVar(&files, "checkpoint", nil, "a `FILE` with checkpoints (- is standard input; can be repeated)")
	return cmd
}

func (c *cli) verifyAudit(ctx context.Context, of chain, files []string) error {
	doing := "verify " + of.what
	var texts []string
	files, err := pointFiles(files)
	if err != nil {
		return problem(ipc.InvalidArgument, "read checkpoints", err, adviceNoCheckpoint(of.command)...)
	}
	for _, path := range files {
		data, err := c.readPublic(ctx, "--checkpoint", path, maxCheckpointFile)
		if err != nil {
			return err
		}
		found := checkpointsIn(string(data))
		if len(found) == 0 {
			return problem(ipc.InvalidArgument, "read checkpoints from "+clean(path), errNoCheckpoint, adviceNoCheckpoint(of.command)...)
		}
		for _, text := range found {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	verdict, err := of.compare(ctx, texts)
	if err != nil {
		return of.fail(doing, err)
	}
	if err := c.answer(verdict, func() { c.sayVerdict(verdict) }); err != nil {
		return err
	}
	if !verdict.Intact {
		return of.broken(verdict.Problem)
	}
	return of.judge(verdict)
}

// pointFiles are the files with checkpoints: of a folder those that lie beside backups.
func pointFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || err != nil || !info.IsDir() {
			files = append(files, path)
			continue
		}
		names, err := copies.OS{}.ReadDir(path)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, name := range names {
			if strings.HasSuffix(name, copies.PointSuffix) {
				files = append(files, filepath.Join(path, name))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("cannot read checkpoints from %s: %w", clean(path), errNoCheckpoint)
		}
	}
	return files, nil
}

// compare asks the daemon, in several steps where there are many checkpoints.
func (of chain) compare(ctx context.Context, texts []string) (ipc.AuditVerdict, error) {
	all, err := of.verify(ctx, ipc.VerifyAuditRequest{Checkpoints: texts[:min(len(texts), comparedAtOnce)]})
	for at := comparedAtOnce; err == nil && at < len(texts); at += comparedAtOnce {
		var more ipc.AuditVerdict
		more, err = of.verify(ctx, ipc.VerifyAuditRequest{Checkpoints: texts[at:min(len(texts), at+comparedAtOnce)]})
		more.Checkpoints = append(all.Checkpoints, more.Checkpoints...)
		all = more
	}
	return all, err
}

// sayVerdict tells of what is as it should be, and lists what is not.
func (c *cli) sayVerdict(v ipc.AuditVerdict) {
	if v.Intact {
		c.say("%s, unchanged", plural(v.Entries, "entry"))
	}
	if v.First > 1 {
		c.say("it begins with entry %d: older files were moved away, or removed", v.First)
	}
	c.warn(v.Warnings)
	var held ipc.CheckpointVerdict
	count, elsewhere := 0, 0
	t := &table{head: []string{"ENTRY", "SIGNED", "CHECKPOINT"}, flexible: 2}
	for _, p := range v.Checkpoints {
		switch p.Standing {
		case ipc.CheckpointHeld:
			count++
			if p.Seq > held.Seq {
				held = p
			}
		case ipc.CheckpointOther:
			elsewhere++
		default:
			t.add(orDash(either(p.Seq > 0, strconv.FormatUint(p.Seq, 10), "")), orDash(either(p.Time.IsZero(), "", p.Time.Local().Format("2006-01-02 15:04:05"))), string(p.Standing))
		}
	}
	if count > 0 {
		c.say("%s held: up to entry %d it is as it was on %s", plural(count, "checkpoint"), held.Seq, held.Time.Local().Format("2006-01-02 15:04:05"))
	}
	if elsewhere > 0 {
		c.say("%s of other chains", plural(elsewhere, "checkpoint"))
	}
	if len(t.rows) > 0 {
		c.show(t)
	}
}

// judge says what the worst of the checkpoints means. Of other chains a log may
// have some, and of files that were moved away; it must not have them alone.
func (of chain) judge(v ipc.AuditVerdict) error {
	for _, s := range []struct {
		standing ipc.CheckpointStanding
		kind     ipc.Kind
		message  string
	}{
		{ipc.CheckpointCut, of.damaged, "the end was cut off"},
		{ipc.CheckpointRewritten, of.damaged, "entries were written anew"},
		{ipc.CheckpointMissing, of.damaged, "an entry is gone"},
		{ipc.CheckpointForged, ipc.InvalidArgument, "a checkpoint is forged"},
		{ipc.CheckpointUnreadable, ipc.InvalidArgument, "a checkpoint is damaged"},
		{ipc.CheckpointReplaced, ipc.Conflict, "a checkpoint of this " + of.owner + " is of another chain"},
		{ipc.CheckpointUnknown, ipc.Conflict, "a checkpoint is signed by another key"},
		{ipc.CheckpointBefore, ipc.NotFound, "no checkpoint is of what is here"},
		{ipc.CheckpointOther, ipc.NotFound, "no checkpoint is of this chain"},
	} {
		is := func(p ipc.CheckpointVerdict) bool { return p.Standing == s.standing }
		at := slices.IndexFunc(v.Checkpoints, is)
		if at < 0 || s.kind == ipc.NotFound && slices.ContainsFunc(v.Checkpoints, func(p ipc.CheckpointVerdict) bool { return p.Standing == ipc.CheckpointHeld }) {
			continue
		}
		message := s.message
		if p := v.Checkpoints[at]; p.Seq > 0 {
			message += ": it is of entry " + strconv.FormatUint(p.Seq, 10) + " and of " + p.Time.Local().Format("2006-01-02 15:04:05")
		}
		return failWith("verify "+of.what+" by a checkpoint", &ipc.Error{Kind: s.kind, Message: message}, adviceCheckpoint(s.standing, of.owner)...)
	}
	return nil
}
