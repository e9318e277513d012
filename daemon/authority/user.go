package authority

import (
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
)

// Role is what a user may do; what that is, is decided by whoever asks here.
type Role string

// The roles. Everybody is a user.
const (
	RoleUser     Role = "user"
	RoleHelpdesk Role = "helpdesk"
	RoleVerifier Role = "verifier"
	RoleAdmin    Role = "admin"
	RoleOwner    Role = "owner"
)

// Bounds.
const (
	// MaxFobs is how many fobs a user may have, in whatever state: all of them
	// are tried.
	MaxFobs = 16
	// MaxSharers is how many users may share a fob.
	MaxSharers = 64
	// MaxLogins is how many OS logins a user may have.
	MaxLogins = 16
	// MaxPage is how many users or fobs a page holds, and the page of an import.
	MaxPage = 1000
)

// User is a person, as the authority knows him. A name is found in capitals and
// small letters alike.
type User struct {
	ID        string
	Authority string // the id of the authority he belongs to: the root one, or a Child
	Name      string // 1 to 256 characters
	Display   string // up to 256 characters
	Email     string // up to 256 characters
	// Logins are his names on the authority's own host; no two users share one.
	Logins []string
	Roles  []Role // at least RoleUser; those by groups, too
	// ByGroup are those of Roles that he has by a group of the host alone.
	ByGroup []Role
	// Authorities are the names and ids of the child authorities that he is in: his own
	// and those above it.
	Authorities []string
	// Groups are those that his logins are in on the host, as they are now.
	Groups   []string
	Disabled bool
	Fobs     []UserFob
	Created  time.Time
}

// UserFob is a fob, as its user's record shows it.
type UserFob struct {
	ID     string
	Serial string
	Type   fob.Type
	State  fob.State
	// Start and Expiry bound when its passcodes are accepted; zero is no bound.
	Start, Expiry time.Time
}

// Works says whether passcodes of the fob are accepted at the time now.
func (f UserFob) Works(now time.Time) bool {
	bounds := fob.Fob{State: f.State, Start: f.Start, Expiry: f.Expiry}
	return bounds.Usable(now) == fob.Accepted
}

// UserEdit is what to change of a user; nil is left as it is.
type UserEdit struct {
	Name, Display, Email *string
	Authority            *string // by name or id; empty is the root one
	Logins               *[]string
	Roles                *[]Role
	Disabled             *bool
}

// UserQuery says which users to list, in the order of their names.
type UserQuery struct {
	Prefix string // of the name
	Role   Role   // "" is any
	After  string // Next of the page before
	Limit  int    // 1 to MaxPage; MaxPage if 0
	// Within leaves out users of other authorities, by their ids; nil leaves out none.
	Within func(authority string) bool
}

// UserPage is a page of users.
type UserPage struct {
	Users []User
	// Next is where the next page begins; empty on the last.
	Next string
}
