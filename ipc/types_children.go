package ipc

// ChildAuthority is a part of an authority's users whose roles end there: those of
// the authorities above it reach it, and its own reach those beneath it.
type ChildAuthority struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // found in capitals and small letters alike
	Display string `json:"display,omitempty"`
	// ParentID and Parent are the authority above it: the root one, or another child.
	ParentID string `json:"parent_id"`
	Parent   string `json:"parent"`
	// Depth is 1 beneath the root authority, and 8 at most.
	Depth   int  `json:"depth"`
	Created Time `json:"created"`
}

// ChildAuthorityList is the child authorities that the caller's roles reach, by name.
type ChildAuthorityList struct {
	Version     int              `json:"version"`
	Authorities []ChildAuthority `json:"authorities"`
}

// NewChildAuthority is a child authority to be made.
type NewChildAuthority struct {
	Name    string `json:"name"`
	Display string `json:"display,omitempty"`
	// Parent is a name or an id; the caller's own authority if empty.
	Parent string `json:"parent,omitempty"`
}

// ChildAuthorityRef names a child authority, by name or id.
type ChildAuthorityRef struct {
	Authority string `json:"authority"`
}
