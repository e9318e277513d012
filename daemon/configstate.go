package daemon

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// codeConfig is the code of what is said of the configuration.
const codeConfig = "config"

// codeListen is that of an authority's listener, of which the authority tells as well.
const codeListen = "authority-listen"

// codeMail is that of an authority's letters, of which the authority tells as well.
const codeMail = "authority-mail"

// codeTextfile is that of the file of figures.
const codeTextfile = "metrics-textfile"

// configState is what p is told of the configuration, nil where there is none to tell
// of. What is wrong with the file can quote it, and it need not be everybody's to read.
func (d *Daemon) configState(p ipc.Principal) *ipc.ConfigState {
	if d.cfg.Configuration == nil {
		return nil
	}
	st := d.cfg.Configuration()
	if st.Problem != "" && !p.Admin {
		if st.Problem = "it cannot be used"; st.Mended {
			st.Problem = "it could not be used"
		}
	}
	if !p.Admin {
		st.Failing = slices.Clone(st.Failing)
		for i, f := range st.Failing {
			st.Failing[i] = ipc.ConfigFailure{Setting: f.Setting, Problem: "who administers the machine is told why"}
		}
	}
	return &st
}

// manage is the command that has the daemon reloaded or restarted.
func (d *Daemon) manage(verb string) string {
	switch {
	case d.cfg.Manage != nil:
		return d.cfg.Manage(verb)
	case d.cfg.Mode == ModeSystem:
		return "sudo systemctl " + verb + " tokend"
	}
	return "systemctl --user " + verb + " tokend"
}

// check is the command that says what is wrong with the configuration. It stands before
// whatever reads the file again: one that is broken would end the daemon, or stay unread.
func (d *Daemon) check(st *ipc.ConfigState) string {
	switch {
	case st != nil && st.File != "":
		return "tokend config check " + ipc.ShellWord(st.File)
	case d.cfg.Mode == ModeSystem: // else it looks for the file of who types it
		return "sudo tokend config check"
	}
	return "tokend config check"
}

// configWarnings says what of a configuration does not hold, or not yet.
func (d *Daemon) configWarnings(st *ipc.ConfigState) []ipc.Warning {
	var list []ipc.Warning
	warn := func(fix, message string) {
		list = append(list, ipc.Warning{Code: codeConfig, Message: message, Fix: fix})
	}
	switch {
	case st == nil:
		return nil
	case st.Mended:
		warn(inOrder(d.check(st), d.manage("reload")), "the configuration can be used again, and is not read yet: until it is reloaded, what was read before holds")
	case st.Problem != "" && st.Changed: // and nobody had it read
		warn(inOrder(d.check(st), d.manage("reload")), "the configuration was changed since it was read, and tokend would not start with it: "+st.Problem)
	case st.Problem != "":
		warn(inOrder(d.check(st), d.manage("reload")), "the configuration was changed and not taken, and what was read before holds: "+st.Problem)
	case st.Changed:
		warn(inOrder(d.check(st), d.manage("reload")), "the configuration was changed since it was read")
	}
	if len(st.Waits) > 0 {
		warn(inOrder(d.check(st), d.manage("restart")), "the configuration was changed since the start; restart for "+strings.Join(st.Waits, ", "))
	}
	return list
}

// failureWarnings says what could not be started or written as a configuration says.
func (d *Daemon) failureWarnings(st *ipc.ConfigState) []ipc.Warning {
	if st == nil {
		return nil
	}
	var list []ipc.Warning
	for _, f := range st.Failing {
		w := ipc.Warning{Code: codeConfig, Message: f.Setting + " cannot be used: " + f.Problem, Fix: cmp.Or(f.Fix, inOrder(d.check(st), d.manage("restart")))}
		switch f.Setting {
		case "authority.listen":
			w.Code, w.Message = codeListen, "the authority cannot be reached from other machines: "+f.Problem
		case "mail":
			w.Code, w.Message = codeMail, "the authority cannot send links by e-mail: "+f.Problem
		case "metrics.textfile":
			w.Code, w.Message = codeTextfile, "the figures are not written to metrics.textfile: "+f.Problem
		}
		list = append(list, w)
	}
	return list
}

// config is about the configuration.
func (c *checkup) config() {
	st := c.u.d.configState(c.p)
	if st == nil {
		return
	}
	level := levelWarning
	if st.Problem != "" && !st.Mended {
		level = levelError // at the next start there would be no daemon
	}
	for _, w := range c.u.d.failureWarnings(st) {
		c.found(levelError, w.Code, w.Fix, "%s", w.Message)
	}
	list := c.u.d.configWarnings(st)
	for _, w := range list {
		c.found(level, w.Code, w.Fix, "%s", w.Message)
		level = levelWarning
	}
	switch {
	case len(list) > 0:
	case st.File == "":
		c.found(levelOK, codeConfig, "", "there is no configuration file, and the defaults hold")
	default:
		c.found(levelOK, codeConfig, "", "the configuration %s holds", st.File)
	}
}
