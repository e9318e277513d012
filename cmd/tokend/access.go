package main

import (
	"bufio"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tokenbridge/tokend/ipc"
)

// seatDir is where systemd-logind says who has the active session of each seat.
const seatDir = "/run/systemd/seats"

// tokenAccess decides who may use the tokens of a machine that many use: who
// sits at it, and whom the administrator named. Root is let in before it is
// asked.
type tokenAccess struct {
	seats string

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
	return named || a.seated(p.UID)
}

// seated says whether uid has the active session of a seat.
func (a *tokenAccess) seated(uid string) bool {
	seats, err := os.ReadDir(a.seats)
	if err != nil {
		return false
	}
	for _, seat := range seats {
		if activeUID(filepath.Join(a.seats, seat.Name())) == uid {
			return true
		}
	}
	return false
}

// activeUID reads ACTIVE_UID of logind's file about a seat.
func activeUID(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if uid, ok := strings.CutPrefix(lines.Text(), "ACTIVE_UID="); ok {
			return uid
		}
	}
	return ""
}
