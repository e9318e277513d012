package daemon

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
)

// index finds accounts by what people call them. It is made anew when accounts
// change and read without a lock.
type index struct {
	list  []vault.Account
	byID  map[string]int
	exact map[string][]int
}

func newIndex(list []vault.Account) *index {
	x := &index{
		list: list, byID: make(map[string]int, len(list)), exact: make(map[string][]int, 2*len(list)),
	}
	for i, a := range list {
		x.byID[a.ID] = i
		for _, name := range names(a) {
			if here := x.exact[name]; !slices.Contains(here, i) {
				x.exact[name] = append(here, i)
			}
		}
	}
	return x
}

// reindex makes the session find accounts as they are now.
func (s *session) reindex() {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	s.index.Store(newIndex(s.vault.Accounts()))
}

// names is what an account answers to.
func names(a vault.Account) []string {
	if a.Issuer == "" {
		return []string{a.Name}
	}
	return []string{a.Name, a.Issuer, a.Issuer + ":" + a.Name}
}

// find is the account that ref means: by id, then by exact name, then without
// regard to case, then by a part of the name.
func (x *index) find(ref string) (vault.Account, error) {
	if i, ok := x.byID[ref]; ok {
		return x.list[i], nil
	}
	if ref == "" {
		return vault.Account{}, ipc.Errorf(ipc.InvalidArgument, "no account was named")
	}
	if !utf8.ValidString(ref) {
		return vault.Account{}, errNoAccount()
	}
	ref = norm.NFC.String(ref)
	if found := x.exact[ref]; len(found) > 0 {
		return x.only(found)
	}
	fold := strings.ToLower(ref)
	var equal, part []int
	for i, a := range x.list {
		for _, name := range names(a) {
			if strings.EqualFold(name, ref) {
				equal = append(equal, i)
				break
			}
		}
		if strings.Contains(strings.ToLower(a.Issuer+":"+a.Name), fold) {
			part = append(part, i)
		}
	}
	if len(equal) > 0 {
		return x.only(equal)
	}
	return x.only(part)
}

// only is the one account found.
func (x *index) only(found []int) (vault.Account, error) {
	switch len(found) {
	case 0:
		return vault.Account{}, errNoAccount()
	case 1:
		return x.list[found[0]], nil
	}
	e := ipc.Errorf(ipc.Ambiguous, "%d accounts fit that name", len(found))
	for _, i := range found {
		e.Items = append(e.Items, ipc.Item{ID: x.list[i].ID, Name: display(x.list[i])})
	}
	return vault.Account{}, e
}

func errNoAccount() *ipc.Error { return ipc.Errorf(ipc.NotFound, "there is no such account") }

// display is the name of an account for people.
func display(a vault.Account) string {
	if a.Issuer == "" {
		return a.Name
	}
	return a.Issuer + ":" + a.Name
}

func accountRef(a vault.Account) ipc.AccountRef {
	return ipc.AccountRef{ID: a.ID, Issuer: a.Issuer, Name: a.Name}
}

func wireAccount(a vault.Account) ipc.Account {
	w := ipc.Account{
		ID: a.ID, Issuer: a.Issuer, Name: a.Name, Kind: a.Kind, Class: string(a.Class), Type: a.Type,
		Algorithm: a.Algorithm, Digits: a.Digits, Period: a.Period, Note: a.Note, Created: wireTime(a.Created),
		NoExport: a.NoExport, Inactive: a.Inactive,
	}
	if a.Type == typeHOTP {
		w.Counter, w.Period = new(a.Counter), 0
	}
	return w
}

func wireAccounts(list []vault.Account) []ipc.Account {
	out := make([]ipc.Account, 0, len(list))
	for _, a := range list {
		out = append(out, wireAccount(a))
	}
	return out
}

// checkText says whether a text of a person may be stored: valid UTF-8 without
// control characters, of at most limit bytes.
func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return ipc.Errorf(ipc.InvalidArgument, "the %s is longer than %d bytes", what, limit)
	}
	if !utf8.ValidString(s) {
		return ipc.Errorf(ipc.InvalidArgument, "the %s is not UTF-8", what)
	}
	for _, r := range s {
		if unicode.IsControl(r) && !(what == "note" && (r == '\n' || r == '\t')) {
			return ipc.Errorf(ipc.InvalidArgument, "the %s holds a control character", what)
		}
	}
	return nil
}
