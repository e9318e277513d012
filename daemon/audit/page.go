package audit

import (
	"slices"
	"strings"
	"time"
)

// Query says which entries to find; what is empty asks for nothing.
type Query struct {
	// After is the last number that is known.
	After uint64
	// Limit is how many are found at most; 0 is none at all.
	Limit int
	// Last makes it the last ones that are found, not the first.
	Last         bool
	Since, Until time.Time // both included
	// Action is an action, or what stands before a '-' of several.
	Action, By string
	// Actions are actions, of which the entry has one.
	Actions []string
	// Objects are ids, each of which is the entry's object, or a word of its detail with its
	// name before it: "user=…".
	Objects []Object
	// Failed leaves out what was done.
	Failed bool
	// Only leaves out what it is false for; nil leaves out nothing.
	Only func(e *Entry) bool
}

// Object is something that entries are about: in the detail it stands as
// "name=id".
type Object struct{ Name, ID string }

// Page is what was found.
type Page struct {
	Entries []Entry
	// More says that more was found, after these.
	More bool
	// Result is of the whole log.
	Result Result
}

func (q *Query) fits(e *Entry) bool {
	switch {
	case e.Seq <= q.After, q.Failed && e.OK, q.By != "" && e.By != q.By:
		return false
	case !q.Since.IsZero() && e.Time.Before(q.Since), !q.Until.IsZero() && e.Time.After(q.Until):
		return false
	case len(q.Actions) > 0 && !slices.Contains(q.Actions, e.Action):
		return false
	case q.Action != "" && e.Action != q.Action && !strings.HasPrefix(e.Action, q.Action+"-"):
		return false
	}
	for _, o := range q.Objects {
		if o.ID != "" && e.Object != o.ID && !slices.Contains(strings.Fields(e.Detail), o.Name+"="+o.ID) {
			return false
		}
	}
	return q.Only == nil || q.Only(e)
}

// Find goes through the whole log once: it checks it, and finds entries.
func (l *Log) Find(q Query) (Page, error) {
	var p Page
	res, err := l.Walk(func(e Entry) {
		switch {
		case !q.fits(&e):
		case len(p.Entries) < q.Limit:
			p.Entries = append(p.Entries, e)
		case q.Last && q.Limit > 0:
			p.Entries[0] = Entry{} // what falls out is not kept
			p.Entries = append(p.Entries[1:], e)
		default:
			p.More = true
		}
	})
	p.Result = res
	return p, err
}
