package main

import (
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// noAgent is what the daemon says where there is none to ask.
const noAgent = "no agent can ask"

// adviceConsent is about a program that has no grant for an account (empty where it
// is not one); agent says that the call could have waited for an agent's question.
func adviceConsent(e *ipc.Error, account string, agent bool) []string {
	free := "or grant it to all: `tokenctl grant mode off --account " + accountWord(account) + "`"
	switch {
	case e.RetryAfter > 0:
		return []string{"you are asked again in " + waitText(e.RetryAfter) + "; at a terminal tokenctl asks at once",
			"what is granted, and to whom: `tokenctl grant list`"}
	case strings.Contains(e.Message, "nobody answered"):
		return []string{"repeat it, and answer in your session"}
	case strings.Contains(e.Message, "too many questions"):
		return []string{"wait a minute and repeat", "which programs ask: `tokenctl audit list`"}
	case agent:
		return append(adviceWhichAgent(), free)
	}
	return []string{"at a terminal tokenctl asks you; elsewhere give --interaction agent, with `tokenctl agent` running in your session", free}
}

// isDenied says that the account's mode is deny.
func isDenied(e *ipc.Error) bool {
	return e.Kind == ipc.NotAuthorized && strings.Contains(e.Message, "grant mode")
}

// adviceDenied is about an account whose mode is deny.
func adviceDenied(account string) []string {
	return []string{"you denied it to every program: `tokenctl grant mode ask --account " + accountWord(account) + "`, or off"}
}

// accountWord is an account as the argument of a command, as it was called.
func accountWord(account string) string {
	if account == "" {
		return "ACCOUNT"
	}
	return quoted(account)
}

// adviceNoGrant is where the ids of grants are found.
func adviceNoGrant() []string {
	return []string{"`tokenctl grant list` shows what is granted, with the ids"}
}

// adviceWhichAgent is about a question that no agent put.
func adviceWhichAgent() []string {
	return []string{"which agent runs, and what it can ask: `tokenctl agent status`; with none: `tokenctl agent` in your session"}
}

// adviceStartAgent is how to have one.
func adviceStartAgent() []string {
	return []string{"start one: tokenctl agent, for good: tokenctl agent install"}
}

// adviceNoPinentry is about an agent that cannot ask.
func adviceNoPinentry() []string {
	return []string{"install one that suits your desktop (pinentry-gnome3, pinentry-qt) or terminal (pinentry-curses, with GPG_TTY=$(tty)), or name one: --pinentry"}
}

// adviceAgentTaken is about a second agent in a session.
func adviceAgentTaken() []string {
	return []string{"one is enough; which runs, and what it can: `tokenctl agent status`"}
}

// adviceAgentStart is about an agent that does not run.
func adviceAgentStart(installed bool, unit string) []string {
	switch {
	case !installed:
		return []string{"start it with your session, from now on: `tokenctl agent install`; until Ctrl-C: `tokenctl agent`"}
	case unit != "":
		return []string{"start it: `systemctl --user start " + unit + "`; why it ended: `journalctl --user -u " + unit + "`"}
	}
	return []string{"start it: `tokenctl agent`"}
}
