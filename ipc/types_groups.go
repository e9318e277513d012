package ipc

// Group is a group of the authority's own host whose members have roles: those who
// are users of the authority, by their logins. Others in it are nobody to the
// authority.
type Group struct {
	ID    string `json:"id"`   // for the audit
	Name  string `json:"name"` // exactly as the host has it
	Roles []Role `json:"roles"`
	Added Time   `json:"added"`
	// Known says that the host has such a group now.
	Known bool `json:"known"`
}

// GroupList is the groups that have roles, by name.
type GroupList struct {
	Version int     `json:"version"`
	Groups  []Group `json:"groups"`
}

// NewGroup gives the members of a group roles.
type NewGroup struct {
	Name  string `json:"name"`
	Roles []Role `json:"roles"` // one at least
}

// GroupRef names a group that has roles.
type GroupRef struct {
	Name string `json:"name"`
}
