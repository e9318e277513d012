package desk

// KeepUp does what Run does every minute.
func (d *Desk) KeepUp() { d.keepUp() }
