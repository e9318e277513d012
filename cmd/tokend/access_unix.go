//go:build unix

package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
)

// seatDir is where systemd-logind says who has the active session of each seat.
const seatDir = "/run/systemd/seats"

// seated says whether p has the active session of a seat.
func (a *tokenAccess) seated(p ipc.Principal) bool {
	seats, err := os.ReadDir(a.seats)
	if err != nil {
		return false
	}
	for _, seat := range seats {
		if activeUID(filepath.Join(a.seats, seat.Name())) == p.UID {
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
