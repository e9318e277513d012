package ipc

// MakeSecurityKeyRequest has a FIDO2 key make a credential for an authority.
type MakeSecurityKeyRequest struct {
	// UserID is whom it is registered for: the id that he has at the authority.
	UserID string `json:"user_id"`
	// Locator is a key's id, its keyslot's label or its device path; empty when one
	// alone is plugged in.
	Locator      string `json:"locator,omitempty"`
	PIN          Secret `json:"pin,omitempty"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
}

// MadeSecurityKey is what the authority registers the key by. It is not secret.
type MadeSecurityKey struct {
	Version   int      `json:"version"`
	Statement []byte   `json:"statement"`
	Token     TokenRef `json:"token"`
}

// NewSecurityKey is a key to be registered.
type NewSecurityKey struct {
	User string `json:"user"` // a name or an id
	Name string `json:"name"` // what people call it, 1 to 64 bytes
	// Statement is MadeSecurityKey's, for this user.
	Statement []byte `json:"statement"`
}

// SecurityKey is a user's FIDO2 key at an authority.
type SecurityKey struct {
	ID     string `json:"id"`
	UserID string `json:"user_id"`
	Name   string `json:"name"`
	// Model is the AAGUID, by the key's own word.
	Model string `json:"model,omitempty"`
	// PIN says that it is used with its PIN or a finger.
	PIN     bool   `json:"pin"`
	By      string `json:"by"` // the id of who registered it
	Created Time   `json:"created"`
	Used    Time   `json:"used,omitzero"` // as a factor, the last time
	// Doubted is when its counter was seen to go back, as that of a copy does.
	Doubted Time `json:"doubted,omitzero"`
}

// SecurityKeyList is a user's keys in the order in which they were registered.
type SecurityKeyList struct {
	Version int           `json:"version"`
	Keys    []SecurityKey `json:"keys"`
}

// SecurityKeyRef names one of a user's keys.
type SecurityKeyRef struct {
	User string `json:"user"` // a name or an id
	Key  string `json:"key"`  // an id, or a name that no other of his keys has
}
