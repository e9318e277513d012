package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/local"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

func (c *cli) doctorCommand() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, and name the command that mends it", Args: noArgs,
		Long: `Check this machine, this program's side and the daemon's, and say what was found, each
with the command that mends it. At a terminal the worst comes last, where it stays in
sight, and what is fine is only counted; in a pipe everything is named, the worst
first. docs/doctor.md explains each code.

The exit code is 0 where no error was found, 1 where one was, and 21 where no daemon
answers.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, exit := c.examine(cmd.Context())
			for i := range found {
				found[i].Fix = remedy.Typed(found[i].Fix)
			}
			if c.json {
				if err := c.printJSON(ipc.Findings{Version: ipc.Version, Findings: found}); err != nil {
					return err
				}
			} else {
				c.showFindings(found, all)
			}
			if exit != 0 {
				return silent{exit}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "name what is fine, too")
	return cmd
}

// Levels of a finding.
const (
	levelOK      = "ok"
	levelNote    = "note"
	levelWarning = "warning"
	levelError   = "error"
)

// examine checks this side, and what the daemon says of its own.
func (c *cli) examine(ctx context.Context) (found []ipc.Finding, exit int) {
	st, err := c.daemon().Status(ctx) // first: the socket is then the one that answers
	here := thisMachine()
	if err != nil {
		return c.examineSilent(ctx, here, asError(ctx, err))
	}
	found = append(c.examineHere(true, ""), here.find(&st, c.socketPath())...)
	found = append(found, ipc.Finding{Code: "daemon", Level: levelOK,
		Message: fmt.Sprintf("tokend %s answers at %s (%s)", st.Daemon.Version, st.Daemon.Socket, modeText(st.Daemon.Mode))})
	found = append(found, sameVersion(buildVersion(), st.Daemon), clockFinding(c.now(), st.Daemon.Time))
	theirs, err := c.daemon().Doctor(ctx)
	if err != nil {
		e := asError(ctx, err)
		found = append(found, ipc.Finding{Code: string(e.Kind), Level: levelError, Message: "the daemon cannot examine itself: " + e.Message})
	}
	found = append(found, theirs.Findings...)
	for _, f := range found {
		if f.Level == levelError {
			exit = 1
		}
	}
	return found, exit
}

// examineSilent checks this side where no daemon answers: e is what came instead.
func (c *cli) examineSilent(ctx context.Context, here machine, e *ipc.Error) (found []ipc.Finding, exit int) {
	f := ipc.Finding{Code: string(e.Kind), Level: levelError, Message: "the daemon does not answer: " + e.Message}
	start, own := adviceStart(c.ownSocket(), here.starts()), adviceServe(c.ownSocket())
	if file, is := configOf(c.ownSocket() == "" && here.installed()); is {
		config, broken := file.examine(ctx)
		if found = append(found, config); broken {
			f.Message += "; it cannot start with its configuration " + file.path
			start, own = adviceConfig(file.path)+" && "+start, adviceConfig(file.path)+" && "+own
		}
	}
	if uid := local.Nobody(); uid != "" { // to whom none that is started answers
		f.Message += "; " + adviceNobody(uid)[0]
		start, own = "", ""
	}
	f.Fix = start
	found = append(c.examineHere(false, own), found...)
	found = append(found, here.find(nil, c.socketPath())...)
	return append(found, f), e.Kind.Info().Exit
}

func sameVersion(mine string, d ipc.Daemon) ipc.Finding {
	if mine == d.Version {
		return ipc.Finding{Code: "version", Level: levelOK, Message: "tokenctl and tokend have the same version, " + mine}
	}
	fix := "restart tokend, if it was updated"
	if d.Config != nil && d.Config.File != "" {
		fix = adviceConfig(d.Config.File) + "; then " + fix
	}
	return ipc.Finding{Code: "version", Level: levelNote, Message: fmt.Sprintf("tokenctl has version %s, tokend %s", mine, d.Version), Fix: fix}
}

// clockFinding compares the clocks of both programs, which are one machine's.
func clockFinding(here, there time.Time) ipc.Finding {
	d := here.Sub(there).Abs()
	if there.IsZero() || d < 5*time.Second {
		return ipc.Finding{Code: "clock", Level: levelOK, Message: "the daemon's clock is " + here.UTC().Format(time.RFC3339)}
	}
	return ipc.Finding{Code: "clock", Level: levelWarning, Message: "the daemon's clock differs by " + span(d) + " from this program's"}
}

// examineHere checks what can be seen on this side; answered says that a daemon
// answers, at whatever socket, and start is what starts one there.
func (c *cli) examineHere(answered bool, start string) []ipc.Finding {
	var found []ipc.Finding
	path := c.socketPath()
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		found = append(found, ipc.Finding{Code: "socket", Level: levelOK, Message: fmt.Sprintf("the socket is %s (mode %04o)", path, info.Mode().Perm())})
	} else if !answered && errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(path, `\\`) {
		found = append(found, ipc.Finding{Code: "socket", Level: levelWarning, Message: "there is no socket at " + path, Fix: start})
	}
	if c.getenv("TOKEND_SOCKET") != "" && c.socket == "" {
		found = append(found, ipc.Finding{Code: "socket-environment", Level: levelNote, Message: "TOKEND_SOCKET chooses the socket", Fix: "unset TOKEND_SOCKET"})
	}
	if c.canAsk() {
		found = append(found, ipc.Finding{Code: "terminal", Level: levelOK, Message: "there is a terminal to ask for PINs at"})
	} else {
		found = append(found, ipc.Finding{Code: "terminal", Level: levelNote, Message: "there is no terminal: nothing can be asked, PINs have to come from files"})
	}
	return found
}

// showFindings lists what was found: for programs the worst first, at a terminal the
// worst last, which is what is seen of a long list. What is fine is counted there,
// unless all is wanted.
func (c *cli) showFindings(found []ipc.Finding, all bool) {
	levels := []string{levelError, levelWarning, levelNote, levelOK}
	if !c.outTTY {
		t := &table{head: []string{"LEVEL", "FOUND"}, flexible: 1}
		for _, f := range ofLevels(found, levels) {
			text := f.Message
			if fix := adviceFix(f.Code, f.Fix, ""); fix != "" {
				text += " - mend it: " + fix
			}
			t.add(f.Level, text)
		}
		c.show(t)
		return
	}
	slices.Reverse(levels)
	if fine := len(ofLevels(found, levels[:1])); !all && fine > 0 {
		c.print("%s", findingLines(levelOK, plural(fine, "check")+" found nothing wrong; --all names them", "", 0)[0])
		levels = levels[1:]
	}
	for _, f := range ofLevels(found, levels) {
		for _, line := range findingLines(f.Level, clean(f.Message), clean(adviceFix(f.Code, f.Fix, "")), c.outWidth()) {
			c.print("%s", line)
		}
	}
}

// ofLevels are the findings of some levels, in their order.
func ofLevels(found []ipc.Finding, levels []string) (list []ipc.Finding) {
	for _, level := range levels {
		for _, f := range found {
			if f.Level == level {
				list = append(list, f)
			}
		}
	}
	return list
}

// findingLines is a finding on a screen of so many columns, 0 meaning no limit. It
// is broken at spaces; what mends it stands on a line of its own and is whole, so
// that it can be copied.
func findingLines(level, text, fix string, screen int) []string {
	const room = len(levelWarning) + columnGap
	lines := []string{text}
	if screen > room {
		lines = wrapped(text, screen-room)
	}
	if fix != "" {
		lines = append(lines, "mend it: "+fix)
	}
	first := level
	for i, l := range lines {
		lines[i] = first + strings.Repeat(" ", room-columns(first)) + l
		first = ""
	}
	return lines
}
