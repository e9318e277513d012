package daemon

import (
	"slices"

	"github.com/tokenbridge/tokend/ipc"
)

// AuthorityReporter tells callers of the authority that lives in this daemon, each
// as much as is his business.
type AuthorityReporter interface {
	// State is nil for who has nothing to do with it, and where there is none.
	State(p ipc.Principal) *ipc.AuthorityState
	// Findings are for who can mend what is wrong.
	Findings(p ipc.Principal) []ipc.Finding
	// Keeps says whether the authority is opened by a token's public key.
	Keeps(public []byte) bool
}

// authority is what p is told of the authority, nil if nothing.
func (d *Daemon) authority(p ipc.Principal) *ipc.AuthorityState {
	if d.cfg.Authority == nil {
		return nil
	}
	return d.cfg.Authority.State(p)
}

// authorityTrouble is what is wrong with an authority, as far as it was told; empty
// if nothing is.
func authorityTrouble(a *ipc.AuthorityState) string {
	if a != nil && a.Problem != nil {
		return "the authority cannot be used: " + a.Problem.Message
	}
	return ""
}

// authorityWarnings is authorityTrouble as the warning of a status.
func authorityWarnings(a *ipc.AuthorityState) []ipc.Warning {
	if a != nil && a.Locked {
		return []ipc.Warning{{Code: "authority-locked", Message: "the authority is locked, and answers nobody", Fix: "tokenctl admin authority unlock"}}
	}
	trouble := authorityTrouble(a)
	switch {
	case a == nil:
		return nil
	case trouble == "":
		return a.Warnings
	}
	return []ipc.Warning{{Code: "authority", Message: trouble, Fix: "tokenctl doctor"}}
}

// authority is about the authority, where the caller can mend it.
func (c *checkup) authority() {
	if a := c.u.d.cfg.Authority; a != nil {
		for _, f := range a.Findings(c.p) {
			ours := f.Code == codeListen || f.Code == codeMail
			if ours && slices.ContainsFunc(c.list, func(told ipc.Finding) bool { return told.Code == f.Code }) {
				continue // the configuration's finding says it
			}
			if ours { // of which the configuration says how
				f.Fix = inOrder(c.u.d.check(c.u.d.configState(c.p)), c.u.d.manage("restart"))
			}
			c.list = append(c.list, f)
		}
	}
}
