package main

import (
	"strconv"

	"golang.org/x/sys/windows"

	"github.com/tokenbridge/tokend/ipc"
)

// seatDir is nowhere: the system is asked.
const seatDir = ""

// noSession is WTSGetActiveConsoleSessionId's answer while there is none.
const noSession = ^uint32(0)

// seated says whether p calls from the session that has the machine's own screen
// and keyboard, and is the user of that session.
func (a *tokenAccess) seated(p ipc.Principal) bool {
	console := windows.WTSGetActiveConsoleSessionId()
	if console == noSession || p.Session != strconv.FormatUint(uint64(console), 10) {
		return false
	}
	uid, err := sessionUser(console)
	return err == nil && uid == p.UID
}

// sessionUser is the SID of a session's user. Only the system may ask.
func sessionUser(session uint32) (string, error) {
	var t windows.Token
	if err := windows.WTSQueryUserToken(session, &t); err != nil {
		return "", err
	}
	defer func() { _ = t.Close() }()
	u, err := t.GetTokenUser()
	if err != nil {
		return "", err
	}
	return u.User.Sid.String(), nil
}
