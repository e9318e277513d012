package desk

import (
	"strings"

	"github.com/tokenbridge/tokend/daemon/audit"
)

// auditKinds are what an entry of the chain can be about, as this version writes
// them.
func auditKinds() []string {
	return []string{
		"account-revoke", "activate", "activation-approve", "activation-create", "activation-mail", "activation-revoke",
		"audit-cut", "audit-damaged", "audit-repaired", "audit-rotated",
		"authority-child-create", "authority-child-remove", "authority-create", "authority-edit", "authority-key-add", "authority-key-remove",
		"authority-keyslots-restored", "authority-lock", "authority-open", "authority-unlock",
		"bypass-create", "bypass-revoke", "bypass-use", "device-approve", "device-ask", "device-revoke",
		"fob-assign", "fob-burn", "fob-disable", "fob-enable", "fob-import", "fob-lost", "fob-replace", "fob-resync", "fob-unassign",
		"group-add", "group-remove", "look", "managed-verify", "policy-set", "reactivate-begin", "reactivate-factor",
		"registry-accept", "registry-mark", "registry-older", "secret-issue", "secret-prove",
		"security-key-add", "security-key-copied", "security-key-remove", "user-add", "user-edit", "user-forget", "user-remove",
		"verifier-answer", "verifier-ask", "verifier-check", "verifier-enroll", "verifier-remove", "verifier-set", "verify",
	}
}

// knows says whether there can be entries of a kind: one of this version's, what
// stands before a '-' of several, or one that the chain has, by another version.
func (c *ledger) knows(kind string) (bool, error) {
	for _, k := range auditKinds() {
		if k == kind || strings.HasPrefix(k, kind+"-") {
			return true, nil
		}
	}
	found, err := c.log.Find(audit.Query{Action: kind, Limit: 1})
	return len(found.Entries) > 0, err
}
