package ipc

// AuditLog is the caller's chain, oldest first.
type AuditLog struct {
	Version int          `json:"version"`
	Entries []AuditEntry `json:"entries"`
	// Intact says that the chain verifies; Problem where it does not.
	Intact  bool   `json:"intact"`
	Problem string `json:"problem,omitempty"`
}

// AuditEntry is one entry: ids, never names or secrets.
type AuditEntry struct {
	Seq    uint64 `json:"seq"`
	Time   Time   `json:"time"`
	Action string `json:"action"`
	Object string `json:"object,omitempty"`
	By     string `json:"by,omitempty"`
	// From is where it was done from: "local uid=1000 pid=4711",
	// "bus …", or "tls" and a network. Entries of before have none.
	From   string `json:"from,omitempty"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Hash   string `json:"hash"`
}

// AuditQuery asks for entries of a chain, oldest first; what is empty asks for
// nothing.
type AuditQuery struct {
	After uint64 `json:"after,omitempty"` // the last number that is known
	Limit int    `json:"limit,omitempty"` // 1 to 1,000; 1,000 when 0
	// Last asks for the last so many of those that fit, 1 to 1,000, in place of
	// Limit.
	Last  int  `json:"last,omitempty"`
	Since Time `json:"since,omitzero"` // and later
	Until Time `json:"until,omitzero"` // and earlier
	// Kind is an action, or what stands before a '-' of several: "activation" fits
	// "activation-create".
	Kind string `json:"kind,omitempty"`
	// By and User are ids; at an authority names as well, which it knows.
	By   string `json:"by,omitempty"`
	User string `json:"user,omitempty"`
	// Account, Device and Reference are as the entries have them.
	Account   string `json:"account,omitempty"`
	Device    string `json:"device,omitempty"`
	Reference string `json:"reference,omitempty"`
	// Failed leaves out what was done.
	Failed bool `json:"failed,omitempty"`
}

// AuditPage is a page of an audit chain, oldest first.
type AuditPage struct {
	Version int          `json:"version"`
	Entries []AuditEntry `json:"entries"`
	// More says that there are entries after the last of these.
	More bool `json:"more"`
	// Intact says that the whole chain verifies; Problem where it does not.
	Intact  bool   `json:"intact"`
	Problem string `json:"problem,omitempty"`
}

// AuditCheckpoint is the signed statement that a chain had an entry. Kept where
// the daemon's files cannot be written, it shows later what was cut off the chain
// or written anew.
type AuditCheckpoint struct {
	Version int `json:"version"`
	// Checkpoint is its text, which says all that follows.
	Checkpoint string `json:"checkpoint"`
	Chain      string `json:"chain"`
	Seq        uint64 `json:"seq"`
	Hash       string `json:"hash"`
	Time       Time   `json:"time"`
	Signer     string `json:"signer"` // an Ed25519 public key, hexadecimal
}

// VerifyAuditRequest has the texts of up to 1,000 checkpoints.
type VerifyAuditRequest struct {
	Checkpoints []string `json:"checkpoints,omitempty"`
}

// AuditVerdict says how a chain is, and how it stands to checkpoints.
type AuditVerdict struct {
	Version int    `json:"version"`
	Chain   string `json:"chain,omitempty"`
	Entries int    `json:"entries"`
	// First is above 1 where older files were moved away.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Intact says that the chain is whole from First to Last, and, of an authority's,
	// that it is the one which the registry knows, or that an owner has accepted that it
	// is not; Problem where that is not so.
	Intact  bool   `json:"intact"`
	Problem string `json:"problem,omitempty"`
	// Warnings are what entries of an authority's chain say of cut ends and older
	// registries.
	Warnings    []Warning           `json:"warnings,omitempty"`
	Checkpoints []CheckpointVerdict `json:"checkpoints"`
}

// CheckpointStanding is how a chain stands to a checkpoint.
type CheckpointStanding string

// The standings.
const (
	CheckpointHeld       CheckpointStanding = "held"           // the chain has the entry
	CheckpointCut        CheckpointStanding = "cut"            // the chain ends before it
	CheckpointRewritten  CheckpointStanding = "rewritten"      // the chain has another of this number
	CheckpointMissing    CheckpointStanding = "missing"        // the chain has those before and after
	CheckpointBefore     CheckpointStanding = "before"         // it was in a file that was moved away
	CheckpointOther      CheckpointStanding = "other-chain"    // it is of another chain
	CheckpointReplaced   CheckpointStanding = "replaced"       // the chain owner's key has signed it, for another chain
	CheckpointUnknown    CheckpointStanding = "unknown-signer" // a key has signed it that is not the chain owner's
	CheckpointForged     CheckpointStanding = "forged"         // nobody has signed it
	CheckpointUnreadable CheckpointStanding = "unreadable"     // it is no checkpoint, or a damaged one
)

// CheckpointVerdict is how a chain stands to one checkpoint.
type CheckpointVerdict struct {
	Standing CheckpointStanding `json:"standing"`
	Chain    string             `json:"chain,omitempty"`
	Seq      uint64             `json:"seq,omitempty"`
	Time     Time               `json:"time,omitzero"`
	Signer   string             `json:"signer,omitempty"`
}
