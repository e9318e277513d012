package ipc

// DrillRequest has a backup restored into memory; Auth opens it.
type DrillRequest struct {
	Auth Auth   `json:"auth,omitzero"`
	Data []byte `json:"data"`
}

// DrillResult says what a drill found. A backup is proved when every account in
// it was used, and then that is remembered.
type DrillResult struct {
	Version    int    `json:"version"`
	VaultID    string `json:"vault_id"`
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
	Written    Time   `json:"written"`
	Signer     string `json:"signer"`
	SHA256     string `json:"sha256"`
	// OpenedBy is what opened it: a token's label, "recovery password" or
	// "recovery key".
	OpenedBy string `json:"opened_by"`
	// Proved says that every account was used; At is when.
	Proved bool `json:"proved"`
	At     Time `json:"at"`
	// Recorded says that the daemon remembers it.
	Recorded bool `json:"recorded"`
	// Own says that it is of the caller's vault on this machine.
	Own bool `json:"own"`
	// Compared says that the vault was unlocked and compared with it.
	Compared bool           `json:"compared"`
	Accounts []DrillAccount `json:"accounts"`
	// Missing are the accounts of the vault that the backup has not.
	Missing []Account `json:"missing"`
}

// DrillAccount is one account of a backup.
type DrillAccount struct {
	Account Account `json:"account"`
	// State is "proved" (its secret was opened and made a code), "sealed" (it
	// needs a touch, and nothing opened that), "absent" (a managed account, whose
	// secret is in no backup) or "broken".
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"` // of a broken one
	// Live is what a restore would do beside the unlocked vault: "same", "differs"
	// or "added"; empty where nothing was compared.
	Live string `json:"live,omitempty"`
	// Differs names what differs: "secret", "name", "digits", …
	Differs []string `json:"differs,omitempty"`
}
