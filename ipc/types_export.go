package ipc

// ExportRequest asks for the secrets of several accounts in one step. Auth opens
// the touch class where it is needed, once for all of them.
type ExportRequest struct {
	Auth Auth `json:"auth,omitzero"`
	// Accounts are the ids, at least one; each is handed out once.
	Accounts []string `json:"accounts"`
	// Interaction is as in CodeRequest; the user is asked about each account.
	Interaction string `json:"interaction,omitempty"`
}

// Export is what left the vault. Each account that did is in the audit log.
type Export struct {
	Version  int        `json:"version"`
	Accounts []Exported `json:"accounts"` // in the order of the request
	// Refused are the accounts that may not leave, with the reason.
	Refused []Item `json:"refused"`
}

// Exported is an account with its secret.
type Exported struct {
	Account Account `json:"account"`
	// URI is an otpauth:// URI, a HOTP account's with its counter of now.
	URI Secret `json:"uri"`
}
