package ipc

// Resolution decides one item of a plan.
type Resolution struct {
	// Item is the number of the item in the plan, "1" being the first.
	Item string `json:"item"`
	// Action is "keep" (what is there stays), "replace" (it takes the place of what
	// is there, or its name where the secret is the same), "rename" (it is added
	// under another name; what is there already gets that name), or "leave" (it is
	// left out).
	Action string `json:"action"`
	// Issuer and Name are the other name; rename only.
	Issuer string `json:"issuer,omitempty"`
	Name   string `json:"name,omitempty"`
}

// The actions of a PlanItem. Those of a Resolution are keep, replace, rename and
// leave.
const (
	PlanAdd      = "add"
	PlanSame     = "same"     // it is there, and nothing is done but to raise a HOTP counter
	PlanReplace  = "replace"  // it takes the place of Existing
	PlanRename   = "rename"   // it gets the name that was asked for
	PlanKeep     = "keep"     // Existing stays, it is left out
	PlanLeave    = "leave"    // it is left out
	PlanConflict = "conflict" // nothing is done until it is decided
	PlanRemove   = "remove"   // of an undo: what was added is removed
	PlanRestore  = "restore"  // of an undo: what was there before is put back
)

// ImportRequest brings accounts from elsewhere into the caller's vault: as a
// plan, or with Apply in one step. Undecided conflicts fail it then with
// Conflict and nothing is changed. At most 20,000 accounts.
type ImportRequest struct {
	// Source is what the plan and its undo call where they come from: "Aegis", a
	// file's name. At most 256 bytes.
	Source   string       `json:"source,omitempty"`
	Accounts []NewAccount `json:"accounts"`
	// Class is that of accounts that name none; touch where a token can, when
	// empty.
	Class string `json:"class,omitempty"`
	// Keep decides for what is there wherever Resolve says nothing.
	Keep    bool         `json:"keep,omitempty"`
	Resolve []Resolution `json:"resolve,omitempty"`
	Apply   bool         `json:"apply,omitempty"`
}

// MergeBackupRequest brings what a backup has into the caller's open vault, like
// ImportRequest; Auth opens the backup, and need not be set for one of the same
// vault and epoch. By recovery password or key that opens
// its touch class, too; a token is touched for that once more, and only with
// Apply.
type MergeBackupRequest struct {
	Auth Auth   `json:"auth,omitzero"`
	Data []byte `json:"data"`
	// Signer, when set, is the only fingerprint accepted.
	Signer string `json:"signer,omitempty"`
	// Source is what the plan and its undo call the backup: a file's name.
	Source string `json:"source,omitempty"`
	// From is the file it was read from: as that a backup of the caller's vault is
	// known from then on.
	From    BackupFile   `json:"from,omitzero"`
	Keep    bool         `json:"keep,omitempty"`
	Resolve []Resolution `json:"resolve,omitempty"`
	Apply   bool         `json:"apply,omitempty"`
}

// PlanItem is what a plan does with one account.
type PlanItem struct {
	// Item is its number, "1" being the first account of the request or backup.
	Item string `json:"item"`
	// Action is "add", "same", "replace", "rename", "keep", "leave", "conflict"; of
	// an undo "remove", "restore", "rename", "leave".
	Action string `json:"action"`
	// Account is how it comes in, or is afterwards. Its ID is empty where that is
	// yet to be made.
	Account Account `json:"account"`
	// Existing is the account in the vault that it is the same as, or in conflict
	// with.
	Existing *Account `json:"existing,omitempty"`
	// Differs says by what the two differ: "secret", "issuer", "name", "note",
	// "type", "algorithm", "digits", "period", "kind". In a conflict without
	// "secret" the secrets are the same, or Reason says that they were not compared.
	Differs []string `json:"differs,omitempty"`
	// Reason says for people why, and what else becomes of it: "X is known as
	// Y", "same as item 3", "counter goes from 5 to 9".
	Reason string `json:"reason,omitempty"`
}

// Plan is what a merge, an import or an undo does, or with Applied did.
type Plan struct {
	Version int        `json:"version"`
	Source  string     `json:"source,omitempty"`
	Items   []PlanItem `json:"items"`
	// The counts of items by action: Left is keep and leave.
	Added     int `json:"added"`
	Same      int `json:"same"`
	Conflicts int `json:"conflicts"`
	Replaced  int `json:"replaced"`
	Renamed   int `json:"renamed"`
	Left      int `json:"left"`
	Removed   int `json:"removed"`
	Restored  int `json:"restored"`
	// Raised is how many of Same have their HOTP counter raised, which nothing takes
	// back.
	Raised int `json:"raised"`
	// Touch says that applying it wants a touch, which opens the secrets that
	// could not be compared.
	Touch bool `json:"touch,omitempty"`
	// Applied says that the vault is now as planned. Where nothing was to be
	// changed it is true without a write.
	Applied bool `json:"applied"`
	// Undo is the id that takes it back, for 30 days; empty where nothing changed.
	Undo    string    `json:"undo,omitempty"`
	Notices []Warning `json:"notices"`
	Vault   Vault     `json:"vault"`
}

// UndoRequest takes back one merge, import or undo: as a plan, or with Apply.
type UndoRequest struct {
	// ID is that of the step; empty for the newest that is not taken back yet.
	ID    string `json:"id,omitempty"`
	Apply bool   `json:"apply,omitempty"`
}

// UndoList is the steps that can be taken back, the newest first.
type UndoList struct {
	Version int        `json:"version"`
	Undos   []UndoStep `json:"undos"`
}

// UndoStep is one merge, import or undo that can be taken back.
type UndoStep struct {
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	Time   Time   `json:"time"`
	// Until is when it is forgotten, if not earlier: 20 are kept, and a revoked
	// token or a rotated recovery key ends them all.
	Until    Time `json:"until"`
	Added    int  `json:"added"`
	Replaced int  `json:"replaced"`
	Renamed  int  `json:"renamed"`
	Removed  int  `json:"removed"`
	// Undoes is the step that this one took back.
	Undoes string `json:"undoes,omitempty"`
	// Undone says that it was taken back itself.
	Undone bool `json:"undone,omitempty"`
}
