package main

import (
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

// adviceUser is what who helps a user can do next, by how things are: the first
// line is what comes first.
func adviceUser(r ipc.UserReport) []string {
	name := quoted(r.User.Name)
	if r.User.Disabled {
		return []string{"nothing of his is accepted; if he may come back: `tokenctl admin user edit " + name + " --enable`"}
	}
	out := adviceFobStates(r, name)
	for _, k := range r.SecurityKeys {
		if !k.Doubted.IsZero() {
			out = append(out, "there may be a copy of his security key: `tokenctl admin user key remove "+name+" "+quoted(k.Name)+"`")
		}
	}
	for _, a := range r.Activations {
		if a.State == ipc.CodeWaiting {
			out = append(out, "an activation waits for a second person: `tokenctl admin activation approve "+a.ID+"`")
		}
	}
	return append(out, adviceAccounts(r, name)...)
}

// adviceFobStates is about fobs of which no single passcode is accepted now.
func adviceFobStates(r ipc.UserReport, name string) []string {
	var out []string
	throttled, works := len(r.Throttled) > 0, false
	for _, f := range r.Fobs {
		works = works || f.State == ipc.FobActive
		switch {
		case f.State == ipc.FobLost || f.State == ipc.FobDisabled:
			out = append(out, fmt.Sprintf("fob %s is %s; if it is in his hand: `tokenctl admin fob enable %s`, else another: `tokenctl admin fob replace %s WITH`",
				clean(f.Serial), f.State, quoted(f.Serial), quoted(f.Serial)))
		case !f.Throttled.IsZero():
			throttled = true
		}
	}
	if throttled && !works { // where RADIUS or Duo verifies, two are no proof
		return append(out, "passcodes wait, until when is shown above; he has no fob here that two in a row could prove")
	}
	if throttled {
		out = append(out, "single passcodes wait; two in a row prove the fob, and end that at every service: `tokenctl admin verify "+name+"`, \"123456 654321\"")
	}
	return out
}

// adviceAccounts is how each account comes to a new device.
func adviceAccounts(r ipc.UserReport, name string) []string {
	helper := "you cannot help him: " + r.MayHelp.Reason + "; who can: `tokenctl admin policy explain " + name + "`"
	if len(r.Accounts) == 0 {
		if !r.MayHelp.Allowed {
			return []string{helper}
		}
		return []string{"he has no managed account; for one: `tokenctl admin activation create " + name + " --account NAME`"}
	}
	var out []string
	stuck := false
	for _, a := range r.Accounts {
		if !a.Activated {
			lines := adviceNeverActivated(r, a, name)
			out, stuck = append(out, lines...), stuck || len(lines) == 0
			continue
		}
		if a.Policy.Outcome == "offered" {
			out = append(out, "he himself, on a device with his backup: `tokenctl reactivate "+quoted(a.Name)+"`")
			continue
		}
		if stuck = true; r.MayHelp.Allowed {
			out = append(out, "nothing of his brings "+clean(a.Name)+" back; a link does: `tokenctl admin activation create "+name+" --account "+quoted(a.Name)+"`")
		}
	}
	if stuck && !r.MayHelp.Allowed {
		out = append(out, helper)
	}
	return out
}

// adviceNeverActivated is about an account for which there were links alone, so that
// no backup brings it back; nothing where no link is open and he may not make one.
func adviceNeverActivated(r ipc.UserReport, a ipc.ReportedAccount, name string) []string {
	for _, x := range r.Activations {
		if x.Account == a.Name && x.State == ipc.CodeOpen {
			return []string{"no device ever had " + clean(a.Name) + "; he uses the link that is open: `tokenctl activate`; is it lost: `tokenctl admin activation revoke " + x.ID + "`, and another"}
		}
		if x.Account == a.Name {
			return nil // it waits, and that was said
		}
	}
	if !r.MayHelp.Allowed {
		return nil
	}
	return []string{"no device ever had " + clean(a.Name) + ", and no link for it is open: `tokenctl admin activation create " + name + " --account " + quoted(a.Name) + "`"}
}
