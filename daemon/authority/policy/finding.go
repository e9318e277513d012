package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities. A text with an error is no policy.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing that is to be said of a policy.
type Finding struct {
	// Line is where it stands, from 1; 0 where it stands nowhere.
	Line int `json:"line,omitempty"`
	// Rule is the rule's name, "reactivation" or another table's; empty outside of
	// all.
	Rule string `json:"rule,omitempty"`
	// Field is the key within it.
	Field    string   `json:"field,omitempty"`
	Severity Severity `json:"severity"`
	// Message is the fact: lower case, no full stop.
	Message string `json:"message"`
	// Remedy is what mends it.
	Remedy string `json:"remedy,omitempty"`
}

// String is the finding in one line, without the remedy.
func (f Finding) String() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	fmt.Fprintf(&b, "%s: ", f.Severity)
	switch {
	case f.Rule != "" && f.Field != "":
		fmt.Fprintf(&b, "%s, %s: ", f.Rule, f.Field)
	case f.Rule != "" || f.Field != "":
		fmt.Fprintf(&b, "%s: ", f.Rule+f.Field)
	}
	return b.String() + f.Message
}

// Failed says whether there is an error among the findings.
func Failed(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Severity == Error })
}

// maxFindings bounds what a hostile text can have said about it.
const maxFindings = 200

// report collects findings.
type report struct {
	all  []Finding
	more int // that were not kept
}

func (r *report) add(f Finding) {
	if len(r.all) >= maxFindings {
		// An error must not drown in warnings: it is what refuses the text.
		if f.Severity != Error || Failed(r.all) {
			r.more++
			return
		}
	}
	r.all = append(r.all, f)
}

// sorted are the findings by line; those of equal lines stay in order.
func (r *report) sorted() []Finding {
	slices.SortStableFunc(r.all, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	if r.more > 0 {
		r.all = append(r.all, Finding{Severity: Note, Message: fmt.Sprintf("there are %d more findings", r.more),
			Remedy: "mend these first"})
	}
	return r.all
}
