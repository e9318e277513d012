package authority

// Auditor is told of everything that was done or refused, after it is stored and
// before it is answered. It must not block for long, and must make itself heard
// where it fails. Failed tries at names that do not exist are told of as well,
// and whoever can reach the verifier can make as many as he likes; what is
// refused for the throttle is not told of, for what led to it was.
type Auditor interface {
	Audit(e Entry)
}

// Entry is one thing done. It holds ids and no names, serial numbers, passcodes
// or secrets.
type Entry struct {
	// Kind is "authority-create", "authority-edit", "user-add", "user-edit",
	// "user-remove", "authority-child-create", "authority-child-remove", "fob-import", "fob-assign", "fob-unassign", "fob-enable",
	// "fob-disable", "fob-lost", "fob-replace", "fob-resync", "fob-burn" or
	// "verify"; and those of daemon/authority/issue, which lists them.
	Kind string
	// By is who did it, as he named himself, and From where he did it from: the
	// Auditor knows.
	By, From string
	// User and Fob are ids; empty where none is concerned or known.
	User, Fob string
	// Holders are the ids of a fob's users, where the fob is concerned and so all of
	// them are.
	Holders []string
	// Account and Device are ids of a managed account and of a device.
	Account, Device string
	// Reference is what a user was told to name to who helps him.
	Reference string
	// Service is who asked to verify.
	Service string
	// OK says whether it was done; for "verify", accepted.
	OK bool
	// Detail is a word or a count: a reason, an error's kind, "added=3 same=1".
	Detail string
}

// WithAudit is the same authority for one caller: of what he does x is told.
func (a *Authority) WithAudit(x Auditor) *Authority {
	b := *a
	b.audit = x
	return &b
}
