package desk

import "github.com/tokenbridge/tokend/daemon/authority"

// KeepUp does what Run does every minute.
func (d *Desk) KeepUp() { d.keepUp() }

// AddOlder adds a user as a registry from before has him, whose e-mail address nobody
// looked at.
func (d *Desk) AddOlder(u authority.User) error {
	o, err := d.current()
	if err == nil {
		_, err = o.authority.AddUser("uid 0", u)
	}
	return err
}

// AuditKinds are the kinds of entries that are known.
func AuditKinds() []string { return auditKinds() }
