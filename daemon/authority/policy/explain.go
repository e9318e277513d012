package policy

import (
	"maps"
	"slices"
)

// Explanation is a decision with everything that led to it, for people and
// programs to read.
type Explanation struct {
	Version int    `json:"version"`
	User    string `json:"user"`
	Account string `json:"account,omitempty"`
	Device  string `json:"device,omitempty"`
	// Restored is the case that is explained: the account came from a backup.
	Restored bool `json:"restored"`
	Decision
	// Matching are the rules that match, in the order of the file.
	Matching []MatchingRule `json:"matching_rules"`
	// Ladder is the ladder that counts.
	Ladder     [][]Factor `json:"ladder"`
	LadderFrom *Source    `json:"ladder_from,omitempty"`
	// RestoreAllowed says whether a restored account may be reactivated.
	RestoreAllowed bool               `json:"restore_allowed"`
	Lifetimes      LifetimesInWords   `json:"lifetimes"`
	Help           HelpForSomebody    `json:"help"`
	Has            map[Factor]Holding `json:"has"`
}

// MatchingRule is a rule that matches, and what it says.
type MatchingRule struct {
	Source
	Allow        []Factor  `json:"allow,omitempty"`
	Deny         []Factor  `json:"deny,omitempty"`
	Factors      int       `json:"factors,omitempty"`
	AfterRestore string    `json:"after_restore,omitempty"`
	ForbiddenBy  string    `json:"forbidden_by,omitempty"`
	OldDevice    OldDevice `json:"old_device,omitempty"`
	Because      string    `json:"because,omitempty"`
}

// LifetimesInWords are lifetimes as the policy writes them: "15m", "24h".
type LifetimesInWords struct {
	Activation     string `json:"activation"`
	PendingSecret  string `json:"pending_secret"`
	DeviceApproval string `json:"device_approval"`
	BypassCode     string `json:"bypass_code"`
}

// InWords writes lifetimes as the policy does.
func (l Lifetimes) InWords() LifetimesInWords {
	return LifetimesInWords{spell(l.Activation), spell(l.PendingSecret), spell(l.DeviceApproval), spell(l.BypassCode)}
}

// HelpForSomebody is who may help a person.
type HelpForSomebody struct {
	Roles          []Role `json:"roles"`
	SecondApprover bool   `json:"second_approver"`
	From           Source `json:"from"`
}

// Explain decides as Decide does, and says by what.
func Explain(p *Policy, s Subject) Explanation {
	e := Explanation{Version: 1, User: s.User.Name, Account: s.Account, Device: s.Device.Name, Restored: s.Restored,
		Decision: Decide(p, s), Matching: []MatchingRule{}, Ladder: [][]Factor{}, Has: map[Factor]Holding{}}
	if p == nil {
		p = &Policy{reactivation: settings{name: Base}}
	}
	m := p.matching(s)
	for _, r := range m.rules {
		e.Matching = append(e.Matching, MatchingRule{Source: r.source(), Allow: r.allow, Deny: r.deny, Factors: r.factors,
			AfterRestore: r.restore, ForbiddenBy: r.forbidden, OldDevice: r.oldDevice, Because: r.because})
	}
	if l := m.ladder(); len(l.ladder) > 0 {
		from := l.source()
		e.Ladder, e.LadderFrom = l.ladder, &from
	}
	e.RestoreAllowed = m.restore() == nil
	e.Lifetimes = p.Lifetimes().InWords()
	role := highest(s.User)
	e.Help = HelpForSomebody{Roles: append([]Role{}, p.help.by[role]...), SecondApprover: slices.Contains(p.help.second, role),
		From: Source{"help", p.help.lines[role]}}
	maps.Copy(e.Has, s.Has)
	return e
}
