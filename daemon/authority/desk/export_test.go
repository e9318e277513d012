package desk

// KeepUp does what Run does every minute.
func (d *Desk) KeepUp() { d.keepUp() }

// AuditKinds are the kinds of entries that are known.
func AuditKinds() []string { return auditKinds() }
