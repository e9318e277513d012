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
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Hash   string `json:"hash"`
}
