package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

// manyLines is how many lines of one kind are shown; --json has them all.
const manyLines = 200

// sayRead tells what is in the files before anything is done with it, and what
// of it cannot come along.
func (c *cli) sayRead(g *gathered) {
	for _, f := range g.files {
		if f.Format != "" {
			c.say("%s: %s", clean(f.File), clean(f.Format))
		}
	}
	c.say("read %s%s", plural(len(g.res.Rows)+len(g.res.Skipped), "row"), skippedText(len(g.res.Skipped)))
	for _, n := range g.res.Notes {
		c.say("note: %s", clean(n))
	}
	for i, s := range g.res.Skipped {
		if i == manyLines {
			c.say("… and %d more; --json has them all", len(g.res.Skipped)-i)
			break
		}
		c.say("skipped: %s", clean(skipText(s)))
	}
	warned := 0
	for _, r := range g.res.Rows {
		if len(r.Warnings) == 0 {
			continue
		}
		if warned++; warned > manyLines {
			c.say("… and more; --json has them all")
			break
		}
		c.say("warning: %s (%s): %s", clean(r.What()), clean(r.Where), clean(strings.Join(r.Warnings, "; ")))
	}
}

func skippedText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them cannot be imported", n)
}

// changes is how many accounts a plan brings in or changes.
func changes(p ipc.Plan) int { return p.Added + p.Replaced + p.Renamed }

// sayImported is the report, last on the screen: what was done, and what to do
// next.
func (c *cli) sayImported(g *gathered, doc importDocument) {
	plan := ipc.Plan{}
	if doc.Plan != nil {
		plan = *doc.Plan
	}
	imported := 0
	if plan.Applied {
		imported = changes(plan)
	}
	line := fmt.Sprintf("read %d, imported %d, same %d", doc.Read, imported, plan.Same)
	if plan.Left > 0 {
		line += fmt.Sprintf(", left out %d", plan.Left)
	}
	c.say("%s, skipped %d", line, len(doc.Skipped))
	if imported == 0 {
		return
	}
	for _, line := range adviceImported(firstImported(plan), plainFiles(g)) {
		c.say("%s", clean(line))
	}
}

func skipText(s transfer.Skip) string {
	what := s.Where
	if name := strings.TrimSpace(s.Issuer + " " + s.Name); name != "" {
		what += " (" + name + ")"
	}
	return what + ": " + s.Reason
}

// firstImported is an account to try.
func firstImported(p ipc.Plan) string {
	i := slices.IndexFunc(p.Items, func(i ipc.PlanItem) bool { return i.Action == ipc.PlanAdd || i.Action == ipc.PlanReplace })
	if i < 0 {
		return ""
	}
	a := p.Items[i].Account
	if a.Issuer != "" {
		return a.Issuer + ":" + a.Name
	}
	return a.Name
}

// plainFiles are the files that hold the secrets in the clear.
func plainFiles(g *gathered) []string {
	var plain []string
	for _, f := range g.files {
		if f.path != "" && !f.Encrypted && f.Format != "" {
			plain = append(plain, f.path)
		}
	}
	return plain
}

// suggestBackup says when no backup was copied out of the daemon's folder: what was
// imported is nowhere else once the export is destroyed and this machine is lost.
func (c *cli) suggestBackup(ctx context.Context) {
	st, err := c.daemon().Status(ctx)
	if err == nil && st.Vault.LastBackup.IsZero() {
		c.say("no backup was ever copied out of the daemon's folder; make a copy before you destroy anything: tokenctl backup create FILE")
	}
}
