package main

import (
	"os/user"
	"sync"

	"github.com/tokenbridge/tokend/ipc"
)

// tokenAccess decides who may use the tokens of a machine that many use: who
// sits at it, and whom the administrator named. Root is let in before it is
// asked.
type tokenAccess struct {
	seats string // the folder of what logind says of seats, where there is one

	mu    sync.RWMutex
	named map[string]bool // uids
}

// set replaces the users named, and returns the names that nobody has.
func (a *tokenAccess) set(users []string) (unknown []string) {
	named := make(map[string]bool, len(users))
	for _, name := range users {
		if u, err := user.Lookup(name); err == nil {
			named[u.Uid] = true
		} else if u, err := user.LookupId(name); err == nil {
			named[u.Uid] = true
		} else {
			unknown = append(unknown, name)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.named = named
	return unknown
}

func (a *tokenAccess) allowed(p ipc.Principal) bool {
	a.mu.RLock()
	named := a.named[p.UID]
	a.mu.RUnlock()
	return named || a.seated(p)
}
