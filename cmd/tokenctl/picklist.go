package main

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/ipc"
)

// pickItem is one account of the list.
type pickItem struct {
	row
	name   string // as it is shown
	folded string // as it is looked for
	// asked is until when the code is shown that somebody asked for: of a touch
	// account until it runs out, of one that counts for a while.
	asked time.Time
	// copied is until when the code counts as being in the clipboard.
	copied time.Time
	// later is when a code is asked for again after that failed.
	later time.Time
}

// live says that the account's codes are shown without anybody asking for them.
func (i *pickItem) live() bool { return i.account.Class != "touch" && i.account.Type != "hotp" }

// kept says that the code that was asked for is still shown: Enter takes it once
// more and asks for no other touch, and for no other count.
func (i *pickItem) kept(now time.Time) bool { return i.code.Code != "" && now.Before(i.asked) }

// pickList is the accounts, the filter and the choice.
type pickList struct {
	items    []pickItem
	matches  []int // places in items
	filter   string
	selected int    // place in matches
	top      int    // the first that is shown
	page     int    // how many fit on the screen
	want     string // id of the account that is to be selected when it is there
	widest   int    // columns of the longest name
	digits   int    // of the longest code
}

// maxFilter bounds the filter, in characters.
const maxFilter = 100

// set takes a new list of accounts. Codes, and what is selected, stay.
func (l *pickList) set(accounts []ipc.Account) {
	if it := l.current(); it != nil {
		l.want = it.account.ID
	}
	before := make(map[string]*pickItem, len(l.items))
	for i := range l.items {
		before[l.items[i].account.ID] = &l.items[i]
	}
	l.items, l.widest, l.digits = make([]pickItem, len(accounts)), 0, 6
	for i, a := range accounts {
		it := &l.items[i]
		if old := before[a.ID]; old != nil && old.account.Class == a.Class && old.account.Type == a.Type {
			*it = *old
			it.later = time.Time{}
		}
		it.account, it.reason = a, ""
		it.name = accountName(a.Issuer, a.Name)
		it.folded = folded(it.name)
		l.widest, l.digits = max(l.widest, columns(it.name)), max(l.digits, a.Digits)
	}
	l.look()
}

// clear forgets the accounts and their codes, for a vault that was locked.
func (l *pickList) clear() {
	if it := l.current(); it != nil {
		l.want = it.account.ID
	}
	l.items, l.matches, l.selected, l.top = nil, nil, 0, 0
}

// look finds the accounts that match and selects the one that is wanted, or the
// first.
func (l *pickList) look() {
	words := strings.Fields(folded(l.filter))
	l.matches, l.selected = l.matches[:0], 0
	for i := range l.items {
		if !hasAll(l.items[i].folded, words) {
			continue
		}
		if l.items[i].account.ID == l.want {
			l.selected = len(l.matches)
		}
		l.matches = append(l.matches, i)
	}
	l.scroll()
}

func hasAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// folded is a text without what nobody types to find it: upper case, accents,
// compatible forms.
func folded(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			s = strings.Map(func(r rune) rune {
				if unicode.Is(unicode.Mn, r) {
					return -1
				}
				return r
			}, norm.NFKD.String(s))
			break
		}
	}
	return strings.ToLower(s)
}

// current is the account that is selected, nil for none.
func (l *pickList) current() *pickItem {
	if l.selected >= len(l.matches) {
		return nil
	}
	return &l.items[l.matches[l.selected]]
}

// find is the account of that id, nil where it is gone.
func (l *pickList) find(id string) *pickItem {
	for i := range l.items {
		if l.items[i].account.ID == id {
			return &l.items[i]
		}
	}
	return nil
}

// visible are the accounts on the screen.
func (l *pickList) visible() []int {
	return l.matches[l.top:min(l.top+l.page, len(l.matches))]
}

// resize says how many accounts fit.
func (l *pickList) resize(page int) {
	l.page = max(1, page)
	l.scroll()
}

// scroll brings what is selected onto the screen, and leaves no room unused.
func (l *pickList) scroll() {
	page := max(1, l.page)
	l.top = max(0, min(l.top, l.selected, len(l.matches)-page))
	l.top = max(l.top, l.selected-page+1)
}

// move selects another account, by so many places.
func (l *pickList) move(by int) {
	l.selected = max(0, min(l.selected+by, len(l.matches)-1))
	l.want = ""
	l.scroll()
}

// narrow takes a longer filter, or another. The first that matches is selected.
func (l *pickList) narrow(filter string) {
	l.filter, l.want, l.top = filter, "", 0
	l.look()
}

// widen takes a shorter filter. What was selected stays so.
func (l *pickList) widen(filter string) {
	if it := l.current(); it != nil {
		l.want = it.account.ID
	}
	l.filter = filter
	l.look()
}

// press moves and filters; other keys do nothing.
func (l *pickList) press(k key) {
	switch k.kind {
	case keyUp:
		l.move(-1)
	case keyDown:
		l.move(1)
	case keyPageUp:
		l.move(-l.page)
	case keyPageDown:
		l.move(l.page)
	case keyHome:
		l.move(-len(l.matches))
	case keyEnd:
		l.move(len(l.matches))
	case keyText:
		if utf8.RuneCountInString(l.filter) < maxFilter {
			l.narrow(l.filter + string(k.text))
		}
	case keyErase:
		l.widen(withoutLast(l.filter))
	case keyEraseWord:
		s := strings.TrimRight(l.filter, " ")
		l.widen(s[:strings.LastIndexByte(s, ' ')+1])
	case keyEraseAll:
		l.widen("")
	}
}

// withoutLast is s without its last character and what combines with that.
func withoutLast(s string) string {
	for len(s) > 0 {
		r, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
		if runeColumns(r) > 0 {
			break
		}
	}
	return s
}
